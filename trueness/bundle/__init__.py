"""A chosen run made usable: refitted on all data, with what was learnt about it out of fold.

A bundle is a folder that needs neither the store nor the data that it was made from.
"""
