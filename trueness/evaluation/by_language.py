"""Scores per language: which languages are slices, macro-F1 of each, and summaries over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from trueness.errors import TruenessError, at_least
from trueness.evaluation.clusters import by_cluster

Array = NDArray[np.float64]
Index = NDArray[np.int64]
OTHER, UNDETERMINED, ENGLISH = "other", "und", "en"
LOW_QUANTILE = 0.2


@dataclass(frozen=True)
class Languages:
    """Which slice each text is in.

    Attributes
    ----------
    names : tuple of str
        Languages with enough texts, the largest first.
    index : (n,) int64
        Position in `slices`.
    pooled : dict of str to int
        Texts of the languages that are too small, and of none; together they are "other".
    """

    names: tuple[str, ...]
    index: Index
    pooled: dict[str, int]

    @property
    def slices(self) -> tuple[str, ...]:
        """Names, and "other" where something is pooled."""
        return (*self.names, OTHER) if self.pooled else self.names


def group_languages(language: object, min_rows: int) -> Languages:
    """Slices of texts by language.

    Examples
    --------
    >>> found = group_languages(["en", "de", "en", "de", "fr", "en"], min_rows=2)
    >>> found.slices, found.index, found.pooled
    (('en', 'de', 'other'), array([0, 1, 0, 1, 2, 0]), {'fr': 1})
    """
    min_rows = at_least("min_rows", min_rows, 1)
    every, which, count = np.unique(np.asarray(language), return_inverse=True, return_counts=True)
    ranked = sorted(zip(every.tolist(), count.tolist(), strict=True), key=lambda one: -one[1])
    own = [name for name, n in ranked if n >= min_rows and name not in (OTHER, UNDETERMINED)]
    place = {name: i for i, name in enumerate(own)}
    position = np.array([place.get(name, len(own)) for name in every.tolist()], np.int64)
    return Languages(tuple(own), position[which], {a: n for a, n in ranked if a not in place})


def judged_languages(language: object, min_rows: int) -> Languages:
    """Slices of texts by language, of which at least one has enough texts.

    Raises
    ------
    TruenessError
        If none has.
    """
    slices = group_languages(language, min_rows)
    if not slices.names:
        known = {n: k for n, k in slices.pooled.items() if n not in (OTHER, UNDETERMINED)}
        if not known:
            raise TruenessError("no text has a known language; build the corpus with languages")
        name, most = next(iter(known.items()))
        raise TruenessError(
            f"no language has {min_rows} texts to be judged on; the largest, {name}, has {most}: "
            "lower evaluation.min_rows"
        )
    return slices


def checked_labels(name: str, labels: object, n_classes: int) -> Index:
    """Classes as whole numbers from 0 to K - 1, (n,), n >= 1; anything else is refused.

    Raises
    ------
    TruenessError
    """
    values = np.asarray(labels)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise TruenessError(
            f"{name} must be one whole number per text; an array of shape {values.shape} and type "
            f"{values.dtype} came"
        )
    if not len(values):
        raise TruenessError("no texts; at least one is needed")
    if values.min() < 0 or values.max() >= n_classes:
        raise TruenessError(
            f"{name} run from {values.min()} to {values.max()}; with {n_classes} classes 0 to "
            f"{n_classes - 1} are possible"
        )
    return values.astype(np.int64)


def check_lengths(**arrays: object) -> None:
    """Refuse arrays that do not all have one entry per text.

    Raises
    ------
    TruenessError
    """
    shapes = {name: np.asarray(a).shape for name, a in arrays.items()}
    if len({shape[:1] for shape in shapes.values()}) != 1:
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise TruenessError(f"one entry per text is needed in every array; shapes are {told}")


def label_counts(
    y: Index, predicted: Index, slices: Languages, cluster: Index, clusters: int, n_classes: int
) -> csr_array:
    """What F1 needs, summed inside clusters.

    Returns
    -------
    (3 G K, clusters) sparse
        Hits, texts and predictions of each class in each of G slices; times weights of clusters and
        shaped ``(3, G, K, draws)`` it is what `class_f1` takes.
    """
    parts, shape = [], (len(slices.slices) * n_classes, clusters)
    right = np.flatnonzero(y == predicted)
    every = np.arange(len(y))
    for rows, label in ((right, y), (every, y), (every, predicted)):
        column = slices.index[rows] * n_classes + label[rows]
        parts.append(by_cluster(rows, column, 1.0, cluster, shape))
    return csr_array(vstack(parts))


def class_f1(counts: Array) -> Array:
    """F1 of each class, ``2 hits / (texts + predictions)``; 0 where there are neither.

    Parameters
    ----------
    counts : (3, ...)
        Hits, texts and predictions.
    """
    hits, texts, predictions = counts
    both = texts + predictions
    return np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0)


def macro_f1(counts: Array) -> tuple[Array, Array]:
    """Mean of F1 over all K classes, for each slice and for all texts.

    Parameters
    ----------
    counts : (3, G, K, draws)

    Returns
    -------
    (G, draws), (draws,) float64
    """
    return class_f1(counts).mean(axis=1), class_f1(counts.sum(axis=1)).mean(axis=0)


def summaries(names: tuple[str, ...], scores: Array, overall: Array) -> dict[str, Array]:
    """Scores of a whole run from those of its languages.

    Parameters
    ----------
    names : tuple of str
        The G languages; the pooled rest is none of them.
    scores : (at least G, draws)
        Macro-F1 of the languages first.
    overall : (draws,)

    Returns
    -------
    dict of str to (draws,)
        ``macro_f1`` over all texts, ``mean_language``, ``worst_language``, ``low_language`` (the
        20 % quantile) and ``english``; the last four only where there are such languages.
    """
    found = {"macro_f1": overall}
    if names:
        own = scores[: len(names)]
        found["mean_language"] = own.mean(axis=0)
        found["worst_language"] = own.min(axis=0)
        found["low_language"] = np.quantile(own, LOW_QUANTILE, axis=0)
    if ENGLISH in names:
        found["english"] = scores[names.index(ENGLISH)]
    return found


def selection_scores(
    y: object, predicted: object, language: object, n_classes: int, min_rows: int
) -> dict[str, float]:
    """Plain scores for choosing an epoch or a penalty; no intervals, in a few milliseconds.

    Parameters
    ----------
    y, predicted : (n,) int
        Classes, 0 to K - 1.
    language : (n,) str
    n_classes : int
        K; the mean of F1 is over all of them.
    min_rows : int
        Texts a language needs to count.

    Returns
    -------
    dict of str to float
        ``macro_f1``, ``mean_language``, ``worst_language``, each in [0, 1].

    Raises
    ------
    TruenessError
        If no language has enough texts.

    Examples
    --------
    >>> selection_scores(np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1]), ["en"] * 2 + ["de"] * 2,
    ...                  n_classes=2, min_rows=2)["worst_language"]
    0.3333333333333333
    """
    check_lengths(y=y, predicted=predicted, language=language)
    labels = checked_labels("y", y, n_classes)
    guesses = checked_labels("predicted", predicted, n_classes)
    slices = judged_languages(language, min_rows)
    one = np.zeros(len(labels), np.int64)
    counts = label_counts(labels, guesses, slices, one, 1, n_classes).toarray()
    scores, overall = macro_f1(counts.reshape(3, len(slices.slices), n_classes, 1))
    found = summaries(slices.names, scores, overall)
    return {n: float(found[n][0]) for n in ("macro_f1", "mean_language", "worst_language")}
