"""Whether a model knows anything of the labels, adjusted for all that were tested on the units.

Which models are shown does not matter: every stored candidate on these units was tested there, and
so was every one that the ledger knows and that is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.errors import TruenessError
from trueness.evaluation.influence import too_few
from trueness.evaluation.rearranged import Chance, Labels, alarm_values, rank_values
from trueness.evaluation.resampling import SortedScores
from trueness.judge.access import versions
from trueness.judge.comparison import measured_part
from trueness.predictions import Predictions
from trueness.store import AnyStore, Run
from trueness.store.ledger import Ledger, data_of

Array = NDArray[np.float64]
AT_ONCE = 64
"""Runs whose predictions are held at the same time."""


@dataclass(frozen=True)
class ChanceTest:
    """Whether one model is better than chance, adjusted for all that were tested.

    Attributes
    ----------
    precision, auc : float
        P-values of its hits at the alarm budget, and of its AUC.
    tested : int
        Models among which it was found, those that are gone and epochs chosen among included.
    arrangements : int
        Labels as they are, and rearranged; no p-value can be smaller than one by it.
    shifted : bool
        Whether labels were shifted along time; else clusters or units were permuted.
    """

    precision: float
    auc: float
    tested: int
    arrangements: int
    shifted: bool

    @property
    def smallest(self) -> float:
        """The smallest p-value that can come out."""
        return 1 / self.arrangements

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {**vars(self), "smallest": self.smallest}


def chance_of(store: AnyStore, leader: Run, candidates: Sequence[Run]) -> ChanceTest | None:
    """Test of one candidate among all candidates of its comparison group.

    Parameters
    ----------
    store : Store or MemoryStore
        Keeps what every candidate contributes.
    leader : Run
    candidates : sequence of Run
        All that are stored, whatever is shown.

    Returns
    -------
    ChanceTest or None
        None if its predictions cannot be read, or there are fewer than ten positives or negatives.
    """
    index = _Index.of(store, candidates)
    if index is None or leader.address not in index.addresses:
        return None
    further = _further(store, leader, candidates)
    precision, auc = (
        one.p_value(index.addresses.index(leader.address), further) for one in index.chances
    )
    return ChanceTest(precision, auc, len(index.addresses) + further, *index.facts)


def _further(store: AnyStore, leader: Run, candidates: Sequence[Run]) -> int:
    """Models that were tested on these units and are not stored, and epochs chosen among there."""
    part = leader.spec.estimands.measured_on
    keys = {key for one in Ledger(store).accesses(data_of(leader), part) for key in one.keys}
    gone = sum(key not in store for key in keys)
    return gone + sum(versions(run, part) - 1 for run in candidates)


@dataclass(frozen=True)
class _Index:
    """Standardised sums of candidates by address, kept in the store: alarms, then ranks."""

    addresses: list[str]
    chances: tuple[Chance, Chance]
    facts: tuple[int, bool]

    @classmethod
    def of(cls, store: AnyStore, runs: Sequence[Run]) -> _Index | None:
        """Of candidates of one group; only those that are new are read."""
        if not runs:
            return None
        rule = runs[0].spec.estimands
        name = f"chance-{runs[0].record['comparison_group']}-{rule.block}-{rule.budget}"
        addresses, known = store.read_arrays(name)
        there = set(addresses)
        fresh = [run for run in runs if run.address not in there]
        for start in range(0, len(fresh), AT_ONCE):
            some = _readable(fresh[start : start + AT_ONCE])
            if not some:
                continue
            found = _arrays([part for _, part in some], rule.budget)
            if found is None:
                return None
            addresses = [*addresses, *(run.address for run, _ in some)]
            known = _joined(known, found)
        if fresh and addresses:
            store.write_arrays(name, addresses, known)
        if not addresses:
            return None
        chances = tuple(
            Chance(known["observed"][:, i], known["single"][:, i], known["largest"][i])
            for i in (0, 1)
        )
        return cls(addresses, chances, (known["largest"].shape[1], bool(known["shifted"][0])))  # ty: ignore[invalid-argument-type]


def _readable(runs: Sequence[Run]) -> list[tuple[Run, Predictions]]:
    found = []
    for run in runs:
        try:
            found.append((run, measured_part(run)))
        except TruenessError:
            continue  # told as a problem of the leaderboard
    return found


def _arrays(parts: Sequence[Predictions], budget: int) -> dict[str, NDArray[Any]] | None:
    """Chances of models on the same units; None if these are too few."""
    first = parts[0]
    if too_few(first.y):
        return None
    labels = Labels.of(first.y, first.blocks(), first.group)
    ranked = [SortedScores.of_checked(part.y, part.score) for part in parts]
    both = [
        Chance.of(labels, [alarm_values(one, budget) for one in ranked]),
        Chance.of(labels, [rank_values(one) for one in ranked]),
    ]
    return {
        "observed": np.stack([one.observed for one in both], 1),
        "single": np.stack([one.single for one in both], 1),
        "largest": np.stack([one.largest for one in both]),
        "shifted": np.array([labels.orders is None]),
    }


def _joined(
    known: dict[str, NDArray[Any]], fresh: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Rows of both; the largest sums of all."""
    if not known:
        return fresh
    return fresh | {
        "observed": np.concatenate([known["observed"], fresh["observed"]]),
        "single": np.concatenate([known["single"], fresh["single"]]),
        "largest": np.maximum(known["largest"], fresh["largest"]),
    }
