"""Features and labels that a researcher brings: a table by time, or a function of bars."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness import own
from trueness.document.numbers import plural
from trueness.errors import DataError, nearest
from trueness.frames import as_frame
from trueness.market.bars import Bars, read_bar_table
from trueness.market.columns import date_column
from trueness.market.indicators import CATALOGUE
from trueness.market.panel import TICKERS, Panel
from trueness.market.quality import look_ahead_rows, truncation_points
from trueness.market.times import times_of
from trueness.reading import as_numbers, as_texts

Array = NDArray[np.float64]
LEAST_COVERED = 0.5
"""Share of the bars of a series that a feature file must hold."""
TRUNCATIONS, AUDITED, FIRST_TRUNCATION = 12, 5, 60
"""Points at which the future is taken away, series for which it is, and bars left at the first."""
MOST_FEATURES = 5_000
LARGEST = 1e30
"""Size of a value; networks compute with 32 bits."""


@dataclass(frozen=True)
class OwnFeatures:
    """Columns of each series of a panel, aligned with its bars.

    Attributes
    ----------
    source : str
        File, or ``file.py:function``.
    digest : str
        Of the values of a file, of the source of a function.
    names : tuple of str
        Columns, labels among them.
    values : dict of str to (T, C) float64
        By the name of the series; NaN where nothing is known.
    looks_ahead : dict of str to int
        Columns of a function that change when the future is taken away, and by how many rows before
        the cut they do; of a file nobody can tell.
    notes : tuple of str
    labels : frozenset of str
        Columns that some experiment predicts.
    """

    source: str
    digest: str
    names: tuple[str, ...]
    values: Mapping[str, Array]
    looks_ahead: Mapping[str, int]
    notes: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that no experiment predicts."""
        return tuple(name for name in self.names if name not in self.labels)

    @property
    def computed(self) -> bool:
        """Whether a function gives them, so that the future can be taken away from it."""
        return ".py:" in self.source

    def column(self, series: str, name: str) -> Array:
        """One column of a series, (T,)."""
        return self.values[series][:, self.names.index(name)]

    def inputs_digest(self, lengths: Mapping[str, int]) -> str:
        """Digest of the inputs while series had so many bars; of a function that of its source.

        Labels are no part of it: those of the last bars become known later.
        """
        if self.computed:
            return self.digest
        cut = {series: self.columns(series, self.inputs)[:n] for series, n in lengths.items()}
        return _digest(self.inputs, cut)

    def columns(self, series: str, names: tuple[str, ...]) -> Array:
        """Some columns of a series, (T, C)."""
        return self.values[series][:, [self.names.index(name) for name in names]]


def load_own(source: object, panel: Panel, base_folder: Path = Path()) -> OwnFeatures:
    """Features of a file or of a function, for the bars of a panel.

    Parameters
    ----------
    source : str, Path or frame
        A CSV or Parquet file, or a frame, with Date, one column per feature, and a column ticker,
        symbol or series where there are several series; or ``file.py:function``. The function gets
        the bars of one series as a polars frame (Date, Open, High, Low, Close, all adjusted, and
        Volume where there is one), oldest first, and returns a frame, or a mapping of names to
        values, with a row for each bar.
    panel : Panel
    base_folder : Path
        Folder of own files.

    Raises
    ------
    DataError, SpecError
        If it cannot be read or computed, or does not fit the bars.
    """
    text = str(source) if isinstance(source, str | Path) else ""
    if ".py:" in text:
        return _computed(text, panel, base_folder)
    if not text:
        return _read(as_frame(source), "features", panel)
    portion = read_bar_table(Path(text))
    result = _read(portion.frame, text, panel)
    return replace(result, notes=(*portion.all_notes(text), *result.notes))


# ------------------------------------------------------------------------------------------- files


