"""Verb that asks a vendor for bars: data fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trueness.cli.output import DEFAULT, Output, check, check_path, present
from trueness.errors import TruenessError

ENDINGS = (".csv", ".parquet")


def fetch_bars(
    ticker: str,
    /,
    *tickers: str,
    start: str,
    out: Annotated[Path, Parameter(help="File to write, .csv or .parquet.")],
    end: str | None = None,
    output: Output = DEFAULT,
) -> int:
    """Fetch daily bars of one ticker or of several from Yahoo, for use as --data.

    Prices are as traded but for splits; the adjusted close carries dividends. Every row says when
    Yahoo was asked. Needs the extra data: pip install "trueness[data]".

    Example: trueness data fetch SPY --start 2000-01-01 --out SPY.csv
    Example: trueness data fetch SPY QQQ IWM --start 2005-01-01 --out panel.parquet

    Parameters
    ----------
    ticker
        As Yahoo writes it, such as SPY or ^GSPC.
    tickers
        More of them, which make a panel.
    start
        First day, as 2000-01-01.
    end
        Last day; until now without it.
    """
    from trueness.judge.facts import Facts
    from trueness.market.check import bar_facts, panel_facts
    from trueness.market.fetching import day_of, fetch

    check(output)
    if out.suffix.lower() not in ENDINGS:
        raise TruenessError(f"--out {out}: the name must end in {' or '.join(ENDINGS)}",
                            "output_suffix")  # fmt: skip
    check_path(out)
    last = None if end is None else day_of(end, "--end")
    result = fetch((ticker, *tickers), day_of(start, "--start"), last)
    result.write(out)
    panel = result.panel
    facts = bar_facts(panel.series[0]) if panel.alone else panel_facts(panel)
    about = {"file": str(out), "as_of": result.as_of.isoformat(timespec="seconds")}
    present(Facts(f"Bars: {panel.name}", {**about, **facts, "notes": list(result.notes)}), output)
    return 0
