"""Bars of one series and the checks they must pass.

They come from the bundled S&P 500, a CSV or Parquet file, or a seeded synthetic market.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.frames import as_frame
from trueness.market.columns import chosen, empty, numbers
from trueness.market.spacing import DAILY, Spacing, days_between
from trueness.market.times import times_of
from trueness.reading import Portion, read_table

BUNDLED = ("sp500", "synthetic")
_PRICES = ("open", "high", "low", "close")
ODD_RATIO = 1.5
LARGEST_PRICE = 1e12
LONG_HOLE_DAYS = 10
LINEAGE_ROWS = 250
"""Bars that name a series."""
LONGEST_CARRY_DAYS = 4
"""Age of a value of a volatility index that may stand for a day without one."""
_RELATIVE_SLACK = 1e-6  # vendors round each column by itself

Array = NDArray[np.float64]


def _digest(*arrays: np.ndarray | None) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:12]


@dataclass(frozen=True)
class Bars:
    """Bars in time order; prices as stored by the vendor plus the adjustment factor.

    Attributes
    ----------
    name : str
        Where they came from, for people; it changes no number.
    dates : (T,) datetime64[D] or datetime64[s]
        Days, or times where a day has several bars; times with a zone are brought to UTC.
    open, high, low, close : (T,) float64
        Unadjusted prices in the currency of the source.
    volume : (T,) float64 or None
        Traded units; None if the source has none.
    factor : (T,) float64
        Adjusted close over close; 1 where the source has no adjusted close.
    notes : tuple of str
        Warnings of the checks.
    """

    name: str
    dates: NDArray[np.datetime64]
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array | None
    factor: Array
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.dates)

    @cached_property
    def digest(self) -> str:
        """12 hexadecimal digits of the SHA-256 of the values, not of the file that held them."""
        days = self.dates.astype(np.int64)
        return _digest(days, self.open, self.high, self.low, self.close, self.volume, self.factor)

    @cached_property
    def lineage(self) -> str:
        """Digest of the times and relative prices of the first bars, which later ones keep.

        Relative to the first close, to four digits: a factor on all prices, as after a dividend,
        makes no other series.
        """
        first = self.head(LINEAGE_ROWS)
        prices = (first.open, first.high, first.low, first.close)
        relative = [np.round(np.log(p / first.close[0]), 4) + 0.0 for p in prices]
        return _digest(first.dates.astype(np.int64), *relative)

    @cached_property
    def spacing(self) -> Spacing:
        """How far bars lie apart."""
        return Spacing.of(self.dates, self.name)

    def adjusted(self) -> Bars:
        """Bars with every price times the adjustment factor, as indicators and labels use them."""
        prices = {name: getattr(self, name) * self.factor for name in _PRICES}
        return replace(self, **prices, factor=np.ones_like(self.factor))

    def head(self, rows: int) -> Bars:
        """First `rows` bars, as the world looked on that day."""
        return self._part(slice(rows))

    @cached_property
    def idle(self) -> NDArray[np.bool_]:
        """Bars without a trade, (T,): no volume and one price, as vendors fill holidays."""
        if self.volume is None:
            return np.zeros(len(self), bool)
        return (self.volume == 0) & (self.high == self.low)

    def traded(self) -> Bars:
        """Bars without those of `idle`, and a note that says how many these are."""
        lost = int(self.idle.sum())
        note = f"{self.name}: {lost:,} of {len(self):,} bars without a trade are left out"
        kept = replace(self._part(~self.idle), notes=())
        notes = (note,) * bool(lost) + _warnings(kept)
        return replace(kept, notes=notes)

    def _part(self, rows: slice | NDArray[np.bool_]) -> Bars:
        columns = ("dates", *_PRICES, "factor")
        cut = {name: getattr(self, name)[rows] for name in columns}
        return replace(self, **cut, volume=None if self.volume is None else self.volume[rows])

    def frame(self) -> pl.DataFrame:
        """Columns Date, Open, High, Low, Close, Adj Close and, if known, Volume."""
        columns = {"Date": self.dates, "Open": self.open, "High": self.high, "Low": self.low}
        columns |= {"Close": self.close, "Adj Close": self.close * self.factor}
        if self.volume is not None:
            columns["Volume"] = self.volume
        return as_frame(columns)


@dataclass(frozen=True)
class Volatility:
    """Closing values of a volatility index, (T,), with their dates."""

    name: str
    dates: NDArray[np.datetime64]
    close: Array

    @cached_property
    def digest(self) -> str:
        """12 hexadecimal digits of the SHA-256 of dates and values."""
        return _digest(self.dates.astype(np.int64), self.close)

    def head(self, rows: int) -> Volatility:
        """First `rows` values."""
        return replace(self, dates=self.dates[:rows], close=self.close[:rows])

    def on(self, dates: NDArray[np.datetime64]) -> Array:
        """Values as known at `dates`, (T,), NaN where the index has none.

        Those of the same day; where the index lacks it, as on a weekend or another exchange's
        holiday, that of the last day before, at most 4 days old; within a day that of the day
        before, whose close is known by then.

        Raises
        ------
        DataError
            If not a single date is shared.
        """
        position, age = self._before(dates)
        result = (position >= 0) & (age <= LONGEST_CARRY_DAYS)
        if not result.any():
            raise DataError(
                f"{self.name}: {self.dates[0]} to {self.dates[-1]} shares no date with the bars "
                f"({dates[0]} to {dates[-1]}); give a volatility index of the same period"
            )
        return np.where(result, self.close[position], np.nan)

    def lacking(self, dates: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """Which of the days of bars the index has no value of its own for, (T,)."""
        return ~np.isin(dates.astype("datetime64[D]"), self.dates)

    def gap_notes(self, dates: NDArray[np.datetime64]) -> tuple[str, ...]:
        """A note on the days of bars that the index lacks, if there are some."""
        lost = self.lacking(dates)
        if not lost.any():
            return ()
        open_ = int(np.isnan(self.on(dates)).sum())
        return (
            f"{self.name} lacks {lost.sum():,} of the {len(lost):,} bars; the value before stands "
            f"for it, at most {LONGEST_CARRY_DAYS} days old ({open_:,} stay without)",
        )

    def _before(self, dates: NDArray[np.datetime64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Position of the latest value known at each date, -1 if none, and its age in days."""
        days = dates.astype("datetime64[D]")
        intraday = len(dates) > 1 and bool((np.diff(dates) < np.timedelta64(1, "D")).any())
        side = "left" if intraday else "right"  # the close of a day is not known during it
        position = np.searchsorted(self.dates, days, side) - 1
        return position, (days - self.dates[position]).astype(np.int64)


