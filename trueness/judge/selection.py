"""What remains of the candidates of a comparison group after the choice among them.

Seeds of a candidate are replicates, whose AUCs, precisions and counts are averaged. Candidates that
rank all units alike are one for the bounds, the shrinkage and the overfitting.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.evaluation import (
    Contrast,
    Estimate,
    Resampled,
    Shrunk,
    against_best,
    contrasts_with_leader,
    largest_of_pairs,
    mean_of,
    overfitting_of_aucs,
    precision_bounds,
    shrink_drawn,
)
from trueness.judge.comparison import Statistics
from trueness.store import AnyStore, Run

Array = NDArray[np.float64]
FEWEST_FOR_OVERFITTING = 8
"""Candidates; fewer leave nothing to overfit."""
SETS_KEPT = 20
"""Sets of candidates whose joint results the index keeps."""
OPPOSITE = {"better": "worse", "worse": "better"}


@dataclass(frozen=True)
class Selected:
    """One candidate after the choice; its seeds share it.

    Attributes
    ----------
    shrunk : Estimate
        Precision at the largest alarm budget, shrunk towards the pooled one.
    bound : Estimate
        The same with the lower bound that holds for all candidates at once.
    precision, auc : str
        Against the leader: better, worse, tied or unknown; "leader" for the leader itself.
    """

    shrunk: Estimate
    bound: Estimate
    precision: str
    auc: str

    @property
    def against_leader(self) -> str:
        """Where it stands in a word or two: precision decides, then the AUC."""
        if self.precision in OPPOSITE or self.precision == self.auc != "tied":
            return self.precision
        return f"AUC {self.auc}" if self.auc in OPPOSITE else "indistinguishable"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Selection:
    """Candidates of a comparison group after the choice.

    Attributes
    ----------
    by_key : dict of str to Selected
        For each run.
    auc, precision : list of Contrast
        Leader minus each other candidate, corrected for all pairs.
    shrunk : Shrunk
        With the pooled precision, and the variance between candidates.
    overfitting : Estimate or None
        Proportion of the splits of the units; None with fewer than eight distinct candidates.
    distinct, budget : int
    """

    by_key: dict[str, Selected]
    auc: list[Contrast]
    precision: list[Contrast]
    shrunk: Shrunk
    overfitting: Estimate | None
    distinct: int
    budget: int

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; what belongs to a model stands there."""
        return {
            "alarms": self.budget,
            "distinct_candidates": self.distinct,
            "pooled_precision": self.shrunk.pooled.to_dict(),
            "deviation_between_candidates": self.shrunk.deviation,
            "overfitting": None if self.overfitting is None else self.overfitting.to_dict(),
        }


def selection(
    store: AnyStore, known: dict[str, Statistics], runs: Sequence[Run], leader: Run
) -> Selection | None:
    """Judge the candidates of a comparison group together.

    Parameters
    ----------
    store : Store or MemoryStore
        Keeps what all pairs and all splits give.
    known : dict of str to Statistics
        By key.
    runs : sequence of Run
        Candidates of the group.
    leader : Run
        One of them.

    Returns
    -------
    Selection or None
        None if the leader has no statistics.
    """
    if leader.key not in known:
        return None
    seeds = replicates(known, runs, leader)
    parts = [[known[run.key] for run in group] for group in seeds]
    rule = leader.estimands
    aucs = [mean_of([one.auc for one in part]) for part in parts]
    precisions = [mean_of([one.precision for one in part]) for part in parts]
    place, kept = _distinct(parts)
    joint = _joint(store, seeds, [parts[i] for i in kept], aucs, precisions)
    by_auc = contrasts_with_leader(aucs, 0, rule.confidence, joint.auc)
    by_precision = contrasts_with_leader(precisions, 0, rule.confidence, joint.precision)
    some = [precisions[i] for i in kept]
    bounds = precision_bounds(some, [one.dependence for one in some], rule.confidence)
    shrunk = shrink_drawn(some, rule.confidence)
    where = {"chosen_on": rule.chosen_on, "measured_on": rule.measured_on}
    by_key = {
        run.key: Selected(
            replace(shrunk.estimates[at], n_candidates=len(kept), **where),
            replace(bounds[at], **where),
            precise,
            ranked,
        )
        for group, at, precise, ranked in zip(
            seeds, place, ["leader", *_from_other_side(by_precision)],
            ["leader", *_from_other_side(by_auc)], strict=True,
        )
        for run in group
    }  # fmt: skip
    return Selection(
        by_key, by_auc, by_precision, shrunk, joint.overfitting, len(kept), rule.budget
    )


