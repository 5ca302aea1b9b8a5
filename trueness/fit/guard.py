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
"""Epochs in a row after which a state is an incident."""
COLLAPSED_WIDTH = 0.2
"""Span of the probabilities on the validation days below which they say nothing."""
DIVERGED = 2.0
"""Training loss above this multiple of its lowest value so far."""

FAR_FROM_0 = 0.1
"""Target of the negatives above which it explains why scores stay in the middle."""

Row = dict[str, float]
"""An epoch: train_loss, val_loss, val_auc, val_low, val_high (probabilities), val_alarm_share."""


@dataclass(frozen=True)
class Incident:
    """A state that lasted from `epoch` (1 is the first) to `until`, None if to the end."""

    what: str
    epoch: int
    until: int | None
    cause: str

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


def incidents(history: Sequence[Row], of: Spec) -> list[Incident]:
    """All incidents of a training so far.

    Parameters
    ----------
    history : sequence of dict
        One row per epoch.
    of : Spec
        What was trained; the likely cause is read from it.

    Returns
    -------
    list of Incident
        In the order of `STATES`; a state that was there from the first epoch and passed is the
        normal start of a training and is left out.
    """
    found = []
    for what, (holds, cause) in STATES.items():
        flags = [holds(history, k) for k in range(len(history))]
        for begin, end in _stretches(flags):
            open_ = end == len(flags)
            needed = 1 if what == "not finite" else min(GRACE, len(flags))
            if end - begin >= needed and (open_ or begin > 0):
                until = None if open_ else end
                found.append(Incident(what, begin + 1, until, cause(history, of)))
    return found


def _stretches(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Begin and end of every run of true flags."""
    edges = np.flatnonzero(np.diff([False, *flags, False]))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _collapsed(history: Sequence[Row], k: int) -> bool:
    return history[k]["val_high"] - history[k]["val_low"] < COLLAPSED_WIDTH


def _one_class(history: Sequence[Row], k: int) -> bool:
    return history[k]["val_alarm_share"] in (0.0, 1.0)


def _diverging(history: Sequence[Row], k: int) -> bool:
    lowest = min(row["train_loss"] for row in history[: k + 1])
    return history[k]["train_loss"] - lowest > (DIVERGED - 1) * max(abs(lowest), 0.05)


def _not_finite(history: Sequence[Row], k: int) -> bool:
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
    return "0.5 is out of reach of a rare event under this loss; judge at an alarm budget"


def _why_diverging(history: Sequence[Row], of: Spec) -> str:
    del history
    clipped = "" if of.recipe.clip_norm else " without clipping"
    return f"learning rate {of.recipe.learning_rate:g} too high{clipped}"


def _why_not_finite(history: Sequence[Row], of: Spec) -> str:
    return f"likely cause: {_why_diverging(history, of)}, or inputs of extreme size"


STATES: dict[
    str,
    tuple[Callable[[Sequence[Row], int], bool], Callable[[Sequence[Row], Spec], str]],
] = {
    "collapsed scores": (_collapsed, _why_collapsed),
    "one class at 0.5": (_one_class, _why_one_class),
    "diverging loss": (_diverging, _why_diverging),
    "not finite": (_not_finite, _why_not_finite),
}
