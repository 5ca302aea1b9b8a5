"""Static vectors: one per token or word, averaged over a text, or one per text by its id."""
