"""Tokenizers that repeat, tokens against encoding one by one, the cache and its damages."""

import subprocess
import sys
import unicodedata

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueness.errors import DataError, TruenessError
from trueness.files import read_json
from trueness.text.tokens import (
    MOST_REPEATS,
    Tokens,
    encode,
    load_tokenizer,
    pad_token,
    tempered_rows,
    tokenizer_digest,
    train_tokenizer,
)
from trueness.text.words import goes_by_words

TEXTS = [
    "Red running shoes for women", "Red hat for women", "Garden hose, 20 m", "Running shorts",
    "Rote Laufschuhe für Damen", "Gartenschlauch 20 m", "赤いランニングシューズ", "赤い帽子",
] * 5  # fmt: skip
LANGUAGES = (["en"] * 4 + ["de"] * 2 + ["ja"] * 2) * 5


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, LANGUAGES, vocabulary=400)


def characters(texts):
    return [text.encode("utf-8", "ignore").decode() for text in texts]


# ------------------------------------------------------------------------------------- tokenizers


def test_pad_is_token_zero_and_the_bytes_follow(tokenizer):
    vocabulary = tokenizer.get_vocab()
    assert vocabulary["<pad>"] == 0
    assert pad_token(tokenizer) == (0, "<pad>")
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    assert 257 < len(vocabulary) <= 400


def test_pairs_are_merged_by_their_number():
    """The first merges are the most frequent pairs of bytes, counted by hand."""
    actual = train_tokenizer(["ababab ab", "cd"], ["en", "en"], vocabulary=258, min_frequency=1)
    assert max(actual.get_vocab().items(), key=lambda one: one[1]) == ("ab", 257)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_any_text_comes_back(tokenizer, texts):
    texts = characters(texts)
    tokens = encode(texts, tokenizer, max_tokens=10_000)
    for i, text in enumerate(texts):
        row = tokens.ids[tokens.offsets[i] : tokens.offsets[i + 1]].tolist()
        assert tokenizer.decode(row, skip_special_tokens=True) == unicodedata.normalize("NFC", text)


SAME = """
from tests.test_text_tokens import TEXTS, LANGUAGES
from trueness.text.tokens import tokenizer_digest, train_tokenizer
print(tokenizer_digest(train_tokenizer(TEXTS, LANGUAGES, vocabulary=400, alpha=0.5)))
"""


def test_training_repeats_here_and_in_another_process():
    digests = {
        tokenizer_digest(train_tokenizer(TEXTS, LANGUAGES, vocabulary=400, alpha=0.5))
        for _ in range(3)
    }
    for parallelism in ("true", "false"):
        ran = subprocess.run(
            [sys.executable, "-c", SAME], capture_output=True, text=True, check=True,
            env={"TOKENIZERS_PARALLELISM": parallelism, "PYTHONHASHSEED": "7", "PYTHONPATH": "."},
        )  # fmt: skip
        digests.add(ran.stdout.strip())
    assert len(digests) == 1
    other = train_tokenizer(TEXTS, LANGUAGES, vocabulary=400, alpha=0.5, seed=7)
    assert tokenizer_digest(other) not in digests


def test_the_digest_knows_words_but_not_cut_and_padding(tokenizer, tmp_path):
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    one = load_tokenizer(tmp_path / "tokenizer.json")
    digest = tokenizer_digest(one)
    assert digest == tokenizer_digest(tokenizer) == tokenizer_digest(load_tokenizer(tmp_path))
    one.enable_truncation(7)
    one.enable_padding(length=9)
    assert tokenizer_digest(one) == digest
    assert tokenizer_digest(train_tokenizer(TEXTS, LANGUAGES, vocabulary=300)) != digest
    one.add_tokens(["Laufschuhe"])
    assert tokenizer_digest(one) != digest


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"model": {"type": "BPE"}}', b'{"model": 3}']
)
def test_a_broken_tokenizer_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a tokenizer") as refused:
        load_tokenizer(tmp_path / "tokenizer.json")
    assert "\n" not in str(refused.value)


def test_a_cut_off_tokenizer_is_refused_and_a_missing_one(tokenizer, tmp_path):
    (tmp_path / "half.json").write_text(tokenizer.to_str()[:2000])
    with pytest.raises(DataError, match=r"half\.json"):
        load_tokenizer(tmp_path / "half.json")
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(DataError, match="No such file"):
            load_tokenizer(path)


