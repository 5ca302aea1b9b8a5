"""What a bundle predicted against what came, as its log has both: whether the promise is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.bundle.class_promise import ClassPromise
from trueness.bundle.classifying import ANSWERED, ROWS_SHOWN, more_rows
from trueness.bundle.drifting import Drifts, drifts
from trueness.bundle.format import Bundle
from trueness.bundle.log import Log, ordered, read_log
from trueness.bundle.predicting import ALARM
from trueness.bundle.promise import Promise
from trueness.document import Column, Document, Figure, Items, Part, Sentence, Table
from trueness.document.numbers import count, decimal, estimate, percent, plural, share
from trueness.errors import TruenessError
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.confidence_sequence import (
    block_means,
    confidence_sequence,
    wealth_against,
)
from trueness.evaluation.design_effects import of_share
from trueness.evaluation.influence import linear
from trueness.evaluation.intervals import Estimate
from trueness.examples import Examples
from trueness.judge.judgement import SCHEMA

CONFIDENCE = 0.95
DAYS_PER_MONTH = 365.2425 / 12


@dataclass(frozen=True)
class Monitored:
    """What became of the predictions of a bundle.

    Attributes
    ----------
    bundle : Bundle
    promise : Promise or ClassPromise
    frame : polars.DataFrame
        Predictions with a known label, the oldest first: id, time (where there is one), score,
        calibrated, answer, y (of texts 1 where the label was right); of alarms, or of texts that
        were answered, besides hits, alarms, low, high and wealth so far.
    predicted : int
        All predictions, also those whose label is not known.
    base_rate : Estimate
        Of the labels that are known.
    calibration : Estimate or None
        Mean label minus mean calibrated probability; None without a map.
    refuted : str or None
        Time (or id) of the alarm at which the promise was refuted.
    notes : tuple of str
        What is odd about the bars or labels that were given.
    drifts : Drifts or None
        Features and scores against training; None if the bundle keeps nothing of it.
    """

    bundle: Bundle
    promise: Promise | ClassPromise
    frame: pl.DataFrame
    predicted: int
    base_rate: Estimate
    calibration: Estimate | None
    refuted: str | None
    notes: tuple[str, ...] = ()
    drifts: Drifts | None = None

    @property
    def alarms(self) -> pl.DataFrame:
        """Alarms, or answers to texts, whose outcome is known."""
        return self.frame.filter(_held("answer"))

    @property
    def precision(self) -> Estimate:
        """Of the alarms so far; bounds hold at all times at once."""
        rows = self.alarms
        if not len(rows):
            return Estimate(None, None, None, 0, 0)
        k, last = int(rows["y"].sum()), rows.row(-1, named=True)
        return Estimate(k / len(rows), last["low"], last["high"], len(rows), k)

    @property
    def per_month(self) -> float | None:
        """Alarms in a month, so far; None without times."""
        if "time" not in self.frame.columns or len(self.frame) < 2:
            return None
        days = (self.frame["time"].max() - self.frame["time"].min()).days + 1  # ty: ignore[unsupported-operator]
        return len(self.alarms) / days * DAYS_PER_MONTH

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        rows = self.frame.with_columns(pl.col(pl.Date, pl.Datetime).cast(pl.String)).to_dicts()
        return {
            "schema": SCHEMA, "kind": "monitoring", "bundle": str(self.bundle.folder),
            "name": self.bundle.name, "predicted": self.predicted, "known": len(self.frame),
            "precision": self.precision.to_dict(), "promised": self.promise.promised,
            "refuted": self.refuted, "base_rate": self.base_rate.to_dict(),
            "promised_base_rate": self.promise.base_rate.to_dict(),
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            "alarms_per_month": self.per_month,
            "drift": None if self.drifts is None else self.drifts.to_dict(),
            "notes": list(self.notes), "rows": rows,
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per prediction with a known label."""
        return self.frame

    def document(self) -> Document:
        """Whether the promise is kept, then what drifts."""
        parts: list[Part] = [Sentence(self.verdict, "verdict"), Items(self._facts())]
        if len(self.alarms):
            parts += [_figure(self), _table(self)]
        if self.drifts is not None:
            parts.append(self.drifts.table())
        return Document(f"Monitoring of {self.bundle.name}", parts)

    @property
    def verdict(self) -> str:
        """Whether the promise is kept."""
        caution = f" ({self.promise.caution})" if self.promise.caution else ""
        promise = f"promise of {percent(self.promise.promised)} %{caution}"
        if self.refuted is not None:
            return f"The {promise} is refuted since {self.refuted}."
        if not len(self.alarms):
            return f"No {self.noun} has an outcome yet, so the {promise} is open."
        return f"The {promise} is not refuted."

    @property
    def noun(self) -> str:
        """What the promise speaks of."""
        return "answer" if isinstance(self.promise, ClassPromise) else "alarm"

    def _facts(self) -> list[str]:
        now, before, base = self.precision, self.promise.base_rate, "Base rate"
        if isinstance(self.promise, ClassPromise):
            base = "Labels that were right, also those of texts it abstained on:"
        bounds = "bounds hold however often one looks"
        if now.n and (now.low, now.high) == (0, 1):
            now, bounds = replace(now, low=None, high=None), "outcomes are too few for bounds"
        so_far = f"Precision so far {share(now)} ({bounds})" if now.n else "No precision so far"
        facts = [
            f"{so_far}; expected: {self.promise.expectation}",
            f"{plural(self.predicted, 'prediction')}, {count(len(self.frame))} with a known label",
            f"{base} {share(self.base_rate)}; before {share(before)}"
            + _direction(self.base_rate, (before.low, before.high), "rose", "drifts, fell"),
        ]
        if self.calibration is not None and self.calibration.value is not None:
            note = _direction(self.calibration, (0.0, 0.0), "probabilities are too low",
                              "drifts, probabilities are too high")  # fmt: skip
            facts.append(
                "Mean label minus mean calibrated probability "
                f"{estimate(self.calibration, 3, signed=True)}{note}"
            )
        if self.per_month is not None:
            usual = self.promise.threshold.per_year if isinstance(self.promise, Promise) else None
            than = "" if usual is None else f"; before {decimal(usual / 12, 1)}"
            facts.append(f"Alarms in a month {decimal(self.per_month, 1)}{than}")
        if self.drifts is not None:
            facts.append(self.drifts.in_words())
        return [*facts, *self.notes]


