"""Verb about the probabilities of a stored run: calibrate."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from trueness.cli.options import DEFAULT_STORE, Store_
from trueness.cli.output import DEFAULT, Output, check, present

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
    output: Output = DEFAULT,
) -> int:
    """Compare calibrations of one stored run on units that fitted none of them.

    Its measured units are cut into five blocks; the calibrator of a block is fitted on the others.
    Nothing is changed in the store.

    Example: trueness calibrate D-01 --method platt --method isotonic

    Parameters
    ----------
    run
        A key, the beginning of one, or the id of an experiment.
    """
    from trueness.judge.calibration import judge_calibration
    from trueness.judge.finding import find_run
    from trueness.store import Store

    check(output)
    opened = Store(store)
    wanted, ids = find_run(opened, run)
    present(judge_calibration(opened, " = ".join(ids), wanted, methods), output)
    return 0
