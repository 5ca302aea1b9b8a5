"""What is written down about a run on titles: its predictions, and what it was trained on."""

from __future__ import annotations

from typing import Any

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
    parts = [rows_of(corpus.part(part), part, logits[part]) for part in MEASURED]
    return Predictions(pl.concat(parts), classes=tuple(corpus.classes))


def rows_of(titles: Titles, part: str, logits: NDArray[np.float32]) -> pl.DataFrame:
    """One row per text of a part."""
    return pl.DataFrame({
        "split": pl.repeat(part, len(titles), eager=True),
        "fold": pl.repeat(0, len(titles), dtype=pl.Int16, eager=True),
        "id": titles.ids,
        "group": titles.language,
        "group_confidence": titles.confidence,
        "cluster": titles.cluster,
        "y": titles.y.astype(np.int16),
        "scores": pl.Series(logits, dtype=pl.Array(pl.Float32, logits.shape[1])),
    })  # fmt: skip


def training_facts(corpus: Corpus) -> dict[str, Any]:
    """Texts per class of the train part, and what the other parts share with it.

    Returns
    -------
    dict
        ``rows``; ``classes``, a count for each; ``shared``: part -> number of its texts whose id,
        cluster, or words (apart from case and spaces) stand in the train part as well.
    """
    train = corpus.part("train")
    known = {name: column.unique() for name, column in _columns(train).items()}
    shared = {
        part: {name: int(column.is_in(known[name].implode()).sum())
               for name, column in _columns(corpus.part(part)).items()}
        for part in MEASURED
    }  # fmt: skip
    classes = np.bincount(train.y, minlength=len(corpus.classes)).tolist()
    return {"rows": len(train), "classes": classes, "shared": shared}


def _columns(titles: Titles) -> dict[str, pl.Series]:
    words = titles.texts.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    return {"ids": titles.ids, "clusters": pl.Series(titles.cluster), "texts": words}
