"""What a campaign declares against what is stored of it: runs still pending, ids of baselines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trueness.document.numbers import count, listed
from trueness.store import Run
from trueness.store.campaigns import Declared


@dataclass(frozen=True)
class Pending:
    """Candidates of a campaign of which some are neither stored nor failed, seeds counted once."""

    stored: int
    declared: int

    def __str__(self) -> str:
        return f"Preliminary: {count(self.stored)} of {count(self.declared)} candidates."

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


def pending_of(
    declared: Declared, runs: Sequence[Run], failed: Collection[str], keys: set[str] | None
) -> Pending | None:
    """Candidates of a campaign that are stored, of how many; None where none is pending.

    Parameters
    ----------
    declared : Declared
        Ids whose latest key counts, and which of them are baselines.
    runs : sequence of Run
        All that are stored.
    failed : collection of str
        Keys of runs that failed: nobody waits for them.
    keys : set of str or None
        Only these count.
    """
    roles = {run.key: run.spec.is_baseline for run in runs}
    own = {declared.ids[id_][-1] for id_ in declared.baselines if declared.ids.get(id_)}
    states: dict[str, list[str]] = {}
    for id_, every in declared.ids.items():
        key = every[-1] if every else ""
        if not key or key in own or roles.get(key) or (keys is not None and key not in keys):
            continue
        state = "stored" if key in roles else "failed" if key in failed else "pending"
        states.setdefault(id_.rpartition("@")[0] or id_, []).append(state)
    if not any("pending" in some for some in states.values()):
        return None
    stored = sum(set(some) == {"stored"} for some in states.values())
    return Pending(stored, len(states))


def same_as_baselines(declared: Declared, shown: Collection[str]) -> list[str]:
    """A sentence for each baseline that experiments of the campaign are the same run as.

    `shown` are the keys of the baselines that are shown.
    """
    by_key: dict[str, list[str]] = {}
    for id_, keys in declared.ids.items():
        if keys and keys[-1] in shown and id_ not in declared.baselines:
            by_key.setdefault(keys[-1], []).append(id_)
    names = {keys[-1]: id_ for id_, keys in declared.ids.items()
             if id_ in declared.baselines and keys}  # fmt: skip
    return [
        f"{listed(ids)} {'is' if len(ids) == 1 else 'are'} the same run as the baseline "
        f"{names[key]}, so {'it is no candidate' if len(ids) == 1 else 'they are no candidates'}."
        for key, ids in by_key.items()
        if key in names
    ]
