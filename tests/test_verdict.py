"""The verdict: who leads, what is answered of it, what is said where nobody can lead."""

from dataclasses import replace

import numpy as np
import polars as pl

from tests.test_external import scores, table
from trueness.evaluation import Contrast, Estimate
from trueness.judge.answers import Answer, no_baseline
from trueness.judge.captions import caption
from trueness.judge.external import judge_table, rule_of
from trueness.judge.finding import ids_by_key
from trueness.judge.leaderboard import leaderboard
from trueness.judge.leaderboard_document import BOUND, DIFFERENCE, main_table
from trueness.judge.power import power_sentences
from trueness.judge.settings import own_settings
from trueness.judge.verdict import Standing, Verdict, verdict_of


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
    (by_auc,) = judge_table(tied, rank_by="auc").groups
    assert by_auc.verdict.leader == "good"
    assert by_auc.power["minimum_detectable"]["upper_hits"] == 0
    texts = judge_table(tied, rank_by="auc").document().sentences()
    assert not [text for text in texts if "0/30" in text]
    (few,) = judge_table(table(), rule=rule_of(alarms=3)).groups  # as many as were asked for
    assert few.verdict.leader.startswith("good")


# ------------------------------------------------------------------------------------------ answers


def _four(skill, n=2000):
    """Verdict about the first of four models of other skills, against two baselines."""
    rng = np.random.default_rng(1)
    y = (rng.random(n) < 0.2).astype(int)
    models = {f"m{i}": skill_ * y + rng.standard_normal(n) for i, skill_ in enumerate(skill)}
    base = {"base": 1.5 * y + rng.standard_normal(n), "blind": rng.standard_normal(n)}
    days = pl.Series(np.arange(n)).cast(pl.Date)
    frame = pl.DataFrame({"date": days, "y": y, **models, **base})
    (group,) = judge_table(table(frame, scale="rank"), baselines=["base", "blind"]).groups
    return group


def test_a_leader_below_the_best_baseline_is_worse_whatever_the_others_are():
    group = _four([0.8, 0.7, 0.6, 0.5])
    best = group.verdict.better_than_best_baseline
    assert best.answer == best.measures["AUC"] == "worse"
    assert best.p <= 0.05
    assert best.words.startswith("No, worse")
    assert "worse than the best baseline" in group.verdict.short


def test_a_worse_leader_is_worse_where_another_candidate_is_not():
    def contrast(low, high):
        return Contrast(*(Estimate((low + high) / 2, low, high, 900) for _ in range(2)), p=0.01)

    against = [contrast(-0.14, -0.03), contrast(-0.05, 0.06), contrast(0.01, 0.1)]
    standing = Standing(
        Estimate.proportion(17, 30), 0.2, 0.05, None, [], [], against,
        [contrast(-0.5, 0.2), contrast(0.1, 0.2), contrast(-0.4, -0.1)], "base", "", 10,
    )  # fmt: skip
    answer = verdict_of("m", 30, standing).better_than_best_baseline
    assert answer.answer == "worse"
    assert answer.measures == {"AUC": "worse", "precision@30": "not_shown"}


def test_an_answer_that_differs_between_measures_says_in_which():
    same = Answer("worse", 0.01, "", {"AUC": "worse", "precision@30": "worse"})
    other = Answer("worse", 0.01, "", {"AUC": "worse", "precision@30": "not_shown"})
    assert (same.measure, other.measure) == ("", "AUC")
    assert same.words == Answer("worse", 0.01, "").words
    assert "precision@30" in other.words
    verdict = Verdict("m", same, same, other)
    assert verdict.short.endswith("the best baseline in AUC.")


def test_intervals_of_the_verdict_name_what_they_are_adjusted_for():
    text = _four([0.8, 0.7, 0.6, 0.5]).verdict.better_than_best_baseline.text
    assert "adjusted for 4 models and 2 baselines" in text


