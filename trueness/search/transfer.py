"""Training values of one budget on the network of another: a matrix that is really trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trueness.errors import DataError, StoreError
from trueness.evaluation import (
    Contrast,
    Resampled,
    mean_difference,
    mean_of,
    simultaneous_contrasts,
)
from trueness.judge.comparison import auc_draws
from trueness.search.found import Found
from trueness.search.sequel import Candidate, Ranked, ranked, same_days
from trueness.spec import PatchTST, Spec
from trueness.store import Run, Store

TRAINED = ("dropout", "head_dropout")
"""Fields of the model that are training values, not shape."""


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


def transferred(founds: Sequence[Found], store: Store, *, seeds: int = 1) -> list[Cell]:
    """Best training values of each study on the best network of each other.

    Parameters
    ----------
    founds : sequence of Found
        Studies that differ in their budget, at least two.
    store : Store
    seeds : int
        Replicates of each cell.

    Raises
    ------
    DataError
        If the studies cannot be compared.
    """
    if len(founds) < 2:
        raise DataError("a transfer needs at least two studies, one for each budget")
    names = [_short(found) for found in founds]
    if len(set(names)) < len(names):
        raise DataError(f"two studies have the same budget: {', '.join(f.name for f in founds)}")
    best = {name: ranked(f, store)[0] for name, f in zip(names, founds, strict=True)}
    same_days(list(best.values()))
    return [
        Cell(source, target, _candidate(source, target, best, seeds))
        for source in names
        for target in names
    ]


def _short(found: Found) -> str:
    return re.sub(r"[^\w.]+", "_", found.about["budget"] or found.name)


def _candidate(source: str, target: str, best: dict[str, Ranked], seeds: int) -> Candidate:
    spec = moved(best[source].spec, best[target].spec)
    numbers = tuple(range(spec.seed, spec.seed + seeds)) if seeds > 1 else ()
    why = f"training values of {best[source].study} on the network of {best[target].study}"
    return Candidate(f"T-{source}-on-{target}", "P1", spec, why, numbers)


def moved(source: Spec, target: Spec) -> Spec:
    """The network of `target` with recipe, loss and dropout of `source`."""
    if not (isinstance(source.model, PatchTST) and isinstance(target.model, PatchTST)):
        raise DataError("a transfer needs networks")
    values = {name: getattr(source.model, name) for name in TRAINED}
    return target.model_copy(update={
        "model": target.model.model_copy(update=values), "recipe": source.recipe,
        "loss": source.loss,
    })  # fmt: skip


def measured_cells(cells: Sequence[Cell], store: Store) -> list[Cell]:
    """Cells with what the store holds of them, and paired differences to the diagonal.

    The difference of a column's cell is to the cell on the diagonal of that column, on the same
    resampled days; the simultaneous intervals hold for all cells together.
    """
    runs = {(c.source, c.target): _stored(c, store) for c in cells}
    draws, _ = auc_draws(store, list({r.key: r for some in runs.values() for r in some}.values()))
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
    found = dict(zip(off, simultaneous_contrasts(differences), strict=True))
    return [_measured(c, complete, whole, found) for c in cells]


def _measured(
    cell: Cell, draws: dict[tuple[str, str], list[Resampled]], whole: set[tuple[str, str]],
    found: dict[tuple[str, str], Contrast],
) -> Cell:  # fmt: skip
    place = (cell.source, cell.target)
    auc = mean_of(draws[place]).value if place in whole else None
    count = len(draws.get(place, []))
    return Cell(cell.source, cell.target, cell.candidate, count, auc, found.get(place))


def _stored(cell: Cell, store: Store) -> list[Run]:
    found = []
    for spec in cell.candidate.specs:
        try:
            found.append(store.run(spec.key))
        except StoreError:
            continue
    return found


def matrix_rows(cells: Sequence[Cell]) -> list[dict[str, str]]:
    """One row per source, one column per target.

    AUC, and off the diagonal the difference with its simultaneous interval.
    """
    rows: dict[str, dict[str, str]] = {}
    for cell in cells:
        row = rows.setdefault(cell.source, {"training values of": cell.source})
        row[f"on {cell.target}"] = _text(cell)
    return list(rows.values())


def _text(cell: Cell) -> str:
    if cell.auc is None:
        return f"{cell.runs} of {len(cell.candidate.specs)} trained"
    if cell.contrast is None:
        return f"{cell.auc:.3f}"
    one = cell.contrast.simultaneous
    if one.value is None or one.low is None or one.high is None:
        return f"{cell.auc:.3f}"
    return f"{cell.auc:.3f}, {one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"
