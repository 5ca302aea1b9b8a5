"""What the answers of a model rest on: inputs that are permuted or held, words that are left out.

Everything here asks fitted models about units that they were not trained on.
"""
