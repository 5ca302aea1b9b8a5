"""Findings of the runs of a leaderboard: their own, those against baselines, and what is muted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trueness.checks import Mute, mutes_in, stored_findings
from trueness.errors import StoreError
from trueness.evaluation import Estimate, Finding
from trueness.checks.registry import against_baselines
from trueness.judge.comparison import Draws, differences
from trueness.store import Problem, Run, Store


@dataclass(frozen=True)
class Muted:
    """A finding, and the mute that covers it."""

    finding: Finding
    mute: Mute

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {**self.finding.to_dict(), "mute": self.mute.to_dict()}


@dataclass(frozen=True)
class Judged:
    """Findings of a run that count, and those that are muted; the gravest first."""

    findings: list[Finding]
    muted: list[Muted]


def one_feature_runs(networks: Sequence[Run], comparable: Sequence[Run]) -> dict[str, Run]:
    """Key of a network -> the one-feature baseline on the same columns, where it is stored."""
    single = [run for run in comparable if run.spec.model.kind == "one_feature"]
    found = {}
    for run in networks:
        for one in single:
            if (one.spec.task, one.spec.evaluation) == (run.spec.task, run.spec.evaluation):
                found[run.key] = one
    return found


def findings_of_runs(
    store: Store,
    networks: Sequence[Run],
    draws: Draws,
    against: Mapping[str, Estimate],
    single: Mapping[str, Run],
) -> tuple[dict[str, Judged], list[Problem]]:
    """Findings of networks by key, and what could not be read.

    Parameters
    ----------
    store : Store
    networks : sequence of Run
    draws : dict of str to Resampled
        Resampled AUCs of the networks and of the baselines they are compared with.
    against : dict of str to Estimate
        AUC difference of each network to the best baseline.
    single : dict of str to Run
        The one-feature baseline of each network.
    """
    own, problems = stored_findings(store, networks)
    try:
        mutes = mutes_in(store)
    except StoreError as error:
        mutes = []
        problems.append(Problem("mutes.json", str(error)))
    campaigns = _campaigns_by_key(store) if any(m.campaign for m in mutes) else {}
    judged = {}
    for run in networks:
        one = differences(draws, [run], single[run.key]) if run.key in single else {}
        relative = against_baselines(against.get(run.key), one.get(run.key))
        found = sorted([*own[run.key], *relative], key=lambda finding: finding.rank)
        judged[run.key] = _apart(found, mutes, run.key, campaigns.get(run.key, set()))
    return judged, problems


def _campaigns_by_key(store: Store) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, ids in store.campaigns().items():
        for key in (key for keys in ids.values() for key in keys):
            found.setdefault(key, set()).add(name)
    return found


def _apart(found: list[Finding], mutes: list[Mute], key: str, campaigns: set[str]) -> Judged:
    """Findings that count, and those that the latest mute of their kind covers."""
    judged = Judged([], [])
    for finding in found:
        covering = [m for m in mutes if m.covers(finding.code, key, campaigns)]
        if covering:
            judged.muted.append(Muted(finding, covering[-1]))
        else:
            judged.findings.append(finding)
    return judged
