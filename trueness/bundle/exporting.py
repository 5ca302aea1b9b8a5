"""A bundle as one ONNX graph: rows in, logit and probabilities out, its promise in the metadata.

The members of a bundle are averaged in the graph, and the map to calibrated probabilities is its
last step. What a runtime says of real rows is compared with what the bundle says before the file
is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from trueness.bundle.converters import CONVERTERS, Rows, check_convertible, reads_last_row
from trueness.bundle.format import DAWN, Bundle, Member
from trueness.bundle.graph import Graph
from trueness.bundle.members import NETWORK, Opened
from trueness.bundle.oddities import ABSTAIN_FROM, SLACK, of_data
from trueness.bundle.predicting import Predictor, mean_logit, rows_key
from trueness.bundle.promise import Promise
from trueness.document import Column, Document, Items, Sentence, Table
from trueness.document.numbers import count, plural
from trueness.errors import StoreError, TruenessError, first_line
from trueness.examples import Examples
from trueness.files import check_path, written_whole
from trueness.frames import as_series
from trueness.judge.judgement import SCHEMA
from trueness.onnxfile import Session
from trueness.own import answering

Array = NDArray[np.float64]
BOUND = 1e-4
"""Largest difference of a probability with which a graph is kept."""
ROUNDING = 1e-6
"""Of a logit in 32 bits, over its size."""
RANDOM_ROWS = 256
AT_ONCE = 4096
"""Rows that the runtime is asked about at once."""
SERVED = ("market", "table")
"""Tasks whose rows are windows of columns."""
METADATA, LOGIT = "trueness", "logit"
OUTPUTS = {
    LOGIT: "mean of the logits of the models",
    "probability": "sigmoid of the logit",
    "calibrated": "calibrated probability",
}
FLAT = {True: "columns", False: "windows"}
Asked = Mapping[str, Examples]
"""What members read, by `rows_key`."""


@dataclass(frozen=True)
class Input:
    """What the graph reads: the rows of one or more members that are prepared alike.

    Attributes
    ----------
    name : str
        ``columns`` or ``windows``, with a number where there are several.
    member : Member
        The first of them.
    flat : bool
        Whether it is columns (N, C), the last rows of windows; else windows (N, L, C).
    """

    name: str
    member: Member
    flat: bool

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes, the free number of rows as None."""
        sizes = (self.member.spec.task.context, len(self.member.features))
        return (None, sizes[1]) if self.flat else (None, *sizes)

    def values(self, examples: Examples, some: slice) -> NDArray[np.float32]:
        """Some rows as the graph reads them."""
        start = examples.starts(0)[some]
        if self.flat:
            return examples.series[start + examples.context - 1]
        return np.ascontiguousarray(examples.x[start])

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"name": self.name, "shape": list(self.shape), "columns": list(self.member.features)}


@dataclass(frozen=True)
class Exported:
    """A graph that was written, and how far it is from the bundle.

    Attributes
    ----------
    bundle : Bundle
    file : Path
    bytes : int
    inputs : tuple of Input
    outputs : tuple of str
    rows : str
        What was compared, in words.
    frame : polars.DataFrame
        A row per unit that was compared: id, time and group where there are some, logit,
        probability and calibrated of the bundle, and the same of the graph as ``onnx_...``.
    notes : tuple of str
    alarms_differ : int
        Rows where one of both raises an alarm.
    """

    bundle: Bundle
    file: Path
    bytes: int
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    rows: str
    frame: pl.DataFrame
    notes: tuple[str, ...]
    alarms_differ: int

    @property
    def differences(self) -> dict[str, float]:
        """Output -> largest absolute difference."""
        return {name: _widest(self.frame, name) for name in self.outputs}

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/json.md describes them."""
        return {
            "schema": SCHEMA, "kind": "export", "bundle": str(self.bundle.folder),
            "key": self.bundle.description["key"], "name": self.bundle.name,
            "file": str(self.file), "bytes": self.bytes,
            "inputs": [one.to_dict() for one in self.inputs], "outputs": list(self.outputs),
            "compared": {"rows": self.rows, "n": len(self.frame), "bound": BOUND,
                         "largest_difference": self.differences,
                         "alarms_differ": self.alarms_differ},
            "notes": list(self.notes),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per unit that was compared."""
        return self.frame

    def document(self) -> Document:
        """What the graph reads and gives, and what was compared."""
        found = self.differences
        first = Sentence(
            f"{self.file} is ready: {self.bundle.name}, {count(self.bytes)} bytes; equal to the "
            f"bundle within {BOUND:g} in probability on {self.rows}.", "verdict",
        )  # fmt: skip
        table = Table(
            [Column("output", "code", 9), Column("largest difference", "text", 9)],
            [[name, f"{value:.2g}"] for name, value in found.items()],
        )
        reads = [
            f"Input {one.name}: float32 ({', '.join('N' if n is None else str(n) for n in one.shape)})"
            for one in self.inputs
        ]  # fmt: skip
        alarms = f"Alarms that differ: {count(self.alarms_differ)} of {count(len(self.frame))}"
        return Document(f"ONNX graph of {self.bundle.name}",
                        [first, table, Items([*reads, alarms, *self.notes])])  # fmt: skip


