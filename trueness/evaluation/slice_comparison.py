"""Classifiers of the same texts against each other, per language and in their summaries.

Clusters are resampled once for all runs, so that every comparison sees the same texts. Runs that
differ only in their seed are averaged draw by draw: intervals resample clusters, not seeds, and
hold for these fits; how far the seeds scatter is told beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.errors import TruenessError
from trueness.evaluation.by_language import (
    check_lengths,
    checked_labels,
    group_languages,
    label_counts,
    macro_f1,
    summaries,
)
from trueness.evaluation.clusters import cluster_weights, numbered
from trueness.evaluation.intervals import DRAWS, FEWEST_BLOCKS, Estimate
from trueness.evaluation.resampling import Resampled, mean_difference, mean_of
from trueness.evaluation.selection import Contrast, contrasts_with_leader, simultaneous_contrasts

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Harm: TypeAlias = Literal["no", "yes", "unknown"]
ENGLISH_SCORE = "english"
ALLOWED_DROP = 0.003
"""Macro-F1 that English may lose and still count as unhurt."""


@dataclass(frozen=True)
class SliceComparison:
    """A run minus another on the same texts.

    Attributes
    ----------
    languages : dict of str to Contrast
        Difference of macro-F1 per language; simultaneous over the languages. None has an interval
        with fewer than five clusters.
    summaries : dict of str to Contrast
        Difference of each summary of `by_language.summaries`; simultaneous over these.
    first, second : dict of str to float
        Values of the summaries.
    rows, clusters : int
    """

    languages: dict[str, Contrast]
    summaries: dict[str, Contrast]
    first: dict[str, float]
    second: dict[str, float]
    rows: int
    clusters: int

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON, verdicts included."""
        return {**asdict(self), "languages": _dicts(self.languages),
                "summaries": _dicts(self.summaries)}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """One method among several, against the reference.

    Attributes
    ----------
    values : dict of str to float
        Summaries, means over the seeds.
    per_seed : dict of str to tuple of float
        The same for each seed.
    languages : dict of str to float
        Macro-F1 per language with enough texts.
    against : dict of str to Contrast
        Summaries minus those of the reference; each simultaneous over the methods. Empty for the
        reference.
    languages_against : dict of str to Contrast
        The same per language; simultaneous over methods and languages.
    hurts_english : {"no", "yes", "unknown"}
        "no" if the whole simultaneous interval lies above minus the allowed drop, "yes" if it lies
        below it.
    behind : Contrast or None
        Leader minus this method in the target, corrected for the leader being the best of all;
        None for the leader.
    """

    values: dict[str, float]
    per_seed: dict[str, tuple[float, ...]]
    languages: dict[str, float]
    against: dict[str, Contrast]
    languages_against: dict[str, Contrast]
    hurts_english: Harm
    behind: Contrast | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON, verdicts included."""
        behind = None if self.behind is None else self.behind.to_dict()
        return {**asdict(self), "against": _dicts(self.against), "behind": behind,
                "languages_against": _dicts(self.languages_against)}  # fmt: skip


@dataclass(frozen=True)
class MethodComparison:
    """Which methods lift the target without hurting English.

    Attributes
    ----------
    methods : dict of str to Method
    reference, leader, target : str
        The leader has the largest target; it may be the reference.
    allowed_drop, confidence : float
    rows, clusters : int
    """

    methods: dict[str, Method]
    reference: str
    leader: str
    target: str
    allowed_drop: float
    confidence: float
    rows: int
    clusters: int

    @property
    def lifting(self) -> list[str]:
        """Methods better than the reference in the target, the best first."""
        found = [n for n in self.ranked if _verdict(self.methods[n], self.target) == "better"]
        return [n for n in found if n != self.reference]

    @property
    def answer(self) -> list[str]:
        """Those of them that do not hurt English."""
        return [name for name in self.lifting if self.methods[name].hurts_english == "no"]

    @property
    def tied(self) -> list[str]:
        """Methods that the leader is not told apart from in the target."""
        behind = ((n, self.methods[n].behind) for n in self.ranked)
        return [n for n, one in behind if one is not None and one.verdict in ("tied", "unknown")]

    @property
    def ranked(self) -> list[str]:
        """Names by falling target."""
        return sorted(self.methods, key=lambda n: -self.methods[n].values[self.target])

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON, the answer included."""
        methods = {name: one.to_dict() for name, one in self.methods.items()}
        told = {"lifting": self.lifting, "answer": self.answer, "tied": self.tied}
        return {**asdict(self), "methods": methods, **told}


def _verdict(method: Method, summary: str) -> str:
    return method.against[summary].verdict if summary in method.against else ""


def _dicts(contrasts: Mapping[str, Contrast]) -> dict[str, Any]:
    return {name: one.to_dict() for name, one in contrasts.items()}


@dataclass(frozen=True)
class _Draws:
    """Macro-F1 of each slice and the summaries of one run, resampled."""

    slices: dict[str, Resampled]
    summaries: dict[str, Resampled]


