"""Published results beside the runs of this store: counts, intervals, and what luck would give.

A published precision without its counts cannot be judged; one with them has an exact interval, and
the best of many has to be compared with the best that equal runs would show by luck.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from trueness.errors import DataError
from trueness.evaluation import Estimate, Shrunk, mean_of, replicated_proportion, shrink
from trueness.judge.comparison import auc_draws
from trueness.store import Run, Store

MEASURED = {"precision": "precision@0.5", "recall": "recall@0.5", "auc": "auc"}
"""Published measure -> estimate of a stored run; published precisions are those at 0.5."""
SHARES = ("precision", "recall", "auc", "precision_ci95_low", "precision_ci95_high")
COUNTS = ("tp", "fp", "fn", "n_pred_pos")
MIN_ALARMS = 5
ROUNDING = 5e-4
MOST_COUNT = 10**9
COUNT_ROUNDING = 0.006
"""How far a printed precision may be from its counts."""
ENDS = (("low", 0.0), ("high", 1.0))
LUCK_ALPHA = 0.05


@dataclass(frozen=True)
class Published:
    """One line of a file of results; whatever it does not give is None."""

    id: str
    line: int
    values: dict[str, float]

    @property
    def alarms(self) -> Estimate | None:
        """Hits of alarms with the exact 95 % interval, if both counts are given."""
        hits, alarms = self.values.get("tp"), self.values.get("n_pred_pos")
        if hits is None or alarms is None:
            return None
        return Estimate.proportion(int(hits), int(alarms))


def _within(value: float, estimate: Estimate) -> bool:
    """Whether a published value, rounded to three decimals at the least, lies in an interval."""
    low, high = estimate.low or 0.0, 1.0 if estimate.high is None else estimate.high
    return low - ROUNDING <= value <= high + ROUNDING


@dataclass(frozen=True)
class Replayed:
    """A published experiment, the stored runs of its id, and where the two disagree.

    `shrunk` is the published precision drawn towards that of all experiments with counts.
    """

    published: Published
    runs: list[Run]
    measured: dict[str, Estimate]
    shrunk: Estimate | None

    @property
    def outside(self) -> list[str]:
        """Measures whose published value lies outside of the measured interval."""
        return [
            name for name in self.compared
            if not _within(self.published.values[name], self.measured[name])
        ]  # fmt: skip

    @property
    def compared(self) -> list[str]:
        """Measures that are both published and measured."""
        return [
            name for name, e in self.measured.items()
            if name in self.published.values and None not in (e.value, e.low, e.high)
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        one, alarms = self.published, self.published.alarms
        return {
            "id": one.id, "line": one.line, "published": one.values,
            "published_precision": None if alarms is None else alarms.to_dict(),
            "shrunk_precision": None if self.shrunk is None else self.shrunk.to_dict(),
            "runs": [run.key for run in self.runs],
            "measured": {name: e.to_dict() for name, e in self.measured.items()},
            "outside": self.outside,
        }  # fmt: skip


@dataclass(frozen=True)
class Luck:
    """The best published precision, and how often equal runs would show one as good.

    Attributes
    ----------
    best : Published
    pooled : Estimate
        Hits of alarms over all experiments with counts: the null.
    runs : int
        Experiments with at least `MIN_ALARMS` alarms.
    probability : float
    """

    best: Published
    pooled: Estimate
    runs: int
    probability: float

    @property
    def tied(self) -> bool:
        """Whether equal runs would show as much in more than 5 of 100 cases."""
        return self.probability > LUCK_ALPHA

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        alarms = self.best.alarms
        return {
            "best": self.best.id, "precision": alarms.to_dict() if alarms else None,
            "pooled_precision": self.pooled.to_dict(), "runs": self.runs,
            "min_alarms": MIN_ALARMS, "probability": self.probability,
            "tied": self.tied,
        }  # fmt: skip


@dataclass(frozen=True)
class Replay:
    """All published experiments of a file beside what this store measured."""

    source: str
    campaign: str
    rows: list[Replayed]
    luck: Luck | None
    shrunk: Shrunk | None
    notes: list[str]

    def counts(self) -> dict[str, int]:
        """How many are published, with counts, measured, and outside of the measured interval."""
        facts = {
            "published": len(self.rows),
            "with_counts": sum(r.published.alarms is not None for r in self.rows),
            "measured": sum(bool(r.runs) for r in self.rows),
            "outside": sum(bool(r.outside) for r in self.rows),
        }
        for name in MEASURED:
            facts[f"{name}_compared"] = sum(name in r.compared for r in self.rows)
            facts[f"{name}_outside"] = sum(name in r.outside for r in self.rows)
        return facts

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "file": self.source, "campaign": self.campaign, "summary": self.counts(),
            "luck": None if self.luck is None else self.luck.to_dict(), "notes": self.notes,
            "common_precision": None if self.shrunk is None else self.shrunk.pooled.to_dict(),
            "deviation": None if self.shrunk is None else self.shrunk.deviation,
            "experiments": [row.to_dict() for row in self.rows],
        }  # fmt: skip


# ------------------------------------------------------------------------------------------ reading


def read_published(path: str | Path) -> list[Published]:
    """Read a CSV file with a column exp_id and at least one known measure.

    Other columns are ignored, empty cells are unknown values.

    Raises
    ------
    DataError
        If it is no such file, or a number cannot be right; the message names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; give a CSV file of published results")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _rows(path, csv.DictReader(file, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file ({error})") from None


