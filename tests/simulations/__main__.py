"""Simulate every promise and write docs/reference/promises.md.

    python -m tests.simulations [--quick] [--jobs 2] [--only single,chance] [--minutes 30]

Without an end it takes about an hour on two cores. What was simulated is kept as it comes: the same
command goes on where an earlier one ended, unless the code was changed. ``--quick`` takes a tenth
of the repetitions, prints the page and writes nothing. ``--only`` names experiments, or ``checks``
for the false alarms of checks.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from tests.simulations import page, results
from tests.simulations.experiments import Experiment, Tally
from tests.simulations.promises import EXPERIMENTS
from tests.simulations.results import Chunk, Results

CHECKS = "checks"
_say = partial(print, file=sys.stderr, flush=True)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    names = [*(one.name for one in EXPERIMENTS), CHECKS]
    parser = argparse.ArgumentParser("python -m tests.simulations", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth; print, write nothing")
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--only", default=",".join(names), help="experiments, by commas")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end early")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(names):
        parser.error(f"unknown {', '.join(sorted(unknown))}; choose from {', '.join(names)}")
    return options


def _progress(
    todo: list[Chunk], jobs: int, minutes: float
) -> Iterator[tuple[Chunk, dict[str, Tally]]]:
    """Chunks as they end, each with a line; none begins after the time."""
    start = time.monotonic()
    work = partial(results.simulated, until=start + 60 * minutes)
    with get_context("fork").Pool(jobs) as pool:
        for done, (chunk, tallies) in enumerate(pool.imap_unordered(work, todo), 1):
            if tallies is None:
                continue
            left = (time.monotonic() - start) / done * (len(todo) - done) / 60
            shares = " ".join(f"{100 * one.share:.0f}" for one in tallies.values())
            _say(f"{done}/{len(todo)} {chunk.experiment} · {chunk.case.name} · {chunk.case.n:,}: "
                  f"{shares} % · {left:.0f} min left")  # fmt: skip
            yield chunk, tallies


def _simulate(
    experiments: list[Experiment], file: Path, options: argparse.Namespace
) -> tuple[Results, bool]:
    """Results, and whether all of them are there."""
    actual: Results = {}
    every = results.chunks(experiments, quick=options.quick)
    known = {} if options.quick else results.kept(file)
    for chunk in every:
        if chunk in known:
            results.add(actual, chunk, known[chunk])
    todo = [chunk for chunk in every if chunk not in known]
    if len(todo) < len(every):
        _say(f"{len(every) - len(todo)} of {len(every)} chunks are there; goes on")
    done = 0
    for chunk, tallies in _progress(todo, options.jobs, options.minutes):
        done += 1
        results.add(actual, chunk, tallies)
        if not options.quick:
            results.keep(file, chunk, tallies)
    return actual, done == len(todo)


def main(arguments: list[str] | None = None) -> None:
    """Simulate, then write the results and the page."""
    options = _options(arguments)
    experiments = [one for one in EXPERIMENTS if one.name in options.only]
    file = results.partial_file()
    actual, complete = _simulate(experiments, file, options)
    if options.quick:
        sys.stdout.write(page.rendered(actual))
        return
    results.write(page.of_table(results.read() | actual))
    if CHECKS in options.only:
        from tests.simulations import false_alarms

        false_alarms.main([])
    page.write()
    if complete:
        file.unlink(missing_ok=True)
    _say(f"wrote {page.PAGE.name}" + ("" if complete else "; not all repetitions are there"))


if __name__ == "__main__":
    main()
