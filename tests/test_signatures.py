"""Signatures of texts: similarity against the exact one, neighbours against all pairs, files."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueness.errors import DataError
from trueness.text.duplicates import jaccard, normalised
from trueness.text.signatures import VALUES, TextSignatures, similarity

WORDS = [f"w{i:03}rd" for i in range(60)]


def of(texts, ids=None):
    return TextSignatures.of(pl.Series(ids or [str(i) for i in range(len(texts))]),
                             pl.Series(texts, dtype=pl.String))  # fmt: skip


def drawn(n, seed=0, length=12):
    """Texts of which some are like others."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, length)) for _ in range(n)]
    for i in range(0, n, 3):
        words = texts[rng.integers(n)].split()
        for _ in range(int(rng.integers(0, 6))):
            words[rng.integers(len(words))] = str(rng.choice(WORDS))
        texts[i] = " ".join(words)
    return texts


def test_estimates_are_those_of_the_exact_similarity():
    texts = drawn(400)
    made, plain = of(texts), normalised(texts).to_list()
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 400, (2, 4000))
    exact = np.array([jaccard(plain[a], plain[b]) for a, b in zip(one, other, strict=True)])
    error = similarity(made.sketch[one], made.sketch[other]) - exact
    assert abs(error[exact < 1].mean()) < 0.01
    assert error.std() < 1.2 * 0.5 / VALUES**0.5
    assert (error[exact == 1] == 0).all()


@pytest.mark.parametrize("at_least", [0.65, 0.8])
def test_neighbours_are_those_of_all_pairs(at_least):
    ours, theirs = of(drawn(300, 0)), of(drawn(200, 0)[::-1])
    row, best = ours.nearest(theirs, at_least)
    every = np.array([similarity(ours.sketch, one[None]) for one in theirs.sketch])
    near = every.max(axis=1) >= at_least
    assert near.sum() > 20
    assert (near == (row >= 0)).mean() > 0.98
    actual = row >= 0
    np.testing.assert_array_equal(best[actual], every[actual, row[actual]])
    assert (best[actual] == every.max(axis=1)[actual]).mean() > 0.98
    assert (best[~actual] == 0).all()


@given(st.lists(st.text(max_size=20), min_size=1, max_size=8))
def test_case_and_punctuation_do_not_matter(texts):
    texts = [one.replace("\n", " ") for one in texts if one.isprintable()]
    loud = [f"  {one.upper()}!" for one in texts]
    plain = normalised(texts).to_list() == normalised(loud).to_list()
    if plain:
        np.testing.assert_array_equal(of(texts).words, of(loud).words)


def test_files_hold_what_was_written_and_no_words():
    made = of(["Red shoe, new", "garden hose", ""], ["a", "b", "c"])
    content = made.to_bytes()
    read = TextSignatures.from_bytes(content)
    for name in ("ids", "words", "sketch", "part"):
        np.testing.assert_array_equal(getattr(made, name), getattr(read, name))
    assert b"shoe" not in content.lower()
    assert len(content) < 1000
    with pytest.raises(DataError) as error:
        TextSignatures.from_bytes(content[:50])
    assert error.value.code == "damaged"
