"""Where a judgement goes: the terminal or JSON, and files that are named beside."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from cyclopts import Parameter

from trueness.cli import configuration, suggestions
from trueness.cli.options import ROWS_SHOWN, StrictInt
from trueness.errors import TruenessError
from trueness.files import check_path

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from trueness.document import Document

PIPED_WIDTH = 160
"""Columns of output that is no terminal's."""
SUFFIXES = {"markdown": ".md", "report": ".html", "csv": ".csv", "parquet": ".parquet",
            "latex": ".tex"}  # fmt: skip
"""Option of a file -> how its name ends."""
FLAT = {"csv", "parquet"}
"""Those that hold every number, as a frame."""


class Judgement(Protocol):
    """An answer that can be shown, written and read by programs."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        ...

    def to_frame(self) -> pl.DataFrame:
        """The same flat, for CSV."""
        ...

    def document(self) -> Document:
        """What is shown."""
        ...


def _file(what: str) -> Parameter:
    return Parameter(help=f"Also write {what} to this file.")


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """Options of every verb that answers with a judgement."""

    as_json: Annotated[
        bool, Parameter(name="--json", negative=(), help="Print JSON instead of tables.")
    ] = False
    markdown: Annotated[Path | None, _file("Markdown (.md)")] = None
    report: Annotated[Path | None, _file("an HTML page with figures (.html)")] = None
    csv: Annotated[Path | None, _file("every number (.csv)")] = None
    parquet: Annotated[Path | None, _file("every number (.parquet)")] = None
    latex: Annotated[Path | None, _file("the tables as LaTeX (.tex)")] = None
    raw: Annotated[
        bool,
        Parameter(negative=(), help="Keep texts in --csv that look like formulas."),
    ] = False
    limit: Annotated[StrictInt, Parameter(help="Rows of a table that the terminal shows.")] = (
        ROWS_SHOWN
    )

    def files(self) -> dict[str, Path]:
        """Option -> file, of those that were asked for."""
        paths = {name: getattr(self, name) for name in SUFFIXES}
        return {name: path for name, path in paths.items() if path is not None}


DEFAULT = Output()


def check(output: Output) -> None:
    """Refuse what could not be written, before anything is computed; tell of data from settings.

    Raises
    ------
    TruenessError
        With the code ``limit``, ``output_suffix``, ``output_twice`` or ``output_path``.
    """
    if output.limit < 1:
        raise TruenessError(f"--limit {output.limit}: at least 1 row is needed", "limit")
    seen: dict[Path, str] = {}
    for name, path in output.files().items():
        if path.suffix.lower() != SUFFIXES[name]:
            raise TruenessError(
                f"--{name} {path}: the name must end in {SUFFIXES[name]}", "output_suffix"
            )
        check_path(path)
        if (other := seen.setdefault(path.resolve(), name)) != name:
            raise TruenessError(f"--{other} and --{name} name one file, {path}", "output_twice")
    for text in configuration.data_notes():
        note(text)


def present(judgement: Judgement, output: Output = DEFAULT) -> None:
    """Write the files that were asked for, print a judgement, and tell of each file.

    Files come first: whoever reads the output may stop early. What cannot be written is shown.
    """
    files = output.files()
    needed = not output.as_json or bool(set(files) - FLAT)
    document = suggestions.completed_document(judgement.document()) if needed else None
    written = list[Path]()
    try:
        for name, path in files.items():
            _write(judgement.to_frame() if name in FLAT else document, path, raw=output.raw)
            written.append(path)
    finally:
        try:
            if output.as_json:
                print_json(judgement.to_dict())
            elif document is not None:
                show(document, output.limit)
        finally:
            for path in written:
                console(err=True).print(f"wrote {path}", highlight=False, soft_wrap=True)


def _write(content: Any, path: Path, *, raw: bool) -> None:  # noqa: ANN401 - document or frame
    from trueness.report import write

    write(content, path, raw=raw)


def show(document: Document, limit: int | None = None) -> None:
    """Print a document on standard output, of long tables the first rows."""
    from trueness.report import show as show_on

    show_on(document, console(), limit)


def note(text: str) -> None:
    """Say something on standard error that is no part of the answer."""
    text = suggestions.completed(text)
    console(err=True).print(f"note: {text}", style="yellow", highlight=False, soft_wrap=True)


def confirm(question: str, nothing: str, hint: str) -> None:
    """Ask the terminal a question.

    Raises
    ------
    TruenessError
        With the code ``not_confirmed`` unless somebody says yes; elsewhere than on a terminal it
        says `nothing` and the `hint`.
    """
    if not sys.stdin.isatty():
        raise TruenessError(f"{nothing}; {hint}", "not_confirmed")
    console(err=True).print(f"{question} [y/N] ", end="", highlight=False, soft_wrap=True)
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise TruenessError(nothing, "not_confirmed")


def console(err: bool = False) -> Console:
    """Console on standard output or error; wide where it is no terminal."""
    from trueness.report.terminal import Screened

    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Screened(file=stream, width=width, markup=False, emoji=False)


def print_json(content: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print anything that JSON can hold."""
    sys.stdout.write(json.dumps(content, indent=1, allow_nan=False, default=str) + "\n")
