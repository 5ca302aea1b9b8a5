"""Bars of one series or of several: files, folders, long tables with a column of tickers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl

from trueness.errors import DataError
from trueness.frames import as_frame
from trueness.market.bars import BUNDLED, Bars, bars_from_table, load_bars, read_bar_table
from trueness.market.columns import one_header
from trueness.market.spacing import Spacing
from trueness.reading import FORMATS, as_texts, ending

Source: TypeAlias = str | Path | Sequence[str | Path] | pl.DataFrame
TICKERS = ("ticker", "symbol", "series")
"""Names of a column that says which series a row belongs to, in any case."""
MOST_SERIES = 5_000
OTHERS = {
    "corpus.json": "a corpus of titles", "bundle.json": "a bundle", "store.json": "a store of runs",
}  # fmt: skip
"""File of a folder -> what the folder is, that holds no bars."""
LEAST_OVERLAP = 0.2
"""Share of its times that a series must have in common with the others."""


@dataclass(frozen=True)
class Panel:
    """Bars of one series or of several, each with its own history.

    Attributes
    ----------
    series : tuple of Bars
        At least one; several are sorted by name.
    notes : tuple of str
        What the checks of all together say; each series has its own.
    """

    series: tuple[Bars, ...]
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Bars]:
        return iter(self.series)

    def __len__(self) -> int:
        return len(self.series)

    @property
    def alone(self) -> bool:
        """Whether there is one series."""
        return len(self.series) == 1

    @cached_property
    def digest(self) -> str:
        """Of the values of one series; of the names and values of several."""
        if self.alone:
            return self.series[0].digest
        lines = [f"{one.name} {one.digest}" for one in self.series]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    @cached_property
    def lineage(self) -> str:
        """Of the series, however far it goes: the times and prices of its first bars."""
        if self.alone:
            return self.series[0].lineage
        lines = [f"{one.name} {one.lineage}" for one in self.series]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    @property
    def lineages(self) -> dict[str, str]:
        """Of each series, by name."""
        return {one.name: one.lineage for one in self.series}

    @property
    def name(self) -> str:
        """For people."""
        names = [one.name for one in self.series]
        if len(names) < 4:
            return " + ".join(names)
        return f"{len(names)} series ({names[0]} to {names[-1]})"

    @property
    def spacing(self) -> Spacing:
        """Of all of them."""
        return self.series[0].spacing

    @property
    def rows(self) -> int:
        """Bars of all of them."""
        return sum(map(len, self.series))

    @property
    def first(self) -> np.datetime64:
        """Time of the earliest bar."""
        return min(one.dates[0] for one in self.series)

    @property
    def last(self) -> np.datetime64:
        """Time of the latest bar."""
        return max(one.dates[-1] for one in self.series)

    @classmethod
    def of(cls, series: Sequence[Bars]) -> Panel:
        """Of checked series that fit together.

        Raises
        ------
        DataError
            With code ``panel`` if names occur twice or bars are of different lengths of time, and
            ``overlap`` if a series has hardly a time in common with the others.
        """
        some = tuple(sorted(series, key=lambda one: one.name))
        names = [one.name for one in some]
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            raise DataError(f"two series are called {twice[0]}; rename a file", "panel")
        if len(some) > MOST_SERIES:
            raise DataError(f"{len(some):,} series; at most {MOST_SERIES:,} are taken", "panel")
        other = next((one for one in some if one.spacing.bar != some[0].spacing.bar), None)
        if other is not None:
            raise DataError(
                f"{some[0].name} has a bar per {some[0].spacing.bar}, {other.name} per "
                f"{other.spacing.bar}; a panel needs bars of one length", "panel"
            )  # fmt: skip
        return cls(some, (*_same(some), *_volumes(some), *_calendars(some)) if names[1:] else ())


def _same(series: Sequence[Bars]) -> list[str]:
    """Notes on series that hold the same bars."""
    by_bars: dict[str, list[str]] = {}
    for one in series:
        by_bars.setdefault(one.digest, []).append(one.name)
    return [
        f"{', '.join(names[:5])} hold the same bars; together they say no more than one of them"
        for names in by_bars.values() if len(names) > 1
    ]  # fmt: skip


def _volumes(series: Sequence[Bars]) -> list[str]:
    """A note where only some series have a volume."""
    without = [one.name for one in series if one.volume is None]
    if len(without) in (0, len(series)):
        return []
    note = f"{', '.join(without[:5])}{' ...' if len(without) > 5 else ''}"
    return [f"no volume of {note}: columns that need it are left out for all series"]


def _calendars(series: Sequence[Bars]) -> tuple[str, ...]:
    """Note on times that not every series has; refuses series that stand alone."""
    times, counts = np.unique(np.concatenate([one.dates for one in series]), return_counts=True)
    shared = times[counts > 1]
    missing: dict[str, int] = {}
    for one in series:
        both = int(np.isin(one.dates, shared).sum())
        others = len(times) - len(one) + both
        common = both / max(1, min(len(one), others))
        if common < LEAST_OVERLAP:
            raise DataError(
                f"{one.name} shares {common:.0%} of its times with the other series (or of theirs, "
                f"where they are fewer); {LEAST_OVERLAP:.0%} are needed to judge them together",
                "overlap",
            )  # fmt: skip
        inside = times[(times >= one.dates[0]) & (times <= one.dates[-1])]
        if lacking := len(inside) - len(one):
            missing[one.name] = lacking
    if not missing:
        return ()
    worst = sorted(missing, key=lambda name: -missing[name])[:5]
    note = ", ".join(f"{name} {missing[name]:,}" for name in worst)
    return (
        f"calendars differ: {len(missing)} of {len(series)} series lack times that others have "
        f"({note}{' ...' if len(missing) > 5 else ''}); rows are aligned by time",
    )


def load_panel(source: Source, separator: str | None = None) -> Panel:
    """Bars by name, from files, a folder, or a table.

    Parameters
    ----------
    source : str, Path, sequence of them, or frame
        A bundled name or a file (see `load_bars`), a folder of CSV and Parquet files, several of
        these, or a long table with a column ticker, symbol or series. Series are called after that
        column, or after their files.
    separator : str, optional
        Between the cells of texts; recognised without it.

    Raises
    ------
    DataError
        If one cannot be read, fails a check, or they do not fit together.

    Examples
    --------
    >>> load_panel("sp500").name
    'sp500'
    """
    if not isinstance(source, str | Path | list | tuple):
        return Panel.of(_from_table(as_frame(source), "bars"))
    several = isinstance(source, list | tuple)
    places = [one for each in (source if several else [source]) for one in _places(each)]
    if not places:
        raise DataError(f"{source}: no CSV or Parquet file is there", "panel")
    alone = len(places) == 1
    series = [one for place in places for one in _series_of(place, separator, alone=alone)]
    return Panel.of(series)


def _places(source: str | Path) -> list[str | Path]:
    """A source, or the files of a folder."""
    path = Path(source)
    if str(source) in BUNDLED or not path.is_dir():
        return [source]
    other = next((what for name, what in OTHERS.items() if (path / name).is_file()), None)
    if other is not None:
        raise DataError(f"{path} is {other}, and bars are expected: a CSV or Parquet file, or a "
                        f"folder of them, or one of {', '.join(BUNDLED)}", "no_bars")  # fmt: skip
    files = (one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
    return sorted(one for one in files if _is_table(one))


def _is_table(path: Path) -> bool:
    """Whether a file of a folder may hold bars; archives count, and are refused if they do not."""
    return path.suffix.lower() == ".zip" or ending(path) in FORMATS


def _series_of(place: str | Path, separator: str | None, *, alone: bool) -> list[Bars]:
    if str(place) in BUNDLED:
        return [load_bars(place)]
    path = Path(place)
    portion = read_bar_table(path, separator)
    name = str(place) if alone else path.name.split(ending(path))[0]
    first, *others = _from_table(portion.frame, name)
    return [replace(first, notes=(*portion.all_notes(str(place)), *first.notes)), *others]


def _from_table(table: pl.DataFrame, name: str) -> list[Bars]:
    """Series of a table: one, or one per value of its column of tickers."""
    table = one_header(table)
    plain = {column: column.strip().lower() for column in table.columns}
    column = next((c for c, n in plain.items() if n in TICKERS), None)
    if column is None:
        return [bars_from_table(table, name)]
    tickers = as_texts(table[column])
    if tickers is None:
        kind = table.schema[column]
        raise DataError(f"{name}: {column} holds {kind}; name every series", "panel")
    if tickers.null_count() or (tickers.str.strip_chars() == "").any():
        raise DataError(f"{name}: {column} is empty in some rows; name every series", "panel")
    parts = table.with_columns(tickers.str.strip_chars().alias(column)).partition_by(
        column, as_dict=True, maintain_order=True
    )
    return [bars_from_table(part.drop(column), str(key[0])) for key, part in parts.items()]
