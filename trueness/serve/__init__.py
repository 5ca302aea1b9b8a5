"""The workbench: the documents of judgements, live in a browser.

It reads a store, and writes only the ledger of what was shown.

``guard`` decides who may ask, ``app`` which page answers, ``pages`` fills documents, and `report`
renders them. ``shelf`` is the store as the server sees it, ``answers`` are judgements that take
longer than a page may, ``events`` the stream of what changes.
"""
