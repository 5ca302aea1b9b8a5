"""What may be given to the functions of this room: labels, scores, and numbers between bounds.

Every refusal of theirs is an `InputError`, which is a ValueError as well, so that callers who know
nothing of this package, such as scikit-learn, understand it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from trueness.errors import TruenessError

Array = NDArray[np.float64]
Labels = NDArray[np.uint8]
Input: TypeAlias = Literal["logit", "probability", "score"]
"""What scores are: log-odds, probabilities, or any numbers that are taken as they are."""

SMALLEST_PROBABILITY = 1e-7
"""What a probability of 0 is taken for where a logarithm is needed; 1 minus it for 1."""


class InputError(TruenessError, ValueError):
    """Arrays or options that nothing can be computed from."""

    code = "input"


def choice(name: str, value: object, options: tuple[str, ...]) -> str:
    """One of some words; anything else is refused.

    Raises
    ------
    InputError
        With the code ``choice``.
    """
    if value not in options:
        raise InputError(f"unknown {name} {value!r}; choose from {', '.join(options)}", "choice")
    return str(value)


def between(name: str, value: float, low: float = 0.0, high: float = 1.0) -> float:
    """Number strictly between two others; anything else is refused.

    Raises
    ------
    InputError
        With the code ``range``.

    Examples
    --------
    >>> between("precision", 0.6)
    0.6
    """
    if not low < value < high:
        raise InputError(f"{name} {value} must lie between {low:g} and {high:g}", "range")
    return float(value)


def check_confidence(confidence: float) -> None:
    """Refuse a confidence outside of (0, 1); see `between`."""
    between("confidence", confidence)


def labels_and_scores(y_true: object, y_score: object) -> tuple[Labels, Array]:
    """Labels as uint8 and finite scores as float64, (n,) each, n >= 1; anything else is refused.

    Raises
    ------
    InputError
        With the codes ``dimensions, length, empty, type, labels, not_finite, large``.
    """
    labels, scores = np.asarray(y_true), np.asarray(y_score)
    masked = np.ma.isMaskedArray(y_true) or np.ma.isMaskedArray(y_score)
    if labels.ndim != 1 or scores.ndim != 1 or masked:
        raise InputError("labels and scores must be plain arrays of one dimension", "dimensions")
    if len(labels) != len(scores):
        raise InputError(f"{len(scores)} scores for {len(labels)} labels", "length")
    if not len(labels):
        raise InputError("no examples; at least one is needed", "empty")
    if scores.dtype.kind not in "fiu":
        raise InputError(f"scores are {scores.dtype}; real numbers are needed", "type")
    check_whole(scores)
    scores = scores.astype(np.float64)
    if not np.isfinite(scores).all():
        raise InputError(f"{int((~np.isfinite(scores)).sum())} scores are not finite", "not_finite")
    return binary(labels), scores


def check_whole(values: NDArray[np.generic]) -> None:
    """Refuse whole numbers that a float64 does not tell apart: they would tie.

    Raises
    ------
    InputError
        With the code ``large``.
    """
    if values.dtype.kind in "iu" and len(values) and int(np.abs(values).max()) > 2**53:
        raise InputError(
            "whole numbers beyond 2^53 cannot be distinguished as scores; rank or rescale them",
            "large",
        )


def binary(labels: NDArray[np.generic]) -> Labels:
    """Labels 0 and 1 as uint8; anything else is refused.

    Raises
    ------
    InputError
        With the code ``labels``.
    """
    if labels.dtype.kind not in "biuf" or not ((labels == 0) | (labels == 1)).all():
        raise InputError("labels must be 0 or 1", "labels")
    return labels.astype(np.uint8)


def labels_and_probabilities(y_true: object, y_prob: object) -> tuple[Array, Array]:
    """Labels 0 and 1 and probabilities in [0, 1] as float64, (n,) each; anything else is refused.

    Raises
    ------
    InputError
        With the codes ``dimensions, length, labels, type, scale``.
    """
    labels, values = np.asarray(y_true), np.asarray(y_prob)
    masked = np.ma.isMaskedArray(y_true) or np.ma.isMaskedArray(y_prob)
    if values.ndim != 1 or labels.ndim != 1 or masked:
        raise InputError(
            "labels and probabilities must be plain arrays of one dimension", "dimensions"
        )
    if len(values) != len(labels):
        raise InputError(f"{len(values)} probabilities for {len(labels)} labels", "length")
    known = binary(labels) if len(labels) else labels
    return known.astype(np.float64), probabilities(values)


def probabilities(values: NDArray[np.generic]) -> Array:
    """Real numbers in [0, 1] as float64; anything else is refused.

    Raises
    ------
    InputError
        With the codes ``type`` and ``scale``.
    """
    if len(values) and values.dtype.kind not in "fiub":
        raise InputError(f"probabilities are {values.dtype}; real numbers are needed", "type")
    prob = values.astype(np.float64)
    if not ((prob >= 0) & (prob <= 1)).all():
        raise InputError(
            "probabilities must lie in [0, 1]; apply a sigmoid to logits first", "scale"
        )
    return prob


def as_logits(scores: Array, input: Input) -> Array:
    """Finite scores (n,) on the scale of logits.

    Parameters
    ----------
    scores : (n,) float64
    input : {"logit", "probability", "score"}
        ``"logit"``: log-odds. They are refused where they can hardly be that: if they are not all
        equal and all of them lie in [0, 1]. As logits they would say a probability of 0.5 to 0.73
        of every unit; they look like probabilities. ``"probability"``: in [0, 1], clipped to
        [1e-7, 1 - 1e-7] and turned into logits. ``"score"``: any numbers, taken as they are: from
        a store, which knows what they are, or such that only rank.

    Raises
    ------
    InputError
        With the codes ``choice`` and ``scale``.

    Examples
    --------
    >>> as_logits(np.array([0.2, 0.5]), "probability").round(3)
    array([-1.386,  0.   ])
    """
    choice("input", input, get_args(Input))
    if input == "score" or not len(scores):
        return scores
    low, high = float(scores.min()), float(scores.max())
    inside = low >= 0 and high <= 1
    if input == "probability":
        if not inside:
            raise InputError(
                f"scores span [{low:.4g}, {high:.4g}]; probabilities must lie in [0, 1], logits "
                "need input='logit'", "scale",
            )  # fmt: skip
        return logit(np.clip(scores, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
    if inside and low < high:
        raise InputError(
            f"scores span [{low:.4g}, {high:.4g}] and look like probabilities: say "
            "input='probability', or input='score' to take them as they are", "scale",
        )  # fmt: skip
    return scores
