"""Daily bars of Yahoo by ticker, through yfinance, as a table that `load_panel` reads."""

from __future__ import annotations

import importlib.util
import logging
import re
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trueness.errors import DataError, SpecError, first_line
from trueness.files import cache_folder
from trueness.market.check import write_table
from trueness.market.panel import Panel, load_panel
from trueness.own import translate_errors

TICKER = re.compile(r"[A-Z0-9.^=&-]{1,20}")
ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
MOST_TICKERS = 500
PRICES = ("Open", "High", "Low", "Close", "Adj Close")
ACTIONS = ("Dividends", "Stock Splits")
TIMEOUT_S = 30
FIRST_DAY = date(1900, 1, 1)
UNKNOWN = ("YFTzMissingError", "YFTickerMissingError")
"""Errors of yfinance about a ticker without a time zone: it takes that for delisted."""


@dataclass(frozen=True)
class Fetched:
    """Bars as Yahoo gave them.

    Attributes
    ----------
    table : polars.DataFrame
        A row per ticker and day, sorted by both: Date, Open, High, Low, Close (as traded, but for
        splits), Adj Close, Volume, Dividends, Stock Splits (0 where there is none), Ticker, As Of.
    panel : Panel
        The same, read by the reader of bars.
    as_of : datetime
        When it was asked, in UTC; later answers may adjust earlier prices anew.
    notes : tuple of str
    """

    table: pl.DataFrame
    panel: Panel
    as_of: datetime
    notes: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Write the table, whole or not at all: Parquet, or CSV by its ending.

        Raises
        ------
        DataError
            If it cannot be written (code ``not_written``).
        """
        write_table(self.table, path)


def fetch(tickers: Sequence[str], first: date, last: date | None = None) -> Fetched:
    """Ask Yahoo for daily bars of some tickers.

    Prices are as traded, but for splits, which Yahoo takes out of all earlier ones; the adjusted
    close takes out dividends, too, so that its ratio to the close is the adjustment factor.

    Parameters
    ----------
    tickers : sequence of str
        As Yahoo writes them, such as ``SPY`` or ``^GSPC``; small letters are made large.
    first, last : date
        First and last day; until now without a last one.

    Raises
    ------
    DataError
        With code ``ticker`` for what is no ticker, or one that is named twice; ``period``;
        ``no_package`` without yfinance; ``unknown_ticker``; ``empty`` for a ticker without bars in
        the period; ``rate_limited``; ``network`` if Yahoo cannot be reached; ``answer`` if it
        answers something else than bars; else as the checks of `load_panel`.
    """
    names = _checked(tickers)
    as_of = datetime.now(UTC)
    _check_period(first, last, as_of.date())
    if importlib.util.find_spec("yfinance") is None:
        raise DataError("yfinance is not installed; pip install 'trueness[data]'", "no_package")
    result = {name: _history(name, first, last) for name in names}
    notes = [note for name in names for note in _notes_on_empty(name, result[name])]
    table = pl.concat([
        result[name].filter(~_is_empty()).with_columns(
            Ticker=pl.lit(name), **{"As Of": pl.lit(as_of.isoformat(timespec="seconds"))}
        ) for name in sorted(names)
    ])  # fmt: skip
    return Fetched(table, load_panel(table), as_of, tuple(notes))


def day_of(text: str, what: str) -> date:
    """Day that a text such as 2024-01-31 says.

    Raises
    ------
    DataError
        With code ``period``.
    """
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise DataError(f"{what} {text}: give a date as 2024-01-31", "period") from None


def _checked(tickers: Sequence[str]) -> list[str]:
    names = [one.strip().upper() for one in tickers]
    if not 1 <= len(names) <= MOST_TICKERS:
        raise DataError(f"{len(names)} tickers; give 1 to {MOST_TICKERS}", "ticker")
    for name in names:
        if ISIN.fullmatch(name):
            raise DataError(f"{name} is an ISIN; give the ticker", "ticker")
        if not TICKER.fullmatch(name):
            raise DataError(f"{name[:40]!r} is no ticker; give one as SPY or ^GSPC", "ticker")
        if names.count(name) > 1:
            raise DataError(f"{name} is named twice", "ticker")
    return names


def _check_period(first: date, last: date | None, today: date) -> None:
    if last is not None and last < first:
        raise DataError(f"the last day, {last}, is before the first, {first}", "period")
    if not FIRST_DAY <= first <= today:
        raise DataError(f"the first day, {first}, is not between {FIRST_DAY} and today", "period")


# ------------------------------------------------------------------------------------------- Yahoo


def _history(name: str, first: date, last: date | None) -> pl.DataFrame:
    """Rows of a ticker as Yahoo gave them, also those without a price."""
    after = None if last is None else (last + timedelta(days=1)).isoformat()
    try:
        with translate_errors(name, "fetch"), _strict() as yfinance:
            history = yfinance.Ticker(name).history(
                start=first.isoformat(), end=after, interval="1d", auto_adjust=False, actions=True,
                keepna=True, timeout=TIMEOUT_S,
            )  # fmt: skip
            return _as_table(history)
    except SpecError as error:
        raise _refusal(name, error.__cause__ or error) from None


@contextmanager
def _strict() -> Generator[Any]:
    """The package yfinance, which raises what it would otherwise log, and says nothing."""
    import yfinance

    debug, log = yfinance.config.debug, logging.getLogger("yfinance")
    hidden, level = debug.hide_exceptions, log.level
    debug.hide_exceptions = False
    log.setLevel(logging.CRITICAL + 1)
    yfinance.set_tz_cache_location(str(cache_folder() / "yfinance"))
    try:
        with warnings.catch_warnings(action="ignore"):
            yield yfinance
    finally:
        debug.hide_exceptions = hidden
        log.setLevel(level)


def _as_table(history: Any) -> pl.DataFrame:  # noqa: ANN401 - a frame of pandas
    """Days of the exchange with prices, null where there is none, volume and events."""
    days = history.index.tz_localize(None).to_numpy().astype("datetime64[D]")
    prices = {name: history[name].to_numpy(np.float64) for name in PRICES}
    table = pl.DataFrame({"Date": days, **prices, "Volume": history["Volume"].to_numpy(np.int64)})
    events = {name: history[name].to_numpy(np.float64) for name in ACTIONS}
    return table.with_columns(
        pl.Series(name, values).fill_nan(0.0) for name, values in events.items()
    ).with_columns(pl.col(*PRICES).fill_nan(None)).sort("Date")  # fmt: skip


def _is_empty() -> pl.Expr:
    """Whether a row has no price at all."""
    return pl.all_horizontal(pl.col(*PRICES).is_null())


def _notes_on_empty(name: str, table: pl.DataFrame) -> list[str]:
    """A note on rows without a price; refuses a ticker that has nothing else."""
    days = table.filter(_is_empty())["Date"]
    if len(days) == len(table):
        raise DataError(f"{name}: Yahoo has no bars in this period; give another", "empty")
    note = f"{name}: {len(days):,} rows without a price are left out, the first of"
    return [f"{note} {days[0]}"] if len(days) else []


def _refusal(name: str, error: BaseException) -> DataError:
    """One line about what yfinance raised."""
    kinds = {one.__name__ for one in type(error).__mro__}
    line = first_line(error).partition(". See http")[0]
    if "YFRateLimitError" in kinds or getattr(_response(error), "status_code", None) == 429:
        return DataError(f"{name}: Yahoo answers that there were too many requests; try again "
                         "later", "rate_limited")  # fmt: skip
    if "YFPricesMissingError" in kinds:
        note = str(getattr(error, "yahoo_reason", None) or "Yahoo has no bars in this period")
        unknown = "delisted" in note.lower()
        return DataError(f"{name}: {note}; give another {'ticker' if unknown else 'period'}",
                         "unknown_ticker" if unknown else "empty")  # fmt: skip
    if kinds & set(UNKNOWN) or getattr(_response(error), "status_code", None) == 404:
        return DataError(f"{name}: Yahoo knows no such ticker", "unknown_ticker")
    if "OSError" in kinds and _response(error) is None and "JSONDecodeError" not in kinds:
        return DataError(f"{name}: Yahoo cannot be reached ({line}); nothing is written",
                         "network")  # fmt: skip
    return DataError(f"{name}: Yahoo answered something else than bars "
                     f"({type(error).__name__}: {line}); try again later", "answer")  # fmt: skip


def _response(error: BaseException) -> Any:  # noqa: ANN401 - of whichever library asks
    """Answer that an error is about, if it is about one."""
    result = getattr(error, "response", None)
    return None if getattr(result, "status_code", 0) == 0 else result
