"""The order in which training takes in its examples, the easiest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from trueness.errors import SpecError
from trueness.examples import Examples
from trueness.fit.member import Member, MemberState
from trueness.spec import Spec
from trueness.spec.training import WholeEpochs

Train = Callable[[list[Member]], Sequence[MemberState]]
Floats = NDArray[np.float64]


def orders(
    examples: Examples, members: Sequence[Member], train: Train
) -> dict[Member, NDArray[np.int64] | str]:
    """Training examples (n,) of each member with a curriculum in their order, or why there is none.

    Parameters
    ----------
    examples : Examples
    members : sequence of Member
    train : callable
        Trains members beside each other; for difficulties that a network says.

    Raises
    ------
    SpecError
        With code ``no_column`` if a column of returns is no input.
    """
    ordered = [m for m in members if m.spec.recipe.curriculum.identity().kind != "none"]
    scored = [m for m in ordered if m.spec.recipe.curriculum.warmup_epochs]
    states = train([Member(scorer_of(m.spec), m.fold) for m in scored]) if scored else []
    scorers = dict(zip(scored, states, strict=True))
    return {member: _order(examples, member, scorers.get(member)) for member in ordered}


def scorer_of(spec: Spec) -> Spec:
    """The same network, trained on all examples for the epochs of the warm-up."""
    epochs = spec.recipe.curriculum.warmup_epochs
    whole = {"curriculum": WholeEpochs(kind="none"), "epochs": epochs, "patience": epochs}
    return spec.model_copy(update={"recipe": spec.recipe.model_copy(update=whole)})


def _order(
    examples: Examples, member: Member, scorer: MemberState | None
) -> NDArray[np.int64] | str:
    curriculum = member.spec.recipe.curriculum
    rows = examples.members("train", member.fold)
    if scorer is None:
        difficulty = volatility(examples, member, rows)
    elif scorer.result is None:
        return f"the network that scores its examples: {scorer.failure}"
    else:
        logits = scorer.result.logit_last[rows].astype(float)
        difficulty = DIFFICULTY[curriculum.kind](logits, examples.y[rows])
    sign = -1.0 if curriculum.hardest else 1.0
    return rows[np.argsort(sign * difficulty, kind="stable")]


def by_loss(logits: Floats, y: NDArray[np.uint8]) -> Floats:
    """Cross-entropy of each example (n,)."""
    return np.logaddexp(0.0, np.where(y == 1, -logits, logits))


def by_confidence(logits: Floats, y: NDArray[np.uint8]) -> Floats:
    """One less the probability of the class that is thought likelier, (n,)."""
    del y
    return 1 / (1 + np.exp(np.abs(logits)))


DIFFICULTY = {"loss": by_loss, "confidence": by_confidence}
"""Kind of a curriculum -> difficulty by the logits of a network."""


def volatility(examples: Examples, member: Member, rows: NDArray[np.int64]) -> Floats:
    """Standard deviation of the returns in each window (n,)."""
    name = member.spec.recipe.curriculum.column
    if name not in examples.features:
        raise SpecError(f"recipe.curriculum.returns: {name} is no input", "no_column")
    column = examples.series[:, examples.features.index(name)].astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(column, examples.context)
    return windows[examples.starts(member.fold)[rows]].std(axis=1)
