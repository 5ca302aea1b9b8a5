"""How an answer shows: printed, in a notebook, as a frame, a dictionary, figures, a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

import polars as pl
from typing_extensions import TypeVar

from trueness.document import Document
from trueness.errors import DataError
from trueness.judge.judgement import Judgement
from trueness.store import AnyStore, Store

if TYPE_CHECKING:
    import plotly.graph_objects as go

J = TypeVar("J", bound=Judgement, default=Any)
Where: TypeAlias = AnyStore | str | Path
"""A store, or the folder of one."""
WIDTH = 110
"""Letters of a line of an answer that is printed."""
NOTEBOOK_HEIGHT = 640
"""Pixels, until the page is there and says how high it is."""
FITS = "this.style.height = this.contentDocument.documentElement.scrollHeight + 'px'"


@dataclass(frozen=True, repr=False)
class Answer(Generic[J]):
    """What a function of this module answers.

    Attributes
    ----------
    judgement : Judgement
        The answer itself, with everything that is known, such as ``judgement.groups``.
    store : Store or MemoryStore
        Where its runs are; a further question can be asked there.
    """

    judgement: J
    store: AnyStore

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        return self.judgement.to_dict()

    def to_frame(self) -> pl.DataFrame:
        """The same flat, a row per thing that is judged."""
        return self.judgement.to_frame()

    def document(self) -> Document:
        """What is shown, as sentences, tables and figures."""
        return self.judgement.document()

    def report(self, path: str | Path) -> Path:
        """Write it to a file.

        A page (``.html``), Markdown (``.md``), its tables as LaTeX (``.tex``), or the frame
        (``.csv``, ``.parquet``).

        Raises
        ------
        TruenessError
            If the file cannot be written or its suffix is another.
        """
        from trueness.report import write

        is_frame = Path(path).suffix.lower() in (".csv", ".parquet")
        write(self.to_frame() if is_frame else self.document(), path)
        return Path(path)

    @property
    def figures(self) -> list[go.Figure]:
        """Every picture, as figures of plotly."""
        import plotly.graph_objects as go

        from trueness.report import to_plotly

        return [go.Figure(to_plotly(figure)) for figure in self.document().figures()]

    def __repr__(self) -> str:
        return f"<{type(self.judgement).__name__}: {self.document().title}>"

    def __str__(self) -> str:
        from rich.console import Console

        from trueness.report import show as print_document

        text = StringIO()
        console = Console(
            file=text, width=WIDTH, markup=False, emoji=False,
            force_jupyter=False, force_terminal=False,  # it writes plain text, in a notebook too
        )  # fmt: skip
        print_document(self.document(), console)
        return text.getvalue().rstrip()

    def _repr_html_(self) -> str:
        """Page in a frame of its own: its style is not that of the notebook."""
        from html import escape

        from trueness.report import to_html

        return (
            f'<iframe srcdoc="{escape(to_html(self.document()))}" width="100%" '
            f'height="{NOTEBOOK_HEIGHT}" style="border: 0" onload="{FITS}"></iframe>'
        )


def opened(store: Where) -> AnyStore:
    """The store of a folder, or the store that is given."""
    return Store(store) if isinstance(store, str | Path) else store


def several(names: object) -> tuple[str, ...]:
    """One name or several."""
    if names is None:
        return ()
    if isinstance(names, str):
        return (names,)
    if isinstance(names, Sequence) and all(isinstance(name, str) for name in names):
        return tuple(names)
    raise DataError("names of columns are needed, one or a list", "no_name")