def _rows(path: Path, reader: csv.DictReader[str]) -> list[Published]:
    header = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = header
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: the column {twice} stands twice in the header")
    known = [name for name in (*SHARES, *COUNTS) if name in header]
    if "exp_id" not in header or not known:
        missing = "column exp_id" if "exp_id" not in header else "known measure"
        raise DataError(
            f"{path}: no {missing}; a column exp_id and at least one of "
            f"{', '.join((*SHARES, *COUNTS))} are needed"
        )
    rows: dict[str, Published] = {}
    for row in reader:
        where = f"{path}:{reader.line_num}"
        if None in row:
            raise DataError(f"{where}: more cells than the {len(header)} columns of the header")
        id_ = (row["exp_id"] or "").strip()
        if not id_:
            raise DataError(f"{where}: no exp_id")
        if not id_.isprintable():
            raise DataError(f"{where}: exp_id {id_!r} is no name")
        if id_ in rows:
            raise DataError(f"{where}: {id_} stands twice, first in line {rows[id_].line}")
        rows[id_] = Published(id_, reader.line_num, _values(where, row, known))
    if not rows:
        raise DataError(f"{path}: no experiments under the header")
    return list(rows.values())


def _values(where: str, row: dict[str, str], known: Sequence[str]) -> dict[str, float]:
    """Numbers of a line that are given, checked one by one and against each other."""
    cells = {name: (row[name] or "").strip() for name in known}
    values = {name: _number(where, name, text) for name, text in cells.items() if text}
    if "n_pred_pos" not in values and {"tp", "fp"} <= set(values):
        values["n_pred_pos"] = values["tp"] + values["fp"]
    hits, false = values.get("tp"), values.get("fp")
    alarms = values.get("n_pred_pos")
    if alarms is not None and hits is not None:
        wrong = hits > alarms if false is None else hits + false != alarms
        if wrong:
            others = "" if false is None else f" and {false:g} false ones"
            raise DataError(f"{where}: {hits:g} hits{others} among {alarms:g} alarms")
        given = values.get("precision")
        if given is not None and alarms and abs(hits / alarms - given) > COUNT_ROUNDING:
            raise DataError(f"{where}: precision {given:g} is not {hits:g} of {alarms:g} alarms")
    ends = [values.get(f"precision_ci95_{end}", default) for end, default in ENDS]
    if ends[0] > ends[1]:
        raise DataError(f"{where}: the interval runs from {ends[0]:g} to {ends[1]:g}")
    return values


