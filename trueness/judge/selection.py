"""What remains of the candidates of an arena after the choice among them.

Candidates are specs: seeds of one are replicates, whose AUCs, precisions and counts are averaged.
Candidates that rank all days alike are one for the bounds, the shrinkage and the overfitting.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from trueness.errors import TruenessError
from trueness.evaluation import (
    Contrast,
    Estimate,
    Resampled,
    Shrunk,
    TwoNulls,
    contrasts_with_leader,
    critical_of_pairs,
    mean_difference,
    mean_of,
    overfitting_of_aucs,
    precision_bounds,
    shrink,
    simultaneous_contrasts,
    two_nulls,
)
from trueness.evaluation.dependence import dependence, precision_p_value
from trueness.evaluation.metrics import alarm_cut
from trueness.judge.comparison import Statistics, address, measured, without_seed
from trueness.spec import bootstrap_block
from trueness.store import Run, Store

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
        Precision at the largest alarm budget, drawn towards the pooled one.
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
    def mark(self) -> str:
        """Where it stands in a word or two: precision decides, then the AUC."""
        if self.precision in OPPOSITE or self.precision == self.auc:
            return self.precision
        return f"AUC {self.auc}" if self.auc in OPPOSITE else "tied"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Selection:
    """Candidates of an arena after the choice.

    Attributes
    ----------
    by_key : dict of str to Selected
        For each run.
    auc, precision : list of Contrast
        Leader minus each other candidate, corrected for all pairs.
    shrunk : Shrunk
        With the pooled precision, and the variance between candidates.
    overfitting : Estimate or None
        Share of the splits of the days; None with fewer than eight distinct candidates.
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
        """Plain types for JSON; what belongs to a row stands there."""
        return {
            "alarms": self.budget,
            "distinct_candidates": self.distinct,
            "pooled_precision": self.shrunk.pooled.to_dict(),
            "deviation_between_candidates": self.shrunk.deviation,
            "overfitting": None if self.overfitting is None else self.overfitting.to_dict(),
        }


def selection(
    store: Store, found: dict[str, Statistics], runs: Sequence[Run], leader: Run
) -> Selection | None:
    """Judge the networks of an arena together; None if the leader has no statistics.

    Parameters
    ----------
    store : Store
        Keeps what all pairs and all splits give.
    found : dict of str to Statistics
        By key.
    runs : sequence of Run
        Networks of the arena.
    leader : Run
        One of them.
    """
    if leader.key not in found:
        return None
    seeds = _replicates(found, runs, leader)
    parts = [[found[run.key] for run in group] for group in seeds]
    rule = leader.spec.evaluation
    confidence, budget = rule.confidence_pct / 100, max(rule.alarms)
    aucs = [mean_of([one.auc for one in part]) for part in parts]
    precisions = [mean_of([one.precision for one in part]) for part in parts]
    same, kept = _distinct(parts)
    joint = _joint(store, seeds, [parts[i] for i in kept], aucs, precisions, confidence)
    by_auc = contrasts_with_leader(aucs, 0, confidence, joint["auc"])
    by_precision = contrasts_with_leader(precisions, 0, confidence, joint["precision"])
    bounds = precision_bounds([precisions[i] for i in kept], confidence)
    counts = [_mean_counts(seeds[i], f"precision@{budget}") for i in kept]
    shrunk = shrink(*zip(*counts, strict=True), confidence)
    where = {n: leader.record["estimates"]["auc"][n] for n in ("chosen_on", "measured_on")}
    by_key = {
        run.key: Selected(
            replace(shrunk.estimates[at], n_candidates=len(kept), **where),
            replace(bounds[at], **where),
            precise,
            ranked,
        )
        for group, at, precise, ranked in zip(
            seeds, same, ["leader", *_seen(by_precision)], ["leader", *_seen(by_auc)], strict=True
        )
        for run in group
    }
    overfitting = joint["overfitting"] and Estimate.from_dict(joint["overfitting"])
    return Selection(by_key, by_auc, by_precision, shrunk, overfitting, len(kept), budget)


def _joint(
    store: Store, seeds: Sequence[Sequence[Run]], distinct: Sequence[Sequence[Statistics]],
    aucs: Sequence[Resampled], precisions: Sequence[Resampled], confidence: float,
) -> dict[str, Any]:  # fmt: skip
    """Critical values of all pairs, and overfitting, whoever leads; kept in the index."""
    one = seeds[0][0]
    name = f"selection-{one.record['arena']}-{bootstrap_block(one.spec)}-{precisions[0].n}"
    members = sorted(sorted(map(address, group)) for group in seeds)
    print_ = hashlib.sha256(json.dumps([members, confidence]).encode()).hexdigest()[:24]
    index = store.read_index(name)
    known = index.get(print_)
    if isinstance(known, dict) and _usable(known):
        return known
    fresh = {
        "auc": critical_of_pairs(aucs, confidence),
        "precision": critical_of_pairs(precisions, confidence),
        "overfitting": _overfitting(distinct),
    }
    others = dict(list(index.items())[-SETS_KEPT:])
    store.write_index(name, {**others, print_: fresh})
    return fresh


