"""Which words move an encoder of titles: what it says of texts from which one word is left out."""

from __future__ import annotations

import string
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import log_softmax, stdtrit

from trueness import interrupts
from trueness.attribution.word_effects import TextEffect, WordEffect, WordImportance
from trueness.bundle.finalizing import data_of_run
from trueness.callback import Callback
from trueness.errors import DataError, TruenessError, at_least
from trueness.evaluation.intervals import Estimate
from trueness.fit.device import choose_device
from trueness.judge.access import record_access
from trueness.judge.finding import find_run, names_of
from trueness.judge.parts import unrecorded_notes
from trueness.store import AnyStore, Run
from trueness.text.fields import NONE, completed, marker, markers_of
from trueness.text.sources import clean_text
from trueness.titles.classifier import load_classifier

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Logits = Callable[[pl.Series], NDArray[Any]]
AT_ONCE = 2048
"""Shortened texts that are classified at once."""
FEWEST = 5
"""Clusters of texts below which a word is not judged."""
CONFIDENCE = 0.95
MOST_TEXTS = 500
CLOSE = 3e-2
"""Difference of two logits, in units of the larger of 1 and the largest logit, that is rounding."""


# ----------------------------------------------------------------------------------- the question


@dataclass(frozen=True)
class Asked:
    """What is asked about words.

    Attributes
    ----------
    text : str or None
        Cleaned; one text alone.
    most : int
        Texts that are drawn at most.
    seed : int
        Of the draw.
    opened : bool
        Take the sealed test part.
    """

    text: str | None = None
    most: int = MOST_TEXTS
    seed: int = 0
    opened: bool = False

    @classmethod
    def of(
        cls, text: str | None = None, texts: int | None = None, seed: int | None = None,
        opened: bool = False,
    ) -> Asked:  # fmt: skip
        """With defaults for what is left open.

        Raises
        ------
        TruenessError
            With code ``text`` for a text without words, ``no_option`` for a draw beside a text,
            ``number``.
        """
        if text is None:
            return cls(None, at_least("texts", MOST_TEXTS if texts is None else texts, 1),
                       at_least("seed", seed or 0, 0), opened)  # fmt: skip
        draw = {"--texts": texts is not None, "--seed": seed is not None, "--open-test": opened}
        if conflicting := [name for name, is_given in draw.items() if is_given]:
            raise TruenessError(f"{conflicting[0]} is about texts that are drawn, and --text asks "
                                "about one; leave one of them out", "no_option")  # fmt: skip
        cleaned = pl.DataFrame({"text": [text]}).select(clean_text("text")).item()
        if not cleaned:
            raise TruenessError("the text is empty; give one with words", "text")
        return cls(cleaned)

    @property
    def question(self) -> str:
        """For the ledger."""
        return f"{self.most} seed {self.seed}"


