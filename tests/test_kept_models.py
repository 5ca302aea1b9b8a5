"""Scores of kept models equal those of the packages that fitted them, which they do not import."""

import json
import subprocess
import sys

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trueness.baselines import lightgbm_library, xgboost_library
from trueness.baselines.arrays import Boosting, Forest, Linear, of_forest, of_histograms
from trueness.baselines.catboost_trees import CatBoost
from trueness.baselines.column_forms import FORMS
from trueness.baselines.fitted import LightGBM, XGBoost, log_odds

CAT = {"loss_function": "Logloss", "iterations": 12, "depth": 4, "thread_count": 1,
       "allow_writing_files": False, "logging_level": "Silent"}  # fmt: skip
LIGHT = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
EXTREME = {"objective": "binary:logistic", "nthread": 1, "max_depth": 4}


def rows_of(seed, gaps=0.0, rows=300, columns=7):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)) ** 3
    y = (x[:, 0] + rng.normal(size=rows) > 0).astype(float)
    x[rng.random(x.shape) < gaps] = np.nan
    return x, y


def light(x, y, trees=12):
    booster = lightgbm.train(LIGHT, lightgbm.Dataset(x, y, params=LIGHT), trees)
    return booster, LightGBM(booster.model_to_string(), trees)


def extreme(x, y, trees=12):
    booster = xgboost.train(EXTREME, xgboost.DMatrix(x, y, nthread=1), trees)
    return booster, XGBoost(bytes(booster.save_raw("ubj")), trees)


# ---------------------------------------------------------------------------- by the C interface

CASES = (
    st.integers(0, 10**6), st.sampled_from([0.0, 0.3]), st.integers(1, 12),
    st.sampled_from(["C", "F"]), st.integers(0, 40),
)  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(*CASES)
def test_lightgbm_answers_as_the_package(seed, gaps, trees, order, rows):
    x, y = rows_of(seed, gaps)
    booster, _ = light(x, y)
    x = np.array(x[:rows], order=order)
    got = LightGBM(booster.model_to_string(), trees).logits(x)
    assert got.shape == (rows,)
    if rows:  # the package itself refuses to score nothing
        assert np.array_equal(got, booster.predict(x, raw_score=True, num_iteration=trees))


@settings(max_examples=15, deadline=None)
@given(*CASES)
def test_xgboost_answers_as_the_package(seed, gaps, trees, order, rows):
    x, y = rows_of(seed, gaps)
    booster, _ = extreme(x, y)
    x = np.array(x[:rows], order=order)
    for content in (booster.save_raw("ubj"), booster[:trees].save_raw("ubj")):
        got = XGBoost(bytes(content), trees).logits(x)
        assert got.shape == (rows,)
        if rows:  # the package warns of data without rows
            table, some = xgboost.DMatrix(x, nthread=1), (0, trees)
            theirs = booster.predict(table, output_margin=True, iteration_range=some)
            assert np.array_equal(got, theirs)


@settings(max_examples=12, deadline=None)
@given(*CASES, st.sampled_from(["SymmetricTree", "Depthwise", "Lossguide"]),
       st.sampled_from(["Min", "Max"]))  # fmt: skip
def test_catboost_answers_as_the_package(seed, gaps, trees, order, rows, policy, unknown):
    x, y = rows_of(seed, gaps)
    if not gaps:
        x[0, 0] = np.nan  # what is unknown is known to the model before it meets it
    model = catboost.CatBoost({**CAT, "grow_policy": policy, "nan_mode": unknown}).fit(x, y)
    x = np.array(x[:rows], order=order)
    got = kept_again(CatBoost.of(model, trees)).logits(x)
    assert got.shape == (rows,)
    if rows:
        theirs = model.predict(x, prediction_type="RawFormulaVal", ntree_end=trees)
        np.testing.assert_allclose(got, theirs, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("grown", "made", "nothing"),
    [(light, lightgbm_library.KeptBooster, "no model"), (extreme, xgboost_library.KeptBooster, b"{")],
)  # fmt: skip
def test_other_columns_and_other_content_are_refused(grown, made, nothing):
    x, y = rows_of(3)
    kept = grown(x, y)[1]
    with pytest.raises(ValueError):
        kept.logits(x[:, :5])
    with pytest.raises(ValueError):
        made(nothing)


