"""The baselines for titles: the classes by their frequency, then n-grams under a linear model.

All see the training texts only. What one has to choose (a penalty, and the temperature
that turns its scores into logits) it chooses on the validation part, where a network would stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from trueness.baselines.ngrams import FittedTitles, NGrams, Prior, Vectorizer
from trueness.errors import TruenessError
from trueness.spec.titles import LinearBaseline, TitlesSpec
from trueness.text.corpus import Parts, Titles

Floats = NDArray[np.float32]
Index = NDArray[np.int64]
Score: TypeAlias = Callable[[Index, Index, NDArray[np.str_]], float]
"""What is to be large on validation: (classes, predicted classes, languages) -> score."""
Rung: TypeAlias = "Callable[[Parts, Score, int], Chosen]"

PARTS = ("validation", "test")
PENALTIES = (3e-7, 1e-6, 3e-6, 1e-5, 3e-5)
COLDEST, HOTTEST = 0.01, 100.0


@dataclass(frozen=True)
class TitlesFit:
    """What a baseline left behind: logits (n, K) of each part but the first, and what it chose.

    `fitted` fits the chosen one again and keeps its weights.
    """

    spec: TitlesSpec
    logits: dict[str, Floats]
    chosen: str
    seconds: float
    fitted: Callable[[], FittedTitles]


def fit_titles_baseline(spec: TitlesSpec, corpus: Parts, score: Score) -> TitlesFit:
    """Fit one baseline on the training texts.

    Parameters
    ----------
    spec : TitlesSpec
        Its model is a `LinearBaseline`.
    corpus : Corpus
    score : callable
        (classes (n,), predicted classes (n,), languages (n,)) -> float, to be large on validation;
        that of ``spec.evaluation.select_on``.

    Returns
    -------
    TitlesFit
        Logits of the validation and the test part.

    Raises
    ------
    TruenessError
        If the model is no baseline.
    """
    if not isinstance(spec.model, LinearBaseline):
        raise TruenessError(
            f"a {spec.model.kind} is no baseline; {', '.join(TITLES_BASELINES)} are"
        )
    began = time.perf_counter()
    made = TITLES_BASELINES[spec.model.kind](corpus, score, spec.seed)
    return TitlesFit(spec, made.logits, made.words, time.perf_counter() - began, made.fitted)


@dataclass(frozen=True)
class Chosen:
    """Logits (n, K) by part, what was chosen in words, and what makes the fitted baseline."""

    logits: dict[str, Floats]
    words: str
    fitted: Callable[[], FittedTitles]


def _majority(corpus: Parts, score: Score, seed: int) -> Chosen:
    """Logarithms of the shares of the classes, one text of each added."""
    del score, seed
    count = np.bincount(corpus.part("train").y, minlength=len(corpus.classes))
    prior = Prior(np.log((count + 1) / (count + 1).sum()).astype(np.float32))
    logits = {name: prior.logits(corpus.part(name).texts) for name in PARTS}
    return Chosen(logits, corpus.classes[int(count.argmax())], lambda: prior)


def _tfidf(
    corpus: Parts, score: Score, seed: int, loss: Literal["softmax", "squared_hinge"]
) -> Chosen:
    """n-grams by frequency and rarity under a linear model, at the temperature of validation."""
    from trueness.baselines.linear import LinearScores

    train, validation = corpus.part("train"), corpus.part("validation")
    vectorizer, first = Vectorizer.fitted(train.texts)
    others = [vectorizer.transform(corpus.part(name).texts) for name in PARTS]
    model = LinearScores(first, train.y, len(corpus.classes), others, loss=loss, seed=seed)
    every = ((one, dict(zip(PARTS, model.fit(one), strict=True))) for one in PENALTIES)
    penalty, temperature, logits = chosen_penalty(every, validation, score)
    words = f"penalty {penalty:g}, temperature {temperature:.2f}"
    if model.kept < model.features:
        words += f", the {model.kept:,} most frequent of {model.features:,} n-grams"
    return Chosen(
        logits, words, lambda: NGrams(vectorizer, *model.coefficients(penalty), temperature)
    )


def chosen_penalty(
    every: Iterable[tuple[float, dict[str, Floats]]], validation: Titles, score: Score
) -> tuple[float, float, dict[str, Floats]]:
    """Best of some penalties on validation, its temperature, and its logits (n, K) by part.

    Parameters
    ----------
    every : iterable of (float, dict)
        Penalties, each with its scores (n, K) by part.
    validation : Titles
    score : callable

    Raises
    ------
    TruenessError
        If none has a score.
    """
    best, top = None, -np.inf
    for penalty, scores in every:
        result = score(validation.y, scores["validation"].argmax(axis=1), validation.language)
        if result > top:
            best, top = (penalty, scores), result
    if best is None:
        raise TruenessError("no penalty has a score on validation; is the part empty?")
    penalty, scores = best
    temperature = _temperature(scores["validation"], validation.y)
    logits = {name: (s / temperature).astype(np.float32) for name, s in scores.items()}
    return penalty, temperature, logits


def _temperature(scores: Floats, y: Index) -> float:
    """What scores are divided by to have the smallest log loss."""
    every = np.arange(len(y))

    def cost(log_temperature: float) -> float:
        return -float(log_softmax(scores / np.exp(log_temperature), axis=1)[every, y].mean())

    bounds = (np.log(COLDEST), np.log(HOTTEST))
    return float(np.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x))


TITLES_BASELINES: dict[str, Rung] = {
    "majority": _majority,
    "tfidf_logit": partial(_tfidf, loss="softmax"),
    "tfidf_svm": partial(_tfidf, loss="squared_hinge"),
}
