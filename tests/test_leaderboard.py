"""The leaderboard: golden answers, verdict, selection, what is shown, accesses, damage."""

import json
import re
import shutil
from itertools import product

import numpy as np
import polars as pl
import pytest

from tests.golden import equal, estimate_name, expected, models
from tests.test_cli import call
from trueness.errors import TruenessError
from trueness.evaluation import (
    Chance,
    against_best,
    auc_draws,
    contrasts_with_leader,
    mean_of,
    precision_bounds,
    precision_draws,
    shrink_drawn,
)
from trueness.evaluation.rearranged import alarm_values, rank_values
from trueness.evaluation.rearranged_labels import labels_of
from trueness.evaluation.resampling import SortedScores
from trueness.files import read_json, write_json
from trueness.judge.access import record_access, versions
from trueness.judge.captions import selection_lines
from trueness.judge.chance import Rearranged, chance_of
from trueness.judge.comparison import measured_part, statistics
from trueness.judge.contrasts import contrasts
from trueness.judge.finding import find_runs
from trueness.judge.leaderboard import leaderboard
from trueness.judge.selection import Selected, _distinct
from trueness.judge.settings import full_labels
from trueness.judge.show import show
from trueness.report import to_html, to_markdown
from trueness.spec.kinds import spec_class
from trueness.store import Store
from trueness.store.folder import VERSION
from trueness.store.ledger import Ledger


@pytest.fixture(scope="module")
def group(campaign_folder):
    (actual,) = leaderboard(Store(campaign_folder / "store"), "judged").groups
    return actual


@pytest.fixture
def copy(campaign_folder, tmp_path):
    shutil.copytree(campaign_folder / "store", tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "index", ignore_errors=True)
    (tmp_path / "store" / "ledger.jsonl").unlink(missing_ok=True)
    return Store(tmp_path / "store")


# --------------------------------------------------------------------------------- as it was before


@pytest.fixture(scope="module")
def golden(golden_market):
    (actual,) = leaderboard(golden_market, "golden").groups
    return actual


def _old(estimate):
    """What no method changes; intervals are tested against their own oracles."""
    return {k: estimate[k] for k in ("value", "n", "k")}


def test_estimates_of_every_run_are_the_same_to_the_digit(golden):
    wanted = expected()["market"]["runs"]
    assert {model.name for model in golden.models} == set(wanted)
    for model in golden.models:
        for old, estimate in wanted[model.name]["estimates"].items():
            got = model.estimates[estimate_name(old)].to_dict()
            wanted_now = _old(estimate)
            equal({k: got[k] for k in wanted_now}, wanted_now, f"{model.name}.{old}")
            assert got["chosen_on"] == estimate["chosen_on"]


def test_the_differences_to_the_leader_are_the_same_to_the_digit(golden):
    old = expected()["market"]["arena"]
    names = [model.name for model in golden.models]
    assert set(old["leader_minus"]) < set(names)
    assert golden.reference.record["label"].endswith("random forest")
    assert golden.n_candidates == len(old["candidates"])
    assert golden.selection.distinct == len(old["distinct"])
    by_name = {model.name: model for model in golden.candidates}
    leader = by_name[old["leader"]]
    for name, wanted in old["leader_minus"].items():
        for what, known in (("auc", "auc"), ("precision@30", "precision")):
            one, other = (m.estimates[what].value for m in (leader, by_name[name]))
            if None in (one, other):  # all scores are tied, so that no alarm is raised
                assert name == "constant"
                continue
            value = one - other
            if len([m for m in golden.candidates
                    if m.run.candidate == by_name[name].run.candidate]) == 1:  # fmt: skip
                equal(value, wanted[known]["pointwise"]["value"], f"{name}.{what}")


def test_the_order_is_that_of_the_lower_bounds(golden_market):
    for name in ("precision@30", "auc", "average_precision", "recall@0.5"):
        (actual,) = leaderboard(golden_market, "golden", rank_by=name).groups
        for models_ in (actual.candidates, actual.baselines):
            lows = [m.estimates[name].low for m in models_]
            assert lows == sorted(lows, reverse=True)
    (actual,) = leaderboard(golden_market, "golden", rank_by="calibration_error").groups
    highs = [m.estimates["calibration_error"].high for m in actual.candidates]
    assert highs == sorted(highs)


def test_seeds_of_the_golden_candidates_are_one(golden):
    rules = {m["name"]: m["candidate"] for m in models()["market"]["models"]}
    by_candidate = {}
    for model in golden.candidates:
        by_candidate.setdefault(model.run.spec.candidate, set()).add(rules[model.name])
    assert all(len(names) == 1 for names in by_candidate.values())


# ---------------------------------------------------------------------------------------- selection


