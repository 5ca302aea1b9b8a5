"""The leaderboard: golden answers, verdict, selection, what is shown, accesses, damage."""

import json
import re
import shutil

import numpy as np
import polars as pl
import pytest

from tests.golden import equal, estimate_name, expected, models, named
from tests.test_cli import call
from trueness.errors import TruenessError
from trueness.evaluation import (
    contrasts_with_leader,
    mean_of,
    precision_bounds,
    resampled_aucs,
    resampled_precisions,
    shrink,
)
from trueness.judge.comparison import measured_part, statistics
from trueness.judge.contrasts import contrasts
from trueness.judge.finding import find_runs
from trueness.judge.leaderboard import leaderboard
from trueness.judge.leaderboard_document import selection_lines
from trueness.judge.selection import Selected, _distinct
from trueness.judge.show import show
from trueness.report import to_html, to_markdown
from trueness.store import Store
from trueness.store.ledger import Ledger


@pytest.fixture(scope="module")
def group(judged):
    (found,) = leaderboard(Store(judged / "store"), "judged").groups
    return found


@pytest.fixture
def copy(judged, tmp_path):
    shutil.copytree(judged / "store", tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "index", ignore_errors=True)
    (tmp_path / "store" / "ledger.jsonl").unlink(missing_ok=True)
    return Store(tmp_path / "store")


# --------------------------------------------------------------------------------- as it was before


@pytest.fixture(scope="module")
def golden(golden_market):
    (found,) = leaderboard(golden_market, "golden").groups
    return found


def _old(estimate):
    return {k: estimate[k] for k in ("value", "low", "high", "n", "k")}


def test_estimates_of_every_run_are_the_same_to_the_digit(golden):
    wanted = expected()["market"]["runs"]
    assert {model.name for model in golden.models} == set(wanted)
    for model in golden.models:
        for old, estimate in wanted[model.name]["estimates"].items():
            got = model.estimates[estimate_name(old)].to_dict()
            loose = ("calibration_error",)
            equal(got, _old(estimate), f"{model.name}.{old}", loose)
            assert got["chosen_on"] == estimate["chosen_on"]


def test_the_leader_and_all_contrasts_are_the_same_to_the_digit(golden):
    old = expected()["market"]["arena"]
    assert golden.candidates[0].name == old["leader"]
    assert golden.reference.record["label"].endswith("random forest")
    assert golden.n_candidates == len(old["candidates"])
    assert golden.selection.distinct == len(old["distinct"])
    others = list(old["leader_minus"])
    for what in ("auc", "precision"):
        found = getattr(golden.selection, what)
        for name, contrast in zip(others, found, strict=True):
            for kind in ("pointwise", "simultaneous"):
                wanted = _old(old["leader_minus"][name][what][kind])
                equal(contrast.to_dict()[kind], wanted, f"{name}.{what}.{kind}")
            assert contrast.verdict == old["leader_minus"][name][what]["verdict"]
    equal(golden.selection.shrunk.pooled.to_dict(), _old(old["shrunk"]["pooled"]))
    equal(golden.selection.shrunk.deviation**2, old["shrunk"]["variance"])


def test_what_remains_of_each_candidate_is_the_same_to_the_digit(golden):
    board = expected()["market"]["leaderboard"]["arenas"][0]
    by_name = {model.name: model for model in golden.models}
    for old in board["networks"]:
        (name,) = old["ids"]
        model = by_name[name]
        equal(model.selected.shrunk.to_dict(), _old(old["selection"]["shrunk"]), f"{name}.shrunk")
        equal(model.selected.bound.to_dict(), _old(old["selection"]["bound"]), f"{name}.bound")
        assert model.selected.auc == old["selection"]["auc"]
        assert model.selected.precision == old["selection"]["precision"]
        equal(model.difference.to_dict(), _old(old["difference_to_best_baseline"]["auc"]))


def test_the_verdict_is_the_same(golden):
    leader = expected()["market"]["leaderboard"]["arenas"][0]["leader"]
    verdict = golden.verdict
    equal(verdict.better_than_chance.p, leader["chance_p"])
    answers = {
        "better_than_chance": leader["beats_chance"],
        "better_than_siblings": leader["beats_siblings"],
        "better_than_best_baseline": leader["baseline"]["verdict"] == "better",
    }
    for name, yes in answers.items():
        answer = getattr(verdict, name)
        assert (answer.answer == "yes") == yes, name
        assert answer.p is None or (answer.p <= 0.05) == yes, name
    assert f"indistinguishable from {leader['tied']} of {leader['siblings']}" in str(verdict)