def compare_slices(
    y: object, first: ArrayLike, second: ArrayLike, language: object, cluster: object, *,
    n_classes: int, min_rows: int = 100, confidence: float = 0.95, draws: int = DRAWS,
    seed: int = 0,
) -> SliceComparison:  # fmt: skip
    """First minus second on the same texts: which languages are better, worse, not told apart.

    Parameters
    ----------
    y : (n,) int
        Classes, 0 to K - 1.
    first, second : (n,) or (seeds, n) int
        Predicted classes; macro-F1 is averaged over seeds.
    language : (n,) str
    cluster : (n,)
        Texts of a cluster are resampled together.
    n_classes : int
        K.
    min_rows : int
        Texts a language needs to be compared; the others count among all texts only.
    confidence : float
        In (0, 1).
    draws, seed : int

    Returns
    -------
    SliceComparison

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y, language = rng.integers(0, 2, 600), np.repeat(["en", "de"], 300)
    >>> good, bad = (np.where(rng.random(600) < p, y, 1 - y) for p in (0.9, 0.6))
    >>> found = compare_slices(y, good, bad, language, np.arange(600), n_classes=2)
    >>> {name: one.verdict for name, one in found.languages.items()}
    {'de': 'better', 'en': 'better'}
    """
    runs = {"first": first, "second": second}
    found, clusters = _resampled_runs(y, runs, language, cluster, n_classes, min_rows, draws, seed)
    one, other = (_mean(found[name]) for name in runs)
    return SliceComparison(
        _family({n: _minus(r, other.slices[n]) for n, r in one.slices.items()}, confidence),
        _family({n: _minus(r, other.summaries[n]) for n, r in one.summaries.items()}, confidence),
        _values(one.summaries), _values(other.summaries), len(np.asarray(y)), clusters,
    )  # fmt: skip


def compare_many(
    y: object, runs: Mapping[str, ArrayLike], language: object, cluster: object, *, reference: str,
    n_classes: int, target: str = "worst_language", allowed_drop: float = ALLOWED_DROP,
    min_rows: int = 100, confidence: float = 0.95, draws: int = DRAWS, seed: int = 0,
) -> MethodComparison:  # fmt: skip
    """Which method lifts the worst languages without hurting English.

    A method is an answer if its target is better than that of the reference and the interval of its
    English difference lies above minus `allowed_drop`; each is simultaneous over all methods, so
    with about the stated confidence no answer is wrong in either respect.

    Parameters
    ----------
    y : (n,) int
        Classes, 0 to K - 1.
    runs : mapping of str to (n,) or (seeds, n) int
        Predicted classes of each method; macro-F1 is averaged over seeds.
    language : (n,) str
    cluster : (n,)
    reference : str
        The method that the others are compared with.
    n_classes : int
        K.
    target : str
        One of `by_language.summaries`.
    allowed_drop : float
        Macro-F1 that English may lose, at least 0.
    min_rows : int
    confidence : float
        In (0, 1).
    draws, seed : int

    Returns
    -------
    MethodComparison

    Raises
    ------
    TruenessError
        If names, shapes or labels cannot be used, or no language has `min_rows` texts.
    """
    if reference not in runs:
        raise TruenessError(f"no run is called {reference!r}; choose from {', '.join(runs)}")
    if not 0 <= allowed_drop < 1:
        raise TruenessError(f"allowed_drop {allowed_drop} must lie in [0, 1), a drop of macro-F1")
    found, clusters = _resampled_runs(y, runs, language, cluster, n_classes, min_rows, draws, seed)
    means = {name: _mean(seeds) for name, seeds in found.items()}
    known = means[reference].summaries
    if target not in known:
        raise TruenessError(
            f"no summary {target!r} for these texts; choose from {', '.join(known)}"
        )
    against, by_slice = _against(means, reference, confidence)
    leader, behind = _behind({n: m.summaries[target] for n, m in means.items()}, confidence)
    methods = {
        name: Method(
            _values(mean.summaries), _per_seed(found[name]), _values(mean.slices),
            against[name], by_slice[name],
            "no" if name == reference else _harm(against[name].get(ENGLISH_SCORE), allowed_drop),
            behind.get(name),
        )
        for name, mean in means.items()
    }  # fmt: skip
    n = len(np.asarray(y))
    return MethodComparison(
        methods, reference, leader, target, allowed_drop, confidence, n, clusters
    )


# --------------------------------------------------------------------------------------- resampling


