"""Odd and bad input of judging: read right, or refused in one line, and the store is as it was."""

import datetime as dt
import json
import shutil

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from tests import signed
from trueness import certify, judge, thresholds
from trueness.cli import main
from trueness.errors import DataError, StoreError, TruenessError
from trueness.frames import as_frame, as_series
from trueness.judge.compare import compare
from trueness.judge.external import judge_table, named_after
from trueness.judge.finding import find_run
from trueness.judge.leaderboard import leaderboard
from trueness.judge.tables import Columns, Reading, score_table
from trueness.judge.top import top_models
from trueness.judge.units import units_of
from trueness.reading import read_table
from trueness.store import MemoryStore, Store

RNG = np.random.default_rng(3)
N = 60
Y = np.r_[0, 1, RNG.random(N - 2) < 0.4].astype(int)
S = np.clip(0.3 * Y + 0.6 * RNG.random(N), 0, 1).round(3)
DAYS = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]")[:N]


def auc(answer):
    return answer.to_dict()["groups"][0]["models"][0]["estimates"]["auc"]["value"]


def refused(code, *columns, **options):
    with pytest.raises(TruenessError) as error:
        judge(*columns, **options)
    assert error.value.code == code
    assert "\n" not in str(error.value)


def table(**scores):
    return score_table({"y": Y, **scores}, Columns("y"))


# ------------------------------------------------------------------------------------------ columns


@pytest.mark.parametrize("scores", [
    [0, *S[1:].tolist()], np.array([0.0, *S[1:]], object), pl.LazyFrame({"m": [0.0, *S[1:]]}),
], ids=["whole and not", "object", "lazy"])  # fmt: skip
def test_columns_of_scores_that_are_numbers(scores, recwarn):
    assert auc(judge(Y, scores)) == pytest.approx(roc_auc_score(Y, [0.0, *S[1:]]), abs=1e-12)
    assert not recwarn


@pytest.mark.parametrize(("code", "scores"), [
    ("table", {1, 2}), ("table", 0.5), ("table", [*S[1:].tolist(), "a"]), ("no_models", {}),
    ("table", pd.Series(S.astype(complex))), ("doubled_column", {1: S, "1": S[::-1]}),
])  # fmt: skip
def test_columns_of_scores_that_are_none(code, scores):
    refused(code, Y, scores)


def test_sparse_tensors_are_refused():
    torch = pytest.importorskip("torch")
    refused("table", Y, torch.tensor(S).to_sparse())


@pytest.mark.parametrize("values", [
    pl.Series([[1]] * N, dtype=pl.Array(pl.Int64, 1)).to_list(), pd.DataFrame({"y": Y}),
    pl.Series([{"a": 1}] * N), pl.Series([b"\xff"] * N), pl.Series([object()] * N, dtype=pl.Object),
])  # fmt: skip
@pytest.mark.parametrize("role", ["y", "id", "group", "cluster", "fold", "split", "time"])
def test_roles_need_one_value_per_unit(role, values):
    with pytest.raises(DataError) as error:
        judge(**{"y": Y, "scores": S, role: values})
    assert error.value.code in {"column_type", "table", "dimensions"}


def test_labels_may_be_categories_or_objects():
    words = pl.Series(["true" if one else "false" for one in Y])
    wanted = judge(Y, S).to_dict()["groups"][0]["models"][0]["estimates"]
    for labels in (words.cast(pl.Categorical), np.array(Y.tolist(), object)):
        assert judge(labels, S).to_dict()["groups"][0]["models"][0]["estimates"] == wanted


@pytest.mark.parametrize("values", [
    np.r_[np.inf, np.arange(N - 1.0)], np.arange(N) * 1e300,
    pl.Series([2**100 + i for i in range(N)], dtype=pl.Int128),
    np.arange(N, dtype=np.uint64) + 2**63,
])  # fmt: skip
@pytest.mark.parametrize("role", ["id", "group", "cluster", "fold"])
def test_numbers_of_any_size_name_units(role, values):
    assert auc(judge(Y, S, **{role: values})) == pytest.approx(roc_auc_score(Y, S), abs=1e-12)