@pytest.mark.parametrize("old", ["precision_top30", "auc", "average_precision",
                                 "calibration_error", "recall_half"])  # fmt: skip
def test_the_order_is_the_same(golden_market, old):
    (found,) = leaderboard(golden_market, "golden", sort=estimate_name(old)).groups
    wanted = expected()["market"]["order"][old]
    assert [m.name for m in found.candidates] == wanted["networks"]
    assert [m.name for m in found.baselines] == wanted["baselines"]


def test_findings_are_the_same(golden):
    board = expected()["market"]["leaderboard"]["arenas"][0]
    by_name = {model.name: model for model in golden.models}
    for old in board["networks"]:
        wanted = {f["code"] for f in old["findings"]}
        assert {f.code for f in by_name[old["ids"][0]].findings} == wanted, old["ids"]


def test_resampled_values_are_the_same(golden_market):
    runs = [r for r in golden_market.all_runs()[0] if not r.spec.is_baseline]
    found, problems = statistics(golden_market, runs)
    names = named(golden_market)
    assert problems == []
    for name, old in expected()["market"]["arena"]["first_draws"].items():
        if name in {names[run.key] for run in runs}:
            (one,) = [found[key] for key, known in names.items() if known == name]
            equal(one.auc.draws[:5].tolist(), old["auc"][:5] if isinstance(old["auc"], list)
                  else old["auc"]["draws"][:5])  # fmt: skip


def test_seeds_of_the_golden_candidates_are_one(golden):
    rules = {m["name"]: m["candidate"] for m in models()["market"]["models"]}
    by_candidate = {}
    for model in golden.candidates:
        by_candidate.setdefault(model.run.spec.candidate, set()).add(rules[model.name])
    assert all(len(names) == 1 for names in by_candidate.values())


# ---------------------------------------------------------------------------------------- selection


def _by_candidate(group):
    """Models by candidate, the leader's first, then in the order of the store."""
    found = {group.candidates[0].run.spec.candidate: []}
    for model in sorted(group.candidates, key=lambda m: m.key):
        found.setdefault(model.run.spec.candidate, []).append(model)
    return list(found.values())


def test_seeds_share_what_remains_of_their_candidate(group):
    candidates = _by_candidate(group)
    assert len(candidates) == group.selection.distinct == group.n_candidates == 13
    for seeds in candidates:
        assert all(model.selected == seeds[0].selected for model in seeds)
    assert [m.selected.against_leader for m in candidates[0]] == ["leader", "leader"]
    assert all(model.selected is None for model in group.baselines)


def test_it_equals_the_statistics_of_the_predictions(group):
    candidates = _by_candidate(group)
    part = measured_part(candidates[0][0].run)
    blocks = part.blocks(20)
    scores = [[measured_part(m.run).score for m in seeds] for seeds in candidates]
    flat = [s for seeds in scores for s in seeds]
    precisions = iter(resampled_precisions(part.y, flat, alarms=30, blocks=blocks))
    aucs = iter(resampled_aucs(part.y, flat, blocks=blocks))
    precisions, aucs = (
        [mean_of([next(x) for _ in seeds]) for seeds in candidates] for x in (precisions, aucs)
    )
    counts = [
        np.mean([(e.k, e.n) for e in (m.estimates["precision@30"] for m in seeds)], axis=0)
        for seeds in candidates
    ]
    drawn, bounds = shrink(*zip(*counts, strict=True)), precision_bounds(precisions)
    for seeds, s, b in zip(candidates, drawn.estimates, bounds, strict=True):
        one = seeds[0].selected
        assert (one.shrunk.value, one.shrunk.low) == pytest.approx((s.value, s.low), abs=1e-6)
        assert (one.bound.value, one.bound.low) == pytest.approx((b.value, b.low), abs=1e-6)
        assert one.bound.n_candidates == one.shrunk.n_candidates == 13
        assert one.bound.measured_on == "validation"
    for ours, theirs in zip(group.selection.auc, contrasts_with_leader(aucs, 0), strict=True):
        assert ours.simultaneous.low == pytest.approx(theirs.simultaneous.low, abs=1e-9)
        assert ours.p == theirs.p


