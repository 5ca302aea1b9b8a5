"""The verb about two runs: compare."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from trueness.cli.options import DEFAULT_STORE, OpenTest, Store_
from trueness.cli.output import DEFAULT, Output, check, present


def compare(
    first: str,
    second: str,
    /,
    *,
    on: Annotated[
        str | None, Parameter(help="Part of the data; the measured one by default.")
    ] = None,
    open_test: OpenTest = False,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Compare two stored runs on the same units: paired differences, where they differ, alarms.

    Example: trueness compare D-01 D-02

    Parameters
    ----------
    first
        A key, the beginning of one, or the id of an experiment.
    second
        The same, of the run that it is compared with.
    """
    from trueness.judge.compare import compare as compare_runs
    from trueness.store import Store

    check(output)
    part = "test" if open_test and on is None else on
    present(
        compare_runs(
            Store(store), first, second, part=part, opened=open_test, access=("compare", second)
        ),
        output,
    )
    return 0
