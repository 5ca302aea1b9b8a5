"""Calibrators against oracles, and against the conventions of scikit-learn."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from tests.evaluation.cases import refused
from trueness.evaluation import (
    BetaCalibration,
    IsotonicCalibration,
    PlattScaling,
    TemperatureScaling,
    VennAbersCalibration,
)
from trueness.evaluation.calibrator import Calibrator
from trueness.evaluation.calibrators import METHODS

ALL = list(METHODS.values())
PARAMETRIC = [PlattScaling, TemperatureScaling, BetaCalibration]


def world(n=400, slope=0.6, shift=-1.0, seed=0):
    """Logits and labels of a world whose true logit is slope * score + shift."""
    rng = np.random.default_rng(seed)
    score = rng.normal(0.3, 1.5, n)
    return score, (rng.random(n) < expit(slope * score + shift)).astype(np.uint8)


def nll(y, z):
    return float(np.mean(np.logaddexp(0, z) - y * z))


@st.composite
def cases(draw):
    """Scores, often tied or constant, with at least two labels of each kind."""
    n = draw(st.integers(4, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["plain", "tied", "constant", "wide", "separable"]))
    y = rng.permutation(np.r_[0, 0, 1, 1, rng.integers(0, 2, n - 4)])
    score = {
        "plain": rng.standard_normal(n),
        "tied": rng.integers(-2, 3, n).astype(float),
        "constant": np.full(n, rng.normal()),
        "wide": rng.standard_normal(n) * 10.0 ** rng.integers(-8, 9),
        "separable": y * 2.0 - 1 + 0.1 * rng.random(n),
    }[kind]
    return score, y


# ----------------------------------------------------------------------------------------- oracles


@given(cases())
def test_platt_without_correction_is_unpenalised_logistic_regression(case):
    score, y = case
    if score.std() == 0 or np.abs(score).max() > 100:
        return
    positive, negative = score[y == 1], score[y == 0]
    if positive.min() >= negative.max() or negative.min() >= positive.max():
        return  # no finite optimum
    ours = PlattScaling(target_correction=False).fit(score, y)
    theirs = LogisticRegression(C=1e12, tol=1e-12, max_iter=10000, solver="newton-cholesky")
    theirs.fit((score / score.std())[:, None], y)
    np.testing.assert_allclose(
        ours.transform(score), theirs.predict_proba((score / score.std())[:, None])[:, 1], atol=2e-5
    )


def test_platt_with_correction_minimises_the_corrected_loss():
    score, y = world(60)
    k = y.sum()
    target = np.where(y == 1, (k + 1) / (k + 2), 1 / (len(y) - k + 2))
    best = minimize(lambda w: nll(target, w[0] * score + w[1]), [0.0, 0.0], tol=1e-12)
    fitted = PlattScaling().fit(score, y)
    assert (fitted.slope_, fitted.intercept_) == pytest.approx(tuple(best.x), abs=1e-4)
    assert nll(target, fitted.slope_ * score + fitted.intercept_) <= best.fun + 1e-12


def test_platt_recovers_the_truth():
    score, y = world(200_000)
    fitted = PlattScaling().fit(score, y)
    assert fitted.slope_ == pytest.approx(0.6, abs=0.02)
    assert fitted.intercept_ == pytest.approx(-1, abs=0.02)


def test_platt_keeps_separable_scores_off_zero_and_one():
    score, y = np.array([-3.0, -3, 2, 2]), np.array([0, 0, 1, 1])
    p = PlattScaling().fit(score, y).transform(score)
    # two of each: targets are (2 + 1) / (2 + 2) = 3/4 and 1/4
    np.testing.assert_allclose(p, [0.25, 0.25, 0.75, 0.75], atol=1e-9)


@given(cases(), st.sampled_from(["logit", "probability"]))
def test_isotonic_equals_scikit_learn(case, kind):
    score, y = case
    if kind == "probability":
        score = expit(score)
    new = np.sort(np.r_[score, score + 0.01, 0.5])
    new = np.clip(new, 0, 1) if kind == "probability" else new
    ours = IsotonicCalibration(kind).fit(score, y).transform(new)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(score, y).predict(new)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert (np.diff(ours) >= -1e-12).all()


@given(cases())
def test_temperature_equals_a_fine_search(case):
    score, y = case
    fitted = TemperatureScaling().fit(score, y)
    assert 0.01 <= fitted.temperature_ <= 100
    reached = nll(y, score / fitted.temperature_)
    assert reached <= min(nll(y, score / t) for t in np.geomspace(0.01, 100, 400)) + 1e-9


def test_temperature_one_is_the_identity_and_calibrated_scores_get_it():
    score, y = world(200_000, slope=1, shift=0)
    fitted = TemperatureScaling().fit(score, y)
    assert fitted.temperature_ == pytest.approx(1, abs=0.02)
    for kind, values in (("logit", score), ("probability", expit(score))):
        one = TemperatureScaling(kind).fit(values, y)
        one.temperature_ = 1.0
        np.testing.assert_allclose(one.transform(values), expit(score), atol=1e-7)
    assert TemperatureScaling().fit(3 * score, y).temperature_ == pytest.approx(
        3 * fitted.temperature_, rel=1e-6
    )
    assert TemperatureScaling().fit(np.zeros(4), [0, 0, 1, 1]).temperature_ == 1
    assert TemperatureScaling().fit(-score, y).temperature_ == 100  # nothing better than one half


@given(cases())
def test_beta_equals_a_brute_force_optimum(case):
    score, y = case
    if np.abs(score).max() > 30:
        return
    fitted = BetaCalibration().fit(score, y)
    assert fitted.a_ >= 0
    assert fitted.b_ >= 0
    low, high = -np.logaddexp(0, -score), np.logaddexp(0, score)

    def loss(w):
        return nll(y, w[0] * low + w[1] * high + w[2])

    bounds = [(0, 1e4), (0, 1e4), (None, None)]
    best = minimize(loss, [1.0, 1.0, 0.0], method="L-BFGS-B", bounds=bounds)
    assert loss([fitted.a_, fitted.b_, fitted.c_]) <= best.fun + 1e-6


def test_beta_holds_the_identity_and_a_curve_that_platt_cannot_follow():
    rng = np.random.default_rng(5)
    p = rng.random(200_000)
    fitted = BetaCalibration("probability").fit(p, rng.random(len(p)) < p)
    assert (fitted.a_, fitted.b_, fitted.c_) == pytest.approx((1, 1, 0), abs=0.03)
    y = (rng.random(len(p)) < p**2).astype(int)  # ln(p^2) is 2 ln p: a = 2, roughly
    beta, platt = (c("probability").fit(p, y).transform(p) for c in (BetaCalibration, PlattScaling))
    assert np.abs(beta - p**2).mean() < 0.5 * np.abs(platt - p**2).mean()


def _interval(fitted, score):
    """Probabilities p0 <= p1 of scores."""
    tied = np.isin(score, fitted.scores_)
    return fitted.interval_[2 * np.searchsorted(fitted.scores_, score) + tied].T


@given(cases())
def test_venn_abers_equals_refitting_for_every_point(case):
    score, y = case
    new = np.r_[score, score[:3] + 1e-3, score.min() - 1, score.max() + 1]
    fitted = VennAbersCalibration().fit(score, y)
    p0, p1 = _interval(fitted, new)
    assert fitted.transform(new) == pytest.approx(p1 / (1 - p0 + p1))
    for x, low, high in zip(new, p0, p1, strict=True):
        # scores become ranks, because IsotonicRegression merges scores that are nearly equal
        grown = np.unique(np.r_[score, x], return_inverse=True)[1]
        for label, actual in ((0, low), (1, high)):
            refitted = IsotonicRegression().fit(grown, np.r_[y, label]).predict(grown[-1:])
            assert actual == pytest.approx(refitted[0], abs=1e-9)
    assert (p0 < p1).all()


def test_venn_abers_is_calibrated_however_few_days_it_sees():
    rng = np.random.default_rng(6)
    chosen, lows, highs, labels = [], [], [], []
    for _ in range(1500):
        score = rng.standard_normal(25)
        y = (rng.random(25) < expit(1.5 * score - 0.5)).astype(int)
        y[:4] = 0, 0, 1, 1  # both kinds, in every draw at the same places
        order = rng.permutation(25)
        score, y = score[order], y[order]
        fit = np.arange(25) < 24
        if min(y[fit].sum(), 24 - y[fit].sum()) < 2:
            continue
        p0, p1 = _interval(VennAbersCalibration().fit(score[fit], y[fit]), score[~fit])
        chosen.append(p1[0] if y[-1] else p0[0])
        lows.append(p0[0])
        highs.append(p1[0])
        labels.append(y[-1])
    chosen, labels = np.array(chosen), np.array(labels)
    assert np.mean(lows) < labels.mean() < np.mean(highs)
    for low, high in ((0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.01)):
        part = (chosen >= low) & (chosen < high)
        error = 0.5 / np.sqrt(part.sum())
        assert abs(labels[part].mean() - chosen[part].mean()) < 4 * error


# -------------------------------------------------------------------------------------- properties


@pytest.mark.parametrize("make", ALL)
@given(case=cases())
def test_outputs_are_probabilities_that_rise_with_the_score(make, case):
    score, y = case
    fitted = make().fit(score, y)
    new = np.sort(np.r_[score, -1e9, -40, 0, 40, 1e9])
    p = fitted.transform(new)
    assert p.shape == new.shape
    assert ((p >= 0) & (p <= 1)).all()
    falling = make is PlattScaling and fitted.slope_ < 0
    assert (np.diff(p) * (-1 if falling else 1) >= -1e-9).all()
    if np.ptp(score) == 0 and make not in (TemperatureScaling, VennAbersCalibration):
        prior = y.mean() if make is not PlattScaling else None
        assert fitted.transform(score) == pytest.approx(
            prior or fitted.transform(score)[0], abs=1e-6
        )


@pytest.mark.parametrize("make", ALL)
def test_clone_pickle_and_parameters(make):
    score, y = world(80)
    fitted = make(input="probability").fit(expit(score), y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(expit(score)), fitted.transform(expit(score)))
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params()
    assert fresh.get_params()["input"] == "probability"
    for method in ("transform", "predict", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(fresh, method)(expit(score))
    assert fresh.set_params(input="logit").fit(score, y) is fresh


@pytest.mark.parametrize("make", ALL)
def test_zero_one_float32_lists_and_nothing(make):
    p = np.array([0, 0, 0.2, 0.5, 0.5, 0.9, 1, 1], np.float32)
    y = np.array([0, 0, 0, 1, 0, 1, 1, 1], bool)
    fitted = make("probability").fit(p, y)
    out = fitted.transform([0.0, 1.0])
    assert out.dtype == np.float64
    assert 0 <= out[0] < out[1] <= 1
    assert fitted.transform(np.array([])).shape == (0,)
    assert fitted.predict_proba(np.empty((0, 1))).shape == (0, 2)
    assert np.isfinite(make("probability").fit(np.round(p), y).transform(p)).all()


@pytest.mark.parametrize("make", PARAMETRIC)
def test_probabilities_and_their_logits_give_the_same_map(make):
    score, y = world(100)
    from_logits = make().fit(score, y).transform(score)
    from_probability = make("probability").fit(expit(score), y).transform(expit(score))
    np.testing.assert_allclose(from_logits, from_probability, atol=1e-6)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(
    ("scores", "y", "code"),
    [
        ([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 2], "labels"),
        ([0.1, 0.2, 0.3, 0.4], None, "labels"),
        ([0.1, 0.2, 0.3, 0.4], [1, 1, 1, 1], "few"),
        ([0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0], "few"),
        ([0.1, 0.2], [1, 0], "few"),
        ([0.1, 0.2, 0.3, 1e101], [1, 0, 0, 1], "too_large"),
        (np.ma.array([0.1, 0.2, 0.3, 0.4]), [1, 0, 0, 1], "masked"),
        ([0.1, 0.2, 0.3, 0.4], np.ma.array([1, 0, 0, 1]), "masked"),
    ],
)
def test_fit_refuses(make, scores, y, code):
    with refused(code):
        make().fit(scores, y)


@pytest.mark.filterwarnings("ignore:The number of unique classes is greater")
@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(
    ("scores", "y"),
    [
        ([0.1, np.nan, 0.3, 0.4], [0, 1, 0, 1]),
        ([0.1, -np.inf, 0.3, 0.4], [0, 1, 0, 1]),
        ([0.1, 0.2, 0.3], [0, 1, 0, 1]),
        ([0.1, 0.2, 0.3, 0.4], [0.5, 0.1, 0.2, 0.3]),
        ([0.1, 0.2, 0.3, 0.4], [0, 1, np.nan, 1]),
        ([[[0.1]], [[0.2]]], [1, 0]),
        (["a", "b", "c", "d"], [1, 0, 0, 1]),
        ([1j, 2j, 3j, 4j], [1, 0, 0, 1]),
        ([], []),
    ],
)
def test_fit_refuses_as_scikit_learn_does(make, scores, y):
    with pytest.raises(ValueError):
        make().fit(np.array(scores), np.array(y))


@pytest.mark.parametrize("make", ALL)
def test_predict_refuses_what_fit_would(make):
    score, y = world(50)
    fitted = make("probability").fit(expit(score), y)
    with refused("scale"):
        fitted.predict_proba([0.3, 1.2])
    with pytest.raises(ValueError):
        fitted.predict_proba([np.nan])
    with pytest.raises(ValueError, match="2 features"):
        fitted.predict_proba([[0.3, 0.7]])
    with refused("scale"):
        make("probability").fit(score, y)
    for input in ("percent", "score"):
        with refused("choice"):
            make(input).fit(score, y)


# ------------------------------------------------------------------------- among other estimators


@parametrize_with_checks([make() for make in ALL])
def test_conventions_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("make", ALL)
def test_the_checks_that_are_set_aside_pass_but_for_scores_of_one_dimension(make, monkeypatch):
    """`no_validation` is set because of one of them, `check_fit1d`, and skips others with it."""
    plain = Calibrator.__sklearn_tags__

    def strict(self):
        tags = plain(self)
        tags.no_validation = False
        return tags

    monkeypatch.setattr(Calibrator, "__sklearn_tags__", strict)
    results = check_estimator(
        make(), expected_failed_checks={"check_fit1d": "scores may be (n,)"}, on_skip=None
    )
    failed = [one["check_name"] for one in results if one["status"] in ("failed", "xfail")]
    assert failed == ["check_fit1d"]
    assert len(results) > 60


@pytest.mark.parametrize("make", ALL)
def test_a_column_is_as_good_as_an_array(make):
    score, y = world(90)
    flat, column = make().fit(score, y), make().fit(score[:, None], y)
    assert flat.n_features_in_ == column.n_features_in_ == 1
    for one in (flat, column):
        np.testing.assert_array_equal(one.transform(score), flat.transform(score))
        np.testing.assert_array_equal(one.transform(score[:, None])[:, 0], flat.transform(score))
        assert one.predict_proba(score[:, None]).shape == (90, 2)
    pair = make("probability").fit(np.column_stack([1 - expit(score), expit(score)]), y)
    alone = make("probability").fit(expit(score), y)
    both = pair.predict_proba(np.column_stack([1 - expit(score), expit(score)]))
    np.testing.assert_array_equal(both, alone.predict_proba(expit(score)))
    with pytest.raises(ValueError, match="Reshape your data"):
        pair.predict_proba(expit(score))


@pytest.mark.parametrize("make", ALL)
def test_answers_agree_with_each_other(make):
    score, y = world(200)
    names = np.array(["fell", "rose"])[y]
    fitted = make().fit(score, names)
    proba = fitted.predict_proba(score)
    np.testing.assert_array_equal(fitted.classes_, ["fell", "rose"])
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_array_equal(proba[:, 1], fitted.transform(score))
    np.testing.assert_array_equal(proba[:, 1], make().fit(score, y).transform(score))
    np.testing.assert_array_equal(
        fitted.predict(score), np.where(proba[:, 1] > 0.5, "rose", "fell")
    )
    if make in PARAMETRIC:
        np.testing.assert_array_equal(expit(fitted.decision_function(score)), proba[:, 1])
    assert fitted.get_feature_names_out().tolist() == [f"{make.__name__.lower()}0"]


@pytest.mark.parametrize("make", ALL)
def test_it_works_in_a_pipeline_and_in_cross_validation(make):
    score, y = world(120)
    calibrated = make_pipeline(StandardScaler(), make()).fit(score[:, None], y)
    assert calibrated.predict_proba(score[:, None]).shape == (120, 2)
    again = CalibratedClassifierCV(make(), cv=3).fit(score[:, None], y)
    assert again.predict_proba(score[:, None]).shape == (120, 2)
    chained = make_pipeline(make(), LogisticRegression()).fit(score[:, None], y)
    assert chained.score(score[:, None], y) > 0.5


def test_a_logit_of_a_probability_and_back():
    p = np.array([0.0, 1e-9, 0.3, 1.0])
    y = np.array([0, 0, 1, 1])
    clipped = logit(np.clip(p, 1e-7, 1 - 1e-7))
    a, b = PlattScaling("probability").fit(p, y), PlattScaling().fit(clipped, y)
    np.testing.assert_allclose(a.transform(p), b.transform(clipped))
