"""Alarms of a run, out of fold, or of a bundle, from its log: when, and what came of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.bundle.format import DESCRIPTION, Bundle, open_bundle
from trueness.bundle.log import ordered, read_log
from trueness.bundle.predicting import ALARM
from trueness.document import Column, Document, Items, Part, Sentence, Table
from trueness.document.numbers import count, plural
from trueness.errors import TruenessError
from trueness.evaluation.metrics import alarm_cut
from trueness.judge.access import record_access
from trueness.judge.comparison import measured_part
from trueness.judge.finding import named_run
from trueness.judge.judgement import SCHEMA
from trueness.judge.parts import check_binary, unrecorded_notes
from trueness.predictions import Predictions
from trueness.store import AnyStore, Run

Source: TypeAlias = Literal["run", "bundle"]
OUTCOMES = {1: "hit", 0: "miss", None: "unknown"}
SHOWN = 40
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Answered:
    """Units that a run or a bundle answered, and for which of them it raised an alarm.

    Attributes
    ----------
    name : str
        Ids of the run.
    source : {"run", "bundle"}
    frame : polars.DataFrame
        A row per unit, the oldest first: id, time and group where there are some, fold (of a run),
        y (null where the outcome is not known), score.
    raised : (n,) bool
    block : int
        Units of time that are resampled together.
    confidence : float
    """

    name: str
    source: Source
    frame: pl.DataFrame
    raised: NDArray[np.bool_]
    block: int
    confidence: float = CONFIDENCE

    @property
    def time(self) -> NDArray[np.datetime64] | None:
        """Times of the units, (n,)."""
        return self.frame["time"].to_numpy() if "time" in self.frame.columns else None

    @property
    def group(self) -> NDArray[Any] | None:
        """Series of the units, (n,)."""
        return self.frame["group"].to_numpy() if "group" in self.frame.columns else None

    def alarms(self) -> pl.DataFrame:
        """Units with an alarm."""
        return self.frame.filter(pl.Series(self.raised))


def of_run(name: str, run: Run) -> Answered:
    """What a run said of the part that it is measured on, at its largest alarm budget.

    Raises
    ------
    TruenessError
        With code ``no_alarms`` where scores are tied.
    """
    part, rule = measured_part(run), run.estimands
    raised = raised_by(part, rule.budget)
    if not raised.any():
        raise TruenessError(f"{name}: its scores are tied, so it raises no alarm", "no_alarms")
    columns = [one for one in ("id", "time", "group", "fold", "y", "score") if one in part]
    return Answered(name, "run", part.frame.select(columns), raised, rule.block, rule.confidence)


def raised_by(part: Predictions, budget: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - as estimands say
    """Units within an alarm budget, (n,)."""
    return part.score > alarm_cut(part.score, budget)


def of_bundle(bundle: Bundle) -> Answered:
    """What a bundle said when it was asked, as its log has it, with the outcomes that it has.

    Raises
    ------
    TruenessError
        With code ``not_binary`` for a bundle of K classes, ``nothing_logged``, or those of the log.
    """
    if bundle.task == "titles":
        raise TruenessError(f"{bundle.folder}: alarms are about binary labels, and this bundle "
                            "has classes", "not_binary")  # fmt: skip
    log = read_log(bundle)
    if not log.predictions:
        raise TruenessError(
            f"{bundle.folder}: nothing was predicted yet; `trueness predict {bundle.folder} "
            "--data FILE` writes it down", "nothing_logged",
        )  # fmt: skip
    kept = ("id", "time", "group", "score", "answer")
    rows = [{**{name: line[name] for name in kept if name in line}, "y": log.outcomes.get(i)}
            for i, line in log.predictions.items()]  # fmt: skip
    frame = ordered(pl.from_dicts(rows, infer_schema_length=None)).cast({"y": pl.Int64})
    raised = (frame["answer"] == ALARM).to_numpy()
    block = max(int(bundle.description["block"]), int(bundle.description["horizon"]))
    return Answered(bundle.name, "bundle", frame.drop("answer"), raised, block)


def find_bundle(store: AnyStore, wanted: str) -> Bundle | None:
    """Bundle of a folder of that name, if it is one.

    Raises
    ------
    TruenessError
        With code ``ambiguous`` where a run is called the same.
    """
    if not (Path(wanted) / DESCRIPTION).is_file():
        return None
    known = {id_ for ids in store.campaigns().values() for id_ in ids}
    if wanted in known:
        raise TruenessError(f"{wanted} is a run and the folder of a bundle; write ./{wanted} for "
                            "the latter", "ambiguous")  # fmt: skip
    return open_bundle(wanted)


# ------------------------------------------------------------------------------------ the question


@dataclass(frozen=True)
class Alarms:
    """Alarms, the oldest first.

    Attributes
    ----------
    answered : Answered
    notes : tuple of str
    """

    answered: Answered
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        frame = self.to_frame().with_columns(pl.col(pl.Date, pl.Datetime).cast(pl.String))
        return {
            "schema": SCHEMA, "kind": "alarms", "name": self.answered.name,
            "source": self.answered.source, "answered": len(self.answered.frame),
            "notes": list(self.notes), "alarms": frame.to_dicts(),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per alarm: id, time, group, fold where there are some, score, outcome."""
        result = self.answered.alarms()
        outcome = [OUTCOMES[y] for y in result["y"].to_list()]
        return result.drop("y").with_columns(outcome=pl.Series(outcome, dtype=pl.String))

    def document(self) -> Document:
        """How many, then each."""
        frame = self.to_frame()
        of = {name: int((frame["outcome"] == name).sum()) for name in OUTCOMES.values()}
        unknown = f", {count(of['unknown'])} not known yet" * bool(of["unknown"])
        where = "out of fold" if self.answered.source == "run" else "in its log"
        verdict = (
            f"{plural(len(frame), 'alarm')} in {plural(len(self.answered.frame), 'answer')} "
            f"{where}: {plural(of['hit'], 'hit')}, {plural(of['miss'], 'miss', 'misses')}{unknown}."
        )
        parts: list[Part] = [Sentence(verdict, "verdict"), _table(frame)]
        if self.notes:
            parts.insert(1, Items(self.notes))
        return Document(f"Alarms of {self.answered.name}", parts)


