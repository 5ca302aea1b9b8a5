"""Tokens of texts: a tokenizer is trained or loaded, and every text is encoded once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from trueness.errors import DataError, at_least
from trueness.text.columns import Column, Texts, portions, ranks, string_column, text_digest
from trueness.text.token_cache import Part, kept, offsets_of
from trueness.text.words import WordEncoder, goes_by_words

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD = "<pad>"
MOST_REPEATS = 20
LEAST_VOCABULARY = 257  # every byte, and the pad token
_PADS = ("<pad>", "[PAD]", "<|pad|>", "<|padding|>", "<PAD>", "[pad]")
_ENDS = ("<|endoftext|>", "</s>", "<eos>", "<|im_end|>", "<|end_of_text|>", "[SEP]", "<|eot_id|>")


# ------------------------------------------------------------------------------------- tokenizers


def train_tokenizer(
    texts: Texts,
    languages: Column,
    *,
    vocabulary: int = 32_000,
    alpha: float = 1.0,
    min_frequency: int = 2,
    seed: int = 42,
) -> Tokenizer:
    """Byte-level BPE on NFC text, with ``<pad>`` as token 0; any text can be encoded.

    Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (2016), on bytes
    as in Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).

    Parameters
    ----------
    texts : (n,) of str
        Of the train part only.
    languages : (n,) of str
    vocabulary : int >= 257
        Tokens at most; fewer come out where the texts hold no further pair often enough.
    alpha : float in [0, 1]
        Languages are read in proportion to n ** alpha, n texts in all; 1 reads every text once. No
        text is read more than 20 times.
    min_frequency : int >= 1
        How often a pair must stand in what is read to become a token.
    seed : int
        Of the choice of texts where `alpha` is below 1.

    Returns
    -------
    Tokenizer
        The same for the same arguments.

    Raises
    ------
    DataError
        Without texts, or with an argument outside its range.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    column = string_column(texts)
    size = at_least("vocabulary", vocabulary, LEAST_VOCABULARY)
    least = at_least("min_frequency", min_frequency, 1)
    if not 0 < len(column) == len(languages):
        raise DataError(
            f"{len(column)} texts and {len(languages)} languages; at least one text is needed, "
            "each with its language"
        )
    read = column.gather(tempered_rows(languages, alpha, seed))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=least,
        special_tokens=[PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    listed = (portion.to_list() for portion in portions(read))
    tokenizer.train_from_iterator(listed, trainer, length=len(read))
    return tokenizer


def tempered_rows(languages: Column, alpha: float, seed: int = 42) -> NDArray[np.int64]:
    """Rows in which every language stands in proportion to n ** alpha, sorted, n in all.

    A row stands as often as all others of its language, or once more, at most 20 times; whose turn
    it is is drawn from `seed`. The total falls short of n where languages reach the 20 times.

    Examples
    --------
    >>> tempered_rows(["en"] * 6 + ["da"] * 2, 0.0).tolist()[-4:]
    [6, 6, 7, 7]
    """
    if not 0 <= alpha <= 1:
        raise DataError(f"alpha {alpha}: a number from 0 to 1 is needed")
    language = ranks("language", languages)
    counts = np.bincount(language)
    weights = counts.astype(np.float64) ** alpha
    wanted = np.rint(len(language) * weights / max(weights.sum(), 1)).astype(np.int64)
    wanted = np.minimum(np.maximum(wanted, 1), MOST_REPEATS * counts)
    order = np.lexsort((np.random.default_rng(seed).random(len(language)), language))
    turn = np.empty(len(language), np.int64)
    turn[order] = np.arange(len(language)) - np.repeat(np.cumsum(counts) - counts, counts)
    times, more = np.divmod(wanted, counts)
    return np.repeat(np.arange(len(language)), times[language] + (turn < more[language]))


def load_tokenizer(path: Path) -> Tokenizer:
    """Tokenizer of a ``tokenizer.json``, or of a folder that holds one.

    Raises
    ------
    DataError
        If there is none, or it cannot be read as one.
    """
    from tokenizers import Tokenizer

    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        return Tokenizer.from_buffer(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}; give a tokenizer.json") from None
    except ValueError as error:
        reason = str(error).partition("\n")[0].rpartition("from buffer: ")[2]
        raise DataError(
            f"{file}: cannot be read as a tokenizer ({reason}); give a tokenizer.json as the "
            "tokenizers library writes it"
        ) from None


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """12 hexadecimal digits of the SHA-256 of what decides about ids; not of cut and padding."""
    content = json.loads(tokenizer.to_str())
    for name in ("truncation", "padding"):
        content.pop(name, None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def vocabulary_of(tokenizer: Tokenizer) -> int:
    """Rows that an embedding of its ids needs: the largest id and one, also where ids are missing.

    Examples
    --------
    >>> vocabulary_of(train_tokenizer(["a shoe"], ["en"], vocabulary=257))
    257
    """
    return max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1


def pad_token(tokenizer: Tokenizer) -> tuple[int, str]:
    """Id that fills up short rows, with its name: the pad token, else the end token, else 0.

    Examples
    --------
    >>> pad_token(train_tokenizer(["a shoe"], ["en"], vocabulary=257))
    (0, '<pad>')
    """
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"]), str(tokenizer.padding["pad_token"])
    for name in (*_PADS, *_ENDS):
        number = tokenizer.token_to_id(name)
        if number is not None:
            return number, name
    return 0, f"{tokenizer.id_to_token(0)} (there is neither a pad nor an end token)"


# ----------------------------------------------------------------------------------------- tokens


@dataclass(frozen=True)
class Tokens:
    """Token ids of many texts, one after the other.

    Attributes
    ----------
    ids : (total,) int32
    offsets : (n + 1,) int64
        Text i is ``ids[offsets[i]:offsets[i + 1]]``, never empty.
    pad : int
        Id that fills up short rows of a batch.
    max_tokens : int or None
        Where longer texts were cut.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    pad: int = 0
    max_tokens: int | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, (n,)."""
        return np.diff(self.offsets)

    def batch(
        self, rows: ArrayLike, pad_to: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Some texts side by side, filled up to the longest or to `pad_to` tokens.

        Returns
        -------
        tokens : (B, T) int64
        mask : (B, T) bool
            True where a token is one of the text.

        Raises
        ------
        DataError
            If a text is longer than `pad_to`.

        Examples
        --------
        >>> tokens = Tokens(np.array([5, 6, 7], np.int32), np.array([0, 2, 3]))
        >>> tokens.batch([1, 0])[0].tolist()
        [[7, 0], [5, 6]]
        """
        rows = np.asarray(rows, np.int64)
        starts, lengths = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        longest = int(lengths.max(initial=0))
        width = longest if pad_to is None else pad_to
        if longest > width:
            raise DataError(f"pad_to {pad_to}: a text of {longest} tokens does not fit")
        place = np.arange(width)
        mask = place < lengths[:, None]
        tokens = np.full(mask.shape, self.pad, np.int64)
        tokens[mask] = self.ids[(starts[:, None] + place)[mask]]
        return tokens, mask


def length_batches(lengths: NDArray[np.int64], most: int) -> Iterator[NDArray[np.int64]]:
    """Rows in order of length, in batches of at most `most` padded tokens."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        ahead = lengths[order[start : start + max(1, most // max(int(lengths[order[start]]), 1))]]
        padded = np.arange(1, len(ahead) + 1) * ahead
        size = max(1, int(np.searchsorted(padded, most, side="right")))
        yield order[start : start + size]
        start += size


def encode(
    texts: Texts,
    tokenizer: Tokenizer,
    *,
    max_tokens: int = 256,
    cache: Path | None = None,
) -> Tokens:
    """Tokens of every text; cut after `max_tokens`, special tokens of the tokenizer included.

    A text that gives no token, the empty one, is the pad token once. Special tokens are never read
    out of a text: the characters ``<pad>`` in a title are five characters.

    Parameters
    ----------
    texts : (n,) of str
    tokenizer : Tokenizer
        Unchanged; its own cut and padding are not used.
    max_tokens : int
    cache : Path, optional
        Folder where tokens are kept by the content of texts and tokenizer, and then mapped instead
        of held in memory. What does not match its checksum is made again; the folder may be
        deleted at any time.

    Raises
    ------
    DataError
        If `max_tokens` leaves no room beside the special tokens, or the cache cannot be written.

    Examples
    --------
    >>> tokenizer = train_tokenizer(["red shoe"], ["en"], min_frequency=1)
    >>> encode(["red shoe", ""], tokenizer).lengths.tolist()
    [2, 1]
    """
    column = string_column(texts)
    coder = coder_of(tokenizer, at_least("max_tokens", max_tokens, 1))
    pad = pad_token(tokenizer)[0]
    parts = _encoded(column, coder, max_tokens, pad)
    if cache is not None:
        content = f"{text_digest(column)} {tokenizer_digest(tokenizer)} {max_tokens} {pad}"
        return Tokens(*kept(cache, content, parts), pad, max_tokens)
    made = list(parts)
    ids = np.concatenate([np.zeros(0, np.int32), *(ids for ids, _ in made)])
    return Tokens(ids, offsets_of([lengths for _, lengths in made]), pad, max_tokens)


def coder_of(tokenizer: Tokenizer, max_tokens: int) -> Tokenizer:
    """Copy of a tokenizer that cuts, and neither pads nor reads special tokens out of texts.

    Raises
    ------
    DataError
        If `max_tokens` leaves no room beside the special tokens.
    """
    from tokenizers import Tokenizer

    extra = tokenizer.num_special_tokens_to_add(False)
    if max_tokens <= extra:
        raise DataError(f"max_tokens {max_tokens}: the tokenizer adds {extra} by itself; give more")
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    copy.enable_truncation(max_tokens)
    copy.encode_special_tokens = True
    return copy


def _encoded(column: pl.Series, coder: Tokenizer, max_tokens: int, pad: int) -> Iterator[Part]:
    """Ids and lengths of one portion of texts after the other."""
    words = WordEncoder(coder, max_tokens) if goes_by_words(coder) else None
    for portion in portions(column):
        if words is None:
            result = [one.ids for one in coder.encode_batch_fast(portion.to_list())]
            lengths = np.fromiter(map(len, result), np.int64, len(result))
            ids = np.fromiter(chain.from_iterable(result), np.int32, int(lengths.sum()))
        else:
            ids, lengths = words.encode(portion)
        ends = np.cumsum(lengths)
        yield np.insert(ids, ends[lengths == 0], pad), np.maximum(lengths, 1)
