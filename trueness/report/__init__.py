"""Renders documents: in a terminal, as Markdown, a page, LaTeX; nothing here computes."""

# ruff: noqa: F401 - what stands here is handed on
from typing import TYPE_CHECKING

from trueness.lazy import handed_on

if TYPE_CHECKING:
    from trueness.report.figures import to_plotly
    from trueness.report.html import to_html
    from trueness.report.latex import to_latex
    from trueness.report.markdown import to_markdown
    from trueness.report.terminal import show
    from trueness.report.writing import write

__all__, __getattr__, __dir__ = handed_on(__name__, __file__)
