"""Texts from tables: CSV, Parquet, JSON lines, and saved dataset folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import polars as pl

from trueness.errors import DataError, nearest
from trueness.reading import as_texts, ending, names_of, portions, without_missing
from trueness.text.fields import check_fields, tenths_of, with_fields
from trueness.text.paths import check_levels, check_separator, path_of
from trueness.text.sources import BATCH_ROWS, Batch, Piece, clean_text, cleaned

GUESSES = {
    "text": (("text",), ("title", "description"), ("title",), ("name", "description"), ("name",)),
    "label": (("label",), ("category",), ("class",)),
    "language": (("language",), ("lang",), ("locale",)),
    "cluster": (("cluster",), ("cluster_id",)),
    "id": (("id",),),
}
"""Columns taken for a role when none is named: the first group that is there whole."""
_NEEDED = ("text", "label")
_GUESSED = {name for groups in GUESSES.values() for group in groups for name in group}
_FULL = "full"


@dataclass(frozen=True)
class Columns:
    """Which columns play which role; empty ones are guessed by `GUESSES`.

    Classes are paths where `parents` name columns of the levels above the label, the outermost
    first, or `hierarchy` is what stands between the levels in a cell. Neither is guessed.
    `fields` and `numbers` are written behind the text, see `trueness.text.fields`; of numbers the
    ends of their tenths, which are found from the table where they are empty.
    """

    text: tuple[str, ...] = ()
    label: str | None = None
    language: str | None = None
    cluster: str | None = None
    id: str | None = None
    parents: tuple[str, ...] = ()
    hierarchy: str | None = None
    fields: tuple[str, ...] = ()
    numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_separator(self.hierarchy)
        check_fields(self.fields, self.numbers)
        roles = [*self.text, *self.parents, self.label, self.language, self.cluster, self.id]
        if again := [name for name in (*self.fields, *self.numbers) if name in roles]:
            raise DataError(f"the field {again[0]!r} has another role already; a label that stands "
                            "in the text would be read by every model", "fields")  # fmt: skip
        if self.label in self.parents:
            raise DataError(f"{self.label!r} holds the classes, so it is no parent of them",
                            "fields")  # fmt: skip

    @property
    def taken(self) -> list[str]:
        """Columns that play a role, each once."""
        named = (*self.text, *self.parents, self.label, self.language, self.cluster, self.id,
                 *self.fields, *self.numbers)  # fmt: skip
        return list(dict.fromkeys(name for name in named if name is not None))

    @property
    def path(self) -> tuple[str, ...]:
        """Columns of the levels of a class."""
        return (*self.parents, self.label or "")

    @property
    def unknown(self) -> tuple[str, ...]:
        """Columns of numbers whose tenths are not known."""
        return tuple(name for name, bin_edges in self.numbers.items() if not bin_edges)

    def with_tenths(self, tables: Iterable[pl.DataFrame], where: str) -> Columns:
        """The same with the tenths of its numbers."""
        if not self.unknown:
            return self
        return replace(self, numbers={**self.numbers, **tenths_of(tables, self.unknown, where)})

    def resolve(self, names: Sequence[str], where: str, titles_only: bool = False) -> Columns:
        """Roles filled from the names of a table.

        Raises
        ------
        DataError
            If a named column, or one for text or label, is not there.
        """
        for name in self.taken:
            if name not in names:
                raise DataError(f"{where}: no column {name!r}; {nearest(name, list(names))}")
        taken = {
            role: (self.text if role == "text" else _one(getattr(self, role)))
            or next((g for g in guesses if set(g) <= set(names)), ())
            for role, guesses in GUESSES.items()
        }
        for role in _NEEDED:
            if not taken[role]:
                raise DataError(
                    f"{where}: no column for the {role} among {', '.join(names)[:200]}; "
                    f"name it with --{role}-column"
                )
        if titles_only:
            taken["text"] = taken["text"][:1]
        rest = {role: (taken[role] or (None,))[0] for role in GUESSES if role != "text"}
        return replace(self, text=taken["text"], **rest)


def _one(name: str | None) -> tuple[str, ...]:
    return () if name is None else (name,)


@dataclass(frozen=True)
class Table:
    """Rows of a file that `trueness.reading` reads.

    Parameters
    ----------
    path : Path
    columns : Columns
        Several text columns are joined with a space.
    titles_only : bool
        The first text column only.
    max_chars : int or None
        Longer texts are cut.
    separator : str or None
        Between the cells of a text; recognised by default.
    """

    path: Path
    columns: Columns = Columns()
    titles_only: bool = False
    max_chars: int | None = None
    separator: str | None = None
    min_class_rows: int = 1
    max_bytes: None = None

    def prepared(self, folder: Path) -> Self:
        """The same table, its columns known."""
        del folder
        known = {*self.columns.taken, *_GUESSED}
        many = ending(self.path) in (".jsonl", ".ndjson")
        names = names_of(self.path, known if many else None, separator=self.separator)
        columns = self.columns.resolve(names, str(self.path), self.titles_only)
        wanted = list(columns.unknown)
        parts = portions(self.path, wanted, separator=self.separator, rows=BATCH_ROWS)
        return replace(self, columns=columns.with_tenths((p.frame for p in parts), str(self.path)))

    def provenance(self) -> dict[str, Any]:
        """Name of the file and the columns taken."""
        return {"kind": "table", "table": self.path.name, **_settings_of(self)}

    def pieces(self) -> list[Piece]:
        """The file."""
        return [Piece(self.path.name, self.path.stat().st_size)]

    def batches(self, piece: Piece) -> Iterator[Batch]:
        """Rows in the order of the file."""
        del piece
        parts = portions(self.path, self.columns.taken, separator=self.separator, rows=BATCH_ROWS)
        yield from _batches(((part.frame, part.skipped) for part in parts), self)


@dataclass(frozen=True)
class DatasetFolder:
    """Rows of a dataset that Hugging Face `datasets` saved with ``save_to_disk``.

    The splits it has are joined, and made anew; a split ``full`` beside others repeats them, and is
    left out. Class labels become their names.

    Parameters
    ----------
    path : Path
    columns, titles_only, max_chars
        As for `Table`.
    """

    path: Path
    columns: Columns = Columns()
    titles_only: bool = False
    max_chars: int | None = None
    min_class_rows: int = 1
    max_bytes: None = None

    def prepared(self, folder: Path) -> Self:
        """The same folder, its columns known."""
        del folder
        names = next(iter(self._splits().values())).column_names
        columns = self.columns.resolve(names, str(self.path), self.titles_only)
        frames = (
            pl.DataFrame(pl.from_arrow(part))
            for split in self._splits().values()
            for part in split.with_format("arrow").iter(BATCH_ROWS)
        )
        return replace(self, columns=columns.with_tenths(frames, str(self.path)))

    def provenance(self) -> dict[str, Any]:
        """Name of the folder and the columns taken."""
        return {"kind": "dataset", "dataset": self.path.name, **_settings_of(self)}

    def pieces(self) -> list[Piece]:
        """Splits in the order of their names."""
        return [Piece(name, len(split)) for name, split in sorted(self._splits().items())]

    def batches(self, piece: Piece) -> Iterator[Batch]:
        """Rows of a split."""
        split = self._splits()[piece.name]
        names = getattr(split.features[self.columns.label], "names", None)
        yield from _batches(_dataset_frames(split, self.columns, names), self, f"{piece.name}:")

    def _splits(self) -> dict[str, Any]:
        """Name -> dataset."""
        import datasets

        if not self.path.is_dir():
            raise DataError(f"{self.path}: no such folder; give one saved with save_to_disk")
        try:
            result = datasets.load_from_disk(str(self.path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DataError(f"{self.path}: no saved dataset that can be read ({reason})") from None
        if not isinstance(result, dict):
            return {"all": result}
        return {n: s for n, s in result.items() if n != _FULL or len(result) == 1}


def _settings_of(source: Table | DatasetFolder) -> dict[str, Any]:
    one = source.columns
    columns = {role: getattr(one, role) for role in (*GUESSES, "hierarchy")}
    return {
        "columns": {
            **columns, "text": list(one.text), "parents": list(one.parents),
            "fields": list(one.fields),
            "numbers": {name: list(bin_edges) for name, bin_edges in one.numbers.items()},
        },
        "titles_only": source.titles_only, "max_chars": source.max_chars,
    }  # fmt: skip


def _batches(
    frames: Iterator[tuple[pl.DataFrame, Counter[str]]],
    source: Table | DatasetFolder,
    prefix: str = "",
) -> Iterator[Batch]:
    """Cleaned batches; rows without an id are called by their number."""
    offset = 0
    for frame, skipped in frames:
        rows = _roles(frame, source.columns, offset, prefix)
        most = source.max_chars
        if source.columns.fields or source.columns.numbers:  # the title is cut, not what follows
            rows, most = _with_fields(rows, frame, source), None
        chosen, dropped = cleaned(rows, most)
        yield Batch(chosen, len(frame) + skipped.total(), skipped + dropped)
        offset += len(frame)


def _roles(frame: pl.DataFrame, columns: Columns, offset: int, prefix: str) -> pl.DataFrame:
    """Columns id, text, label, language, cluster of a table."""
    frame = without_missing(frame)
    for name in columns.taken:
        kind = frame.schema[name]
        if kind == pl.Binary or as_texts(frame[name]) is None:
            raise DataError(f"column {name!r} holds {kind}, not one value a row; keep one of "
                            "several, or a row for each", "column_type")  # fmt: skip
    if columns.parents or columns.hierarchy:
        check_levels(frame, columns.path, columns.hierarchy)
    number = pl.int_range(offset, offset + pl.len(), dtype=pl.Int64).cast(pl.String)
    called = pl.format("{}{}", pl.lit(prefix), number)
    kind = frame.schema[columns.cluster] if columns.cluster else pl.Int64()
    whole = kind.is_integer() and kind not in (pl.UInt64, pl.UInt128, pl.Int128)
    return frame.select(
        id=called
        if columns.id is None else pl.col(columns.id).cast(pl.String).fill_null(called),
        text=pl.concat_str([pl.col(c).cast(pl.String) for c in columns.text], separator=" ",
                           ignore_nulls=True),
        label=_label(columns),
        language=pl.lit(None, pl.String)
        if columns.language is None else pl.col(columns.language).cast(pl.String),
        cluster=pl.lit(None, pl.Int64)
        if columns.cluster is None
        else pl.col(columns.cluster).cast(pl.Int64 if whole else pl.String),
    )  # fmt: skip


def _with_fields(
    rows: pl.DataFrame, frame: pl.DataFrame, source: Table | DatasetFolder
) -> pl.DataFrame:
    """Rows whose texts have the fields behind them."""
    titles = rows.select(clean_text("text")).to_series()
    if source.max_chars is not None:
        titles = titles.str.slice(0, source.max_chars).str.strip_chars_end()
    one, where = source.columns, str(source.path)
    frame = without_missing(frame)
    return rows.with_columns(text=with_fields(frame, titles, one.fields, one.numbers, where))


def _label(columns: Columns) -> pl.Expr:
    if columns.parents or columns.hierarchy:
        return path_of(columns.path, columns.hierarchy)
    return pl.col(columns.label or "").cast(pl.String)


# ------------------------------------------------------------------------------------------ splits


def _dataset_frames(
    split: Any,  # noqa: ANN401 - a Dataset of `datasets`, which is loaded where it is used
    columns: Columns,
    names: list[str] | None,
) -> Iterator[tuple[pl.DataFrame, Counter[str]]]:
    label = columns.label or ""
    for table in split.with_format("arrow").iter(BATCH_ROWS):
        frame = pl.DataFrame(pl.from_arrow(table))
        if names is not None:
            of = {code: name for code, name in enumerate(names)}
            frame = frame.with_columns(
                pl.col(label).replace_strict(of, default=None, return_dtype=pl.String)
            )
        yield frame, Counter()
