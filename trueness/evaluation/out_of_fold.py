"""Calibration of every unit by a map that was fitted on other units."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.errors import at_least
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.calibrators import METHODS
from trueness.evaluation.inputs import (
    Input,
    InputError,
    Labels,
    as_logits,
    choice,
    labels_and_scores,
)

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def out_of_fold_calibration(
    y_true: ArrayLike, y_score: ArrayLike, folds: int | ArrayLike = 5, method: str = "platt", *,
    gap: int = 1, time: ArrayLike | None = None, input: Input = "logit",
) -> Array:  # fmt: skip
    """Probability of every unit by a map that was fitted on other units.

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    y_score : (n,)
        See `input`.
    folds : int or (n,)
        So many contiguous folds of times, or the fold that each unit belongs to.
    method : str
        One of `METHODS`.
    gap : int
        Times left out of the fit on both sides of a fold; at least the horizon of the label.
    time : (n,), optional
        Of each unit, in any order; without it each unit is a time of its own, in the order given.
        Distances are counted in times that occur.
    input : {"logit", "probability", "score"}
        What the scores are; see `as_logits` for what is refused.

    Returns
    -------
    (n,) float64
        Maps differ between folds, so scores of different folds may change their order.

    Raises
    ------
    InputError
        With the codes of `labels_and_scores` and `as_logits`, and ``choice, folds, few, length,
        missing``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> score = rng.standard_normal(500)
    >>> y = (rng.random(500) < 1 / (1 + np.exp(1 - 0.5 * score))).astype(int)
    >>> out_of_fold_calibration(y, score, method="temperature").shape
    (500,)
    """
    choice("method", method, tuple(METHODS))
    gap = at_least("gap", gap, 0)
    labels, values = labels_and_scores(y_true, y_score)
    as_logits(values, input)
    at = Blocks.of(len(values), time=time).item
    fold, probability = _folds(folds, at), np.empty(len(values))
    kind = "probability" if input == "probability" else "logit"
    for one in np.unique(fold):
        inside = fold == one
        others = _distance(at, np.unique(at[inside])) > gap
        try:
            fitted = METHODS[method](input=kind).fit(*_both_classes(values[others], labels[others]))
        except InputError as error:
            raise InputError(
                f"outside fold {one}: {error}; take fewer or other folds", error.code
            ) from None
        probability[inside] = fitted.transform(values[inside])
    return probability


def _both_classes(scores: Array, labels: Labels) -> tuple[Array, Labels]:
    """The same, if both classes occur."""
    positives = int(labels.sum())
    if not 0 < positives < len(labels):
        raise InputError(f"{positives} positives and {len(labels) - positives} negatives", "few")
    return scores, labels


def _folds(folds: int | ArrayLike, at: Index) -> NDArray[Any]:
    """Fold of each unit, (n,), two different ones at least."""
    if np.ndim(folds) == 0:
        count, times = at_least("folds", folds, 0), int(at.max()) + 1
        if not 2 <= count <= times:
            raise InputError(f"{count} folds of {times} times; 2 to {times} are possible", "folds")
        return at * count // times
    names = np.asarray(folds)
    if names.shape != at.shape or len(np.unique(names)) < 2:
        raise InputError(
            f"folds of shape {names.shape} for {len(at)} scores; one fold per score and two "
            "different ones at least are needed", "folds",
        )  # fmt: skip
    return names


def _distance(at: Index, others: Index) -> Index:
    """Times from each of `at` (n,) to the nearest of `others`, ascending."""
    after = np.searchsorted(others, at)
    nearest = [others[np.clip(i, 0, len(others) - 1)] for i in (after - 1, after)]
    return np.abs(at - nearest).min(axis=0)
