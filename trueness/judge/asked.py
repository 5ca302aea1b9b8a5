"""What is asked of a leaderboard, and what no comparison group can answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trueness.errors import StoreError, TruenessError, nearest
from trueness.store import Run


@dataclass(frozen=True)
class Asked:
    """What is asked of a comparison group.

    Attributes
    ----------
    rank_by, part : str or None
        See `leaderboard`.
    reference : str or None
        The one that was asked for, or else the one that the campaign declares.
    pending : bool
        Whether the declared one has no run yet.
    """

    rank_by: str | None
    part: str | None
    reference: str | None
    pending: bool


def asked_of(
    rank_by: str | None, part: str | None, reference: str | None, declared: str | None,
    ids: Mapping[str, Sequence[str]],
) -> Asked:  # fmt: skip
    """What is asked, where a campaign may declare a reference; `ids` are those of stored runs."""
    if reference is not None or declared is None:
        return Asked(rank_by, part, reference, pending=False)
    known = {id_.rpartition("@")[0] or id_ for some in ids.values() for id_ in some}
    return Asked(rank_by, part, declared, pending=declared not in known)


def check_asked(
    groups: Sequence[Sequence[Run]], rank_by: str | None, part: str | None, reference: str | None
) -> None:
    """Refuse what no group can answer, before the evaluation is recorded."""
    for runs in groups:
        if rank_by is not None:
            check_estimate(rank_by, runs)
    kinds = {runs[0].estimands.kind for runs in groups}
    if kinds != {"binary"}:
        return
    if reference is not None:
        raise TruenessError(
            "a reference belongs to --by, or to runs with K classes; these have a binary label",
            "reference",
        )
    parts = {runs[0].estimands.measured_on for runs in groups}
    if part is not None and parts != {part}:
        raise TruenessError(
            f"a leaderboard shows the part that runs are measured on, here {', '.join(parts)}; "
            f"`trueness thresholds RUN --on {part}` judges another one", "no_part",
        )  # fmt: skip


def check_estimate(name: str, runs: Sequence[Run]) -> None:
    """Refuse an estimate that runs do not have.

    Raises
    ------
    StoreError
        With the code ``no_estimate``.
    """
    known = list(runs[0].record["estimates"])
    if name not in known:
        raise StoreError(f"no estimate {name!r}; {nearest(name, known)}", "no_estimate")