def _direction(
    now: Estimate, before: tuple[float | None, float | None], rose: str, fell: str
) -> str:
    """Where an interval lies above or below the one before; empty where they overlap."""
    low, high = before
    if None in (now.low, now.high, low, high):
        return ""
    if now.low > high:  # ty: ignore[unsupported-operator]
        return f": {rose}"
    return f": {fell}" if now.high < low else ""  # ty: ignore[unsupported-operator]


def _held(column: str) -> pl.Expr:
    """Whether an answer is one that the promise speaks of."""
    return pl.col(column).is_in([ALARM, ANSWERED])


def _figure(result: Monitored) -> Figure:
    """Precision after each alarm with its bounds, and the promise."""
    rows = result.alarms
    x = list(range(1, len(rows) + 1))
    promised = result.promise.promised
    value = (rows["y"].cum_sum() / pl.Series(x)).to_list()
    band = {"x": [*x, *x[::-1]], "y": [*rows["high"], *rows["low"].reverse()], "fill": "toself",
            "fillcolor": "series-0/0.15", "mode": "none", "name": "bounds",
            "hoverinfo": "skip"}  # fmt: skip
    data: list[dict[str, Any]] = [
        {"type": "scatter", **band},
        {"type": "scatter", "mode": "lines+markers", "name": "precision so far", "x": x,
         "y": value, "line": {"color": "series-0"}},
        {"type": "scatter", "mode": "lines", "name": "promised", "x": [1, len(rows)],
         "y": [promised, promised], "line": {"dash": "dash", "color": "ink"}},
    ]  # fmt: skip
    layout = {"xaxis": {"title": {"text": f"{result.noun}s"}, "integer": True},
              "yaxis": {"title": {"text": "precision"}, "range": [0, 1.02]}}  # fmt: skip
    return Figure(data, layout, "Precision so far, its bounds, and what was promised.")


def _table(result: Monitored) -> Table:
    name = "time" if "time" in result.frame.columns else "id"
    rows = result.alarms.tail(ROWS_SHOWN)
    columns = [Column(name, "code", 9), Column("hit", weight=8), Column("hits so far", "count", 5),
               Column(f"{result.noun}s so far", "count", 5),
               Column("evidence against", "number", 6)]  # fmt: skip
    cells = [[str(row[name]), "yes" if row["y"] else "no", row["hits"], row["alarms"],
              row["wealth"]] for row in rows.iter_rows(named=True)]  # fmt: skip
    note = "Evidence of 20 or more refutes the promise at 5 %."
    return Table(columns, cells, note=f"{note}{more_rows(len(result.alarms) - len(rows))}")


