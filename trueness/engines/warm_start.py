"""Networks that begin with the weights of a stored run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.errors import SpecError
from trueness.fit import Member
from trueness.places import StoreLocation
from trueness.spec import Spec
from trueness.store import Run, Store


def starting_weights(
    specs: Sequence[Spec], root: StoreLocation, n_folds: int
) -> dict[Member, Mapping[str, NDArray[Any]]]:
    """Weights of every fold of specs that begin with a stored run.

    Parameters
    ----------
    specs : sequence of Spec
    root : Path or Address
        Of the store.
    n_folds : int

    Raises
    ------
    SpecError
        With code ``other_network`` if a source has another task, evaluation or model.
    StoreError
        If its files are damaged.
    """
    result = {}
    for spec in specs:
        keys = spec.recipe.pretraining.depends_on
        if keys:
            weights = _best(spec, [Store(root).run(key) for key in keys]).parameters()
            for fold in range(n_folds):
                prefix = f"fold{fold}."
                result[Member(spec, fold)] = {
                    n.removeprefix(prefix): a for n, a in weights.items() if n.startswith(prefix)
                }
    return result


def _best(spec: Spec, runs: Sequence[Run[Any]]) -> Run[Any]:
    """The run whose best epochs have the highest AUC on the validation parts."""
    wanted = spec.canonical()
    for run in runs:
        same = {part: getattr(run.spec, part, None) == getattr(wanted, part)
                for part in ("task", "evaluation", "model")}  # fmt: skip
        other = [part for part, is_same in same.items() if not is_same]
        if other:
            raise SpecError(
                f"run {run.key} has another {other[0]}; its weights do not fit {spec.label()}",
                "other_network",
            )
    return max(runs, key=_validation_auc)


def _validation_auc(run: Run[Any]) -> float:
    """Mean over the folds, at the best epoch of each."""
    history, best = run.history(), run.record["best_epochs"]
    at = {(fold, epoch): auc for fold, epoch, auc in history.select("fold", "epoch", "val_auc")
          .iter_rows()}  # fmt: skip
    result = [at[fold, float(epoch)] for fold, epoch in enumerate(best)]
    return float(np.nanmean(result)) if np.isfinite(result).any() else -np.inf
