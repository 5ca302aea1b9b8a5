"""How often each check fires on healthy runs, and how often it finds a fault that was planted.

    python -m tests.simulations.false_alarms

writes `false_alarms.csv` beside this file and two lines into the page of every check; followed by
codes such as ``TRU003``, the rows and lines of these checks; followed by ``pages``, only the lines.
"""

import re
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from tests.simulations.classified_texts import Texts
from tests.simulations.faults import FAULTS
from tests.simulations.rare_events import TIMES, RareEvents
from trueness.checks import CHECKS, RELATIVE, Finding, NotApplicable, run_checks
from trueness.checks.registry import PAGES
from trueness.document import numbers

TABLE = Path(__file__).with_name("false_alarms.csv")
RUNS, SEED = 100, 1
FAULTY = 2
"""So many times fewer runs have each fault as are healthy."""
LINES = re.compile(r"\n*\*\*False alarms\.\*\*.*\Z", re.DOTALL)
SETTINGS = (
    *(RareEvents(r, auc, t) for r in (0.03, 0.05, 0.21) for auc in (0.63, 0.71) for t in TIMES),
    Texts(5, (600, 300, 200, 150)),
    Texts(20, (1500, 700, 400, 250, 150, 110, 80, 60, 40, 25), absent=True),
)
WITH_FAULTS = tuple(s for s in SETTINGS if isinstance(s, Texts) or s.auc > 0.7)
"""Where faults are planted."""
COLUMNS = {"code": pl.String, "setting": pl.String, "faulty": pl.Boolean, "fired": pl.Int64,
           "runs": pl.Int64}  # fmt: skip


def made(setting, seed):
    """A healthy run, before it is judged."""
    return setting.make(np.random.default_rng([seed, SETTINGS.index(setting)]))


def _kinds(setting):
    return {"classes", "titles"} if isinstance(setting, Texts) else {"binary", "market"}


def answers(setting, seed, fault=None, codes=None):
    """Answers of checks about a healthy run, or of one about a run with its fault."""
    one = made(setting, seed)
    if fault is None:
        return run_checks(one.as_input(), codes)
    FAULTS[fault].plant(one)
    return run_checks(one.as_input(compared=fault in RELATIVE), [fault])


def _some(runs, seed, codes, setting_and_fault):
    """Rows of one setting, with one fault or none."""
    setting, fault = setting_and_fault
    counts = {}
    for i in range(runs if fault is None else -(-runs // FAULTY)):
        for one in answers(setting, seed + i, fault, codes):
            fired, looked = counts.get(one.code, (0, 0))
            looks = not isinstance(one, NotApplicable)
            counts[one.code] = (fired + isinstance(one, Finding), looked + looks)
    return [(code, setting.name, fault is not None, *n) for code, n in counts.items()]


def simulate(runs, seed=SEED, settings=SETTINGS, codes=None, *, faulty=True, workers=1):
    """Rows of code, setting, whether faulty, how often it fired, on how many runs it looked.

    A check gets the same rows alone as among all.
    """
    jobs = [(setting, None) for setting in settings]
    jobs += [
        (setting, code)
        for setting in settings
        for code in codes or FAULTS
        if faulty and setting in WITH_FAULTS and _kinds(setting) & {*CHECKS[code].applies_to}
    ]
    work = partial(_some, runs, seed, codes)
    if workers == 1:
        actual = map(work, jobs)
    else:
        with ProcessPoolExecutor(workers) as pool:
            actual = list(pool.map(work, jobs))
    rows = [row for rows in actual for row in rows]
    return pl.DataFrame(rows, COLUMNS, orient="row").sort("code", "faulty", "setting")


def is_usual(code, table):
    """Whether a check fires on most healthy runs, or in half of the settings does."""
    rows = _of(code, table, faulty=False)
    often = (rows["fired"] >= 0.5 * rows["runs"]).sum()
    return rows["fired"].sum() > 0.5 * rows["runs"].sum() or 0 < often >= 0.5 * len(rows)


def read():
    """The committed table."""
    return pl.read_csv(TABLE, schema=COLUMNS)


def _of(code, table, *, faulty):
    return table.filter(
        (pl.col("code") == code) & (pl.col("runs") > 0) & (pl.col("faulty") == faulty)
    )


def _rates(rows):
    """Share of runs, and how it differs by setting, for a sentence."""
    by_rate = rows.with_columns(rate=pl.col("fired") / pl.col("runs")).sort("rate", "setting")
    ends = [by_rate.row(i, named=True) for i in (0, -1)]
    share = numbers.percent(rows["fired"].sum() / rows["runs"].sum())
    size = f"{numbers.count(rows['runs'].sum())} runs in {numbers.plural(len(rows), 'setting')}"
    low, high = (numbers.percent(end["rate"]) for end in ends)
    return share, size, low, high, *(end["setting"] for end in ends)


def sentences(code, table):
    """What a page says about the false alarms and the power of a check."""
    rows = _of(code, table, faulty=False)
    note = "**False alarms.** Not measured: no simulated run has what it needs."
    if len(rows):
        share, size, low, high, _, most = _rates(rows)
        where = f": {low} to {high} % by setting, most at {most}" * (high != low)
        note = f"**False alarms.** Fires on {share} % of healthy simulated runs ({size}{where})."
    rows = _of(code, table, faulty=True)
    if not len(rows):
        return note
    share, size, low, high, least, _ = _rates(rows)
    where = f": {low} to {high} % by setting, least at {least}" * (high != low)
    return (
        f"{note}\n\n**Power.** Finds {share} % of simulated faults ({size}{where}); "
        f"planted: {FAULTS[code].says}."
    )


def with_sentences(page, lines):
    """The page with its last lines replaced."""
    return LINES.sub("", page).rstrip("\n") + f"\n\n{lines}\n"


def write_pages(table):
    """Tell the rates in the page of every check."""
    for code in CHECKS:
        text = PAGES[code].read_text(encoding="utf-8")
        PAGES[code].write_text(with_sentences(text, sentences(code, table)), encoding="utf-8")


def replaced(table, rows):
    """The table with the rows of some checks in place of its own."""
    others = table.filter(~pl.col("code").is_in(rows["code"].unique().to_list()))
    return pl.concat([others, rows]).sort("code", "faulty", "setting")


def main(asked):
    """Simulate all checks or some, then write the table and the pages; with ``pages``, only these."""
    if unknown := [code for code in asked if code not in {*CHECKS, "pages"}]:
        raise SystemExit(
            f"no check {unknown[0]}; give codes such as {next(iter(CHECKS))}, or pages"
        )
    if asked != ["pages"]:
        rows = simulate(RUNS, codes=asked or None, workers=2)
        (replaced(read(), rows) if asked else rows).write_csv(TABLE)
    write_pages(read())


if __name__ == "__main__":
    main(sys.argv[1:])