def _word_level(*words):
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[-1])
    )
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


def test_pad_token_of_other_tokenizers():
    assert pad_token(_word_level("a", "</s>", "[PAD]", "?")) == (2, "[PAD]")
    assert pad_token(_word_level("a", "<|endoftext|>", "?")) == (1, "<|endoftext|>")
    assert pad_token(_word_level("a", "?"))[0] == 0
    assert "neither" in pad_token(_word_level("a", "?"))[1]
    note = _word_level("a", "[PAD]", "?")
    note.enable_padding(pad_id=2, pad_token="?")
    assert pad_token(note) == (2, "?")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": [], "languages": []}, "at least one"),
        ({"languages": ["en"]}, "each with its language"),
        ({"vocabulary": 256}, "vocabulary"),
        ({"vocabulary": 300.5}, "vocabulary"),
        ({"min_frequency": 0}, "min_frequency"),
        ({"alpha": 1.2}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"texts": ["a", None], "languages": ["en", "en"]}, "missing"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(TruenessError, match=message):
        train_tokenizer(**{"texts": ["a", "b"], "languages": ["en", "en"], **arguments})


# --------------------------------------------------------------------------------------- sampling

ROWS = st.lists(st.sampled_from(["en", "de", "ja"]), min_size=1, max_size=80)


@given(ROWS, st.floats(0, 1), st.integers(0, 3))
def test_languages_are_read_by_the_formula(languages, alpha, seed):
    rows = tempered_rows(languages, alpha, seed)
    names = sorted(set(languages))
    counts = np.array([languages.count(name) for name in names])
    wanted = len(languages) * counts**alpha / (counts**alpha).sum()
    read = np.array([sum(languages[row] == name for row in rows) for name in names])
    np.testing.assert_allclose(read, np.minimum(wanted, MOST_REPEATS * counts), atol=1)
    times = np.bincount(rows, minlength=len(languages))
    for name in names:  # no row stands more than once more than another
        mine = times[[one == name for one in languages]]
        assert mine.max() - mine.min() <= 1
    assert (np.diff(rows) >= 0).all()
    np.testing.assert_array_equal(rows, tempered_rows(languages, alpha, seed))


def test_all_rows_are_read_once_at_one():
    assert tempered_rows(LANGUAGES, 1.0).tolist() == list(range(len(LANGUAGES)))


def test_a_handful_of_texts_is_not_read_without_end():
    rows = tempered_rows(["en"] * 999 + ["da"], 0.0)
    assert (rows == 999).sum() == MOST_REPEATS
    assert np.unique(rows).size < 600


def test_sampling_gives_small_languages_longer_tokens():
    texts = [f"item {i} of the catalogue" for i in range(2000)]
    small = ["rødgrød med fløde og jordbær", "smørrebrød på rugbrød med æg"] * 6
    languages = ["en"] * len(texts) + ["da"] * len(small)
    tokens = {}
    for alpha in (1.0, 0.3):
        actual = train_tokenizer(
            texts + small, languages, vocabulary=420, alpha=alpha, min_frequency=2
        )
        tokens[alpha] = encode(small, actual).lengths.sum()
    assert tokens[0.3] < tokens[1.0]


# ----------------------------------------------------------------------------------------- tokens


def one_by_one(tokenizer, texts, max_tokens):
    return [tokenizer.encode(text).ids[:max_tokens] or [0] for text in texts]


@pytest.mark.parametrize("max_tokens", [1, 3, 256])
@pytest.mark.parametrize("cached", [False, True])
def test_tokens_are_those_of_each_text_alone(tokenizer, tmp_path, monkeypatch, max_tokens, cached):
    monkeypatch.setattr("trueness.text.columns._PORTION", 100)
    texts = [*TEXTS, "", "x" * 700, " "] * 20
    tokens = encode(texts, tokenizer, max_tokens=max_tokens, cache=tmp_path if cached else None)
    assert tokens.ids.dtype == np.int32
    assert tokens.offsets.dtype == np.int64
    assert len(tokens) == len(texts)
    expected = one_by_one(tokenizer, texts, max_tokens)
    assert tokens.lengths.tolist() == [len(row) for row in expected]
    assert tokens.ids.tolist() == [number for row in expected for number in row]


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_words_give_the_ids_of_the_whole_text_for_every_character(tokenizer, every):
    """White space, controls and marks (by default), and all others, at edges of words and alone."""
    kinds = ("Zs", "Zl", "Zp", "Cc", "Cf", "Mn", "Nd")
    points = [chr(i) for i in range(0x30000) if not 0xD800 <= i < 0xE000]
    points = points if every else [c for c in points if unicodedata.category(c) in kinds]
    texts = [f"a{c} {c}e{c}\t {c} \u0301{c}  {c}  women{c} {c}women" for c in points]
    assert goes_by_words(tokenizer)
    tokens = encode(texts, tokenizer)
    direct = [one.ids for one in tokenizer.encode_batch(texts)]
    assert tokens.lengths.tolist() == [len(row) for row in direct]
    assert tokens.ids.tolist() == [number for row in direct for number in row]


