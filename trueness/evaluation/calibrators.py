"""Maps from scores to probabilities, fitted on units that they are not used on.

All are classifiers and transformers of scikit-learn for two classes: ``fit(X, y)``,
``predict_proba(X)``, `predict`, `transform`, clone, pickle, pipelines. X holds one score per
example: (n,), (n, 1), or (n, k) with the score in the last column, as `predict_proba` of two
classes has it. ``input="probability"`` says that scores are probabilities, which must lie in
[0, 1]; others are taken as they are, as a map learns their scale. `fit` refuses fewer than two
examples of either class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, log_expit, logit
from sklearn.isotonic import IsotonicRegression

from trueness.evaluation.calibrator import Calibrator, Scale
from trueness.evaluation.venn_abers import values_of_one_more

Array = NDArray[np.float64]

PENALTY = 1e-10
"""On squared slopes of standardised scores: nearly none, but separable scores have an optimum."""
FLAT = 1e-12
"""Relative spread below which scores are taken as constant."""
COLDEST, HOTTEST = 0.01, 100.0


# ------------------------------------------------------------------------------------ by likelihood


def _logistic(x: Array, target: Array) -> tuple[Array, float]:
    """Slopes (d,) and intercept of logistic regression, by Newton steps with halving.

    Targets lie in [0, 1] with a mean inside. Columns without spread get slope 0.
    """
    centre, spread = x.mean(axis=0), x.std(axis=0)
    flat = spread <= FLAT * np.maximum(1, np.abs(centre))
    spread = np.where(flat, 1, spread)
    design = np.column_stack([np.where(flat, 0, (x - centre) / spread), np.ones(len(x))])
    penalty = np.append(np.full(x.shape[1], PENALTY), 0)

    def loss(w: Array) -> float:
        z = design @ w
        return float(np.mean(np.logaddexp(0, z) - target * z) + penalty @ w**2 / 2)

    w = np.append(np.zeros(x.shape[1]), logit(target.mean()))
    for _ in range(200):
        p = expit(design @ w)
        gradient = design.T @ (p - target) / len(x) + penalty * w
        hessian = (design.T * (p * (1 - p))) @ design / len(x) + np.diag(penalty + 1e-14)
        step, now = np.linalg.solve(hessian, gradient), loss(w)
        while loss(w - step) > now and np.abs(step).max() > 1e-12:
            step /= 2
        w = w - step
        if np.abs(step).max() <= 1e-12 * max(1, np.abs(w).max()):
            break
    slopes = np.where(flat, 0, w[:-1] / spread)
    return slopes, float(w[-1] - slopes @ centre)


class PlattScaling(Calibrator):
    """Logistic function of the logit: ``sigmoid(slope * logit + intercept)``.

    Platt, "Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized
    Likelihood Methods" (1999), by the Newton method of Lin, Lin and Weng, "A Note on Platt's
    Probabilistic Outputs for Support Vector Machines" (2007), with almost no penalty.

    Parameters
    ----------
    input : {"logit", "probability"}
        What the scores are.
    target_correction : bool
        Fit to ``(N+ + 1) / (N+ + 2)`` and ``1 / (N- + 2)`` in place of 1 and 0, which keeps small
        or separable samples from probabilities of 0 and 1.

    Attributes
    ----------
    slope_, intercept_ : float
        A negative slope turns the ranking around: the scores ranked worse than chance.
    classes_ : (2,)
    n_features_in_ : int
        Columns.

    Examples
    --------
    >>> scores, y = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 0, 1, 1])
    >>> PlattScaling().fit(scores, y).predict_proba([-2.0, 3.0])[:, 1].round(2)
    array([0.21, 0.79])
    """

    def __init__(self, input: Scale = "logit", target_correction: bool = True) -> None:
        super().__init__(input)
        self.target_correction = target_correction

    def _learn(self, scores: Array, labels: Array) -> None:
        if self.target_correction:
            positives = labels.sum()
            above, below = (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2)
            labels = np.where(labels == 1, above, below)
        slopes, self.intercept_ = _logistic(self._logits(scores)[:, None], labels)
        self.slope_ = float(slopes[0])

    def _log_odds(self, scores: Array) -> Array:
        return self.slope_ * self._logits(scores) + self.intercept_


class TemperatureScaling(Calibrator):
    """Logit divided by a temperature: ``sigmoid(logit / T)``; T = 1 changes nothing.

    It neither moves probability 0.5 nor changes the ranking. Guo, Pleiss, Sun and Weinberger, "On
    Calibration of Modern Neural Networks" (2017).

    Parameters
    ----------
    input : {"logit", "probability"}
        What the scores are.

    Attributes
    ----------
    temperature_ : float
        In [0.01, 100], of the smallest mean log loss, which is convex in 1 / T; above 1 if the
        scores were too sure of themselves, 1 if they are all 0.
    classes_ : (2,)
    n_features_in_ : int
        Columns.

    Examples
    --------
    >>> scores, y = np.array([-4.0, -4.0, -4.0, 4.0, 4.0, 4.0]), np.array([0, 0, 1, 0, 1, 1])
    >>> fitted = TemperatureScaling().fit(scores, y)
    >>> round(fitted.temperature_, 2)  # two of three: sigmoid(4 / 5.77) = 2/3
    5.77
    """

    def _learn(self, scores: Array, labels: Array) -> None:
        values = self._logits(scores)

        def slope(sharpness: float) -> float:
            return float(np.mean(values * (expit(sharpness * values) - labels)))

        low, high = 1 / HOTTEST, 1 / COLDEST
        if not values.any():
            self.temperature_ = 1.0
        elif slope(low) >= 0:
            self.temperature_ = HOTTEST
        elif slope(high) <= 0:
            self.temperature_ = COLDEST
        else:
            self.temperature_ = float(1 / brentq(slope, low, high))

    def _log_odds(self, scores: Array) -> Array:
        return self._logits(scores) / self.temperature_


class BetaCalibration(Calibrator):
    """``sigmoid(a ln p - b ln(1 - p) + c)`` of the probability p, with a, b >= 0.

    It holds the identity (a = b = 1, c = 0), sigmoids and their inverses, and stretches the two
    ends of [0, 1] differently. Kull, Silva Filho and Flach, "Beyond sigmoids: How to obtain
    well-calibrated probabilities from binary classifiers with beta calibration" (2017).

    Parameters
    ----------
    input : {"logit", "probability"}
        What the scores are.

    Attributes
    ----------
    a_, b_, c_ : float
        Of the largest likelihood. NOTE[DIFF]: the authors drop the first column whose coefficient
        is negative; here the best of the remaining columns is taken, which is the true optimum.
    classes_ : (2,)
    n_features_in_ : int
        Columns.

    Examples
    --------
    >>> scores, y = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 0, 1, 1])
    >>> fitted = BetaCalibration().fit(scores, y)
    >>> fitted.a_ >= 0 and fitted.b_ >= 0
    True
    """

    def _learn(self, scores: Array, labels: Array) -> None:
        columns = self._columns(scores)
        best = np.inf
        for kept in ([0, 1], [0], [1], []):  # the optimum lies inside one of the four faces
            slopes = np.zeros(2)
            slopes[kept], intercept = _logistic(columns[:, kept], labels)
            z = columns @ slopes + intercept
            loss = float(np.mean(np.logaddexp(0, z) - labels * z))
            if slopes.min() >= 0 and loss < best:
                best, (self.a_, self.b_), self.c_ = loss, slopes.tolist(), intercept

    def _log_odds(self, scores: Array) -> Array:
        return self._columns(scores) @ np.array([self.a_, self.b_]) + self.c_

    def _columns(self, scores: Array) -> Array:
        """Ln p and -ln(1 - p) of checked scores, (n, 2)."""
        z = self._logits(scores)
        return np.column_stack([log_expit(z), -log_expit(-z)])


# --------------------------------------------------------------------------------------- by ranking


class IsotonicCalibration(Calibrator):
    """Nondecreasing function of the score with the smallest squared error.

    Interpolated between the fitted scores, constant outside of them. Zadrozny and Elkan,
    "Transforming Classifier Scores into Accurate Multiclass Probability Estimates" (2002). It needs
    hundreds of positives; with few it learns the noise.

    Parameters
    ----------
    input : {"logit", "probability"}
        What the scores are; they are interpolated on their own scale.

    Attributes
    ----------
    regression_ : sklearn.isotonic.IsotonicRegression
    classes_ : (2,)
    n_features_in_ : int
        Columns.

    Examples
    --------
    >>> scores, y = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 0, 1, 1])
    >>> IsotonicCalibration().fit(scores, y).transform(np.array([-9.0, 0.0, 1.0, 1.5, 9.0]))
    array([0.  , 0.5 , 0.5 , 0.75, 1.  ])
    """

    def _learn(self, scores: Array, labels: Array) -> None:
        regression = IsotonicRegression(y_min=0, y_max=1, increasing=True, out_of_bounds="clip")
        self.regression_ = regression.fit(scores, labels)

    def _probability(self, scores: Array) -> Array:
        return np.clip(self.regression_.predict(scores), 0, 1) if len(scores) else scores


class VennAbersCalibration(Calibrator):
    """Two probabilities for each score, one of which is calibrated whatever the distribution.

    The inductive Venn-Abers predictor: the score joins the fitted ones once with label 0 and once
    with label 1; p0 and p1 are its values in the two isotonic regressions. If units are
    exchangeable, the one that belongs to the true label is calibrated. `predict_proba` merges them
    to ``p1 / (1 - p0 + p1)``, minimax for log loss. Vovk and Petej, "Venn-Abers predictors" (2012);
    Vovk, Petej and Fedorova, "Large-scale probabilistic predictors with and without guarantees of
    validity" (2015).

    Parameters
    ----------
    input : {"logit", "probability"}
        What the scores are; only their order matters.

    Attributes
    ----------
    scores_ : (k,) float64
        Distinct fitted scores, ascending.
    interval_ : (2 k + 1, 2) float64
        p0 and p1 below, at, and between them: rows 0, 2, ... lie in the gaps, 1, 3, ... at a score.
    classes_ : (2,)
    n_features_in_ : int
        Columns.

    Examples
    --------
    >>> scores, y = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 0, 1, 1])
    >>> fitted = VennAbersCalibration().fit(scores, y)
    >>> fitted.transform(np.array([0.5, 9.0]))
    array([0.5 , 0.75])
    """

    def _learn(self, scores: Array, labels: Array) -> None:
        self.scores_, index, weight = np.unique(scores, return_inverse=True, return_counts=True)
        positives = np.bincount(index, labels).astype(np.int64)
        self.interval_ = values_of_one_more(weight.tolist(), positives.tolist())

    def _probability(self, scores: Array) -> Array:
        at = np.searchsorted(self.scores_, scores)
        tied = self.scores_[np.minimum(at, len(self.scores_) - 1)] == scores
        p0, p1 = self.interval_[2 * at + tied].T
        return p1 / (1 - p0 + p1)


METHODS: dict[str, type[Calibrator]] = {
    "platt": PlattScaling,
    "isotonic": IsotonicCalibration,
    "temperature": TemperatureScaling,
    "beta": BetaCalibration,
    "venn_abers": VennAbersCalibration,
}
