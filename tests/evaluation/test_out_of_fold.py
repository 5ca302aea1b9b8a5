"""Probabilities of units by maps that were fitted on others."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import brier_score_loss

from tests.evaluation.cases import refused
from tests.evaluation.test_calibrators import world
from trueness.evaluation import expected_calibration_error, out_of_fold_calibration
from trueness.evaluation.calibrators import METHODS


@pytest.mark.parametrize("method", METHODS)
def test_every_day_gets_the_map_of_other_days(method):
    score, y = world(300)
    p = out_of_fold_calibration(y, score, 3, method, gap=7)
    for block in range(3):
        inside = np.arange(300) // 100 == block
        others = (np.arange(300) < 100 * block - 7) | (np.arange(300) >= 100 * block + 107)
        expected = METHODS[method]().fit(score[others], y[others]).transform(score[inside])
        np.testing.assert_array_equal(p[inside], expected)
    middle = np.arange(93, 207)
    changed = y.copy()
    changed[middle] = 1 - changed[middle]  # neither its labels nor those next to it reach a block
    again = out_of_fold_calibration(changed, score, 3, method, gap=7)
    np.testing.assert_array_equal(again[100:200], p[100:200])


def test_blocks_by_name_and_days_in_any_order():
    score, y = world(200)
    year = np.repeat([2001, 2002, 2003, 2004], 50)
    day = np.datetime64("2001-01-01") + np.arange(200)
    plain = out_of_fold_calibration(y, score, 4, gap=3)
    np.testing.assert_array_equal(out_of_fold_calibration(y, score, year, gap=3), plain)
    order = np.random.default_rng(0).permutation(200)
    mixed = out_of_fold_calibration(y[order], score[order], 4, gap=3, time=day[order])
    np.testing.assert_allclose(mixed, plain[order], atol=1e-12)
    twice = out_of_fold_calibration(
        np.repeat(y, 2), np.repeat(score, 2), 4, "isotonic", gap=3, time=np.repeat(day, 2)
    )
    once = out_of_fold_calibration(y, score, 4, "isotonic", gap=3)
    np.testing.assert_allclose(twice[::2], once, atol=1e-12)


def days(kind, missing):
    given = np.arange(60).astype(kind)
    given[3] = missing
    return given


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"method": "magic"}, "choice"),
        ({"folds": 1}, "folds"),
        ({"folds": 61}, "folds"),
        ({"folds": 2.5}, "number"),
        ({"folds": "x"}, "number"),
        ({"folds": np.zeros(60)}, "folds"),
        ({"folds": np.zeros(3)}, "folds"),
        ({"gap": -1}, "number"),
        ({"gap": 0.5}, "number"),
        ({"gap": 60}, "few"),
        ({"time": np.arange(3)}, "length"),
        ({"time": days(float, np.nan)}, "missing"),
        ({"time": days("M8[D]", "NaT")}, "missing"),
        ({"time": days(object, None)}, "missing"),
    ],
)
def test_out_of_fold_refuses(arguments, code):
    score, y = world(60)
    with refused(code):
        out_of_fold_calibration(y, score, **arguments)


def test_a_fold_whose_logits_lie_between_0_and_1_is_fitted_like_the_others():
    score, y = world(90)
    score[30:60] = np.linspace(0.1, 0.9, 30)
    out_of_fold_calibration(y, score, np.repeat([0, 1, 0], 30), gap=0)


def test_calibration_repairs_shifted_scores_out_of_fold():
    score, y = world(3000)
    before = expected_calibration_error(y, expit(score))
    for method in ("platt", "isotonic", "beta", "venn_abers"):
        p = out_of_fold_calibration(y, score, method=method)
        assert expected_calibration_error(y, p) < before / 3
        assert brier_score_loss(y, p) < brier_score_loss(y, expit(score))
