"""The task of tables: division, preparation inside each fold, windows, audit, refusals."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trueness.baselines import fit_estimator
from trueness.engines.recorded import facts_of, predictions_of
from trueness.errors import DataError
from trueness.evaluation import roc_auc
from trueness.examples import PARTS
from trueness.fit import Device, fit_stack
from trueness.judge.table_features import audit_table
from trueness.spec import Spec, explain_error
from trueness.spec.evaluation import Given, KFold, RowsForward, RowsHoldout
from trueness.spec.table import TableTask
from trueness.table import bundled, load_table, table_examples, table_of
from trueness.table.examples import divide
from trueness.table.parts import Units, divided

TRAIN, VALIDATION, TEST, OOF = (PARTS.index(p) for p in ("train", "validation", "test", "oof"))
RARE = st.lists(st.sampled_from([0, 0, 0, 1]), min_size=40, max_size=120)
START = dt.datetime(2020, 1, 1)


def frame(n=160, seed=0):
    """Columns of every kind; one row in eight is positive."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 8 == 3).astype(int)
    return pl.DataFrame({
        "amount": rng.lognormal(size=n) * (1 + y),
        "gaps": pl.Series([None if i % 5 == 0 else float(i % 23) for i in range(n)]),
        "flag": rng.random(n) < 0.3,
        "kind": rng.choice(["a", "b", "c"], n),
        "text": [f"to {rng.choice(['x', 'yy', 'zzz'])} {i} of {rng.integers(99)}" for i in range(n)],
        "opened": [dt.date(2015, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 999, n)],
        "code": rng.integers(100, 106, n),
        "booked": [START + dt.timedelta(hours=6 * i) for i in range(n)],
        "shop": [f"s{i % 4}" for i in range(n)],
        "customer": rng.integers(0, n // 2, n),
        "part": np.array(["train", "train", "validation", "test", "unused"])[np.arange(n) % 5],
        "is_fraud": y,
    })  # fmt: skip


def task(table=None, **fields):
    values = {"label": "is_fraud", "drop": ["part"], "categories": ["code"], **fields}
    return TableTask(kind="table", rows="0", **values)


TIMED = {"time": "booked", "group": "shop", "cluster": "customer"}
KFOLD = KFold(protocol="kfold", n_folds=3)


def refused(code, call, *arguments):
    with pytest.raises(DataError) as error:
        call(*arguments)
    assert error.value.code == code, error.value
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------------------------------- division


def units(y, when=None, cluster=None, given=None):
    cluster = np.arange(len(y)) if cluster is None else np.asarray(cluster)
    return Units(np.array(y, np.uint8), when, cluster, given)


@given(RARE, st.data())
def test_clusters_stay_together_and_every_row_is_predicted_once(y, data):
    n, k = len(y), data.draw(st.integers(2, 6))
    most = data.draw(st.integers(1, n))
    cluster = data.draw(st.lists(st.integers(0, most), min_size=n, max_size=n))
    assume(len(set(cluster)) > k)
    rule = KFold(protocol="kfold", n_folds=k, seed=data.draw(st.integers(0, 9)))
    made = units(y, cluster=np.unique(cluster, return_inverse=True)[1])
    parts = divided(rule, made)
    assert ((parts == OOF).sum(axis=0) == 1).all()
    assert np.isin(parts, (TRAIN, VALIDATION, OOF)).all()
    for part in parts:
        for one in np.unique(made.cluster):
            assert len(set(part[made.cluster == one])) == 1


@given(RARE, st.integers(2, 6), st.integers(0, 99))
def test_folds_and_shares_are_stratified(y, k, seed):
    parts = divided(KFold(protocol="kfold", n_folds=k, seed=seed), units(y))
    for label in (0, 1):
        sizes = ((parts == OOF) & (np.array(y) == label)).sum(axis=1)
        assert sizes.max() - sizes.min() <= 1 + (label == 0)
    rule = RowsHoldout(protocol="holdout", validation_pct=25, test_pct=20, seed=seed)
    (part,) = divided(rule, units(y))
    for name, share in ((VALIDATION, 0.25), (TEST, 0.2)):
        for label in (0, 1):
            own = np.array(y) == label
            assert abs((own & (part == name)).sum() - share * own.sum()) <= 2


def test_the_draw_depends_on_its_seed_alone():
    y = [0, 0, 0, 1] * 20
    one, two, other = (divided(KFold(protocol="kfold", seed=seed), units(y)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


HOURS = st.lists(st.integers(0, 400), min_size=30, max_size=80)


@given(HOURS, st.sampled_from([None, "1h", "20h", "2d"]), st.data())
def test_forward_folds_know_nothing_of_what_they_predict(hours, purge, data):
    when = np.datetime64(START, "us") + np.array(hours) * np.timedelta64(1, "h")
    length = data.draw(st.sampled_from([None, "36h", "1w"]))
    rule = RowsForward(protocol="walk_forward", purge=purge, block_length=length, n_blocks=3)
    parts = divided(rule, units([0] * len(when), when))
    gap = np.timedelta64(dict([(None, 0), ("1h", 1), ("20h", 20), ("2d", 48)])[purge], "h")
    for part in parts:
        first = when[part == OOF].min()
        for earlier, later in (
            (VALIDATION, first),
            (TRAIN, when[part == VALIDATION].min(initial=first)),
        ):
            assert (when[part == earlier] < later - gap).all()
    predicted = (parts == OOF).sum(axis=0)
    start = np.sort(when)[int(len(when) * 0.4)]
    np.testing.assert_array_equal(predicted, when >= start)


@given(HOURS, st.sampled_from([None, "20h"]), st.booleans())
def test_a_holdout_by_time_is_in_order_and_purged(hours, purge, dated):
    when = np.datetime64(START, "us") + np.array(hours) * np.timedelta64(1, "h")
    dates = {"val_start": "2020-01-06", "test_start": "2020-01-11 12:00"} if dated else {}
    rule = RowsHoldout(protocol="holdout", purge=purge, **dates)
    (part,) = divided(rule, units([0] * len(when), when))
    gap = np.timedelta64(20 if purge else 0, "h")
    bounds = [np.datetime64(v, "us") for v in ("2020-01-06", "2020-01-11T12")] if dated else [
        np.sort(when)[int(len(when) * share)] for share in (0.6, 0.8)
    ]  # fmt: skip
    assert (part[when >= bounds[1]] == TEST).all()
    np.testing.assert_array_equal(part == TRAIN, when < bounds[0] - gap)
    inside = (when >= bounds[0]) & (when < bounds[1] - gap)
    np.testing.assert_array_equal(part == VALIDATION, inside)


def test_blocks_of_months_follow_the_calendar():
    when = np.arange("2020-01-01", "2020-12-31", dtype="datetime64[D]")
    rule = RowsForward(protocol="walk_forward", start="2020-03-31", block_length="1mo")
    parts = divided(rule, units([0] * len(when), when))
    firsts = [str(when[part == OOF].min()) for part in parts]
    assert firsts[:4] == ["2020-03-31", "2020-04-30", "2020-05-31", "2020-06-30"]


def test_a_column_gives_folds_or_parts():
    y, names = [0, 0, 0, 1] * 10, np.array(["a", "b", "a", "b"] * 10)
    parts = divided(Given(protocol="given", fold="f"), units(y, given=names))
    np.testing.assert_array_equal(parts[1] == OOF, names == "b")
    said = np.array(["train", "validation", "test", "no"] * 10)
    (part,) = divided(Given(protocol="given", split="s"), units(y, given=said))
    assert [PARTS[p] for p in part[:4]] == ["train", "validation", "test", "none"]


# ------------------------------------------------------------------------------------- preparation


def changed(rows, inside, seed):
    """The table with other inputs in some rows: unseen categories, gaps, far numbers, other days."""
    rng, n = np.random.default_rng(seed), len(rows)
    new = {
        "amount": pl.Series(rng.choice([1e9, -1e9, 0.0], n)),
        "gaps": pl.Series([None] * n, dtype=pl.Float64),
        "flag": pl.Series(rng.random(n) < 0.9),
        "kind": pl.Series(rng.choice(["new", "other"], n)),
        "text": pl.Series([f"unseen {i}" for i in range(n)]),
        "opened": pl.Series([dt.date(1999, 12, 31)] * n),
        "code": pl.Series(rng.integers(900, 990, n)),
    }
    where = pl.Series(inside)
    return rows.with_columns(
        pl.select(pl.when(where).then(new[name]).otherwise(rows[name]).alias(name)).to_series()
        for name in new
    )


RULES = [
    (KFOLD, {"cluster": "customer"}),
    (RowsForward(protocol="walk_forward", n_blocks=2, purge="1d"), TIMED),
    (RowsHoldout(protocol="holdout"), {}),
    (Given(protocol="given", split="part"), {"drop": []}),
]


@pytest.mark.parametrize(("rule", "roles"), RULES)
def test_what_a_fold_predicts_does_not_touch_its_preparation(rule, roles):
    rows, one = frame(), task(**roles)
    before = table_examples(one, rule, table_of(rows))
    hidden = (TEST, OOF) if rule.measured_on == "oof" else (VALIDATION, TEST)
    for fold in range(before.n_folds):
        seen = ~np.isin(before.parts[fold], hidden)
        inside = np.zeros(len(rows), bool)
        inside[before.ids[~seen].astype(int) - 1] = True
        after = table_examples(one, rule, table_of(changed(rows, inside, fold)))
        for part in ("train", "validation") if rule.measured_on == "oof" else ("train",):
            x, names = _rows(before, part, fold)
            others, others_names = _rows(after, part, fold)
            assert x.shape[0] > 10
            for name in {*names, *others_names}:  # a column of other folds is 0 in this one
                mine = x[:, names.index(name)] if name in names else np.zeros(len(x))
                theirs = (
                    others[:, others_names.index(name)]
                    if name in others_names
                    else np.zeros(len(x))
                )
                np.testing.assert_array_equal(mine, theirs, err_msg=name)


def _rows(examples, part, fold):
    rows = examples.starts(fold)[examples.members(part, fold)]
    return examples.series[rows], list(examples.features)


def test_training_rows_do_touch_it():
    """Else the test above could not fail."""
    rows, one = frame(), task(cluster="customer")
    before = table_examples(one, KFOLD, table_of(rows))
    inside = np.isin(
        np.arange(len(rows)), before.ids[before.members("train", 0)].astype(int)[:30] - 1
    )
    after = table_examples(one, KFOLD, table_of(changed(rows, inside, 0)))
    x, y = (dict(zip(e.features, _rows(e, "oof", 0)[0].T, strict=True)) for e in (before, after))
    assert not np.allclose(x["amount"], y["amount"])


def test_numbers_are_squashed_gaps_flagged_and_truth_values_kept():
    rows = frame(400).with_columns(rare=pl.Series([None] * 399 + [7.0]))
    examples = table_examples(task(), KFOLD, table_of(rows))
    at = {name: i for i, name in enumerate(examples.features)}
    for fold in range(3):
        x, original = _rows(examples, "train", fold)[0], rows[examples.members("train", fold)]
        assert abs(np.median(x[:, at["amount"]])) < 1e-6
        assert np.abs(x[:, at["amount"]]).max() <= 3
        gaps = original["gaps"].is_null().to_numpy()
        np.testing.assert_array_equal(x[:, at["gaps missing"]], gaps)
        assert (x[gaps, at["gaps"]] == 0).all()
        np.testing.assert_array_equal(x[:, at["flag"]], original["flag"].cast(int).to_numpy())
        assert set(np.unique(x[:, at["code_100"]])) == {0, 1}
    holds = [(examples.parts[fold, -1] == TRAIN) for fold in range(3)]
    flags = [examples.series[examples.starts(f), at["rare missing"]].any() for f in range(3)]
    assert holds == flags  # where no training row has the value, there is no such column


def test_examples_repeat_to_the_bit():
    one, two = (table_examples(task(), KFOLD, table_of(frame())) for _ in range(2))
    np.testing.assert_array_equal(one.series, two.series)
    assert one.features == two.features
    assert any(name.startswith("text_") for name in one.features)


def test_names_that_collide_are_numbered_and_odd_values_are_no_matter():
    x = pl.col("amount")
    rows = frame().with_columns(
        x.alias("kind_a"),
        x.alias("gaps missing"),
        x.alias("labels"),
        (x * 1e300).alias("far"),
        pl.lit(None).alias("nothing"),
        pl.lit(float("inf")).alias("endless"),
        x.alias("größe\n€"),
        pl.duration(hours=pl.int_range(160)).alias("lasted"),
        x.cast(pl.Decimal(20, 2)).alias("price"),
        (pl.lit(2**63, pl.UInt64) + pl.int_range(160).cast(pl.UInt64)).alias("number"),
    )
    one, two = (table_examples(task(), KFOLD, table_of(rows)) for _ in range(2))
    assert one.features == two.features
    assert len(set(one.features)) == len(one.features)
    assert {"kind_a", "kind_a (2)", "gaps missing", "gaps missing (2)", "lasted", "price"} <= {
        *one.features
    }
    assert not {"nothing", "endless"} & {*one.features}
    assert np.isfinite(one.series).all()
    actual = audit_table(task(), KFOLD, table_of(rows)).groups()
    assert {"nothing", "endless"} <= {*actual["constants"]}


def test_roles_are_no_inputs_unless_they_are_categories():
    names = table_examples(task(**TIMED), KFOLD, table_of(frame())).features
    assert not [
        n for n in names if n.startswith(("booked", "shop", "customer", "is_fraud", "part"))
    ]
    names = table_examples(
        task(**{**TIMED, "categories": ["shop"]}), KFOLD, table_of(frame())
    ).features
    assert {f"shop_s{i}" for i in range(4)} <= {*names}


# ----------------------------------------------------------------------------------------- windows


@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_windows_hold_rows_of_one_group_up_to_the_unit(context, n_groups, seed):
    rng = np.random.default_rng(seed)
    rows = frame().with_columns(
        shop=pl.Series([f"s{i}" for i in rng.integers(0, n_groups, 160)]),
        booked=pl.Series([START + dt.timedelta(days=int(d)) for d in rng.integers(0, 90, 160)]),
    )
    rule = RowsForward(protocol="walk_forward")
    actual = divide(task(**TIMED, context=context), rule, table_of(rows))
    window = actual.order[actual.start[:, None] + np.arange(context)]
    when, shop = rows["booked"].to_numpy()[window], rows["shop"].to_numpy()[window]
    assert (shop == shop[:, :1]).all()
    assert (when[:, 1:] >= when[:, :-1]).all()
    np.testing.assert_array_equal(window[:, -1], actual.unit)
    possible = rows.group_by("shop").len()["len"].to_numpy() - context + 1
    assert len(actual.unit) == possible.clip(min=0).sum() == len(np.unique(actual.unit))


@pytest.mark.parametrize(
    "rule",
    [KFOLD, Given(protocol="given", fold="shuffled"), RowsForward(protocol="walk_forward", n_blocks=3),
     RowsHoldout(protocol="holdout", purge="2d")],
)  # fmt: skip
def test_no_training_window_reaches_into_what_is_predicted(rule):
    rng = np.random.default_rng(0)
    rows = frame().with_columns(shuffled=pl.Series(np.arange(160) // 20 % 2), rest=rng.random(160))
    actual = divide(task(time="booked", group="shop", context=3), rule, table_of(rows))
    window = actual.order[actual.start[:, None] + np.arange(3)]
    for part in actual.parts:
        hidden = actual.unit[np.isin(part, (TEST, OOF))]
        assert (part == TRAIN).sum() > 20
        assert not np.isin(window[np.isin(part, (TRAIN, VALIDATION))], hidden).any()
        assert not np.isin(window[part == TRAIN], actual.unit[part == VALIDATION]).any()


def test_groups_stay_together_where_windows_are_drawn():
    rows = frame().with_columns(
        shop=pl.Series([f"s{i // 8}" for i in range(160)]), customer=pl.int_range(160) // 16
    )
    examples = table_examples(task(**TIMED, context=2), KFOLD, table_of(rows))
    assert examples.series.shape[0] == 3 * 160
    for part in examples.parts:
        for column in (examples.group, examples.cluster):
            own = set(column[part == OOF])
            assert not own & {*column[part == TRAIN], *column[part == VALIDATION]}


# ------------------------------------------------------------------------------------------- table


def test_the_digest_is_that_of_the_content(tmp_path):
    rows = frame()
    digest = table_of(rows).digest
    rows.write_csv(tmp_path / "t.csv")
    rows.write_parquet(tmp_path / "t.parquet")
    rows.with_columns(pl.col("code", "is_fraud").cast(pl.Int16)).write_parquet(
        tmp_path / "s.parquet"
    )
    for name in ("t.csv", "t.parquet", "s.parquet"):
        assert load_table(name, tmp_path).digest == digest == load_table(tmp_path / name).digest
    assert table_of(rows.to_arrow()).digest == digest
    undated = rows.drop("opened")  # pandas has no dates
    assert table_of(undated.to_pandas()).digest == table_of(undated).digest
    others = [
        rows.rename({"code": "kode"}),
        rows.reverse(),
        rows.select(reversed(rows.columns)),
        rows.with_columns(pl.col("gaps").fill_null(0.0)),
        *(rows.with_columns(pl.when(pl.int_range(160) == 7).then(None).otherwise(pl.col(c)).alias(c))
          for c in rows.columns),
    ]  # fmt: skip
    digests = {table_of(one).digest for one in others}
    assert len(digests) == len(others)
    assert digest not in digests


def test_columns_without_single_values_are_left_out_and_told():
    rows = frame().with_columns(tags=pl.lit([1, 2]), raw=pl.lit(b"x"))
    table = table_of(rows, "t")
    assert {*rows.columns} - {*table.frame.columns} == {"tags", "raw"}
    assert "tags" in table.notes[0]


def test_where_a_table_comes_from():
    origin = table_of(frame(), "cards").origin("booked")
    assert origin == {
        "name": "cards", "digest": table_of(frame()).digest, "rows": 160, "first": "2020-01-01",
        "as_of": "2020-02-09",
    }  # fmt: skip


def test_text_in_place_of_numbers_is_told(tmp_path):
    head = "id,price,rate,zip,kind\n"
    rows = [f'{i},{i}.5,"{i},5",{i:05d},k{i}\n' for i in range(40)]
    (tmp_path / "t.csv").write_text(head + "".join(rows) + 'x,oops,"9,5",00001,k\n')
    notes = load_table(tmp_path / "t.csv").notes
    assert [note.split(": ")[1].split(" ")[0] for note in notes] == ["id", "price", "rate", "zip"]
    assert [
        words in note
        for words, note in zip(("'x'", "'oops'", "'0,5'", "with 0"), notes, strict=True)
    ] == [True] * 4


def test_the_bundled_table_is_rare_and_there():
    rows = bundled()
    assert 0.05 < rows["admitted_next_year"].mean() < 0.1
    assert rows["person"].n_unique() == 5639
    assert load_table("randhie").digest == table_of(rows).digest


@pytest.mark.parametrize(
    ("code", "roles", "columns"),
    [
        ("unknown_column", {"label": "fraud"}, {}),
        ("unknown_column", {"time": "when"}, {}),
        ("unknown_column", {"group": "when"}, {}),
        ("unknown_column", {"cluster": "when"}, {}),
        ("unknown_column", {"drop": ["when"]}, {}),
        ("unknown_column", {"categories": ["when"]}, {}),
        ("one_class", {}, {"is_fraud": pl.lit(1)}),
        ("not_binary", {}, {"is_fraud": pl.int_range(160)}),
        ("not_binary", {}, {"is_fraud": pl.lit("yes")}),
        ("not_binary", {}, {"is_fraud": pl.col("amount")}),
        ("missing_value", {}, {"is_fraud": pl.when(pl.int_range(160) > 3).then(pl.col("is_fraud"))}),
        ("missing_value", {"cluster": "gaps"}, {}),
        ("missing_value", {"time": "opened"}, {"opened": pl.lit(None, pl.Date)}),
        ("not_a_time", {"time": "amount"}, {}),
        ("not_a_time", {"time": "code", "categories": []}, {}),
        ("not_a_time", {"time": "kind"}, {}),
        ("not_a_time", {"time": "kind"}, {"kind": pl.lit("01/02/2020")}),
        ("time_zone", {"time": "kind"},
         {"kind": pl.lit("2020-01-01") + pl.Series(["", "T00:00:00Z"] * 80)}),
        ("column_type", {}, {"is_fraud": pl.duration(days=pl.int_range(160) % 2)}),
        ("column_type", {"cluster": "kind"}, {"kind": pl.duration(days=pl.int_range(160))}),
        ("column_type", {"group": "kind"}, {"kind": pl.duration(days=pl.int_range(160))}),
        ("column_type", {"categories": ["kind"]}, {"kind": pl.duration(days=pl.int_range(160))}),
        ("no_inputs", {"drop": [c for c in frame(8).columns if c not in ("is_fraud", "gaps")], "categories": []},
         {"gaps": pl.lit(None, pl.Float64)}),
        ("no_inputs", {"drop": [c for c in frame(8).columns if c != "is_fraud"], "categories": []}, {}),
        ("short_groups", {**TIMED, "context": 41}, {}),
        ("rare_class", {}, {"is_fraud": pl.int_range(160) < 2}),
        ("few_clusters", {"cluster": "kind"}, {"kind": pl.int_range(160) % 2}),
        ("few_clusters", {**TIMED, "context": 2}, {"customer": pl.lit("all the same")}),
    ],
)  # fmt: skip
def test_bad_tables(code, roles, columns):
    table = table_of(frame().with_columns(**columns), "t")
    refused(code, table_examples, task(**roles), KFOLD, table)


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("empty_part", RowsForward(protocol="walk_forward", start="2019-01-01")),
        ("empty_part", RowsForward(protocol="walk_forward", purge="1y")),
        ("no_folds", RowsForward(protocol="walk_forward", start="2030-01-01")),
        ("many_folds", RowsForward(protocol="walk_forward", block_length="1s")),
        (
            "empty_part",
            RowsHoldout(protocol="holdout", val_start="2030-01-01", test_start="2031-01-01"),
        ),
        ("given_folds", Given(protocol="given", fold="constant")),
        ("unknown_column", Given(protocol="given", fold="no")),
        ("empty_part", Given(protocol="given", split="kind")),
    ],
)
def test_bad_divisions(code, rule):
    table = table_of(frame().with_columns(constant=pl.lit("one")), "t")
    refused(code, table_examples, task(**TIMED), rule, table)


def test_a_rare_class_is_told_with_its_fold_and_counts():
    rows = frame().with_columns(is_fraud=pl.int_range(160) < 2)
    with pytest.raises(DataError, match=r"fold \d of 5: validation has \d+ rows?, 0 of them"):
        table_examples(task(), KFold(protocol="kfold"), table_of(rows))


def test_bad_files(tmp_path):
    refused("empty", table_of, {"a": []})
    refused("table", table_of, 3)
    refused("no_file", load_table, "no.csv", tmp_path)
    refused("suffix", load_table, "no.xlsx", tmp_path)
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    refused("doubled_column", load_table, tmp_path / "twice.csv")
    (tmp_path / "empty.csv").write_text("")
    refused("empty", load_table, tmp_path / "empty.csv")


def test_times_and_labels_in_many_spellings():
    rows = frame()
    usual = table_examples(task(**TIMED), KFOLD, table_of(rows))
    spellings = [
        rows.with_columns(pl.col("booked").dt.to_string("iso:strict")),
        rows.with_columns(
            pl.col("booked").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
        ),
        rows.with_columns(pl.col("is_fraud").cast(pl.Boolean)),
        rows.with_columns(pl.col("is_fraud").cast(pl.Boolean).cast(pl.String)),
        rows.with_columns(pl.col("is_fraud").cast(pl.Float32)),
    ]
    for one in spellings:
        made = table_examples(task(**TIMED), KFOLD, table_of(one))
        np.testing.assert_array_equal(made.when, usual.when)
        np.testing.assert_array_equal(made.y, usual.y)
        np.testing.assert_array_equal(made.series, usual.series)
    days = table_examples(
        task(**TIMED), KFOLD, table_of(rows.with_columns(pl.col("booked").dt.date()))
    )
    assert days.when.dtype == "datetime64[D]"


# -------------------------------------------------------------------------------------------- spec


SPEC = {"task": {"kind": "table", "rows": "0", "label": "y"}, "model": "logit"}


@pytest.mark.parametrize(
    ("task_fields", "evaluation", "path", "words"),
    [
        ({}, {"protocol": "purged_kfold"}, ("evaluation",), "holdout, kfold, walk_forward, given"),
        ({}, {"protocol": "kfold", "folds": 3}, ("evaluation", "folds"), "n_folds"),
        (
            {"time": "t"},
            {"protocol": "walk_forward", "purg": "1d"},
            ("evaluation", "purg"),
            "purge",
        ),
        (
            {"time": "t"},
            {"protocol": "walk_forward", "purge": "a day"},
            ("evaluation", "purge"),
            "90d",
        ),
        ({}, {}, ("evaluation",), "protocol"),
        ({}, {"protocol": "walk_forward"}, (), "task.time"),
        ({}, {"protocol": "holdout", "purge": "1d"}, (), "task.time"),
        ({}, {"protocol": "given"}, ("evaluation",), "fold"),
        ({}, {"protocol": "given", "fold": "y"}, (), "label"),
        ({"time": "t", "context": 3}, {"protocol": "kfold"}, (), "task.group"),
        ({"context": 3}, {"protocol": "kfold"}, ("task",), "time"),
        ({"time": "y"}, {"protocol": "kfold"}, ("task",), "label"),
        ({"drop": ["a"], "categories": ["a"]}, {"protocol": "kfold"}, ("task",), "drop"),
        ({"when": "t"}, {"protocol": "kfold"}, ("task", "when"), "time"),
    ],
)
def test_mistakes_are_told_where_they_are(task_fields, evaluation, path, words):
    content = {**SPEC, "task": {**SPEC["task"], **task_fields}, "evaluation": evaluation}
    with pytest.raises(ValidationError) as error:
        Spec.model_validate(content)
    assert error.value.error_count() == 1
    place, message = explain_error(content, dict(error.value.errors()[0]))
    assert place == path
    assert words in message


def test_protocols_belong_to_their_task():
    market = {"task": {"kind": "market", "bars": "x"}, "evaluation": {"protocol": "kfold"}}
    with pytest.raises(ValidationError, match="holdout"):
        Spec.model_validate(market)
    forward = {"protocol": "walk_forward", "start": "2020-01-01"}
    content = {**SPEC, "task": {**SPEC["task"], "time": "t"}, "evaluation": forward}
    spec = Spec.model_validate(content)
    assert isinstance(spec.evaluation, RowsForward)
    assert Spec.model_validate_json(spec.model_dump_json()).key == spec.key
    assert Spec.model_validate(spec.model_dump()).evaluation == spec.evaluation


def test_revin_of_one_row_is_refused():
    content = {
        **SPEC,
        "model": {"kind": "patchtst", "patch_length": 1},
        "evaluation": {"protocol": "kfold"},
    }
    with pytest.raises(ValidationError, match="revin"):
        Spec.model_validate(content)


@pytest.mark.parametrize(
    ("rule", "part", "evaluated_on", "sealed"),
    [
        (KFOLD, "oof", ("oof",), ()),
        (RowsHoldout(protocol="holdout"), "validation", ("validation", "test"), ("test",)),
        (Given(protocol="given", fold="f"), "oof", ("oof",), ()),
        (Given(protocol="given", split="s"), "validation", ("validation", "test"), ("test",)),
    ],
)
def test_estimands_of_a_table(rule, part, evaluated_on, sealed):
    spec = Spec.model_validate({**SPEC, "evaluation": rule})
    made = spec.estimands
    assert (made.measured_on, made.judged_on, made.sealed) == (part, evaluated_on, sealed)
    assert (made.horizon, made.block, made.nouns) == (0, 20, ("row", "group"))
    assert spec.label() == "logistic regression"


# --------------------------------------------------------------------------------------- for real


@pytest.fixture(scope="module")
def hospital():
    table = load_table("randhie")
    about = {"label": "admitted_next_year", "group": "site", "cluster": "person"}
    one = TableTask(kind="table", rows=table.digest, categories=("plan", "site"), **about)
    return one, table_examples(one, KFold(protocol="kfold", n_folds=2), table)


def _out_of_fold(examples, logits):
    scores = np.zeros(len(examples.y))
    for fold in range(examples.n_folds):
        rows = examples.members("oof", fold)
        scores[rows] = logits[fold][rows]
    return roc_auc(examples.y, scores)


@pytest.mark.parametrize("kind", ["logit", "boosting"])
def test_estimators_see_the_copy_of_their_fold(two_copies, make_spec, kind):
    both, alone = two_copies
    spec = Spec.model_validate({**make_spec().model_dump(), "model": {"kind": kind}})
    together, *apart = (fit_estimator(one, spec).logits for one in (both, *alone))
    for fold in range(2):
        np.testing.assert_array_equal(together[fold], apart[fold][fold])
    assert not np.allclose(apart[0], apart[1], equal_nan=True)


def test_baselines_learn_the_bundled_table(hospital):
    one, examples = hospital
    spec = Spec(task=one, model={"kind": "logit"}, evaluation=KFold(protocol="kfold", n_folds=2))
    fit = fit_estimator(examples, spec)
    assert 0.68 < _out_of_fold(examples, fit.logits) < 0.76


def test_networks_learn_the_bundled_table(hospital):
    one, examples = hospital
    spec = Spec.model_validate({
        "task": one, "evaluation": {"protocol": "kfold", "n_folds": 2},
        "model": {"kind": "patchtst", "patch_length": 1, "stride": 1, "revin": False, "d_model": 8,
                  "n_layers": 1, "n_heads": 1, "d_ff": 8, "dropout": 0},
        "recipe": {"epochs": 4, "learning_rate": 3e-3, "batch_size": 256},
    })  # fmt: skip
    (fitted,) = fit_stack(examples, [spec], Device("cpu", has_bf16=False))
    logits = [fold.logit for fold in fitted.folds]
    assert 0.66 < _out_of_fold(examples, logits) < 0.76
    predictions = predictions_of(examples, logits, logits)
    assert {"id", "group", "cluster", "y", "score"} <= {*predictions.frame.columns}
    part = predictions.part("oof")
    assert len(part) == 14266 == len(set(part.id))
    assert part.blocks(20).items == 5639
    assert facts_of(spec, examples)["folds"][0]["oof"][0] == len(examples.members("oof", 0))


def test_networks_see_windows_of_a_group():
    rows = frame(1200).with_columns(amount=pl.Series(np.random.default_rng(1).normal(size=1200)))
    rows = rows.with_columns(is_fraud=(pl.col("amount").shift(1).over("shop") > 1).fill_null(False))
    one = task(time="booked", group="shop", context=2, categories=[], drop=[c for c in rows.columns if c not in
               ("amount", "booked", "shop", "is_fraud")])  # fmt: skip
    rule = RowsForward(protocol="walk_forward", n_blocks=2)
    examples = table_examples(one, rule, table_of(rows))
    spec = Spec(task=one, model={"kind": "one_feature"}, evaluation=rule)
    blind = fit_estimator(examples, spec).logits  # the last row and the mean of two
    network = Spec.model_validate({
        **spec.model_dump(),
        "model": {"kind": "patchtst", "patch_length": 1, "stride": 1, "revin": False, "d_model": 8,
                  "n_layers": 1, "n_heads": 1, "d_ff": 8, "dropout": 0},
        "recipe": {"epochs": 20, "learning_rate": 1e-2, "batch_size": 32, "patience": 20},
    })  # fmt: skip
    (fitted,) = fit_stack(examples, [network], Device("cpu", has_bf16=False))
    for fold in range(2):
        members = examples.members("oof", fold)
        y = examples.y[members]
        assert roc_auc(y, fitted.folds[fold].logit[members].astype(float)) > 0.95
        assert roc_auc(y, blind[fold][members].astype(float)) < 0.95


# ------------------------------------------------------------------------------------------- audit


def test_the_audit_finds_what_is_planted():
    rows = frame(400)
    fraud = rows["is_fraud"].to_numpy()
    rng = np.random.default_rng(5)
    rows = rows.with_columns(
        closed_on=pl.Series([dt.date(2021, 1, int(d)) if y else None for d, y in
                             zip(rng.integers(1, 28, 400), fraud, strict=True)]),
        verdict=pl.Series(np.where(fraud, rng.choice(["chargeback", "stolen"], 400), "paid")),
        score=pl.Series(fraud * 0.3 + rng.random(400) * 0.29),
        constant=pl.lit(7), nearly=pl.int_range(400) == 0,
        twice=pl.col("amount") * 1.0, cents=pl.col("amount") * 100 + 3,
        renamed=pl.col("kind").replace({"a": "A", "b": "B", "c": "C"}),
        row=pl.int_range(400), empty=pl.lit(None, pl.Float64), broken=pl.lit(float("inf")),
        moving=pl.Series(np.arange(400.0) + rng.random(400)),
    )  # fmt: skip
    rule = RowsForward(protocol="walk_forward", n_blocks=2)
    audit = audit_table(task(**TIMED), rule, table_of(rows, "cards"))
    actual = audit.groups()
    assert {one.name for one in audit.leaks} == {"closed_on", "verdict", "score"}
    assert {*actual["constants"]} == {"constant", "empty", "broken"}
    assert [text.split()[0] for text in actual["near constants"]] == ["nearly"]
    assert {*actual["copies"]} == {"twice = amount", "cents = amount", "renamed = kind"}
    assert "row" in actual["identifiers"]
    assert "amount" not in actual["identifiers"]
    drift = actual["drift between training and measured rows"]
    assert (
        {"moving", "row"} <= {text.split()[0] for text in drift} <= {"moving", "row", "closed_on"}
    )
    assert "Suspected leak" in audit.document().sentences()[0]
    assert audit.to_frame()["name"].to_list() == [
        one["name"] for one in audit.to_dict()["features"]
    ]


def test_a_clean_table_has_no_leaks():
    audit = audit_table(task(**TIMED), KFOLD, table_of(frame(400)))
    assert audit.leaks == []
    assert max(one.auc for one in audit.audit.features) < 0.9


def test_the_audit_counts_repeated_rows_and_shared_clusters():
    rows = frame(80).drop("text", "amount")
    twice = pl.concat([rows, rows.with_columns(is_fraud=1 - pl.col("is_fraud"))])
    twice = twice.with_columns(fold=pl.int_range(160) // 80)
    one = task(time="booked", cluster="customer", drop=["part", "shop"])
    audit = audit_table(one, Given(protocol="given", fold="fold", inner_pct=30), table_of(twice))
    across = audit.across()
    assert across["repeated rows"] >= 40
    assert across["of other label"] >= 35
    assert 15 < across["clusters"] <= rows["customer"].n_unique()
    apart = audit_table(one, KFOLD, table_of(frame().drop("text")))
    assert apart.across() == {"repeated rows": 0, "of other label": 0, "clusters": 0}


def test_the_audit_does_not_look_at_a_sealed_part():
    rows, rule = frame(), RowsHoldout(protocol="holdout", test_pct=30)
    test = table_examples(task(**TIMED), rule, table_of(rows)).members("test")
    late = np.isin(np.arange(160), test)  # rows are in order of time
    other = changed(rows, late, 0).with_columns(
        is_fraud=pl.when(pl.Series(late)).then(1 - pl.col("is_fraud")).otherwise(pl.col("is_fraud"))
    )
    one, two = (
        audit_table(task(**TIMED), rule, table_of(some)).to_dict() for some in (rows, other)
    )
    for before, after in zip(one["features"], two["features"], strict=True):
        assert (before["auc"], before["drift"]) == (after["auc"], after["drift"])
    assert one["across_parts"] == two["across_parts"]


def test_frames_of_other_libraries_are_tables():
    rows = frame().to_pandas()
    rows["kind"] = rows["kind"].astype("category")
    assert isinstance(rows, pd.DataFrame)
    examples = table_examples(task(), KFOLD, table_of(rows))
    assert {"kind_a", "kind_b", "kind_c"} <= {*examples.features}


def test_the_demo_is_a_campaign_on_the_bundled_table(capsys):
    from trueness.campaign import load_campaign
    from trueness.cli import main

    demo = load_campaign("table-demo")
    assert demo.kind == "table"
    assert demo.data.digest == table_of(bundled()).digest
    assert {entry.spec.task.label for entry in demo.entries} == {"admitted_next_year"}
    for name, status in (("table-demo", 0), ("demo", 2)):
        with pytest.raises(SystemExit) as end:
            main(["features", "audit", name, "--json"])
        assert end.value.code == status
    assert '"table_audit"' in capsys.readouterr().out


def test_numbers_far_from_zero_keep_what_tells_them_apart():
    y = np.tile([0, 0, 0, 1], 50)
    far = table_of({"z": 1_700_000_000 + y, "huge": y * 1e39, "y": y})
    one = TableTask(kind="table", rows=far.digest, label="y")
    examples = table_examples(one, KFold(protocol="kfold", n_folds=2), far)
    for fold in range(2):
        rows_ = examples.x[examples.starts(fold)][:, 0]
        for name in ("z", "huge"):
            column = rows_[:, examples.features.index(name)]
            assert np.ptp(column) > 0
            assert len(np.unique(column[y == 1])) == len(np.unique(column[y == 0])) == 1
