"""Variants of a setting against a reference, on a store of tiny runs and on the golden one."""

import json
import re
import shutil

import numpy as np
import pytest

from tests import signed
from tests.golden import equal, expected, named
from tests.test_cli import call
from trueness.errors import TruenessError
from trueness.judge.axes import axis_of
from trueness.judge.comparison import draws_of_runs
from trueness.judge.contrasts import contrasts, natural
from trueness.judge.settings import differing, resolve, words
from trueness.spec.embedding import NoEmbedding
from trueness.spec.loss import AsymmetricFocal
from trueness.store import Store


@pytest.fixture(scope="module")
def store(campaign_folder):
    return Store(campaign_folder / "store")


@pytest.fixture
def copy(campaign_folder, tmp_path):
    shutil.copytree(campaign_folder / "store", tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "index", ignore_errors=True)
    return Store(tmp_path / "store")


def _table(store, by, **options):
    (table,) = contrasts(store, "judged", by, **options).tables
    return table, {row.variant: row for row in table.rows}


def _runs(store):
    ids = {keys[-1]: id_ for id_, keys in store.campaigns()["judged"].items()}
    return {ids[run.key]: run for run in store.all_runs()[0] if run.key in ids}


# --------------------------------------------------------------------------------- as it was before

OLD = {
    "loss": ("loss", None, False), "loss_each": ("loss", None, True),
    "embedding": ("model.embedding", None, False),
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_the_golden_tables_are_the_same_to_the_digit(golden_market, name):
    by, reference, each = OLD[name]
    actual = contrasts(golden_market, "golden", by, reference=reference, each=each)
    first = expected()["market"]["contrasts"][name]["tables"][0]
    _same_rows(golden_market, actual.tables[0], first)


def test_kinds_of_one_width_are_compared_as_before(golden_market):
    actual = contrasts(golden_market, "golden", "embedding.kind", reference="linear")
    second = expected()["market"]["contrasts"]["embedding"]["tables"][1]
    _same_rows(golden_market, actual.tables[0], second, compared=True)


def _same_rows(store, table, old, compared=False):
    rows = table.compared if compared else table.rows
    wanted = [r for r in old["rows"] if r["contrast"]] if compared else old["rows"]
    if not compared:
        assert [row.ids for row in rows] == [row["ids"] for row in wanted]
    assert set(named(store).values()) >= {name for row in rows for name in row.ids}
    for row, one in zip(rows, wanted, strict=True):
        for name in ("pairs", "ahead", "seeds", "runs", "is_reference", "against"):
            assert getattr(row, name) == one[name], name
        if one["contrast"]:
            got = row.contrast.to_dict()
            for kind in ("pointwise", "simultaneous"):
                for end in ("value", "n"):
                    equal(got[kind][end], one["contrast"][kind][end], f"{row.variant}.{kind}")
            assert (got["p"] <= 0.05) == (row.verdict in ("better", "worse"))
        auc = one["measures"]["auc"]
        equal(row.measures["auc"].value, auc["value"])


# ------------------------------------------------------------------------------------------- pairs

PAIRS = {
    "loss": {
        "bce": "reference", "focal gamma 2 alpha 0.25": ["LF-2", "LF-4"],
        "labelsmoothing epsilon 0.2": ["LF-3"],
    },
    "model.embedding": {
        "none": "reference", "linear 2": ["FE-1", "FE-4"], "linear 4": ["FE-2"],
    },
    "tier": {"a20": "reference", "a50": ["FE-3", "FE-4"]},
    "n_layers": {"4": "reference", "2": ["FE-5"], "1": ["LF-1"]},
    "n_heads": {"8": "reference", "2": ["LF-1"]},
    "model.dropout": {"0.5": "reference", "0.1": ["FE-9"]},
}  # fmt: skip


@pytest.mark.parametrize("by", PAIRS)
def test_pairs_differ_in_the_setting_alone(store, by):
    table, _ = _table(store, by)
    actual = {}
    for row in table.rows:
        if row.contrast is not None:
            actual.setdefault(row.variant, []).extend(row.experiments)
            assert (row.seeds, row.runs) == (2, row.pairs)
            assert row.pairs == 2 * len(row.experiments)
            assert 0 <= row.ahead <= row.pairs
        elif row.verdict == "reference":
            actual[row.variant] = "reference"
    assert {v: f if isinstance(f, str) else sorted(f) for v, f in actual.items()} == PAIRS[by]


def test_a_difference_is_the_mean_over_paired_seeds(store):
    runs = _runs(store)
    draws, problems = draws_of_runs(store, list(runs.values()))
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


def test_what_follows_the_setting_is_said(store):
    table, _ = _table(store, "loss")
    (noted,) = [row for row in table.rows if row.note]
    assert noted.experiments == ["LF-4"]
    assert noted.note == "has recipe.stop_on val_loss, the reference val_auc"
    assert any("not everything else is equal" in note for note in table.notes)


def test_each_experiment_has_a_row_of_its_own(store):
    table, _ = _table(store, "tier", each=True)
    assert sorted(row.experiments for row in table.compared if row.variant == "a50") == [
        ["FE-3"], ["FE-4"]]  # fmt: skip
    assert len(table.compared) == 2


def test_the_reference_can_be_chosen(store):
    table, rows = _table(store, "loss", reference="focal gamma 2 alpha 0.25")
    assert table.reference == "focal gamma 2 alpha 0.25"
    assert rows["bce"].verdict != "reference"
    with pytest.raises(TruenessError) as error:
        contrasts(store, "judged", "loss", reference="poly")
    assert error.value.code == "no_reference"


def test_settings_are_found_by_their_end(store):
    specs = [run.spec for run in _runs(store).values() if not run.spec.is_baseline]
    assert resolve("dropout", specs) == "model.dropout"
    assert set(differing(specs)) == {
        "task.tier", "model.d_model", "model.n_layers", "model.n_heads", "model.embedding",
        "model.dropout", "loss", "recipe.stop_on"}  # fmt: skip
    for path, code in (("batch", "unknown_setting"), ("kind", "ambiguous")):
        with pytest.raises(TruenessError) as error:
            resolve(path, specs)
        assert error.value.code == code


def test_kinds_share_the_fields_of_the_reference(make_spec):
    class Run:
        def __init__(self, **embedding):
            self.spec = make_spec(model={"embedding": embedding})

    linear, wide = Run(kind="linear", width=2), Run(kind="linear", width=4)
    other = Run(kind="progressive", width=2, num_layers=2)
    axis = axis_of("embedding.kind", [linear, wide, other], "linear")
    assert axis.is_reference(linear)
    assert not axis.is_reference(other)
    assert axis.signature(other) == axis.signature(linear) != axis.signature(wide)


def test_what_has_no_partner_is_named(store):
    table, _ = _table(store, "d_model")
    assert "d_model" in table.by
    assert table.unpaired == [] or "FE-8" in " ".join(table.unpaired)
    few, _ = _table(store, "n_layers")
    assert few.sentence.startswith("2 variants: ")


def test_references_may_come_from_outside_of_the_campaign(copy):
    known = copy.campaigns()["judged"]
    for id_ in ("LF-3", "FE-4"):
        copy.write_campaign("part", {id_: known[id_][-1]})
    (table,) = contrasts(copy, "part", "loss").tables
    (row,) = table.compared
    assert (row.ids, row.against, row.pairs) == (["LF-3"], [known["LF-1"][-1]], 1)


def test_only_equal_units_compare(copy):
    runs = _runs(copy)
    for id_ in ("LF-2", "LF-2@43"):
        signed.change(runs[id_].folder / "record.json", comparison_group="elsewhere")
    names = [
        {name for row in table.rows if row.contrast for name in row.experiments}
        for table in contrasts(copy, "judged", "loss").tables
    ]
    assert names == [{"LF-3", "LF-4"}, set()]


def test_the_index_changes_nothing_and_may_be_damaged(copy):
    first = contrasts(copy, "judged", "tier").to_dict()
    (index,) = (copy.root / "index").glob("draws-*.safetensors")
    assert contrasts(copy, "judged", "tier").to_dict() == first
    whole = index.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"x" * 100):
        index.write_bytes(damaged)
        assert contrasts(copy, "judged", "tier").to_dict() == first


