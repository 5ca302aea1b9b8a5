"""Training labels that see the same prices as measured ones."""

import numpy as np
from numpy.typing import NDArray

from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.results import Check, CheckResult
from trueness.document import numbers

CHECK = Check("TRU017", "labels overlap in time", "error", ("binary",))
Days = NDArray[np.datetime64]


def check(run: CheckInput) -> CheckResult:
    """Training rows within the horizon of a measured one of their fold, before or after it.

    Sessions are counted as weekdays, or as days where the data hold weekends: never too few, so
    that holidays can hide an overlap of a day but none is invented.
    """
    train, time, horizon = run.training, run.time.astype("datetime64[D]"), run.rule.horizon
    if not horizon:
        raise Missing("labels look at no later time")
    weekends = not np.is_busday(time).all()
    trained = run.training.column("time").astype("datetime64[D]")
    found: list[np.datetime64] = []
    for f in np.unique(run.measured.fold):
        near = trained[train.fold == f]
        gaps = sessions_to_nearest(near, np.unique(time[run.measured.fold == f]), weekends=weekends)
        found += near[gaps <= horizon].tolist()
    if not found:
        return CHECK.clean()
    reach = numbers.plural(horizon, run.units.removesuffix("s"))
    return CHECK.finding(
        f"{numbers.plural(len(found), 'training row')}, the first of {min(found)}, within the "
        f"horizon of {reach} of a measured one of their fold: labels see the same prices",
        rows=len(found),
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
    after = others[np.searchsorted(others, days).clip(max=len(others) - 1)]
    before = others[(np.searchsorted(others, days, "right") - 1).clip(min=0)]
    count = (lambda a, b: (b - a).astype(np.int64)) if weekends else np.busday_count
    gaps = [np.abs(count(np.minimum(days, o), np.maximum(days, o))) for o in (after, before)]
    return np.minimum(*gaps)