# ------------------------------------------------------------------------------------------ reading


def _volume(table: pl.DataFrame, name: str, days: NDArray[np.datetime64]) -> Array | None:
    if "volume" not in table.columns or empty(table["volume"]):
        return None
    volume = numbers(table, "volume", name, days)
    if (volume < 0).any():
        raise DataError(f"{name}: volume on {days[np.argmax(volume < 0)]} is negative")
    return None if not volume.any() else volume


def _check_prices(bars: Bars) -> None:
    for column in (*_PRICES, "factor"):
        values = getattr(bars, column)
        label = "adj close" if column == "factor" else column
        if (values > LARGEST_PRICE).any() or (
            (values < 1 / LARGEST_PRICE).any() and (values > 0).all()
        ):
            raise DataError(
                f"{bars.name}: {label} lies outside {1 / LARGEST_PRICE:g} to {LARGEST_PRICE:g}; "
                "give prices in units of the currency"
            )
        if (values <= 0).any():
            row = int(np.argmax(values <= 0))
            raise DataError(
                f"{bars.name}: {label} on {bars.dates[row]} is not positive; "
                "indicators and labels need positive prices"
            )
    slack = _RELATIVE_SLACK * bars.close
    for column, wrong, bound in (
        ("high", bars.high < np.maximum(bars.open, bars.close) - slack, "below open or close"),
        ("low", bars.low > np.minimum(bars.open, bars.close) + slack, "above open or close"),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"{bars.name}: {column} {getattr(bars, column)[row]:g} on {bars.dates[row]} "
                f"is {bound} ({bars.open[row]:g}, {bars.close[row]:g}); "
                f"{int(wrong.sum())} such bars; correct the source"
            )


def _warnings(bars: Bars) -> tuple[str, ...]:
    notes = []
    if bars.dates[-1] >= np.datetime64(datetime.now(UTC).date()):
        notes.append(f"{bars.name}: the last bar is dated {bars.dates[-1]}; it may not be over")
    elif bars.volume is not None and len(bars) > 21:
        usual = float(np.median(bars.volume[-21:-1]))
        if bars.volume[-1] < 0.25 * usual:
            share = bars.volume[-1] / usual
            notes.append(
                f"{bars.name}: volume of the last bar {bars.dates[-1]} is {share:.0%} of usual; "
                "it may be partial"
            )
    notes += _oddities(bars)
    if bars.volume is None:
        notes.append(f"{bars.name}: no volume; columns that need it are left out")
    return tuple(notes)


def _oddities(bars: Bars) -> list[str]:
    """Bars that no market is likely to have made, and long holes between them."""
    notes = []
    body_high, body_low = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
    odd = (bars.high > ODD_RATIO * body_high) | (ODD_RATIO * bars.low < body_low)
    adjusted = bars.close * bars.factor
    odd[1:] |= np.abs(np.log(adjusted[1:] / adjusted[:-1])) > np.log(ODD_RATIO)
    if odd.any():
        first = bars.dates[int(np.argmax(odd))]
        notes.append(
            f"{bars.name}: {int(odd.sum())} bars move by more than {ODD_RATIO - 1:.0%}, first on "
            f"{first}; check them, a wrong high makes a wrong label"
        )
    if bars.idle.any():
        notes.append(
            f"{bars.name}: {int(bars.idle.sum()):,} bars have no volume and one price, first on "
            f"{bars.dates[int(np.argmax(bars.idle))]}; days without a trade make labels, leave "
            "them out with trueness data check --drop-idle --out"
        )
    weekend = ~np.is_busday(bars.dates.astype("datetime64[D]"))
    if bars.spacing == DAILY and weekend.any():
        notes.append(
            f"{bars.name}: {int(weekend.sum()):,} bars lie on a weekend, first on "
            f"{bars.dates[int(np.argmax(weekend))]}; check the time zone of the dates"
        )
    hole, longest = days_between(bars.dates), bars.spacing.longest_step_days(LONG_HOLE_DAYS)
    if (hole > longest).any():
        after = bars.dates[int(np.argmax(hole))]
        notes.append(
            f"{bars.name}: {int((hole > longest).sum())} holes of more than "
            f"{longest:g} days, the longest {hole.max():g} days after {after}"
        )
    return notes