def export(
    predictor: Predictor, out: Path, data: Any = None, rows: Path | None = None  # noqa: ANN401
) -> Exported:  # fmt: skip
    """Write a bundle as an ONNX graph, whole and compared, or not at all.

    Parameters
    ----------
    predictor : Predictor
    out : Path
        File that ends in ``.onnx``; one that is there is replaced.
    data : Data, optional
        Rows that are compared, as `Predictor.load` gives them; random ones without it.
    rows : Path, optional
        Also write what was compared: inputs and outputs by name, in the format of ``numpy.savez``.

    Raises
    ------
    TruenessError
        With code ``output_suffix``, ``out``, ``own_missing`` for a package that is not there,
        ``no_converter``, ``too_large``, ``differs`` if the graph answers otherwise; ``damaged``
        and, about the data, those of `Predictor.predict`.
    """
    _check_file(out, ".onnx")
    if rows is not None:
        _check_file(rows, ".npz")
    bundle = predictor.bundle
    if bundle.task not in SERVED:
        raise TruenessError(f"a bundle on {bundle.task} has no ONNX graph", "no_converter")
    check_convertible(bundle.members)
    notes = () if data is None else of_data(bundle, data)
    inputs = inputs_of(bundle.members)
    since = DAWN if bundle.task == "market" else None  # rows that models were fitted on as well
    asked = _random(bundle, inputs) if data is None else predictor.examples(data, since)
    graph = _graph(predictor, inputs)
    written = graph.model(_about(predictor, inputs, graph.outputs)).SerializeToString()
    try:
        with written_whole(out) as unfinished:
            unfinished.write_bytes(written)
            compared = _compared(predictor, unfinished, inputs, asked)
            exported = Exported(
                bundle, out, len(written), inputs, graph.outputs, _in_words(compared, data is None),
                compared.frame, (*notes, *compared.notes), compared.alarms_differ,
            )  # fmt: skip
            _check_close(exported)
            if rows is not None:
                _write_rows(rows, inputs, asked, exported)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({first_line(error)})", "out") from None
    return exported


def _check_file(path: Path, suffix: str) -> None:
    """Refuse a file of another kind, and a place that takes none."""
    if path.suffix.lower() != suffix:
        raise TruenessError(f"{path}: the name must end in {suffix}", "output_suffix")
    check_path(path)


def _check_close(one: Exported) -> None:
    """Refuse a graph that answers otherwise; numbers that are none are not close."""
    probabilities = [one.differences[name] for name in one.outputs if name != LOGIT]
    if not max(probabilities) <= BOUND:
        raise TruenessError(
            f"the graph's probabilities differ by up to {max(probabilities):.2g} from those of the "
            f"bundle on {one.rows}; {BOUND:g} is allowed, so {one.file} is not written", "differs",
        )  # fmt: skip


