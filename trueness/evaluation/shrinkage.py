"""Precisions of many models, each shrunk towards what its siblings show.

The best of many precisions is too high: part of its lead is chance. If the true precisions scatter
around a common rate with some variance between runs, that variance can be estimated from all runs
together, and each of them keeps the part of its lead that such a scatter would explain. Robbins,
"An Empirical Bayes Approach to Statistics" (1956); Efron and Morris, "Data Analysis Using Stein's
Estimator and Its Generalizations" (1975).

The hits of a run are beta-binomial: ``p_i ~ Beta(m / v, (1 - m) / v)`` with rate m and scatter v,
``Var(p_i) = m (1 - m) v / (1 + v)``. Rate and scatter are those of maximum likelihood, in the form
of Griffiths, "Maximum Likelihood Estimation for the Beta-Binomial Distribution" (1973), which stays
exact down to v = 0. Zero is an answer: the counts then show no more spread than equal runs do, and
every run is drawn onto the pooled rate.

That is for published tables, where counts are all there is and runs are taken as independent.
Candidates whose predictions are at hand share their units and so their sampling error: how much of
their scatter is that, and how sure the pooled precision is, comes from joint draws
(`shrink_drawn`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, betaln, expit, logit, stdtrit

from trueness.evaluation.inputs import InputError, check_confidence
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.resampling import Resampled

Array = NDArray[np.float64]
SCATTERS = np.append(0.0, np.geomspace(1e-5, 1e3, 60))
SAME_HEIGHT = 1e-7
"""Log-likelihoods that differ by less are equal."""
UNLIKELY = 5.0
"""Log-likelihood below the largest at which the scatters of an interval end."""
NODES, NEGLIGIBLE, HALVINGS = 15, 1e-4, 22
"""Scatters, and rates for each, over which an interval averages; weights and widths left out."""
DEVIATIONS = 100
"""Standard deviations between models over which shrinkage averages."""
MANY, EDGE = 5_000, 1e-16
"""Alarms of a run from which sums become gamma functions; rates nearer to 0 and 1 are theirs."""


@dataclass(frozen=True)
class Shrunk:
    """Precisions drawn towards their pooled rate.

    Attributes
    ----------
    pooled : Estimate
        Rate around which the runs scatter; with the interval of its likelihood.
    variance : float
        Between runs; 0 if the counts show no more spread than equal runs would.
    estimates : list of Estimate
        One for each run, in order; `n` is the run's own number of alarms.
    """

    pooled: Estimate
    variance: float
    estimates: list[Estimate]

    @property
    def deviation(self) -> float:
        """Standard deviation of the true precisions between runs."""
        return self.variance**0.5

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


def shrink(hits: Sequence[float], alarms: Sequence[float], confidence: float = 0.95) -> Shrunk:
    """Empirical-Bayes estimates of binomial shares, for beta-binomial counts.

    Parameters
    ----------
    hits, alarms : (m,)
        0 <= hits <= alarms; means over seeds need not be whole. A run without alarms tells nothing
        and gets the pooled rate.
    confidence : float
        In (0, 1).

    Returns
    -------
    Shrunk
        The estimates are plug-in; their intervals average over the rates and scatters that the
        counts allow, weighted by their likelihood (uniform in the rate and in v / (1 + v)), as in
        Deely and Lindley, "Bayes Empirical Bayes" (1981). Without any alarms there is no rate.

    Examples
    --------
    >>> result = shrink([6, 4, 5, 3, 4], [7, 12, 13, 9, 10])
    >>> result.variance, round(result.pooled.value, 3), round(result.estimates[0].value, 3)
    (0.0, 0.431, 0.431)
    """
    try:
        k, n = (np.asarray(one) for one in (hits, alarms))
    except ValueError:
        raise InputError(
            "hits and alarms must be lists of numbers, one of each run", "dimensions"
        ) from None
    if any(one.size and one.dtype.kind not in "iuf" for one in (k, n)):
        raise InputError(f"hits are {k.dtype}, alarms are {n.dtype}; numbers are needed", "type")
    k, n = k.astype(np.float64), n.astype(np.float64)
    if k.shape != n.shape or k.ndim != 1 or not len(k):
        raise InputError(f"{k.size} hits for {n.size} runs; one of each run is needed", "length")
    if not ((k >= 0) & (k <= n) & np.isfinite(n)).all():
        raise InputError("0 <= hits <= alarms is needed of every run", "counts")
    check_confidence(confidence)
    if not n.any():
        nothing = Estimate(None, None, None, 0)
        return Shrunk(nothing, 0.0, [nothing] * len(k))
    likelihood = _Likelihood.of(k, n)
    rate, scatter = likelihood.best()
    keep = n * scatter / (1 + n * scatter)
    values = (1 - keep) * rate + keep * np.divide(k, n, out=np.zeros_like(k), where=n > 0)
    pooled, nodes = likelihood.allowed(n)
    ends = _quantiles(
        k[:, None] + nodes.rate / nodes.scatter,
        (n - k)[:, None] + (1 - nodes.rate) / nodes.scatter, nodes.weight, confidence,
    )  # fmt: skip
    estimates = [
        Estimate(float(v), float(min(low, v)), float(max(high, v)), round(of))
        for v, low, high, of in zip(values, *ends, n, strict=True)
    ]
    (low,), (high,) = _quantiles(*pooled, confidence)
    whole = Estimate(rate, float(min(low, rate)), float(max(high, rate)), round(n.sum()))
    return Shrunk(whole, rate * (1 - rate) * scatter / (1 + scatter), estimates)


def shrink_drawn(models: Sequence[Resampled], confidence: float = 0.95) -> Shrunk:
    """Empirical-Bayes estimates of precisions on the same units, from their joint draws.

    Each model keeps ``variance / (variance + error²)`` of its lead over the mean, averaged over the
    variances between models that their values allow. The error of what is shown is its spread over
    the draws, plus what shrinkage leaves open: ``(1 - kept) * variance``, and how much what is kept
    differs between these variances. Morris, "Parametric Empirical Bayes Inference" (1983).

    Parameters
    ----------
    models : sequence of m Resampled
        Of `precision_draws`; a model without an alarm is left at the mean.
    confidence : float
        In (0, 1).

    Returns
    -------
    Shrunk
        Intervals are Student's, inside [0, 1]; None where there are no draws.

    Examples
    --------
    >>> draws = np.random.default_rng(0).normal(0, 0.1, (3, 1000))
    >>> models = [Resampled(p, p + d, 30, 30) for p, d in zip([0.4, 0.5, 0.9], draws)]
    >>> [round(one.value, 2) for one in shrink_drawn(models).estimates]
    [0.42, 0.51, 0.86]
    """
    check_confidence(confidence)
    there = [one for one in models if np.isfinite(one.value)]
    there = [one for one in there if np.isfinite(one.draws).all()] or there
    if not there:
        nothing = Estimate(None, None, None, 0)
        return Shrunk(nothing, 0.0, [nothing] * len(models))
    values, draws = np.array([one.value for one in there]), np.array([one.draws for one in there])
    mean, mean_draws = float(values.mean()), draws.mean(axis=0)
    smoothed = [(one.value * one.n + 1) / (one.n + 2) for one in there]
    least = np.array([p * (1 - p) / one.n for p, one in zip(smoothed, there, strict=True)])
    apart = np.maximum((draws - mean_draws).var(axis=1), least * (1 - 1 / len(there)))
    between, weight = _between(values - mean, apart)
    total = between + apart[:, None]
    keeps = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    kept = keeps @ weight
    shrunk = mean_draws + kept[:, None] * (draws - mean_draws)
    open_ = ((1 - keeps) * between) @ weight + np.square(values - mean) * (
        np.square(keeps - kept[:, None]) @ weight
    )
    critical = float(stdtrit(min(one.freedom for one in there), (1 + confidence) / 2))
    error = critical * np.sqrt(shrunk.var(axis=1) + open_)
    pooled = _inside(mean, critical * float(mean_draws.std()), sum(one.n for one in there))
    known = {
        id(one): _inside(value, half, one.n)
        for one, value, half in zip(there, mean + kept * (values - mean), error, strict=True)
    }
    without = replace(pooled, n=0)
    variance = float(between @ weight)
    return Shrunk(pooled, variance, [known.get(id(one), without) for one in models])


def _between(apart: Array, error: Array) -> tuple[Array, Array]:
    """Variances between models, (nodes,), and how well each fits deviations from the mean (m,).

    Weighted by their likelihood, uniform in the standard deviation; none with a single model.
    """
    if len(apart) < 2 or not np.isfinite(error).all():
        return np.zeros(1), np.ones(1)
    deviation = np.linspace(0, 2 * max(float(np.abs(apart).max()), 1e-9), DEVIATIONS)
    total = np.square(deviation) + error[:, None]
    height = -0.5 * (np.log(total) + np.square(apart)[:, None] / total).sum(axis=0)
    weight = np.exp(height - height.max())
    return np.square(deviation), weight / weight.sum()


def _inside(value: float, half: float, n: int) -> Estimate:
    """Value ± half on the scale of log-odds; clipped at 0 and 1, where they have no end."""
    if not np.isfinite(half):
        return Estimate(float(value), None, None, n)
    if not 0 < value < 1:
        return Estimate(float(value), float(max(0, value - half)), float(min(1, value + half)), n)
    width = half / (value * (1 - value))
    low, high = expit(logit(value) + np.array([-width, width])).tolist()
    return Estimate(float(value), low, high, n)


@dataclass(frozen=True)
class _Nodes:
    """Rates and scatters that the counts allow, (nodes,) each, with weights that sum to 1."""

    rate: Array
    scatter: Array
    weight: Array


@dataclass(frozen=True)
class _Likelihood:
    """Log-likelihood of (rate, scatter), as sums over i = 0, 1, ...

    ``A_i log(m + i v) + B_i log(1 - m + i v) - C_i log(1 + i v)`` with the numbers of runs that
    have more than i hits, more than i false alarms, more than i alarms; a run with a fraction of a
    hit counts in part. With `many` alarms the counts are those of each run, (m,), and the sums a
    ratio of beta functions: the time does not grow with the alarms, and small scatters are less
    exact.
    """

    hits: Array
    false: Array
    alarms: Array
    many: bool = False

    @classmethod
    def of(cls, k: Array, n: Array, most: int = MANY) -> _Likelihood:
        """Of the hits and alarms of runs; sums up to so many alarms of a run."""
        if n.max() > most:
            return cls(k, n - k, n, True)
        steps = np.arange(int(np.ceil(n.max())))[:, None]
        return cls(*(np.clip(x - steps, 0, 1).sum(axis=1) for x in (k, n - k, n)))

    def __call__(self, rate: Array | float, scatter: Array | float) -> Array:
        """For rates and scatters that broadcast against each other."""
        m, v = (np.asarray(x, np.float64)[..., None] for x in (rate, scatter))
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._by_beta(m, v) if self.many else self._by_sums(m, v)

    def _by_sums(self, m: Array, v: Array) -> Array:
        step = v * np.arange(len(self.alarms))
        return sum(
            np.where(counts > 0, sign * counts * np.log(argument), 0.0).sum(axis=-1)
            for sign, counts, argument in (
                (1, self.hits, m + step), (1, self.false, 1 - m + step), (-1, self.alarms, 1 + step)
            )
        )  # fmt: skip

    def _by_beta(self, m: Array, v: Array) -> Array:
        m = np.clip(m, EDGE, 1 - EDGE)
        a, b = m / v, (1 - m) / v
        spread = betaln(a + self.hits, b + self.false) - betaln(a, b)
        equal = self.hits * np.log(m) + self.false * np.log1p(-m)
        return np.where(v > 0, spread, equal).sum(axis=-1)

    def rate(self, scatter: float) -> float:
        """The likeliest rate for a scatter; the likelihood is concave in it."""
        if not self.hits.any() or not self.false.any():
            return float(self.hits.any())
        if scatter == 0:
            return float(self.hits.sum() / self.alarms.sum())
        return _at_largest(lambda rate: self(rate, scatter), (0.0, 1.0))

    def profile(self, scatter: float) -> float:
        """Log-likelihood at the likeliest rate."""
        return float(self(self.rate(scatter), scatter))

    @cached_property
    def heights(self) -> Array:
        """Profile at each of `SCATTERS`."""
        return np.array([self.profile(scatter) for scatter in SCATTERS])

    def best(self) -> tuple[float, float]:
        """Rate and scatter of maximum likelihood; scatter 0 wins a draw."""
        heights = self.heights
        if heights[0] >= heights.max() - SAME_HEIGHT:
            return self.rate(0.0), 0.0
        top = int(np.argmax(heights))
        around = SCATTERS[top - 1], SCATTERS[min(top + 1, len(SCATTERS) - 1)]
        scatter = _at_largest(self.profile, around)
        return self.rate(scatter), scatter

    def allowed(self, n: Array) -> tuple[tuple[Array, Array, Array], _Nodes]:
        """The rate as a mixture of beta distributions, and (rate, scatter) as weighted nodes.

        For each scatter the likelihood of the rate is close to a beta distribution with the counts
        that dependent alarms are worth; its quantiles are the nodes, which the likelihood weighs.
        """
        (near,) = np.nonzero(self.heights > self.heights.max() - UNLIKELY)
        ends = SCATTERS[[max(near[0] - 1, 0), min(near[-1] + 1, len(SCATTERS) - 1)]]
        low, high = ends / (1 + ends)
        share = low + (high - low) * (np.arange(NODES) + 0.5) / NODES
        scatter = share / (1 - share)
        effective_size = (n / (1 + np.maximum(n - 1, 0) * share[:, None])).sum(axis=1)
        likeliest = np.array([self.rate(s) for s in scatter])
        alpha, beta = 1 + likeliest * effective_size, 1 + (1 - likeliest) * effective_size
        quantile = (np.arange(NODES) + 0.5) / NODES
        rate = betaincinv(alpha[:, None], beta[:, None], quantile)
        log_weight = self(rate, scatter[:, None]) - _log_density(rate, alpha, beta)
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        some = weight > NEGLIGIBLE
        kept = _Nodes(
            rate[some], np.broadcast_to(scatter[:, None], rate.shape)[some],
            weight[some] / weight[some].sum(),
        )  # fmt: skip
        return (alpha[None], beta[None], weight.sum(axis=1)), kept


def _at_largest(function: Callable[[float], Any], bounds: tuple[float, float]) -> float:
    """Where a function of one peak is largest."""
    from scipy.optimize import minimize_scalar  # an eighth of a second; kept results need it not

    result = minimize_scalar(
        lambda x: -function(x), bounds=bounds, method="bounded", options={"xatol": 1e-9}
    )
    return float(result.x)


def _log_density(x: Array, alpha: Array, beta: Array) -> Array:
    """Of beta distributions, (m,) parameters, at (m, nodes)."""
    a, b = alpha[:, None], beta[:, None]
    return (a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - betaln(a, b)


def _quantiles(alpha: Array, beta: Array, weight: Array, confidence: float) -> tuple[Array, Array]:
    """Central intervals of mixtures of beta distributions, (m, nodes) -> (m,) and (m,).

    By bisection; equal rows are computed once.
    """
    rows, back = np.unique(np.hstack([alpha, beta]), axis=0, return_inverse=True)
    a, b = np.split(rows, 2, axis=1)
    ends = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        low, high = np.zeros(len(rows)), np.ones(len(rows))
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = betainc(a, b, middle[:, None]) @ weight < tail
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        ends.append(((low + high) / 2)[back])
    return ends[0], ends[1]
