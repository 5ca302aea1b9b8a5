"""The baselines that run before any network, and the same models with other settings.

They are base rate, one feature, logistic regression, forest and boosting. All see the same training
examples as the networks and hand back logits. What one has to choose (a feature, a penalty, a
number of trees) it chooses on the training part, or on the validation part where a network would
stop there.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logit
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trueness.baselines.arrays import Boosting, Forest, Linear, of_forest, of_histograms
from trueness.baselines.fitted import Constant, Fitted
from trueness.baselines.inputs import Fit, Job
from trueness.spec.estimator import PENALTIES


def base_rate(job: Job) -> tuple[Fitted, str]:
    """The proportion of positives in the training part."""
    rate = float(job.train.y.mean())
    return Constant(float(logit(rate))), f"{rate:.3f}"


def one_feature(job: Job) -> tuple[Fitted, str]:
    """The column whose ranks, in either direction, separate the training labels best."""
    train = job.train
    positives = int(train.y.sum())
    ranks = rankdata(train.x, axis=0)[train.y == 1].sum(axis=0)
    auc = (ranks - positives * (positives + 1) / 2) / (positives * (len(train.y) - positives))
    best = int(np.abs(auc - 0.5).argmax())
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e6, max_iter=1000))
    model.fit(train.x[:, [best]], train.y)
    sign = "high" if auc[best] > 0.5 else "low"
    return Linear.of(model, (best,)), f"{sign} {train.names[best]}"


def logistic(job: Job) -> tuple[Fitted, str]:
    """L2 logistic regression; the penalty that is given, or that with the best validation AUC."""
    C = job.model.C
    fits = []
    for penalty in PENALTIES if C is None else (C,):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=2000))
        model.fit(job.train.x, job.train.y)
        score = 0.0 if C is not None else roc_auc_score(
            job.validation.y, model.decision_function(job.validation.x)
        )  # fmt: skip
        fits.append((score, penalty, model))
    _, penalty, model = max(fits, key=lambda fit: fit[0])
    return Linear.of(model), f"C={penalty:g}"


def forest(job: Job) -> tuple[Fitted, str]:
    """Breiman, "Random Forests" (2001)."""
    one = job.model
    model = RandomForestClassifier(
        one.n_estimators, min_samples_leaf=one.min_samples_leaf,
        max_features="sqrt" if one.max_features is None else one.max_features,
        random_state=job.seed, n_jobs=1,
    )  # fmt: skip
    model.fit(job.train.x, job.train.y)
    return Forest(of_forest(model)), f"{one.n_estimators} trees"


def boosting(job: Job) -> tuple[Fitted, str]:
    """Histogram gradient boosting; as many trees as minimise the validation loss."""
    one = job.model
    model = HistGradientBoostingClassifier(
        learning_rate=one.learning_rate, max_iter=one.max_trees,
        max_leaf_nodes=one.max_leaf_nodes, min_samples_leaf=one.min_samples_leaf,
        l2_regularization=one.l2, max_features=one.max_features, early_stopping=False,
        random_state=job.seed,
    )  # fmt: skip
    model.fit(job.train.x, job.train.y)
    staged = model.staged_predict_proba(job.validation.x)
    costs = [log_loss(job.validation.y, p[:, 1], labels=[0, 1]) for p in staged]
    trees = int(np.argmin(costs)) + 1
    return Boosting(*of_histograms(model, trees)), f"{trees} trees"


FITS: dict[str, Fit] = {
    "base_rate": base_rate,
    "one_feature": one_feature,
    "logit": logistic,
    "forest": forest,
    "boosting": boosting,
}
