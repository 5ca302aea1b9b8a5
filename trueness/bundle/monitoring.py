"""What was predicted against what came: whether the promise is kept, and what drifts."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.bundle.class_promise import ClassPromise
from trueness.bundle.classifying import ANSWERED, ROWS_SHOWN, TitlesPredictor, more_rows
from trueness.bundle.drifting import Drifts, drifts
from trueness.bundle.format import Bundle
from trueness.bundle.log import OUTCOME, Line, Log, append, ordered, read_log
from trueness.bundle.oddities import of_data
from trueness.bundle.predicting import ALARM, Predictor
from trueness.bundle.promise import Promise
from trueness.document import Column, Document, Figure, Items, Part, Sentence, Table
from trueness.document.numbers import count, decimal, estimate, percent, plural, share
from trueness.errors import DataError, TruenessError, nearest
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
from trueness.text.sources import clean_label

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
        """Plain types for JSON; docs/json.md describes them."""
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
        parts: list[Part] = [Sentence(self._verdict(), "verdict"), Items(self._facts())]
        if len(self.alarms):
            parts += [_figure(self), _table(self)]
        if self.drifts is not None:
            parts.append(self.drifts.table())
        return Document(f"Monitoring of {self.bundle.name}", parts)

    def _verdict(self) -> str:
        promised = percent(self.promise.promised)
        if self.refuted is not None:
            return f"The promise of {promised} % is refuted since {self.refuted}."
        if not len(self.alarms):
            return f"No {self.noun} has an outcome yet."
        return f"The promise of {promised} % is not refuted."

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
            told = _direction(self.calibration, (0.0, 0.0), "probabilities are too low",
                              "drifts, probabilities are too high")  # fmt: skip
            facts.append(
                "Mean label minus mean calibrated probability "
                f"{estimate(self.calibration, 3, signed=True)}{told}"
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


def _figure(found: Monitored) -> Figure:
    """Precision after each alarm with its bounds, and the promise."""
    rows = found.alarms
    x = list(range(1, len(rows) + 1))
    promised = found.promise.promised
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
    layout = {"xaxis": {"title": {"text": f"{found.noun}s"}, "integer": True},
              "yaxis": {"title": {"text": "precision"}, "range": [0, 1.02]}}  # fmt: skip
    return Figure(data, layout, "Precision so far, its bounds, and what was promised.")


def _table(found: Monitored) -> Table:
    name = "time" if "time" in found.frame.columns else "id"
    rows = found.alarms.tail(ROWS_SHOWN)
    columns = [Column(name, "code", 9), Column("hit", weight=8), Column("hits so far", "count", 5),
               Column(f"{found.noun}s so far", "count", 5),
               Column("evidence against", "number", 6)]  # fmt: skip
    cells = [[str(row[name]), "yes" if row["y"] else "no", row["hits"], row["alarms"],
              row["wealth"]] for row in rows.iter_rows(named=True)]  # fmt: skip
    note = "Evidence of 20 or more refutes the promise at 5 %."
    return Table(columns, cells, note=f"{note}{more_rows(len(found.alarms) - len(rows))}")


# -------------------------------------------------------------------------------------- monitoring


def monitor(
    predictor: Predictor | TitlesPredictor, data: Any = None, labels: pl.DataFrame | None = None,  # noqa: ANN401
    name: str = "labels",
) -> Monitored:  # fmt: skip
    """Write down what came of logged predictions, and hold it against the promise.

    Parameters
    ----------
    predictor : Predictor or TitlesPredictor
        Of a bundle that has predicted.
    data : Data, optional
        Bars that go on after the predictions, from which labels follow.
    labels : polars.DataFrame, optional
        Columns ``id`` and ``y``: 0 or 1, of texts the name of the class.
    name : str
        What errors call the labels.

    Raises
    ------
    TruenessError
        With code ``nothing_logged``, ``no_labels``, ``unknown_ids``, ``contradiction``,
        ``other_series``, ``other_spacing``, ``old_data``, or those of the log.
    """
    bundle = predictor.bundle
    log = read_log(bundle)
    if not log.predictions:
        raise TruenessError(
            f"{bundle.folder}: nothing was predicted yet; `trueness predict {bundle.folder} "
            "--data FILE` writes it down", "nothing_logged",
        )  # fmt: skip
    known: dict[str, int | str] = {}
    notes: tuple[str, ...] = ()
    examples: Examples | None = None
    if data is not None:
        if not isinstance(predictor, Predictor):
            raise TruenessError("labels of texts come from --labels FILE", "no_labels")
        examples, notes = _from_bars(predictor, data)
        _check_later(data, log.predictions)
        known.update(_labels(examples))
    if labels is not None:
        with _named(name):
            told, of_labels = _from_table(labels, log.predictions, predictor.promise)
        apart = next((i for i, y in told.items() if known.get(i, y) != y), None)
        if apart is not None:
            raise DataError(f"{name}: {apart} is {told[apart]}, the bars say {known[apart]}",
                            "contradiction")  # fmt: skip
        known, notes = {**known, **told}, (*notes, *of_labels)
    append(bundle, OUTCOME, [{"id": i, "y": y} for i, y in known.items() if i in log.predictions])
    log = read_log(bundle)
    every = log.predictions
    promise = predictor.promise
    rows = [{**_shown(every[i]), "y": int(promise.is_right(every[i].get("label", 1), y))}
            for i, y in log.outcomes.items()]  # fmt: skip
    if not rows:
        longer = "longer bars as --data, or " * (bundle.task == "market")
        raise TruenessError(f"no prediction has a known label yet; give {longer}--labels FILE",
                            "no_labels")  # fmt: skip
    frame = ordered(pl.from_dicts(rows, infer_schema_length=None))
    judged = _judged(bundle, predictor.promise, frame, len(log.predictions))
    notes += _repeated(log)
    return replace(judged, notes=notes, drifts=drifts(bundle, log.predictions, examples))


def _repeated(log: Log) -> tuple[str, ...]:
    """A note on texts that have an outcome under several ids."""
    texts = [text for i in log.outcomes if (text := log.predictions[i].get("text"))]
    n = len(texts) - len(set(texts))
    told = (f"{count(n)} of {plural(len(texts), 'text')} with an outcome repeat another one word "
            "for word; each counts by itself, so that bounds are too narrow")  # fmt: skip
    return (told,) * bool(n)


@contextmanager
def _named(name: str) -> Generator[None]:
    """Say of refusals in the block which labels they are about."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{name}: {error}", error.code) from None