def _read(table: pl.DataFrame, name: str, panel: Panel) -> OwnFeatures:
    plain = {column: column.strip().lower() for column in table.columns}
    date = date_column(table)
    if date is None:
        result = ", ".join(table.columns[:12])
        raise DataError(f"{name}: no column Date; found {result}", "features")
    ticker = next((c for c, n in plain.items() if n in TICKERS), None)
    names = _checked_names([c for c in table.columns if c not in (date, ticker)], name)
    values, notes = {}, []
    for bars in panel:
        rows = table if ticker is None else _of_series(table, ticker, bars, panel, name)
        if not len(rows):
            raise DataError(f"{name}: no rows", "features")
        read = times_of(rows[date], name)
        notes += [note for note in read.notes if note not in notes]
        times, rows = read.dates, read.ordered(rows)
        values[bars.name], covered = _aligned(rows.select(names), times, bars, name)
        if covered < LEAST_COVERED:
            raise DataError(
                f"{name}: {times[0]} to {times[-1]} holds {covered:.0%} of the bars of {bars.name} "
                f"({bars.dates[0]} to {bars.dates[-1]}); give the same period", "features"
            )  # fmt: skip
        notes += _infinite(rows.select(names), f"{name}: {bars.name}")
        if covered < 1:
            notes.append(f"{name}: {1 - covered:.1%} of the bars of {bars.name} have no features")
    digest = _digest(names, values)
    return OwnFeatures(name, digest, names, values, {}, tuple(notes))


def _of_series(
    table: pl.DataFrame, ticker: str, bars: Bars, panel: Panel, name: str
) -> pl.DataFrame:
    """Rows of one series; one that is alone may be called after its file."""
    texts = as_texts(table[ticker])
    if texts is None:
        kind = table.schema[ticker]
        raise DataError(f"{name}: {ticker} holds {kind}; name every series", "features")
    tickers = texts.str.strip_chars()
    called = [bars.name, Path(bars.name).stem] if panel.alone else [bars.name]
    rows = table.filter(tickers.is_in(called))
    if len(table) and not len(rows):
        known = [one for one in tickers.unique().to_list() if one is not None]
        raise DataError(
            f"{name}: no rows of the series {called[-1]}; {nearest(called[-1], known)}", "features"
        )
    return rows


def _aligned(
    rows: pl.DataFrame, times: NDArray[np.datetime64], bars: Bars, name: str
) -> tuple[Array, float]:
    """Rows of the file at the times of the bars, (T, C), and the share of bars that have one."""
    place = np.searchsorted(times, bars.dates).clip(max=len(times) - 1)
    there = times[place] == bars.dates
    result = np.full((len(bars), rows.width), np.nan)
    result[there] = _numbers(rows, name)[place[there]]
    return result, float(there.mean())


def _numbers(rows: pl.DataFrame, name: str) -> Array:
    """Columns as numbers (n, C); NaN where they are empty or infinite."""
    result = {column.name: as_numbers(column) for column in rows}
    for column, numbers in result.items():
        if numbers is None:
            kind = rows.schema[column]
            raise DataError(f"{name}: {column} holds {kind}, numbers are expected", "features")
    values = pl.DataFrame(result).cast(pl.Float64).to_numpy().astype(np.float64)
    large = np.abs(values[np.isfinite(values)]).max(initial=0)
    if large > LARGEST:
        raise DataError(
            f"{name}: a value of {large:g}; at most {LARGEST:g} can be read", "features"
        )
    return np.where(np.isfinite(values), values, np.nan)


def _infinite(table: pl.DataFrame, of: str) -> list[str]:
    """A note on infinite values, which count as missing."""
    known = [as_numbers(column) for column in table]
    result = sum(int(one.is_infinite().sum()) for one in known if one is not None)
    return [f"{of} holds {plural(result, 'infinite value')}, taken as missing"] if result else []


