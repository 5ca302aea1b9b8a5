"""Training values of one budget on the network of another: a matrix that is really trained."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.document import Column, Document, Items, Kind, Section, Shade, Table
from trueness.errors import DataError, StoreError
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.resampling import Resampled, mean_difference, mean_of
from trueness.evaluation.selection import Contrast, simultaneous_contrasts
from trueness.judge.comparison import draws_of_runs
from trueness.judge.judgement import SCHEMA
from trueness.search.follow_up import Candidate, Ranked, ranked, same_units
from trueness.search.stored import StoredStudy
from trueness.search.trainer import OF_LABELS
from trueness.spec import Spec
from trueness.store import Run, Store


@dataclass(frozen=True)
class Cell:
    """Training values of `source` on the network of `target`.

    `auc` is the mean over seeds, None until the runs are stored; `contrast` is the paired
    difference to the target's own training values, None on the diagonal.
    """

    source: str
    target: str
    candidate: Candidate
    runs: int = 0
    auc: float | None = None
    contrast: Contrast | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "source": self.source, "target": self.target, "runs": self.runs, "auc": self.auc,
            "of": len(self.candidate.specs),
            "difference": self.contrast.to_dict() if self.contrast else None,
        }  # fmt: skip


def transferred(studies: Sequence[StoredStudy], store: Store, *, seeds: int = 1) -> list[Cell]:
    """Best training values of each study on the best network of each other.

    Parameters
    ----------
    studies : sequence of StoredStudy
        Studies that differ in their budget, at least two.
    store : Store
    seeds : int
        Replicates of each cell.

    Raises
    ------
    DataError
        If the studies cannot be compared.
    """
    if len(studies) < 2:
        raise DataError("a transfer needs at least two studies, one for each budget")
    for study in studies:
        if study.objective[0] in OF_LABELS["classes"]:
            raise DataError(
                f"{study.name}: a transfer compares the AUC of networks of windows, which its runs "
                "have not; search their recipes and widths together", "objective",
            )  # fmt: skip
    names = [_short(study) for study in studies]
    if len(set(names)) < len(names):
        raise DataError(f"two studies have the same budget: {', '.join(f.name for f in studies)}")
    best = {name: ranked(f, store)[0] for name, f in zip(names, studies, strict=True)}
    same_units(list(best.values()))
    return [
        Cell(source, target, _candidate(source, target, best, seeds))
        for source in names
        for target in names
    ]


def _short(study: StoredStudy) -> str:
    return re.sub(r"[^\w.]+", "_", study.about["budget"] or study.name)


def _candidate(source: str, target: str, best: dict[str, Ranked], seeds: int) -> Candidate:
    spec = moved(best[source].spec, best[target].spec)
    numbers = tuple(range(spec.seed, spec.seed + seeds)) if seeds > 1 else ()
    why = f"training values of {best[source].study} on the network of {best[target].study}"
    return Candidate(f"T-{source}-on-{target}", "P1", spec, why, numbers)


def moved(source: Spec, target: Spec) -> Spec:
    """The network of `target` with recipe, loss and dropout of `source`."""
    if not (source.model.is_network and target.model.is_network):
        raise DataError("a transfer needs networks")
    shared = set(source.model.rates) & set(target.model.rates)
    values = {name: getattr(source.model, name) for name in sorted(shared)}
    return target.model_copy(update={
        "model": target.model.model_copy(update=values), "recipe": source.recipe,
        "loss": source.loss,
    })  # fmt: skip


def measured_cells(cells: Sequence[Cell], store: Store) -> list[Cell]:
    """Cells with what the store holds of them, and paired differences to the diagonal.

    The difference of a column's cell is to the cell on the diagonal of that column, on the same
    resampled units; the simultaneous intervals hold for all cells together.
    """
    runs = {(c.source, c.target): _stored(c, store) for c in cells}
    distinct = {run.key: run for some in runs.values() for run in some}
    draws, _ = draws_of_runs(store, list(distinct.values()))
    complete = {
        place: [draws[r.key] for r in some]
        for place, some in runs.items()
        if some and all(r.key in draws for r in some)
    }
    whole = {
        (c.source, c.target) for c in cells
        if len(complete.get((c.source, c.target), [])) == len(c.candidate.specs)
    }  # fmt: skip
    off = [p for p in whole if p[0] != p[1] and (p[1], p[1]) in whole]
    differences = [mean_difference(complete[p], complete[p[1], p[1]]) for p in off]
    contrasts = dict(zip(off, simultaneous_contrasts(differences), strict=True))
    return [_measured(c, complete, whole, contrasts) for c in cells]


def _measured(
    cell: Cell, draws: dict[tuple[str, str], list[Resampled]], whole: set[tuple[str, str]],
    contrasts: dict[tuple[str, str], Contrast],
) -> Cell:  # fmt: skip
    place = (cell.source, cell.target)
    auc = mean_of(draws[place]).value if place in whole else None
    count = len(draws.get(place, []))
    return Cell(cell.source, cell.target, cell.candidate, count, auc, contrasts.get(place))


def _stored(cell: Cell, store: Store) -> list[Run]:
    runs = []
    for spec in cell.candidate.specs:
        try:
            runs.append(store.run(spec.key))
        except StoreError:
            continue
    return runs


@dataclass(frozen=True)
class Transfer:
    """The matrix of a transfer, and the command that trains the rest of it."""

    command: str
    cells: Sequence[Cell]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        cells = [cell.to_dict() for cell in self.cells]
        return {"schema": SCHEMA, "kind": "transfer", "command": self.command, "cells": cells}

    def to_frame(self) -> pl.DataFrame:
        """A row per cell."""
        rows = []
        for cell in self.cells:
            flat = {k: v for k, v in cell.to_dict().items() if k != "difference"}
            one = None if cell.contrast is None else cell.contrast.simultaneous
            ends = ("value", "low", "high")
            rows.append({**flat, **{f"difference_{e}": one and getattr(one, e) for e in ends}})
        return pl.DataFrame(rows, infer_schema_length=None)

    def document(self) -> Document:
        """AUC of every cell, and paired differences off the diagonal."""
        difference = (
            "Paired difference to the network's own training values, with an interval that holds "
            "for all cells together."
        )
        return Document(
            "Transfer of training values",
            [
                Table(self._columns("number", "share"), self._rows(_auc), "AUC"),
                Table(self._columns("difference", "signed"), self._rows(_difference),
                      "AUC difference", difference),
                Section("To train the rest", [Items([f"`{self.command}`"])]),
            ],
            "Rows: training values of; columns: network of",
        )  # fmt: skip

    def _columns(self, kind: Kind, shade: Shade) -> list[Column]:
        targets = dict.fromkeys(cell.target for cell in self.cells)
        return [
            Column("training\nvalues of", "code", 9),
            *(Column(f"on {target}", kind, 8, shade=shade) for target in targets),
        ]

    def _rows(self, value: Callable[[Cell], object]) -> list[list[object]]:
        rows: dict[str, list[object]] = {}
        for cell in self.cells:
            rows.setdefault(cell.source, [cell.source]).append(value(cell))
        return list(rows.values())


def _auc(cell: Cell) -> float | str:
    if cell.auc is None:
        return f"{cell.runs} of {len(cell.candidate.specs)} trained"
    return cell.auc


def _difference(cell: Cell) -> Estimate | None:
    return None if cell.contrast is None else cell.contrast.simultaneous
