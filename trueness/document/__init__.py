"""What can be shown: documents, and how numbers are written."""

from trueness.document.model import (
    Beside,
    Cell,
    Column,
    Document,
    Figure,
    Items,
    Kind,
    Later,
    Link,
    Part,
    Section,
    Sentence,
    Shade,
    Shaded,
    Style,
    Table,
)
from trueness.document.texts import with_texts

__all__ = [
    "Beside",
    "Cell",
    "Column",
    "Document",
    "Figure",
    "Items",
    "Kind",
    "Later",
    "Link",
    "Part",
    "Section",
    "Sentence",
    "Shade",
    "Shaded",
    "Style",
    "Table",
    "with_texts",
]