# ------------------------------------------------------------------------------------- as arrays


def kept_again(fitted):
    kept, files = fitted.kept()
    return FORMS[fitted.form].opened(json.loads(json.dumps(kept)), files)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.2]), st.integers(0, 60), st.booleans())
def test_trees_answer_as_scikit_learn(seed, gaps, rows, learnt):
    """Gaps go the way that the estimators give them, whether these were fitted to gaps or not."""
    full, y = rows_of(seed, 0.0)
    holed = np.where(np.random.default_rng(seed).random(full.shape) < gaps, np.nan, full)
    train, x = holed if learnt else full, holed[:rows]
    forest = RandomForestClassifier(9, min_samples_leaf=3, random_state=0).fit(train, y)
    boosting = HistGradientBoostingClassifier(
        max_iter=9, min_samples_leaf=5, max_leaf_nodes=6, early_stopping=False
    ).fit(train, y)
    got = kept_again(Forest(of_forest(forest))).logits(x)
    assert got.shape == (rows,)
    assert kept_again(Boosting(*of_histograms(boosting, 5))).logits(x).shape == (rows,)
    if rows:  # scikit-learn refuses to score nothing
        assert np.array_equal(got, log_odds(forest.predict_proba(x)[:, 1]))
        for trees, theirs in enumerate(boosting.staged_decision_function(x), 1):
            got = kept_again(Boosting(*of_histograms(boosting, trees))).logits(x)
            assert np.array_equal(got, theirs.ravel())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 60), st.sampled_from([(), (2,), (4, 1)]))
def test_logistic_regression_answers_as_scikit_learn(seed, rows, columns):
    x, y = rows_of(seed)
    x[:, 3] = 1.5  # of no spread
    read = x[:, list(columns)] if columns else x
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(read, y)
    got = kept_again(Linear.of(model, columns)).logits(x[:rows])
    assert got.shape == (rows,)
    if rows:
        np.testing.assert_allclose(got, model.decision_function(read[:rows]), rtol=0, atol=1e-12)


def test_neighbouring_numbers_take_the_branch_that_they_take_in_a_forest():
    """A split lies between two numbers of 32 bits, to which columns are rounded first."""
    first = np.float32(0.1)
    steps = [first, *(np.nextafter(first, np.float32(end)) for end in (0, 1))]
    x = np.random.default_rng(0).choice(np.array(steps, np.float64), (200, 2))
    x += np.random.default_rng(1).choice([-1e-10, 0, 1e-10], x.shape)
    y = x[:, 0] > first
    forest = RandomForestClassifier(5, random_state=0).fit(x, y)
    theirs = log_odds(forest.predict_proba(x)[:, 1])
    assert np.array_equal(Forest(of_forest(forest)).logits(x), theirs)


def test_nodes_in_circles_are_refused():
    """They would be followed for ever."""
    x, y = rows_of(1)
    trees = of_forest(RandomForestClassifier(2, random_state=0).fit(x, y))
    trees.below[np.flatnonzero(~trees.is_leaf)[1]] = 0
    with pytest.raises(ValueError):
        kept_again(Forest(trees))


# -------------------------------------------------------------------------------- without packages


def test_the_packages_stay_unimported(tmp_path):
    x, y = rows_of(5, gaps=0.1)
    forest = Forest(of_forest(RandomForestClassifier(3, random_state=0).fit(x, y)))
    for i, fitted in enumerate((light(x, y)[1], extreme(x, y)[1], forest)):
        kept, files = fitted.kept()
        (name,) = files
        (tmp_path / name).write_bytes(files[name])
        program = (
            "import sys, pathlib, numpy as np\n"
            "from trueness.baselines.column_forms import FORMS\n"
            f"files = {{{name!r}: pathlib.Path({str(tmp_path / name)!r}).read_bytes()}}\n"
            f"one = FORMS[{fitted.form!r}].opened({kept!r}, files)\n"
            f"print(one.logits(np.zeros((1, {x.shape[1]})))[0])\n"
            "heavy = {'lightgbm', 'xgboost', 'sklearn', 'skops', 'pandas', 'torch'}\n"
            "assert not heavy & set(sys.modules)\n"
        )
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert (ended.returncode, ended.stderr) == (0, ""), i
        assert float(ended.stdout) == fitted.logits(np.zeros((1, x.shape[1])))[0]
