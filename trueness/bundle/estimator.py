"""A bundle as a classifier of scikit-learn."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from trueness.bundle.classifying import TitlesPredictor
from trueness.bundle.predicting import Predictor
from trueness.document.numbers import plural
from trueness.errors import TruenessError


class BundleClassifier(ClassifierMixin, BaseEstimator):
    """Scores, probabilities and alarms of a bundle.

    Parameters
    ----------
    predictor : Predictor

    Attributes
    ----------
    classes_ : (2,)
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    @property
    def classes_(self) -> NDArray[np.int64]:
        """Labels: no event, event."""
        return np.array([0, 1])

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ANN401
        """Refuse: a bundle is fitted by `finalize`.

        Raises
        ------
        TruenessError
            With code ``fitted``.
        """
        del X, y
        raise _fitted()

    def decision_function(self, X: Any) -> NDArray[np.float64]:  # noqa: ANN401
        """Logits (n,) of all rows of a table in its order, or of the times of bars."""
        return self._frame(X)["score"].to_numpy()

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: ANN401
        """Probabilities (n, 2), calibrated where the bundle has a map."""
        frame = self._frame(X)
        name = "probability" if frame["calibrated"].null_count() else "calibrated"
        p = frame[name].to_numpy()
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> NDArray[np.int64]:  # noqa: ANN401
        """1 where the bundle's threshold raises an alarm, (n,)."""
        threshold = self.predictor.promise.threshold.score
        return (self.decision_function(X) >= threshold).astype(np.int64)

    def _frame(self, data: Any) -> pl.DataFrame:  # noqa: ANN401
        read = self.predictor.load({"data": data})
        result = self.predictor.predict(read, np.datetime64("0001-01-01"))
        if not result.numbered:
            return result.frame
        if (short := len(read.table) - len(result.frame)) > 0:
            raise TruenessError(f"{plural(short, 'row')} without enough rows before them in their "
                                "group; a classifier answers all", "short_groups")  # fmt: skip
        return result.frame.sort(pl.col("id").cast(pl.Int64))


class TextsClassifier(ClassifierMixin, BaseEstimator):
    """Labels and calibrated probabilities of a bundle on titles; X are texts (n,).

    Parameters
    ----------
    predictor : TitlesPredictor

    Attributes
    ----------
    classes_ : (K,) str
    """

    def __init__(self, predictor: TitlesPredictor) -> None:
        self.predictor = predictor

    @property
    def classes_(self) -> NDArray[np.str_]:
        """Names of the classes."""
        return np.array(self.predictor.promise.classes)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ANN401
        """Refuse: a bundle is fitted by `finalize`.

        Raises
        ------
        TruenessError
            With code ``fitted``.
        """
        del X, y
        raise _fitted()

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: ANN401
        """Calibrated probabilities (n, K)."""
        return self.predictor.probabilities(self.predictor.load({"data": _texts(X)}))

    def predict(self, X: Any) -> NDArray[np.str_]:  # noqa: ANN401
        """The likeliest class, (n,), also where the bundle would abstain."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _texts(titles: Any) -> Any:  # noqa: ANN401
    return titles.tolist() if isinstance(titles, np.ndarray) else titles


def _fitted() -> TruenessError:
    return TruenessError("a bundle is fitted already; `trueness finalize` makes another", "fitted")


def classifier_of(predictor: Predictor | TitlesPredictor) -> BundleClassifier | TextsClassifier:
    """The classifier of a bundle."""
    if isinstance(predictor, TitlesPredictor):
        return TextsClassifier(predictor)
    return BundleClassifier(predictor)
