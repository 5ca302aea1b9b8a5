"""Scores from files and frames of any library, and everything that is refused about them."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from trueness.errors import DataError
from trueness.judge.scores import floats, log_odds, log_probabilities, scores_by_name
from trueness.judge.tables import Columns, Reading, constant_models, score_table
from trueness.reading import read_table

N = 40
DAYS = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 1, 1) + dt.timedelta(N - 1), eager=True)


def wide(**columns):
    rng = np.random.default_rng(0)
    base = {
        "date": DAYS, "y": np.tile([0, 1], N // 2), "svm": rng.random(N), "forest": rng.random(N),
    }  # fmt: skip
    return pl.DataFrame(base | columns)


def long(frame):
    return frame.unpivot(["svm", "forest"], index=["date", "y"], variable_name="model",
                         value_name="p")  # fmt: skip


def refused(code, frame, columns=None, reading=None):
    columns, reading = columns or Columns("y", time="date"), reading or Reading()
    with pytest.raises(DataError) as error:
        score_table(frame, columns, reading)
    assert error.value.code == code
    assert "\n" not in str(error.value)
    return str(error.value)


def same(one, other):
    assert list(one.models) == list(other.models)
    for name, model in one.models.items():
        assert model.frame.equals(other.models[name].frame), name


# ------------------------------------------------------------------------------------ what is read


WRITERS = {
    "a.parquet": pl.DataFrame.write_parquet,
    "a.csv": pl.DataFrame.write_csv,
    "a.tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
    "a.arrow": pl.DataFrame.write_ipc,
    "a.FEATHER": pl.DataFrame.write_ipc,
    "a.jsonl": pl.DataFrame.write_ndjson,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("shape", ["wide", "long"])
def test_files_of_every_kind_say_the_same(tmp_path, name, shape):
    frame, columns = wide(), Columns("y", time="date")
    expected = score_table(frame, columns)
    if shape == "long":
        frame, columns = long(frame), Columns("y", time="date", model="model", score=("p",))
    WRITERS[name](frame, tmp_path / name)
    same(score_table(tmp_path / name, columns), expected)


def test_frames_of_every_library_say_the_same():
    frame = wide()
    expected = score_table(frame, Columns("y", time="date"))
    for given_ in (
        frame.lazy(), frame.to_pandas(), frame.to_arrow(), frame.to_dict(as_series=False),
        {name: column.to_numpy() for name, column in frame.to_dict().items()},
    ):  # fmt: skip
        same(score_table(given_, Columns("y", time="date")), expected)


def test_tensors_with_gradients_and_short_floats_are_columns():
    torch = pytest.importorskip("torch")
    score = torch.linspace(0.1, 0.9, 4, requires_grad=True)
    table = {"y": torch.tensor([0, 1, 0, 1]), "a": score, "b": score.bfloat16()}
    models = score_table(table, Columns("y")).models
    np.testing.assert_allclose(expit(models["a"].score), [0.1, 11 / 30, 19 / 30, 0.9], rtol=1e-6)
    assert models["b"].score[0] == pytest.approx(models["a"].score[0], rel=1e-2)


def test_units_are_called_by_id_by_time_and_group_or_by_number():
    assert score_table(wide(), Columns("y", time="date")).first.id[0] == "2024-01-01"
    panel = wide(ticker=["B", "A"] * (N // 2), date=DAYS.gather(np.arange(N) // 2))
    both = score_table(panel, Columns("y", time="date", group="ticker"))
    assert list(both.first.id[:2]) == ["2024-01-01 A", "2024-01-01 B"]
    numbered = score_table(wide().drop("date"), Columns("y"))
    assert set(numbered.first.id) == {str(n) for n in range(1, N + 1)}
    own = wide(code=[f"{n:03}" for n in range(N)])
    assert score_table(own, Columns("y", id="code", time="date")).first.id[7] == "007"


def test_ids_of_text_files_keep_their_zeros(tmp_path):
    wide(code=[f"{n:03}" for n in range(N)]).write_csv(tmp_path / "a.csv")
    table = score_table(tmp_path / "a.csv", Columns("y", id="code", time="date"))
    assert table.first.id[7] == "007"


def test_rows_may_come_in_any_order():
    columns = Columns("y", time="date")
    same(score_table(wide().sample(N, shuffle=True, seed=1), columns), score_table(wide(), columns))
    mixed = long(wide()).sample(2 * N, shuffle=True, seed=1).sort("model", descending=True)
    by_row = score_table(mixed, Columns("y", time="date", model="model", score=("p",)))
    same(by_row, score_table(wide(), columns))


@pytest.mark.parametrize(
    ("times", "first"),
    [
        ([dt.datetime(2024, 1, 2), dt.datetime(2024, 1, 3)], dt.date(2024, 1, 2)),
        ([dt.datetime(2024, 1, 2, 9), dt.datetime(2024, 1, 3)], dt.datetime(2024, 1, 2, 9)),
        (["2024-01-02", "2024-01-03 "], dt.date(2024, 1, 2)),
        (["2024-01-02T09:30:00", "2024-01-03 10:00:00"], dt.datetime(2024, 1, 2, 9, 30)),
        (np.array(["2024-01-02", "2024-01-03"], "datetime64[ns]"), dt.date(2024, 1, 2)),
        (pd.to_datetime(["2024-01-02", "2024-01-03"]).tz_localize("Asia/Tokyo"), dt.date(2024, 1, 2)),
        (pd.to_datetime(["2024-01-02T09", "2024-01-03T09"]).tz_localize("Asia/Tokyo"),
         dt.datetime(2024, 1, 2, 0)),
    ],
)  # fmt: skip
def test_times_are_dates_where_they_are_midnights(times, first):
    table = score_table(
        {"t": times if isinstance(times, list) else pd.Series(times), "y": [0, 1], "a": [0.1, 0.2]},
        Columns("y", time="t"),
    )
    assert table.first.frame["time"][0] == first


def test_folds_and_parts_are_kept_and_one_part_is_judged():
    frame = wide(part=["train"] * 20 + ["test"] * 20, refit=["b", "a"] * 20)
    columns = Columns("y", time="date", split="part", fold="refit")
    assert "which_part" in refused_code(frame, columns)
    table = score_table(frame, columns, Reading(on="test"))
    assert table.part == "test"
    assert len(table.first.part("test")) == 20
    assert table.first.has("train")
    assert set(table.first.fold) == {0, 1}
    refused("no_part", frame, columns, Reading(on="oof"))


def refused_code(frame, columns):
    with pytest.raises(DataError) as error:
        score_table(frame, columns)
    return error.value.code


def test_named_scores_leave_the_other_columns_out_and_say_so():
    table = score_table(wide(comment=["x"] * N), Columns("y", time="date", score=("svm",)))
    assert list(table.models) == ["svm"]
    assert "comment" in table.notes[0]
    assert not score_table(wide(), Columns("y", time="date")).notes


def test_missing_scores_go_for_all_models_where_asked():
    frame = wide().with_columns(svm=pl.when(pl.col("date") > DAYS[3]).then("svm"))
    table = score_table(frame, Columns("y", time="date"), Reading(missing="drop"))
    assert {len(model) for model in table.models.values()} == {N - 4}
    assert "4 units" in table.notes[0]


def test_models_with_different_units_are_paired_on_the_common_ones_where_asked():
    rows = long(wide()).filter((pl.col("model") == "svm") | (pl.col("date") > DAYS[3]))
    columns = Columns("y", time="date", model="model", score=("p",))
    assert "forest 36 of 40" in refused("different_units", rows, columns)
    table = score_table(rows, columns, Reading(pair_common=True))
    assert len(table.first) == N - 4
    assert "4 units" in table.notes[0]
    apart = rows.filter((pl.col("model") == "svm") == (pl.col("date") <= DAYS[3]))
    refused("different_units", apart, columns, Reading(pair_common=True))


# ------------------------------------------------------------------------------------------ K classes


def classes(n=30, k=3):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(k), (2, n))
    frame = {"y": np.arange(n) % k}
    for model, one in zip(("svm", "net"), p, strict=True):
        frame |= {f"{model}_{'abc'[j]}": one[:, j] for j in range(k)}
    return pl.DataFrame(frame), p


def test_each_prefix_is_a_model_of_k_classes():
    frame, p = classes()
    table = score_table(frame, Columns("y", prefixes=("svm_", "net_")))
    assert list(table.models) == ["svm", "net"]
    assert table.first.classes == ("a", "b", "c")
    order = table.first.frame["id"].cast(pl.Int64).to_numpy() - 1
    np.testing.assert_allclose(np.exp(table.models["net"].scores), p[1][order])
    by_name = frame.with_columns(pl.col("y").replace_strict([0, 1, 2], ["a", "b", "c"]))
    same(score_table(by_name, Columns("y", prefixes=("svm_", "net_"))), table)


def test_long_tables_of_k_classes():
    frame, _ = classes()
    rows = pl.concat([
        frame.with_row_index("id").select(
            "id", "y", pl.lit(model).alias("model"),
            *[pl.col(f"{model}_{c}").alias(f"p_{c}") for c in "abc"])
        for model in ("svm", "net")
    ])  # fmt: skip
    table = score_table(rows, Columns("y", id="id", model="model", prefixes=("p_",)))
    wide_ = score_table(
        frame.with_row_index("id"), Columns("y", id="id", prefixes=("svm_", "net_"))
    )
    same(table, wide_)


def test_the_longest_prefix_takes_a_column():
    frame, _ = classes()
    renamed = frame.rename({f"svm_{c}": f"net_svm_{c}" for c in "abc"})
    table = score_table(renamed, Columns("y", prefixes=("net_", "net_svm_")))
    assert list(table.models) == ["net", "net_svm"]


def test_logits_of_classes_keep_their_digits():
    frame, _ = classes()
    short = frame.with_columns(pl.exclude("y").cast(pl.Float32) * 9)
    table = score_table(short, Columns("y", prefixes=("svm_", "net_")), Reading(scale="logit"))
    assert table.first.frame["scores"].dtype == pl.Array(pl.Float32, 3)


@pytest.mark.parametrize(
    ("code", "change", "prefixes"),
    [
        ("unknown_class", {"y": [0, 1, 7] * 10}, ("svm_", "net_")),
        ("unknown_class", {"y": ["a", "b", "x"] * 10}, ("svm_", "net_")),
        ("one_class", {"y": [1] * 30}, ("svm_", "net_")),
        ("unknown_column", {}, ("sum_",)),
        ("different_classes", {"svm_d": [0.1] * 30}, ("svm_", "net_")),
        ("not_probability", {"svm_a": [0.9] * 30}, ("svm_", "net_")),
        ("not_probability", {"svm_a": [-2.0] * 30}, ("svm_", "net_")),
        ("nan_scores", {"svm_a": [float("nan")] * 30}, ("svm_", "net_")),
    ],
)
def test_classes_that_are_refused(code, change, prefixes):
    frame, _ = classes()
    changed = frame.with_columns(**{n: pl.Series(v) for n, v in change.items()})
    refused(code, changed, Columns("y", prefixes=prefixes))


def test_classes_cannot_only_rank():
    frame, _ = classes()
    refused("scale", frame, Columns("y", prefixes=("svm_",)), Reading(scale="rank"))


# ------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("not_binary", {"y": [0, 1, 2, 3] * 10}),
        ("not_binary", {"y": ["yes", "no"] * 20}),
        ("not_binary", {"y": [-1, 1] * 20}),
        ("one_class", {"y": [1] * N}),
        ("missing_value", {"y": [0.0, float("nan")] * 20}),
        ("missing_value", {"date": [None, *DAYS[1:]]}),
        ("nan_scores", {"svm": [float("nan"), 0.5] * 20}),
        ("nan_scores", {"svm": [None] * N}),
        ("infinite_scores", {"svm": [float("inf"), 0.5] * 20}),
        ("not_probability", {"svm": [1.2, 0.5] * 20}),
        ("not_probability", {"svm": [-0.1, 0.5] * 20}),
        ("not_numeric", {"comment": ["x"] * N}),
        ("not_numeric", {"when": DAYS}),
        ("not_a_time", {"date": range(N)}),
        ("not_a_time", {"date": ["31/01/2024"] * N}),
        ("not_a_time", {"date": ["2024-13-01"] * N}),
        ("not_a_time", {"date": ["soon"] * N}),
        ("duplicate_id", {"date": [DAYS[0]] * N}),
    ],
)
def test_values_that_are_refused(code, change):
    frame = wide().with_columns(**{n: pl.Series(v) for n, v in change.items()})
    refused(code, frame)


@pytest.mark.parametrize("lost", [None, "", " ", "NaN", "none", "null"])
def test_units_without_a_cluster_are_not_of_one_cluster(lost):
    frame = wide().with_columns(shop=pl.Series([lost, "a", "b", "c"] * (N // 4)))
    refused("missing_value", frame, Columns("y", time="date", cluster="shop"))


@pytest.mark.parametrize(
    ("code", "columns"),
    [
        ("unknown_column", Columns("label", time="date")),
        ("unknown_column", Columns("y", time="dat")),
        ("unknown_column", Columns("y", score=("sum",))),
        ("unknown_column", Columns("y", drop=("sum",))),
        ("doubled_column", Columns("y", time="date", id="date")),
        ("doubled_column", Columns("y", score=("svm", "svm"))),
        ("which_scores", Columns("y", model="svm")),
        ("no_models", Columns("y", time="date", drop=("svm", "forest"))),
    ],
)
def test_columns_that_are_refused(code, columns):
    refused(code, wide(), columns)


def test_long_rows_that_are_refused():
    columns = Columns("y", time="date", model="model", score=("p",))
    rows = long(wide())
    refused("duplicate_id", pl.concat([rows, rows[:1]]), columns)
    refused("no_id", rows, Columns("y", model="model", score=("p",)))
    odd = rows.with_columns(y=pl.when(pl.int_range(pl.len()) == 0).then(1).otherwise("y"))
    refused("conflicting_units", odd, columns)
    refused("missing_value", rows.with_columns(model=pl.lit(None, pl.String)), columns)
    refused("column_type", rows.with_columns(model=pl.concat_list("model")), columns)


def test_messages_name_models_and_counts():
    frame = wide().with_columns(svm=pl.when(pl.col("date") > DAYS[3]).then("svm"))
    assert "svm 4" in refused("nan_scores", frame)
    assert "svm" in refused("not_probability", frame.with_columns(svm=pl.lit(3.0)))
    assert "'0,25'" in refused("not_numeric", frame.with_columns(svm=pl.lit("0,25")))


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.csv", b"", "empty"), ("a.csv", b"date,y,svm\n", "empty"),
        ("a.csv", b"y,svm,svm\n0,0.1,0.2\n", "doubled_column"),
        ("a.parquet", b"PAR1 no more", "unreadable"), ("a.arrow", b"nothing", "unreadable"),
        ("a.jsonl", b"{not json\n", "unreadable"), ("a.xlsx", b"", "suffix"), ("a", b"", "suffix"),
    ],
)  # fmt: skip
def test_files_that_are_refused(tmp_path, name, content, code):
    (tmp_path / name).write_bytes(content)
    refused(code, tmp_path / name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError) as error:
        read_table(tmp_path / "none.csv")
    assert error.value.code == "no_file"


def test_doubled_columns_of_pandas():
    refused("doubled_column", wide().to_pandas().rename(columns={"forest": "svm"}))


def test_constant_models_are_found_on_the_judged_part_only():
    frame = wide(part=["train"] * 20 + ["test"] * 20, flat=[0.1, 0.2] * 10 + [0.5] * 20)
    columns = Columns("y", time="date", split="part")
    assert constant_models(score_table(frame, columns, Reading(on="test"))) == ["flat"]
    assert constant_models(score_table(frame, columns, Reading(on="train"))) == []


# ---------------------------------------------------------------------------------------------- scores


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_log_odds_keep_order_and_ties(p):
    p = np.array([*p, *[np.nextafter(x, 1) for x in p]])
    z = log_odds(p)
    assert np.isfinite(z).all()
    np.testing.assert_array_equal(
        np.unique(p, return_inverse=True)[1], np.unique(z, return_inverse=True)[1]
    )
    np.testing.assert_allclose(expit(z), p, atol=1e-15)
    np.testing.assert_array_equal(z >= 0, p >= 0.5)


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_log_probabilities_keep_the_most_probable_class(k, seed):
    p = np.random.default_rng(seed).dirichlet(np.full(k, 0.05), 20)
    close = np.full((1, k), 1 / k)
    close[0, -1] = np.nextafter(1 / k, 1)
    p = np.concatenate([p, close])
    z = log_probabilities(p)
    assert np.isfinite(z).all()
    np.testing.assert_array_equal(z.argmax(1), p.argmax(1))


def test_numbers_of_any_kind_are_scores():
    np.testing.assert_array_equal(floats("a", pl.Series([True, False])), [1, 0])
    np.testing.assert_array_equal(floats("a", pl.Series([Decimal("0.25")])), [0.25])
    np.testing.assert_array_equal(floats("a", pl.Series([2**60, 5])), [2.0**60, 5])
    assert floats("a", pl.Series([0.1], dtype=pl.Float32)).dtype == np.float32
    with pytest.raises(DataError) as error:
        floats("a", pl.Series([2**53, 2**53 + 1]))
    assert error.value.code == "score_digits"


def test_labels_and_scores_of_zero_and_one():
    table = score_table({"y": ["false", "True"], "a": [0, 1], "b": ["0.1", ".9"]}, Columns("y"))
    assert list(table.first.y) == [0, 1]
    assert table.models["a"].score[0] < -700
    assert 36 < table.models["a"].score[1] < 40


def test_scores_by_name_from_anything_with_columns():
    rows = np.arange(6.0).reshape(3, 2)
    assert list(scores_by_name(rows)) == ["model 1", "model 2"]
    assert list(scores_by_name(pd.DataFrame(rows, columns=["a", "b"]))) == ["a", "b"]
    assert list(scores_by_name(pl.DataFrame(rows, schema=["a", "b"]))) == ["a", "b"]
    assert list(scores_by_name(pd.Series([1, 2], name="svm"))) == ["svm"]
    assert list(scores_by_name(pl.DataFrame(rows[:, [0, 0]], schema=["a", "b"]).to_arrow())) == [
        "a",
        "b",
    ]
    assert list(scores_by_name([1, 2])) == ["model"]
    assert scores_by_name({"x": (1, 2)})["x"].to_list() == [1, 2]


def test_clusters_written_as_texts_are_those_written_as_numbers():
    """Intervals must not depend on the kind of file."""
    from trueness.judge.units import TYPES

    numbers = pl.Series("cluster", [10, 2, 1, 2])
    assert TYPES["cluster"](numbers.cast(pl.String)).to_list() == numbers.to_list()
    for odd in (["01", "2"], ["1.0", "2"], ["a", "2"], [" 1", "2"]):
        assert TYPES["cluster"](pl.Series("cluster", odd)).to_list() == odd
