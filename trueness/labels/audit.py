"""What an audit of labels found: suspects, contradicting clusters, how many labels are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.document import Document
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.label_noise import ClusterNoise, LabelNoise
from trueness.judge.judgement import SCHEMA
from trueness.text.corpus import PARTS, Titles

FEWEST = 5
"""Clusters of a class below which no model of other clusters can judge its labels."""
MODEL, CLUSTER = "model", "cluster"


@dataclass(frozen=True)
class LabelledRows:
    """Texts of some parts of a corpus.

    Attributes
    ----------
    titles : Titles
        n texts, part after part.
    part : (n,) str
    classes : tuple of K str
    """

    titles: Titles
    part: NDArray[np.str_]
    classes: tuple[str, ...]

    @property
    def clusters_of_class(self) -> NDArray[np.int64]:
        """Clusters that hold each class, (K,)."""
        pairs = np.unique(np.stack([self.titles.y, self.titles.cluster]), axis=1)
        return np.bincount(pairs[0], minlength=len(self.classes))


@dataclass(frozen=True)
class Contradiction:
    """A cluster whose texts have different labels.

    Attributes
    ----------
    cluster : int
    labels : dict of str to int
        Class -> texts, the most frequent first.
    ids, texts : list of str
        Of the first text of each class.
    """

    cluster: int
    labels: dict[str, int]
    ids: list[str]
    texts: list[str]

    @property
    def label_counts(self) -> str:
        """Its labels in words."""
        return ", ".join(f"{name} {n}" for name, n in self.labels.items())

    @property
    def majority(self) -> str | None:
        """The label of more than half of its texts, if there is one."""
        name, n = next(iter(self.labels.items()))
        return name if 2 * n > sum(self.labels.values()) else None


@dataclass(frozen=True)
class LabelAudit:
    """Labels that are suspect.

    Attributes
    ----------
    name, corpus : str
        What was audited, and the digest of its corpus.
    model : str
        Whose scores these are.
    folds : int
    rows : dict of str to int
        Texts of each part that were looked at.
    number : int
        Estimated wrong labels.
    suspicion : Estimate
        Suspects among the texts that are confidently of a class; see
        `trueness.evaluation.label_noise.LabelNoise.shares` for what the interval covers.
    in_clusters : ClusterNoise
    by_class, by_language : dict of str to Estimate
    frame : polars.DataFrame
        A row per suspect, the surest first: id, part, language, text, given, suggested, margin,
        probability_given, probability_suggested, reason (model, cluster, or both), cluster,
        cluster_labels, accept (empty).
    contradictions : list of Contradiction
    unjudged : dict of str to int
        Classes of too few clusters, with their texts.
    top : int
    notes : tuple of str
    """

    name: str
    corpus: str
    model: str
    folds: int
    rows: dict[str, int]
    number: int
    suspicion: Estimate
    in_clusters: ClusterNoise
    by_class: dict[str, Estimate]
    by_language: dict[str, Estimate]
    frame: pl.DataFrame
    contradictions: list[Contradiction]
    unjudged: dict[str, int]
    top: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        plain = ("name", "corpus", "model", "folds", "rows", "number", "unjudged")
        return {
            "schema": SCHEMA, "kind": "label_audit",
            **{name: getattr(self, name) for name in plain}, "suspicion": self.suspicion.to_dict(),
            "in_clusters": {"pairs": self.in_clusters.pairs,
                            "disagreeing": self.in_clusters.disagreeing,
                            "noise": self.in_clusters.noise.to_dict()},
            "by_class": {name: e.to_dict() for name, e in self.by_class.items()},
            "by_language": {name: e.to_dict() for name, e in self.by_language.items()},
            "notes": list(self.notes), "suspects": self.frame.to_dicts(),
            "contradictions": [vars(one) for one in self.contradictions],
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per suspect; `accept` is to be filled by whoever looks at them."""
        return self.frame

    def document(self) -> Document:
        """What to show."""
        from trueness.labels.audit_document import document_of

        return document_of(self)


