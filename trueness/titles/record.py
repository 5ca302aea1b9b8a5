"""What is written down about a run on titles: slices, estimates, and every prediction."""

from __future__ import annotations

import hashlib
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.evaluation.language_calibration import fit_language_temperatures
from trueness.evaluation.slices import measure_slices
from trueness.spec.titles import TitlesSpec
from trueness.text.corpus import Corpus, Titles

MEASURED = ("validation", "test")
HISTORY = {
    "epoch": pl.Int64, "updates": pl.Int64, "skipped": pl.Int64, "train_loss": pl.Float64,
    "val_loss": pl.Float64, "macro_f1": pl.Float64, "mean_language": pl.Float64,
    "worst_language": pl.Float64, "padded": pl.Float64, "seconds": pl.Float64,
}  # fmt: skip


def arena_of(corpus: Corpus, spec: TitlesSpec) -> str:
    """Digest of the test texts and the measures: runs with equal ones may be compared."""
    rule = spec.evaluation
    content = f"{corpus.digest} {rule.min_rows} {rule.confidence_pct} {rule.draws}"
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def make_record(
    spec: TitlesSpec, corpus: Corpus, logits: dict[str, NDArray[np.float32]]
) -> dict[str, Any]:
    """Everything a record says that does not depend on how the logits were made."""
    rule = spec.evaluation
    slices = {}
    for part in MEASURED:
        titles = corpus.part(part)
        slices[part] = measure_slices(
            titles.y, logits[part], titles.language, titles.cluster,
            classes=corpus.classes, min_rows=rule.min_rows,
            confidence=rule.confidence_pct / 100, draws=rule.draws,
            chosen_on="validation", measured_on=part,
        )  # fmt: skip
    validation = corpus.part("validation")
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": _environment(),
        "label": spec.label(),
        "classes": list(corpus.classes),
        "notes": [],
        "arena": arena_of(corpus, spec),
        "estimates": {n: e.to_dict() for n, e in slices["validation"].scores.items()},
        "slices": {part: one.to_dict() for part, one in slices.items()},
        "temperatures": fit_language_temperatures(
            validation.y, logits["validation"], validation.language
        ).to_dict(),
    }


def _environment() -> dict[str, str]:
    packages = {name: version(name) for name in ("trueness", "torch", "numpy", "tokenizers")}
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        **packages,
    }


def predictions_table(corpus: Corpus, logits: dict[str, NDArray[np.float32]]) -> pl.DataFrame:
    """One row per text of the validation and test parts."""
    return pl.concat([_predicted(corpus.part(part), part, logits[part]) for part in MEASURED])


def _predicted(titles: Titles, part: str, logits: NDArray[np.float32]) -> pl.DataFrame:
    return pl.DataFrame({
        "split": pl.repeat(part, len(titles), eager=True),
        "id": titles.ids,
        "language": titles.language,
        "cluster": titles.cluster,
        "y": titles.y.astype(np.int16),
        "logits": pl.Series(logits, dtype=pl.Array(pl.Float32, logits.shape[1])),
    })  # fmt: skip
