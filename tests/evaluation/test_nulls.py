"""Whether a leader beats chance, its siblings and the best baseline."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from tests.evaluation.cases import refused
from trueness.evaluation import Contrast, Estimate, chance_p, sidak, two_nulls


@given(st.integers(1, 40), st.data(), st.floats(0.01, 0.99), st.integers(1, 200))
def test_chance_is_the_binomial_tail_after_sidak(alarms, data, rate, m):
    hits = data.draw(st.integers(0, alarms))
    tail = binom.sf(hits - 1, alarms, rate)
    assert chance_p(hits, alarms, rate) == pytest.approx(tail, rel=1e-9, abs=1e-15)
    assert chance_p(hits, alarms, rate, m) == pytest.approx(1 - (1 - tail) ** m, abs=1e-9)


def _contrast(low, high):
    estimate = Estimate((low + high) / 2, low, high, 100)
    return Contrast(estimate, estimate)


def test_two_nulls_counts_ties_and_names_chance():
    siblings = [_contrast(-0.1, 0.1), _contrast(0.01, 0.2), _contrast(-0.3, -0.1)]
    first = _contrast(0.02, 0.2)
    nulls = two_nulls(
        Estimate.proportion(21, 30), 0.2, 4, siblings, first, [first, _contrast(-0.1, 0.1)]
    )
    assert (nulls.siblings, nulls.tied, nulls.ahead, nulls.precision_tied) == (3, 1, 1, None)
    assert (nulls.beats_chance, nulls.beats_siblings) == (True, False)
    assert (nulls.beating, nulls.candidates) == (1, 2)
    assert nulls.chance_p == pytest.approx(chance_p(21, 30, 0.2, 4))
    alone = two_nulls(Estimate.proportion(0, 0), 0.2, 1, [], None, [])
    assert (alone.chance_p, alone.beats_chance, alone.beats_siblings) == (None, False, False)
    assert two_nulls(Estimate.proportion(9, 9), 0.2, 2, siblings[1:2], None, []).beats_siblings
    both = two_nulls(
        Estimate.proportion(9, 9), 0.2, 2, siblings[1:2], None, [], siblings_precision=siblings[:1]
    )
    assert (both.tied, both.precision_tied) == (0, 1)


def test_the_chance_p_says_whether_days_depend():
    alarms = Estimate.proportion(21, 30)
    plain = two_nulls(alarms, 0.2, 4, [], None, [])
    blocks = two_nulls(alarms, 0.2, 4, [], None, [], single_p=0.03)
    assert not plain.in_blocks
    assert plain.chance_p == pytest.approx(chance_p(21, 30, 0.2, 4))
    assert blocks.in_blocks
    assert blocks.chance_p == pytest.approx(1 - 0.97**4)


@given(st.floats(0, 1), st.integers(1, 500))
def test_sidak_is_the_chance_that_any_of_them_is_as_small(p, m):
    assert sidak(p, m) == pytest.approx(1 - (1 - p) ** m, abs=1e-9)
    assert sidak(p, 1) == pytest.approx(p)


@pytest.mark.parametrize(
    "arguments", [(3, 2, 0.1), (-1, 2, 0.1), (1, 2, 1.5), (1, 2, 0.5, 0)]
)  # fmt: skip
def test_impossible_counts_are_refused(arguments):
    with refused("counts"):
        chance_p(*arguments)
