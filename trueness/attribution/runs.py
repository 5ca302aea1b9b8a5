"""Models of the folds of a stored run: its weights, or the same fits once more.

Networks keep the weights of every fold. What is fitted to columns keeps none, and is fitted again
on the data that the record names; a fit that does not give the stored scores is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness import interrupts
from trueness.attribution.models import FoldModel, Member, Models, of_columns, of_windows
from trueness.baselines.estimators import fitted_folds
from trueness.baselines.fitted import Explained, logits_of
from trueness.document.numbers import decimal
from trueness.errors import DataError, StoreError, TruenessError
from trueness.examples import PARTS, Examples
from trueness.fit.device import Device
from trueness.predictions import Predictions
from trueness.store import AnyStore, Run
from trueness.tasks import task_of

Index = NDArray[np.int64]
Report = Callable[[str], None]
CLOSE, CLOSE_BF16 = 1e-3, 3e-2
"""Difference of two logits, in units of the larger of 1 and the largest logit, that is rounding."""


def models_of_run(
    store: AnyStore, run: Run, name: str, data: Any, part: Predictions, device: Device,  # noqa: ANN401
    report: Report,
) -> tuple[Models, list[str]]:  # fmt: skip
    """Models that gave the scores of a run on its measured units, and what differs from then.

    Parameters
    ----------
    store : Store or MemoryStore
    run : Run
        Of a binary label, with a model of its own or an ensemble of such runs.
    name : str
        What the run is called.
    data : Data
        Those of the run.
    part : Predictions
        Its measured units, in order.
    device : Device
        On which networks are asked.
    report : callable
        Takes a line about each fold.

    Raises
    ------
    TruenessError
        With code ``not_reproduced`` if models do not give the stored scores, ``missing_run`` if a
        member of an ensemble is gone, ``no_weights`` for networks that kept none, or that of a fit.
    """
    prepared: dict[str, Examples] = {}
    members, task = [], task_of(run.spec.task.kind)
    for one in members_of(store, run):
        key = task.examples_key(one.spec)
        if key not in prepared:
            prepared[key] = task.examples(one.spec, data)
        members.append(Member(tuple(_folds(one, prepared[key], part, device, report))))
    models = Models(tuple(members), len(part))
    return models, _reproduced(models, part, name, _tolerance(store, run))


def members_of(store: AnyStore, run: Run) -> list[Run]:
    """A run, or the runs that an ensemble averages; one that stands twice counts twice."""
    if not run.spec.depends_on:
        return [run]
    result = []
    for key in sorted(run.spec.depends_on):
        if key not in store:
            raise StoreError(f"{run.key} averages {key}, which is not in the store", "missing_run")
        member = store.run(key)
        if member.spec.depends_on:
            raise StoreError(f"{run.key} averages {key}, an ensemble; ask about that one", "nested")
        result.append(member)
    return result


def _folds(
    run: Run, examples: Examples, part: Predictions, device: Device, report: Report
) -> Iterator[FoldModel]:
    """Fold after fold; what each predicts stands in the order of the measured units."""
    where = dict(zip(part.id.tolist(), range(len(part)), strict=True))
    ids, code = examples.columns()["id"], PARTS.index(run.estimands.measured_on)
    units = {}
    for fold in range(examples.n_folds):
        places = np.flatnonzero(examples.parts[fold] == code)
        known = [where.get(str(one), -1) for one in ids[places]]
        rows = np.array(known, np.int64)
        if (rows < 0).any():
            raise DataError(f"{run.key}: fold {fold + 1} predicts units that the run was not "
                            "measured on", "other_data")  # fmt: skip
        order = np.argsort(rows)
        units[fold] = rows[order], places[order]
    make = _networks if run.spec.model.is_network else _estimators
    yield from make(run, examples, units, device, report)


Units = dict[int, tuple[Index, Index]]
"""Fold -> places of its units among the measured ones, and among the examples."""


def _networks(
    run: Run, examples: Examples, units: Units, device: Device, report: Report
) -> Iterator[FoldModel]:
    from trueness.fit.scoring import windows_reader

    weights, precision = run.parameters(), run.record["precision"]
    if list(examples.features) != list(run.record["features"]):
        raise DataError(f"{run.key}: the data give other columns now", "other_data")
    for fold, (rows, places) in units.items():
        prefix = f"fold{fold}."
        own = {n.removeprefix(prefix): a for n, a in weights.items() if n.startswith(prefix)}
        if not len(rows):
            continue
        if not own:
            raise StoreError(f"{run.key} keeps no weights of fold {fold + 1}", "no_weights")
        report(f"fold {fold + 1}")
        read = windows_reader(run.spec, own, len(examples.features), examples.context, device,
                              precision)  # fmt: skip
        yield of_windows(fold, rows, examples, places, read)


def _estimators(
    run: Run, examples: Examples, units: Units, device: Device, report: Report
) -> Iterator[FoldModel]:
    del device
    kind = run.spec.model.kind
    for one in fitted_folds(examples, run.spec):
        interrupts.check()
        report(f"fold {one.fold + 1}: {one.chosen}")
        rows, places = units[one.fold]
        if not len(rows):
            continue
        fitted = one.fitted
        explain = fitted.contributions if isinstance(fitted, Explained) else None
        yield of_columns(one.fold, examples.features, rows, one.x[places],
                         lambda x, fitted=fitted: logits_of(fitted, x, kind), explain)  # fmt: skip


def _tolerance(store: AnyStore, run: Run) -> float:
    """Half precision is rounded otherwise by every processor."""
    records = [one.record for one in members_of(store, run)]
    return CLOSE_BF16 if any(one["precision"] in ("bf16", "fp16") for one in records) else CLOSE


def _reproduced(models: Models, part: Predictions, name: str, tolerance: float) -> list[str]:
    """Refuse models that give other scores than are stored; a note on what rounding changed."""
    again = models.scores(FoldModel.logits)
    if not np.isfinite(again).all():
        raise DataError(f"{name}: some measured units are predicted by no fold", "other_data")
    apart = float(np.abs(again - part.score).max())
    if apart > tolerance * max(1.0, float(np.abs(part.score).max())):
        raise TruenessError(
            f"{name}: its models, opened or fitted again, give other scores than are stored (up to "
            f"{decimal(apart, 3)} apart); the packages, the processor or the data are others, so "
            "nothing can be said about the run as it was", "not_reproduced",
        )  # fmt: skip
    return [f"scores differ from the stored ones by at most {apart:.1g}: rounding"] * (apart > 0)
