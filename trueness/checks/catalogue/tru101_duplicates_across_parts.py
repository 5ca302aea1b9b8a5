"""The same texts, or texts of one cluster, in more than one part."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.results import Check, CheckResult, Limit

SHARE = Limit(
    "shared_texts", 0.01, "proportion of measured texts whose words stand in the training part too"
)
CHECK = Check("TRU101", "near-duplicates across parts", "error", ("classes",), (SHARE,))
NAMES = {"ids": "ids", "clusters": "clusters of near-duplicates", "texts": "texts"}


def check(run: CheckInput) -> CheckResult:
    """Ids or clusters that the measured part shares with another one, or many equal texts."""
    part, result = run.rule.measured_on, _between_stored(run)
    trained = _with_training(run)
    if trained is not None:
        result |= {("train", name): n for name, n in trained.items()}
    allowed = run.limit(SHARE) * len(run.measured)
    result = {key: n for key, n in result.items() if n > (allowed if key[1] == "texts" else 0)}
    if result:
        note = "; ".join(
            f"{run.count(n)} of the {part} part share {NAMES[what]} with the {other} part"
            for (other, what), n in result.items()
        )
        return CHECK.finding(note, **{f"{what}_{other}": n for (other, what), n in result.items()})
    if trained is None:
        raise Missing("the training part is not stored")
    return CHECK.clean()


def _between_stored(run: CheckInput) -> dict[tuple[str, str], int]:
    """Measured rows that share an id or a cluster with another stored part."""
    frame, result = run.measured.frame, {}
    for other in run.predictions.splits:
        rows = run.predictions.frame.filter(pl.col("split") == other)
        if other != run.rule.measured_on:
            for what, column in (("ids", "id"), ("clusters", "cluster")):
                if column in frame.columns:
                    result[other, what] = int(
                        frame[column].is_in(rows[column].unique().implode()).sum()
                    )
    return result


def _with_training(run: CheckInput) -> Mapping[str, int] | None:
    """Measured rows that share something with the training part, if anybody knows."""
    if run.predictions.has("train"):
        return {}
    training = run.record.get("training")
    return None if training is None else training["shared"][run.rule.measured_on]
