"""Every check on a planted case, and on a near miss; arrays only."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit, logit

from trueness.errors import TruenessError
from trueness.evaluation import (
    CHECKS,
    Days,
    Epochs,
    Estimate,
    Evidence,
    Limits,
    measure,
    run_checks,
)
from trueness.checks.registry import against_baselines, findings_from
from trueness.checks.evidence import SEVERITIES

N, BLOCK = 1000, 20
RNG = np.random.default_rng(7)
FACTOR = RNG.standard_normal(N)
Y = (RNG.random(N) < expit(-1.2 + 1.5 * FACTOR)).astype(np.uint8)
GOOD = -1.2 + 1.5 * FACTOR
WHEN = np.datetime64("2000-01-03") + np.arange(N) // 5 * 7 + np.arange(N) % 5


def evidence(score=GOOD, y=Y, **more):
    """Evidence of a healthy run with everything there is to know, some of it changed."""
    fold = more.pop("fold", None)
    estimates = more.pop("estimates", None) or measure(
        y, score, alarms=(7, 30), alarm_rate_pct=5.0, confidence=0.95, block=BLOCK, fold=fold
    )
    whole = {
        "when": WHEN[: len(y)], "block": BLOCK, "budget": 30, "horizon_days": 5,
        "mirror": (np.random.default_rng(3).random(len(y)) < 0.3).astype(np.uint8),
        "train": Days(Y, GOOD, np.zeros(N, np.int64), WHEN - 2100),
        "epochs": Epochs((4,), (9,), 20),
    }  # fmt: skip
    return Evidence(y, score, estimates, fold, **{**whole, **more})


def found(code, of):
    """What one check says, None if it is silent."""
    return next(iter(run_checks(of, [code])), None)


def test_a_healthy_run_has_no_findings():
    assert run_checks(evidence()) == []


def test_with_nothing_but_scores_and_labels_the_rest_stays_silent():
    assert run_checks(Evidence(Y, GOOD, evidence().estimates)) == []


HEAP = np.where(np.arange(N) < 20, GOOD, -1.2 + 0.02 * FACTOR)
FEW = np.where(np.argsort(np.argsort(-GOOD)) < 4, 1.0, -3 + 0.1 * GOOD)
FIVE = np.where(np.argsort(np.argsort(-GOOD)) < 5, 1.0, -3 + 0.1 * GOOD)
TIED = np.where(np.arange(N) < 100, GOOD, -1.0)
LESS_TIED = np.where(np.arange(N) < 101, GOOD, -1.0)
FOLDS = np.repeat([0, 1], N // 2)
VOLATILE = (np.random.default_rng(5).random((2, N)) < expit(-1.2 + 1.5 * FACTOR)).astype(np.uint8)
BURST = np.where((np.arange(N) >= 400) & (np.arange(N) < 440), 5.0, 0.0) + 0.1 * GOOD
CALM = Y * (np.random.default_rng(1).random(N) < 0.5).astype(np.uint8)
OPEN = {"fold": 0, "what": "diverging loss", "epoch": 7, "until": None, "cause": "too fast"}


def estimate(low, high):
    return Estimate((low + high) / 2, low, high, N)


def train(y=Y, score=GOOD, when=WHEN - 2100):
    return Days(y, score, np.zeros(len(y), np.int64), when)


def folds_of_train(*parts):
    """Training days of several folds."""
    fold = np.repeat(np.arange(len(parts)), [len(p.y) for p in parts])
    columns = ("y", "score", "when")
    y, score, when = (np.concatenate([getattr(p, c) for p in parts]) for c in columns)
    return Days(y, score, fold, when)


CASES = {
    "TRU001": (dict(score=GOOD / 30), dict(score=GOOD / 4)),
    "TRU001 but for a few days": (dict(score=HEAP), dict(score=np.where(np.arange(N) < 20, GOOD, -1.2 + 0.3 * FACTOR))),
    "TRU002": (dict(score=GOOD - GOOD.max() - 0.01), dict(score=GOOD - GOOD.max() + 0.01)),
    "TRU002 in a fold": (dict(score=np.where(FOLDS == 1, GOOD + 20, GOOD), fold=FOLDS),
                         dict(score=np.where(FOLDS == 1, GOOD + 2, GOOD), fold=FOLDS)),
    "TRU003": (dict(score=np.random.default_rng(2).standard_normal(N)),
               dict(score=0.3 * GOOD + np.random.default_rng(2).standard_normal(N))),
    "TRU004": (dict(difference=estimate(-0.01, 0.03)), dict(difference=estimate(0.001, 0.03))),
    "TRU005": (dict(y=Y[:300], score=GOOD[:300]), dict(y=Y[:500], score=GOOD[:500])),
    "TRU006": (dict(score=expit(GOOD)), dict(score=1.2 * expit(GOOD))),
    "TRU007": (dict(score=TIED), dict(score=LESS_TIED)),
    "TRU007 without ties": (dict(score=1e-7 * GOOD), dict(score=1e-4 * GOOD)),
    "TRU007 in folds": (dict(score=FOLDS - 1.0, fold=FOLDS), dict(score=FOLDS - 1.0 + 0.01 * GOOD, fold=FOLDS)),
    "TRU008": (dict(train=train(y=CALM)), dict(train=train(y=np.roll(Y, 300)))),
    "TRU008 both ways": (dict(y=CALM, score=GOOD), dict(y=CALM, score=GOOD, train=train(y=CALM))),
    "TRU009": (dict(one_feature=estimate(-0.06, -0.001)), dict(one_feature=estimate(-0.06, 0.001))),
    "TRU010": (dict(y=VOLATILE[0], mirror=VOLATILE[1]), dict(y=VOLATILE[0], mirror=VOLATILE[1], score=GOOD + 0.8 * (VOLATILE[0] - 1.0 * VOLATILE[1]))),
    "TRU011": (dict(score=3 * GOOD + 3), dict(score=3 * GOOD)),
    "TRU012": (dict(score=FEW), dict(score=FIVE)),
    "TRU013 first": (dict(epochs=Epochs((1,), (16,), 50)), dict(epochs=Epochs((2,), (17,), 50))),
    "TRU013 last": (dict(epochs=Epochs((50,), (50,), 50)), dict(epochs=Epochs((49,), (50,), 50))),
    "TRU013 half": (dict(epochs=Epochs((1, 1, 5, 9), (9, 9, 9, 9), 20)), dict(epochs=Epochs((1, 20, 5, 9), (9, 20, 9, 9), 20))),
    "TRU014": (dict(incidents=(OPEN,)), dict(incidents=({**OPEN, "until": 12},))),
    "TRU015": (dict(train=train(score=GOOD + 6.0 * Y)), dict(train=train(score=GOOD + 0.4 * Y))),
    "TRU016": (dict(score=BURST), dict(score=np.where(np.arange(N) % 50 == 3, 5.0, 0) + 0.1 * GOOD)),
    "TRU017": (dict(train=train(when=np.r_[WHEN[:-1] - 2100, WHEN[0] - 7])),
               dict(train=train(when=np.r_[WHEN[:-1] - 2100, WHEN[0] - 10]))),
    "TRU017 after": (dict(train=train(when=np.r_[WHEN[:-1] - 2100, WHEN[-1] + 7])),
                     dict(train=train(when=np.r_[WHEN[:-1] - 2100, WHEN[-1] + 10]))),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_fires_on_the_planted_case_and_not_on_the_near_miss(case):
    code, (planted, miss) = case[:6], CASES[case]
    finding = found(code, evidence(**planted))
    assert finding is not None
    assert (finding.severity, finding.title) == (CHECKS[code].severity, CHECKS[code].title)
    assert finding.evidence
    assert all(np.isfinite(x) for x in finding.numbers.values())
    assert found(code, evidence(**miss)) is None


def test_every_check_has_a_planted_case():
    assert {case[:6] for case in CASES} == set(CHECKS)


def test_sessions_are_days_where_the_data_hold_weekends():
    every_day = np.datetime64("2000-01-01") + np.arange(N)
    near = train(when=np.r_[every_day[:-1] - 2100, every_day[0] - 5])
    far = train(when=np.r_[every_day[:-1] - 2100, every_day[0] - 6])
    assert "1 training rows" in found("TRU017", evidence(when=every_day, train=near)).evidence
    assert found("TRU017", evidence(when=every_day, train=far)) is None


def test_the_double_sigmoid_names_what_inverting_one_restores():
    prob = np.clip(expit(GOOD), 0.02, 0.67)
    finding = found("TRU006", evidence(score=expit(logit(prob))))
    assert "restores the range [0.020, 0.670]" in finding.evidence
    assert finding.numbers["restored_high"] == pytest.approx(0.67)


def test_drift_names_both_rates_and_the_strongest_fold():
    e = evidence(
        fold=FOLDS, train=folds_of_train(train(), train(y=CALM)), score=GOOD,
    )  # fmt: skip
    finding = found("TRU008", e)
    assert f"{100 * CALM.mean():.1f} % of {N} training days" in finding.evidence
    assert f"{100 * Y[FOLDS == 1].mean():.1f} % of 500 measured ones" in finding.evidence
    assert "the strongest of 1 of 2 folds" in finding.evidence


@pytest.mark.parametrize("clustered", [False, True])
def test_drift_is_rarely_seen_where_there_is_none(clustered):
    """With months of regimes that blocks of days hide, 5 % errors at most; two folds."""
    rng, fired = np.random.default_rng(11), 0
    for _ in range(200):
        days = 1500
        regime = np.repeat(rng.standard_normal(days // 10), 10) if clustered else np.zeros(days)
        y = (rng.random(days) < expit(-1.4 + regime)).astype(np.uint8)
        fold = np.repeat([0, 1], 250)
        of = folds_of_train(
            *(train(y=y[:n], score=np.zeros(n), when=WHEN[:n]) for n in (1000, 750))
        )
        e = Evidence(y[1000:], np.zeros(500), {}, fold, block=20, train=of,
                     limits=Limits(drift_ratio=1.0))  # fmt: skip
        fired += found("TRU008", e) is not None
    assert fired <= 18  # 5 % nominal, 2.5 standard errors above


def test_volatility_names_both_aucs_and_leaves_days_with_both_out():
    y, mirror = VOLATILE
    finding = found("TRU010", evidence(y=y, mirror=mirror))
    numbers = finding.numbers
    assert numbers["target"] > 0.6 < numbers["mirror"]
    assert numbers["low"] <= 0 <= numbers["high"]
    both = np.where(y + mirror == 2, 50.0, GOOD)  # a score that knows those days says no more
    again = found("TRU010", evidence(y=y, mirror=mirror, score=both)).numbers
    assert again["target"] == pytest.approx(numbers["target"])
    undefined = np.where(np.arange(N) < 5, 255, mirror).astype(np.uint8)
    assert found("TRU010", evidence(y=y, mirror=undefined)) is not None


def test_clustered_alarms_count_as_their_blocks():
    finding = found(
        "TRU016", evidence(score=np.where(np.arange(N) // 20 == 9, 5.0, 0) + 0.01 * GOOD, budget=20)
    )
    assert finding.numbers["effective"] == 1.0
    assert finding.numbers["random"] > 10
    assert "20 alarms fall in 1 of 50 blocks of 20 days" in finding.evidence


def test_incidents_are_told_once_for_all_folds():
    both = (
        OPEN,
        {**OPEN, "fold": 1, "epoch": 3},
        {**OPEN, "what": "collapsed scores", "cause": "flat"},
    )
    finding = found("TRU014", evidence(incidents=both))
    assert finding.evidence == (
        "diverging loss from epoch 3 to the end in 2 folds; too fast · "
        "collapsed scores from epoch 7 to the end; flat"
    )


def test_few_days_leave_checks_that_resample_silent():
    e = evidence(y=Y[:90], score=3 * GOOD[:90], fold=np.zeros(90, np.int64))
    assert not {"TRU008", "TRU010", "TRU011", "TRU016"} & {f.code for f in run_checks(e)}


def test_the_gravest_comes_first():
    e = evidence(score=np.zeros(N), epochs=Epochs((1,), (9,), 20))
    ranks = [(SEVERITIES.index(f.severity), f.code) for f in run_checks(e)]
    assert ranks == sorted(ranks)
    assert {rank for rank, _ in ranks} == {0, 1, 2}


def test_findings_against_baselines():
    both = against_baselines(estimate(-0.1, -0.05), estimate(-0.1, -0.05))
    assert [f.code for f in both] == ["TRU009", "TRU004"]
    assert against_baselines(None, None) == []


def test_findings_survive_json_and_old_ones_have_no_numbers():
    (finding,) = run_checks(evidence(incidents=(OPEN,)))
    assert findings_from([finding.to_dict()]) == [finding]
    old = {name: finding.to_dict()[name] for name in ("code", "severity", "title", "evidence")}
    assert findings_from([old]) == [dataclasses.replace(finding, numbers={})]


MOVED = {
    "collapsed_width": ("TRU001", dict(score=GOOD / 4), 0.5),
    "collapsed_core": ("TRU001", dict(score=GOOD), 3.0),
    "few_positives": ("TRU005", dict(), 1000),
    "constant_std": ("TRU007", dict(), 1.0),
    "tied_share": ("TRU007", dict(score=LESS_TIED), 0.5),
    "drift_ratio": ("TRU008", dict(train=train(y=CALM)), 9.0),
    "few_alarms": ("TRU012", dict(score=FIVE), 6),
    "edge_share": ("TRU013", dict(epochs=Epochs((1, 2, 2), (9, 9, 9), 20)), 0.1),
    "memorised_gap": ("TRU015", dict(train=train(score=GOOD + 0.4 * Y)), 0.01),
    "clustered_share": ("TRU016", dict(), 5.0),
}  # fmt: skip


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Limits)])
def test_every_limit_moves_its_check(name):
    code, more, value = MOVED[name]
    before = found(code, evidence(**more))
    after = found(code, evidence(**more, limits=Limits.from_dict({name: value})))
    assert (before is None) != (after is None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"width": 1}, "unknown limit 'width'; choose from collapsed_width"),
        ({"few_positives": 2.5}, "limit few_positives is 2.5; a whole number"),
        ({"few_positives": True}, "a whole number"),
        ({"drift_ratio": "high"}, "limit drift_ratio is 'high'; a number"),
        ({"drift_ratio": float("nan")}, "must be at least 0"),
        ({"drift_ratio": -1.0}, "must be at least 0"),
    ],
)
def test_wrong_limits_are_refused(content, words):
    with pytest.raises(TruenessError, match=words):
        Limits.from_dict(content)