def test_joint_results_are_kept_and_may_be_damaged(copy):
    first = leaderboard(copy, "judged").to_dict()
    (path,) = (copy.root / "index").glob("selection-*.json")
    assert leaderboard(copy, "judged").to_dict() == first
    assert leaderboard(copy, "judged", sort="auc").to_dict() != first
    assert len(json.loads(path.read_text())) == 1  # another leader, the same pairs
    for damaged in ({"auc": 1}, [], {"auc": "a", "precision": 1, "overfitting": None}, None):
        path.write_text(json.dumps({name: damaged for name in json.loads(path.read_text())}))
        assert leaderboard(copy, "judged").to_dict() == first


def test_few_candidates_have_no_overfitting(judged, group):
    keys = {model.key for model in group.candidates[:3]}
    (few,) = leaderboard(Store(judged / "store"), "judged", keys=keys).groups
    assert few.selection.overfitting is None
    (one,) = leaderboard(Store(judged / "store"), "judged", keys={group.candidates[0].key}).groups
    assert selection_lines(one) == []
    assert one.candidates[0].selected.against_leader == "leader"
    assert one.verdict.better_than_siblings.answer == "too_few"


def test_without_its_predictions_a_leader_is_not_compared(copy, group):
    run = copy.run(group.candidates[0].key)
    path = run.folder / "predictions.parquet"
    path.write_bytes(path.read_bytes()[::-1])
    board = leaderboard(copy, "judged")
    (found,) = board.groups
    assert found.selection is None
    assert found.candidates[0].selected is None
    assert run.key in {problem.name for problem in board.problems}
    assert "No curves of" in to_markdown(board.document())


def test_candidates_that_rank_all_units_alike_count_once(judged):
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
def test_precision_decides_the_mark(group, precision, auc, mark):
    one = group.candidates[0].selected
    assert Selected(one.shrunk, one.bound, precision, auc).against_leader == mark


def test_an_unknown_sort_is_refused(copy):
    with pytest.raises(TruenessError) as error:
        leaderboard(copy, "judged", sort="accuracy")
    assert error.value.code == "no_estimate"


# --------------------------------------------------------------------------------------------- shown


def test_every_part_of_the_document_is_there_and_in_order(judged):
    board = leaderboard(Store(judged / "store"), "judged")
    text = to_markdown(board.document())
    titles = ("leads", "Better than chance?", "Better than the other candidates?",
              "Better than the best baseline?", "Base rate", "Pooled precision@30", "Power",
              "AUC with intervals", "Precision and recall over the alarm rate", "Run by run")  # fmt: skip
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert "13 candidates" in text
    for finding in {f.code for m in board.groups[0].models for f in m.findings}:
        assert finding in text


def test_numbers_of_the_table_are_those_of_the_predictions(judged, group):
    leader = group.candidates[0]
    rows = measured_part(leader.run).frame
    hits = int(rows.sort("score", descending=True).head(30)["y"].sum())
    top = leader.estimates["precision@30"]
    assert (top.k, top.n) == (hits, 30)
    assert f"{hits}/30" in to_markdown(leaderboard(Store(judged / "store"), "judged").document())


def test_the_frame_has_a_row_per_model(judged, group):
    frame = leaderboard(Store(judged / "store"), "judged").to_frame()
    assert frame["key"].to_list() == [model.key for model in group.models]
    first = frame.row(0, named=True)
    assert first["precision@30_k"] == group.candidates[0].estimates["precision@30"].k
    assert frame.filter(pl.col("baseline"))["shrunk"].null_count() == len(group.baselines)


def test_a_page_is_small_and_refers_to_nothing_outside(judged):
    page = to_html(leaderboard(Store(judged / "store"), "judged").document())
    assert len(page.encode()) < 1_500_000
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    assert "`" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_differing_settings_are_columns(judged):
    table = leaderboard(Store(judged / "store"), "judged").document().tables()[0]
    assert "stop on" in [column.title for column in table.columns]


