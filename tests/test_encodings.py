"""Vectors of frozen encoders: encoded once, kept by content, whole or not at all."""

from multiprocessing import get_context

import numpy as np
import polars as pl
import pytest

from trueness.errors import DataError
from trueness.text.encodings import PORTION, encoded, kept_vectors

TEXTS = ["red shoe", "", "blue", "grün", "犬用"]


def encode(texts):
    return np.array([[len(t), t.count("e"), 1] for t in texts], np.float32)


def never(texts):
    raise AssertionError("encoded again")


def test_vectors_are_mapped_and_encoded_once(tmp_path):
    first = kept_vectors("a", TEXTS, encode, 3, tmp_path)
    assert isinstance(first, np.memmap)
    np.testing.assert_array_equal(first, encode(TEXTS))
    np.testing.assert_array_equal(kept_vectors("a", pl.Series(TEXTS), never, 3, tmp_path), first)
    np.testing.assert_array_equal(encoded(encode, pl.Series(TEXTS), 3), first)


def test_other_texts_or_encoders_are_kept_apart(tmp_path):
    for name, texts in (
        ("a", TEXTS),
        ("b", TEXTS),
        ("a", TEXTS[::-1]),
        ("a", ["ab", "c"]),
        ("a", ["a", "bc"]),
    ):
        np.testing.assert_array_equal(kept_vectors(name, texts, encode, 3, tmp_path), encode(texts))
    assert len(list(tmp_path.glob("[!.]*"))) == 5


def test_many_texts_come_in_portions(tmp_path):
    sizes = []

    def counting(texts):
        sizes.append(len(texts))
        return encode(texts)

    texts = [str(i) for i in range(PORTION + 7)]
    actual = kept_vectors("a", texts, counting, 3, tmp_path)
    assert sizes == [PORTION, 7]
    np.testing.assert_array_equal(actual, encode(texts))


def test_no_texts_have_no_vectors(tmp_path):
    empty = pl.Series([], dtype=pl.String)
    assert kept_vectors("a", empty, encode, 3, tmp_path).shape == (0, 3)
    assert encoded(encode, empty, 3).shape == (0, 3)


@pytest.mark.parametrize("name", ["vectors.npy", "checksums.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_a_damaged_file_is_made_again(tmp_path, name, damage):
    kept_vectors("a", TEXTS, encode, 3, tmp_path)
    (folder,) = tmp_path.glob("[!.]*")
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    changed = {"flip": bytes(content), "cut": bytes(content[:-3]), "empty": b""}
    if damage == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(changed[damage])
    np.testing.assert_array_equal(kept_vectors("a", TEXTS, encode, 3, tmp_path), encode(TEXTS))
    np.testing.assert_array_equal(kept_vectors("a", TEXTS, never, 3, tmp_path), encode(TEXTS))
    assert [one.name for one in tmp_path.glob("[!.]*")] == [folder.name]


@pytest.mark.parametrize(
    "gives",
    [lambda t: encode(t)[:-1], lambda t: encode(t)[:, :2], lambda t: encode(t)[:, 0],
     lambda t: encode(t) / np.float32(0)],
    ids=["rows", "width", "flat", "infinite"],
)  # fmt: skip
def test_what_is_no_vector_per_text_is_refused_and_not_kept(tmp_path, gives):
    with np.errstate(all="ignore"):
        for make in (
            lambda: kept_vectors("a", TEXTS, gives, 3, tmp_path),
            lambda: encoded(gives, pl.Series(TEXTS), 3),
        ):
            with pytest.raises(DataError) as caught:
                make()
            assert caught.value.code == "vectors"
    assert not list(tmp_path.glob("[!.]*"))


def test_an_interrupted_encoding_leaves_nothing(tmp_path):
    def stops(texts):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept_vectors("a", TEXTS, stops, 3, tmp_path)
    assert not list(tmp_path.glob("[!.]*"))
    np.testing.assert_array_equal(kept_vectors("a", TEXTS, encode, 3, tmp_path), encode(TEXTS))


def test_a_cache_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError) as caught:
        kept_vectors("a", TEXTS, encode, 3, tmp_path / "file")
    assert caught.value.code == "cache"


def _counted(texts):
    with open(texts[0], "a") as log:
        log.write("x")
    return encode(texts)


def _keep(folder, log):
    actual = kept_vectors("a", [str(log), *TEXTS], _counted, 3, folder)
    np.testing.assert_array_equal(actual, encode([str(log), *TEXTS]))


@pytest.mark.processes
def test_two_processes_encode_once(tmp_path):
    log = tmp_path / "log"
    some = [
        get_context("spawn").Process(target=_keep, args=(tmp_path / "cache", log)) for _ in range(2)
    ]
    for one in some:
        one.start()
    for one in some:
        one.join()
        assert one.exitcode == 0
    assert log.read_text() == "x"
