"""Titles in many languages: corpora, languages, duplicates, splits and tokens."""