@dataclass(frozen=True)
class _Joint:
    """What holds for all candidates together, whoever leads: pairs, and halves of the units."""

    auc: Array
    precision: Array
    overfitting: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON, which has no NaN."""
        return {
            "auc": _plain(self.auc),
            "precision": _plain(self.precision),
            "overfitting": None if self.overfitting is None else self.overfitting.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: Any) -> _Joint | None:  # noqa: ANN401
        """None if a file holds nothing of these candidates, or is damaged."""
        try:
            auc, precision = (np.array(content[name], np.float64) for name in ("auc", "precision"))
            kept = content["overfitting"]
            overfitting = None if kept is None else Estimate.from_dict(kept)
        except (KeyError, TypeError, ValueError):
            return None
        return cls(auc, precision, overfitting) if auc.ndim == precision.ndim == 1 else None


def _joint(
    store: AnyStore, seeds: Sequence[Sequence[Run]], distinct: Sequence[Sequence[Statistics]],
    aucs: Sequence[Resampled], precisions: Sequence[Resampled],
) -> _Joint:  # fmt: skip
    """From the index of the store, or computed and kept there."""
    one = seeds[0][0]
    name = f"selection-{one.record['comparison_group']}-{one.estimands.budget}"
    members = sorted(sorted(run.address for run in group) for group in seeds)
    address = hashlib.sha256(json.dumps(members).encode()).hexdigest()[:24]
    index = store.index.read(name)
    if (known := _Joint.from_dict(index.get(address))) is not None:
        return known
    fresh = _Joint(largest_of_pairs(aucs), largest_of_pairs(precisions), _overfitting(distinct))
    others = dict(list(index.items())[-SETS_KEPT:])
    store.index.write(name, {**others, address: fresh.to_dict()})
    return fresh


def _plain(values: Array) -> list[float | None]:
    return [x if np.isfinite(x) else None for x in values.tolist()]


def replicates(known: dict[str, Statistics], runs: Sequence[Run], leader: Run) -> list[list[Run]]:
    """Runs with statistics, seeds of one candidate together, those of the leader first."""
    groups: dict[str, list[Run]] = {leader.candidate: []}
    for run in runs:
        if run.key in known:
            groups.setdefault(run.candidate, []).append(run)
    return list(groups.values())


def _distinct(parts: Sequence[Sequence[Statistics]]) -> tuple[list[int], list[int]]:
    """For each candidate its place among the distinct ones, and the first candidate of each."""
    prints = [b"".join(x.tobytes() for s in p for x in (s.won, s.auc.draws)) for p in parts]
    place = {one: at for at, one in enumerate(dict.fromkeys(prints))}
    first: dict[bytes, int] = {}
    for i, one in enumerate(prints):
        first.setdefault(one, i)
    return [place[one] for one in prints], list(first.values())


def _from_other_side(contrasts: Sequence[Contrast]) -> list[str]:
    return [OPPOSITE.get(c.verdict, c.verdict) for c in contrasts]


def _overfitting(parts: Sequence[Sequence[Statistics]]) -> Estimate | None:
    first = parts[0][0]
    if len(parts) < FEWEST_FOR_OVERFITTING or not first.won.size:
        return None
    won = np.array([np.mean([one.won for one in part], axis=0) for part in parts])
    return overfitting_of_aucs(won, first.positives, first.negatives).probability


def against_baselines(
    known: dict[str, Statistics], runs: Sequence[Run], leader: Run, baselines: Sequence[Run]
) -> tuple[list[Contrast], list[Contrast]]:
    """Every candidate minus the best baseline in AUC and in precision, corrected, the leader first.

    Candidates without a single alarm have no precision, and no part in its correction.
    """
    parts = [[known[r.key] for r in group] for group in replicates(known, runs, leader)]
    others = [known[run.key] for run in baselines if run.key in known]
    if not others or not parts[0]:
        return [], []
    confidence = leader.estimands.confidence

    def contrasts(of: str) -> list[Contrast]:
        candidates = [mean_of([getattr(one, of) for one in part]) for part in parts]
        some = [c for i, c in enumerate(candidates) if i == 0 or np.isfinite(c.value)]
        known = [one for other in others if np.isfinite((one := getattr(other, of)).value)]
        return against_best(some, known, confidence) if known else []

    return contrasts("auc"), contrasts("precision")