def test_unreadable_predictions_are_named_and_the_rest_is_compared(copy):
    run = _runs(copy)["LF-3"]
    path = run.folder / "predictions.parquet"
    path.write_bytes(path.read_bytes()[::-1])
    actual = contrasts(copy, "judged", "loss")
    assert [p.name for p in actual.problems] == [run.key]
    (row,) = [r for r in actual.tables[0].rows if r.variant.startswith("labelsmoothing")]
    assert row.ids == ["LF-3@43"]


def test_words_name_every_setting():
    assert words(NoEmbedding(kind="none").model_dump()) == "none"
    assert words(AsymmetricFocal(kind="asymmetricfocal", gamma_neg=4).model_dump()) == (
        "asymmetricfocal gamma pos 1 gamma neg 4 alpha 0.5"
    )
    assert sorted(["P10", "P2", "P1"], key=natural) == ["P1", "P2", "P10"]


# -------------------------------------------------------------------------------------- command line


@pytest.mark.parametrize("by", PAIRS)
def test_leaderboard_by_prints_text_and_json(campaign_folder, capsys, by):
    arguments = ("leaderboard", "judged", "--by", by, "--store", campaign_folder / "store")
    code, out, err = call(capsys, *arguments)
    assert (code, err) == (0, "")
    assert re.search(r"\d+ variants?: \d+ better in AUC than |Nothing to compare", out)
    code, out, err = call(capsys, *arguments, "--each", "--json")
    content = json.loads(out)
    assert (code, err, content["schema"]) == (0, "", 1)
    assert {"variant", "pairs", "contrast", "verdict"} <= set(content["tables"][0]["rows"][0])


def test_tables_are_written_in_every_form(campaign_folder, capsys, tmp_path):
    files = [tmp_path / f"by.{end}" for end in ("md", "html", "csv", "tex")]
    options = zip(("--markdown", "--report", "--csv", "--latex"), files, strict=True)
    words_ = [word for option in options for word in option]
    code, _, _ = call(capsys, "leaderboard", "judged", "--by", "loss", *words_, "--store",
                      campaign_folder / "store")  # fmt: skip
    assert code == 0
    for file in files:
        assert "labelsmoothing" in file.read_text()


BAD = {
    "setting": ["--by", "batch"],
    "each": ["--each"],
    "sort": ["--by", "loss", "--sort", "auc"],
    "reference": ["--by", "loss", "--reference", "poly"],
    "unknown": ["other", "--by", "loss"],
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(campaign_folder, capsys, monkeypatch, tmp_path, case):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, "leaderboard", *BAD[case], "--store", campaign_folder / "store")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_has_nothing_to_compare(tmp_path, capsys):
    code, out, _ = call(capsys, "leaderboard", "--by", "loss", "--store", tmp_path / "none")
    assert code == 0
    assert "Nothing to compare" in out
