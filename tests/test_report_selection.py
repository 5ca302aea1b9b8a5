"""What remains after the choice, on a store of tiny runs: rows, captions, index, copies."""

import json
import re
import shutil

import numpy as np
import pytest
from rich.console import Console

from tests.test_cli import call
from trueness.evaluation import (
    backtest_overfitting,
    contrasts_with_leader,
    mean_of,
    precision_bounds,
    resampled_aucs,
    resampled_precisions,
    shrink,
)
from trueness.report import leaderboard
from trueness.judge.comparison import measured, without_seed
from trueness.report.page import write_page
from trueness.judge.selection import Selected, _distinct
from trueness.report.tables import show_leaderboard
from trueness.judge.words import selection_lines, verdict
from trueness.store import Store


@pytest.fixture(scope="module")
def arena(judged):
    (found,) = leaderboard(Store(judged / "store"), "judged").arenas
    return found


@pytest.fixture
def copy(judged, tmp_path):
    shutil.copytree(judged / "store", tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "index", ignore_errors=True)
    return Store(tmp_path / "store")


def _groups(arena):
    """Rows by candidate, the leader's first, then in the order of the store."""
    groups = {without_seed(arena.networks[0].run.spec): []}
    for row in sorted(arena.networks, key=lambda row: row.run.key):
        groups.setdefault(without_seed(row.run.spec), []).append(row)
    return list(groups.values())


def test_seeds_share_what_remains_of_their_candidate(arena):
    groups = _groups(arena)
    assert len(groups) == arena.selection.distinct == arena.candidates == 13
    for group in groups:
        assert len({id(row.selected) for row in group}) <= 2
        assert all(row.selected == group[0].selected for row in group)
    assert [row.selected.mark for row in groups[0]] == ["leader", "leader"]
    assert all(row.selected is None for row in arena.baselines)
    assert {row.selected.mark for group in groups[1:] for row in group} <= {
        "tied", "worse", "better", "AUC worse", "AUC better"}  # fmt: skip


def test_it_equals_the_statistics_of_the_predictions(arena):
    groups = _groups(arena)
    y = measured(groups[0][0].run)[0]
    scores = [[measured(row.run)[1] for row in group] for group in groups]
    flat = [s for group in scores for s in group]
    precisions = iter(resampled_precisions(y, flat, alarms=30, block=20))
    aucs = iter(resampled_aucs(y, flat, block=20))
    precisions, aucs = (
        [mean_of([next(x) for _ in group]) for group in groups] for x in (precisions, aucs)
    )
    counts = [
        np.mean([(e.k, e.n) for e in (r.estimates["precision@30"] for r in group)], axis=0)
        for group in groups
    ]
    drawn = shrink(*zip(*counts, strict=True))
    bounds = precision_bounds(precisions)
    contrasts = contrasts_with_leader(aucs, 0)
    for group, s, b in zip(groups, drawn.estimates, bounds, strict=True):
        one = group[0].selected
        assert (one.shrunk.value, one.shrunk.low) == pytest.approx((s.value, s.low), abs=1e-6)
        assert (one.bound.value, one.bound.low) == pytest.approx((b.value, b.low), abs=1e-6)
        assert one.bound.n_candidates == one.shrunk.n_candidates == 13
        assert one.bound.measured_on == "validation"
    for ours, theirs in zip(arena.selection.auc, contrasts, strict=True):
        assert ours.simultaneous.low == pytest.approx(theirs.simultaneous.low, abs=1e-9)
    assert arena.nulls.tied == sum(c.verdict == "tied" for c in contrasts)
    assert arena.nulls.precision_tied == sum(
        c.verdict in ("tied", "unknown") for c in arena.selection.precision
    )
    assert arena.selection.overfitting.n == 924  # 241 days: twelve blocks of twenty
    one_seed = [group[0] for group in scores]
    alone = backtest_overfitting(y, one_seed, blocks=12).probability.value
    assert abs(arena.selection.overfitting.value - alone) < 0.6


