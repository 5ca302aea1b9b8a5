"""What is written down about a run on windows: its predictions, and what its examples tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.checks import checked
from trueness.engines import Outcome
from trueness.examples import PARTS, Examples
from trueness.frames import as_frame
from trueness.judge.measured import measured
from trueness.models import parameter_count
from trueness.predictions import Predictions
from trueness.spec import Spec

HISTORY = {
    "fold": pl.Int64,
    "epoch": pl.Int64,
    "train_loss": pl.Float64,
    "val_loss": pl.Float64,
    "val_auc": pl.Float64,
    "val_low": pl.Float64,
    "val_high": pl.Float64,
    "val_alarm_share": pl.Float64,
}


def weight_count(spec: Spec, examples: Examples, folder: Path = Path()) -> int:
    """Trainable weights of a spec on these examples; 0 for models without any.

    `folder` is that of own files.
    """
    return parameter_count(spec.model, len(examples.features), examples.context, folder)


def facts_of(spec: Spec, examples: Examples, folder: Path = Path()) -> dict[str, Any]:
    """What a record says about the examples of a run; `folder` is that of own files."""
    return {
        "parameters": weight_count(spec, examples, folder),
        "features": list(examples.features),
        "notes": list(examples.notes),
        "folds": [{p: list(c) for p, c in fold.items()} for fold in examples.counts()],
    }


def make_outcome(
    spec: Spec, predictions: Predictions, facts: dict[str, Any],
    history: Sequence[dict[str, float]] = (), parameters: Mapping[str, NDArray[np.float32]] = {},
) -> Outcome:  # fmt: skip
    """A run ready to be stored; `facts` are those of its examples and what its engine adds."""
    record = measured(spec, predictions) | facts
    record |= checked(spec, record, predictions)
    rows = pl.DataFrame(list(history), schema=HISTORY)
    return Outcome(spec, record, predictions.frame, rows, dict(parameters))


def predictions_of(
    examples: Examples, best: Sequence[NDArray[np.float32]], last: Sequence[NDArray[np.float32]]
) -> Predictions:
    """One row per fold and example that plays a part in it; out of several folds their mean.

    Parameters
    ----------
    examples : Examples
    best, last : sequences of (N,) float32
        Logits of the best and of the last epoch, one array per fold.
    """
    frames, columns = [], examples.columns()
    for fold in range(examples.n_folds):
        rows = np.flatnonzero(examples.parts[fold])
        frames.append(
            as_frame({
                "split": np.array(PARTS)[examples.parts[fold, rows]],
                "fold": np.full(len(rows), fold, np.int16),
                **{name: values[rows] for name, values in columns.items()},
                "score": best[fold][rows],
                "score_last": last[fold][rows],
            })
        )  # fmt: skip
    return Predictions(_averaged(pl.concat(frames)))


def _averaged(frame: pl.DataFrame) -> pl.DataFrame:
    """Units that several folds predict have the mean of their logits, in the first such fold."""
    out_of_fold = frame.filter(pl.col("split") == "oof")
    if not out_of_fold["id"].is_duplicated().any():
        return frame
    scores = {"score", "score_last"}
    others = [c for c in frame.columns if c not in scores | {"id"}]
    mean = out_of_fold.group_by("id", maintain_order=True).agg(
        *(pl.col(name).first() for name in others), *(pl.col(name).mean() for name in scores)
    )
    kept = frame.filter(pl.col("split") != "oof")
    return pl.concat([kept, mean.select(frame.columns)])
