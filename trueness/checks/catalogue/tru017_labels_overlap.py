"""Training labels that see the same prices as measured ones."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.results import Check, CheckResult
from trueness.document import numbers

CHECK = Check("TRU017", "labels overlap in time", "error", ("binary",))
Days = NDArray[np.datetime64]
DAY = np.timedelta64(1, "D")


def check(run: CheckInput) -> CheckResult:
    """Training rows within the horizon of a measured one of their fold, before or after it.

    Sessions are counted as weekdays, as days where the data hold weekends, or, where times do not
    lie a day apart, as the smallest step between them: never too few, so that holidays can hide an
    overlap but none is invented.
    """
    train, time, horizon = run.training, run.time, run.rule.horizon
    if not horizon:
        raise Missing("labels look at no later time")
    step = _step(time)
    if step == DAY:
        time = time.astype("datetime64[D]")
    trained = run.training.column("time").astype(time.dtype)
    weekends = not np.is_busday(time.astype("datetime64[D]")).all()
    result: list[np.datetime64] = []
    for f in np.unique(run.measured.fold):
        near, others = trained[train.fold == f], np.unique(time[run.measured.fold == f])
        gaps = (
            sessions_to_nearest(near, others, weekends=weekends) if step == DAY
            else _to_nearest(near, others, lambda a, b: (b - a) // step)
        )  # fmt: skip
        result += near[gaps <= horizon].tolist()
    if not result:
        return CHECK.clean()
    reach = numbers.plural(horizon, run.units.removesuffix("s"))
    return CHECK.finding(
        f"{numbers.plural(len(result), 'training row')}, the first of {min(result)}, within the "
        f"horizon of {reach} of a measured one of their fold: labels see the same prices",
        rows=len(result),
    )


def sessions_to_nearest(days: Days, others: Days, *, weekends: bool) -> NDArray[np.int64]:
    """Sessions between each day and the nearest of the others, before or after.

    Parameters
    ----------
    days, others : (n,), (m,) datetime64[D]
        The others sorted.
    weekends : bool
        Whether weekends are sessions.

    Examples
    --------
    >>> friday, monday = np.array(["2024-01-05", "2024-01-08"], "datetime64[D]")
    >>> sessions_to_nearest(np.array([friday]), np.array([monday]), weekends=False)
    array([1])
    """
    count = (lambda a, b: (b - a).astype(np.int64)) if weekends else np.busday_count
    return _to_nearest(days, others, count)


def _to_nearest(
    times: Days, others: Days, count: Callable[[Days, Days], NDArray[np.int64]]
) -> NDArray[np.int64]:
    """What is counted from each time to the nearest of the others, before or after, (n,)."""
    after = others[np.searchsorted(others, times).clip(max=len(others) - 1)]
    before = others[(np.searchsorted(others, times, "right") - 1).clip(min=0)]
    gaps = [np.abs(count(np.minimum(times, o), np.maximum(times, o))) for o in (after, before)]
    return np.minimum(*gaps)


def _step(times: Days) -> np.timedelta64:
    """Smallest step between distinct times; a day if there is one alone."""
    steps = np.diff(np.unique(times))
    return steps.min() if len(steps) else DAY
