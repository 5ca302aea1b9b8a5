"""What is odd about new data: values outside the training range, gaps, repeated or stale bars."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.bundle.format import Bundle
from trueness.document.numbers import plural
from trueness.errors import TruenessError
from trueness.examples import Examples

ABSTAIN_FROM = 0.2
"""Share of columns outside their training range from which no answer is given."""
SLACK = 1e-6
"""Of the width of a range, by which a value may leave it: rounding."""
NAMED = 3
OPTIONS = {"text_columns": "text-column"}
"""Source -> option that gives it, where that is called otherwise."""


@dataclass(frozen=True)
class Odd:
    """What is unusual about one row, in words, and whether it is too much for an answer."""

    words: str
    abstains: bool


def of_rows(bundle: Bundle, examples: Examples) -> list[Odd]:
    """Of each row (N,): columns that lie outside the range that they had in training."""
    ranges = bundle.description["ranges"]
    names = [name for name in examples.features if name in ranges]
    if not names or not len(examples.start):
        return [Odd("", False)] * len(examples.start)
    low, high = np.array([ranges[name] for name in names]).T
    at = [examples.features.index(name) for name in names]
    values = examples.series[examples.starts(0) + examples.context - 1][:, at]
    slack = SLACK * np.maximum(high - low, np.abs(high))
    outside = (values < low - slack) | (values > high + slack)
    return [_odd(row, names) for row in outside]


def _odd(outside: NDArray[np.bool_], names: list[str]) -> Odd:
    result = np.flatnonzero(outside)
    if not len(result):
        return Odd("", False)
    named = ", ".join(names[i] for i in result[:NAMED]) + " ..." * (len(result) > NAMED)
    words = f"{plural(len(result), 'column')} outside the training range ({named})"
    return Odd(words, len(result) >= ABSTAIN_FROM * len(names))


def of_data(bundle: Bundle, data: Any) -> tuple[str, ...]:  # noqa: ANN401 - Data of the task
    """Notes on the data as a whole; refuses those that the model says nothing about.

    Raises
    ------
    TruenessError
        With code ``other_series`` or ``other_spacing``.
    """
    if bundle.task != "market":
        return ()
    promised, panel = bundle.description["data"], data.panel
    (first, *_) = bundle.members
    if panel.spacing.bar != first.spec.task.bar:
        raise TruenessError(
            f"the model was fitted on a bar per {first.spec.task.bar}; these data have one per "
            f"{panel.spacing.bar}", "other_spacing",
        )  # fmt: skip
    sources = {"vix": data.volatility, "features": data.own}
    notes = [*_series(promised, panel), *_columns(bundle, data),
             *unread((one.spec.task for one in bundle.members), sources)]  # fmt: skip
    for bars in panel:
        notes += _stale(bars)
    return tuple(notes)


def check_sources(task: str, options: Collection[str], taken: Collection[str]) -> None:
    """Refuse a source that a bundle on a task does not take.

    Raises
    ------
    TruenessError
        With code ``no_source``.
    """
    if other := sorted(set(options) - set(taken)):
        option = OPTIONS.get(other[0], other[0].replace("_", "-"))
        raise TruenessError(f"a bundle on {task} takes no --{option}", "no_source")


def unread(tasks: Iterable[Any], sources: Mapping[str, Any]) -> list[str]:
    """Notes on an index or own features that were given and that no task reads.

    Parameters
    ----------
    tasks : iterable of MarketTask, or others
    sources : mapping
        Sources by option.
    """
    some = list(tasks)
    return [
        f"--{option} is not read: no column here is made from it"
        for option, part in (("vix", "volatility"), ("features", "features"))
        if sources.get(option) is not None and all(getattr(t, part, None) is None for t in some)
    ]


def _series(promised: dict[str, Any], panel: Any) -> list[str]:  # noqa: ANN401
    """Whether these are the series that were promised; those of one that is alone by their bars."""
    lengths = promised["lengths"]
    if panel.alone and len(lengths) == 1:
        if panel.lineage == promised["lineage"]:
            return []
        (name,) = lengths
        if name != panel.series[0].name:
            raise TruenessError(
                f"the model was fitted on {name}; these are the bars of {panel.series[0].name} "
                "(another series, or they begin elsewhere)", "other_series",
            )  # fmt: skip
        return [f"the bars of {name} begin elsewhere than in training, were revised, or are "
                "another series of that name: scores may differ"]  # fmt: skip
    if other := sorted({bars.name for bars in panel} - set(lengths)):
        raise TruenessError(f"the model was not fitted on {other[0]}; it knows "
                            f"{', '.join(sorted(lengths)[:8])}", "other_series")  # fmt: skip
    lacking = sorted(set(lengths) - {bars.name for bars in panel})
    other = [bars.name for bars in panel if promised["lineages"].get(bars.name) != bars.lineage]
    return [
        f"the bars of {', '.join(other[:NAMED])} begin elsewhere than in training, were "
        "revised, or are another series of that name: scores may differ"
    ] * bool(other) + [
        f"without {', '.join(lacking[:NAMED])}, which the model was fitted on as well"
    ] * bool(lacking)


def _columns(bundle: Bundle, data: Any) -> list[str]:  # noqa: ANN401 - Data of the task
    """A note on an index or own features that differ where the model was fitted on them."""
    from trueness.market.continuing import Earlier

    origin, panel = bundle.description["data"], data.panel
    lengths = dict(origin["lengths"])
    if panel.alone and len(lengths) == 1:
        lengths = {panel.series[0].name: next(iter(lengths.values()))}
    if any(lengths[bars.name] > len(bars) for bars in panel) or len(panel) < len(lengths):
        return []  # nothing to hold them against
    (first, *_) = bundle.members
    task = first.spec.task
    volatility = None if data.volatility is None else task.volatility
    features = None if data.own is None else task.features
    why = Earlier(task.bars, volatility, features, origin).other_columns(data, lengths)
    return [f"{why}: scores may differ"] * bool(why)


def _stale(bars: Any) -> list[str]:  # noqa: ANN401
    """Notes on a last bar that repeats the one before, and on a long gap before it."""
    from trueness.market.spacing import days_between

    result = []
    last, before = (
        tuple(float(getattr(bars, name)[i]) for name in ("open", "high", "low", "close"))
        for i in (-1, -2)
    )
    if last == before:
        result.append(f"{bars.name}: the bar of {bars.dates[-1]} repeats the one before")
    gap = float(days_between(bars.dates[-2:])[-1])
    if gap > bars.spacing.longest_step_days(10):
        result.append(f"{bars.name}: {gap:.0f} days lie between the last two bars")
    return result
