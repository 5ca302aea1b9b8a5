"""Tables, sentences and a page about classifiers of titles, from what `evaluation` measured."""

from trueness.report.titles_page import write_titles_page
from trueness.judge.titles.tables import comparison_sections, methods_sections, slices_sections
from trueness.judge.titles.words import comparison_verdict, methods_verdict, slices_verdict

__all__ = [
    "comparison_sections",
    "comparison_verdict",
    "methods_sections",
    "methods_verdict",
    "slices_sections",
    "slices_verdict",
    "write_titles_page",
]
