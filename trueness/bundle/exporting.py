"""A bundle as one ONNX graph: rows in, logit and probabilities out, its promise in the metadata.

The members of a bundle are averaged in the graph, and the map to calibrated probabilities is its
last step. What a runtime says of real rows is compared with what the bundle says before the file
is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.bundle.agreement import LOGIT, alarm_from, bundle_logit, compared, in_words, widest
from trueness.bundle.format import DAWN, Bundle
from trueness.bundle.graph_rows import Asked, Input, inputs_of, random_rows
from trueness.bundle.oddities import ABSTAIN_FROM, SLACK, of_data
from trueness.bundle.predicting import Predictor, rows_key
from trueness.document import Column, Document, Items, Sentence, Table
from trueness.document.numbers import count
from trueness.errors import StoreError, TruenessError, first_line
from trueness.files import check_path, written_whole
from trueness.judge.judgement import SCHEMA
from trueness.onnxfile import check_packages
from trueness.own import translate_errors

if TYPE_CHECKING:
    from trueness.bundle.classifying import TitlesPredictor
    from trueness.bundle.exporting_titles import ExportedTitles
    from trueness.bundle.graph import Graph

BY_SKL2ONNX = "estimator"
"""Form of members that another package writes."""
METADATA = "trueness"
"""Name of what stands in the metadata."""
OUTPUTS = {
    LOGIT: "mean of the logits of the models",
    "probability": "sigmoid of the logit",
    "calibrated": "calibrated probability",
}


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
    bound : float
        Difference of a probability that was allowed.
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
    bound: float
    notes: tuple[str, ...]
    alarms_differ: int

    @property
    def differences(self) -> dict[str, float]:
        """Output -> largest absolute difference."""
        return {name: widest(self.frame, name) for name in self.outputs}

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        return {
            "schema": SCHEMA, "kind": "export", "bundle": str(self.bundle.folder),
            "key": self.bundle.description["key"], "name": self.bundle.name,
            "file": str(self.file), "bytes": self.bytes,
            "inputs": [one.to_dict() for one in self.inputs], "outputs": list(self.outputs),
            "compared": {"rows": self.rows, "n": len(self.frame), "bound": self.bound,
                         "largest_difference": self.differences,
                         "alarms_differ": self.alarms_differ},
            "notes": list(self.notes),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per unit that was compared."""
        return self.frame

    def document(self) -> Document:
        """What the graph reads and gives, and what was compared."""
        result = self.differences
        first = Sentence(
            f"{self.file} is ready: {self.bundle.name}, {count(self.bytes)} bytes; equal to the "
            f"bundle within {self.bound:.2g} in probability on {self.rows}.", "verdict",
        )  # fmt: skip
        table = Table(
            [Column("output", "code", 9), Column("largest difference", "text", 9)],
            [[name, f"{value:.2g}"] for name, value in result.items()],
        )
        reads = [f"Input {one.in_words()}" for one in self.inputs]
        alarms = f"Alarms that differ: {count(self.alarms_differ)} of {count(len(self.frame))}"
        return Document(f"ONNX graph of {self.bundle.name}",
                        [first, table, Items([*reads, alarms, *self.notes])])  # fmt: skip