def _by_candidate(group):
    """Models by candidate, the leader's first, then in the order of the store."""
    actual = {group.candidates[0].run.spec.candidate: []}
    for model in sorted(group.candidates, key=lambda m: m.key):
        actual.setdefault(model.run.spec.candidate, []).append(model)
    return list(actual.values())


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
    drawn = precision_draws(part.y, flat, alarms=30, blocks=blocks)
    each, aucs = iter(drawn), iter(auc_draws(part.y, flat, blocks=blocks))
    of_seeds = [[next(each) for _ in seeds] for seeds in candidates]
    precisions = [mean_of(some) for some in of_seeds]
    aucs = [mean_of([next(aucs) for _ in seeds]) for seeds in candidates]
    depends = [max((one.depends for one in some), key=lambda d: d.effect) for some in of_seeds]
    drawn, bounds = shrink_drawn(precisions), precision_bounds(precisions, depends)
    for seeds, s, b in zip(candidates, drawn.estimates, bounds, strict=True):
        one = seeds[0].selected
        assert (one.shrunk.value, one.shrunk.low) == pytest.approx((s.value, s.low), abs=1e-6)
        assert (one.bound.value, one.bound.low) == pytest.approx((b.value, b.low), abs=1e-6)
        assert one.bound.n_candidates == one.shrunk.n_candidates == 13
        assert one.bound.measured_on == "validation"
    for ours, theirs in zip(group.selection.auc, contrasts_with_leader(aucs, 0), strict=True):
        assert ours.simultaneous.low == pytest.approx(theirs.simultaneous.low, abs=1e-9)
        assert ours.p == theirs.p


def test_the_verdict_is_that_of_shifts_and_of_all_baselines(campaign_folder, group):
    """By hand from the predictions; what is shown does not matter."""
    leader, baselines = group.candidates[0], [measured_part(m.run) for m in group.baselines]
    part = measured_part(leader.run)
    runs = sorted((m.run for m in group.candidates), key=lambda r: r.key != leader.key)
    ranked = [SortedScores.of(part.y, measured_part(r).score) for r in runs]
    labels = labels_of(ranked[0].y, part.blocks())
    chance = Chance.of(labels, [alarm_values(one, 30) for one in ranked])
    further = sum(sum(r.record.get("last_epochs", ())) - 1 for r in runs)
    answer = group.verdict.better_than_chance
    assert answer.p == pytest.approx(chance.p_value(0, further))
    assert f"{len(part):,} circular shifts" in answer.text
    by_rank = Chance.of(labels, [rank_values(one) for one in ranked])
    assert 0 < by_rank.p_value(0, further) <= 1
    blocks = part.blocks(20)
    seeds = [measured_part(m.run).score for m in group.candidates
             if m.run.candidate == leader.run.candidate]  # fmt: skip
    own = mean_of(auc_draws(part.y, seeds, blocks=blocks))
    others = auc_draws(part.y, [one.score for one in baselines], blocks=blocks)
    (actual,) = against_best([own], others)
    assert actual.pointwise.value == pytest.approx(own.value - max(o.value for o in others))
    best = group.verdict.better_than_best_baseline
    assert (best.answer in ("yes", "worse")) == (best.p <= 0.05)
    (few,) = leaderboard(Store(campaign_folder / "store"), "judged", keys={leader.key}).groups
    assert few.verdict.better_than_chance == answer


def test_joint_results_are_kept_and_may_be_damaged(copy):
    first = leaderboard(copy, "judged").to_dict()
    (path,) = (copy.root / "index").glob("selection-*.json")
    assert leaderboard(copy, "judged").to_dict() == first
    assert leaderboard(copy, "judged", rank_by="auc").to_dict() != first
    assert len(read_json(path)) == 1  # another leader, the same pairs
    for damaged in ({"auc": 1}, [], {"auc": "a", "precision": 1, "overfitting": None}, None):
        write_json(path, dict.fromkeys(read_json(path), damaged))
        assert leaderboard(copy, "judged").to_dict() == first