def _table(frame: pl.DataFrame) -> Table:
    names = [name for name in ("time", "group") if name in frame.columns] or ["id"]
    columns = [*(Column(name, "code", 9) for name in names), Column("outcome", weight=8),
               Column("score", "number", 6)]  # fmt: skip
    folds = "fold" in frame.columns
    columns += [Column("fold", "count", 4)] * folds
    cells = [[*(str(row[name]) for name in names), row["outcome"], row["score"],
              *([row.get("fold")] * folds)] for row in frame.iter_rows(named=True)]  # fmt: skip
    return Table(columns, cells, shown=SHOWN)


def alarms(store: AnyStore, wanted: str, access: tuple[str, str] | None = None) -> Alarms:
    """Alarms of a run at its largest alarm budget, or those that a bundle raised in use.

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : str
        Id, key or the beginning of a key; or the folder of a bundle.
    access : tuple of str, optional
        Verb and question for the ledger, of a run.

    Raises
    ------
    TruenessError
        With code ``not_binary``, ``no_alarms``, ``nothing_logged``, ``ambiguous``, or if there is
        no such run.
    """
    bundle = find_bundle(store, wanted)
    if bundle is not None:
        return Alarms(of_bundle(bundle))
    name, run = named_run(store, wanted)
    check_binary(run, "alarms are")
    answered = of_run(name, run)
    notes = unrecorded_notes(record_access(store, [run], *access)) if access else ()
    return Alarms(answered, tuple(notes))