def test_labels_are_readable(group):
    labels = {model.label for model in group.candidates}
    assert "a20 · PatchTST d8×1, 2 heads, dropout 0" in {
        x.split(", loss")[0] for x in labels
    } or any("PatchTST d8×1" in label for label in labels)


def test_one_run_is_shown_whole(judged, group):
    store = Store(judged / "store")
    leader = group.candidates[0]
    shown = show(store, leader.key)
    text = to_markdown(shown.document())
    assert all(name in text for name in leader.estimates)
    assert "AUC minus that of the best baseline" in text
    content = shown.to_dict()
    assert (content["schema"], content["kind"], content["key"]) == (1, "run", leader.key)
    assert content["spec"]["task"]["kind"] == "market"
    assert shown.to_frame().height == len(leader.estimates)


# ------------------------------------------------------------------------------------------ accesses


def test_every_verb_records_one_access(copy, judged, group, capsys):
    key, ledger = group.candidates[0].key, Ledger(copy)
    verbs = [
        ("leaderboard", "judged", "--json"), ("leaderboard", "--by", "loss"), ("show", key),
        ("calibrate", key, "--method", "platt"), ("top", "-n", 1), ("thresholds", key),
        ("tracker", judged / "judged.yaml", "--seeds", 2), ("certify", key, "--precision", 0.6),
        ("run", judged / "judged.yaml", "--seeds", 2, "--workers", 0),
    ]  # fmt: skip
    for i, words in enumerate(verbs):
        code, _, err = call(capsys, *words, "--store", copy.root)
        assert code in (0, 1), (words, err)
        assert [(a.verb, a.part) for a in ledger.accesses()[i:]] == [(words[0], "validation")]
    assert set(ledger.accesses()[0].keys) >= {model.key for model in group.models}
    _, out, _ = call(capsys, "leaderboard", "judged", "--json", "--store", copy.root)
    (found,) = json.loads(out)["groups"]
    access = found["access"]
    assert (access["times"], access["n_candidates"], access["part"]) == (10, 13, "validation")
    assert (access["opened"], access["unrecorded"]) == (0, "")


def test_who_may_only_read_may_look(copy, group, capsys):
    (copy.root / "ledger.jsonl").mkdir()
    for words in (("leaderboard", "judged"), ("show", group.candidates[0].key)):
        code, out, _ = call(capsys, *words, "--store", copy.root)
        assert code == 0
        assert "not recorded" in " ".join(out.split())


def test_an_empty_store_is_not_made(tmp_path, capsys):
    code, out, _ = call(capsys, "leaderboard", "--store", tmp_path / "none")
    assert code == 0
    assert "No runs yet" in out
    assert not (tmp_path / "none").exists()


def test_another_layout_is_refused(tmp_path, capsys):
    for version in (1, 3):
        root = tmp_path / str(version)
        root.mkdir()
        (root / "store.json").write_text(json.dumps({"version": version}))
        with pytest.raises(TruenessError) as error:
            Store(root)
        assert error.value.code == "store_version"
        code, out, err = call(capsys, "leaderboard", "--store", root)
        assert (code, out, err.count("\n")) == (2, "", 1)


REFUSED = {
    "sort": ({"sort": "accuracy"}, "no_estimate"),
    "reference": ({"reference": "LF-1"}, "reference"),
    "part": ({"part": "test", "opened": True}, "no_part"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_answered_is_refused_before_it_is_recorded(copy, case):
    options, code = REFUSED[case]
    with pytest.raises(TruenessError) as error:
        leaderboard(copy, "judged", access=("leaderboard", ""), **options)
    assert error.value.code == code
    assert Ledger(copy).accesses() == []


def test_a_setting_that_is_not_there_is_refused_before_it_is_recorded(copy):
    for by, reference in (("batch", None), ("loss", "poly")):
        with pytest.raises(TruenessError):
            contrasts(copy, "judged", by, reference=reference, access=("leaderboard", by))
    assert Ledger(copy).accesses() == []


def test_damaged_runs_of_a_campaign_are_told(copy, group):
    folder = copy.run(group.candidates[0].key).folder
    (folder / "history.parquet").write_bytes(b"")
    with pytest.raises(TruenessError) as error:
        find_runs(copy, (), "judged")
    assert error.value.code == "damaged"