@pytest.mark.parametrize("name", ["chance", "draws"])
def test_a_damaged_index_is_made_anew(copy, name):
    """Halved, of other shapes, or not a number: the answers stay what they are."""
    first = leaderboard(copy, "judged").to_dict()
    (path,) = (copy.root / "index").glob(f"{name}-*.safetensors")
    addresses, arrays = copy.index.read_arrays(path.stem)
    changes = [
        (addresses[:-1], {}),
        (addresses, {key: rows[: len(rows) // 2] for key, rows in arrays.items()}),
        (addresses, {key: rows[..., None] for key, rows in arrays.items()}),
    ]
    changes += [(addresses, {key: rows * np.nan}) for key, rows in arrays.items()
                if name == "chance" and rows.dtype.kind == "f"]  # fmt: skip
    for kept, changed in changes:
        copy.index.write_arrays(path.stem, kept, arrays | changed)
        assert leaderboard(copy, "judged").to_dict() == first


def test_a_model_that_was_deleted_counts_once(copy):
    """Whether the index still holds it or only the access log does."""
    (group,) = leaderboard(copy, "judged").groups
    runs = [model.run for model in group.candidates]
    record_access(copy, runs, "leaderboard")
    leader, gone, tested = runs[0], runs[-1], []
    for left in (runs, runs[:-1], runs[:-1]):
        tested.append(chance_of(copy, leader, left, Rearranged.of(copy, left)).tested)
        if len(tested) == 1:
            shutil.rmtree(gone.folder)
        else:
            shutil.rmtree(copy.root / "index")
    epochs = versions(gone, gone.spec.estimands.measured_on)
    assert tested[1] == tested[2] == tested[0] - (epochs - 1)


def test_stored_models_of_the_same_event_count_wherever_they_are_measured(copy):
    """Such as those that know fewer days: the ledger names the series."""
    (group,) = leaderboard(copy, "judged").groups
    runs = [model.run for model in group.candidates]
    record_access(copy, [*runs, *(model.run for model in group.baselines)], "leaderboard")
    every = chance_of(copy, runs[0], runs, Rearranged.of(copy, runs)).tested
    shutil.rmtree(copy.root / "index")
    some = chance_of(copy, runs[0], runs[:2], Rearranged.of(copy, runs[:2])).tested
    part = runs[0].spec.estimands.measured_on
    assert some == every - sum(versions(run, part) - 1 for run in runs[2:])


def test_few_candidates_have_no_overfitting(campaign_folder, group):
    keys = {model.key for model in group.candidates[:3]}
    (few,) = leaderboard(Store(campaign_folder / "store"), "judged", keys=keys).groups
    assert few.selection.overfitting is None
    (one,) = leaderboard(
        Store(campaign_folder / "store"), "judged", keys={group.candidates[0].key}
    ).groups
    assert selection_lines(one) == []
    assert one.candidates[0].selected.against_leader == "leader"
    assert one.verdict.better_than_siblings.answer == "too_few"


def test_without_its_predictions_a_leader_is_not_compared(copy, group):
    run = copy.run(group.candidates[0].key)
    path = run.folder / "predictions.parquet"
    path.write_bytes(path.read_bytes()[::-1])
    board = leaderboard(copy, "judged")
    (actual,) = board.groups
    assert actual.selection is None
    assert actual.candidates[0].selected is None
    assert run.key in {problem.name for problem in board.problems}
    assert "No curves of" in to_markdown(board.document())


def test_candidates_that_rank_all_units_alike_count_once(campaign_folder):
    runs = [r for r in Store(campaign_folder / "store").all_runs()[0] if not r.spec.is_baseline][:3]
    actual, _ = statistics(Store(campaign_folder / "store"), runs)
    a, b, c = (actual[run.key] for run in runs)
    assert _distinct([[a], [b], [a], [c, b], [c, b]]) == ([0, 1, 0, 2, 2], [0, 1, 3])


@pytest.mark.parametrize(
    ("precision", "auc", "mark"),
    [
        ("tied", "tied", "indistinguishable"), ("worse", "better", "worse"), ("tied", "worse", "AUC worse"),
        ("unknown", "tied", "indistinguishable"), ("unknown", "unknown", "unknown"), ("leader", "leader", "leader"),
    ],
)  # fmt: skip
def test_precision_decides_the_mark(group, precision, auc, mark):
    one = group.candidates[0].selected
    assert Selected(one.shrunk, one.bound, precision, auc).against_leader == mark


def test_an_unknown_sort_is_refused(copy):
    with pytest.raises(TruenessError) as error:
        leaderboard(copy, "judged", rank_by="accuracy")
    assert error.value.code == "no_estimate"


# --------------------------------------------------------------------------------------------- shown


def test_every_part_of_the_document_is_there_and_in_order(campaign_folder):
    board = leaderboard(Store(campaign_folder / "store"), "judged")
    text = to_markdown(board.document())
    titles = ("leads", "Better than chance?", "Better than the other candidates?",
              "Better than the best baseline?", "Base rate", "Pooled precision@30",
              "Minimum detectable",
              "AUC with intervals", "Precision and recall over the alarm rate", "Run by run")  # fmt: skip
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert "13 candidates" in text
    for finding in {f.code for m in board.groups[0].models for f in m.findings}:
        assert finding in text


def test_numbers_of_the_table_are_those_of_the_predictions(campaign_folder, group):
    leader = group.candidates[0]
    rows = measured_part(leader.run).frame
    hits = int(rows.sort("score", descending=True).head(30)["y"].sum())
    top = leader.estimates["precision@30"]
    assert (top.k, top.n) == (hits, 30)
    assert f"{hits}/30" in to_markdown(
        leaderboard(Store(campaign_folder / "store"), "judged").document()
    )


def test_the_frame_has_a_row_per_model(campaign_folder, group):
    frame = leaderboard(Store(campaign_folder / "store"), "judged").to_frame()
    assert frame["key"].to_list() == [model.key for model in group.models]
    first = frame.row(0, named=True)
    assert first["precision@30_k"] == group.candidates[0].estimates["precision@30"].k
    assert frame.filter(pl.col("baseline"))["shrunk"].null_count() == len(group.baselines)


def test_a_page_is_small_and_refers_to_nothing_outside(campaign_folder):
    page = to_html(leaderboard(Store(campaign_folder / "store"), "judged").document())
    assert len(page.encode()) < 1_500_000
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    assert "`" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_labels_name_the_settings_that_differ(campaign_folder):
    (group,) = leaderboard(Store(campaign_folder / "store"), "judged").groups
    assert any("stop on" in model.label for model in group.candidates)
    labels = {model.run.candidate: model.label for model in group.candidates}
    assert len(set(labels.values())) == len(labels)


TASKS = {
    "titles": {"task": {"kind": "titles", "corpus": "x"}},
    "market": {"task": {"kind": "market", "bars": "x"}, "model": "patchtst",
               "evaluation": {"protocol": "holdout"}},
}  # fmt: skip
GRID = {"learning_rate": [1e-3, 2e-3], "epochs": [2, 3], "batch_size": [32, 64],
        "weight_decay": [0.0, 0.1]}  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_lines_of_a_grid_differ_by_what_differs(task):
    specs = [
        spec_class(task).model_validate(TASKS[task] | {"recipe": dict(zip(GRID, v, strict=True))})
        for v in product(*GRID.values())
    ]
    labels = full_labels(specs)
    assert len(set(labels)) == len(specs)
    assert "learning rate 0.001" in labels[0]
    same_rate = full_labels(specs[:2])
    assert all(one.startswith(specs[0].label()) for one in same_rate)
    assert all("weight decay" in one and "learning rate" not in one for one in same_rate)
    seeds = [specs[0], specs[0].model_copy(update={"seed": 9})]
    assert full_labels(seeds) == [specs[0].label()] * 2
    assert full_labels(specs[:1]) == [specs[0].label()]


def test_labels_are_readable(group):
    labels = {model.label for model in group.candidates}
    assert "a20 · PatchTST d8×1, 2 heads, dropout 0" in {
        x.split(", loss")[0] for x in labels
    } or any("PatchTST d8×1" in label for label in labels)


def test_one_run_is_shown_whole(campaign_folder, group):
    store = Store(campaign_folder / "store")
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


def test_every_verb_records_one_access(copy, campaign_folder, group, capsys):
    key, ledger = group.candidates[0].key, Ledger(copy)
    verbs = [
        ("leaderboard", "judged", "--json"), ("leaderboard", "--by", "loss"), ("show", key),
        ("calibrate", key, "--method", "platt"), ("top", "-n", 1), ("thresholds", key),
        ("tracker", campaign_folder / "judged.yaml", "--seeds", 2), ("certify", key, "--precision", 0.6, "--yes"),
        ("run", campaign_folder / "judged.yaml", "--seeds", 2, "--workers", 0),
    ]  # fmt: skip
    for i, words in enumerate(verbs):
        code, _, err = call(capsys, *words, "--store", copy.root)
        assert code in (0, 1), (words, err)
        assert [(a.verb, a.part) for a in ledger.accesses()[i:]] == [(words[0], "validation")]
    assert set(ledger.accesses()[0].keys) >= {model.key for model in group.models}
    _, out, _ = call(capsys, "leaderboard", "judged", "--json", "--store", copy.root)
    (actual,) = json.loads(out)["groups"]
    access = actual["access"]  # that of `run` and the last one show the first table again
    assert len(ledger.accesses()) == len(verbs) + 1
    assert (access["times"], access["n_candidates"], access["part"]) == (8, 13, "validation")
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
    for version in (*range(1, VERSION), VERSION + 1):
        root = tmp_path / str(version)
        root.mkdir()
        (root / "store.json").write_text(json.dumps({"version": version}))
        with pytest.raises(TruenessError) as error:
            Store(root)
        assert error.value.code == "store_version"
        code, out, err = call(capsys, "leaderboard", "--store", root)
        assert (code, out, err.count("\n")) == (2, "", 1)


REFUSED = {
    "rank": ({"rank_by": "accuracy"}, "no_estimate"),
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
