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
from multiprocessing import get_context

os.environ["OMP_NUM_THREADS"] = "1"

from tests.simulations import page, results
from tests.simulations.experiments import Experiment, Tally
from tests.simulations.promises import EXPERIMENTS
from tests.simulations.results import Chunk, Results

CHECKS = "checks"


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


def _progress(todo: list[Chunk], jobs: int, minutes: float) -> Iterator[tuple[Chunk, dict[str, Tally]]]:
    """Chunks as they end, each with a line; none is begun after the time."""
    start, end = time.monotonic(), time.monotonic() + 60 * minutes

    def begun() -> Iterator[Chunk]:
        yield from (chunk for chunk in todo if time.monotonic() < end)

    with get_context("fork").Pool(jobs) as pool:
        waiting = iter(begun())
        running = [pool.apply_async(results.simulated, (c,)) for _, c in zip(range(jobs), waiting, strict=False)]
        done = 0
        while running:
            ready = next((one for one in running if one.ready()), None)
            if ready is None:
                running[0].wait(0.05)
                continue
            running.remove(ready)
            running += [pool.apply_async(results.simulated, (c,)) for c in _next(waiting)]
            chunk, tallies = ready.get()
            done += 1
            spent = time.monotonic() - start
            left = spent / done * (len(todo) - done) / 60
            shares = " ".join(f"{100 * t.share:.0f}" for t in tallies.values())
            print(f"{done}/{len(todo)} {chunk.experiment}, {chunk.case.name}, {chunk.case.n:,}, "
                  f"{chunk.first}–{chunk.first + chunk.repetitions}: {shares} %; "
                  f"{left:.0f} min left", flush=True)  # fmt: skip
            yield chunk, tallies


def _next(waiting: Iterator[Chunk]) -> list[Chunk]:
    return [chunk for chunk in [next(waiting, None)] if chunk is not None]


def _simulate(experiments: list[Experiment], options: argparse.Namespace) -> tuple[Results, bool]:
    """Results, and whether all of them are there."""
    file, found = results.partial_file(), {}
    every = results.chunks(experiments, quick=options.quick)
    known = {} if options.quick else results.kept(file)
    for chunk in every:
        if chunk in known:
            results.add(found, chunk, known[chunk])
    todo = [chunk for chunk in every if chunk not in known]
    if len(todo) < len(every):
        print(f"{len(every) - len(todo)} of {len(every)} chunks are there; goes on", flush=True)
    done = 0
    for chunk, tallies in _progress(todo, options.jobs, options.minutes):
        done += 1
        results.add(found, chunk, tallies)
        if not options.quick:
            results.keep(file, chunk, tallies)
    return found, done == len(todo)


def main(arguments: list[str] | None = None) -> None:
    """Simulate, then write the results and the page."""
    options = _options(arguments)
    experiments = [one for one in EXPERIMENTS if one.name in options.only]
    found, complete = _simulate(experiments, options)
    if options.quick:
        sys.stdout.write(page.rendered(found))
        return
    if CHECKS in options.only:
        from tests.simulations import false_alarms

        false_alarms.main()
    results.write(page.of_table(results.read() | found))
    page.write()
    if complete:
        results.partial_file().unlink(missing_ok=True)
    print(f"wrote {page.PAGE.name}" + ("" if complete else "; not all repetitions are there"))


if __name__ == "__main__":
    main()