def test_folds_that_are_called_by_words_of_missing_numbers_are_folds():
    folds = units_of({"y": pl.Series(Y), "fold": pl.Series(["NA", "1"] * (N // 2))}).frame["fold"]
    assert folds.to_list() == [0, 1] * (N // 2)
    zeros = units_of({"y": pl.Series(Y), "fold": pl.Series(["01", "1"] * (N // 2))}).frame["fold"]
    assert zeros.n_unique() == 2


def test_times_of_every_unit_of_numpy_and_every_digit():
    for unit in ("s", "h", "m"):
        assert as_series("time", DAYS.astype(f"M8[{unit}]")).dt.date().to_list() == DAYS.tolist()
    assert as_series("time", list(DAYS)).to_list() == DAYS.tolist()
    text = [f"2024-01-02T00:00:00.00000000{i}" for i in range(1, 4)]
    frame = units_of({"y": pl.Series([0, 1, 0]), "time": pl.Series(text)}).frame
    assert frame["time"].n_unique() == 3
    days = pl.Series(DAYS.astype(str)).cast(pl.Categorical)
    frame = units_of({"y": pl.Series(Y), "time": days}).frame
    assert frame["time"].to_list() == DAYS.astype(dt.date).tolist()


def test_keys_of_a_mapping_that_read_alike_are_refused():
    with pytest.raises(DataError) as error:
        as_frame({1: S, "1": S})
    assert error.value.code == "doubled_column"


# ------------------------------------------------------------------------------------------ classes


NAMES = ["a", "b", "c"]
CLASSES = RNG.integers(0, 3, N)
PROBABILITIES = RNG.dirichlet([1, 1, 1], N)


def test_columns_called_as_classes_are_taken_by_name():
    wanted = f1_score(CLASSES, PROBABILITIES.argmax(1), average="macro")
    for order in (NAMES, NAMES[::-1]):
        frame = pd.DataFrame(PROBABILITIES, columns=NAMES)[order]
        answer = judge(CLASSES, {"m": frame}, classes=NAMES).to_dict()["groups"][0]["models"][0]
        assert answer["estimates"]["macro_f1"]["value"] == pytest.approx(wanted, abs=1e-12)
    odd = pd.DataFrame(PROBABILITIES, columns=["b", "a", "z"])
    refused("different_classes", CLASSES, {"m": odd}, classes=NAMES)


@pytest.mark.parametrize(("code", "scores", "names"), [
    ("doubled_class", PROBABILITIES, ["a", "a", "b"]), ("doubled_class", PROBABILITIES, "abc"),
    ("table", np.ma.masked_array(PROBABILITIES, PROBABILITIES < 0.1), NAMES),
    ("table", PROBABILITIES.astype(complex), NAMES),
    ("table", np.zeros((N, 3), "M8[s]"), NAMES),
    ("doubled_column", {1: PROBABILITIES, "1": PROBABILITIES}, NAMES),
])  # fmt: skip
def test_classes_that_are_refused(code, scores, names):
    refused(code, CLASSES, scores, classes=names)


def test_prefixes_that_differ_in_their_last_sign_are_two_models():
    columns = {
        f"p{sign}{name}": PROBABILITIES[:, k] for k, name in enumerate(NAMES) for sign in "_."
    }
    actual = score_table({"y": CLASSES, **columns}, Columns("y", prefixes=("p_", "p.")))
    assert list(actual.models) == ["p_", "p."]


def test_roles_are_no_classes_and_idle_columns_are_named():
    frame = pl.DataFrame({
        "y": CLASSES, "p_id": range(N), "p_model": "m", "idle": 0,
        **{f"p_{name}": PROBABILITIES[:, k] for k, name in enumerate(NAMES)},
    })  # fmt: skip
    actual = score_table(frame, Columns("y", prefixes=("p_",), model="p_model", id="p_id"))
    assert actual.first.classes == tuple(NAMES)
    assert any("idle" in note for note in actual.notes)


@pytest.mark.parametrize(("code", "columns"), [
    ("doubled_column", Columns("y", drop=("y",))),
    ("which_scores", Columns("y", score=("a",), prefixes=("a",))),
])  # fmt: skip
def test_columns_with_two_roles(code, columns):
    with pytest.raises(DataError) as error:
        score_table({"y": Y, "a": S, "ab": S}, columns)
    assert error.value.code == code


# -------------------------------------------------------------------------------------------- files


def test_files_of_text_may_break_lines_in_their_head(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('y,"m\n0"\n0,0.5\n1,0.7\n')
    assert read_table(path).frame.to_dict(as_series=False) == {
        "y": ["0", "1"],
        "m\n0": ["0.5", "0.7"],
    }


def test_a_folder_is_no_file(tmp_path):
    folder = tmp_path / "a.parquet"
    folder.mkdir()
    pl.DataFrame({"y": Y, "m": S}).write_parquet(folder / "part.parquet")
    with pytest.raises(DataError) as error:
        read_table(folder)
    assert error.value.code == "unreadable"


def test_a_name_may_not_be_empty():
    refused("name", Y, S, name="")
    assert named_after("") == "scores"


# -------------------------------------------------------------------------------------------- store


def test_scores_in_two_roles_are_kept_in_both(tmp_path):
    store = Store(tmp_path / "store")
    judge_table(table(a=S, b=S[::-1]), store=store, name="first")
    judge_table(table(a=S, c=S), baselines=["c"], store=store, name="second")
    judge_table(table(a=S, b=S[::-1]), baselines=["a"], store=store, name="third")
    (group,) = leaderboard(store, "first").groups
    assert {model.name for model in group.models} == {"a", "b"}
    assert find_run(store, "first/a")[0].key != find_run(store, "third/a")[0].key
    memory = MemoryStore()
    (group,) = judge_table(table(a=S, c=S), baselines=["c"], store=memory).groups
    assert len(group.models) == 2


def test_names_with_a_slash_stay_whole(tmp_path):
    for store in (Store(tmp_path / "store"), MemoryStore()):
        judge_table(table(**{"a/x": S, "b/x": S[::-1]}), store=store)
        assert compare(store, "a/x", "b/x").first.name == "a/x"
        with pytest.raises(TruenessError) as error:
            find_run(store, "x")
        assert error.value.code == "no_run"


def test_wrong_limits_leave_the_store_as_it_was(tmp_path):
    store = Store(tmp_path / "store")
    judge_table(table(a=S), store=store)
    (store.root / "checks.yaml").write_text("[: bad")
    with pytest.raises(TruenessError):
        judge_table(table(b=S[::-1]), store=store, name="later")
    assert len(store.all_runs()[0]) == 1
    assert list(store.campaigns()) == ["scores"]


def test_a_store_of_titles_of_before_is_refused(tmp_path):
    (tmp_path / "titles").mkdir()
    with pytest.raises(StoreError) as error:
        Store(tmp_path)
    assert error.value.code == "store_version"


def test_a_record_without_data_is_a_problem_and_top_tells_it(tmp_path):
    store = Store(tmp_path / "store")
    judge_table(table(a=S, b=S[::-1]), store=store)
    key = find_run(store, "a")[0].key
    signed.change(store.kept.runs / key / "record.json", data=None)
    assert [problem.name for problem in leaderboard(store).problems] == [key]
    assert any(key in note for note in top_models(store).notes)
    shutil.rmtree(store.kept.runs / key)
    assert not top_models(store).notes


def test_ctrl_c_says_so(tmp_path, monkeypatch, capsys):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("trueness.judge.external.judge_table", interrupted)
    pl.DataFrame({"y": Y, "m": S}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(SystemExit) as stop:
        main(["judge", str(tmp_path / "a.parquet"), "--y", "y", "--store", str(tmp_path / "s")])
    assert stop.value.code == 130
    assert capsys.readouterr().err.strip() == "trueness: interrupted"
    assert not (tmp_path / "s").exists()


def test_certificates_of_hits_that_all_stand_alone_are_json():
    y = np.r_[np.ones(10, int), np.zeros(90, int)]
    scores = np.r_[np.linspace(0.1, 0.2, 10), np.linspace(0.3, 0.9, 90)]
    actual = certify("a", precision=0.3, store=judge(y, {"a": scores}).store).to_dict()
    assert actual["runs"][0]["closest"]["depends"]["blocks"] is None
    json.dumps(actual, allow_nan=False)


def test_refused_questions_are_not_recorded(tmp_path):
    frame = {"y": Y, "part": ["train", "test"] * (N // 2), "a": S, "b": S[::-1]}
    store = Store(tmp_path / "store")
    judge_table(score_table(frame, Columns("y", split="part"), Reading(on="test")), store=store)
    before = (store.root / "ledger.jsonl").read_text()
    for part in ("train", "validation", ""):
        with pytest.raises(TruenessError) as error:
            compare(store, "a", "b", part=part, access=("compare", ""))
        assert error.value.code == "no_part"
    with pytest.raises(TruenessError) as error:
        thresholds("a", alarms=10**20, store=store)
    assert error.value.code == "demand"
    assert (store.root / "ledger.jsonl").read_text() == before


@pytest.mark.parametrize(("code", "options"), [
    ("evaluation", {"confidence": "x"}), ("name", {"name": 5}), ("doubled_class", {"classes": 3}),
])  # fmt: skip
def test_options_of_another_type_are_refused(code, options):
    refused(code, Y, S, **options)


def test_classes_of_a_table_are_named_by_its_columns():
    refused("no_data", "y", "a", data={"y": Y, "a": S}, classes=NAMES)


@pytest.mark.parametrize("alarms", [5, np.int64(5), [5], np.array([5])])
def test_budgets_of_any_kind(alarms):
    estimates = judge(Y, S, alarms=alarms).to_dict()["groups"][0]["models"][0]["estimates"]
    assert "precision@5" in estimates
