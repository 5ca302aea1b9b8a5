"""Verb about the probabilities of a stored run: calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from trueness.cli.options import DEFAULT_STORE, Json, Store_, check_output, console, print_json
from trueness.cli.stored import find_run, open_store

Methods = Annotated[
    list[Literal["platt", "isotonic", "temperature", "beta", "venn_abers"]] | None,
    Parameter(name="--method", negative=(), help="Only this method; repeatable; all by default."),
]


def calibrate(
    run: str,
    /,
    *,
    methods: Methods = None,
    store: Store_ = DEFAULT_STORE,
    report: Path | None = None,
    as_json: Json = False,
) -> int:
    """Compare calibrations of one stored run on days that fitted none of them.

    Its measured days are cut into five blocks; the map of a block is fitted on the others. Nothing
    is changed in the store.

    Example: trueness calibrate D-01 --method platt --method isotonic

    Parameters
    ----------
    run
        A key, the beginning of one, or the id of an experiment.
    report
        Also write an HTML page with reliability pictures to this file.
    """
    from trueness.judge.calibration import (
        compare_calibrations,
        show_calibration,
        write_calibration_page,
    )
    from trueness.judge.access import look_at

    check_output(report)
    opened = open_store(store)
    wanted, _ = find_run(opened, run)
    found = compare_calibrations(wanted, methods)
    if unwritten := look_at(opened, [wanted], "calibrate"):
        console(err=True).print(f"note: {unwritten}", style="yellow", highlight=False)
    if as_json:
        print_json(found.to_dict())
    else:
        show_calibration(console(), found)
    if report is not None:
        write_calibration_page(found, report)
        console(err=True).print(f"report: {report}", highlight=False)
    return 0
