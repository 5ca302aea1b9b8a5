"""Bounds that hold at once: oracles, what moves them, error rates by simulation, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import beta, norm

from tests.evaluation.cases import refused
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.dependence import Dependence
from trueness.evaluation.guarantee import (
    FEWEST_ALARMS,
    Candidate,
    family_bounds,
    share_of_error,
)
from trueness.evaluation.power import alarms_needed
from trueness.evaluation.thresholds import rate_thresholds

DELTA, P, BLOCK = 0.05, 0.6, 20


def bounds(y, score, thresholds, *, blocks=None, **options):
    return family_bounds({"": Candidate(y, score, thresholds, blocks)}, **options)


def _ranked(n_alarms, hits, n=200):
    """Labels and scores with so many hits among the highest scores, and some positives below."""
    y = np.zeros(n, np.uint8)
    y[np.linspace(0, n_alarms - 1, hits).astype(int)] = 1
    y[-10:] = 1
    return y, np.linspace(3, -3, n)


# -------------------------------------------------------------------------------- error, simulated


def _days(rng, n, kind):
    """Scores that know nothing, and labels with a share of exactly P: no threshold is better."""
    score = rng.standard_normal(n)
    if kind == "blocks":  # twenty days alike, then twenty others
        return np.repeat(rng.random(n // BLOCK + 1) < P, BLOCK)[:n].astype(np.uint8), score
    if kind == "runs":  # hits follow hits, and alarms alarms
        noise = rng.standard_normal((2, n + 200))
        latent, score = (lfilter([0.6], [1, -0.8], one)[200:] for one in noise)
        return (latent < norm.ppf(P)).astype(np.uint8), score
    return (rng.random(n) < P).astype(np.uint8), score


def _violations(kind, draws, seed=0, n=600, rates=(8, 25)):
    """Share of draws in which any bound lies above the truth, of two candidates."""
    rng, wrong = np.random.default_rng(seed), 0
    for _ in range(draws):
        y, score = _days(rng, n, kind)
        blocks = Blocks.of(n, length=1 if kind == "independent" else BLOCK)
        actual = family_bounds({
            name: Candidate(y, s, rate_thresholds(s, rates), blocks)
            for name, s in (("a", score), ("b", score + rng.standard_normal(n)))
        })  # fmt: skip
        wrong += any(row.bound > P for rows in actual.bounds.values() for row in rows)
    return wrong / draws


@pytest.mark.parametrize("kind", ["independent", "blocks", "runs"])
def test_bounds_lie_above_the_truth_no_more_often_than_allowed(kind):
    draws = 200
    assert _violations(kind, draws) <= DELTA + 2 * (DELTA * (1 - DELTA) / draws) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["independent", "blocks", "runs"])
def test_bounds_lie_above_the_truth_no_more_often_than_allowed_in_2000_draws(kind):
    assert _violations(kind, 2000, seed=1, rates=(4, 8, 15, 30)) <= DELTA + 0.01


def test_days_taken_as_independent_that_are_not_would_break_the_promise():
    """What the blocks are for."""
    rng, wrong, draws = np.random.default_rng(2), 0, 200
    for _ in range(draws):
        y, score = _days(rng, 600, "blocks")
        (row,) = bounds(y, score, rate_thresholds(score, (30,))).bounds[""]
        wrong += row.bound > P
    assert wrong / draws > 2 * DELTA


# ------------------------------------------------------------------------------------- the bounds


def test_one_threshold_has_the_bound_of_clopper_and_pearson():
    y, score = _ranked(30, 24)
    actual = bounds(y, score, [score[29]])
    (row,) = actual.bounds[""]
    assert (row.hits, row.alarms, actual.hypotheses) == (24, 30, 1)
    assert actual.level == pytest.approx(DELTA, rel=0.35)  # by 1,000 draws
    assert row.bound == pytest.approx(beta.ppf(actual.level, 24, 7))
    assert row.precision.high == 1


@given(st.integers(0, 2**31), st.integers(0, 200))
def test_bounds_fall_when_the_family_grows(seed, further):
    rng = np.random.default_rng(seed)
    y = (rng.random(300) < 0.4).astype(np.uint8)
    scores = y + rng.standard_normal((3, 300))
    every = {f"m{i}": Candidate(y, s, rate_thresholds(s, (5, 20))) for i, s in enumerate(scores)}
    alone = family_bounds({"m0": every["m0"]})
    more, unseen = family_bounds(every), family_bounds({"m0": every["m0"]}, further=further)
    assert alone.level >= more.level >= DELTA / more.hypotheses
    assert alone.level >= unseen.level >= DELTA / unseen.hypotheses
    for one in (more, unseen):
        assert all(
            a.bound >= b.bound for a, b in zip(alone.bounds["m0"], one.bounds["m0"], strict=True)
        )
    assert unseen.hypotheses == alone.hypotheses + further


@given(st.integers(6, 30), st.floats(0.001, 0.1), st.floats(1, 6), st.floats(5, 200))
def test_bounds_fall_with_hits_level_and_dependence(k, level, effect, blocks):
    depends, n = Dependence(effect, blocks), 30
    low = depends.bounds(k, n, level)[0]
    assert depends.bounds(k - 1, n, level)[0] <= low
    assert depends.bounds(k, n, level / 2)[0] <= low
    assert Dependence(effect * 1.5, blocks).bounds(k, n, level)[0] <= low


def test_thresholds_and_candidates_that_are_alike_cost_little():
    rng = np.random.default_rng(0)
    y = (rng.random(1000) < 0.3).astype(np.uint8)
    score = y + rng.standard_normal(1000)
    alike = {f"m{i}": Candidate(y, score + 0.01 * rng.standard_normal(1000), [1.0])
             for i in range(30)}  # fmt: skip
    other = {f"m{i}": Candidate(y, rng.standard_normal(1000), [1.0]) for i in range(30)}
    assert family_bounds(alike).level > 5 * family_bounds(other).level


def test_every_certificate_of_a_family_is_read_from_the_same_bounds():
    y, score = _ranked(60, 51)
    actual = bounds(y, score, rate_thresholds(score, (5, 10, 20, 30, 50)))
    rows, most = actual.bounds[""], None
    for precision in np.linspace(0.05, 0.95, 19):
        one = actual.certificate("", float(precision))
        above = [row for row in rows if row.bound > precision]
        assert (one.threshold is None) == (not above)
        if above:
            assert one.threshold.hits == max(row.hits for row in above)
            assert (one.closest, one.more_alarms) == (None, 0)
            assert most is None or one.threshold.hits <= most
            most = one.threshold.hits
        else:
            assert one.closest.bound == max(row.bound for row in rows)


def test_a_bound_that_equals_the_precision_certifies_nothing():
    y, score = _ranked(30, 24)
    actual = bounds(y, score, [score[29]])
    (row,) = actual.bounds[""]
    assert actual.certificate("", row.bound).threshold is None
    assert actual.certificate("", np.nextafter(row.bound, 0)).threshold == row


def test_what_is_missing_is_counted_in_alarms():
    y, score = _ranked(30, 24)
    actual = bounds(y, score, [score[29]], further=3)
    one = actual.certificate("", 0.7)
    assert one.more_alarms == alarms_needed(0.7, 0.8, level=actual.level) - 30
    silent = actual.certificate("", 0.9)
    assert (silent.threshold, silent.more_alarms, silent.closest.alarms) == (None, None, 30)


def test_thresholds_with_few_alarms_are_left_out_and_nobody_pays_for_them():
    y, score = _ranked(30, 28)
    actual = bounds(y, score, [score[n - 1] for n in (1, FEWEST_ALARMS - 1, FEWEST_ALARMS, 30)])
    assert [row.alarms for row in actual.bounds[""]] == [FEWEST_ALARMS, 30]
    assert actual.hypotheses == 2
    none = bounds(y, score, [10.0])
    assert none.hypotheses == 0
    one = none.certificate("", 0.5)
    assert (one.threshold, one.closest, one.more_alarms, one.tested) == (None, None, None, ())
    assert one.to_dict()["more_alarms"] is None


def test_tied_scores_raise_their_alarms_together():
    y, score = _ranked(30, 24)
    tied = np.round(score)
    for row in bounds(y, tied, rate_thresholds(tied)).bounds[""]:
        raised = tied >= row.cut
        assert (row.alarms, row.hits) == (raised.sum(), y[raised].sum())


def test_blocks_make_a_certificate_harder():
    rng = np.random.default_rng(4)
    y = np.repeat(rng.random(60) < 0.75, 10).astype(np.uint8)
    score = rng.standard_normal(600)
    alone, blocks = (
        bounds(y, score, rate_thresholds(score, (30,)), blocks=b)
        for b in (None, Blocks.of(600, length=BLOCK))
    )
    assert (alone.certificate("", P).block, blocks.certificate("", P).block) == (1, BLOCK)
    (free,), (tied,) = alone.bounds[""], blocks.bounds[""]
    assert tied.bound < free.bound
    assert tied.effective < free.effective == free.alarms
    assert free.depends.effect == 1
    assert alone.certificate("", P).to_dict()["tested"][0]["depends"]["blocks"] is None


# ---------------------------------------------------------------------------------------- batches


def test_batches_without_end_spend_no_more_than_the_error():
    assert sum(share_of_error(batch) for batch in range(1, 10_000)) < 1
    assert share_of_error(0) == 1


@given(st.floats(0.51, 0.99), st.floats(0.51, 0.99), st.integers(0, 5))
def test_bounds_at_every_confidence_are_nested(one, other, batch):
    y, score = _ranked(30, 24)
    low, high = sorted((one, other))
    thresholds = [score[14], score[29]]
    weaker = bounds(y, score, thresholds, confidence=low, batch=batch).bounds[""]
    stronger = bounds(y, score, thresholds, confidence=high, batch=batch).bounds[""]
    assert all(a.bound >= b.bound for a, b in zip(weaker, stronger, strict=True))


@pytest.mark.long
@pytest.mark.parametrize(("calls", "draws"), [(12, 150)])
def test_run_by_run_keeps_the_promise(calls, draws):
    """Runs without skill, one batch after another until one passes."""
    rng, false = np.random.default_rng(5), 0
    for _ in range(draws):
        y = (rng.random(200) < 0.5).astype(np.uint8)
        for batch in range(1, calls + 1):
            score = rng.standard_normal(200)
            actual = bounds(y, score, rate_thresholds(score, (10, 20)), batch=batch)
            if actual.certificate("", 0.5).threshold is not None:
                false += 1
                break
    assert false / draws <= DELTA + 2 * (DELTA * (1 - DELTA) / draws) ** 0.5


# --------------------------------------------------------------------------------------- refusals

Y, S = [1, 0] * 10, list(np.linspace(2, 1, 20))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: bounds(Y, S[:5], [1.5]), "length"),
        (lambda: bounds(Y, [np.nan, *S[1:]], [1.5]), "not_finite"),
        (lambda: bounds([3, *Y[1:]], S, [1.5]), "labels"),
        (lambda: bounds([1] * 9 + [0] * 11, S, [1.5]), "few_positives"),
        (lambda: bounds([1] * 11 + [0] * 9, S, [1.5]), "few_positives"),
        (lambda: bounds(Y, S, [1.5]).certificate("", 1.0), "range"),
        (lambda: bounds(Y, S, [1.5]).certificate("", 0.0), "range"),
        (lambda: bounds(Y, S, [1.5], confidence=95), "range"),
        (lambda: bounds(Y, S, [1.5], confidence=0.3), "range"),
        (lambda: bounds(Y, S, []), "thresholds"),
        (lambda: bounds(Y, S, [np.nan]), "thresholds"),
        (lambda: bounds(Y, [s / 2 for s in S], [1.5], input="probability"), "scale"),
        (lambda: bounds(Y, S, [1.5], further=-1), "number"),
        (lambda: bounds(Y, S, [1.5], batch=-1), "number"),
        (lambda: bounds(Y, S, [1.5], blocks=Blocks.of(19)), "length"),
        (lambda: bounds(Y, S, [1.5], blocks=Blocks.of(20, length=10)), "few"),
        (lambda: family_bounds({}), "empty"),
        (lambda: share_of_error(-1), "number"),
    ],
)
def test_bad_input_is_refused(call, code):
    with refused(code):
        call()
