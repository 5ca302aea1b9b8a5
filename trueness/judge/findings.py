"""Findings of the runs of a comparison group: own ones, those against baselines, muted ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trueness.checks import (
    RELATIVE,
    CheckInput,
    Finding,
    Mute,
    NotApplicable,
    baselines_compared,
    findings_in,
    is_checked,
    limits_in,
    mutes_in,
    run_checks,
    stored_findings,
)
from trueness.errors import StoreError
from trueness.evaluation import Estimate
from trueness.judge.comparison import Draws, differences
from trueness.store import AnyStore, Problem, Run


@dataclass(frozen=True)
class Muted:
    """A finding, and the mute that covers it."""

    finding: Finding
    mute: Mute

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {**self.finding.to_dict(), "mute": self.mute.to_dict()}


@dataclass(frozen=True)
class RunFindings:
    """Findings of a run that count, and those that are muted; the gravest first."""

    findings: list[Finding] = field(default_factory=list)
    muted: list[Muted] = field(default_factory=list)


def compared_baselines(
    candidates: Sequence[Run], comparable: Sequence[Run]
) -> dict[str, list[Run]]:
    """Key of a candidate -> baselines on the same inputs that some check compares it with."""
    wanted = baselines_compared()
    known = [run for run in comparable if run.spec.is_baseline and run.spec.model.kind in wanted]
    return {run.key: [one for one in known if _same_inputs(one, run)] for run in candidates}


def _same_inputs(one: Run, other: Run) -> bool:
    return (one.spec.task, one.spec.evaluation) == (other.spec.task, other.spec.evaluation)


def findings_of_runs(
    store: AnyStore, runs: Sequence[Run], draws: Draws, against: Mapping[str, Estimate],
    compared: Mapping[str, Sequence[Run]], best: Run | None = None,
) -> tuple[dict[str, RunFindings], list[Problem]]:  # fmt: skip
    """Findings of runs by key, and what could not be read.

    Parameters
    ----------
    store : Store
    runs : sequence of Run
    draws : dict of str to Resampled
        Resampled headline of the runs and of the baselines they are compared with.
    against : dict of str to Estimate
        Headline of each run minus that of the best baseline; None where it is not known.
    compared : dict of str to sequence of Run
        See `compared_baselines`.
    best : Run, optional
        The best baseline.
    """
    own, problems = stored_findings(store, runs)
    try:
        mutes = mutes_in(store)
    except StoreError as error:
        mutes = []
        problems.append(Problem("mutes.json", str(error)))
    campaigns = _campaigns_by_key(store) if any(m.campaign for m in mutes) else {}
    moved, findings = limits_in(store), {}
    for run in runs:
        others = _differences(run, draws, against.get(run.key), compared.get(run.key, ()), best)
        relative = []
        if others and not run.spec.is_baseline:
            asked = CheckInput.of_run(run, differences=others, moved=moved)
            relative = findings_in(run_checks(asked, RELATIVE))
        result = sorted([*own[run.key], *relative], key=lambda finding: finding.rank)
        findings[run.key] = _apart(result, mutes, run.key, campaigns.get(run.key, set()))
    return findings, problems


def not_applicable(store: AnyStore, run: Run) -> list[NotApplicable]:
    """Checks that could not look at a run on its own, and why; none for runs that are not checked.

    Raises
    ------
    TruenessError
        If its predictions cannot be read.
    """
    if not is_checked(run.spec):
        return []
    results = run_checks(CheckInput.of_run(run, moved=limits_in(store)))
    return [r for r in results if isinstance(r, NotApplicable) and r.code not in RELATIVE]


def _differences(
    run: Run, draws: Draws, to_best: Estimate | None, compared: Sequence[Run], best: Run | None
) -> dict[str, Estimate]:
    """Headline minus that of each baseline, by kind of model, and of the best one."""
    result = {} if to_best is None else {"best": to_best}
    if to_best is not None and best is not None:
        result[best.spec.model.kind] = to_best
    for one in compared:
        if best is not None and one.key == best.key and to_best is not None:
            continue
        difference = differences(draws, [run], [one]).get(run.key)
        if difference is not None:
            result[one.spec.model.kind] = difference.pointwise
    return result


def _campaigns_by_key(store: AnyStore) -> dict[str, set[str]]:
    result: dict[str, set[str]] = {}
    for name, ids in store.campaigns().items():
        for key in (key for keys in ids.values() for key in keys):
            result.setdefault(key, set()).add(name)
    return result


def _apart(result: list[Finding], mutes: list[Mute], key: str, campaigns: set[str]) -> RunFindings:
    """Findings that count, and those that the latest mute of their kind covers."""
    split = RunFindings()
    for finding in result:
        covering = [m for m in mutes if m.covers(finding.code, key, campaigns)]
        if covering:
            split.muted.append(Muted(finding, covering[-1]))
        else:
            split.findings.append(finding)
    return split
