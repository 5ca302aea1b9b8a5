"""One way to read every table that comes in as a file."""

from trueness.reading.opening import ending, opened, text_lines
from trueness.reading.tables import FORMATS, Portion, check_names, names_of, portions, read_table
from trueness.reading.values import as_numbers, as_texts, typed, without_missing

__all__ = [
    "FORMATS",
    "Portion",
    "as_numbers",
    "as_texts",
    "check_names",
    "ending",
    "names_of",
    "opened",
    "portions",
    "read_table",
    "text_lines",
    "typed",
    "without_missing",
]
