"""Near-duplicates against every pair compared in plain Python; clusterings against networks."""

import random
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueness.errors import DataError
from trueness.text import duplicates
from trueness.text.duplicates import DuplicateFinder, first_appearance, join, normalised


def pieces(text):
    """Set of five characters in a row; a shorter text is one piece."""
    return {text[i : i + 5] for i in range(len(text) - 4)} or ({text} if text else set())


def similarity(a, b):
    one, other = pieces(a), pieces(b)
    return len(one & other) / len(one | other) if one | other else 1.0


def components(n, edges):
    """Clusters by repeated relabelling, numbered by first appearance."""
    label = list(range(n))
    changed = True
    while changed:
        changed = False
        for a, b in edges:
            if label[a] != label[b]:
                label[a] = label[b] = min(label[a], label[b])
                changed = True
    number = {}
    return [number.setdefault(one, len(number)) for one in label]


def deduplicated(folder, texts, portion=7, **options):
    finder = DuplicateFinder(folder, **options)
    for begin in range(0, len(texts), portion):
        finder.add(texts[begin : begin + portion])
    assert len(finder) == len(texts)
    return finder, finder.clusters()


def catalogue(seed, n, near=0.3):
    """Titles of made-up words in three scripts, some of them edited copies of earlier ones."""
    rng = random.Random(seed)
    letters = ["abcdefghijklmnop", "абвгдежзийклм", "鞋靴帽子手表电脑运动红蓝白"]
    words = [["".join(rng.choices(a, k=rng.randint(2, 8))) for _ in range(200)] for a in letters]
    texts = []
    for _ in range(n):
        if texts and rng.random() < near:
            text = list(rng.choice(texts))
            for _ in range(rng.randint(0, 2)):
                text[rng.randrange(len(text))] = rng.choice("xyz鞋")
            texts.append("".join(text))
        else:
            texts.append(" ".join(rng.choices(rng.choice(words), k=rng.randint(4, 14))))
    return texts


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("seed", [0, 1])
def test_clusters_are_those_of_all_pairs(tmp_path, seed, threshold):
    texts = catalogue(seed, 200)
    plain = normalised(texts).to_list()
    pairs = [(i, j) for i in range(200) for j in range(i)]
    alike = [(i, j) for i, j in pairs if similarity(plain[i], plain[j]) >= threshold - 1e-12]
    _, clusters = deduplicated(tmp_path, texts, threshold=threshold)
    together = sum(clusters[i] == clusters[j] for i, j in alike)
    assert together >= 0.99 * len(alike) > 10  # 0.995 right at the threshold, more above it
    reachable = components(200, alike)  # and nothing is joined that no chain of pairs joins
    assert all(reachable[i] == reachable[j] for i, j in pairs if clusters[i] == clusters[j])


def test_promised_share_of_pairs_at_the_threshold_is_found(tmp_path):
    """Pairs of equal length that share 16 of 20 pieces, so the similarity is exactly 0.8."""
    rng, texts = random.Random(5), []
    for _ in range(3000):
        shared = "".join(chr(rng.randrange(0x4E00, 0x9000)) for _ in range(20))
        texts += [shared + chr(rng.randrange(0x4E00, 0x9000)) * 2 for _ in range(2)]
    plain = normalised(texts).to_list()
    assert similarity(plain[0], plain[1]) == 0.8
    _, clusters = deduplicated(tmp_path, texts, portion=1000)
    share = (clusters[::2] == clusters[1::2]).mean()
    assert 0.993 < share <= 1  # 0.9983 by the formula; 3000 pairs

    (tmp_path / "higher").mkdir()
    _, apart = deduplicated(tmp_path / "higher", texts, portion=1000, threshold=0.81)
    assert (apart[::2] != apart[1::2]).all()


def flat(texts):
    """Bytes of all texts, and where each begins and the last one ends."""
    raw = [text.encode() for text in texts]
    return np.frombuffer(b"".join(raw), np.uint8), np.concatenate(
        [[0], np.cumsum([len(r) for r in raw])]
    )


@pytest.mark.parametrize("seed", range(3))
def test_texts_under_one_key_are_all_compared(seed):
    from trueness.text.minhash import link, roots

    texts = normalised(catalogue(seed, 90, near=0.7)).to_list()
    random.Random(seed).shuffle(texts)
    alike = [(i, j) for i in range(90) for j in range(i) if similarity(texts[i], texts[j]) >= 0.6]
    parent = np.arange(90)
    keys = np.repeat(np.array([3, 5], np.uint64), 45)
    checked, left_out = link(keys, np.arange(90), parent, *flat(texts), 0.6)
    expected = components(90, [(i, j) for i, j in alike if keys[i] == keys[j]])
    assert first_appearance(roots(parent)).tolist() == expected
    assert len(set(expected)) < 80
    assert left_out == 0
    assert checked <= 2 * 45 * 44 / 2