def contradictions_of(rows: LabelledRows) -> list[Contradiction]:
    """Clusters whose texts have different labels, the largest first."""
    titles, classes = rows.titles, rows.classes
    order = np.lexsort((titles.y, titles.cluster))
    cluster, y = titles.cluster[order], titles.y[order]
    mixed = cluster[1:][(cluster[1:] == cluster[:-1]) & (y[1:] != y[:-1])]
    inside = np.isin(cluster, mixed)
    order, cluster = order[inside], cluster[inside]
    result = []
    for mine in np.split(order, np.flatnonzero(np.diff(cluster)) + 1) if len(order) else ():
        seen, first, many = np.unique(titles.y[mine], return_index=True, return_counts=True)
        by_size = np.argsort(-many, kind="stable")
        labels = {classes[seen[i]]: int(many[i]) for i in by_size}
        shown = mine[first[by_size]]
        result.append(Contradiction(
            int(titles.cluster[mine[0]]), labels, [str(titles.ids[int(i)]) for i in shown],
            [titles.texts[int(i)] for i in shown],
        ))  # fmt: skip
    return sorted(result, key=lambda one: -sum(one.labels.values()))


def eligible_rows(rows: LabelledRows) -> NDArray[np.bool_]:
    """Rows whose class has enough clusters, (n,)."""
    return (rows.clusters_of_class >= FEWEST)[rows.titles.y]


def suspects_of(
    rows: LabelledRows, noise: LabelNoise, eligible: NDArray[np.bool_],
    contradictions: Sequence[Contradiction],
) -> pl.DataFrame:  # fmt: skip
    """Rows that the model or the others of their cluster speak against.

    Parameters
    ----------
    rows : LabelledRows
        n rows.
    noise : LabelNoise
        Of the `eligible` ones.
    eligible : (n,) bool
    contradictions : sequence of Contradiction
    """
    titles, classes = rows.titles, np.array(rows.classes)
    at = np.flatnonzero(eligible)
    known = {one.cluster: one for one in contradictions}
    notes = [known.get(one) for one in titles.cluster[at].tolist()]
    majority = [None if one is None else one.majority or "" for one in notes]
    against = np.array(
        [
            name is not None and name != label
            for name, label in zip(majority, classes[titles.y[at]], strict=True)
        ],
        bool,
    )
    by_majority = np.array(
        [rows.classes.index(name) if name else -1 for name in majority], np.int64
    )
    own = noise.probabilities[np.arange(len(at)), noise.y]
    suggested = np.where(against & ~noise.suspect & (by_majority >= 0), by_majority,
                         noise.suggested)  # fmt: skip
    other = noise.probabilities[np.arange(len(at)), suggested]
    frame = pl.DataFrame({
        "id": titles.ids.cast(pl.String).gather(at), "part": rows.part[at],
        "language": titles.language[at], "text": titles.texts.gather(at),
        "given": classes[noise.y], "suggested": classes[suggested], "margin": other - own,
        "probability_given": own, "probability_suggested": other,
        "reason": np.array(["", MODEL, CLUSTER, f"{MODEL} and {CLUSTER}"])[
            noise.suspect + 2 * against],
        "cluster": titles.cluster[at],
        "cluster_labels": ["" if one is None else one.label_counts for one in notes],
        "accept": pl.repeat("", len(at), eager=True),
    })  # fmt: skip
    kept = pl.Series(noise.suspect | against)
    return frame.filter(kept).sort("margin", descending=True, maintain_order=True)


def slice_shares(
    rows: LabelledRows, noise: LabelNoise, eligible: NDArray[np.bool_]
) -> tuple[Estimate, dict[str, Estimate], dict[str, Estimate]]:
    """Suspects among all rows that are confidently of a class, of each class, of each language."""
    cluster = rows.titles.cluster[eligible]
    (whole,) = noise.shares(np.zeros(len(cluster), np.int64), cluster, 1)
    names, of = np.unique(rows.titles.language[eligible], return_inverse=True)
    classes = noise.shares(noise.y, cluster, len(rows.classes))
    present = np.bincount(noise.y, minlength=len(rows.classes)) > 0
    by_class = {name: one for name, one, here in zip(rows.classes, classes, present, strict=True)
                if here}  # fmt: skip
    by_language = noise.shares(of, cluster, len(names))
    return whole, by_class, dict(zip(names.tolist(), by_language, strict=True))


def parts_counted(part: NDArray[np.str_]) -> dict[str, int]:
    """Texts of each part."""
    return {name: int((part == name).sum()) for name in PARTS if (part == name).any()}
