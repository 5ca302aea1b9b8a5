"""The one writer: a document or a frame becomes a file by the end of its name, whole or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from trueness.document import Document
from trueness.errors import StoreError, TruenessError, first_line
from trueness.files import write_text, written_whole
from trueness.report.html import to_html
from trueness.report.latex import to_latex
from trueness.report.markdown import to_markdown

DOCUMENTS: dict[str, Callable[[Document], str]] = {
    ".md": to_markdown, ".html": to_html, ".tex": to_latex,
}  # fmt: skip
"""End of a name -> how a document is rendered for it."""


FORMULA = r"^[=+\-@\t\r]"
"""How a text begins that spreadsheets would carry out."""


def write(content: Document | pl.DataFrame, path: str | Path, *, raw: bool = False) -> None:
    """Write a document as Markdown, page or LaTeX, or a frame as CSV or Parquet.

    Parameters
    ----------
    content : Document or polars.DataFrame
    path : str or Path
        Ends in .md, .html or .tex for a document, in .csv or .parquet for a frame; replaced if it
        exists.
    raw : bool
        Whether texts stay as they are in CSV, also those that a spreadsheet would take for a
        formula; they get an apostrophe otherwise.

    Raises
    ------
    TruenessError
        With the code ``output_suffix`` if nothing is known of the end of the name.
    StoreError
        If the file cannot be written; what was there is kept.
    """
    path = Path(path)
    if isinstance(content, pl.DataFrame):
        _expect(path, [".csv", ".parquet"])
        if path.suffix.lower() == ".parquet":
            _parquet(content, path)
            return
        write_text(path, _csv(content if raw else _inert(content), path))
    else:
        _expect(path, list(DOCUMENTS))
        write_text(path, DOCUMENTS[path.suffix.lower()](content))


def _expect(path: Path, suffixes: list[str]) -> None:
    if path.suffix.lower() not in suffixes:
        raise TruenessError(
            f"{path}: the name of the file must end in {' or '.join(suffixes)}", "output_suffix"
        )


def _inert(frame: pl.DataFrame) -> pl.DataFrame:
    """With an apostrophe before texts that begin like a formula."""
    texts = [pl.col(name) for name, kind in frame.schema.items() if kind == pl.String]
    return frame.with_columns(
        pl.when(one.str.contains(FORMULA)).then(pl.lit("'") + one).otherwise(one).alias(name)
        for one in texts
        for name in [one.meta.output_name()]
    )


def _parquet(frame: pl.DataFrame, path: Path) -> None:
    with written_whole(path) as unfinished:
        frame.write_parquet(unfinished)


def _csv(frame: pl.DataFrame, path: Path) -> str:
    try:
        return frame.write_csv()
    except pl.exceptions.PolarsError as error:
        raise StoreError(f"{path}: the frame is not flat ({first_line(error)})") from None
