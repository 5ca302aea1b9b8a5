"""Every check of a binary label on a planted case, and on a near miss."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit

from trueness.checks import (
    CHECKS,
    LIMITS,
    SEVERITIES,
    CheckInput,
    Clean,
    Finding,
    NotApplicable,
    findings_from,
    findings_in,
    run_checks,
)
from trueness.checks.catalogue.tru015_overfitting import slope_score
from trueness.evaluation import Estimate
from trueness.judge.measured import estimates_of
from trueness.predictions import Predictions
from trueness.spec.estimands import Estimands

N, BLOCK = 1000, 20
RNG = np.random.default_rng(7)
FACTOR = RNG.standard_normal(N)
Y = (RNG.random(N) < expit(-1.2 + 1.5 * FACTOR)).astype(np.uint8)
GOOD = -1.2 + 1.5 * FACTOR
WHEN = np.datetime64("2000-01-03") + np.arange(N) // 5 * 7 + np.arange(N) % 5
MIRROR = (np.random.default_rng(3).random(N) < 0.3).astype(np.uint8)
RULE = Estimands(
    "binary", "precision@30", "test", "validation", ("test",), block=BLOCK, horizon=5,
    alarms=(7, 30), nouns=("day", "series"),
)  # fmt: skip


def part(split, y, score, when, fold=0, **more):
    fold = np.zeros(len(y), np.int64) if np.isscalar(fold) else fold
    return pl.DataFrame({
        "split": [split] * len(y), "fold": fold, "id": [f"{f} {w}" for f, w in zip(fold, when, strict=True)],
        "time": when, "y": y, "score": np.asarray(score, np.float64), **more,
    })  # fmt: skip


def train(y=Y, score=GOOD, when=WHEN - 2100):
    return part("train", y, score, when)


def folds_of_train(*parts):
    """Training days of several folds."""
    return pl.concat([p.with_columns(fold=pl.lit(i, pl.Int64)) for i, p in enumerate(parts)])


def check_input(
    score=GOOD, y=Y, fold=0, when=WHEN, mirror=MIRROR, training=None, rule=RULE, record=None, **more
):
    """A healthy run with everything there is to know, some of it changed."""
    mirrored = {} if mirror is None else {"y_mirror": mirror[: len(y)]}
    measured = part("test", y, score, when[: len(y)], fold, **mirrored)
    before = train() if training is None else training
    predictions = Predictions(pl.concat([measured, before], how="diagonal"))
    estimates = estimates_of(predictions.part("test"), rule)
    known = {
        "estimates": {n: e.to_dict() for n, e in estimates.items()},
        "best_epochs": [4], "last_epochs": [9], "incidents": [], **(record or {}),
    }  # fmt: skip
    return CheckInput("market", rule, known, lambda: predictions, epoch_budget=20, **more)


def bare(score=GOOD, y=Y, rule=RULE):
    """A run of which only labels and scores are known, as from elsewhere."""
    frame = pl.DataFrame({"split": "test", "fold": 0, "id": [str(i) for i in range(len(y))],
                          "y": y, "score": score})  # fmt: skip
    predictions = Predictions(frame, "logit" if rule.probabilities else "rank")
    estimates = {n: e.to_dict() for n, e in estimates_of(predictions, rule).items()}
    return CheckInput("external", rule, {"estimates": estimates}, lambda: predictions)


def answer(code, run):
    (result,) = run_checks(run, [code])
    return result


def epochs(best, last, budget):
    return {"record": {"best_epochs": best, "last_epochs": last}, "budget": budget}


def run_of(changes):
    """A run with changes; a budget of epochs is no argument of `check_input`."""
    changes = dict(changes)
    budget = changes.pop("budget", None)
    made = check_input(**changes)
    return made if budget is None else dataclasses.replace(made, epoch_budget=budget)


BINARY = {code for code, one in CHECKS.items() if {"binary", "market"} & {*one.applies_to}}


def test_a_healthy_run_has_no_findings():
    better = dict.fromkeys(("best", "one_feature"), Estimate(0.02, 0.01, 0.03, N))
    results = run_checks(check_input(differences=better))
    assert {type(one) for one in results} == {Clean}
    assert {one.code for one in results} == BINARY


NOT_THERE = {
    "TRU004", "TRU008", "TRU009", "TRU011", "TRU013", "TRU014", "TRU015", "TRU017",
}  # fmt: skip
"""What cannot be said of labels and scores alone; TRU010 is for bars."""


def test_with_nothing_but_scores_and_labels_each_check_says_what_it_lacks():
    results = {one.code: one for one in run_checks(bare())}
    lacking = {code: r.why for code, r in results.items() if isinstance(r, NotApplicable)}
    assert set(lacking) >= NOT_THERE
    assert all(lacking.values())
    assert {type(r) for code, r in results.items() if code not in lacking} == {Clean}


def test_scores_that_only_rank_have_no_probabilities():
    rule = dataclasses.replace(RULE, probabilities=False)
    results = {one.code: one for one in run_checks(bare(rule=rule))}
    for code in ("TRU001", "TRU002", "TRU006"):
        assert isinstance(results[code], NotApplicable)
    assert results["TRU003"] == Clean("TRU003")
    assert isinstance(answer("TRU007", bare(score=np.round(GOOD * 1e-8, 8), rule=rule)), Clean)
    assert isinstance(answer("TRU007", bare(score=TIED, rule=rule)), Finding)


HEAP = np.where(np.arange(N) < 20, GOOD, -1.2 + 0.02 * FACTOR)
TIED = np.where(np.arange(N) < 100, GOOD, -1.0)
LESS_TIED = np.where(np.arange(N) < 101, GOOD, -1.0)
RNG_2 = np.random.default_rng(9)
WEAK = -1.3 + 0.3 * FACTOR + RNG_2.standard_normal(N)
"""Of scores that hardly know anything, the highest are not positive in most cases."""
SURE = np.where(Y == 1, np.abs(RNG_2.standard_normal(N)), -1 - np.abs(RNG_2.standard_normal(N)))
FOLDS = np.repeat([0, 1], N // 2)
VOLATILE = (np.random.default_rng(5).random((2, N)) < expit(-1.2 + 1.5 * FACTOR)).astype(np.uint8)
CALM = Y * (np.random.default_rng(1).random(N) < 0.5).astype(np.uint8)
OPEN = {"fold": 0, "what": "diverging loss", "epoch": 7, "until": None, "cause": "too fast"}


def estimate(low, high):
    return Estimate(None if low is None else (low + high) / 2, low, high, N)


def against(name, low, high):
    return {"differences": {name: estimate(low, high)}}


CASES = {
    "TRU001": (dict(score=GOOD / 30), dict(score=GOOD / 4)),
    "TRU001 but for a few days": (dict(score=HEAP), dict(score=np.where(np.arange(N) < 20, GOOD, -1.2 + 0.3 * FACTOR))),
    "TRU002": (dict(score=SURE - 5), dict(score=SURE)),
    "TRU002 of a weak model": (dict(score=SURE - 5), dict(score=WEAK - WEAK.max() - 0.01)),
    "TRU002 always": (dict(score=np.abs(GOOD)), dict(score=np.abs(GOOD), y=(RNG_2.random(N) < 0.49).astype(np.uint8))),
    "TRU002 in a fold": (dict(score=np.where(FOLDS == 1, GOOD + 20, GOOD), fold=FOLDS),
                         dict(score=np.where(FOLDS == 1, GOOD + 2, GOOD), fold=FOLDS)),
    "TRU003": (dict(score=np.random.default_rng(2).standard_normal(N)),
               dict(score=0.3 * GOOD + np.random.default_rng(2).standard_normal(N))),
    "TRU004": (against("best", -0.06, -0.001), against("best", -0.06, 0.001)),
    "TRU006": (dict(score=expit(GOOD)), dict(score=1.2 * expit(GOOD))),
    "TRU007": (dict(score=TIED), dict(score=LESS_TIED)),
    "TRU007 without ties": (dict(score=1e-7 * GOOD), dict(score=1e-4 * GOOD)),
    "TRU007 in folds": (dict(score=FOLDS - 1.0, fold=FOLDS), dict(score=FOLDS - 1.0 + 0.01 * GOOD, fold=FOLDS)),
    "TRU008": (dict(training=train(y=CALM)), dict(training=train(y=np.roll(Y, 300)))),
    "TRU008 both ways": (dict(y=CALM, score=GOOD), dict(y=CALM, score=GOOD, training=train(y=CALM))),
    "TRU009": (against("one_feature", -0.06, -0.001), against("one_feature", -0.06, 0.001)),
    "TRU010": (dict(y=VOLATILE[0], mirror=VOLATILE[1]), dict(y=VOLATILE[0], mirror=VOLATILE[1], score=GOOD + 0.8 * (VOLATILE[0] - 1.0 * VOLATILE[1]))),
    "TRU011": (dict(score=3 * GOOD + 3), dict(score=3 * GOOD)),
    "TRU013 first": (epochs([1], [16], 50), epochs([2], [17], 50)),
    "TRU013 last": (epochs([50], [50], 50), epochs([49], [50], 50)),
    "TRU013 half": (epochs([1, 1, 5, 9], [9, 9, 9, 9], 20), epochs([1, 20, 5, 9], [9, 20, 9, 9], 20)),
    "TRU014": (dict(record={"incidents": [OPEN]}), dict(record={"incidents": [{**OPEN, "until": 12}]})),
    "TRU015": (dict(score=3 * GOOD, training=train(score=GOOD + 6.0 * Y)), dict(score=3 * GOOD, training=train(score=GOOD + 0.4 * Y))),
    "TRU015 calibrated": (dict(score=3 * GOOD, training=train(score=GOOD + 6.0 * Y)), dict(training=train(score=GOOD + 6.0 * Y))),
    "TRU017": (dict(training=train(when=np.r_[WHEN[:-1] - 2100, WHEN[0] - 7])),
               dict(training=train(when=np.r_[WHEN[:-1] - 2100, WHEN[0] - 10]))),
    "TRU017 after": (dict(training=train(when=np.r_[WHEN[:-1] - 2100, WHEN[-1] + 7])),
                     dict(training=train(when=np.r_[WHEN[:-1] - 2100, WHEN[-1] + 10]))),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_fires_on_the_planted_case_and_not_on_the_near_miss(case):
    code, (planted, miss) = case[:6], CASES[case]
    finding = answer(code, run_of(planted))
    assert isinstance(finding, Finding)
    assert (finding.severity, finding.title) == (CHECKS[code].severity, CHECKS[code].title)
    assert finding.evidence
    assert all(np.isfinite(x) for x in finding.numbers.values())
    assert answer(code, run_of(miss)) == Clean(code)


def test_every_check_of_a_binary_label_has_a_planted_case():
    assert {case[:6] for case in CASES} == BINARY


LACKING = {
    "TRU003": dict(y=Y[:90], score=GOOD[:90]),
    "TRU008": dict(y=Y[:90], score=GOOD[:90]),
    "TRU010": dict(mirror=None),
    "TRU011": dict(training=train().clear()),
    "TRU015": dict(training=train(y=np.zeros(N, np.uint8))),
    "TRU003 few positives": dict(y=(np.arange(N) % 120 == 7).astype(np.uint8)),
    "TRU004": against("best", None, None),
    "TRU017": dict(rule=dataclasses.replace(RULE, horizon=0)),
}  # fmt: skip


@pytest.mark.parametrize("case", LACKING)
def test_what_is_lacking_is_said(case):
    result = answer(case[:6], run_of(LACKING[case]))
    assert isinstance(result, NotApplicable)
    assert result.why


@pytest.mark.parametrize(("step", "unit"), [(7, "D"), (60, "m"), (30, "D")])
def test_overlaps_of_other_bars_are_counted_in_bars(step, unit):
    """Of weeks, hours and months: the horizon of 5 bars is neither 5 days nor 5 weekdays."""
    of = np.timedelta64(step, unit)
    when = (np.datetime64("2000-01-03T00:00") + np.arange(N) * of).astype("datetime64[ms]")
    for bars, overlaps in ((5, True), (6, False)):
        before = np.r_[when[:-1] - 2000 * of, when[0] - bars * of]
        after = np.r_[when[:-1] - 2000 * of, when[-1] + bars * of]
        for times in (before, after):
            actual = answer("TRU017", check_input(when=when, training=train(when=times)))
            assert isinstance(actual, Finding) == overlaps
            assert isinstance(actual, Clean) != overlaps


def test_sessions_are_days_where_the_data_hold_weekends():
    every_day = np.datetime64("2000-01-01") + np.arange(N)
    near = train(when=np.r_[every_day[:-1] - 2100, every_day[0] - 5])
    far = train(when=np.r_[every_day[:-1] - 2100, every_day[0] - 6])
    assert answer("TRU017", check_input(when=every_day, training=near)).numbers == {"rows": 1}
    assert answer("TRU017", check_input(when=every_day, training=far)) == Clean("TRU017")


def test_the_double_sigmoid_names_what_inverting_one_restores():
    prob = np.clip(expit(GOOD), 0.02, 0.67)
    finding = answer("TRU006", check_input(score=prob))
    assert "restores the range [0.020, 0.670]" in finding.evidence
    assert finding.numbers["restored_high"] == pytest.approx(0.67)


def test_drift_names_both_rates_and_the_strongest_fold():
    run = check_input(fold=FOLDS, training=folds_of_train(train(), train(y=CALM)))
    finding = answer("TRU008", run)
    assert finding.numbers["training"] == pytest.approx(CALM.mean())
    assert finding.numbers["measured"] == pytest.approx(Y[FOLDS == 1].mean())
    assert "the strongest of 1 of 2 folds" in finding.evidence


@pytest.mark.parametrize("clustered", [False, True])
def test_drift_is_rarely_seen_where_there_is_none(clustered):
    """With months of regimes that blocks of days hide, 5 % errors at most; two folds."""
    rng, fired = np.random.default_rng(11), 0
    when = np.datetime64("2000-01-03") + np.arange(1500)
    for _ in range(200):
        regime = np.repeat(rng.standard_normal(150), 10) if clustered else np.zeros(1500)
        y = (rng.random(1500) < expit(-1.4 + regime)).astype(np.uint8)
        of = folds_of_train(*(train(y[:n], np.zeros(n), when[:n]) for n in (1000, 750)))
        measured = part("test", y[1000:], np.zeros(500), when[1000:], np.repeat([0, 1], 250))
        predictions = Predictions(pl.concat([of, measured]))
        run = CheckInput("market", RULE, {}, lambda p=predictions: p, moved={"drift_ratio": 1.0})
        fired += isinstance(answer("TRU008", run), Finding)
    assert fired <= 18  # 5 % nominal, 2.5 standard errors above


def test_the_slope_score_is_that_of_a_logistic_regression():
    """The derivative of the likelihood at slope 1, where the intercept is the best one for each."""
    rng = np.random.default_rng(4)
    score = 0.7 + 1.3 * rng.standard_normal(400)
    y = (rng.random(400) < expit(0.6 * score)).astype(np.uint8)
    measured = Predictions(part("test", y, score, WHEN[:400]))

    def likelihood(slope):
        def loss(a):
            return float(np.logaddexp(0, slope * score + a).sum() - (y * (slope * score + a)).sum())

        return -minimize_scalar(
            loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-10}
        ).fun

    step = 1e-4
    slope = (likelihood(1 + step) - likelihood(1 - step)) / (2 * step)
    assert slope_score(measured).sum() == pytest.approx(slope, rel=1e-4)
    assert slope < 0


def test_volatility_names_both_aucs_and_leaves_days_with_both_out():
    y, mirror = VOLATILE
    numbers = answer("TRU010", check_input(y=y, mirror=mirror)).numbers
    assert numbers["target"] > 0.6 < numbers["mirror"]
    assert numbers["low"] <= 0 <= numbers["high"]
    both = np.where(y + mirror == 2, 50.0, GOOD)  # a score that knows those days says no more
    again = answer("TRU010", check_input(y=y, mirror=mirror, score=both)).numbers
    assert again["target"] == pytest.approx(numbers["target"])
    undefined = np.where(np.arange(N) < 5, 255, mirror).astype(np.uint8)
    assert isinstance(answer("TRU010", check_input(y=y, mirror=undefined)), Finding)


def test_warnings_are_told_once_for_all_folds():
    both = [
        OPEN,
        {**OPEN, "fold": 1, "epoch": 3},
        {**OPEN, "what": "collapsed scores", "cause": "flat"},
    ]
    finding = answer("TRU014", check_input(record={"incidents": both}))
    assert finding.evidence == (
        "diverging loss from epoch 3 to the end in 2 folds; too fast · "
        "collapsed scores from epoch 7 to the end; flat"
    )
    assert finding.numbers == {"incidents": 3, "folds": 2}


def test_the_gravest_comes_first():
    run = run_of({"score": np.zeros(N), **epochs([1], [9], 20)})
    ranks = [(SEVERITIES.index(f.severity), f.code) for f in findings_in(run_checks(run))]
    assert ranks == sorted(ranks)
    assert {rank for rank, _ in ranks} == {0, 1, 2}


def test_findings_survive_json():
    actual = findings_in(run_checks(check_input(record={"incidents": [OPEN]}, score=GOOD / 30)))
    assert len(actual) > 1
    assert findings_from([one.to_dict() for one in actual]) == actual


MOVED = {
    "collapsed_width": ("TRU001", dict(score=GOOD / 4), 3.0),
    "collapsed_core": ("TRU001", dict(score=GOOD), 3.0),
    "constant_std": ("TRU007", dict(), 1.0),
    "tied_share": ("TRU007", dict(score=LESS_TIED), 0.5),
    "drift_ratio": ("TRU008", dict(training=train(y=CALM)), 9.0),
    "edge_share": ("TRU013", epochs([1, 2, 2], [9, 9, 9], 20), 0.1),
    "overfitting_gap": ("TRU015", dict(score=3 * GOOD, training=train(score=GOOD + 0.8 * Y)), 0.01),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVED)
def test_every_limit_moves_its_check(name):
    code, changes, value = MOVED[name]
    before = answer(code, run_of(changes))
    after = answer(code, run_of({**changes, "moved": {name: value}}))
    assert type(before) is not type(after)


def test_the_limits_of_every_check_of_a_binary_label_are_moved():
    own = {one.name for c in CHECKS.values() if "binary" in c.applies_to for one in c.limits}
    assert own == set(MOVED)
    assert own <= set(LIMITS)