def monitored(bundle: Bundle, examples: Examples | None = None) -> Monitored:
    """Hold what the log of a bundle predicted against the outcomes that it has; nothing is written.

    Parameters
    ----------
    bundle : Bundle
    examples : Examples, optional
        Of data that hold the logged rows, whose features may drift; without them scores alone.

    Raises
    ------
    TruenessError
        With code ``nothing_logged``, ``no_labels``, or those of the log.
    """
    log, promise = read_log(bundle), promise_of(bundle)
    if not log.predictions:
        raise nothing_logged(bundle)
    every = log.predictions
    rows = [{**_shown(every[i]), "y": int(promise.is_right(every[i].get("label", 1), y))}
            for i, y in log.outcomes.items()]  # fmt: skip
    if not rows:
        longer = "longer bars as --data, or " * (bundle.task == "market")
        raise TruenessError(f"no prediction has a known label yet; give {longer}--labels FILE",
                            "no_labels")  # fmt: skip
    frame = ordered(pl.from_dicts(rows, infer_schema_length=None))
    evaluation = _evaluate(bundle, promise, frame, len(every))
    return replace(evaluation, notes=_repeated(log), drifts=drifts(bundle, every, examples))


def _repeated(log: Log) -> tuple[str, ...]:
    """A note on texts that have an outcome under several ids."""
    texts = [text for i in log.outcomes if (text := log.predictions[i].get("text"))]
    n = len(texts) - len(set(texts))
    note = (f"{count(n)} of {plural(len(texts), 'text')} with an outcome repeat another one word "
            "for word; each counts by itself, so that bounds are too narrow")  # fmt: skip
    return (note,) * bool(n)


def promise_of(bundle: Bundle) -> Promise | ClassPromise:
    """What a bundle promises, by its description."""
    kind = ClassPromise if bundle.task == "titles" else Promise
    return kind.from_dict(bundle.description["promise"])


def nothing_logged(bundle: Bundle) -> TruenessError:
    """Refusal of a bundle that has not predicted."""
    return TruenessError(
        f"{bundle.folder}: nothing was predicted yet; `trueness predict {bundle.folder} "
        "--data FILE` writes it down", "nothing_logged",
    )  # fmt: skip


def _shown(line: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "time", "group", "score", "calibrated", "answer")
    return {name: line[name] for name in kept if name in line}


def _evaluate(
    bundle: Bundle, promise: Promise | ClassPromise, frame: pl.DataFrame, predicted: int
) -> Monitored:
    note, refuted = _watched(bundle, promise.promised, frame)
    y = frame["y"].to_numpy().astype(np.uint8)
    time = frame["time"].to_numpy() if "time" in frame.columns else None
    length = 1 if time is None else int(bundle.description["block"])
    blocks = Blocks.of(len(y), time=time, length=length)
    rate = of_share(y, np.ones(len(y), bool), blocks).estimate(int(y.sum()), len(y), CONFIDENCE)
    return Monitored(bundle, promise, note, predicted, rate, _calibration(frame, y, blocks),
                     refuted)  # fmt: skip


def _watched(
    bundle: Bundle, promised: float, frame: pl.DataFrame
) -> tuple[pl.DataFrame, str | None]:
    """Rows with the state after each alarm, and the time at which the promise was refuted.

    The alarms of a block of times count as one outcome, their mean: see `block_means`. A block
    counts when it is over, or with what is known of it.
    """
    by = "time" if "time" in frame.columns else "id"
    length = max(int(bundle.description["block"]), int(bundle.description["horizon"]))
    length = length if by == "time" else 1
    order = frame["time"].rank("dense") - 1 if by == "time" else pl.arange(len(frame), eager=True)
    whole = frame.with_columns(place=order.cast(pl.Int64))
    alarms = whole.filter(_held("answer"))
    hits = alarms["y"].to_numpy()
    x, blocks = block_means(hits, alarms["place"], length)
    bounds, wealth = confidence_sequence(x, CONFIDENCE), np.ones(len(x))
    if 0 < promised < 1:
        wealth = wealth_against(x, promised)
    at = np.searchsorted(blocks, alarms["place"].to_numpy() // length)
    state = alarms.with_columns(
        hits=pl.Series(np.cumsum(hits)), alarms=pl.Series(np.arange(1, len(hits) + 1)),
        low=pl.Series(bounds.low[at]), high=pl.Series(bounds.high[at]),
        wealth=pl.Series(wealth[at]),
    )  # fmt: skip
    quiet = whole.filter(~_held("answer"))
    note = pl.concat([state, quiet], how="diagonal").sort("place", "id").drop("place")
    over = np.flatnonzero(wealth >= 1 / (1 - CONFIDENCE))
    if not len(over):
        return note, None
    last = alarms.filter(pl.Series(at == over[0]))[by][-1]
    return note, str(last)


def _calibration(frame: pl.DataFrame, y: NDArray[np.uint8], blocks: Blocks) -> Estimate | None:
    if "calibrated" not in frame.columns or frame["calibrated"].null_count():
        return None
    apart = y - frame["calibrated"].to_numpy()
    value = float(apart.mean())
    return linear(value, (apart - value) / len(apart), blocks).estimate(CONFIDENCE)
