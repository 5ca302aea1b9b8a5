"""Pruning: trials that fall behind are given up early, where that biases nothing.

What is compared is the objective on the validation part after each epoch. Under one split that is
the part's own score; under several folds a pruned trial would have seen some of them only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import optuna

from trueness.errors import SpecError
from trueness.search.definition import Search

Prune: TypeAlias = Literal["median", "halving"]

WARM_UP = 5
"""Epochs that every trial may have; a quarter of them where there are fewer than 20."""
START_UP = 5
"""Finished trials before a median means anything."""
KEPT_OF = 3
"""Successive halving keeps one of so many at each rung."""
ONE_SPLIT = ("holdout", "slices")
"""Protocols with a single validation part."""
EPOCH_SCORES = {
    "auc": "val_auc", "macro_f1": "macro_f1", "mean_group": "mean_group",
    "worst_group": "worst_group",
}  # fmt: skip
"""Objective -> its column in the history of epochs."""


def make_pruner(
    kind: Prune | None, search: Search, *, objective: tuple[str, ...] = ("auc",), seeds: int = 1
) -> optuna.pruners.BasePruner:
    """Pruner of a study.

    Parameters
    ----------
    kind : {"median", "halving"} or None
        ``median``: a trial whose best epoch so far lies below the median that finished trials had
        at this epoch. ``halving``: asynchronous successive halving (Li, Jamieson, Rostamizadeh,
        Gonina, Hardt, Recht and Talwalkar, A system for massively parallel hyperparameter tuning,
        2020) with rungs at 5, 15, 45, ... epochs. None prunes nothing. The first five epochs, a
        quarter of all where that is less, are free.
    search : Search
    objective : tuple of str
        Names of what is maximised.
    seeds : int
        Replicates of each trial.

    Raises
    ------
    SpecError
        If epochs of this search cannot be compared without bias.
    """
    if kind is None:
        return optuna.pruners.NopPruner()
    if not search.trains_networks():
        raise SpecError(
            f"{search.name}: --prune {kind} gives networks up by their epochs, and this space "
            "holds none", "no_network",
        )  # fmt: skip
    spec = search.spec(search.any_valid())
    protocol = spec.evaluation.protocol
    if protocol not in ONE_SPLIT or any(
        leaf.name.startswith("evaluation") for leaf in search.space.leaves()
    ):
        raise SpecError(
            f"--prune {kind} under {protocol} would bias pooled estimates: a pruned trial has not "
            "seen all folds; give --protocol holdout"
        )
    if len(objective) > 1 or objective[0] not in EPOCH_SCORES:
        known = " or ".join(EPOCH_SCORES)
        raise SpecError(
            f"--prune {kind} compares a score of epochs, not {' and '.join(objective)}; give "
            f"--objective {known}"
        )
    if seeds > 1:
        raise SpecError(f"--prune {kind} with {seeds} seeds would bias their mean; give --seeds 1")
    return _PRUNERS[kind](safe_epochs(spec.recipe.epochs))


def safe_epochs(epochs: int) -> int:
    """Epochs that every trial may have, of so many.

    Examples
    --------
    >>> [safe_epochs(n) for n in (3, 8, 60)]
    [1, 2, 5]
    """
    return min(WARM_UP, max(1, epochs // 4))


def epoch_judge(
    trials: dict[str, optuna.trial.Trial], objective: str
) -> Callable[[str, dict[str, float]], bool]:
    """Report epochs of trials to their study, and say which trials end there.

    Parameters
    ----------
    trials : dict of str to Trial
        Key of a spec -> its trial. Forced extremes are reported and never end.
    objective : str
        One of `EPOCH_SCORES`.

    Returns
    -------
    callable
        Takes a key and a row of history with ``epoch`` and the score. An epoch that was reported
        before, as when a worker died and its network starts again, changes nothing.
    """
    note, column = dict.fromkeys(trials, 0), EPOCH_SCORES[objective]

    def judge(key: str, row: dict[str, float]) -> bool:
        trial, epoch = trials[key], int(row["epoch"])
        if epoch <= note[key] or not math.isfinite(row[column]):
            return False
        note[key] = epoch
        try:
            trial.report(row[column], epoch)
        except optuna.exceptions.UpdateFinishedTrialError:  # given away after a long silence
            return False
        return trial.should_prune() and "forced" not in trial.user_attrs

    return judge


def _median(warm_up: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.MedianPruner(
        n_startup_trials=START_UP, n_warmup_steps=warm_up, n_min_trials=START_UP
    )


def _halving(warm_up: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=warm_up, reduction_factor=KEPT_OF)


_PRUNERS: dict[Prune, Callable[[int], optuna.pruners.BasePruner]] = {
    "median": _median,
    "halving": _halving,
}
