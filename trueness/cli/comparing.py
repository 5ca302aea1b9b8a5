"""The verb about some runs on the same units: compare."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from trueness.cli.options import DEFAULT_STORE, OpenTest, Store_
from trueness.cli.output import DEFAULT, Output, check, present


def compare(
    first: str,
    second: str,
    /,
    *others: str,
    on: Annotated[
        str | None, Parameter(help="Part of the data; the measured one by default.")
    ] = None,
    open_test: OpenTest = False,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Compare two to six stored runs on the same units: paired differences, alarms.

    Of two it says where they differ, and which alarms only one raised; of more it compares every
    pair, with intervals that hold for all pairs together.

    Example: trueness compare D-01 D-02
    Example: trueness compare D-01 D-02 D-03

    Parameters
    ----------
    first
        A key, the beginning of one, or the id of an experiment.
    second
        The same, of the run that it is compared with.
    others
        Up to four further runs.
    """
    from trueness.judge.compare_several import compare_runs
    from trueness.store import Store

    check(output)
    part = "test" if open_test and on is None else on
    result = compare_runs(Store(store), (first, second, *others), part=part, opened=open_test,
                          access=("compare", " ".join((second, *others))))  # fmt: skip
    present(result, output)
    return 0
