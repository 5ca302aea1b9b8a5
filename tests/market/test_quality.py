"""The audit finds what is planted, and nothing where nothing is."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from sklearn.metrics import mutual_info_score, roc_auc_score

from trueness.errors import DataError
from trueness.market import quality
from trueness.market.indicators import CATALOGUE, Table
from trueness.market.indicators.frame import Row


@pytest.fixture
def planted(monkeypatch):
    """Rows that look ahead, repeat, stand still and go missing, under made-up names."""
    rng = np.random.default_rng(0)

    def gappy(frame):
        values = frame.close.copy()
        values[1000:1030] = np.nan
        return values

    rows = {
        "ahead": lambda f: np.roll(f.close, -5),
        "ahead_when_normalised": lambda f: f.close / f.close.mean(),
        "honest": lambda f: f.close * 2 + 1,
        "copy": lambda f: f.close + 0.0,
        "twin": lambda f: f.close,
        "still": lambda f: np.full_like(f.close, 6.0),
        "gappy": gappy,
        "noise": lambda f: rng.permutation(len(f.close)) * 1.0,
    }
    catalogue = {
        name: Row(600 + i, name, "a20", name, compute, 0)
        for i, (name, compute) in enumerate(rows.items())
    }
    monkeypatch.setattr("trueness.market.indicators.CATALOGUE", {**CATALOGUE, **catalogue})
    monkeypatch.setattr(
        "trueness.market.indicators.tier_rows", lambda tier: list(catalogue.values())
    )
    return list(rows)


def test_look_ahead_is_found_with_its_depth(sp500, planted):
    actual = quality.audit(sp500, "planted")
    rows = {c.name: c.look_ahead_rows for c in actual.columns}
    assert rows["ahead"] == 5
    assert rows["ahead_when_normalised"] == max(actual.truncations)
    assert {c.name for c in actual.looking_ahead} == {"ahead", "ahead_when_normalised", "noise"}
    assert rows["honest"] == rows["gappy"] == 0
    assert len(actual.truncations) >= 10


def test_copies_maps_constants_and_gaps(sp500, planted):
    columns = {c.name: c for c in quality.audit(sp500, "planted").columns}
    assert columns["honest"].affine_of == "ahead_when_normalised"
    assert columns["copy"].affine_of == "ahead_when_normalised"
    assert columns["twin"].copy_of == "copy"
    assert columns["still"].constant
    assert (columns["gappy"].missing, columns["gappy"].longest_gap) == (30, 30)
    assert columns["noise"].copy_of is columns["noise"].affine_of is None


def test_structure_names_the_earliest_of_several_copies():
    rng = np.random.default_rng(1)
    a = rng.standard_normal(500)
    values = np.column_stack([a, a, 3 - 2 * a, rng.standard_normal(500), np.ones(500)])
    columns = quality.structure(Table(values, ("a", "b", "c", "d", "e"), ()))
    assert [c.copy_of for c in columns] == [None, "a", None, None, None]
    assert [c.affine_of for c in columns] == [None, None, "a", None, None]
    assert [c.constant for c in columns] == [False] * 4 + [True]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_values_equal_scipy(p):
    p = np.array(p)
    np.testing.assert_allclose(quality.q_values(p), false_discovery_control(p), atol=1e-12)


def test_label_relation_equals_scikit_learn():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((800, 3)), (rng.random(800) < 0.3).astype(np.uint8)
    x[:, 1] += y
    actual = quality.relation_to_label(x, y, block=10, draws=50)
    for i in range(3):
        assert actual["auc"][i] == pytest.approx(roc_auc_score(y, x[:, i]), abs=1e-5)
        edges = np.quantile(x[:, i], np.linspace(0, 1, 11)[1:-1])
        bins = np.searchsorted(edges, x[:, i], side="left")
        assert actual["mi"][i] == pytest.approx(mutual_info_score(bins, y), abs=5e-3)


def test_the_null_keeps_its_level_on_clustered_days_and_finds_a_signal():
    """Independent but slowly moving columns and labels: 5 % tests reject about 5 %, not most."""
    rng = np.random.default_rng(3)
    rejected = []
    for _ in range(40):
        regime = np.repeat(rng.random(40) < 0.3, 50)
        y = (rng.random(2000) < np.where(regime, 0.6, 0.15)).astype(np.uint8)
        walks = np.repeat(rng.standard_normal((40, 5)), 50, axis=0) + 0.1 * rng.standard_normal(
            (2000, 5)
        )
        rejected += list(quality.relation_to_label(walks, y, block=100, draws=99)["auc_p"] <= 0.05)
    # blocks of random offset cut some clusters: the level is near, and never far above, the nominal one
    assert np.mean(rejected) < 0.12
    x = walks.copy()
    x[:, 0] += 2 * y
    actual = quality.relation_to_label(x, y, block=100, draws=199)
    assert actual["auc_q"][0] <= 0.05
    assert actual["mi_q"][0] <= 0.05


def test_permuted_labels_are_the_same_labels():
    y = (np.random.default_rng(0).random(333) < 0.2).astype(np.uint8)
    permuted = quality._permuted(y, 20, 30, seed=1)
    assert (permuted.sum(axis=0) == y.sum()).all()
    assert len({column.tobytes() for column in permuted.T}) == 30


def test_drift_and_label_use_the_stated_rows_only(sp500):
    y = np.random.default_rng(0).integers(0, 2, len(sp500)).astype(np.uint8)
    train, validation = np.arange(300, 2000), np.arange(2100, 2500)
    one = quality.audit(sp500, "a20", parts=(train, validation), y=y, n_truncations=1)
    other = y.copy()
    other[2000:] = 1 - other[2000:]
    two = quality.audit(sp500, "a20", parts=(train, validation), y=other, n_truncations=1)
    assert [c.auc for c in one.columns] == [c.auc for c in two.columns]
    assert all(0 <= c.drift <= 1 for c in one.columns)
    assert all(not math.isnan(c.mi_q) for c in one.columns)


def test_too_few_rows_to_truncate(sp500):
    with pytest.raises(DataError, match="too few to truncate at 12 points"):
        quality.truncation_points(20, 15)
    bars = sp500.head(20)
    with pytest.raises(DataError, match="too few"):
        quality.audit(dataclasses.replace(bars), "a20")
