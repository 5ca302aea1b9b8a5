"""How often each check fires on healthy runs.

    python -m tests.simulations.false_alarms

writes `false_alarms.csv` beside this file and one line into the page of every check; followed by
codes such as ``TRU005``, the rows and lines of these checks; followed by ``pages``, only the lines.
"""

import re
import sys
from pathlib import Path

import polars as pl

from tests.simulations.healthy import SETTINGS, healthy_run
from trueness.checks import CHECKS, Finding, NotApplicable, run_checks
from trueness.checks.registry import PAGES
from trueness.document import numbers

TABLE = Path(__file__).with_name("false_alarms.csv")
RUNS, SEED = 200, 1
LINE = re.compile(r"\n*\*\*False alarms\.\*\*.*\Z", re.DOTALL)


def simulate(runs, seed=SEED, settings=SETTINGS, codes=None):
    """Rows of code, setting, how often the check fired, and on how many runs it could look.

    A check gets the same rows alone as among all.
    """
    counts = {}
    for setting in settings:
        for i in range(runs):
            for one in run_checks(healthy_run(setting, seed + i), codes):
                fired, looked = counts.get((one.code, setting.name), (0, 0))
                looks = not isinstance(one, NotApplicable)
                counts[one.code, setting.name] = (fired + isinstance(one, Finding), looked + looks)
    rows = [(code, setting, *n) for (code, setting), n in counts.items()]
    schema = {"code": pl.String, "setting": pl.String, "fired": pl.Int64, "runs": pl.Int64}
    return pl.DataFrame(rows, schema, orient="row").sort("code", "setting")


def is_usual(code, table):
    """Whether a check fires on most healthy runs, or in half of the settings does."""
    rows = table.filter((pl.col("code") == code) & (pl.col("runs") > 0))
    often = (rows["fired"] >= 0.5 * rows["runs"]).sum()
    return rows["fired"].sum() > 0.5 * rows["runs"].sum() or 0 < often >= 0.5 * len(rows)


def read():
    """The committed table."""
    return pl.read_csv(TABLE)


def sentence(code, table):
    """What a page says about the false alarms of a check."""
    rows = table.filter((pl.col("code") == code) & (pl.col("runs") > 0))
    if not len(rows):
        return "**False alarms.** Not measured: no simulated run has what it needs."
    share = rows["fired"].sum() / rows["runs"].sum()
    by_rate = rows.with_columns(rate=pl.col("fired") / pl.col("runs")).sort("rate", "setting")
    least, most = by_rate.row(0, named=True), by_rate.row(-1, named=True)
    ends = [numbers.percent(one["rate"]) for one in (least, most)]
    where = f": {ends[0]} to {ends[1]} % by setting, most at {most['setting']}"
    size = f"{numbers.count(rows['runs'].sum())} runs in {numbers.plural(len(rows), 'setting')}"
    return (
        f"**False alarms.** Fires on {numbers.percent(share)} % of healthy simulated runs "
        f"({size}{where if most['rate'] else ''})."
    )


def with_sentence(page, line):
    """The page with its last line replaced."""
    return LINE.sub("", page).rstrip("\n") + f"\n\n{line}\n"


def write_pages(table):
    """Tell the rates in the page of every check."""
    for code in CHECKS:
        text = PAGES[code].read_text(encoding="utf-8")
        PAGES[code].write_text(with_sentence(text, sentence(code, table)), encoding="utf-8")


def replaced(table, rows):
    """The table with the rows of some checks in place of its own."""
    others = table.filter(~pl.col("code").is_in(rows["code"].unique().to_list()))
    return pl.concat([others, rows]).sort("code", "setting")


def main(asked):
    """Simulate all checks or some, then write the table and the pages; with ``pages``, only these."""
    if unknown := [code for code in asked if code not in {*CHECKS, "pages"}]:
        raise SystemExit(
            f"no check {unknown[0]}; give codes such as {next(iter(CHECKS))}, or pages"
        )
    if asked != ["pages"]:
        rows = simulate(RUNS, codes=asked or None)
        (replaced(read(), rows) if asked else rows).write_csv(TABLE)
    write_pages(read())


if __name__ == "__main__":
    main(sys.argv[1:])