def _shown(line: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "time", "group", "score", "calibrated", "answer")
    return {name: line[name] for name in kept if name in line}


def _from_bars(predictor: Predictor, data: Any) -> tuple[Examples, tuple[str, ...]]:  # noqa: ANN401
    """Rows of the data as the first member reads them; what is odd about the data."""
    bundle = predictor.bundle
    if bundle.task != "market":
        raise TruenessError(f"labels of a {bundle.task} come from --labels FILE", "no_labels")
    notes = of_data(bundle, data)
    one = predictor.opened[0]
    task = task_of(bundle.task)
    return task.unseen(one.member.spec, data, one.member.prepared, one.files), notes


def _check_later(data: Any, logged: Mapping[str, Line]) -> None:  # noqa: ANN401 - MarketData
    """Refuse bars that end before anything was predicted."""
    first = min(str(line.get("time")) for line in logged.values())
    if str(data.panel.last) < first:
        raise TruenessError(f"the bars end {data.panel.last}, before the first answer of {first}, "
                            "so nothing follows from them", "old_data")  # fmt: skip


def _labels(examples: Examples) -> dict[str, int]:
    """Labels of the units whose future is in the data, by id."""
    known = examples.y != UNDEFINED
    ids = examples.columns()["id"][known].tolist()
    return dict(zip(ids, examples.y[known].astype(int).tolist(), strict=True))


def _from_table(
    labels: pl.DataFrame, logged: Mapping[str, Any], promise: Promise | ClassPromise
) -> tuple[dict[str, int | str], tuple[str, ...]]:
    """Labels by id; notes on ids that were never predicted, and on classes that are none."""
    lacking = [name for name in ("id", "y") if name not in labels.columns]
    if lacking:
        raise DataError(f"no column {lacking[0]!r}; id and y are needed", "missing_column")
    if not len(labels):
        raise DataError("no rows", "labels")
    of_classes = isinstance(promise, ClassPromise)
    y = _class_names(labels["y"]) if of_classes else _zeros_and_ones(labels["y"])
    ids = as_texts(labels["id"])
    if ids is None or ids.null_count():
        raise DataError("id is no text, number or date in every row", "labels")
    table = pl.DataFrame({"id": ids, "y": y}).unique(maintain_order=True)
    twice = table.filter(pl.col("id").is_duplicated())
    if len(twice):
        raise DataError(f"{twice['id'][0]} has two labels", "contradiction")
    if isinstance(promise, ClassPromise):
        _check_spelling(sorted(set(table["y"])), promise.classes)
    unknown = table.filter(~pl.col("id").is_in(list(logged)))
    if len(unknown) == len(table):
        raise DataError(f"{unknown['id'][0]} and all others were never predicted by this "
                        "bundle", "unknown_ids")  # fmt: skip
    told = f"{plural(len(unknown), 'label')} of rows that were never predicted by this bundle"
    notes = (told,) * bool(len(unknown))
    if isinstance(promise, ClassPromise):
        other = sorted(set(table["y"]) - set(promise.classes))
        notes += (f"no class of the model: {', '.join(other)}; such texts are never right",) * bool(
            other
        )
    return dict(table.iter_rows()), notes


def _check_spelling(given: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse names that are those of a class but for case and blanks, or no class at all."""
    other = [name for name in given if name not in classes]
    plain = {"".join(name.split()).casefold(): name for name in classes}
    for name in other:
        if (meant := plain.get("".join(name.split()).casefold())) is not None:
            raise DataError(f"{name!r} is no class of the model, {meant!r} is", "labels")
    if len(other) == len(given):
        raise DataError(f"none is a class of the model, the first is {other[0]!r}; "
                        f"{nearest(other[0], list(classes))}", "labels")  # fmt: skip


def _zeros_and_ones(given: pl.Series) -> pl.Series:
    y = given
    if y.dtype == pl.String:
        y = y.str.strip_chars().str.to_lowercase().replace({"false": "0", "true": "1"})
    y = y.cast(pl.Float64, strict=False)
    if y.null_count() or not y.is_in([0.0, 1.0]).all():
        raise DataError("y is not 0 or 1 in every row", "labels")
    return y.cast(pl.Int64)


def _class_names(given: pl.Series) -> pl.Series:
    y = as_texts(given)
    if y is None or y.null_count() or (y.str.strip_chars() == "").any():
        raise DataError("y is not the name of a class in every row", "labels")
    return y.to_frame("y").select(clean_label("y")).to_series()


def _judged(
    bundle: Bundle, promise: Promise | ClassPromise, frame: pl.DataFrame, predicted: int
) -> Monitored:
    told, refuted = _watched(bundle, promise.promised, frame)
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