PIECES = [
    "women",
    "for",
    "Running",
    " ",
    " ",
    "\n",
    "\t",
    "\u00a0",
    "\u2028",
    "'s",
    "20",
    "é",
    "\u0301",
]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), min_size=1))
def test_words_give_the_ids_of_the_whole_text_for_any_spaces(tokenizer, texts):
    tokens = encode(texts, tokenizer, max_tokens=6)
    expected = one_by_one(tokenizer, texts, 6)
    assert tokens.ids.tolist() == [number for row in expected for number in row]


def test_a_long_run_of_texts_forgets_words_and_stays_right(tokenizer, monkeypatch):
    monkeypatch.setattr("trueness.text.words._MOST_WORDS", 50)
    monkeypatch.setattr("trueness.text.columns._PORTION", 40)
    texts = [f"{a}{b} {b * a} end" for a in range(20) for b in range(20)]
    expected = one_by_one(tokenizer, texts, 256)
    assert encode(texts, tokenizer).ids.tolist() == [i for row in expected for i in row]


def test_tokenizers_of_other_rules_do_not_go_by_words(tokenizer):
    from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors

    def changed(**parts):
        copy = Tokenizer.from_str(tokenizer.to_str())
        for name, value in parts.items():
            setattr(copy, name, value)
        return copy

    byte_level = pre_tokenizers.ByteLevel
    assert goes_by_words(changed(normalizer=normalizers.NFC()))
    template = processors.TemplateProcessing(single="<pad> $A", special_tokens=[("<pad>", 0)])
    added = changed()
    added.add_tokens([AddedToken("for women")])
    others = [
        changed(normalizer=normalizers.NFKC()),
        changed(pre_tokenizer=byte_level(add_prefix_space=True)),
        changed(pre_tokenizer=byte_level(add_prefix_space=False, use_regex=False)),
        changed(post_processor=template),
        _word_level("a", "?"),
        added,
    ]
    for other in others:
        assert not goes_by_words(other)
        tokens, direct = encode(TEXTS, other), [other.encode(text).ids for text in TEXTS]
        assert tokens.ids.tolist() == [i for row in direct for i in row]


def test_the_tokenizer_is_left_as_it_was(tokenizer):
    before = tokenizer.to_str()
    encode(TEXTS, tokenizer, max_tokens=3)
    assert tokenizer.to_str() == before


def test_special_tokens_are_not_read_out_of_texts(tokenizer):
    tokens = encode(["<pad>", "a <pad> b"], tokenizer)
    assert (tokens.ids != 0).all()
    assert tokenizer.decode(tokens.ids[: tokens.offsets[1]].tolist()) == "<pad>"


def test_special_tokens_of_the_tokenizer_count(tokenizer):
    from tokenizers import processors

    made = _word_level("[CLS]", "[SEP]", "a", "[PAD]", "?")
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    tokens = encode(["a a a a", ""], made, max_tokens=4)
    assert tokens.ids.tolist() == [0, 2, 2, 1, 0, 1]
    for too_few in (1, 2):
        with pytest.raises(DataError, match="adds 2 by itself"):
            encode(["a"], made, max_tokens=too_few)