def _write_rows(path: Path, inputs: Sequence[Input], asked: Asked, one: Exported) -> None:
    """What was compared: inputs by name, ids, and what the bundle says, by name of the output."""
    arrays: dict[str, NDArray[Any]] = {
        single.name: single.values(asked[rows_key(single.member)], slice(None)) for single in inputs
    }
    arrays["id"] = one.frame["id"].to_numpy().astype(np.str_)
    arrays |= {name: one.frame[name].to_numpy() for name in one.outputs}
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **arrays)  # ty: ignore[invalid-argument-type] - arrays by name


# ------------------------------------------------------------------------------------- what is read


def inputs_of(members: Sequence[Member]) -> tuple[Input, ...]:
    """What the graph of some members reads: one input for all that are prepared alike."""
    alike: dict[str, list[Member]] = {}
    for member in members:
        alike.setdefault(rows_key(member), []).append(member)
    flat = [all(map(reads_last_row, some)) for some in alike.values()]
    return tuple(
        Input(FLAT[one] + (f"_{i}" if len(alike) > 1 else ""), some[0], one)
        for i, (some, one) in enumerate(zip(alike.values(), flat, strict=True), 1)
    )


def _random(bundle: Bundle, inputs: Sequence[Input]) -> Asked:
    """Windows of numbers in the training range of each column; of any size where none is known."""
    rng, ranges, found = np.random.default_rng(0), bundle.description["ranges"], {}
    for one in inputs:
        context, names = one.member.spec.task.context, one.member.features
        size = RANDOM_ROWS * context
        columns = [
            rng.uniform(*ranges[name], size) if name in ranges else 10 ** rng.uniform(-2, 4, size)
            for name in names
        ]
        found[rows_key(one.member)] = Examples(
            series=np.column_stack(columns).astype(np.float32),
            start=np.arange(RANDOM_ROWS) * context, context=context,
            y=np.zeros(RANDOM_ROWS, np.uint8), when=None, group=None,
            parts=np.zeros((1, RANDOM_ROWS), np.int8), features=names,
            ids=np.arange(1, RANDOM_ROWS + 1).astype(np.str_),
        )  # fmt: skip
    return found


# ---------------------------------------------------------------------------------------- the graph


def _graph(predictor: Predictor, inputs: Sequence[Input]) -> Graph:
    """Mean of the members' logits, its probability, and the calibrated one where there is a map."""
    graph, promise = Graph(), predictor.promise
    read = {
        rows_key(one.member): Rows(
            graph.input(one.name, one.shape), one.member.spec.task.context,
            len(one.member.features), one.flat,
        )
        for one in inputs
    }  # fmt: skip
    logits = [
        CONVERTERS[one.member.form](graph, one, read[rows_key(one.member)], predictor.beside)
        for one in predictor.opened
    ]
    total = logits[0] if len(logits) == 1 else graph.node("Sum", *logits)
    logit = graph.scaled(total, 1 / len(logits), 0.0)
    graph.output(LOGIT, logit)
    graph.output("probability", graph.node("Sigmoid", logit))
    if promise.slope is not None and promise.intercept is not None:
        mapped = graph.scaled(logit, promise.slope, promise.intercept)
        graph.output("calibrated", graph.node("Sigmoid", mapped))
    return graph


def _about(
    predictor: Predictor, inputs: Sequence[Input], outputs: Sequence[str]
) -> dict[str, str]:  # fmt: skip
    """What the metadata say, as JSON under one name; docs/json.md describes it."""
    bundle, promise = predictor.bundle, predictor.promise
    described = bundle.description
    about = {
        "schema": SCHEMA, "kind": "onnx", "key": described["key"], "name": bundle.name,
        "label": described["label"], "task": bundle.task, "horizon": described["horizon"],
        "fitted_until": described["refit"]["until"],
        "models": [f"{m.spec.label()}, seed {m.spec.seed}" for m in bundle.members],
        "inputs": [
            {**one.to_dict(), "task": one.member.spec.task.model_dump(mode="json"),
             "preparation": dict(one.member.prepared)}
            for one in inputs
        ],
        "outputs": {name: OUTPUTS[name] for name in outputs},
        "threshold": promise.threshold.to_dict(),
        "alarm": {"output": LOGIT, "at_least": _cut(promise)},
        "abstention": {"from": ABSTAIN_FROM, "slack": SLACK, "ranges": described["ranges"]},
        "promise": promise.to_dict(), "notes": described["notes"],
    }  # fmt: skip
    return {METADATA: json.dumps(about, allow_nan=False)}