def export(
    predictor: Predictor | TitlesPredictor, out: Path, sources: Mapping[str, Any],
    rows: Path | None = None,
) -> Exported | ExportedTitles:  # fmt: skip
    """Write a bundle as an ONNX graph, whole and compared, or not at all.

    Parameters
    ----------
    predictor : Predictor or TitlesPredictor
    out : Path
        File that ends in ``.onnx``; one that is there is replaced.
    sources : mapping of str to source
        Rows that are compared, as `Predictor.load_if_given` takes them; random ones without any.
    rows : Path, optional
        Also write what was compared: inputs and outputs by name, in the format of ``numpy.savez``.

    Raises
    ------
    TruenessError
        With code ``output_suffix``, ``output_path``, ``out``, ``own_missing`` for a package that is
        not there, ``no_converter``, ``too_large``, ``differs`` if the graph answers otherwise;
        ``damaged`` and, about the data, those of `Predictor.predict`.
    """
    _check_file(out, ".onnx")
    if rows is not None:
        _check_file(rows, ".npz")
    if not isinstance(predictor, Predictor):
        from trueness.bundle.exporting_titles import export_titles

        if rows is not None:
            raise TruenessError("rows are kept of columns; what makes texts into inputs stands in "
                                "the metadata of their graph", "no_rows")  # fmt: skip
        return export_titles(predictor, out, sources)
    bundle = predictor.bundle
    data = predictor.load_if_given(sources)
    needed = any(member.form == BY_SKL2ONNX for member in bundle.members)
    check_packages(*(["skl2onnx"] if needed else []))
    from trueness.bundle.graph import file_of

    notes = () if data is None else of_data(bundle, data)
    inputs = inputs_of(bundle.members)
    since = DAWN if bundle.task == "market" else None  # rows that models were fitted on as well
    asked = random_rows(bundle, inputs) if data is None else predictor.examples(data, since)
    own = bundle_logit(predictor, asked, "float32")
    graph = _graph(predictor, inputs)
    written = file_of(graph.model(), _about(predictor, inputs, graph.outputs))
    try:
        with written_whole(out) as unfinished:
            unfinished.write_bytes(written)
            result = compared(predictor, unfinished, inputs, asked, own)
            exported = Exported(
                bundle, out, len(written), inputs, graph.outputs,
                in_words(result, random=data is None), result.frame, result.bound,
                (*notes, *result.notes), result.alarms_differ,
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
    differences = list(one.differences.values())
    if not (np.isfinite(differences).all() and max(differences[1:]) <= one.bound):
        raise TruenessError(
            f"the graph's probabilities differ by up to {max(differences[1:]):.2g} from those of "
            f"the bundle on {one.rows}; {one.bound:.2g} is allowed, so {one.file} is not written",
            "differs",
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


# ---------------------------------------------------------------------------------------- the graph


def _graph(predictor: Predictor, inputs: Sequence[Input]) -> Graph:
    """Mean of the members' logits, its probability, and the calibrated one where there is a map."""
    from trueness.bundle.converters import Rows, added
    from trueness.bundle.graph import Graph

    graph, promise = Graph(), predictor.promise
    read = {
        rows_key(one.member): Rows(
            graph.input(one.name, one.shape), one.member.spec.task.context,
            len(one.member.features), one.flat,
        )
        for one in inputs
    }  # fmt: skip
    with translate_errors(f"{predictor.bundle.name} cannot become an ONNX graph", "no_converter"):
        logits = [
            added(graph, one, read[rows_key(one.member)], predictor.base_folder)
            for one in predictor.opened
        ]  # fmt: skip
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
    """What the metadata say, as JSON under one name; docs/reference/json.md describes it."""
    bundle, promise = predictor.bundle, predictor.promise
    described = bundle.description
    about = {
        "schema": SCHEMA, "kind": "onnx", "key": described["key"], "name": bundle.name,
        "label": described.get("label", ""), "task": bundle.task, "horizon": described["horizon"],
        "fitted_until": described["refit"]["until"],
        "models": [f"{m.spec.label()}, seed {m.spec.seed}" for m in bundle.members],
        "inputs": [
            {**one.to_dict(), "task": one.member.spec.task.model_dump(mode="json"),
             "preparation": dict(one.member.prepared)}
            for one in inputs
        ],
        "outputs": {name: OUTPUTS[name] for name in outputs},
        "threshold": promise.threshold.to_dict(),
        "alarm": {"output": LOGIT, "at_least": alarm_from(promise)},
        "abstention": {"from": ABSTAIN_FROM, "slack": SLACK, "ranges": described["ranges"]},
        "promise": promise.to_dict(), "notes": described.get("notes", []),
    }  # fmt: skip
    return {METADATA: json.dumps(about, allow_nan=False)}
