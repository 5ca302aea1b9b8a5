"""A chosen run made usable: refitted to the end of its data, with what was learnt out of fold.

A bundle is a folder that needs neither the store nor the data that it was made from.
"""
