"""Whether an ONNX graph answers as the bundle does that it was written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from trueness.bundle.format import NETWORK
from trueness.bundle.graph_rows import Asked, Input
from trueness.bundle.opened import Opened
from trueness.bundle.predicting import Predictor, mean_logit, rows_key
from trueness.bundle.promise import Promise
from trueness.document.numbers import plural
from trueness.frames import as_series
from trueness.onnxfile import Session
from trueness.own import translate_errors

Array = NDArray[np.float64]
LOGIT = "logit"
BOUND = 1e-4
"""Largest difference of a probability with which a graph is kept."""
TIMES = 4
"""How often as much as the rounding of the bundle itself is allowed where that is more: sums of a
graph are ordered otherwise, and columns that hardly move in a window lose digits to their mean."""
ROUNDING = 1e-6
"""Of a logit in 32 bits, over its size."""
AT_ONCE = 4096
"""Rows that the runtime is asked about at once."""


@dataclass(frozen=True)
class Compared:
    """A row per unit, what may differ, what the reader must know, alarms of one of both alone."""

    frame: pl.DataFrame
    bound: float
    notes: tuple[str, ...]
    alarms_differ: int


def compared(
    predictor: Predictor, file: Path, inputs: Sequence[Input], asked: Asked, logit: Array
) -> Compared:  # fmt: skip
    """Ask a graph about rows of which the bundle says some logits (N,), in 32 bits."""
    promise = predictor.promise
    own, theirs = _answers(promise, logit), _run(file, inputs, asked)
    columns = next(iter(asked.values())).columns()
    frame = pl.DataFrame([
        *(as_series(name, columns[name]) for name in ("id", "time", "group") if name in columns),
        *(pl.Series(name, one) for name, one in own.items()),
        *(pl.Series(f"onnx_{name}", theirs[name].astype(np.float64)) for name in own),
    ])  # fmt: skip
    raised = theirs[LOGIT] >= alarm_from(promise)
    notes, bound = _about_16_bits(predictor, asked, own), BOUND
    if max(widest(frame, name) for name in own if name != LOGIT) > BOUND:
        exact = _answers(promise, bundle_logit(predictor, asked, "float64"))
        apart = [np.abs(own[name] - exact[name]).max() for name in own if name != LOGIT]
        rounding = float(max(apart))
        bound = max(BOUND, TIMES * rounding)
        note = (f"rounding to 32 bits moves probabilities of the bundle itself by up to "
                f"{rounding:.2g} on these rows; {TIMES} times as much is allowed")  # fmt: skip
        notes = (*notes, note) if bound > BOUND else notes
    differ = int(((logit >= promise.threshold.score) != raised).sum())
    return Compared(frame, bound, notes, differ)


def bundle_logit(predictor: Predictor, asked: Asked, precision: str | None) -> Array:
    """Logits of the bundle (N,), its networks in a precision, or in their own."""
    return mean_logit([
        _in_precision(one, precision).logits(asked[rows_key(one.member)], predictor.base_folder)
        for one in predictor.opened
    ])  # fmt: skip


def _in_precision(one: Opened, precision: str | None) -> Opened:
    if one.member.form != NETWORK or precision is None:
        return one
    settings = {**one.member.settings, "precision": precision}
    return replace(one, member=replace(one.member, settings=settings))


def _about_16_bits(
    predictor: Predictor, asked: Asked, own: Mapping[str, Array]
) -> tuple[str, ...]:  # fmt: skip
    """How far `predict` is from what was compared, where networks multiply in 16 bits."""
    networks = [m for m in predictor.bundle.members if m.form == NETWORK]
    if all(m.settings["precision"] == "float32" for m in networks):
        return ()
    said = expit(bundle_logit(predictor, asked, None))
    apart = float(np.abs(said - own["probability"]).max())
    return (f"the bundle multiplies in bf16; it was compared in float32, as graphs multiply, and "
            f"probabilities of `predict` differ from that by up to {apart:.2g}",)  # fmt: skip


def _run(file: Path, inputs: Sequence[Input], asked: Asked) -> dict[str, NDArray[Any]]:
    """Outputs of the graph by name, (N,) each."""
    with translate_errors("the graph cannot be run", "no_converter"):
        session = Session(file)
        n, result = len(next(iter(asked.values())).start), []
        for first in range(0, n, AT_ONCE):
            some = slice(first, first + AT_ONCE)
            result.append(session.run({
                one.name: one.values(asked[rows_key(one.member)], some) for one in inputs
            }))  # fmt: skip
        return {name: np.concatenate([one[name] for one in result]) for name in session.outputs}


def alarm_from(promise: Promise) -> float:
    """Logit of the graph from which on there is an alarm.

    Votes of few neighbours or trees equal the threshold exactly; in 32 bits they may lie below.
    """
    score = promise.threshold.score
    return score - ROUNDING * max(1.0, abs(score))


def _answers(promise: Promise, logit: Array) -> dict[str, Array]:
    """What a bundle says, by name of the output."""
    calibrated = promise.calibrated(logit)
    result = {LOGIT: logit, "probability": expit(logit)}
    return result if calibrated is None else {**result, "calibrated": calibrated}


def widest(frame: pl.DataFrame, name: str) -> float:
    """Largest absolute difference of an output."""
    return float(np.abs(frame[name].to_numpy() - frame[f"onnx_{name}"].to_numpy()).max())


def in_words(result: Compared, *, random: bool) -> str:
    """What was compared."""
    rows = plural(len(result.frame), "row")
    return f"{rows} of random numbers in the training ranges" if random else f"{rows} of the data"
