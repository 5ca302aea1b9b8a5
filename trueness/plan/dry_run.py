"""What a dry run shows: fits and their cost, experiments, splits, and what their size can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.campaign import BASELINE_PRIORITY, Campaign
from trueness.document import Column, Document, Items, Section, Sentence, Table
from trueness.document.numbers import count, listed, plural, short
from trueness.engines import Setting
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.intervals import Estimate
from trueness.judge.judgement import SCHEMA
from trueness.judge.parts import units_in_words
from trueness.judge.power import power_of_labels, power_sentences
from trueness.plan.work import Plan


def resolution(campaign: Campaign, todo: Plan) -> list[dict[str, Any]]:
    """What each distinct set of measured days can resolve, before anything is trained on it.

    Returns
    -------
    list of dict
        `power_dict` of the set with ``part`` and ``lines`` to print; sets on which nothing can be
        compared have the counts and one line.
    """
    sets: dict[tuple[str, int, int], list[Any]] = {}
    for entry, row in zip(campaign.entries, todo.rows, strict=True):
        if not entry.spec.is_baseline and entry.spec.estimands.kind == "binary":
            part = entry.spec.estimands.measured_on
            counts = [fold[part] for fold in row["folds"] if part in fold]
            size = [sum(count[name] for count in counts) for name in ("n", "positives")]
            sets.setdefault((part, size[0], size[1]), []).append(entry.spec)
    return [_resolved(part, specs, todo) for (part, *_), specs in sets.items()]


def _resolved(part: str, specs: list[Any], todo: Plan) -> dict[str, Any]:
    rule, examples = specs[0].estimands, todo.examples_of(specs[0])
    candidates = len({spec.candidate for spec in specs})
    y, blocks, group = _labels(examples, part, rule.block)
    days, positives = len(y), int(y.sum())
    result = power_of_labels(y, blocks, candidates, rule.budget, rule.confidence, group)
    if result is None:
        words = f"{plural(days, units_in_words(rule, part, n=1))} with {positives} positives"
        line = f"Power: none, {words} cannot show any difference."
        return {"part": part, "samples": days, "positives": positives, "lines": [line]}
    lines = power_sentences(result, units_in_words(rule, part, n=1))
    return {"part": part, **result, "lines": lines}


def _labels(
    examples: Any,  # noqa: ANN401
    part: str,
    block: int,
) -> tuple[NDArray[np.uint8], Blocks, Any]:
    """Labels of a part of all folds in the order of time, their blocks, and their series if any."""
    members = [examples.members(part, fold) for fold in range(examples.n_folds)]
    rows = np.unique(np.concatenate(members))  # a unit may be predicted in several folds
    time, cluster = (None if x is None else x[rows] for x in (examples.when, examples.cluster))
    if time is not None:
        rows = rows[order := np.argsort(time, kind="stable")]
        time, cluster = time[order], None if cluster is None else cluster[order]
    length = 1 if time is None else block
    group = None if examples.group is None else examples.group[rows]
    blocks = Blocks.of(len(rows), time=time, cluster=cluster, length=length)
    return examples.y[rows], blocks, group


def size_text(size: dict[str, Any]) -> str:
    """One line about a plan's size.

    Examples
    --------
    >>> size = {"baselines": 1, "networks": 6, "folds": 3, "fits": 18, "gflop_at_most": 1200.0,
    ...         "gflop_expected": None, "hours_at_most": 0.25, "hours_expected": None,
    ...         "memory_bytes": 2e8}
    >>> size_text(size)
    '1 baseline; 6 models × 3 folds = 18 fits, at most 1,200 GFLOP, 15 min, 200 MB'
    >>> size_text(size | {"fits": 6, "gflop_expected": 300.0, "hours_expected": 0.1})
    '1 baseline; 6 models, at most 1,200 GFLOP (about 300 expected), 15 min (about 6 min), 200 MB'
    """
    fits, networks, folds = size["fits"], plural(size["networks"], "model"), size["folds"]
    if fits != size["networks"]:
        networks += f" × {count(folds)} folds =" if folds is not None else ","
        networks += f" {plural(fits, 'fit')}"
    cost = [*_work_words(size), *([_bytes(size["memory_bytes"])] if size["memory_bytes"] else [])]
    return ", ".join([f"{plural(size['baselines'], 'baseline')}; {networks}", *cost])


def _work_words(size: dict[str, Any]) -> list[str]:
    """Work and time at most, and those that are expected."""
    work, hours = size["gflop_at_most"], size["hours_at_most"]
    if work is None:
        return []
    likely, soon = size["gflop_expected"], size["hours_expected"]
    notes = [f"at most {_gflop(work)} GFLOP"] if work else []
    notes = [f"{one} (about {_gflop(likely)} expected)" if likely else one for one in notes]
    if hours is None:
        return [*notes, "time known after the first"] if work else []
    most, mean = hours_text(hours), None if soon is None else hours_text(soon)
    return [*notes, most if mean in (None, most) else f"{most} (about {mean})"]


def _gflop(work: float) -> str:
    return count(work) if work >= 10 else short(work)


def _bytes(n: float) -> str:
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{n / 1e6:.0f} MB"


def hours_text(hours: float) -> str:
    """Duration in minutes or hours.

    Examples
    --------
    >>> hours_text(0.25), hours_text(3.14), hours_text(0.001)
    ('15 min', '3.1 h', 'under a minute')
    """
    if hours < 1 / 60:
        return "under a minute"
    return f"{60 * hours:.0f} min" if hours < 2 else f"{hours:.1f} h"


@dataclass(frozen=True)
class DryRun:
    """What a run would do: experiments, fits, splits, and what their size can show.

    Attributes
    ----------
    name, title, data : str
        Of the campaign, and its bars in words.
    rows : list of dict
        One per experiment and baseline.
    size : dict
        See `Plan.size`.
    power : list of dict
        See `resolution`.
    given_up : int
        Networks that failed before and are left out.
    notes : list of str
    """

    name: str
    title: str
    data: str
    rows: list[dict[str, Any]]
    size: dict[str, Any]
    power: list[dict[str, Any]]
    given_up: int
    notes: list[str]

    @property
    def power_lines(self) -> list[str]:
        """What each evaluation set can show, in sentences."""
        return [line for one in self.power for line in one["lines"]]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"schema": SCHEMA, "kind": "dry_run", **vars(self)}

    def to_frame(self) -> pl.DataFrame:
        """A row per experiment and baseline."""
        flat = [{k: v for k, v in row.items() if k != "folds"} for row in self.rows]
        return pl.DataFrame(flat, infer_schema_length=None)

    def document(self) -> Document:
        """Size, experiments, splits, power."""
        left = plural(self.given_up, "run")
        lost = [f"{left} failed before and left out; --retry tries them again"] * bool(
            self.given_up
        )
        return Document(
            f"Dry run: {self.title}",
            [
                Sentence(f"To train: {size_text(self.size)}.", "verdict"),
                *(Sentence(note, "note") for note in (*lost, *self.notes)),
                Section("Experiments", [_experiments(self.rows)]),
                Section("Splits", _split_tables(self.rows)),
                *(
                    [Section("What the evaluation set can show", [Items(self.power_lines)])]
                    if self.power_lines else []
                ),
            ],
            f"Campaign {self.name} on {self.data}; nothing is trained or written",
        )  # fmt: skip


def planned(campaign: Campaign, todo: Plan, setting: Setting, workers: int) -> DryRun:
    """A plan as it is shown and handed on."""
    return DryRun(
        campaign.name, campaign.title, campaign.data.in_words(), todo.rows,
        todo.size(setting, workers),
        resolution(campaign, todo), len(todo.given_up), todo.notes,
    )  # fmt: skip


EXPERIMENTS = {
    "id": Column("id", "code", 9), "priority": Column("priority", weight=4),
    "key": Column("key", "code", 3), "label": Column("model", weight=7),
    "seed": Column("seed", "count", 5), "features": Column("features", "count", 4),
    "parameters": Column("trained\nweights", "short", 6), "weights": Column("weights", "short", 6),
    "work_gflop": Column("GFLOP\nat most", "number", 6, 1), "stored": Column("stored", weight=8),
}  # fmt: skip


def _experiments(rows: Sequence[dict[str, Any]]) -> Table:
    """Networks only: baselines cost next to nothing."""
    words = {True: "yes", False: "no"}
    cells = [
        {**row, "stored": words[row["stored"]]}
        for row in rows
        if row["priority"] != BASELINE_PRIORITY
    ]
    all_trained = all(row["parameters"] == row["weights"] for row in cells)
    shown = {n: c for n, c in EXPERIMENTS.items() if n != "parameters" or not all_trained}
    return Table(list(shown.values()), [[row[name] for name in shown] for row in cells])


def _split_tables(rows: Sequence[dict[str, Any]]) -> list[Table]:
    """Windows and positives fold by fold, a table for each way of splitting."""
    ways: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        ways.setdefault(str(row["folds"]), []).append(row)
    return [_split_table(some, "" if len(ways) == 1 else _ids(some)) for some in ways.values()]


def _ids(rows: Sequence[dict[str, Any]]) -> str:
    return f"Of {listed([row['id'] for row in rows])}"


def _split_table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    folds = rows[0]["folds"]
    parts = list(dict.fromkeys(part for fold in folds for part in fold))
    cells = [
        [
            place,
            *(
                _of_part(fold[part]) if part in fold else None for part in parts
            ),
        ] for place, fold in enumerate(folds, 1)
    ]  # fmt: skip
    binary = "positives" in folds[0][parts[0]]
    kind = "share" if binary else "count"
    columns = [Column("fold", "count", 9), *(Column(part, kind, 8) for part in parts)]
    note = "Positives among the units of each part." if binary else "Units of each part."
    return Table(columns, cells, title, note)


def _of_part(counts: dict[str, int]) -> Estimate | int:
    """Positives among the units of a part, or the units where labels have K classes."""
    n, positives = counts["n"], counts.get("positives")
    return n if positives is None else Estimate(positives / n, None, None, n, positives)
