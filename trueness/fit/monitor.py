"""Live guard: what goes wrong during training, since which epoch, and why it probably did.

A state counts once it has lasted `GRACE` epochs, or all of a shorter training: every network starts
with collapsed scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trueness.spec import Spec

GRACE = 10
"""Epochs in a row after which a state is a warning."""
COLLAPSED_WIDTH = 0.2
"""Span of the probabilities on the validation days, in standard deviations of their labels, below
which they say nothing."""
FALLEN = 0.25
"""Share of its widest span so far at which a span is no longer that of a signal that is weak."""
RARER = 0.35
"""Share of a class below which it is wrong to answer nothing else, whatever days were drawn."""
DIVERGED = 2.0
"""Training loss above this multiple of its lowest value so far."""

FAR_FROM_0 = 0.1
"""Target of the negatives above which it explains why scores stay in the middle."""

Row = dict[str, float]
"""An epoch: train_loss, val_loss, val_auc, val_low, val_high (probabilities), val_alarm_share."""


@dataclass(frozen=True)
class TrainingWarning:
    """A state that lasted from `epoch` (1 is the first) to `until`, None if to the end."""

    what: str
    epoch: int
    until: int | None
    cause: str

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


def training_warnings(history: Sequence[Row], of: Spec, base_rate: float) -> list[TrainingWarning]:
    """All warnings of a training so far.

    Parameters
    ----------
    history : sequence of dict
        One row per epoch.
    of : Spec
        What was trained; the likely cause is read from it.
    base_rate : float
        Share of positive validation days, in [0, 1]; events that are rare need narrow probabilities
        below 0.5.

    Returns
    -------
    list of TrainingWarning
        In the order of `STATES`; a state that was there from the first epoch and passed is the
        normal start of a training and is left out.
    """
    result = []
    for what, state in STATES.items():
        flags = [state.holds(history, k, base_rate) for k in range(len(history))]
        for begin, end in _stretches(flags):
            open_ = end == len(flags)
            needed = 1 if what == "not finite" else min(GRACE, len(flags))
            if end - begin >= needed and (open_ or begin > 0):
                until = None if open_ else end
                result.append(TrainingWarning(what, begin + 1, until, state.cause(history, of)))
    return result


def is_broken(history: Sequence[Row], of: Spec, base_rate: float) -> bool:
    """Whether a training lasts in a state that no healthy one gets into, see `training_warnings`.

    One that is slow to begin, or whose signal is weak, is not broken.
    """
    still = [one for one in training_warnings(history, of, base_rate) if one.until is None]
    return any(STATES[one.what].broken(history, one.epoch - 1) for one in still)


def _stretches(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Begin and end of every run of true flags."""
    edges = np.flatnonzero(np.diff([False, *flags, False]))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _span(row: Row) -> float:
    return row["val_high"] - row["val_low"]


def _collapsed(history: Sequence[Row], k: int, base_rate: float) -> bool:
    return _span(history[k]) < COLLAPSED_WIDTH * (base_rate * (1 - base_rate)) ** 0.5


def _fallen(history: Sequence[Row], begin: int) -> bool:
    """Whether the latest spans are far below the widest one before `begin`."""
    before = max(map(_span, history[:begin]), default=0.0)
    return max(map(_span, history[-GRACE:])) < FALLEN * before


def _one_class(history: Sequence[Row], k: int, base_rate: float) -> bool:
    share = {0.0: 1 - base_rate, 1.0: base_rate}.get(history[k]["val_alarm_share"])
    return share is not None and share < RARER


def _diverging(history: Sequence[Row], k: int, base_rate: float) -> bool:
    del base_rate
    lowest = min(row["train_loss"] for row in history[: k + 1])
    return history[k]["train_loss"] - lowest > (DIVERGED - 1) * max(abs(lowest), 0.05)


def _not_finite(history: Sequence[Row], k: int, base_rate: float) -> bool:
    del base_rate
    return not np.isfinite([history[k]["train_loss"], history[k]["val_loss"]]).all()


def _why_collapsed(history: Sequence[Row], of: Spec) -> str:
    low, high = of.loss.targets
    if low > FAR_FROM_0:
        return f"the loss {of.loss.kind} confines the targets to [{low:g}, {high:g}]"
    losses = [row["train_loss"] for row in history]
    if losses[0] - losses[-1] < 0.02 * abs(losses[0]):
        rate = f"learning rate {of.recipe.learning_rate:g}"
        return f"the training loss hardly falls: {rate} too small, or nothing to learn"
    if of.loss.kind != "bce":
        return f"the loss {of.loss.kind} presses the scores together, or the signal is weak"
    return "the signal is weak: scores stay near the base rate"


def _why_one_class(history: Sequence[Row], of: Spec) -> str:
    if history[-1]["val_alarm_share"] == 1.0:
        return f"positives weigh too much in the loss {of.loss.kind}; lower its weight or alpha"
    return f"positives weigh too little in the loss {of.loss.kind}; raise its weight or alpha"


def _why_diverging(history: Sequence[Row], of: Spec) -> str:
    del history
    clipped = "" if of.recipe.clip_norm else " without clipping"
    return f"learning rate {of.recipe.learning_rate:g} too high{clipped}"


def _why_not_finite(history: Sequence[Row], of: Spec) -> str:
    return f"likely cause: {_why_diverging(history, of)}, or inputs of extreme size"


def _always(history: Sequence[Row], begin: int) -> bool:
    del history, begin
    return True


def _never(history: Sequence[Row], begin: int) -> bool:
    del history, begin
    return False


@dataclass(frozen=True)
class State:
    """When an epoch is in a state, why it probably is, and whether lasting in it is broken.

    Attributes
    ----------
    holds : callable
        Of the history, the index of an epoch, and the base rate.
    cause : callable
    broken : callable
        Of the history and the index of the epoch since which the state lasts.
    """

    holds: Callable[[Sequence[Row], int, float], bool]
    cause: Callable[[Sequence[Row], Spec], str]
    broken: Callable[[Sequence[Row], int], bool]


STATES = {
    "collapsed scores": State(_collapsed, _why_collapsed, _fallen),
    "one class at 0.5": State(_one_class, _why_one_class, _never),
    "diverging loss": State(_diverging, _why_diverging, _always),
    "not finite": State(_not_finite, _why_not_finite, _always),
}