def bars_from_table(table: pl.DataFrame, name: str) -> Bars:
    """Checked bars from a table.

    Parameters
    ----------
    table : polars.DataFrame
        Date, Open, High, Low, Close and optionally Adj Close and Volume, named in any case; dates
        as dates or as text ``2024-12-31``; prices positive.
    name : str
        What errors call the source.

    Returns
    -------
    Bars

    Raises
    ------
    DataError
        For missing columns, duplicate or unsorted dates, gaps, a high below open or close, prices
        <= 0.
    """
    table, notes = chosen(table, name, ("date", *_PRICES))
    if not len(table):
        raise DataError(f"{name}: no rows; one bar per trading day is expected", "empty")
    times = times_of(table["date"], name)
    table, days = times.ordered(table), times.dates
    prices = {c: numbers(table, c, name, days) for c in _PRICES}
    factor = np.ones(len(days))
    if "adj_close" in table.columns:
        factor = numbers(table, "adj_close", name, days) / np.where(
            prices["close"] > 0, prices["close"], 1.0
        )
    bars = Bars(
        name, days, prices["open"], prices["high"], prices["low"], prices["close"],
        _volume(table, name, days), factor,
    )  # fmt: skip
    _check_prices(bars)
    return replace(bars, notes=(*times.notes, *notes, *_warnings(bars)))


def _bundled_sp500() -> pl.DataFrame:
    package = importlib.util.find_spec(
        "arch"
    )  # located, not imported: the import takes two seconds
    if package is None or not package.submodule_search_locations:
        raise DataError(
            "sp500: the package `arch`, which carries the bars, is missing; install trueness again"
        )
    path = Path(package.submodule_search_locations[0]) / "data/sp500/sp500.csv.gz"
    return read_table(path).frame.with_columns(pl.col("Date").str.to_date("%m/%d/%Y"))


def load_bars(source: str | Path) -> Bars:
    """Bars by name or from a file.

    Parameters
    ----------
    source : str or Path
        ``"sp500"`` (S&P 500 index, 1999-2018, 5,031 days, bundled with `arch`), ``"synthetic"``
        (seed 0), or the path of a CSV or Parquet file.

    Raises
    ------
    DataError
        If the file is missing, unreadable, or fails a check.

    Examples
    --------
    >>> len(load_bars("sp500"))
    5031
    """
    if str(source) == "sp500":
        return bars_from_table(_bundled_sp500(), "sp500")
    if str(source) == "synthetic":
        from trueness.market.synthetic import synthetic_bars  # which itself makes Bars

        return synthetic_bars()
    return bars_of_file(Path(source))


def bars_of_file(path: Path) -> Bars:
    """Checked bars of a file.

    Raises
    ------
    DataError
    """
    portion = read_bar_table(path)
    bars = bars_from_table(portion.frame, str(path))
    return replace(bars, notes=(*portion.all_notes(str(path)), *bars.notes))


def read_bar_table(path: Path, separator: str | None = None) -> Portion:
    """Table of a file; the refusal of a missing one says what else could be given.

    Raises
    ------
    DataError
    """
    try:
        return read_table(path, separator=separator)
    except DataError as error:
        if error.code != "no_file":
            raise
        raise DataError(
            f"{error}; give a CSV or Parquet file, or one of {', '.join(BUNDLED)}", "no_file"
        ) from None


def load_volatility(source: object) -> Volatility:
    """Volatility index (Date, Close) from a CSV or Parquet file, or a frame.

    Raises
    ------
    DataError
        If the file is missing, unreadable, or holds values that are not positive numbers.
    """
    if isinstance(source, str | Path):
        name = str(source)
        frame = read_table(source).entire(name)
    else:
        name, frame = "volatility index", as_frame(source)
    table, _ = chosen(frame, name, ("date", "close"))
    if not len(table):
        raise DataError(f"{name}: no rows; one value per trading day is expected", "empty")
    times = times_of(table["date"], name)
    table, days = times.ordered(table), times.dates
    close = numbers(table, "close", name, days)
    if days.dtype != np.dtype("datetime64[D]"):
        raise DataError(f"{name}: {days[0]} and others have a time of day; one value per day is "
                        "expected", "volatility")  # fmt: skip
    if (close <= 0).any():
        raise DataError(f"{name}: close on {days[np.argmax(close <= 0)]} is not positive")
    return Volatility(name, days, close)