def _usable(known: dict[str, Any]) -> bool:
    """Whether an entry of the index is whole."""
    numbers = all(isinstance(known.get(name), float | int) for name in ("auc", "precision"))
    share = known.get("overfitting", False)
    return numbers and (
        share is None or (isinstance(share, dict) and {"value", "low", "high", "n"} <= set(share))
    )


def _replicates(found: dict[str, Statistics], runs: Sequence[Run], leader: Run) -> list[list[Run]]:
    """Runs with statistics, seeds of one spec together, those of the leader first."""
    groups: dict[str, list[Run]] = {without_seed(leader.spec): []}
    for run in runs:
        if run.key in found:
            groups.setdefault(without_seed(run.spec), []).append(run)
    return list(groups.values())


def _distinct(parts: Sequence[Sequence[Statistics]]) -> tuple[list[int], list[int]]:
    """For each candidate its place among the distinct ones, and the first candidate of each."""
    prints = [b"".join(x.tobytes() for s in p for x in (s.won, s.auc.draws)) for p in parts]
    place = {one: at for at, one in enumerate(dict.fromkeys(prints))}
    return [place[one] for one in prints], [prints.index(one) for one in place]


def _seen(contrasts: Sequence[Contrast]) -> list[str]:
    """Verdicts from the side of the others."""
    return [OPPOSITE.get(c.verdict, c.verdict) for c in contrasts]


def _mean_counts(group: Sequence[Run], name: str) -> tuple[float, float]:
    """Hits and alarms, means over seeds."""
    shares = [run.record["estimates"][name] for run in group]
    hits, alarms = (float(np.mean([s[x] or 0 for s in shares])) for x in ("k", "n"))
    return hits, alarms


def _overfitting(parts: Sequence[Sequence[Statistics]]) -> dict[str, Any] | None:
    first = parts[0][0]
    if len(parts) < FEWEST_FOR_OVERFITTING or not first.won.size:
        return None
    won = np.array([np.mean([one.won for one in part], axis=0) for part in parts])
    return overfitting_of_aucs(won, first.positives, first.negatives).probability.to_dict()


def nulls_of(
    found: dict[str, Statistics], runs: Sequence[Run], leader: Run, reference: Run | None,
    among: Selection | None,
) -> TwoNulls:  # fmt: skip
    """Whether the leader of comparable networks beats chance, its siblings, the best baseline.

    Parameters
    ----------
    found, runs, leader
        As for `selection`, whose answer is `among`.
    reference : Run or None
        The best baseline.
    """
    rule, estimates = leader.spec.evaluation, leader.record["estimates"]
    confidence = rule.confidence_pct / 100
    parts = [[found[r.key] for r in group] for group in _replicates(found, runs, leader)]
    base = found.get(reference.key) if reference is not None else None
    against = _against(parts, base, "auc", confidence)
    precise = _against(parts, base, "precision", confidence)
    return two_nulls(
        Estimate.from_dict(estimates[f"precision@{max(rule.alarms)}"]),
        estimates["base_rate"]["value"],
        len(runs),
        among.auc if among else [],
        against[0] if parts[0] and against else None,
        against,
        confidence,
        among.precision if among else None,
        precise[0] if parts[0] and precise else None,
        _p_of_leader(leader),
    )


def _p_of_leader(leader: Run) -> float | None:
    """P-value of the leader's hits at its largest budget against the base rate, days dependent.

    None if its predictions cannot be read, raise no alarm, or are fewer than five blocks of days.
    """
    try:
        y, score = measured(leader)
        alarm = score > alarm_cut(score, max(leader.spec.evaluation.alarms))
        depends = dependence(y, alarm, bootstrap_block(leader.spec))
    except TruenessError:
        return None
    base_rate = float(y.mean())
    if not 0 < base_rate < 1:
        return None
    return precision_p_value(int(y[alarm].sum()), int(alarm.sum()), base_rate, depends)


def _against(
    parts: Sequence[Sequence[Statistics]], base: Statistics | None, what: str, confidence: float
) -> list[Contrast]:
    """Each candidate with statistics minus the baseline in `auc` or `precision`, corrected.

    Candidates without a single alarm have no precision, and no part in the correction.
    """
    if base is None:
        return []
    some = [
        [getattr(one, what) for one in part]
        for i, part in enumerate(parts)
        if part and (i == 0 or all(np.isfinite(getattr(one, what).value) for one in part))
    ]
    return simultaneous_contrasts(
        [mean_difference(one, [getattr(base, what)]) for one in some], confidence
    )