def _digest(names: tuple[str, ...], values: Mapping[str, Array]) -> str:
    """Of the values; of the names of series only where there are several."""
    sha = hashlib.sha256("\0".join(names).encode())
    for series in sorted(values):
        sha.update(series.encode() * (len(values) > 1))
        sha.update(np.ascontiguousarray(values[series]).tobytes())
    return sha.hexdigest()[:12]


def _checked_names(names: list[str], source: str) -> tuple[str, ...]:
    if not names:
        raise DataError(f"{source}: no column beside the date", "features")
    if len(names) > MOST_FEATURES:
        raise DataError(f"{source}: {len(names):,} columns; at most {MOST_FEATURES:,}", "features")
    taken = [name for name in names if name in CATALOGUE]
    if taken:
        raise DataError(
            f"{source}: {taken[0]} is an indicator of the catalogue; call the column differently",
            "features",
        )
    return tuple(names)


# --------------------------------------------------------------------------------------- functions


def recomputed(features: OwnFeatures, bars: Bars, base_folder: Path = Path()) -> Array:
    """Columns of the first bars of a series (t, C), computed anew where a function gives them."""
    if not features.computed:
        return features.values[bars.name][: len(bars)]
    function = own.load(features.source, base_folder)
    return _numbers(_called(function, bars, features.source, base_folder), features.source)


def _computed(reference: str, panel: Panel, base_folder: Path) -> OwnFeatures:
    function, digest = own.load(reference, base_folder), own.digest(reference, base_folder)
    values: dict[str, Array] = {}
    names: tuple[str, ...] = ()
    notes: list[str] = []
    for bars in panel:
        result = _called(function, bars, reference, base_folder)
        if names:
            _check_same(result, names, bars.name, reference)
        names = names or _checked_names(result.columns, reference)
        values[bars.name] = _numbers(result, reference)
        notes += _infinite(result, f"{reference}({bars.name})")
    chosen = np.unique(np.linspace(0, len(panel) - 1, AUDITED).astype(int))
    ahead: dict[str, int] = {}
    for bars in (panel.series[i] for i in chosen):
        for cut in truncation_points(len(bars), min(FIRST_TRUNCATION, len(bars) // 4), TRUNCATIONS):
            fewer = _called(function, bars.head(cut), reference, base_folder)
            _check_same(fewer, names, f"{cut:,} bars of {bars.name}", reference)
            again = _numbers(fewer, reference)
            for name, rows in zip(names, look_ahead_rows(values[bars.name], again), strict=True):
                if rows:
                    ahead[name] = max(ahead.get(name, 0), int(rows))
    return OwnFeatures(reference, digest, names, values, ahead, tuple(notes))


def _check_same(result: pl.DataFrame, names: tuple[str, ...], of: str, reference: str) -> None:
    if tuple(result.columns) != names:
        raise DataError(
            f"{reference}: {', '.join(result.columns[:5])} for {of}, {', '.join(names[:5])} before",
            "features",
        )


def _called(function: Any, bars: Bars, reference: str, base_folder: Path) -> pl.DataFrame:  # noqa: ANN401
    """What a function says of some bars: a frame with a row for each."""
    adjusted = bars.adjusted().frame().drop("Adj Close")
    with own.translate_errors(
        f"{reference}({bars.name}, {len(bars):,} bars)", "features", base_folder
    ):
        result = function(adjusted)
    try:
        table = as_frame(result)
    except DataError as error:
        raise DataError(f"{reference}({bars.name}): {error}", "features") from None
    if len(table) != len(bars):
        raise DataError(
            f"{reference}: {len(table):,} rows for the {len(bars):,} bars of {bars.name}",
            "features",
        )
    date = date_column(table)
    if date is None:
        return table
    read = times_of(table[date], reference)
    if not np.array_equal(read.dates, bars.dates):
        raise DataError(
            f"{reference}: {date} of its rows is not that of the bars of {bars.name}", "features"
        )
    return read.ordered(table).drop(date)
