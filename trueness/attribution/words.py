"""Which words move an encoder of titles: what it says of texts from which one word is left out."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import log_softmax, stdtrit

from trueness import interrupts
from trueness.attribution.importance import Progress, Silent
from trueness.bundle.finalizing import data_of_run
from trueness.document import Document
from trueness.errors import DataError, TruenessError, at_least
from trueness.evaluation.intervals import Estimate
from trueness.fit.device import choose_device
from trueness.judge.access import record_access
from trueness.judge.finding import find_run, names_of
from trueness.judge.judgement import SCHEMA
from trueness.judge.parts import unrecorded_notes
from trueness.store import AnyStore, Run
from trueness.text.sources import clean_text
from trueness.titles.classifier import Classifier, load_classifier

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Logits = Callable[[pl.Series], NDArray[Any]]
AT_ONCE = 2048
"""Shortened texts that are classified at once."""
FEWEST = 5
"""Clusters of texts below which a word is not judged."""
CLOSE = 3e-2
"""Difference of two logits, in units of the larger of 1 and the largest logit, that is rounding."""


@dataclass(frozen=True)
class WordEffect:
    """What leaving a word out does to a class.

    Attributes
    ----------
    word, label : str
    effect : Estimate
        Log-probability of the class with the word minus without it, mean over the texts with it;
        the interval holds for all words and classes that were judged at once. `n` counts texts.
    """

    word: str
    label: str
    effect: Estimate

    @property
    def moves(self) -> bool:
        """Whether the interval leaves out 0."""
        low, high = self.effect.low, self.effect.high
        return low is not None and high is not None and (low > 0 or high < 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"word": self.word, "label": self.label, "effect": self.effect.to_dict(),
                "moves": self.moves}  # fmt: skip


@dataclass(frozen=True)
class TextEffect:
    """One text.

    Attributes
    ----------
    text : str
    probability : dict of str to float
        Class -> its probability, the largest first.
    words : list of (word, dict of str to float)
        In the order of the text: class -> log-probability with the word minus without it.
    """

    text: str
    probability: dict[str, float]
    words: list[tuple[str, dict[str, float]]]

    @property
    def label(self) -> str:
        """The predicted class."""
        return next(iter(self.probability))


@dataclass(frozen=True)
class WordImportance:
    """Words that move the classes of a run, or those of one text.

    Attributes
    ----------
    name, key, label : str
    part : str
        Where the texts are from; empty for a text that was given.
    n, of : int
        Texts that were asked about, and that there are.
    words, judged : int
        Distinct words in them, and those in enough texts to be judged.
    confidence : float
    classes : tuple of str
    effects : list of WordEffect
        Those of every judged word and class, the surest first.
    text : TextEffect or None
    seed : int
    notes : tuple of str
    """

    name: str
    key: str
    label: str
    part: str
    n: int
    of: int
    words: int
    judged: int
    confidence: float
    classes: tuple[str, ...]
    effects: list[WordEffect]
    text: TextEffect | None = None
    seed: int = 0
    notes: tuple[str, ...] = ()

    def of_class(self, label: str) -> list[WordEffect]:
        """Words that move a class, the surest first."""
        return [one for one in self.effects if one.label == label and one.moves]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/json.md describes them."""
        text = None if self.text is None else {
            "text": self.text.text, "label": self.text.label, "probability": self.text.probability,
            "words": [{"word": w, "effect": e} for w, e in self.text.words],
        }  # fmt: skip
        return {
            "schema": SCHEMA, "kind": "word_importance", **vars(self),
            "classes": list(self.classes), "text": text, "notes": list(self.notes),
            "effects": [one.to_dict() for one in self.effects],
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per word and class."""
        if self.text is not None:
            rows = [{"position": i + 1, "word": word, "class": label, "effect": effect}
                    for i, (word, each) in enumerate(self.text.words)
                    for label, effect in each.items()]  # fmt: skip
            schema = {"position": pl.Int64, "word": pl.String, "class": pl.String,
                      "effect": pl.Float64}  # fmt: skip
            return pl.DataFrame(rows, schema=schema)
        rows = [{"class": one.label, "word": one.word, "texts": one.effect.n,
                 "effect": one.effect.value, "low": one.effect.low, "high": one.effect.high,
                 "moves": one.moves} for one in self.effects]  # fmt: skip
        schema = {"class": pl.String, "word": pl.String, "texts": pl.Int64, "effect": pl.Float64,
                  "low": pl.Float64, "high": pl.Float64, "moves": pl.Boolean}  # fmt: skip
        return pl.DataFrame(rows, schema=schema)

    def document(self) -> Document:
        """What to show."""
        from trueness.attribution.words_document import document_of

        return document_of(self)


# ----------------------------------------------------------------------------------- the question


def word_importance(
    store: AnyStore, wanted: str, given: Mapping[str, Any], *, text: str | None = None,
    texts: int = 500, seed: int = 0, opened: bool = False, device: str = "auto",
    access: tuple[str, str] | None = None, progress: Progress | None = None,
) -> WordImportance:  # fmt: skip
    """Words that move the classes of an encoder, over evaluated texts or in one that is given.

    A word is left out where it stands, and everything around it closes up: occlusion. Zeiler and
    Fergus, "Visualizing and Understanding Convolutional Networks" (2014); Li, Monroe and Jurafsky,
    "Understanding Neural Networks through Representation Erasure" (2016).

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : str
        Id or key of a run on titles, no baseline.
    given : mapping
        Corpus as ``data``; that of the record without it.
    text : str, optional
        Ask about this text alone.
    texts : int
        Evaluated texts that are drawn at most.
    seed : int
        Of the draw.
    opened : bool
        Take the sealed test part instead of the validation part.
    device : str
    access : tuple of str, optional
        Verb and question for the ledger, of evaluated texts.
    progress : Progress, optional

    Raises
    ------
    TruenessError
        With code ``not_titles``, ``no_weights`` for baselines, ``other_data``,
        ``not_reproduced``, ``text`` for a text without words, ``number``.
    """
    run, _ = find_run(store, wanted)
    name = " = ".join(names_of(store, run)) or run.key
    if run.spec.task.kind != "titles":
        raise TruenessError(f"{name} is no run on titles: its inputs are columns, no words",
                            "not_titles")  # fmt: skip
    texts, seed = at_least("texts", texts, 1), at_least("seed", seed, 0)
    if text is not None:
        cleaned = pl.DataFrame({"text": [text]}).select(clean_text("text")).item()
        if not cleaned:
            raise TruenessError("the text is empty; give one with words", "text")
        return _of_text(run, name, load_classifier(run, choose_device(device)), cleaned)
    classifier = load_classifier(run, choose_device(device))
    part = "test" if opened else "validation"
    titles = corpus_of(run, name, given).part(part)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(titles))[:texts])
    chosen, cluster = titles.texts.gather(rows), np.asarray(titles.cluster)[rows]
    base = classifier.logits(chosen)
    check_same_scores(run, name, part, titles.ids.gather(rows).cast(pl.String), base)
    unrecorded: tuple[str, ...] = ()
    if access:
        unrecorded = unrecorded_notes(
            record_access(store, [run], *access, part=part, opened=opened)
        )
    words, row, effects = left_out(
        classifier.logits, chosen.to_list(), base, progress or Silent(), run.key
    )
    found, judged = mean_effects(words, row, effects, cluster, classifier.classes, 0.95)
    return WordImportance(
        name, run.key, run.record["label"], part, len(rows), len(titles), len(set(words)), judged,
        0.95, classifier.classes, found, None, seed, unrecorded,
    )  # fmt: skip


def _of_text(run: Run, name: str, classifier: Classifier, text: str) -> WordImportance:
    base = classifier.logits([text])
    words, _, effects = left_out(classifier.logits, [text], base, Silent(), "", keep_forms=True)
    log_p = log_softmax(base[0].astype(np.float64))
    order = np.argsort(-log_p, kind="stable")
    names = [classifier.classes[i] for i in order]
    probability = dict(zip(names, np.exp(log_p[order]).tolist(), strict=True))
    each = [(word, dict(zip(names, effect[order].tolist(), strict=True)))
            for word, effect in zip(words, effects, strict=True)]  # fmt: skip
    notes = () if each else ("a text of one word has none that can be left out",)
    return WordImportance(
        name, run.key, run.record["label"], "", 1, 1, len(set(words)), 0, 0.95,
        classifier.classes, [], TextEffect(text, probability, each), 0, notes,
    )  # fmt: skip


def corpus_of(run: Run, name: str, given: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a Corpus
    """Corpus of a run on titles: the one that is given as ``data``, or that of its record.

    Raises
    ------
    TruenessError
        With code ``no_data``, or ``other_data`` for another one.
    """
    data = data_of_run(run, name, given)
    if data.corpus is None or data.digest != run.record["data"]["digest"]:
        raise TruenessError(f"{data.in_words()} is not the corpus of {name} "
                            f"({run.record['data']['digest']})", "other_data")  # fmt: skip
    return data.corpus


def check_same_scores(run: Run, name: str, part: str, ids: pl.Series, logits: NDArray[Any]) -> None:
    """Refuse weights that say something else than is stored."""
    stored = run.predictions().frame.filter(pl.col("split") == part)
    stored = stored.with_columns(pl.col("id").cast(pl.String))
    joined = pl.DataFrame({"id": ids}).join(stored, on="id", how="left", maintain_order="left")
    if joined["scores"].null_count():
        raise DataError(f"{name}: the corpus holds texts that the run has no scores of",
                        "other_data")  # fmt: skip
    before = joined["scores"].to_numpy().astype(np.float64)
    if np.abs(before - logits).max() > CLOSE * max(1.0, float(np.abs(before).max())):
        raise TruenessError(f"{name}: its weights give other scores than are stored here",
                            "not_reproduced")  # fmt: skip


# --------------------------------------------------------------------------------------- occlusion


def unit_of(word: str) -> str:
    """What a word counts as: in small letters, without punctuation around it.

    Examples
    --------
    >>> unit_of("Rotwein,"), unit_of("0,75"), unit_of("&")
    ('rotwein', '0,75', '&')
    """
    return word.strip(string.punctuation).casefold() or word


def left_out(
    logits: Logits, texts: Sequence[str], base: NDArray[Any], progress: Progress,
    what: str = "", *, keep_forms: bool = False,
) -> tuple[list[str], Index, Array]:  # fmt: skip
    """Every text without each of its words: what that takes from each class.

    Parameters
    ----------
    logits : callable
        Texts to logits (m, K).
    texts : sequence of n str
        Those of a single word have none that can be left out.
    base : (n, K)
        Logits of the texts.
    progress : Progress
    what : str
        Shown beside the progress.
    keep_forms : bool
        Whether words stay as they are written; else `unit_of`.

    Returns
    -------
    list of m str, (m,) int64, (m, K)
        Words; numbers of their texts; log-probability of each class with the word minus without.
    """
    words, row, shorter = list[str](), list[int](), list[str]()
    for i, text in enumerate(texts):
        units = text.split()
        for at, word in enumerate(units if len(units) > 1 else ()):
            words.append(word if keep_forms else unit_of(word))
            row.append(i)
            shorter.append(" ".join([*units[:at], *units[at + 1 :]]))
    rows, found = np.array(row, np.int64), [np.empty((0, base.shape[1]))]
    progress.start("leaving words out", len(shorter))
    for at in range(0, len(shorter), AT_ONCE):
        interrupts.check()
        some = pl.Series(shorter[at : at + AT_ONCE], dtype=pl.String)
        found.append(log_softmax(np.asarray(logits(some), np.float64), axis=1))
        progress.advance(len(some), what)
    whole = log_softmax(np.asarray(base, np.float64), axis=1)
    return words, rows, whole[rows] - np.concatenate(found)


def mean_effects(
    words: Sequence[str], row: Index, effects: Array, cluster: NDArray[Any],
    classes: Sequence[str], confidence: float,
) -> tuple[list[WordEffect], int]:  # fmt: skip
    """Mean effect of each word on each class, over the texts that hold it.

    A word that a text holds twice counts there by its mean. Texts of a cluster, such as offers of
    one product, are not independent: the standard error is that of the sums of clusters, and the
    interval Student's with as many degrees of freedom as clusters less one. It is adjusted for
    every word and class that is judged by Bonferroni.

    Parameters
    ----------
    words, row, effects
        See `left_out`.
    cluster : (n,)
        Of the texts.
    classes : sequence of K str
    confidence : float

    Returns
    -------
    list of WordEffect, int
        Of words in at least `FEWEST` clusters, those whose interval is furthest from 0 first; how
        many such words there are.
    """
    if not len(words):
        return [], 0
    names, word = np.unique(np.asarray(words, dtype=object), return_inverse=True)
    groups = np.unique(cluster, return_inverse=True)[1].astype(np.int64)
    found, texts_of = list[tuple[str, int, int, Array, Array]](), np.argsort(word, kind="stable")
    for name, mine in zip(names, np.split(texts_of, _starts(word[texts_of])), strict=True):
        text, place = np.unique(row[mine], return_inverse=True)
        each = np.zeros((len(text), effects.shape[1]))
        np.add.at(each, place, effects[mine])
        each /= np.bincount(place)[:, None]
        own = np.unique(groups[text], return_inverse=True)[1]
        if (g := int(own.max()) + 1) < FEWEST:
            continue
        mean, sums = each.mean(axis=0), np.zeros((g, effects.shape[1]))
        np.add.at(sums, own, each - mean)
        error = np.sqrt((sums**2).sum(axis=0) * g / (g - 1)) / len(text)
        found.append((str(name), len(text), g, mean, error))
    level = 1 - (1 - confidence) / max(1, len(found) * len(classes))
    every = [
        WordEffect(name, label, _bounded(float(mean[k]), float(error[k]), n, g, level))
        for name, n, g, mean, error in found
        for k, label in enumerate(classes)
    ]
    return sorted(every, key=_surest), len(found)


def _starts(ordered: Index) -> Index:
    return np.flatnonzero(np.diff(ordered)) + 1


def _bounded(mean: float, error: float, n: int, clusters: int, level: float) -> Estimate:
    half = float(stdtrit(clusters - 1, (1 + level) / 2)) * error
    return Estimate(mean, mean - half, mean + half, n)


def _surest(one: WordEffect) -> float:
    """The end of the interval that is nearer to 0, the furthest first."""
    low, high = one.effect.low or 0.0, one.effect.high or 0.0
    return -(low if low > 0 else -high if high < 0 else 0.0)
