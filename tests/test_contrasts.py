"""Tables by axis, the sentence about the leader, and the tracker, on a store of tiny runs."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from tests.test_cli import call
from trueness.errors import TruenessError
from trueness.report import leaderboard
from trueness.judge.axes import AXES, words
from trueness.judge.comparison import auc_draws, measured
from trueness.judge.contrasts import contrasts, natural
from trueness.report.tables import contrast_notes
from trueness.judge.tracker import tracker, tracker_page
from trueness.judge.words import verdict
from trueness.spec import AsymmetricFocal, NoEmbedding
from trueness.store import Store


@pytest.fixture(scope="module")
def store(judged):
    return Store(judged / "store")


@pytest.fixture
def copy(judged, tmp_path):
    shutil.copytree(judged / "store", tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "index", ignore_errors=True)
    return Store(tmp_path / "store")


def _table(store, by, **options):
    first, *_ = contrasts(store, "judged", by, **options).tables
    return first, {row.variant: row for row in first.rows}


def _runs(store):
    ids = {keys[-1]: id_ for id_, keys in store.campaigns()["judged"].items()}
    return {ids[run.key]: run for run in store.all_runs()[0] if run.key in ids}


EXPECTED = {
    "loss": {
        "bce": "reference", "focal gamma 2 alpha 0.25": ["LF-2", "LF-4"],
        "labelsmoothing epsilon 0.2": ["LF-3"],
    },
    "embedding": {
        "a20 none": "reference", "a50 none": "reference", "a20 linear 2": ["FE-1"],
        "a20 linear 4": ["FE-2"], "a50 linear 2": ["FE-4"],
    },
    "tier": {"a20": "reference", "a50": ["FE-3", "FE-4"]},
    "depth": {"n_layers 4": "reference", "n_layers 2": ["FE-5"], "n_layers 1": ["LF-1"]},
    "heads": {"n_heads 8": "reference", "n_heads 2": ["LF-1"]},
    "dropout": {"dropout 0.5": "reference", "dropout 0.1": ["FE-9"]},
    "width": {"d_model 8 d_ff 16": None, "d_model 16 d_ff 16": None},
}  # fmt: skip


@pytest.mark.parametrize("by", EXPECTED)
def test_pairs_differ_on_the_axis_alone(store, by):
    table, _ = _table(store, by)
    found = {}
    for row in table.rows:
        if row.contrast is not None:
            found.setdefault(row.variant, []).extend(row.experiments)
            assert (row.pairs, row.seeds, row.runs) == (2 * len(row.experiments), 2, row.pairs)
            assert 0 <= row.ahead <= row.pairs
        elif row.verdict == "reference":
            found[row.variant] = "reference"
        else:
            found.setdefault(row.variant, None)
    assert {
        v: f and (sorted(f) if isinstance(f, list) else f) for v, f in found.items()
    } == EXPECTED[by]
    assert set(EXPECTED) == set(AXES)


def test_a_difference_is_the_mean_over_paired_seeds(store):
    runs = _runs(store)
    draws, problems = auc_draws(store, list(runs.values()))
    assert problems == []
    table, rows = _table(store, "loss")
    row = rows["labelsmoothing epsilon 0.2"]
    value = {id_: draws[run.key].value for id_, run in runs.items()}
    pairs = [value["LF-3"] - value["LF-1"], value["LF-3@43"] - value["LF-1@43"]]
    for estimate in (row.contrast.pointwise, row.contrast.simultaneous):
        assert estimate.value == pytest.approx(np.mean(pairs))
    assert row.ahead == sum(d > 0 for d in pairs)
    assert row.contrast.simultaneous.n_candidates == len(table.compared) == 3
    shares = [
        r.record["estimates"]["precision@30"] for i, r in runs.items() if i.startswith("LF-3")
    ]
    assert (row.measures["precision@30"].k, row.measures["precision@30"].n) == (
        sum(s["k"] for s in shares), sum(s["n"] for s in shares))  # fmt: skip


def test_another_stopping_measure_is_said(store):
    table, _ = _table(store, "loss")
    (noted,) = [row for row in table.rows if row.note]
    assert noted.experiments == ["LF-4"]
    assert noted.note == "stops on val_loss, reference on val_auc"
    assert any("not everything else is equal" in note for note in contrast_notes(table))


def test_each_experiment_has_a_row_of_its_own(store):
    table, _ = _table(store, "tier", each=True)
    assert [row.experiments for row in table.compared if row.variant == "a50"] in (
        [["FE-3"], ["FE-4"]], [["FE-4"], ["FE-3"]])  # fmt: skip
    assert len(table.compared) == 2


def test_linear_embeddings_are_references_of_other_kinds_of_the_same_width(make_spec):
    _, same_width = AXES["embedding"]([])
    wide = make_spec(model={"embedding": {"kind": "linear", "width": 4}})
    narrow = make_spec(model={"embedding": {"kind": "linear", "width": 2}})
    assert same_width.is_reference(wide)
    assert not same_width.takes(wide)
    assert same_width.signature(wide) != same_width.signature(narrow)
    other = {"model": {"embedding": {"kind": "unheard-of", "width": 4, "depth": 3}}}
    same_width.loosen(other)
    assert other == {"model": {"embedding": 4}}


def test_every_tier_but_the_largest_is_a_reference_of_the_larger_ones(make_spec):
    def run(tier, columns):
        return SimpleNamespace(
            spec=make_spec(task={"tier": tier}), record={"features": range(columns)}
        )

    runs = [run("a100", 100), run("a20", 20), run("a50", 50)]
    small, middle = AXES["tier"](runs)
    assert (small.reference, middle.reference) == ("tier a20", "tier a50")
    assert [middle.takes(r.spec) for r in runs] == [True, False, True]
    assert [middle.is_reference(r.spec) for r in runs] == [False, False, True]
    assert small.signature(runs[0].spec) == small.signature(runs[1].spec)
    (alone,) = AXES["tier"](runs[:1])
    assert alone.reference == "tier a100"


def test_the_sentence_counts_and_names_what_has_no_partner(store):
    table, rows = _table(store, "dropout")
    assert table.sentence.startswith(("0 of 1 variant", "1 of 1 variant"))
    assert table.unpaired == []
    width, _ = _table(store, "width")
    assert width.sentence.startswith("Nothing to compare")
    assert {"FE-8", "FE-8@43", "LF-1"} <= set(width.unpaired)
    assert rows["dropout 0.1"].contrast.pointwise.low is not None


def test_references_may_come_from_outside_of_the_campaign(copy):
    path = copy.root / "campaigns" / "judged.json"
    known = json.loads(path.read_text())
    (copy.root / "campaigns" / "part.json").write_text(
        json.dumps({"LF-3": known["LF-3"], "FE-4": known["FE-4"]})
    )
    (table,) = contrasts(copy, "part", "loss").tables
    (row,) = table.compared
    assert (row.ids, row.against, row.pairs) == (["LF-3"], [known["LF-1"][-1]], 1)


def test_only_equal_days_compare(copy):
    runs = _runs(copy)
    for id_ in ("LF-2", "LF-2@43"):
        path = runs[id_].folder / "record.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "comparison_group": "elsewhere"}))
    names = [
        {name for row in table.rows if row.contrast for name in row.experiments}
        for table in contrasts(copy, "judged", "loss").tables
    ]
    assert names == [{"LF-3", "LF-4"}, set()]


def test_the_index_changes_nothing_and_may_be_damaged(copy):
    first = contrasts(copy, "judged", "tier").to_dict()
    (index,) = (copy.root / "index").glob("draws-*.json")
    assert contrasts(copy, "judged", "tier").to_dict() == first
    content = json.loads(index.read_text())
    index.write_text(json.dumps({name: {"value": 0.5} for name in content}))
    assert contrasts(copy, "judged", "tier").to_dict() == first


def test_unreadable_predictions_are_named_and_the_rest_is_compared(copy):
    run = _runs(copy)["LF-3"]
    path = run.folder / "predictions.parquet"
    path.write_bytes(path.read_bytes()[::-1])
    found = contrasts(copy, "judged", "loss")
    assert [p.name for p in found.problems] == [run.key]
    (row,) = [r for r in found.tables[0].rows if r.variant.startswith("labelsmoothing")]
    assert row.ids == ["LF-3@43"]


def test_unknown_axes_are_refused(store):
    with pytest.raises(TruenessError, match="unknown comparison 'batch'; choose from loss"):
        contrasts(store, "judged", "batch")


def test_words_name_every_setting():
    assert words(NoEmbedding(kind="none")) == "none"
    assert words(AsymmetricFocal(kind="asymmetricfocal", gamma_neg=4)) == (
        "asymmetricfocal gamma pos 1 gamma neg 4 alpha 0.5"
    )
    assert sorted(["P10", "P2", "P1"], key=natural) == ["P1", "P2", "P10"]


# ---------------------------------------------------------------------------------------- the leader


def test_the_verdict_answers_three_questions(store):
    (arena,) = leaderboard(store, "judged").arenas
    text = verdict(arena)
    assert arena.nulls.looked_at == 26
    assert (arena.nulls.siblings, arena.nulls.candidates, arena.candidates) == (12, 13, 13)
    assert text.startswith(f"{arena.networks[0].name} (AUC: mean of 2 seeds): better than chance: ")
    assert "with days in blocks, corrected for 26 runs" in text
    assert re.search(r"better than its siblings: (yes|no), (tied )?in AUC (with|than)", text)
    assert re.search(
        r"better than the best baseline \(a\d+ \w+, [^)]+\): (yes|no), AUC difference", text
    )
    own = _runs(store)[arena.networks[0].name]
    _, score = measured(own)
    assert arena.nulls.alarms.n <= 30 <= len(score)


# -------------------------------------------------------------------------------------- command line


@pytest.mark.parametrize("by", EXPECTED)
def test_leaderboard_by_prints_text_and_json(judged, capsys, by):
    arguments = ("leaderboard", "--campaign", "judged", "--by", by, "--store", judged / "store")
    code, out, err = call(capsys, *arguments)
    assert (code, err) == (0, "")
    assert f"by {by}, against " in out
    assert re.search(r"of \d+ variants? beats? |Nothing to compare", out)
    code, out, err = call(capsys, *arguments, "--each", "--json")
    table = json.loads(out)["tables"][0]
    assert (code, err) == (0, "")
    assert {"variant", "pairs", "contrast", "verdict"} <= set(table["rows"][0])


BAD = {
    "axis": (["--by", "batch"], "batch"),
    "each": (["--each"], "--each needs --by"),
    "sort": (["--by", "loss", "--sort", "auc"], "--sort belongs to the whole leaderboard"),
    "report": (["--by", "loss", "--report", "r.html"], "--report belongs to the whole leaderboard"),
    "two": (["judged", "--campaign", "other"], "two campaigns, judged and other"),
    "unknown": (["--campaign", "other", "--by", "loss"], "no runs of a campaign 'other'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(judged, capsys, monkeypatch, tmp_path, case):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD[case]
    code, out, err = call(capsys, "leaderboard", *arguments, "--store", judged / "store")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_has_nothing_to_compare(tmp_path, capsys):
    code, out, _ = call(capsys, "leaderboard", "--by", "loss", "--store", tmp_path / "none")
    assert code == 0
    assert "no networks to compare" in out


# ------------------------------------------------------------------------------------------- tracker


def test_the_tracker_counts_states_and_names_what_is_left(judged, copy, capsys, tmp_path):
    runs = _runs(copy)
    shutil.rmtree(runs["FE-9"].folder)
    shutil.rmtree(runs["LF-3"].folder)
    copy.write_failure(runs["LF-3"].spec, "Traceback\nValueError: not finite")
    arguments = ("tracker", judged / "judged.yaml", "--store", copy.root)
    code, out, err = call(capsys, *arguments)
    assert (code, err) == (0, "")
    assert "| FE | 9 | 8 | 0 | 1 |" in out
    assert "| LF | 4 | 3 | 1 | 0 |" in out
    assert [line.split()[1] for line in out.splitlines() if re.match(r"\| P\d", line)] == [
        "P1", "P2", "P10"]  # fmt: skip
    assert "* LF-3 failed: ValueError: not finite" in out
    pending = re.findall(r"trueness run \S+ --store \S+ --priority (.+)", out)
    assert pending == ["P1 --retry", "P10"]
    assert len(re.findall(r"^\| \d+ \|", out, re.MULTILINE)) == 10
    assert "better than chance" in out
    _, again, _ = call(capsys, *arguments, "--output", tmp_path / "t.md")
    assert (again, (tmp_path / "t.md").read_text()) == ("", out)
    _, content, _ = call(capsys, *arguments, "--json")
    assert json.loads(content)["priorities"]["P1"] == {
        "declared": 4, "done": 3, "failed": 1, "missing": 0}  # fmt: skip


def test_the_tracker_says_that_nothing_holds_or_has_run(judged, store, tmp_path, capsys):
    from trueness.campaign import load_campaign

    chosen = load_campaign(judged / "judged.yaml", seeds=2)
    parts = ("judged", "Judged", "bars", chosen.experiments, chosen.baselines)
    found = tracker(*parts, store, "trueness run judged")
    page = tracker_page(found)
    section = page.split("## Findings that hold after correction\n\n")[1].split("\n\n##")[0]
    if found.findings:
        assert all(line in section for line in found.findings)
    else:
        assert section.startswith(("None: no leader", "* "))
    assert "Nothing: every experiment is done." in page
    empty = tracker_page(tracker(*parts, Store(tmp_path / "none"), "trueness run judged"))
    assert "No runs yet." in empty
    assert "None: nothing has run." in empty
    assert "trueness run judged --priority P2" in empty
    code, _, err = call(capsys, "tracker", "nothing")
    assert code == 2
    assert "unknown campaign 'nothing'" in err