@given(
    st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=8),
    st.data(),
)
def test_a_batch_is_the_rows_filled_up(texts, data):
    lengths = [len(one) for one in texts]
    flat = np.array([number for one in texts for number in one], np.int32)
    tokens = Tokens(flat, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), pad=100)
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=10))
    longest = max((lengths[row] for row in rows), default=0)
    width = data.draw(st.none() | st.integers(longest, 12))
    ids, mask = tokens.batch(rows, width)
    expected = longest if width is None else width
    assert ids.shape == mask.shape == (len(rows), expected)
    assert ids.dtype == np.int64
    for row, its, real in zip(rows, ids.tolist(), mask.tolist(), strict=True):
        n = lengths[row]
        assert its == texts[row] + [100] * (expected - n)
        assert real == [True] * n + [False] * (expected - n)
    if longest > 1:
        with pytest.raises(DataError, match="does not fit"):
            tokens.batch(rows, longest - 1)


def test_no_texts_have_no_tokens(tokenizer, tmp_path):
    for cache in (None, tmp_path):
        tokens = encode(pl.Series([], dtype=pl.String), tokenizer, cache=cache)
        assert len(tokens) == len(tokens.ids) == 0
        assert tokens.batch([])[0].shape == (0, 0)


# ------------------------------------------------------------------------------------------ cache


def same(a, b):
    return a.ids.tolist() == b.ids.tolist() and a.offsets.tolist() == b.offsets.tolist()


@pytest.fixture
def never(monkeypatch):
    """Makes encoding fail, so that only what is kept can answer."""

    def failing(*_):
        yield pytest.fail("encoded again")

    return lambda: monkeypatch.setattr("trueness.text.tokens._encoded", failing)


def test_kept_tokens_are_mapped_and_not_made_again(tokenizer, tmp_path, never):
    first = encode(TEXTS, tokenizer, cache=tmp_path)
    assert isinstance(first.ids, np.memmap)
    assert same(first, encode(TEXTS, tokenizer))
    never()
    assert same(first, encode(pl.Series(TEXTS), tokenizer, cache=tmp_path))


def test_other_texts_words_or_cuts_are_kept_apart(tokenizer, tmp_path):
    other = train_tokenizer(TEXTS, LANGUAGES, vocabulary=300)
    wanted = [(TEXTS, tokenizer, 256), (TEXTS[::-1], tokenizer, 256), (TEXTS, other, 256),
              (TEXTS, tokenizer, 3), (["ab", "c"], tokenizer, 256), (["a", "bc"], tokenizer, 256)]  # fmt: skip
    for texts, words, most in wanted:
        kept = encode(texts, words, max_tokens=most, cache=tmp_path)
        assert same(kept, encode(texts, words, max_tokens=most))
    assert len(list(tmp_path.glob("[!.]*"))) == len(wanted)


@pytest.mark.parametrize("name", ["ids.npy", "offsets.npy", "checksums.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_a_damaged_file_is_made_again(tokenizer, tmp_path, name, damage):
    expected = encode(TEXTS, tokenizer)
    encode(TEXTS, tokenizer, cache=tmp_path)
    (folder,) = tmp_path.glob("[!.]*")
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    changed = {"flip": bytes(content), "cut": bytes(content[:-3]), "empty": b""}
    if damage == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(changed[damage])
    assert same(encode(TEXTS, tokenizer, cache=tmp_path), expected)
    assert [one.name for one in tmp_path.glob("[!.]*")] == [folder.name]
    assert same(encode(TEXTS, tokenizer, cache=tmp_path), expected)


def test_an_interrupted_encoding_leaves_nothing_that_counts(tokenizer, tmp_path, monkeypatch):
    def stops(*_):
        yield np.array([1], np.int32), np.array([1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("trueness.text.tokens._encoded", stops)
        with pytest.raises(KeyboardInterrupt):
            encode(TEXTS, tokenizer, cache=tmp_path)
    assert list(tmp_path.glob("[!.]*")) == []
    assert same(encode(TEXTS, tokenizer, cache=tmp_path), encode(TEXTS, tokenizer))


def test_a_cache_that_cannot_be_written_is_refused(tokenizer, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be kept"):
        encode(TEXTS, tokenizer, cache=tmp_path / "file")


def test_kept_files_are_plain_numpy(tokenizer, tmp_path):
    tokens = encode(TEXTS * 1000, tokenizer, cache=tmp_path)
    (folder,) = tmp_path.glob("[!.]*")
    np.testing.assert_array_equal(np.load(folder / "ids.npy"), tokens.ids)
    assert set(read_json(folder / "checksums.json")) == {"ids.npy", "offsets.npy"}
