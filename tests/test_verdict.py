"""The verdict: who leads, what is answered of it, what is said where nobody can lead."""

import numpy as np
import polars as pl

from tests.test_external import scores, table
from trueness.judge.external import judge_table, rule_of
from trueness.judge.finding import ids_by_key
from trueness.judge.leaderboard import leaderboard


def _golden(store, *names):
    """The comparison group of some golden runs on bars."""
    keys = {key for key, ids in ids_by_key(store, "golden").items() if set(ids) & set(names)}
    assert len(keys) == len(names)
    (group,) = leaderboard(store, "golden", keys=keys).groups
    return group


# ------------------------------------------------------------------------------------------- nobody


def test_a_candidate_without_alarms_does_not_lead(golden_market):
    board = leaderboard(
        golden_market, "golden", keys={_golden(golden_market, "constant").models[0].key}
    )
    (group,) = board.groups
    (model,) = group.candidates
    assert model.estimates["precision@30"].n == 0
    assert group.verdict.leader == ""
    assert "TRU001" in group.verdict.reason
    assert group.selection is None
    assert group.power is None
    document = board.document()
    assert document.answer == group.verdict.reason
    assert not [text for text in document.sentences() if "0/30" in text or "leads" in text]
    assert group.verdict.better_than_chance.answer == "too_few"


def test_one_with_alarms_leads_those_without(golden_market):
    group = _golden(golden_market, "constant", "linear16")
    assert group.candidates[-1].name == "constant"
    assert group.verdict.leader.startswith("linear16")
    assert group.verdict.reason == ""


def test_scores_that_are_tied_at_the_edge_rank_nobody_until_the_auc_sorts():
    n = 400
    levels = pl.Series(np.arange(n) % 4 / 4)
    tied = table(scores(n=n, good=levels).drop("coin", "vix"))
    (group,) = judge_table(tied).groups
    assert (group.verdict.leader, bool(group.verdict.reason)) == ("", True)
    (by_auc,) = judge_table(tied, sort="auc").groups
    assert by_auc.verdict.leader == "good"
    assert by_auc.power["minimum_detectable"]["upper_hits"] == 0
    texts = judge_table(tied, sort="auc").document().sentences()
    assert not [text for text in texts if "0/30" in text]
    (few,) = judge_table(table(), rule=rule_of(alarms=3)).groups  # as many as were asked for
    assert few.verdict.leader.startswith("good")
