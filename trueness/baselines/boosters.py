"""Boosting by LightGBM, XGBoost and CatBoost, each with as many trees as the validation part wants.

All trees are grown, and those after the lowest validation loss are left out, as the baseline
`boosting` does: what is chosen does not depend on a patience. One thread; the packages are loaded
when they are first used.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Generator, Sequence

import numpy as np

from trueness.baselines.catboost_trees import CatBoost
from trueness.baselines.fitted import Fitted, LightGBM, XGBoost
from trueness.baselines.inputs import Fit, Job
from trueness.errors import SpecError
from trueness.own import translate_errors

UNKNOWN = re.compile(r'Unknown parameter: (\S+)|Parameters: \{ "([^"]+)')
"""What LightGBM prints and XGBoost warns of, and then goes on."""


def lightgbm(job: Job) -> tuple[Fitted, str]:
    """Ke and others, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree" (2017)."""
    import lightgbm as package

    one, curve = job.model, {}
    settings = {
        "objective": "binary", "metric": "binary_logloss", "learning_rate": one.learning_rate,
        "num_leaves": one.num_leaves, "min_child_samples": one.min_child_samples,
        "reg_alpha": one.reg_alpha, "reg_lambda": one.reg_lambda, "subsample": one.subsample,
        "subsample_freq": int(one.subsample < 1), "colsample_bytree": one.colsample_bytree,
        "seed": job.seed, "num_threads": 1, "deterministic": True, "force_row_wise": True,
        "verbosity": 0, **one.params,
    }  # fmt: skip
    with _watched("LightGBM"):
        data = package.Dataset(job.train.x, job.train.y, params=settings)
        held = data.create_valid(job.validation.x, job.validation.y)
        model = package.train(
            settings, data, one.max_trees, [held],
            callbacks=[package.record_evaluation(curve)],
        )  # fmt: skip
    trees = _best(curve["valid_0"]["binary_logloss"])
    return LightGBM(model.model_to_string(num_iteration=trees), trees), _words(trees)


def xgboost(job: Job) -> tuple[Fitted, str]:
    """Chen and Guestrin, "XGBoost: A Scalable Tree Boosting System" (2016)."""
    import xgboost as package

    one, curve = job.model, {}
    settings = {
        "objective": "binary:logistic", "eval_metric": "logloss", "tree_method": "hist",
        "learning_rate": one.learning_rate, "max_depth": one.max_depth,
        "min_child_weight": one.min_child_weight, "gamma": one.gamma, "reg_alpha": one.reg_alpha,
        "reg_lambda": one.reg_lambda, "subsample": one.subsample,
        "colsample_bytree": one.colsample_bytree, "seed": job.seed, "nthread": 1, "verbosity": 1,
        **one.params,
    }  # fmt: skip
    with _watched("XGBoost"):
        data, held = (package.DMatrix(p.x, p.y, nthread=1) for p in (job.train, job.validation))
        model = package.train(
            settings, data, one.max_trees, evals=[(held, "held")], evals_result=curve,
            verbose_eval=False,
        )  # fmt: skip
    trees = _best(curve["held"]["logloss"])
    return XGBoost(bytes(model[:trees].save_raw("ubj")), trees), _words(trees)


def catboost(job: Job) -> tuple[Fitted, str]:
    """Prokhorenkova and others, "CatBoost: unbiased boosting with categorical features" (2018)."""
    import catboost as package

    one = job.model
    settings = {
        "loss_function": "Logloss", "iterations": one.max_trees,
        "learning_rate": one.learning_rate, "depth": one.depth, "l2_leaf_reg": one.l2_leaf_reg,
        "random_strength": one.random_strength, "bootstrap_type": "MVS",
        "subsample": one.subsample, "rsm": one.rsm, "random_seed": job.seed, "thread_count": 1,
        "allow_writing_files": False, "logging_level": "Silent", **one.params,
    }  # fmt: skip
    with _watched("CatBoost"):
        model = package.CatBoost(settings)
        held = (job.validation.x, job.validation.y)
        model.fit(job.train.x, job.train.y, eval_set=held, use_best_model=False)
    trees = _best(model.get_evals_result()["validation"]["Logloss"])
    return CatBoost.of(model, trees), _words(trees)


def _best(losses: Sequence[float]) -> int:
    """Number of trees with the lowest loss, of equal ones the fewest."""
    return int(np.argmin(losses)) + 1


def _words(trees: int) -> str:
    return f"{trees} trees"


@contextlib.contextmanager
def _watched(name: str) -> Generator[None]:
    """Turn what a package refuses, or does not know and would ignore, into one line."""
    printed = io.StringIO()
    with (
        translate_errors(name, "estimator_fit"),
        contextlib.redirect_stdout(printed),
        warnings.catch_warnings(record=True) as note,
    ):
        warnings.simplefilter("always")
        yield
    text = "\n".join([printed.getvalue(), *(str(one.message) for one in note)])
    if (unknown := UNKNOWN.search(text)) is not None:
        known = unknown[1] or unknown[2]
        raise SpecError(f"{name} has no parameter {known!r}; see its documentation",
                        "estimator_params")  # fmt: skip


FITS: dict[str, Fit] = {
    "lightgbm": lightgbm,
    "xgboost": xgboost,
    "catboost": catboost,
}
