"""What is written down about a run on titles: its predictions."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.predictions import Predictions
from trueness.text.corpus import Corpus, Titles

MEASURED = ("validation", "test")
HISTORY = {
    "epoch": pl.Int64, "updates": pl.Int64, "skipped": pl.Int64, "train_loss": pl.Float64,
    "val_loss": pl.Float64, "macro_f1": pl.Float64, "mean_group": pl.Float64,
    "worst_group": pl.Float64, "padded": pl.Float64, "seconds": pl.Float64,
}  # fmt: skip


def predictions_of(corpus: Corpus, logits: dict[str, NDArray[np.float32]]) -> Predictions:
    """One row per text of the validation and test parts; languages are the groups."""
    parts = [_rows(corpus.part(part), part, logits[part]) for part in MEASURED]
    return Predictions(pl.concat(parts), classes=tuple(corpus.classes))


def _rows(titles: Titles, part: str, logits: NDArray[np.float32]) -> pl.DataFrame:
    return pl.DataFrame({
        "split": pl.repeat(part, len(titles), eager=True),
        "fold": pl.repeat(0, len(titles), dtype=pl.Int16, eager=True),
        "id": titles.ids,
        "group": titles.language,
        "cluster": titles.cluster,
        "y": titles.y.astype(np.int16),
        "scores": pl.Series(logits, dtype=pl.Array(pl.Float32, logits.shape[1])),
    })  # fmt: skip
