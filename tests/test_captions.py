"""What the line above a leaderboard says about what is not known."""

import dataclasses

import pytest

from trueness.evaluation import Estimate
from trueness.judge.captions import FEW_POSITIVES, caption
from trueness.judge.comparison import statistics
from trueness.judge.leaderboard import leaderboard


@pytest.fixture(scope="module")
def group(golden_market):
    (actual,) = leaderboard(golden_market).groups
    return actual


def rate(positives):
    return Estimate(positives / 500, 0.1, 0.3, 500, positives)


def test_few_positives_are_named_with_what_they_leave_unknown(group):
    many, few = (
        caption(dataclasses.replace(group, base_rate=rate(k))) for k in (FEW_POSITIVES, 76)
    )
    assert "positives a recall" not in many
    assert "With 76 positives a recall is known to about ±5.7 points." in few


def test_precisions_of_few_alarms_are_named(group):
    assert "fewer than 5 alarms" in caption(group)  # one model raises three at 0.5
    others = [m for m in group.candidates if m.estimates["precision@0.5"].n not in range(1, 5)]
    assert len(others) < len(group.candidates)
    assert "fewer than 5 alarms" not in caption(dataclasses.replace(group, candidates=others))


def test_the_effective_number_of_alarms_is_named(group, golden_market):
    leader = group.candidates[0]
    known, _ = statistics(golden_market, [leader.run])
    precision = known[leader.key].precision
    tail = (1 - group.rule.confidence) / 2
    assert group.effective_alarms == precision.depends.effective(precision.n, tail) < precision.n
    assert f"The {precision.n} alarms of the leader" in caption(group)
    for effective in (None, precision.n):
        assert "of the leader" not in caption(
            dataclasses.replace(group, effective_alarms=effective)
        )
