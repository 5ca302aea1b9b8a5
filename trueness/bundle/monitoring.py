"""What was predicted against what came: whether the promise is kept, and what drifts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.bundle.drifting import Drifts, drifts
from trueness.bundle.format import Bundle
from trueness.bundle.log import OUTCOME, append, read_log
from trueness.bundle.oddities import of_data
from trueness.bundle.predicting import ALARM, Predictor
from trueness.bundle.promise import Promise
from trueness.document import Column, Document, Figure, Items, Part, Sentence, Table
from trueness.document.numbers import count, decimal, estimate, percent, plural, share
from trueness.errors import DataError, TruenessError
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
from trueness.market.labels import UNDEFINED
from trueness.reading import as_texts
from trueness.tasks import task_of

CONFIDENCE = 0.95
DAYS_PER_MONTH = 365.2425 / 12


@dataclass(frozen=True)
class Monitored:
    """What became of the predictions of a bundle.

    Attributes
    ----------
    bundle : Bundle
    promise : Promise
    frame : polars.DataFrame
        Predictions with a known label, the oldest first: id, time (where there is one), score,
        calibrated, answer, y; of alarms besides hits, alarms, low, high and wealth so far.
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
    promise: Promise
    frame: pl.DataFrame
    predicted: int
    base_rate: Estimate
    calibration: Estimate | None
    refuted: str | None
    notes: tuple[str, ...] = ()
    drifts: Drifts | None = None

    @property
    def alarms(self) -> pl.DataFrame:
        """Alarms whose outcome is known."""
        return self.frame.filter(pl.col("answer") == ALARM)

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
        """Plain types for JSON; docs/json.md describes them."""
        rows = self.frame.with_columns(pl.col(pl.Date, pl.Datetime).cast(pl.String)).to_dicts()
        return {
            "schema": SCHEMA, "kind": "monitoring", "bundle": str(self.bundle.folder),
            "name": self.bundle.name, "predicted": self.predicted, "known": len(self.frame),
            "precision": self.precision.to_dict(), "promised": self.promise.threshold.promised,
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
        parts: list[Part] = [Sentence(self._verdict(), "verdict"), Items(self._facts())]
        if len(self.alarms):
            parts += [_figure(self), _table(self)]
        if self.drifts is not None:
            parts.append(self.drifts.table())
        return Document(f"Monitoring of {self.bundle.name}", parts)

    def _verdict(self) -> str:
        promised = percent(self.promise.threshold.promised)
        if self.refuted is not None:
            return f"The promise of {promised} % is refuted since {self.refuted}."
        if not len(self.alarms):
            return "No alarm has an outcome yet."
        return f"The promise of {promised} % is not refuted."

    def _facts(self) -> list[str]:
        expected = self.promise.threshold
        facts = [
            f"Precision so far {share(self.precision)} (bounds hold however often one looks); "
            f"expected {share(expected.precision)}",
            f"{plural(self.predicted, 'prediction')}, {count(len(self.frame))} with a known label",
            f"Base rate {share(self.base_rate)}; before {share(self.promise.base_rate)}"
            + self._apart(),
        ]
        if self.calibration is not None and self.calibration.value is not None:
            low = self.calibration.low
            told = "" if low is None or low <= 0 <= (self.calibration.high or 0) else ": drifts"
            facts.append(
                "Mean label minus mean calibrated probability "
                f"{estimate(self.calibration, 3, signed=True)}{told}"
            )
        if self.per_month is not None:
            usual = expected.per_year
            before = "" if usual is None else f"; before {decimal(usual / 12, 1)}"
            facts.append(f"Alarms in a month {decimal(self.per_month, 1)}{before}")
        if self.drifts is not None:
            facts.append(self.drifts.in_words())
        return [*facts, *self.notes]

    def _apart(self) -> str:
        now, before = self.base_rate, self.promise.base_rate
        if None in (now.low, now.high, before.low, before.high):
            return ""
        apart = now.low > before.high or now.high < before.low  # ty: ignore[unsupported-operator]
        return ": drifts" if apart else ""


def _figure(found: Monitored) -> Figure:
    """Precision after each alarm with its bounds, and the promise."""
    rows = found.alarms
    x = list(range(1, len(rows) + 1))
    promised = found.promise.threshold.promised
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
    layout = {"xaxis": {"title": {"text": "alarms"}, "integer": True},
              "yaxis": {"title": {"text": "precision"}, "range": [0, 1.02]}}  # fmt: skip
    return Figure(data, layout, "Precision so far, its bounds, and what was promised.")


def _table(found: Monitored) -> Table:
    name = "time" if "time" in found.frame.columns else "id"
    rows = found.alarms.tail(20)
    columns = [Column(name, "code", 9), Column("hit", weight=8), Column("hits so far", "count", 5),
               Column("alarms so far", "count", 5),
               Column("evidence against", "number", 6)]  # fmt: skip
    cells = [[str(row[name]), "yes" if row["y"] else "no", row["hits"], row["alarms"],
              row["wealth"]] for row in rows.iter_rows(named=True)]  # fmt: skip
    return Table(columns, cells, note="Evidence of 20 or more refutes the promise at 5 %.")


# -------------------------------------------------------------------------------------- monitoring


def monitor(
    predictor: Predictor, data: Any = None, labels: pl.DataFrame | None = None  # noqa: ANN401
) -> Monitored:  # fmt: skip
    """Write down what came of logged predictions, and hold it against the promise.

    Parameters
    ----------
    predictor : Predictor
        Of a bundle that has predicted.
    data : Data, optional
        Bars that go on after the predictions, from which labels follow.
    labels : polars.DataFrame, optional
        Columns ``id`` and ``y``.

    Raises
    ------
    TruenessError
        With code ``nothing_logged``, ``no_labels``, ``unknown_ids``, ``contradiction``,
        ``other_series``, ``other_spacing``, or those of the log.
    """
    bundle = predictor.bundle
    log = read_log(bundle)
    if not log.predictions:
        raise TruenessError(
            f"{bundle.folder}: nothing was predicted yet; `trueness predict {bundle.folder} "
            "--data FILE` writes it down", "nothing_logged",
        )  # fmt: skip
    examples, notes = (None, ()) if data is None else _from_bars(predictor, data)
    known = {} if examples is None else _labels(examples)
    if labels is not None:
        told, of_labels = _from_table(labels, log.predictions)
        apart = next((i for i, y in told.items() if known.get(i, y) != y), None)
        if apart is not None:
            raise DataError(f"labels: {apart} is {told[apart]}, the bars say {known[apart]}",
                            "contradiction")  # fmt: skip
        known, notes = {**known, **told}, (*notes, *of_labels)
    append(bundle, OUTCOME, [{"id": i, "y": y} for i, y in known.items() if i in log.predictions])
    log = read_log(bundle)
    rows = [{**_shown(line), "y": log.outcomes[i]} for i, line in log.predictions.items()
            if i in log.outcomes]  # fmt: skip
    if not rows:
        raise TruenessError("no prediction has a known label yet; give longer bars as --data, or "
                            "--labels FILE", "no_labels")  # fmt: skip
    frame = ordered(pl.from_dicts(rows, infer_schema_length=None))
    judged = _judged(bundle, predictor.promise, frame, len(log.predictions))
    return replace(judged, notes=notes, drifts=drifts(bundle, log.predictions, examples))


def _shown(line: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "time", "group", "score", "calibrated", "answer")
    return {name: line[name] for name in kept if name in line}


def ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """Lines of a log, the oldest first, with days or times; without them where some have none."""
    if "time" not in frame.columns:
        return frame
    time = frame["time"].cast(pl.String).str.to_datetime(strict=False)
    if time.null_count():  # some were predicted from a table without its column of times
        return frame.drop("time")
    if (time.dt.time() == pl.Series([0]).cast(pl.Time)[0]).all():
        time = time.dt.date()
    return frame.with_columns(time.alias("time")).sort("time", "id")


def _from_bars(predictor: Predictor, data: Any) -> tuple[Examples, tuple[str, ...]]:  # noqa: ANN401
    """Rows of the data as the first member reads them; what is odd about the data."""
    bundle = predictor.bundle
    if bundle.task != "market":
        raise TruenessError(f"labels of a {bundle.task} come from --labels FILE", "no_labels")
    notes = of_data(bundle, data)
    one = predictor.opened[0]
    task = task_of(bundle.task)
    return task.unseen(one.member.spec, data, one.member.prepared, one.files), notes


def _labels(examples: Examples) -> dict[str, int]:
    """Labels of the units whose future is in the data, by id."""
    known = examples.y != UNDEFINED
    ids = examples.columns()["id"][known].tolist()
    return dict(zip(ids, examples.y[known].astype(int).tolist(), strict=True))


def _from_table(
    labels: pl.DataFrame, logged: Mapping[str, Any]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Labels by id; a note on ids that were never predicted."""
    lacking = [name for name in ("id", "y") if name not in labels.columns]
    if lacking:
        raise DataError(f"labels: no column {lacking[0]!r}; id and y are needed", "missing_column")
    if not len(labels):
        raise DataError("labels: no rows", "labels")
    y = labels["y"]
    if y.dtype == pl.String:
        y = y.str.strip_chars().str.to_lowercase().replace({"false": "0", "true": "1"})
    y = y.cast(pl.Float64, strict=False)
    if y.null_count() or not y.is_in([0.0, 1.0]).all():
        raise DataError("labels: y is not 0 or 1 in every row", "labels")
    ids = as_texts(labels["id"])
    if ids is None or ids.null_count():
        raise DataError("labels: id is no text, number or date in every row", "labels")
    table = pl.DataFrame({"id": ids, "y": y.cast(pl.Int64)}).unique()
    twice = table.filter(pl.col("id").is_duplicated())
    if len(twice):
        raise DataError(f"labels: {twice['id'][0]} has two labels", "contradiction")
    unknown = table.filter(~pl.col("id").is_in(list(logged)))
    if len(unknown) == len(table):
        raise DataError(f"labels: {unknown['id'][0]} and all others were never predicted by this "
                        "bundle", "unknown_ids")  # fmt: skip
    told = f"{plural(len(unknown), 'label')} of rows that were never predicted by this bundle"
    return dict(table.iter_rows()), (told,) * bool(len(unknown))


def _judged(bundle: Bundle, promise: Promise, frame: pl.DataFrame, predicted: int) -> Monitored:
    told, refuted = _watched(bundle, promise.threshold.promised, frame)
    y = frame["y"].to_numpy().astype(np.uint8)
    time = frame["time"].to_numpy() if "time" in frame.columns else None
    length = 1 if time is None else int(bundle.description["block"])
    blocks = Blocks.of(len(y), time=time, length=length)
    rate = of_share(y, np.ones(len(y), bool), blocks).estimate(int(y.sum()), len(y), CONFIDENCE)
    return Monitored(bundle, promise, told, predicted, rate, _calibration(frame, y, blocks),
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
    place = frame[by].rank("dense").cast(pl.Int64) - 1
    whole = frame.with_columns(place=place)
    alarms = whole.filter(pl.col("answer") == ALARM)
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
    quiet = whole.filter(pl.col("answer") != ALARM)
    told = pl.concat([state, quiet], how="diagonal").sort("place", "id").drop("place")
    over = np.flatnonzero(wealth >= 1 / (1 - CONFIDENCE))
    if not len(over):
        return told, None
    last = alarms.filter(pl.Series(at == over[0]))[by][-1]
    return told, str(last)


def _calibration(frame: pl.DataFrame, y: NDArray[np.uint8], blocks: Blocks) -> Estimate | None:
    if "calibrated" not in frame.columns or frame["calibrated"].null_count():
        return None
    apart = y - frame["calibrated"].to_numpy()
    value = float(apart.mean())
    return linear(value, (apart - value) / len(apart), blocks).estimate(CONFIDENCE)
