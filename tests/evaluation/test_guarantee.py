import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import binom, norm

from tests.evaluation.cases import refused
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.design_effects import (
    INDEPENDENT,
    Dependence,
    dependence,
    precision_p_value,
)
from trueness.evaluation.guarantee import Candidate, certify_many, sequence, spent
from trueness.evaluation.power import alarms_needed, binomial_tail
from trueness.evaluation.thresholds import rate_cuts

DELTA, P, BLOCK = 0.05, 0.6, 20


def certify(y, score, thresholds, precision, confidence=1 - DELTA, *, blocks=None, **options):
    one = {"": Candidate(y, score, thresholds, blocks)}
    return certify_many(one, precision, confidence, **options)[""]


def _ranked(n_alarms, hits, n=200):
    """Labels and scores with so many hits among the highest scores, and a few positives below."""
    y = np.zeros(n, np.uint8)
    y[np.linspace(0, n_alarms - 1, hits).astype(int)] = 1
    y[-5:] = 1
    return y, np.linspace(3, -3, n)


# ------------------------------------------------------------------------------ at the boundary


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


def _violations(kind, method, draws, seed=0, n=600, rates=(8, 25)):
    """Share of draws in which anything is certified, of two candidates on the same days."""
    rng, wrong = np.random.default_rng(seed), 0
    for _ in range(draws):
        y, score = _days(rng, n, kind)
        blocks = Blocks.of(n, length=1 if kind == "independent" else BLOCK)
        candidates = {
            name: Candidate(y, s, rate_cuts(s, rates), blocks)
            for name, s in (("a", score), ("b", score + rng.standard_normal(n)))
        }
        found = certify_many(candidates, P, 1 - DELTA, method=method)
        wrong += any(one.threshold is not None for one in found.values())
    return wrong / draws


@pytest.mark.parametrize("method", ["fixed_sequence", "holm"])
@pytest.mark.parametrize("kind", ["independent", "blocks", "runs"])
def test_certificates_are_wrong_no_more_often_than_allowed(kind, method):
    draws = 200
    assert _violations(kind, method, draws) <= DELTA + 2 * (DELTA * (1 - DELTA) / draws) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fixed_sequence", "holm"])
@pytest.mark.parametrize("kind", ["independent", "blocks", "runs"])
def test_certificates_are_wrong_no_more_often_than_allowed_in_2000_draws(kind, method):
    assert _violations(kind, method, 2000, seed=1, rates=(4, 8, 15, 30)) <= DELTA


def test_days_taken_as_independent_that_are_not_would_break_the_promise():
    """What the blocks are for."""
    rng, wrong, draws = np.random.default_rng(2), 0, 200
    for _ in range(draws):
        y, score = _days(rng, 600, "blocks")
        cuts = rate_cuts(score, (30,))
        wrong += certify(y, score, cuts, P, 1 - DELTA).threshold is not None
    assert wrong / draws > 2 * DELTA