def word_importance(
    store: AnyStore, wanted: str, sources: Mapping[str, Any], asked: Asked | None = None, *,
    device: str = "auto", access: tuple[str, str] | None = None, callback: Callback | None = None,
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
    sources : mapping
        Corpus as ``data``; that of the record without it.
    asked : Asked, optional
    device : str
    access : tuple of str, optional
        Verb and question for the ledger, of evaluated texts.
    callback : Callback, optional

    Raises
    ------
    TruenessError
        With code ``not_titles``, ``no_weights`` for baselines, ``other_data``,
        ``not_reproduced``.
    """
    asked, (run, _) = asked or Asked(), find_run(store, wanted)
    name = " = ".join(names_of(store, run)) or run.key
    if run.spec.task.kind != "titles":
        raise TruenessError(f"{name} is no run on titles: its inputs are columns, no words",
                            "not_titles")  # fmt: skip
    about, columns = (name, run.key, run.record["label"]), run.record["data"].get("columns", {})
    classifier = load_classifier(run, choose_device(device))
    if asked.text is not None:
        return of_text(*about, classifier.logits, classifier.classes, asked, sources, columns)
    part = "test" if asked.opened else "validation"
    titles = corpus_of(run, name, sources).part(part)
    rng = np.random.default_rng(asked.seed)
    rows = np.sort(rng.permutation(len(titles))[: asked.most])
    chosen, cluster = titles.texts.gather(rows), np.asarray(titles.cluster)[rows]
    base = classifier.logits(chosen)
    check_same_scores(run, name, part, titles.ids.gather(rows).cast(pl.String), base)
    unrecorded: tuple[str, ...] = ()
    if access:
        unrecorded = unrecorded_notes(
            record_access(store, [run], *access, part=part, opened=asked.opened)
        )
    words, row, effects = left_out(
        classifier.logits,
        chosen.to_list(),
        base,
        callback or Callback(),
        run.key,
        fixed={*markers_of(columns), NONE},
    )
    result, n_evaluated = mean_effects(words, row, effects, cluster, classifier.classes, CONFIDENCE)
    return WordImportance(
        *about, part, len(rows), len(titles), len(set(words)), n_evaluated, CONFIDENCE,
        classifier.classes, result, None, asked.seed, unrecorded,
    )  # fmt: skip


def of_text(
    name: str, key: str, label: str, logits: Logits, classes: Sequence[str], asked: Asked,
    sources: Mapping[str, Any], columns: Mapping[str, Any],
) -> WordImportance:  # fmt: skip
    """Words that move the classes of one text.

    Fields that the model reads beside the title stand in it behind their markers; those that are
    not there count as missing.

    Parameters
    ----------
    name, key, label : str
        Of the model.
    logits : callable
        Texts to logits (m, K).
    classes : sequence of K str
    asked : Asked
        With a text.
    sources : mapping
        Sources, which a text does not need.
    columns : mapping
        Of the corpus of the model.
    """
    text, lost = completed(asked.text or "", columns)
    base = np.asarray(logits(pl.Series([text], dtype=pl.String)))
    words, _, effects = left_out(logits, [text], base, Callback(), "", keep_forms=True,
                                 fixed={*markers_of(columns), NONE})  # fmt: skip
    log_p = log_softmax(base[0].astype(np.float64))
    order = np.argsort(-log_p, kind="stable")
    names = [classes[i] for i in order]
    probability = dict(zip(names, np.exp(log_p[order]).tolist(), strict=True))
    each = [(word, dict(zip(names, effect[order].tolist(), strict=True)))
            for word, effect in zip(words, effects, strict=True)]  # fmt: skip
    notes = [
        *["a text of one word has none that can be left out"] * (not each),
        *[
            f"missing here, as in rows without it: {name}; write it behind the title after "
            f"{marker(name)}"
            for name in lost
        ],
        *["--data is not read where --text is given"] * (sources.get("data") is not None),
    ]
    return WordImportance(
        name, key, label, "", 1, 1, len(set(words)), 0, CONFIDENCE, tuple(classes), [],
        TextEffect(text, probability, each), 0, tuple(notes),
    )  # fmt: skip


def corpus_of(run: Run, name: str, sources: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a Corpus
    """Corpus of a run on titles: the one that is given as ``data``, or that of its record.

    Raises
    ------
    TruenessError
        With code ``no_data``, or ``other_data`` for another one.
    """
    data = data_of_run(run, name, sources)
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
    logits: Logits, texts: Sequence[str], base: NDArray[Any], callback: Callback,
    what: str = "", *, keep_forms: bool = False, fixed: Collection[str] = (),
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
    callback : Callback
    what : str
        Shown beside the progress.
    keep_forms : bool
        Whether words stay as they are written; else `unit_of`.
    fixed : collection of str
        Words that always stay in, such as markers of fields.

    Returns
    -------
    list of m str, (m,) int64, (m, K)
        Words; numbers of their texts; log-probability of each class with the word minus without.
    """
    words, row, shorter = list[str](), list[int](), list[str]()
    for i, text in enumerate(texts):
        units = text.split()
        for at, word in enumerate(units if len(units) > 1 else ()):
            if word in fixed:
                continue
            words.append(word if keep_forms else unit_of(word))
            row.append(i)
            shorter.append(" ".join([*units[:at], *units[at + 1 :]]))
    rows, result = np.array(row, np.int64), [np.empty((0, base.shape[1]))]
    callback.on_stage_start("leaving words out", len(shorter))
    for at in range(0, len(shorter), AT_ONCE):
        interrupts.check()
        some = pl.Series(shorter[at : at + AT_ONCE], dtype=pl.String)
        result.append(log_softmax(np.asarray(logits(some), np.float64), axis=1))
        callback.on_progress(len(some), what)
    whole = log_softmax(np.asarray(base, np.float64), axis=1)
    return words, rows, whole[rows] - np.concatenate(result)


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
    result, texts_of = list[tuple[str, int, int, Array, Array]](), np.argsort(word, kind="stable")
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
        result.append((str(name), len(text), g, mean, error))
    level = 1 - (1 - confidence) / max(1, len(result) * len(classes))
    every = [
        WordEffect(name, label, _bounded(float(mean[k]), float(error[k]), n, g, level))
        for name, n, g, mean, error in result
        for k, label in enumerate(classes)
    ]
    return sorted(every, key=_surest), len(result)


def _starts(ordered: Index) -> Index:
    return np.flatnonzero(np.diff(ordered)) + 1


def _bounded(mean: float, error: float, n: int, clusters: int, level: float) -> Estimate:
    half = float(stdtrit(clusters - 1, (1 + level) / 2)) * error
    return Estimate(mean, mean - half, mean + half, n)


def _surest(one: WordEffect) -> float:
    """The end of the interval that is nearer to 0, the furthest first."""
    low, high = one.effect.low or 0.0, one.effect.high or 0.0
    return -(low if low > 0 else -high if high < 0 else 0.0)
