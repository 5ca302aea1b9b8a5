"""Folds of a stored run that a longer one keeps: the same units trained them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trueness.document.numbers import plural
from trueness.examples import PARTS, Examples
from trueness.fit.monitor import TrainingWarning
from trueness.store import Run

if TYPE_CHECKING:
    from trueness.fit.member import FoldFit


@dataclass(frozen=True)
class Continued:
    """A stored run whose data ended where new ones begin.

    Attributes
    ----------
    key : str
    ancestors : tuple of str
        Runs that it continues itself, the first one first.
    last : str
        Time of the latest bar that it knew.
    folds : mapping of int to int
        Folds that need no training, and the fold of the run whose weights they have.
    """

    key: str
    ancestors: tuple[str, ...]
    last: str
    folds: Mapping[int, int] = field(default_factory=dict)

    def notes(self, kept: int, trained: int, chosen_on: str) -> list[str]:
        """What a reader of the new run must know: of its folds, so many were trained."""
        chosen = ""
        if chosen_on == "validation":
            chosen = f", chosen on the validation units up to {self.last}"
        return [
            f"continues {self.key}: {plural(kept, 'fold')} with its weights{chosen} and its scores "
            f"up to {self.last}; {trained} trained",
            f"weights of a last epoch are not stored: after {self.last} its scores are those of "
            "the best epoch",
        ]


def kept_folds(run: Run[Any], examples: Examples) -> dict[int, int]:
    """Folds of some examples that have the training and validation units of a fold of a run.

    Where results are measured on the validation units themselves, these may have grown: the weights
    stay those that the earlier ones chose. Folds whose stored scores are not all there are left
    out.
    """
    if "model.safetensors" not in run.record["files"]:
        return {}
    if list(examples.features) != list(run.record["features"]):
        return {}
    old, new = _by_part(run.table()), _by_part(_units(examples))
    grows = run.spec.estimands.measured_on == "validation"
    whole = [
        g for g, counts in enumerate(run.record["folds"])
        if all(len(old.get((g, part), ())) == n for part, (n, _) in counts.items())
    ]  # fmt: skip
    result = {}
    for fold in range(examples.n_folds):
        for other in sorted(whole, key=lambda g: (g != fold, g)):
            if _same(old, new, other, fold, grows=grows):
                result[fold] = other
                break
    return result


Units = dict[tuple[int, str], pl.DataFrame]
"""Fold and part -> id and label of its units, in order of the ids."""


def _units(examples: Examples) -> pl.DataFrame:
    """Units of every fold, as predictions name them."""
    columns, frames = examples.columns(), []
    for fold in range(examples.n_folds):
        rows = np.flatnonzero(examples.parts[fold])
        split = np.array(PARTS)[examples.parts[fold, rows]]
        named = {"id": columns["id"][rows], "y": examples.y[rows]}
        frames.append(pl.DataFrame({"split": split, "fold": np.full(len(rows), fold), **named}))
    return pl.concat(frames)


def _by_part(table: pl.DataFrame) -> Units:
    parts = table.sort("id").partition_by("fold", "split", as_dict=True)
    columns = (pl.col("id").cast(pl.String), pl.col("y").cast(pl.UInt8))
    return {(int(f), str(s)): one.select(columns) for (f, s), one in parts.items()}


def _same(old: Units, new: Units, before: int, now: int, *, grows: bool) -> bool:
    """Whether a fold has the training and validation units of an earlier one."""
    train, chose = old.get((before, "train")), old.get((before, "validation"))
    trains, chooses = new.get((now, "train")), new.get((now, "validation"))
    if train is None or chose is None or trains is None or chooses is None:
        return False
    if not train.equals(trains):
        return False
    if grows:
        return chose.join(chooses, on=["id", "y"], how="anti").is_empty()
    return chose.equals(chooses)


def inherited(run: Run[Any], folds: Mapping[int, int], examples: Examples) -> dict[int, FoldFit]:
    """What a run says of folds that keep its weights; scores of units that are new to it are NaN.

    Raises
    ------
    StoreError
        If its files are damaged.
    """
    from trueness.fit.member import FoldFit  # loads torch

    table, history, weights, record = run.table(), run.history(), run.parameters(), run.record
    ids = pl.DataFrame({"id": examples.columns()["id"]})
    result = {}
    for fold, old in folds.items():
        known = table.filter(pl.col("fold") == old).select("id", "score", "score_last")
        known = ids.join(known, on="id", how="left", maintain_order="left")
        best, last = (known[name].to_numpy().astype(np.float32) for name in known.columns[1:])
        prefix = f"fold{old}."
        result[fold] = FoldFit(
            fold,
            {n.removeprefix(prefix): a for n, a in weights.items() if n.startswith(prefix)},
            history.filter(pl.col("fold") == old).drop("fold").to_dicts(),
            [_warning(one) for one in record["incidents"] if one["fold"] == old],
            record["best_epochs"][old], best, last, inherited=True,
        )  # fmt: skip
    return result


def _warning(content: Mapping[str, Any]) -> TrainingWarning:
    return TrainingWarning(**{name: value for name, value in content.items() if name != "fold"})