@pytest.mark.slow
@pytest.mark.parametrize("precision", [0.4, 0.6, 0.8])
@pytest.mark.parametrize("rate", [0.08, 0.25])
@pytest.mark.parametrize("n", [422, 1500])
def test_p_values_of_dependent_days_are_valid(precision, rate, n):
    rng, draws, blocks = np.random.default_rng(3), 2000, Blocks.of(n, length=BLOCK)
    for level in (0.05, 0.01):
        found = []
        for _ in range(draws):
            y = np.repeat(rng.random(n // BLOCK + 1) < precision, BLOCK)[:n]
            alarm = rng.random(n) < rate
            k, m = int(y[alarm].sum()), int(alarm.sum())
            found.append(precision_p_value(k, m, precision, dependence(y, alarm, blocks)))
        assert np.mean(np.array(found) <= level) <= level + 3 * (level / draws) ** 0.5


# ------------------------------------------------------------------------------------- dependence


def test_effects_of_known_dependence():
    rng, ten = np.random.default_rng(0), Blocks.of(4000, length=10)
    alone = rng.random(4000) < 0.5
    alarm = np.ones(4000, bool)
    assert dependence(alone, alarm, ten).effect == pytest.approx(1, abs=0.35)
    assert dependence(np.repeat(alone[:400], 10), alarm, ten).effect == pytest.approx(10, rel=0.25)
    assert dependence(alone, alarm, Blocks.of(4000)) == INDEPENDENT
    assert dependence(alone, alarm, ten).blocks == pytest.approx(400, rel=0.01)
    rare = rng.random(4000) < 0.01
    assert dependence(np.repeat(alone[:400], 10), rare, ten).effect < 1.8  # seldom two in a block


def test_series_and_clusters_that_move_together_say_less():
    rng = np.random.default_rng(1)
    together, alone = np.repeat(rng.random(500) < 0.5, 8), rng.random(4000) < 0.5
    alarm, names = np.ones(4000, bool), np.repeat(np.arange(500), 8)
    for blocks in (Blocks.of(4000, time=names), Blocks.of(4000, cluster=names)):
        assert dependence(together, alarm, blocks).effect == pytest.approx(8, rel=0.25)
        assert dependence(alone, alarm, blocks).effect == pytest.approx(1, abs=0.35)
        assert dependence(together, alarm, blocks).blocks == pytest.approx(500, rel=0.01)
    order = rng.permutation(4000)
    mixed = Blocks.of(4000, time=names[order], length=5)
    plain = Blocks.of(4000, time=names, length=5)
    one, other = dependence(together[order], alarm, mixed), dependence(together, alarm, plain)
    assert one.effect == pytest.approx(other.effect)
    assert other.effect > 6


def test_alarms_that_always_hit_are_not_taken_as_independent():
    alarm = np.zeros(400, bool)
    alarm[:40] = alarm[100:140] = True  # 80 alarms, four blocks
    blocks = Blocks.of(400, length=BLOCK)
    found = dependence(np.ones(400), alarm, blocks)
    assert found.effect > 10
    assert precision_p_value(80, 80, P, found) > P**8
    assert precision_p_value(80, 80, P) == pytest.approx(P**80)
    assert dependence(np.zeros(400), alarm, blocks).effect >= 1


@given(st.integers(0, 60), st.integers(0, 40), st.floats(1, 10), st.floats(2, 50))
def test_a_p_value_rejects_exactly_the_levels_above_it(k, misses, effect, blocks):
    n = k + misses
    if not n:
        return
    depends = Dependence(effect, blocks)
    p = precision_p_value(k, n, P, depends)
    exact = binom.sf(k - 1, n, P)
    assert p >= exact - 1e-12
    assert precision_p_value(k, n, P) == pytest.approx(exact, abs=1e-12)
    for level in (0.001, 0.01, 0.05, 0.2):
        size = depends.effective(n, level)
        assert size <= n + 1e-9
        rejects = max(exact, float(binomial_tail(k / n * size, size, P))) <= level
        assert rejects == (p <= level) or p == pytest.approx(level, rel=1e-6)


@given(st.integers(1, 100), st.integers(1, 500), st.floats(1, 6), st.floats(2, 40))
def test_further_alarms_are_just_enough(n, wanted, effect, blocks):
    depends, level = Dependence(effect, blocks), 0.01
    more = depends.further(n, wanted, level)

    def worth(total):
        return Dependence(effect, blocks * total / n).effective(total, level)

    assert worth(n + more) >= wanted
    assert more == 1 or worth(n + more - 1) < wanted


# ------------------------------------------------------------------------------------- certificates


def test_one_threshold_is_the_exact_test():
    y, score = _ranked(30, 24)
    found = certify(y, score, [score[29]], P)
    assert found.threshold.p_value == pytest.approx(binom.sf(23, 30, P))
    assert (found.threshold.hits, found.threshold.alarms, found.more_alarms) == (24, 30, 0)
    assert found.closest is None
    strict = certify(y, score, [score[29]], P, looks=4)
    assert strict.threshold is None
    assert strict.closest.level == pytest.approx(0.0125)
    assert strict.more_alarms == alarms_needed(P, 24 / 30, level=0.0125) - 30


def test_a_fixed_sequence_stops_at_the_first_failure():
    y, score = _ranked(60, 54)
    y[10:25] = 0  # thresholds at 20 to 30 alarms fail, the one at 60 would not be reached
    cuts = {n: score[n - 1] for n in (10, 25, 60)}
    assert y[:60].sum() > 0.6 * 60
    found = certify(y, score, [cuts[10], cuts[25], cuts[60]], 0.5)
    assert [row.alarms for row in found.tested] == [10, 25]
    assert found.threshold.alarms == 10
    better = certify(y, score, [cuts[60], cuts[10], cuts[25]], 0.5)
    assert better.threshold.alarms == 60


def test_a_sequence_passes_over_thresholds_with_too_few_alarms_to_ever_do():
    y, score = _ranked(30, 28)
    found = certify(y, score, [score[1], score[3], score[29]], P)  # 2 and 4 alarms, 0.6^4 > 0.05
    assert [row.alarms for row in found.tested] == [30]
    assert found.threshold.alarms == 30


@given(st.lists(st.integers(5, 40), min_size=1, max_size=5, unique=True), st.integers(0, 2**31))
def test_holm_equals_its_definition(sizes, seed):
    rng = np.random.default_rng(seed)
    y = (np.sort(rng.random(120))[::-1] > rng.random(120) * 0.8).astype(np.uint8)
    y[-2:] = 1
    score = np.linspace(3, -3, 120)
    found = certify(y, score, [score[n - 1] for n in sizes], P, method="holm", looks=3)
    p = np.array([binom.sf(y[:n].sum() - 1, n, P) for n in sizes])
    assert found.hypotheses == 3 * len(sizes)
    passed = np.zeros(len(sizes), bool)
    for position, i in enumerate(np.argsort(p, kind="stable")):
        if p[i] > 0.05 / (found.hypotheses - position):
            break
        passed[i] = True
    assert [row.certified for row in found.tested] == passed.tolist()
    assert [row.p_value for row in found.tested] == pytest.approx(p.tolist())
    if passed.any():
        most = max(int(y[:n].sum()) for n, ok in zip(sizes, passed, strict=True) if ok)
        assert found.threshold.hits == most


def test_candidates_share_the_error():
    y, score = _ranked(40, 34)
    one = Candidate(y, score, [score[39]])
    found = certify_many({"a": one, "b": one}, P, looks=5)
    assert {c.hypotheses for c in found.values()} == {5}
    assert [c.tested[0].level for c in found.values()] == pytest.approx([0.05 / 5] * 2)
    assert certify_many({"a": one, "b": one}, P, looks=1)["a"].hypotheses == 2
    assert certify_many({"a": one, "b": one}, P, method="holm")["b"].hypotheses == 2


def test_the_order_of_a_sequence_is_that_of_the_p_values_on_the_other_days():
    y, score = _ranked(60, 45)
    cuts = rate_cuts(score, (2, 5, 10, 20, 30, 50))
    order = sequence(y, score, cuts, P)
    p = [binom.sf(y[score >= c].sum() - 1, (score >= c).sum(), P) for c in order]
    assert sorted(order) == sorted(cuts)
    assert (np.diff(p) >= 0).all()


def test_no_number_of_alarms_certifies_what_is_not_there():
    y, score = _ranked(40, 20)
    found = certify(y, score, [score[39]], P)
    assert (found.threshold, found.more_alarms) == (None, None)
    assert found.closest.alarms == 40
    silent = certify(y, score, [10.0], P)
    assert silent.closest is None
    assert silent.to_dict()["more_alarms"] is None


def test_blocks_make_a_certificate_harder():
    rng = np.random.default_rng(4)
    y, score = (rng.random(600) < 0.75).astype(np.uint8), rng.standard_normal(600)
    cut = rate_cuts(score, (15,))
    alone, blocks = (
        certify(y, score, cut, P, blocks=b) for b in (None, Blocks.of(600, length=BLOCK))
    )
    assert (alone.block, blocks.block) == (1, BLOCK)
    assert alone.tested[0].p_value < blocks.tested[0].p_value
    assert blocks.tested[0].effective < alone.tested[0].effective == alone.tested[0].alarms


Y, S = [1, 0, 1, 0] * 5, list(np.linspace(2, 1, 20))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: certify(Y, S[:5], [1.5], P), "length"),
        (lambda: certify(Y, [np.nan, *S[1:]], [1.5], P), "not_finite"),
        (lambda: certify([3, *Y[1:]], S, [1.5], P), "labels"),
        (lambda: certify([1] + [0] * 19, S, [1.5], P), "few_positives"),
        (lambda: certify(Y, S, [1.5], 1.0), "range"),
        (lambda: certify(Y, S, [1.5], 0.0), "range"),
        (lambda: certify(Y, S, [1.5], P, 95), "range"),
        (lambda: certify(Y, S, [1.5], P, 0.3), "range"),
        (lambda: certify(Y, S, [], P), "thresholds"),
        (lambda: certify(Y, S, [np.nan], P), "thresholds"),
        (lambda: certify(Y, [s / 2 for s in S], [1.5], P, input="probability"), "scale"),
        (lambda: certify(Y, S, [1.5], P, method="bonferroni"), "choice"),
        (lambda: certify(Y, S, [1.5], P, looks=0), "number"),
        (lambda: certify(Y, S, [1.5], P, blocks=Blocks.of(19)), "length"),
        (lambda: certify(Y, S, [1.5], P, blocks=Blocks.of(20, length=10)), "few"),
        (lambda: certify_many({}, P), "empty"),
        (lambda: dependence([0] * 20, [False] * 20, Blocks.of(20, length=2)), "no_alarms"),
        (lambda: precision_p_value(3, 2, P), "counts"),
        (lambda: sequence(Y, S, [1.5], 2.0), "range"),
    ],
)
def test_bad_input_is_refused(call, code):
    with refused(code):
        call()


def test_calls_without_end_spend_no_more_than_the_error():
    assert sum(spent(0.05, call) for call in range(1, 10_000)) < 0.05
    assert spent(0.05, 0) == 0.05


@pytest.mark.parametrize(("calls", "draws"), [(30, 400)])
def test_run_by_run_keeps_the_promise(calls, draws):
    """Thirty runs without skill, certified one after another until one passes."""
    rng, false = np.random.default_rng(5), 0
    for _ in range(draws):
        hits = rng.binomial(40, 0.5, calls)
        p = binom.sf(hits - 1, 40, 0.5)
        false += any(p[k] <= spent(0.05, k + 1) / (k + 1) for k in range(calls))
    assert false / draws <= 0.05
