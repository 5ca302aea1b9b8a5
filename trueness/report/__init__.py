"""Renders documents: in a terminal, as Markdown, a page, LaTeX; nothing here computes."""

from trueness.report.figures import to_plotly
from trueness.report.html import to_html
from trueness.report.latex import to_latex
from trueness.report.markdown import to_markdown
from trueness.report.terminal import show
from trueness.report.writing import write

__all__ = ["show", "to_html", "to_latex", "to_markdown", "to_plotly", "write"]