def test_portions_and_repetition_change_nothing(tmp_path):
    texts = catalogue(3, 200)
    results = [
        deduplicated(tmp_path / str(i), texts, portion=portion)[1]
        for i, portion in enumerate((1, 13, 200, 200))
    ]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_copies_that_differ_in_spelling_only_are_one_cluster(tmp_path):
    texts = [
        "Schuh STRASSE 38",
        "schuh, straße - 38!",
        "ＳＣＨＵＨ  Strasse\n38",
        "Schuh Straße 39",
    ]
    assert deduplicated(tmp_path, texts)[1].tolist()[:3] == [0, 0, 0]
    assert deduplicated(tmp_path / "1", ["a 38", "a 39", "", " ", "!!", "??"])[1].tolist() == [
        0,
        1,
        2,
        2,
        3,
        4,
    ]


def test_many_copies_cost_no_comparisons(tmp_path):
    texts = ["The very same title of a product"] * 5000 + ["Something else entirely, blue"]
    finder, clusters = deduplicated(tmp_path, texts, portion=5001)
    assert clusters.tolist() == [0] * 5000 + [1]
    assert finder.pairs_checked == 4999


def test_a_large_group_without_likeness_is_bounded_and_says_so(tmp_path, monkeypatch):
    from trueness.text import minhash

    start = "This package contains the documentation and headers of the library called "
    rng = random.Random(2)
    texts = [start + "".join(rng.choices("qwrtzpsdfghjkl", k=40)) for _ in range(400)]
    finder, _ = deduplicated(tmp_path, texts, portion=400)
    assert finder.pairs_checked <= (finder.n_bands + 1) * 400 * minhash.LOOK_BACK
    few, _ = deduplicated(tmp_path / "few", texts[:100], portion=400)
    assert few.pairs_left_out == 0


@given(st.lists(st.text(max_size=30), max_size=12))
def test_any_text_is_normalised_by_itself(texts):
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    plain = normalised(texts).to_list()
    assert plain == [one for text in texts for one in normalised([text]).to_list()]
    for text, one in zip(texts, plain, strict=True):
        kept = {c for c in one if c.isalnum()}
        assert kept <= set(unicodedata.normalize("NFKC", text).casefold())
        assert one == one.strip()
        assert "  " not in one


def test_digits_are_kept():
    assert normalised(["iPhone 12/64-GB"]).to_list() == ["iphone 12 64 gb"]


def test_bad_input_is_refused(tmp_path):
    for threshold in (0, -1, 1.1, float("nan"), 0.049):
        with pytest.raises(DataError, match="threshold"):
            DuplicateFinder(tmp_path / "new", threshold=threshold)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="holds files already"):
        DuplicateFinder(tmp_path)
    with pytest.raises(DataError, match="can be written"):
        DuplicateFinder(tmp_path / "file" / "below")
    with pytest.raises(DataError, match="missing"):
        DuplicateFinder(tmp_path / "other").add(["a", None])


def test_nothing_has_no_clusters(tmp_path):
    assert deduplicated(tmp_path / "a", [])[1].tolist() == []
    assert deduplicated(tmp_path / "b", ["", ""])[1].tolist() == [0, 0]


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_keep_the_promise(threshold):
    rows = duplicates.rows_per_band(threshold)
    bands = duplicates.PERMUTATIONS // rows
    assert 1 - (1 - threshold**rows) ** bands >= duplicates.RECALL


# ------------------------------------------------------------------------------------ clusterings

LABELS = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-3, 5), min_size=n, max_size=n)] * 2)
)


@given(LABELS)
def test_join_is_the_graph_of_both(labels):
    a, b = labels
    n = len(a)
    edges = [(i, j) for i in range(n) for j in range(i) if a[i] == a[j] or b[i] == b[j]]
    assert join(a, b).tolist() == components(n, edges)
    assert join(b, a).tolist() == join(a, b).tolist()
    assert join(a, range(n)).tolist() == first_appearance(a).tolist()


def test_joining_of_different_lengths_is_refused():
    with pytest.raises(DataError, match="same rows"):
        join([1, 2], [1])
    assert join([], []).tolist() == []


def test_signatures_estimate_the_similarity():
    """The share of equal minima is the Jaccard similarity, here of random sets of pieces."""
    from trueness.text.minhash import band_keys

    rng = np.random.default_rng(4)
    bits = rng.integers(0, 2**64, (2, 4000), np.uint64)
    texts = normalised(catalogue(9, 40, near=0.8)).to_list()
    keys = band_keys(*flat(texts), bits[0] | np.uint64(1), bits[1], 1)[1:]
    errors = [
        (keys[:, i] == keys[:, j]).mean() - similarity(texts[i], texts[j])
        for i in range(40)
        for j in range(i)
    ]
    assert np.abs(errors).max() < 5 * 0.5 / np.sqrt(4000)
    assert np.abs(np.mean(errors)) < 0.002
