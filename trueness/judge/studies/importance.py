"""How much each parameter matters: the published share, and two that mislead less.

All work on levels. The published share compares marginal means, so a parameter whose good levels
were sampled together with other good ones takes their credit; its values do not add up, and more
levels mean more by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueness.evaluation.intervals import Estimate, percentile_interval

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
DRAWS = 500
TOP_SHARE = 0.2
FEWEST = 8
"""Configurations below which no surrogate is fitted."""
PENALTIES = np.logspace(-2, 3, 21)


@dataclass(frozen=True)
class Importance:
    """Importance of one parameter in three ways.

    Attributes
    ----------
    name : str
    published : float or None
        Variance between the means of its levels over the variance of all trials.
    published_chance : float or None
        What that share is on average if the parameter does nothing.
    additive : Estimate or None
        Share of the variance that its level effects would give over a full grid, all parameters
        fitted together; bootstrap interval over configurations.
    additive_chance : float or None
        The same with values shuffled among configurations.
    effect : float or None
        Standard deviation of its fitted level effects, in units of the value.
    top : Estimate or None
        Share of how far the best fifth of the configurations departs from all of them.
    top_chance : float or None
        The same for a random fifth.
    """

    name: str
    published: float | None
    published_chance: float | None
    additive: Estimate | None = None
    additive_chance: float | None = None
    effect: float | None = None
    top: Estimate | None = None
    top_chance: float | None = None


def between_share(codes: Codes, y: Array) -> float | None:
    """Published importance: ``[sum over levels of n_g (mean_g - mean)^2 / n] / sample variance``.

    Parameters
    ----------
    codes : (n,) int64
        Level of each trial.
    y : (n,) float64

    Returns
    -------
    float or None
        In [0, 1); None if the values do not vary.

    Examples
    --------
    >>> between_share(np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 1.0, 2.0]))
    0.375
    """
    if len(y) < 2 or not np.ptp(y):
        return None
    groups = [y[codes == g] for g in np.unique(codes)]
    between = sum(len(g) * (g.mean() - y.mean()) ** 2 for g in groups) / len(y)
    return float(between / y.var(ddof=1))


@dataclass(frozen=True)
class Surrogate:
    """Additive model of the value, one effect per level, and how well it predicts.

    `explained` is one minus the error of leaving one configuration out over that of leaving one
    out of the mean; at or below zero the model predicts no better than the mean.
    """

    effects: list[Array]
    explained: float
    penalty: float


def additive_surrogate(codes: Sequence[Codes], y: Array) -> Surrogate:
    """Fit effects of all parameters together, shrunken towards zero.

    Ridge regression on level indicators; the penalty is the one with the least error when each
    configuration is left out in turn. Effects are centred over the levels that were tried, so their
    variances are the main effects of a functional analysis of variance under a uniform grid:
    Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance"
    (2014), with this surrogate in place of a forest. Interactions are not fitted.

    Parameters
    ----------
    codes : sequence of (n,) int64
        Level of each configuration, one array per parameter.
    y : (n,) float64
    """
    design = _design(codes)
    errors = [_left_out(design, y, penalty) for penalty in PENALTIES]
    best = int(np.argmin(errors))
    n = len(y)
    alone = float(((y - y.mean()) ** 2).sum()) * (n / (n - 1)) ** 2
    explained = 1 - errors[best] / alone if alone else 0.0
    beta = _ridge(design, y[None], np.ones((1, n)), PENALTIES[best])[0]
    return Surrogate(_split(codes, beta), explained, float(PENALTIES[best]))


def _design(codes: Sequence[Codes]) -> Array:
    """Level indicators of all parameters side by side, (n, levels)."""
    return np.hstack([np.eye(int(c.max()) + 1)[c] for c in codes])


def _ridge(design: Array, y: Array, weights: Array, penalty: float) -> Array:
    """Effects for each row of values and weights, (draws, levels); the mean is not shrunken."""
    n, width = design.shape
    total = weights.sum(1, keepdims=True)
    centre, level = weights @ design / total, (weights * y).sum(1, keepdims=True) / total
    outer = (design[:, :, None] * design[:, None]).reshape(n, width * width)
    gram = (weights @ outer).reshape(-1, width, width)
    gram -= total[:, :, None] * centre[:, :, None] * centre[:, None]
    moment = (weights * y) @ design - total * level * centre
    return np.linalg.solve(gram + penalty * np.eye(width), moment[..., None])[..., 0]


def _left_out(design: Array, y: Array, penalty: float) -> float:
    """Sum of squared errors when each configuration is predicted by the others."""
    x = design - design.mean(0)
    solved = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T)
    leverage = np.einsum("np,pn->n", x, solved) + 1 / len(y)
    return float((((y - y.mean() - x @ (solved @ y)) / (1 - leverage)) ** 2).sum())


def _split(codes: Sequence[Codes], beta: Array) -> list[Array]:
    """Effects per parameter, centred over its levels; works on the last axis."""
    ends = np.cumsum([int(c.max()) + 1 for c in codes])[:-1]
    parts = np.split(beta, ends, axis=-1)
    return [part - part.mean(-1, keepdims=True) for part in parts]


def _shares(parts: Sequence[Array]) -> Array:
    """Share of each parameter in the sum, (parameters, ...); zeros where the sum is zero."""
    stacked = np.array(parts)
    total = stacked.sum(0)
    return np.divide(stacked, total, out=np.zeros_like(stacked), where=total > 0)


def departures(codes: Sequence[Codes], top: NDArray[np.bool_]) -> list[Array]:
    """How far the levels among the best differ from those among all, by Pearson's divergence.

    Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
    Arbitrary Subspaces" (2023), on levels instead of kernel densities.

    Parameters
    ----------
    codes : sequence of (draws, n) int64
    top : (draws, n) bool
        Which configurations are among the best.

    Returns
    -------
    list of (draws,)
    """
    result = []
    for code in codes:
        flags = code[..., None] == np.arange(int(code.max()) + 1)
        all_ = flags.mean(-2)
        best = (flags & top[..., None]).sum(-2) / top.sum(-1)[..., None]
        ratio = np.divide(best, all_, out=np.zeros_like(best), where=all_ > 0)
        result.append((all_ * (ratio - 1) ** 2).sum(-1))
    return result


def _top(y: Array) -> NDArray[np.bool_]:
    """The best fifth of each row of values, ties by position."""
    count = max(2, round(TOP_SHARE * y.shape[-1]))
    ranks = np.argsort(np.argsort(-y, axis=-1, kind="stable"), axis=-1, kind="stable")
    return ranks < count


def surrogate_importance(
    start: Sequence[Importance], codes: Sequence[Codes], y: Array, seed: int = 0
) -> tuple[Surrogate, list[Importance]]:
    """Additive and top-fifth shares with bootstrap intervals and what chance would give.

    Parameters
    ----------
    start : sequence of Importance
        To be completed, one per parameter.
    codes : sequence of (n,) int64
        Level of each of at least `FEWEST` configurations, one array per parameter.
    y : (n,) float64
    """
    rng, n = np.random.default_rng(seed), len(y)
    fitted, design = additive_surrogate(codes, y), _design(codes)
    picks = rng.integers(0, n, (DRAWS, n))
    weights = np.stack([np.bincount(p, minlength=n) for p in picks]).astype(np.float64)
    same, shuffled = np.tile(y, (DRAWS, 1)), rng.permuted(np.tile(y, (DRAWS, 1)), axis=1)

    def additive(values: Array, weights: Array) -> Array:
        beta = _ridge(design, values, weights, fitted.penalty)
        return _shares([part.var(-1) for part in _split(codes, beta)])

    def top(codes: Sequence[Codes], values: Array) -> Array:
        return _shares(departures(codes, _top(values)))

    ones = np.ones((DRAWS, n))
    shares = zip(
        additive(y[None], ones[:1])[:, 0], additive(same, weights),
        additive(shuffled, ones).mean(1), top([c[None] for c in codes], y[None])[:, 0],
        top([c[picks] for c in codes], y[picks]),
        top([np.tile(c, (DRAWS, 1)) for c in codes], shuffled).mean(1), strict=True,
    )  # fmt: skip
    result = [
        replace(
            one, additive=_estimate(value, drawn, n), additive_chance=float(chance),
            effect=float(effect.std()), top=_estimate(best, best_drawn, n),
            top_chance=float(best_chance),
        ) for one, effect, (value, drawn, chance, best, best_drawn, best_chance)
        in zip(start, fitted.effects, shares, strict=True)
    ]  # fmt: skip
    return fitted, result


def _estimate(value: float, draws: Array, n: int) -> Estimate:
    """Percentile interval, widened to hold the value: resampling makes small shares larger."""
    ends = percentile_interval(draws, 0.95)
    low, high = (float(value) if end is None else end for end in ends)
    return Estimate(float(value), min(low, float(value)), max(high, float(value)), n)
