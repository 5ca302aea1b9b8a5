"""What all calibrators have in common: scikit-learn's conventions, and the checks of scores."""

from __future__ import annotations

from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import Tags, assert_all_finite
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from trueness.evaluation.inputs import SMALLEST_PROBABILITY, InputError, choice, probabilities

Array = NDArray[np.float64]
Scale: TypeAlias = Literal["logit", "probability"]

LARGEST_SCORE = 1e100
FEWEST = 2
"""Examples of each class that a map can be fitted on."""


class Calibrator(ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator):
    """What all have in common; each learns in `_learn` and answers in `_log_odds`.

    Those whose answer is no sigmoid of something answer in `_probability` instead. Inheritance is
    how scikit-learn shares conventions.
    """

    classes_: NDArray[Any]
    n_features_in_: int

    def __init__(self, input: Scale = "logit") -> None:
        self.input = input

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn the map from scores and labels of two classes.

        Parameters
        ----------
        X : (n,) or (n, k)
        y : (n,)
            The larger of the two classes is the positive one.

        Raises
        ------
        InputError
            With the codes ``choice, scale, too_large, masked, labels, few``.
        ValueError
            As everywhere in scikit-learn, for what is no table of finite numbers.
        """
        choice("input", self.input, get_args(Scale))
        if y is None:
            raise InputError("requires y to be passed, but the target y is None", "labels")
        scores = self._scores(X, fitting=True)
        check_consistent_length(scores, y)
        self.classes_, labels = _two_classes(y)
        self._learn(scores, labels)
        return self

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of both classes, (n, 2)."""
        p = self._probability(self._scores(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The class with the larger probability, (n,)."""
        p = self._probability(self._scores(X))
        return self.classes_[(p > 0.5).astype(int)]

    def transform(self, X: ArrayLike) -> Array:
        """Probability of the positive class: (n,) of scores (n,), else (n, 1)."""
        p = self._probability(self._scores(X))
        return p if _dimensions(X) == 1 else p[:, None]

    _n_features_out = 1

    def _scores(self, X: ArrayLike, *, fitting: bool = False) -> Array:
        """Checked scores, (n,), on the scale that they came on."""
        if not fitting:
            check_is_fitted(self)
        if np.ma.isMaskedArray(X):
            raise InputError("masked scores; fill or drop them first", "masked")
        one = _dimensions(X) == 1 and (fitting or self.n_features_in_ == 1)
        table = validate_data(
            self, np.asarray(X)[:, None] if one else X, reset=fitting, dtype=np.float64,
            ensure_min_samples=int(fitting),
        )  # fmt: skip
        scores = table[:, -1]
        if len(scores) and np.abs(scores).max() > LARGEST_SCORE:
            raise InputError(f"scores beyond {LARGEST_SCORE:g}", "too_large")
        return probabilities(scores) if self.input == "probability" else scores

    def _logits(self, scores: Array) -> Array:
        """Checked scores on the scale of logits."""
        if self.input != "probability":
            return scores
        return logit(np.clip(scores, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))

    @available_if(lambda self: type(self)._log_odds is not Calibrator._log_odds)
    def decision_function(self, X: ArrayLike) -> Array:
        """Log-odds of the positive class, (n,); only of maps that are a sigmoid of something."""
        return self._log_odds(self._scores(X))

    def _probability(self, scores: Array) -> Array:
        return expit(self._log_odds(scores))

    def _learn(self, scores: Array, labels: Array) -> None:
        raise NotImplementedError

    def _log_odds(self, scores: Array) -> Array:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.poor_score = True  # one column says little of a problem of several
        tags.no_validation = True  # else it is a fault to take scores (n,); tests check the rest
        return tags


def _dimensions(X: ArrayLike) -> int:
    """Dimensions of scores, whatever holds them."""
    known = getattr(X, "ndim", None)
    return np.asarray(X).ndim if known is None else int(known)


def _two_classes(y: ArrayLike) -> tuple[NDArray[Any], Array]:
    """The two classes, and which labels are the larger one, (n,) float64."""
    if np.ma.isMaskedArray(y):
        raise InputError("masked labels; fill or drop them first", "masked")
    labels = column_or_1d(y, warn=True)
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    kind = type_of_target(labels, input_name="y")
    if kind != "binary":
        raise InputError(
            f"Only binary classification is supported. The type of the target is {kind}.", "labels"
        )
    classes, positive = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError(f"{len(labels)} examples of one class; two are needed", "few")
    counts = np.bincount(positive)
    if counts.min() < FEWEST:
        raise InputError(
            f"{counts[1]} positives and {counts[0]} negatives; a calibration needs at least "
            f"{FEWEST} of each class", "few",
        )  # fmt: skip
    return classes, positive.astype(np.float64)
