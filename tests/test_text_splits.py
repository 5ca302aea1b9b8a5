"""Splits: no cluster in two parts, shares kept per cell, the same whatever the order of rows."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueness.errors import DataError
from trueness.text.splits import PARTS, grouped_split


def corpus(seed, n_clusters, label_names=8, languages=6, noise=0.1):
    """Columns of an English-heavy corpus: a label per cluster (mostly), several rows and languages."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(
        rng.permutation(10 * n_clusters)[:n_clusters], rng.geometric(0.5, n_clusters)
    )
    weights = 1 / np.arange(1, label_names + 1)
    own = rng.choice(label_names, 10 * n_clusters, p=weights / weights.sum())
    label = np.where(
        rng.random(len(cluster)) < noise, rng.integers(0, label_names, len(cluster)), own[cluster]
    )
    share = np.r_[0.88, np.full(languages - 1, 0.12 / (languages - 1))]
    language = np.array([f"l{i}" for i in range(languages)])[
        rng.choice(languages, len(cluster), p=share)
    ]
    return cluster, label, language


def random_split(cluster, seed=0):
    """Independent oracle: clusters into parts by lot alone, by cumulative rows."""
    names, inverse, rows = np.unique(cluster, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    share = np.cumsum(rows[order]) / len(cluster)
    part = np.empty(len(names), int)
    part[order] = np.where(share <= 0.10, 2, np.where(share <= 0.15, 1, 0))
    return part[inverse]


def distance(part, label, language):
    """Mean over cells of the distance between the shares of the parts and those wanted."""
    frame = pl.DataFrame({"label": label, "language": language, "part": part})
    cells = frame.group_by("label", "language").agg(
        pl.len(), *((pl.col("part") == p).mean().alias(name) for p, name in enumerate(PARTS))
    )
    wanted = {"train": 0.85, "validation": 0.05, "test": 0.10}
    gaps = sum((cells[name] - share).abs() for name, share in wanted.items())
    return float(gaps.mean())


@pytest.mark.parametrize("seed", range(4))
def test_no_cluster_in_two_parts_and_sizes_as_wanted(seed):
    cluster, label, language = corpus(seed, 4000)
    part = grouped_split(cluster, label, language, seed=seed)
    assert part.dtype == np.int8
    assert pl.DataFrame({"c": cluster, "p": part}).unique()["c"].is_unique().all()
    sizes = np.bincount(part, minlength=3) / len(part)
    np.testing.assert_allclose(sizes, [0.85, 0.05, 0.10], atol=0.004)


@pytest.mark.parametrize("seed", range(3))
def test_cells_are_served_better_than_by_lot(seed):
    cluster, label, language = corpus(seed, 4000)
    ours = distance(grouped_split(cluster, label, language, seed=seed), label, language)
    lots = [distance(random_split(cluster, s), label, language) for s in range(20)]
    assert ours < min(0.6 * np.mean(lots), min(lots))


def test_large_cells_get_their_share_to_the_row():
    cluster = np.arange(20_000)
    language = np.where(cluster % 10 == 0, "da", "en")
    part = grouped_split(cluster, np.zeros(20_000), language)
    for code, n in (("da", 2000), ("en", 18_000)):
        sizes = np.bincount(part[language == code])
        np.testing.assert_allclose(sizes, [0.85 * n, 0.05 * n, 0.10 * n], atol=1)


def test_every_cell_of_three_clusters_of_its_own_is_in_every_part():
    """Clusters of one cell each, many cells of three clusters only, rows of very unequal number."""
    rng = np.random.default_rng(7)
    rows = rng.integers(1, 30, 600)
    cluster = np.repeat(np.arange(600), rows)
    cell = np.repeat(np.arange(600) // 3, rows)
    part = grouped_split(cluster, cell % 20, cell // 20)
    for one in range(200):
        assert set(part[cell == one].tolist()) == {0, 1, 2}


def test_small_cells_are_in_every_part_where_clusters_share_cells():
    cluster, label, language = corpus(5, 6000)
    part = grouped_split(cluster, label, language)
    frame = pl.DataFrame({"c": cluster, "label": label, "language": language, "p": part})
    cells = frame.group_by("label", "language").agg(
        pl.col("c").n_unique().alias("clusters"), pl.col("p").n_unique().alias("parts")
    )
    assert cells.filter(pl.col("clusters") >= 10)["parts"].min() == 3
    assert (cells.filter(pl.col("clusters") >= 3)["parts"] == 3).mean() > 0.95


COLUMNS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-(10**12), 10**12) | st.integers(0, 8), min_size=n, max_size=n),
        st.lists(st.sampled_from("abc"), min_size=n, max_size=n),
        st.lists(st.sampled_from(["en", "da"]), min_size=n, max_size=n),
    )
)