# -------------------------------------------------------------------------------------------- table


def _copied():
    """Two candidates, one of which scores as the better of two baselines does."""
    frame = scores(n=1500)
    frame = frame.rename({"vix": "base"}).with_columns(
        copy=pl.col("base"), blind=pl.col("base") ** 2
    )
    return judge_table(table(frame.with_columns(blind=1 - pl.col("blind"))),
                       baselines=["base", "blind"])  # fmt: skip


def _main(board):
    """Rows of the main table by id, each as cells by the title of their column."""
    result = main_table(board.groups[0])
    titles = [column.title for column in result.columns]
    return result, {row[0]: dict(zip(titles, row, strict=True)) for row in result.rows}


def test_a_copy_of_the_best_baseline_is_called_that_in_place_of_an_interval():
    board = _copied()
    _, rows = _main(board)
    assert rows["copy"][DIFFERENCE] == "identical to base"
    assert rows["good"][DIFFERENCE].low is not None
    models = {m["name"]: m for m in board.to_dict()["groups"][0]["models"]}
    identical = {n: models[n]["difference_to_best_baseline"]["identical"] for n in ("copy", "good")}
    assert identical == {"copy": True, "good": False}
    (alone,) = judge_table(table(scores(n=1500).drop("good", "coin").with_columns(
        copy=pl.col("vix"))), baselines=["vix"]).groups  # fmt: skip
    answer = alone.verdict.better_than_best_baseline
    assert (answer.answer, answer.measures) == ("not_shown", {})
    assert not [line for line in power_sentences(alone.power) if "0.000" in line]


def test_a_note_names_the_intervals_of_the_columns_that_are_shown():
    shown, _ = _main(_copied())
    titles = [column.title for column in shown.columns]
    assert BOUND in titles
    assert DIFFERENCE in titles
    assert "one-sided" in shown.note
    (group,) = judge_table(table()).groups  # without a baseline
    assert "baseline" not in main_table(group).note


def test_digests_of_scores_tell_models_of_one_name_apart_and_are_short():
    (group,) = judge_table(table()).groups
    assert [m.label for m in group.candidates] == ["", "", ""]
    specs = [m.run.spec for m in group.candidates]
    named = [
        s.model_copy(update={"model": s.model.model_copy(update={"name": "a"})}) for s in specs
    ]
    digests = [own["model.digest"] for own in own_settings(named)]
    assert [len(one) for one in digests] == [8, 8, 8]
    assert all(s.model.digest.startswith(d) for s, d in zip(specs, digests, strict=True))


def test_frames_say_what_the_table_says_of_those_that_are_not_told_apart(golden_market):
    board = leaderboard(golden_market, "golden")
    words = set(board.to_frame()["against_leader"].drop_nulls())
    assert "indistinguishable" in words
    assert "tied" not in words
    _, rows = _main(board)
    assert words <= {row["vs leader"] for row in rows.values()}


# -------------------------------------------------------------------------------------------- words


def test_a_table_without_a_baseline_asks_for_one_and_a_store_does_not(golden_market):
    (group,) = judge_table(table()).groups
    assert "--baseline" in group.verdict.better_than_best_baseline.text
    model = _golden(golden_market, "linear16").candidates[0]
    assert "--baseline" not in no_baseline(model.run)


def test_a_table_that_is_judged_whole_has_rows_and_no_part():
    (group,) = judge_table(table()).groups
    assert "400 rows" in group.title
    assert "(" not in group.title
    assert "unit" not in " ".join(power_sentences(group.power, group.rule.nouns[0]))


def test_only_a_validation_part_stops_early(golden_market):
    group = _golden(golden_market, "linear16")
    stopped = [
        "early stopping" in caption(replace(group, rule=replace(group.rule, chosen_on=part)))
        for part in ("validation", "inner validation", "train", "")
    ]
    assert stopped == [True, True, False, False]
