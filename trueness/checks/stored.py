"""Findings of stored runs, under the limits of their store.

A record holds the findings under the default limits. Where a store has limits of its own, or a run
was checked by an older version, they are made anew from the predictions, once: an index that may be
deleted at any time keeps them by the content of the predictions and by the limits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from trueness.checks.from_run import diagnose
from trueness.errors import StoreError, TruenessError
from trueness.evaluation import Finding, Limits
from trueness.checks.registry import VERSION, findings_from
from trueness.store import Problem, Run, Store
from trueness.yamlfile import Reader

FILE = "checks.yaml"
SHAPE = "a mapping with `limits:` is needed, as in `limits: {few_positives: 50}`"


def limits_in(store: Store) -> Limits:
    """Limits of the checks in a store: the defaults, and what its ``checks.yaml`` moves.

    Raises
    ------
    TruenessError
        If the file holds anything else than known limits.
    """
    path = store.root / FILE
    if not path.exists():
        return Limits()
    content = Reader(path, SHAPE).part_of_root()
    moved = content.get("limits", {})
    if set(content) != {"limits"} or not isinstance(moved, dict):
        hint = "; `trueness mute` keeps its mutes elsewhere" if "mute" in content else ""
        raise TruenessError(f"{path}: {SHAPE}{hint}")
    try:
        return Limits.from_dict(moved)
    except TruenessError as error:
        raise TruenessError(f"{path}: {error}") from None


def stored_findings(
    store: Store, runs: Iterable[Run]
) -> tuple[dict[str, list[Finding]], list[Problem]]:
    """Findings of runs by key, and the runs whose predictions cannot be read.

    Those keep the findings that their record holds.
    """
    limits, problems = limits_in(store), []
    name = f"findings-{_digest(limits)}"
    found, index, fresh = {}, None, {}
    for run in runs:
        if run.record.get("checks") == VERSION and limits == Limits():
            found[run.key] = findings_from(run.record["findings"])
            continue
        index = store.read_index(name) if index is None else index
        address = f"{run.key}-{run.record['files']['predictions.parquet']['sha256'][:12]}"
        content = index.get(address)
        if not isinstance(content, list):
            try:
                content = _made_anew(run, limits)
            except StoreError as error:
                problems.append(Problem(run.key, str(error)))
                content = run.record["findings"]
            else:
                fresh[address] = content
        found[run.key] = findings_from(content)
    if fresh:
        store.write_index(name, {**(index or {}), **fresh})
    return found, problems


def _made_anew(run: Run, limits: Limits) -> list[dict[str, Any]]:
    return [f.to_dict() for f in diagnose(run.spec, run.record, run.predictions(), limits)]


def _digest(limits: Limits) -> str:
    content = json.dumps([VERSION, limits.to_dict()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