@given(COLUMNS, st.randoms(use_true_random=False), st.integers(0, 5))
def test_order_of_rows_changes_nothing_and_every_label_is_taught(columns, random, seed):
    cluster, label, language = columns
    part = grouped_split(cluster, label, language, validation=0.2, test=0.3, seed=seed)
    order = list(range(len(cluster)))
    random.shuffle(order)
    shuffled = grouped_split(
        *([column[i] for i in order] for column in columns), validation=0.2, test=0.3, seed=seed
    )
    assert shuffled.tolist() == part[order].tolist()
    parts_of = {}
    for one, its in zip(cluster, part.tolist(), strict=True):
        assert parts_of.setdefault(one, its) == its
    assert {one for one, p in zip(label, part, strict=True) if p == 0} == set(label)


def test_seeds_differ_and_repeat():
    cluster, label, language = corpus(1, 500)
    first, again, other = (grouped_split(cluster, label, language, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_categories_are_their_names_not_their_order():
    cluster, label, language = corpus(2, 300)
    names = pl.Series([f"class {i}" for i in label])
    expected = grouped_split(cluster, names, language)
    assert (grouped_split(cluster, names.cast(pl.Categorical), language) == expected).all()
    backwards = pl.Enum(names.unique().sort(descending=True))
    assert (grouped_split(cluster, names.cast(backwards), language) == expected).all()


def test_a_fraction_of_zero_leaves_its_part_empty():
    cluster, label, language = corpus(3, 300)
    assert set(grouped_split(cluster, label, language, validation=0).tolist()) == {0, 2}
    assert set(grouped_split(cluster, label, language, validation=0, test=0).tolist()) == {0}
    assert grouped_split([], [], []).tolist() == []


def test_a_cluster_larger_than_a_part_stays_in_train():
    cluster = np.repeat(np.arange(101), np.r_[400, np.full(100, 4)])
    part = grouped_split(cluster, np.zeros(800), np.zeros(800))
    assert part[0] == 0
    np.testing.assert_allclose(np.bincount(part), [680, 40, 80], atol=4)


@pytest.mark.parametrize(
    ("columns", "fractions", "message"),
    [
        (([1, 2], ["a"], ["en", "en"]), {}, "one of each per row"),
        (([1.5], ["a"], ["en"]), {}, "whole number"),
        ((["x"], ["a"], ["en"]), {}, "whole number"),
        (([1], [None], ["en"]), {}, "label 1 is missing"),
        (([1, 2], ["a", "a"], ["en", None]), {}, "language 2 is missing"),
        (([1], ["a"], ["en"]), {"test": 1.0}, "fractions"),
        (([1], ["a"], ["en"]), {"test": 0.5, "validation": 0.5}, "fractions"),
        (([1], ["a"], ["en"]), {"validation": -0.1}, "fractions"),
        (([1], ["a"], ["en"]), {"validation": float("nan")}, "fractions"),
    ],
)
def test_bad_input_is_refused(columns, fractions, message):
    with pytest.raises(DataError, match=message):
        grouped_split(*columns, **fractions)