def _number(where: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise DataError(f"{where}: {name} {text!r} is not a number") from None
    if name in COUNTS and not (0 <= value <= MOST_COUNT and value.is_integer()):
        raise DataError(f"{where}: {name} {text} is not a count")
    if name in SHARES and not 0 <= value <= 1:
        raise DataError(f"{where}: {name} {text} is not in [0, 1]; divide percent by 100")
    return value


# ---------------------------------------------------------------------------------------- comparing


def replay(rows: Iterable[Published], store: Store, campaign: str, source: str = "") -> Replay:
    """Set published experiments beside the stored runs of the same ids, all seeds of them.

    Parameters
    ----------
    rows : iterable of Published
    store : Store
        May be empty: published intervals and the comparison with luck need no runs.
    campaign : str
        Campaign whose ids are meant.
    source : str
        Where the rows come from, in words.
    """
    rows, known, notes = list(rows), store.campaigns(), []
    if campaign not in known:
        others = f"; it holds {', '.join(known)}" if known else ""
        notes.append(f"nothing is measured: the store has no campaign {campaign!r}{others}")
    every, problems = store.all_runs()
    notes += [f"skipped {p.name}: {p.reason}" for p in problems]
    stored, ids = {run.key: run for run in every}, known.get(campaign, {})
    together, shrunk = _shrunk(rows)
    compared = []
    for one in rows:
        keys = [keys[-1] for name, keys in ids.items() if _is_of(name, one.id) and keys]
        runs = _comparable(one.id, [stored[key] for key in keys if key in stored], notes)
        measured = _measured(store, runs, notes)
        compared.append(Replayed(one, runs, measured, shrunk.get(one.id)))
    notes += _other_days(compared)
    return Replay(source, campaign, compared, best_by_luck(rows), together, notes)


def _shrunk(rows: Sequence[Published]) -> tuple[Shrunk | None, dict[str, Estimate]]:
    """Published precisions with counts, drawn together; those of experiments with alarms by id."""
    counted = [(one.id, e.k or 0, e.n) for one in rows if (e := one.alarms) is not None and e.n]
    if not counted:
        return None, {}
    ids, hits, alarms = zip(*counted, strict=True)
    found = shrink(hits, alarms)
    return found, dict(zip(ids, found.estimates, strict=True))


def _other_days(rows: Sequence[Replayed]) -> list[str]:
    """A note if the published days cannot be the measured ones: their positives differ."""
    positives = {
        (int(row.published.values["tp"] + row.published.values["fn"]), recall["n"])
        for row in rows
        for recall in [run.record["estimates"]["recall@0.5"] for run in row.runs]
        if {"tp", "fn"} <= set(row.published.values)
    }
    other = sorted((theirs, ours) for theirs, ours in positives if theirs != ours)
    return [
        f"not the published days: {theirs} positives are published, {ours} measured"
        for theirs, ours in other
    ]


def _is_of(name: str, id_: str) -> bool:
    """Whether a stored id is the published one, or a replicate of it."""
    return id_ in (name, name.split("@")[0])


def _comparable(id_: str, runs: list[Run], notes: list[str]) -> list[Run]:
    """The runs that were measured on the same days as the first."""
    unique = list({run.key: run for run in runs}.values())
    same = [run for run in unique if run.record["comparison_group"] == unique[0].record["comparison_group"]]
    if len(same) < len(unique):
        notes.append(f"{id_}: its seeds were measured on different days; only the first are shown")
    return same


def _measured(store: Store, runs: list[Run], notes: list[str]) -> dict[str, Estimate]:
    """Precision and recall at 0.5 and AUC of the replicates of one experiment as one."""
    if not runs:
        return {}
    confidence = runs[0].spec.evaluation.confidence_pct / 100
    found = {
        name: replicated_proportion(
            [Estimate.from_dict(run.record["estimates"][stored]) for run in runs], confidence
        )
        for name, stored in MEASURED.items()
        if name != "auc"
    }
    if len(runs) == 1:
        return {**found, "auc": Estimate.from_dict(runs[0].record["estimates"]["auc"])}
    draws, problems = auc_draws(store, runs)
    notes += [f"{p.name}: {p.reason}" for p in problems]
    if draws:
        found["auc"] = mean_of(list(draws.values())).estimate(confidence)
    return found


def best_by_luck(rows: Iterable[Published]) -> Luck | None:
    """Probability that the best of equal runs shows as much as the best published one.

    Every run with at least five alarms has the pooled precision as its true one; runs are taken as
    independent, though they share their days, so the probability is a product of binomial ones.
    None without such runs.
    """
    shares = [(one, one.alarms) for one in rows]
    counted = [(one, e.k or 0, e.n) for one, e in shares if e is not None]
    enough = [(one, k, n) for one, k, n in counted if n >= MIN_ALARMS]
    if not enough:
        return None
    pooled = Estimate.proportion(sum(k for _, k, _ in counted), sum(n for *_, n in counted))
    best, k, n = max(enough, key=lambda row: (row[1] / row[2], row[2]))
    alarms = np.array([n for *_, n in enough], np.int64)
    needed = -(-k * alarms // n)  # hits that show at least k of n
    below = binom.logcdf(needed - 1, alarms, pooled.value or 0.0)
    as_good = float(-np.expm1(below.sum()))
    return Luck(best, pooled, len(enough), as_good)
