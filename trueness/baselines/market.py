"""The ladder for bars, which runs before any network.

Its rungs are base rate, one indicator, logistic regression, forest and boosting. All rungs see the
same training examples as the networks, each window as its last row and its column means, and hand
back logits. What a rung has to choose (an indicator, a penalty, a number of trees) it chooses on
the training part, or on the validation part where a network would stop there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trueness.examples import Examples
from trueness.spec import Spec
from trueness.spec.model import Baseline

Array: TypeAlias = NDArray[np.float64]
Rung: TypeAlias = "Callable[[Part, Part, Array, int], tuple[Array, str]]"

PENALTIES = (0.001, 0.01, 0.1, 1.0)
MAX_TREES = 200


@dataclass(frozen=True)
class Part:
    """Features (n, D) and labels (n,) of one part, and the names of the columns."""

    x: Array
    y: NDArray[np.uint8]
    names: tuple[str, ...]


@dataclass
class BaselineFit:
    """What a rung left behind.

    `logits` (F, N) are NaN where an example plays no part; `chosen` says what the rung chose in
    each fold.
    """

    spec: Spec
    logits: NDArray[np.float32]
    chosen: list[str]
    seconds: float


def window_features(examples: Examples, fold: int = 0) -> tuple[Array, tuple[str, ...]]:
    """Last row and column means of every window in a fold, (N, 2C), and their names.

    Windows of one row are that row, (N, C).
    """
    x = examples.x[examples.starts(fold)]
    if examples.context == 1:
        return x[:, 0].astype(np.float64), examples.features
    names = (*examples.features, *(f"mean of {name}" for name in examples.features))
    return np.column_stack([x[:, -1], x.mean(axis=1, dtype=np.float64)]).astype(np.float64), names


def fit_baseline(examples: Examples, one: Spec) -> BaselineFit:
    """Fit one rung in every fold.

    Parameters
    ----------
    examples : Examples
        N windows, F folds.
    one : Spec
        Its model is a `Baseline`.

    Returns
    -------
    BaselineFit
    """
    assert isinstance(one.model, Baseline)
    began, rung = time.perf_counter(), BASELINES[one.model.kind]
    x, names = window_features(examples)
    logits = np.full((examples.n_folds, len(x)), np.nan, np.float32)
    chosen = []
    for fold in range(examples.n_folds):
        if examples.offsets is not None:
            x, names = window_features(examples, fold)
        rows = [examples.members(part, fold) for part in ("train", "validation")]
        train, validation = (Part(x[i], examples.y[i], names) for i in rows)
        present = np.flatnonzero(examples.parts[fold])
        scores, what = rung(train, validation, x[present], one.seed)
        logits[fold, present] = scores
        chosen.append(what)
    return BaselineFit(one, logits, chosen, time.perf_counter() - began)


def _logits_of(model: Any, x: Array) -> Array:  # noqa: ANN401 - any scikit-learn classifier
    """Log-odds of a fitted classifier, finite for probabilities 0 and 1."""
    if hasattr(model, "decision_function"):
        return model.decision_function(x)
    return logit(model.predict_proba(x)[:, 1].clip(1e-4, 1 - 1e-4))


def _base_rate(train: Part, validation: Part, x: Array, seed: int) -> tuple[Array, str]:
    del validation, seed
    rate = float(train.y.mean())
    return np.full(len(x), logit(rate)), f"{rate:.3f}"


def _one_feature(train: Part, validation: Part, x: Array, seed: int) -> tuple[Array, str]:
    """The column whose ranks, in either direction, separate the training labels best."""
    del validation, seed
    positives = int(train.y.sum())
    ranks = rankdata(train.x, axis=0)[train.y == 1].sum(axis=0)
    auc = (ranks - positives * (positives + 1) / 2) / (positives * (len(train.y) - positives))
    best = int(np.abs(auc - 0.5).argmax())
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e6, max_iter=1000))
    model.fit(train.x[:, [best]], train.y)
    sign = "high" if auc[best] > 0.5 else "low"
    return model.decision_function(x[:, [best]]), f"{sign} {train.names[best]}"


def _logit(train: Part, validation: Part, x: Array, seed: int) -> tuple[Array, str]:
    """L2 logistic regression; the penalty with the best validation AUC."""
    del seed
    fits = []
    for penalty in PENALTIES:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=2000))
        model.fit(train.x, train.y)
        score = roc_auc_score(validation.y, model.decision_function(validation.x))
        fits.append((score, penalty, model))
    _, penalty, model = max(fits, key=lambda fit: fit[0])
    return model.decision_function(x), f"C={penalty:g}"


def _forest(train: Part, validation: Part, x: Array, seed: int) -> tuple[Array, str]:
    """Breiman, "Random Forests" (2001): 300 trees with at least 20 examples in a leaf."""
    del validation
    model = RandomForestClassifier(300, min_samples_leaf=20, random_state=seed, n_jobs=1)
    return _logits_of(model.fit(train.x, train.y), x), "300 trees"


def _boosting(train: Part, validation: Part, x: Array, seed: int) -> tuple[Array, str]:
    """Histogram gradient boosting; as many trees as minimise the validation loss."""
    model = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=MAX_TREES, max_leaf_nodes=8, min_samples_leaf=40,
        l2_regularization=1.0, early_stopping=False, random_state=seed,
    )  # fmt: skip
    model.fit(train.x, train.y)
    staged = model.staged_predict_proba(validation.x)
    costs = [log_loss(validation.y, p[:, 1], labels=[0, 1]) for p in staged]
    trees = int(np.argmin(costs)) + 1
    for scores in _take(model.staged_decision_function(x), trees):
        logits = scores
    return logits.ravel(), f"{trees} trees"


def _take(stages: Any, n: int) -> Any:  # noqa: ANN401 - an iterator of arrays
    return (stage for _, stage in zip(range(n), stages, strict=False))


BASELINES: dict[str, Rung] = {
    "base_rate": _base_rate,
    "one_feature": _one_feature,
    "logit": _logit,
    "forest": _forest,
    "boosting": _boosting,
}