def _resampled_runs(
    y: object, runs: Mapping[str, ArrayLike], language: object, cluster: object, n_classes: int,
    min_rows: int, draws: int, seed: int,
) -> tuple[dict[str, list[_Draws]], int]:  # fmt: skip
    """Every seed of every run on the same draws, and the number of clusters."""
    check_lengths(y=y, language=language, cluster=cluster)
    labels, slices = checked_labels("y", y, n_classes), group_languages(language, min_rows)
    index, clusters = numbered(cluster)
    sizes = [
        (int((slices.index == g).sum()), len(np.unique(index[slices.index == g])))
        for g in range(len(slices.names))
    ]
    counts = {
        (name, i): label_counts(labels, guesses, slices, index, clusters, n_classes)
        for name, run in runs.items()
        for i, guesses in enumerate(_seeds(name, run, labels, n_classes))
    }
    shape = (3, len(slices.slices), n_classes, -1)
    parts: dict[tuple[str, int], list[tuple[Array, Array]]] = {one: [] for one in counts}
    for weights in chain([np.ones((clusters, 1))], cluster_weights(clusters, draws, seed)):
        for one, sums in counts.items():
            parts[one].append(macro_f1((sums @ weights).reshape(shape)))
    found: dict[str, list[_Draws]] = {name: [] for name in runs}
    for (name, _), some in parts.items():
        scores, overall = (np.concatenate([p[i] for p in some], axis=-1) for i in (0, 1))
        whole = summaries(slices.names, scores, overall)
        found[name].append(_Draws(
            {s: _statistic(v, *size)
             for s, v, size in zip(slices.names, scores, sizes, strict=False)},
            {s: _statistic(v, len(labels), clusters) for s, v in whole.items()},
        ))  # fmt: skip
    return found, clusters


def _statistic(values: Array, rows: int, clusters: int) -> Resampled:
    """Value of the data and of each draw, from both in one array."""
    return Resampled(float(values[0]), values[1:], rows, clusters)


def _seeds(name: str, run: ArrayLike, y: Index, n_classes: int) -> list[Index]:
    """Predictions of each seed, checked."""
    every = np.atleast_2d(np.asarray(run))
    if every.ndim != 2 or not len(every) or every.shape[1] != len(y):
        raise TruenessError(
            f"predictions of {name} of shape {np.shape(run)}; ({len(y)},) or (seeds, {len(y)}) are "
            "needed"
        )
    return [checked_labels(f"predictions of {name}", one, n_classes) for one in every]


def _mean(seeds: list[_Draws]) -> _Draws:
    return _Draws(
        {n: mean_of([s.slices[n] for s in seeds]) for n in seeds[0].slices},
        {n: mean_of([s.summaries[n] for s in seeds]) for n in seeds[0].summaries},
    )


def _per_seed(seeds: list[_Draws]) -> dict[str, tuple[float, ...]]:
    return {n: tuple(s.summaries[n].value for s in seeds) for n in seeds[0].summaries}


def _values(statistics: Mapping[str, Resampled]) -> dict[str, float]:
    return {name: one.value for name, one in statistics.items()}


# ---------------------------------------------------------------------------------------- contrasts


def _minus(one: Resampled, other: Resampled) -> Resampled:
    return mean_difference([one], [other])


def _family(differences: Mapping[Any, Resampled], confidence: float) -> dict[Any, Contrast]:
    """Contrasts that are simultaneous over those of these differences with enough clusters."""
    enough = {n: d for n, d in differences.items() if d.blocks >= FEWEST_BLOCKS}
    found = simultaneous_contrasts(list(enough.values()), confidence)
    known = dict(zip(enough, found, strict=True))
    return {n: known.get(n) or _unknown(d) for n, d in differences.items()}


def _unknown(difference: Resampled) -> Contrast:
    alone = Estimate(difference.value, None, None, difference.n)
    return Contrast(alone, alone)


def _against(
    means: Mapping[str, _Draws], reference: str, confidence: float
) -> tuple[dict[str, dict[str, Contrast]], dict[str, dict[str, Contrast]]]:
    """Of each method minus the reference: summaries, each a family over methods, and slices."""
    own, others = means[reference], [name for name in means if name != reference]
    told: dict[str, dict[str, Contrast]] = {name: {} for name in means}
    slices: dict[str, dict[str, Contrast]] = {name: {} for name in means}
    for summary, base in own.summaries.items():
        family = {n: _minus(means[n].summaries[summary], base) for n in others}
        for name, contrast in _family(family, confidence).items():
            told[name][summary] = contrast
    every = {
        (n, s): _minus(means[n].slices[s], base) for n in others for s, base in own.slices.items()
    }
    for (name, piece), contrast in _family(every, confidence).items():
        slices[name][piece] = contrast
    return told, slices


def _behind(targets: Mapping[str, Resampled], confidence: float) -> tuple[str, dict[str, Contrast]]:
    """The leader, and how far each other method is behind it."""
    names, candidates = list(targets), list(targets.values())
    leader = max(range(len(names)), key=lambda i: candidates[i].value)
    others = [name for i, name in enumerate(names) if i != leader]
    found = contrasts_with_leader(candidates, leader, confidence)
    return names[leader], dict(zip(others, found, strict=True))


def _harm(english: Contrast | None, allowed_drop: float) -> Harm:
    """Whether English loses more than is allowed."""
    if english is None or english.simultaneous.low is None or english.simultaneous.high is None:
        return "unknown"
    if english.simultaneous.low > -allowed_drop:
        return "no"
    return "yes" if english.simultaneous.high < -allowed_drop else "unknown"
