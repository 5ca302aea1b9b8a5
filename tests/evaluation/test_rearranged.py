"""Sums under rearranged labels against loops; error rates and power of the chance test."""

import numpy as np
import pytest
from scipy.signal import lfilter

from tests.evaluation.cases import refused
from trueness.evaluation import Blocks, Chance, roc_auc
from trueness.evaluation.rearranged import alarm_values, rank_values
from trueness.evaluation.rearranged_labels import PERMUTATIONS, Shifts, labels_of
from trueness.evaluation.resampling import SortedScores


def _turbulent(rng, n):
    """Labels that come in turbulent months, and a score that hangs together and knows nothing."""
    noise = rng.standard_normal((2, n))
    level, score = lfilter([0.2], [1, -0.98], noise, axis=1)
    return (level + rng.standard_normal(n) > 1).astype(np.uint8), score


def test_shifts_equal_a_loop():
    rng = np.random.default_rng(0)
    y, score = _turbulent(rng, 90)
    labels = labels_of(y, Blocks.of(90, time=np.arange(90), length=5))
    values = np.array([score, rng.standard_normal(90)])
    actual, _ = labels.rearranged(values)
    assert (labels.tests, labels.count) == (2, 90)
    for sums, prepared in zip(actual, (lambda x: x - x.mean(), _without_line), strict=True):
        rolled = [np.roll(prepared(y), -s) for s in range(90)]
        expected = [[one @ prepared(v) for one in rolled] for v in values]
        np.testing.assert_allclose(sums[:, 0], [e[0] for e in expected], atol=1e-9)
        np.testing.assert_allclose(np.sort(sums), np.sort(expected), atol=1e-9)


def _without_line(x):
    """What a straight line over time leaves."""
    time = np.arange(len(x))
    return x - np.polyval(np.polyfit(time, x, 1), time)


def test_series_of_a_panel_are_shifted_together():
    """A unit that is not there counts nothing; the order of the rows does not matter."""
    rng = np.random.default_rng(1)
    time, series = np.repeat(np.arange(30), 3), np.tile(["a", "b", "c"], 30)
    there = np.sort(rng.permutation(90)[:80])
    y, values = rng.integers(0, 2, 80).astype(np.uint8), rng.standard_normal(80)
    labels = labels_of(y, Blocks.of(80, time=time[there], length=2), series[there])
    full, cells = np.zeros((30, 3)), np.zeros((30, 3))
    place = time[there], (series[there] == "b") + 2 * (series[there] == "c")
    full[place], cells[place] = y - y.mean(), values - values.mean()
    straight = np.zeros((2, 30, 3))
    for i in range(3):
        own = place[1] == i
        for kept, x in zip(straight, (full, cells), strict=True):
            line = np.polynomial.Polynomial.fit(place[0][own], x[place[0][own], i], 1)
            kept[place[0][own], i] = x[place[0][own], i] - line(place[0][own])
            kept[place[0][own], i] += x[place[0][own], i].mean()
    actual = labels.rearranged(values[None])[0][:, 0]
    for sums, (of_labels, of_values) in zip(actual, ((full, cells), straight), strict=True):
        expected = [(np.roll(of_labels, -s, axis=0) * of_values).sum() for s in range(30)]
        assert sums[0] == pytest.approx(expected[0])
        np.testing.assert_allclose(np.sort(sums), np.sort(expected), atol=1e-9)


def test_several_units_at_a_time_move_by_whole_days_and_inside_them():
    """Every arrangement has the mean label of a shifted day and the same labels inside the day."""
    rng = np.random.default_rng(7)
    time = np.repeat(np.arange(12), rng.integers(2, 5, 12))
    y = rng.integers(0, 2, len(time)).astype(np.uint8)
    labels = labels_of(y, Blocks.of(len(time), time=time))
    centred, values = y - y.mean(), rng.standard_normal((1, len(time)))
    values -= values.mean()
    actual = labels.rearranged(values)[0][0, 0]
    assert (labels.count, labels.shifted) == (PERMUTATIONS, True)
    assert actual[0] == pytest.approx(centred @ values[0])
    mean = np.bincount(time, centred) / np.bincount(time)
    by_day = np.bincount(time, values[0])
    shifts = [by_day @ np.roll(mean, s) for s in range(12)]
    alike = labels.rearranged(rng.standard_normal(12)[time][None])[0][:, 0]  # equal inside a day
    assert [len(np.unique(sums.round(9))) for sums in alike] == [12, 12]  # only shifts
    inside = []
    for day in range(12):
        units = labels.order[labels.time == day]
        own, rest = values[0][units], centred[units] - mean[day]
        inside.append(np.var([own @ np.roll(rest, turn) for turn in range(len(units))]))
    assert actual.mean() == pytest.approx(np.mean(shifts), abs=0.15)
    assert actual.std() ** 2 == pytest.approx(np.var(shifts) + sum(inside), rel=0.15)


