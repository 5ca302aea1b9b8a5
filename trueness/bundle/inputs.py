"""Inputs of a stored run, on the data that its record names: audited, or one by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueness.bundle.finalizing import data_of_run
from trueness.callback import Callback
from trueness.errors import TruenessError
from trueness.judge.feature_values import FeatureValues, feature_values
from trueness.judge.features import FeatureAudit, audit_tier
from trueness.judge.table_features import TableAudit, audit_table
from trueness.store import Run
from trueness.tasks import task_of

TASKS = ("market", "table")
"""Kinds of tasks whose inputs are columns."""
PROTOCOL = "walk_forward"
"""Whose first fold an audit of a tier looks at: it divides bars of any dates."""
BLOCK_DAYS = 125
"""Bars per permuted block of the null."""


def audit_inputs(
    run: Run[Any], name: str, sources: Mapping[str, Any], callback: Callback
) -> FeatureAudit | TableAudit:
    """Audit the columns of a run.

    Parameters
    ----------
    run : Run
    name : str
        What it is called.
    sources : mapping
        Sources of its task by option, None where the record's own are meant.
    callback : Callback

    Raises
    ------
    TruenessError
        With the code ``no_columns`` for a run on texts or with columns that are named one by one,
        ``own_code`` where they come from a file of code, ``no_data``, ``other_data``.
    """
    data, task = _data(run, name, sources), run.spec.task
    if task.kind == "table":
        return audit_table(task, run.spec.evaluation, data.table)
    if task.columns is not None:
        raise TruenessError(f"the columns of {name} are named one by one, and the audit is of a "
                            "tier; choose one feature", "no_columns")  # fmt: skip
    return audit_tier(data.panel.series[0], task.tier, data.volatility, PROTOCOL, BLOCK_DAYS,
                      callback)  # fmt: skip


def values_of_input(
    run: Run[Any], name: str, sources: Mapping[str, Any], feature: str
) -> FeatureValues:
    """One column of a run by itself, in the parts that are not sealed.

    Raises
    ------
    TruenessError
        As `audit_inputs`; ``no_feature`` for a column that it does not read.
    """
    data = _data(run, name, sources)
    examples = task_of(run.spec.task.kind).examples(run.spec, data)
    return feature_values(examples, feature, run.estimands.sealed, name)


def _data(run: Run[Any], name: str, sources: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Data of a run; nothing that a store names is run to make them."""
    if run.spec.task.kind not in TASKS:
        raise TruenessError(f"the run {name} has no columns as inputs", "no_columns")
    if run.record["data"].get("features"):
        raise TruenessError(f"{name} reads features of its own, and no code that a store names is "
                            "run; `trueness features audit --features` does",
                            "own_code")  # fmt: skip
    data = data_of_run(run, name, sources)
    if data.digest != run.record["data"]["digest"]:
        raise TruenessError(f"{data.in_words()} is not what {name} was run on any more",
                            "other_data")  # fmt: skip
    return data
