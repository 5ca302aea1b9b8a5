"""Findings of stored runs, under the limits of their store.

A record holds the findings under the default limits. Where a store has limits of its own, or a run
was checked by an older version, they are made anew from the predictions, once: an index that may be
deleted at any time keeps them by the content of the predictions and by the limits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from trueness.checks.recorded import findings_of_run
from trueness.checks.registry import VERSION, findings_from, moved_limits
from trueness.checks.results import Finding
from trueness.errors import TruenessError
from trueness.store import AnyStore, MemoryStore, Problem, Run

FILE = "checks.yaml"
SHAPE = "a mapping with `limits:` is needed, as in `limits: {drift_ratio: 2}`"


def limits_in(store: AnyStore) -> dict[str, float]:
    """Limits that the ``checks.yaml`` of a store moves away from their defaults.

    Raises
    ------
    TruenessError
        If the file holds anything else than known limits.
    """
    path = None if isinstance(store, MemoryStore) else store.kept.by_hand(FILE)
    if path is None:
        return {}
    from trueness.yamlfile import Reader  # few stores have such a file, and YAML is slow to load

    content = Reader(path, SHAPE).part_of_root()
    moved = content.get("limits", {})
    if set(content) != {"limits"} or not isinstance(moved, dict):
        hint = "; `trueness mute` keeps its mutes elsewhere" if "mute" in content else ""
        raise TruenessError(f"{path}: {SHAPE}{hint}", "limits_file")
    try:
        return moved_limits(moved)
    except TruenessError as error:
        raise TruenessError(f"{path}: {error}", error.code) from None


def stored_findings(
    store: AnyStore, runs: Iterable[Run]
) -> tuple[dict[str, list[Finding]], list[Problem]]:
    """Findings of runs by key, and the runs whose predictions cannot be read.

    Those keep the findings that their record holds.
    """
    moved, problems = limits_in(store), []
    name = f"findings-{_digest(moved)}"
    result, index, fresh = {}, None, {}
    for run in runs:
        if run.record.get("checks") == VERSION and not moved:
            result[run.key] = findings_from(run.record["findings"])
            continue
        index = store.index.read(name) if index is None else index
        content = index.get(run.address)
        if not isinstance(content, list):
            try:
                content = [f.to_dict() for f in findings_of_run(run, moved)]
            except TruenessError as error:
                problems.append(Problem(run.key, str(error)))
                content = run.record.get("findings", [])
            else:
                fresh[run.address] = content
        result[run.key] = findings_from(content)
    if fresh:
        store.index.write(name, {**(index or {}), **fresh})
    return result, problems


def _digest(moved: Mapping[str, Any]) -> str:
    content = json.dumps([VERSION, moved], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
