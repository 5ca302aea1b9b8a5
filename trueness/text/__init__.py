"""Titles in many languages: corpora, languages, near-duplicates, splits, tokens."""

from trueness.text.corpus import PARTS, Corpus, Titles, load_corpus

__all__ = ["PARTS", "Corpus", "Titles", "load_corpus"]