def test_terminals_json_and_page_show_it(arena, judged, capsys, tmp_path):
    store = Store(judged / "store")
    board = leaderboard(store, "judged")
    texts = {}
    for width in (160, 230):
        console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
        show_leaderboard(console, board)
        texts[width] = console.export_text()
        console.file.close()
    assert "against" in texts[160]
    assert "shrunk" not in texts[160]
    assert re.search(r"shrunk +corrected +against", texts[230])
    assert re.search(r"\d+ \[\d+–\d+\] +≥ \d+ +leader", texts[230])
    for text in (*texts.values(), verdict(arena)):
        assert re.search(r"tied in AUC with \d+ of 12(, behind \d+)?, in precision with \d+", text)
    first, second = selection_lines(arena)
    assert first.startswith("precision at top 30 over 13 candidates: pooled ")
    assert re.search(r"in \d+ % of 924 splits; 50 % is chance", second)
    write_page(board, tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text()
    assert first in html
    assert "against<br>leader" in html
    _, out, _ = call(capsys, "leaderboard", "judged", "--json", "--store", store.root)
    (content,) = json.loads(out)["arenas"]
    assert content["selection"]["distinct_candidates"] == 13
    assert set(content["networks"][0]["selection"]) == {"shrunk", "bound", "precision", "auc"}
    assert content["baselines"][0]["selection"] is None


def test_joint_results_are_kept_and_may_be_damaged(copy):
    first = leaderboard(copy, "judged").to_dict()
    (path,) = (copy.root / "index").glob("selection-*.json")
    (kept,) = json.loads(path.read_text()).values()
    assert set(kept) == {"auc", "precision", "overfitting"}
    assert leaderboard(copy, "judged").to_dict() == first
    assert leaderboard(copy, "judged", sort="auc").to_dict() != first
    assert len(json.loads(path.read_text())) == 1  # another leader, the same pairs
    for damaged in ({"auc": 1}, [], {"auc": "a", "precision": 1, "overfitting": None}):
        path.write_text(json.dumps({name: damaged for name in json.loads(path.read_text())}))
        assert leaderboard(copy, "judged").to_dict() == first


def test_few_candidates_have_no_overfitting(judged, arena):
    keys = {row.run.key for row in arena.networks[:3]}
    (few,) = leaderboard(Store(judged / "store"), "judged", keys=keys).arenas
    assert few.selection.overfitting is None
    assert few.to_dict()["selection"]["overfitting"] is None
    (one,) = leaderboard(Store(judged / "store"), "judged", keys={arena.networks[0].run.key}).arenas
    assert selection_lines(one) == []
    assert one.networks[0].selected.mark == "leader"


def test_without_its_predictions_a_leader_is_not_compared(copy, arena):
    run = copy.run(arena.networks[0].run.key)
    path = run.folder / "predictions.parquet"
    path.write_bytes(path.read_bytes()[::-1])
    (found,) = leaderboard(copy, "judged").arenas
    assert found.selection is None
    assert found.networks[0].selected is None
    assert "better than its siblings" in verdict(found)


def test_candidates_that_rank_all_days_alike_count_once(judged):
    from trueness.judge.comparison import statistics

    runs = [r for r in Store(judged / "store").all_runs()[0] if not r.spec.is_baseline][:3]
    found, _ = statistics(Store(judged / "store"), runs)
    a, b, c = (found[run.key] for run in runs)
    assert _distinct([[a], [b], [a], [c, b], [c, b]]) == ([0, 1, 0, 2, 2], [0, 1, 3])


@pytest.mark.parametrize(
    ("precision", "auc", "mark"),
    [
        ("tied", "tied", "tied"), ("worse", "better", "worse"), ("tied", "worse", "AUC worse"),
        ("unknown", "tied", "tied"), ("unknown", "unknown", "unknown"), ("leader", "leader", "leader"),
    ],
)  # fmt: skip
def test_precision_decides_the_mark(arena, precision, auc, mark):
    one = arena.networks[0].selected
    assert Selected(one.shrunk, one.bound, precision, auc).mark == mark