@pytest.mark.parametrize(("most", "memory"), [(5, 0.5), (40, 0.5), (5, 0.95)])
def test_days_that_are_alike_are_rarely_better_than_chance(most, memory):
    """Labels and scores of a day hang together and know nothing of each other."""
    rng, yes = np.random.default_rng(8), []
    for _ in range(120):
        time = np.repeat(np.arange(60), rng.integers(1, most + 1, 60))
        n = len(time)
        level, of_score = lfilter([1], [1, -memory], rng.standard_normal((2, 160)), axis=1)[:, 100:]
        y = (level[time] + rng.standard_normal(n) > 0.5).astype(np.uint8)
        score = of_score[time] + rng.standard_normal(n)
        labels = labels_of(y, Blocks.of(n, time=time))
        yes.append(Chance.of(labels, [rank_values(SortedScores.of(y, score))]).p_value(0) <= 0.05)
    assert np.mean(yes) <= 0.05 + 2.5 * 0.02


def test_the_seam_is_what_a_loop_over_pairs_and_shifts_gives():
    rng = np.random.default_rng(9)
    n = 60
    x, y = lfilter([1], [1, -0.95], rng.standard_normal((2, n)), axis=1)
    x, y = x - x.mean(), y - y.mean()

    def products(series):
        return np.array([series[: n - d] @ series[d:] for d in range(n)])

    whole, lost, a, b = 0.0, 0.0, products(x), products(y)
    for d in range(n // 2):
        both = 1 if d == 0 else 2
        whole += both * (n - d) * a[d] * b[d]
        parted = np.mean([sum(t < n - s <= t + d for t in range(n - d)) for s in range(1, n)])
        lost += both * parted * a[d] * (b[d] - b[(n - d) % n])
    _, (actual,) = Shifts.by(y[:, None]).of(x[None, :, None])
    assert 0.25 < actual < 0.99
    assert actual == pytest.approx(1 - lost / whole, rel=1e-9)
    _, (none,) = Shifts.by(rng.permutation(y)[:, None]).of(rng.permutation(x)[None, :, None])
    assert none > 0.97


def test_units_without_an_order_are_permuted_in_whole_clusters():
    rng = np.random.default_rng(2)
    cluster = np.repeat(np.arange(40), 5)
    y = np.repeat(rng.integers(0, 2, 40), 5).astype(np.uint8)
    shuffled = rng.permutation(200)
    labels = labels_of(y[shuffled], Blocks.of(200, cluster=cluster[shuffled]))
    assert labels.count == PERMUTATIONS
    inside = np.repeat(rng.standard_normal(40), 5)
    ((actual,),), seam = labels.rearranged(inside[shuffled][None])
    assert (labels.tests, seam.tolist()) == (1, [[1.0]])  # neither a trend nor a seam
    assert actual[0] == pytest.approx(((y - y.mean()) * inside).sum())
    # clusters stay whole: their sums are those of 40 clusters of five units alike
    spread = 5 * (y - y.mean())[::5].std() * inside[::5].std() * 40 / 39**0.5
    assert actual.std() == pytest.approx(spread, rel=0.06)


def test_p_values_count_rearrangements():
    rng = np.random.default_rng(3)
    y, _ = _turbulent(rng, 200)
    labels = labels_of(y, Blocks.of(200, time=np.arange(200), length=5))
    values = [rng.standard_normal(200) + 0.3 * y, rng.standard_normal(200), np.ones(200)]
    chance = Chance.of(labels, values)
    (sums, _), (seam, straight_seam) = labels.rearranged(np.array(values[:2]))
    assert (straight_seam <= 1).all()
    z = (sums - sums.mean(axis=1, keepdims=True)) / sums.std(axis=1, keepdims=True)
    z[:, 0] *= seam**0.5
    for i in (0, 1):
        assert chance.observed[0, i] == pytest.approx(z[i, 0])
        assert chance.single[0, i] == pytest.approx((z[i] >= z[i, 0] - 1e-9).mean())
        joint = (chance.largest >= chance.observed[:, [i]] - 1e-9).mean(axis=1)
        assert joint[0] == pytest.approx((z.max(axis=0) >= z[i, 0] - 1e-9).mean())
        assert chance.p_value(i) == pytest.approx(joint.max())
        more = (joint + 3 * chance.single[:, i]).max()
        assert chance.p_value(i, further=3) == pytest.approx(min(1, more))
    assert (chance.observed[:, 2].tolist(), chance.p_value(2)) == ([-np.inf] * 2, 1.0)
    assert chance.single[:, 2].tolist() == [1.0, 1.0]
    halves = Chance.of(labels, values[:1]).joined(Chance.of(labels, values[1:]))
    for name in ("observed", "single", "spread", "largest", "highest"):
        np.testing.assert_allclose(getattr(halves, name), getattr(chance, name))


def test_sums_of_ranks_are_aucs_and_those_of_alarms_are_hits():
    rng = np.random.default_rng(4)
    y, score = (rng.random(300) < 0.3).astype(np.uint8), rng.integers(0, 9, 300).astype(float)
    ranked, ones = SortedScores.of(y, score), int(y.sum())
    wins = (y * rank_values(ranked)).sum() - ones * (ones - 1) / 2
    assert wins / (ones * (300 - ones)) == pytest.approx(roc_auc(y, score))
    raised = alarm_values(ranked, 50)
    assert raised.sum() == ranked.above(50) <= 50
    assert set(raised) == {0.0, 1.0}


def _share_of_yes(make, draws, models=1):
    rng, yes = np.random.default_rng(5), []
    for _ in range(draws):
        y, scores = make(rng, models)
        labels = labels_of(y, Blocks.of(len(y), time=np.arange(len(y)), length=20))
        ranked = [SortedScores.of(y, score) for score in scores]
        alarms, ranks = (
            [f(one) for one in ranked] for f in (lambda r: alarm_values(r, 30), rank_values)
        )
        leader = int(np.argmax([y[one.order[:30]].sum() for one in ranked]))
        yes.append([Chance.of(labels, v).p_value(leader) <= 0.05 for v in (alarms, ranks)])
    return np.mean(yes, axis=0)


def test_scores_that_know_nothing_are_rarely_better_than_chance():
    """Labels and scores both hang together over months; the best of ten by hits is shown."""

    def ignorant(rng, models):
        y, _ = _turbulent(rng, 1000)
        return y, lfilter([0.3], [1, -0.95], rng.standard_normal((models, 1000)), axis=1)

    for models in (1, 10):
        assert (_share_of_yes(ignorant, 150, models) <= 0.05 + 2.5 * 0.018).all()


def test_a_trend_that_labels_and_scores_share_is_no_skill():
    """Without the line off both it is one in 40 to 60 % of samples."""

    def rising(rng, models):
        line = np.linspace(-1, 1, 422)
        y = (line + rng.standard_normal(422) > 1).astype(np.uint8)
        return y, line + rng.standard_normal((models, 422))

    assert (_share_of_yes(rising, 150) <= 0.05 + 2.5 * 0.018).all()
    rng, alone = np.random.default_rng(6), []
    for _ in range(60):
        y, (score,) = rising(rng, 1)
        labels = labels_of(y, Blocks.of(422, time=np.arange(422), length=20))
        alone.append(Chance.of(labels, [rank_values(SortedScores.of(y, score))]).single[0, 0])
    assert np.mean(np.array(alone) <= 0.05) > 0.25


def test_series_of_unequal_length_lose_no_power_by_their_ranks():
    """A rank has no meaning of its own: only its distance from the mean counts."""
    rng = np.random.default_rng(11)
    time = np.repeat(np.arange(300), rng.integers(1, 9, 300))
    y = (rng.random(len(time)) < 0.3).astype(np.uint8)
    values = 0.3 * y + rng.standard_normal(len(time))
    labels = labels_of(y, Blocks.of(len(time), time=time))
    one, raised = Chance.of(labels, [values]), Chance.of(labels, [values + 1000])
    np.testing.assert_allclose(one.observed, raised.observed, rtol=1e-6)


def test_a_model_with_skill_is_found():
    """AUC 0.68, about 55 % precision of 30 alarms at a base rate of 21 %, as the best of ten."""

    def skilled(rng, models):
        y, _ = _turbulent(rng, 3000)
        noise = lfilter([0.312], [1, -0.95], rng.standard_normal((models, 3000)), axis=1)
        return y, 0.67 * y + noise

    of_precision, of_auc = _share_of_yes(skilled, 40, 10)
    assert of_precision >= 0.8
    assert of_auc == 1.0


def test_labels_of_other_units_are_refused():
    with refused("length"):
        labels_of(np.zeros(3, np.uint8), Blocks.of(4))
