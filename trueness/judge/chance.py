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

from trueness.errors import StoreError, TruenessError
from trueness.evaluation.influence import too_few
from trueness.evaluation.rearranged import Chance, alarm_values, rank_values
from trueness.evaluation.rearranged_labels import labels_of
from trueness.evaluation.resampling import SortedScores
from trueness.evaluation.threads import in_threads
from trueness.judge.access import versions
from trueness.judge.comparison import measured_part
from trueness.predictions import Predictions
from trueness.store import AnyStore, Run
from trueness.store.ledger import Ledger, data_of, earlier_keys

AT_ONCE = 64
"""Runs whose predictions are held at the same time."""
FIELDS = ("observed", "single", "spread", "largest", "highest")
"""Of a `Chance`."""


@dataclass(frozen=True)
class ChanceTest:
    """Whether one model is better than chance, adjusted for all that were tested.

    Attributes
    ----------
    precision, auc : float
        P-values of its hits at the alarm budget, and of its AUC; the larger of those with the
        trends of labels and scores and without them.
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


def chance_of(
    store: AnyStore, leader: Run, candidates: Sequence[Run], result: Rearranged | None
) -> ChanceTest | None:
    """Test of one candidate among all candidates of its comparison group.

    Parameters
    ----------
    store : Store or MemoryStore
        Whose ledger knows of others.
    leader : Run
    candidates : sequence of Run
        All that are stored, whatever is shown.
    result : Rearranged or None
        What they contribute.

    Returns
    -------
    ChanceTest or None
        None if its predictions cannot be read, or there are fewer than ten positives or negatives.
    """
    if result is None or leader.address not in result.addresses:
        return None
    further, place = (
        _further(store, leader, candidates, result),
        result.addresses.index(leader.address),
    )
    return ChanceTest(
        result.precision.p_value(place, further), result.auc.p_value(place, further),
        len(result.addresses) + further, len(result.auc.highest), result.shifted,
    )  # fmt: skip


def _further(store: AnyStore, leader: Run, candidates: Sequence[Run], result: Rearranged) -> int:
    """Models that were tested on these units and are unknown, and epochs chosen among there."""
    part = leader.estimands.measured_on
    try:
        accesses = Ledger(store).accesses(data_of(leader), part)
    except StoreError:
        accesses = []  # told beside the access log
    tested = {key for one in accesses for key in one.keys} - result.keys
    tested -= {key for run in candidates for key in earlier_keys(run)}  # the same models
    others = sum(key not in store or _asks_the_same(store, key, leader) for key in tested)
    return others + sum(versions(run, part) - 1 for run in candidates)


def _asks_the_same(store: AnyStore, key: str, leader: Run) -> bool:
    """Whether a stored run is another model of the same event on the same series.

    It may know fewer days, or be measured otherwise; days and event are the same.
    """
    try:
        spec = store.run(key).spec
    except StoreError:
        return True  # nobody knows any more
    return not spec.is_baseline and spec.question() == leader.spec.question()


@dataclass(frozen=True)
class Rearranged:
    """What candidates of a group contribute under rearranged labels, kept in the store.

    Attributes
    ----------
    addresses : list of str
        Of the candidates, gone ones included.
    precision, auc : Chance
        Of their alarms at the largest budget, and of their ranks.
    shifted : bool
        Whether labels were shifted along time.
    """

    addresses: list[str]
    precision: Chance
    auc: Chance
    shifted: bool

    @property
    def keys(self) -> set[str]:
        """Of all of them."""
        return {address.rpartition("-")[0] for address in self.addresses}

    @classmethod
    def of(cls, store: AnyStore, runs: Sequence[Run]) -> Rearranged | None:
        """Of candidates of one group; only those that are new are read."""
        if not runs:
            return None
        rule = runs[0].estimands
        name = f"chance-{runs[0].record['comparison_group']}-{rule.block}-{rule.budget}"
        known = cls._read(*store.index.read_arrays(name))
        there = set(known.addresses if known else ())
        fresh = [run for run in runs if run.address not in there]
        for start in range(0, len(fresh), AT_ONCE):
            some = _readable(fresh[start : start + AT_ONCE])
            result = _computed(some, rule.budget) if some else None
            known = result if known is None else known if result is None else known._joined(result)
        if fresh and known is not None:
            store.index.write_arrays(name, known.addresses, known._arrays())
        return known

    @classmethod
    def _read(cls, addresses: list[str], arrays: dict[str, NDArray[Any]]) -> Rearranged | None:
        """None if the index holds nothing, or something else."""
        names = {f"{name}-{of}" for name in FIELDS for of in ("precision", "auc")} | {"shifted"}
        if not addresses or set(arrays) != names or not _fits(arrays, len(addresses)):
            return None
        precision, auc = (
            Chance(*(arrays[f"{name}-{of}"] for name in FIELDS)) for of in ("precision", "auc")
        )
        return cls(addresses, precision, auc, bool(arrays["shifted"][0]))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        each = {"precision": self.precision, "auc": self.auc}
        rows = {f"{name}-{of}": getattr(one, name) for of, one in each.items() for name in FIELDS}
        return rows | {"shifted": np.array([self.shifted])}

    def _joined(self, other: Rearranged) -> Rearranged:
        return Rearranged(
            [*self.addresses, *other.addresses], self.precision.joined(other.precision),
            self.auc.joined(other.auc), self.shifted,
        )  # fmt: skip


def _fits(arrays: dict[str, NDArray[Any]], models: int) -> bool:
    """Whether arrays of a `Chance` have one number of each model, or of each arrangement."""
    each = arrays["single-auc"].shape
    every = (*each[:1], *arrays["highest-auc"].shape)
    sizes = {"largest": every, "highest": every[1:], "shifted": (1,)}
    return len(each) == len(every) == 2 and each[1] == models and all(
        one.shape == sizes.get(name.partition("-")[0], each) and not np.isnan(one).any()
        for name, one in arrays.items()
    )  # fmt: skip


def _readable(runs: Sequence[Run]) -> list[tuple[Run, Predictions]]:
    result = []
    for run in runs:
        try:
            result.append((run, measured_part(run)))
        except TruenessError:
            continue  # told as a problem of the leaderboard
    return result


def _computed(some: Sequence[tuple[Run, Predictions]], budget: int) -> Rearranged | None:
    """Of models on the same units; None if these are too few."""
    first = some[0][1]
    ranked = in_threads(lambda one: SortedScores.of(one[1].y, one[1].score), some)
    if too_few(ranked[0].y) or first.blocks(some[0][0].estimands.block).few:
        return None
    labels = labels_of(ranked[0].y, first.blocks(), first.group)
    return Rearranged(
        [run.address for run, _ in some],
        Chance.of(labels, [alarm_values(one, budget) for one in ranked]),
        Chance.of(labels, [rank_values(one) for one in ranked]),
        labels.shifted,
    )