# ------------------------------------------------------------------------------------ what it says


@dataclass(frozen=True)
class _Compared:
    """A row per unit, what the reader must know, and rows where one of both raises an alarm."""

    frame: pl.DataFrame
    notes: tuple[str, ...]
    alarms_differ: int


def _compared(
    predictor: Predictor, file: Path, inputs: Sequence[Input], asked: Asked
) -> _Compared:  # fmt: skip
    """Ask bundle and graph about the same rows."""
    own = [_in_float32(one) for one in predictor.opened]
    logit = mean_logit([one.logits(asked[rows_key(one.member)], predictor.beside) for one in own])
    theirs = _run(file, inputs, asked)
    columns = next(iter(asked.values())).columns()
    values = {**_answers(predictor.promise, logit),
              **{f"onnx_{name}": one.astype(np.float64) for name, one in theirs.items()}}  # fmt: skip
    frame = pl.DataFrame([
        *(as_series(name, columns[name]) for name in ("id", "time", "group") if name in columns),
        *(pl.Series(name, one) for name, one in values.items()),
    ])  # fmt: skip
    raised = values[f"onnx_{LOGIT}"] >= _cut(predictor.promise)
    differ = int(((logit >= predictor.promise.threshold.score) != raised).sum())
    notes = ()
    if any(one is not first for one, first in zip(own, predictor.opened, strict=True)):
        said = [one.logits(asked[rows_key(one.member)], predictor.beside)
                for one in predictor.opened]  # fmt: skip
        apart = float(np.abs(expit(mean_logit(said)) - expit(logit)).max())
        notes = (f"the bundle multiplies in bf16 and the graph in float32, in which it was compared; "
                 f"for that reason probabilities of `predict` differ by up to {apart:.2g}",)  # fmt: skip
    return _Compared(frame, notes, differ)


def _run(file: Path, inputs: Sequence[Input], asked: Asked) -> dict[str, NDArray[Any]]:
    """Outputs of the graph by name, (N,) each."""
    with answering("the graph cannot be run", "no_converter"):
        session = Session(file)
        n, found = len(next(iter(asked.values())).start), []
        for first in range(0, n, AT_ONCE):
            some = slice(first, first + AT_ONCE)
            found.append(session.run({
                one.name: one.values(asked[rows_key(one.member)], some) for one in inputs
            }))  # fmt: skip
        return {name: np.concatenate([one[name] for one in found]) for name in session.outputs}


def _cut(promise: Promise) -> float:
    """Logit of the graph from which on there is an alarm.

    Votes of few neighbours or trees equal the threshold exactly; in 32 bits they may lie below.
    """
    score = promise.threshold.score
    return score - ROUNDING * max(1.0, abs(score))


def _in_float32(one: Opened) -> Opened:
    """The same member without 16 bits, in which graphs do not multiply."""
    if one.member.form != NETWORK or one.member.settings["precision"] == "float32":
        return one
    settings = {**one.member.settings, "precision": "float32"}
    return replace(one, member=replace(one.member, settings=settings))


def _answers(promise: Promise, logit: Array) -> dict[str, Array]:
    """What a bundle says, by name of the output."""
    calibrated = promise.calibrated(logit)
    found = {LOGIT: logit, "probability": expit(logit)}
    return found if calibrated is None else {**found, "calibrated": calibrated}


def _widest(frame: pl.DataFrame, name: str) -> float:
    """Largest absolute difference of an output."""
    return float(np.abs(frame[name].to_numpy() - frame[f"onnx_{name}"].to_numpy()).max())


def _in_words(compared: _Compared, random: bool) -> str:
    rows = plural(len(compared.frame), "row")
    return f"{rows} of random numbers in the training ranges" if random else f"{rows} of the data"
