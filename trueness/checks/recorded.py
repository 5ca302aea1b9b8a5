"""Findings of one run that do not depend on other runs; the same when it is made and ever after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from trueness.checks.inputs import CheckInput
from trueness.checks.registry import VERSION, findings_in, run_checks
from trueness.checks.results import Finding
from trueness.predictions import Predictions
from trueness.spec.kinds import AnySpec
from trueness.store import Run


def checked(
    spec: AnySpec, record: Mapping[str, Any], predictions: Predictions,
    history: pl.DataFrame | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What a record says about checks: findings under the default limits, and their version.

    Parameters
    ----------
    spec : Spec, TitlesSpec or ExternalSpec
    record : dict
        All else that is stored about the run.
    predictions : Predictions
    history : DataFrame, optional
        A row per epoch.
    """
    findings = _own(spec, CheckInput.of(spec, record, predictions, history))
    return {"findings": [f.to_dict() for f in findings], "checks": VERSION}


def findings_of_run(run: Run[Any], moved: Mapping[str, float]) -> list[Finding]:
    """Findings of a stored run under limits of which some are moved."""
    return _own(run.spec, CheckInput.of_run(run, moved=moved))


def is_checked(spec: AnySpec) -> bool:
    """Whether a run is checked: baselines are there to be beaten, not to be mended."""
    return not spec.is_baseline


def _own(spec: AnySpec, run: CheckInput) -> list[Finding]:
    return findings_in(run_checks(run)) if is_checked(spec) else []
