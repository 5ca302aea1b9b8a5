"""A bundle on texts as one ONNX graph: tokens or n-grams in, calibrated probabilities out.

How texts become what it reads stands in the metadata of the graph.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import softmax

from trueness.baselines.ngrams import NGrams
from trueness.baselines.vectors import VectorClassifier
from trueness.bundle.classifying import TitlesPredictor
from trueness.bundle.format import ENCODER, Bundle
from trueness.bundle.titles_graph import OUTPUTS, TEMPERATURE, Batch, TitlesGraph
from trueness.document import Column, Document, Items, Sentence, Table
from trueness.document.numbers import count, plural
from trueness.errors import StoreError, TruenessError, first_line
from trueness.files import written_whole
from trueness.judge.judgement import SCHEMA
from trueness.onnxfile import Session, check_packages
from trueness.own import translate_errors
from trueness.text.inputs import EXAMPLES, InputTexts, input_texts

BOUND = 1e-4
"""Largest difference of a probability with which a graph is kept."""
ON_TOKENS = {ENCODER, VectorClassifier.form}
"""Forms of models that read tokens."""
PREPARATION = "white space and control characters become one space, ends are stripped, then NFC"
Answers = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class ExportedTitles:
    """A graph that was written, and how far it is from the bundle.

    Attributes
    ----------
    bundle : Bundle
    file : Path
    bytes : int
    inputs : dict of str to str
        What the graph reads: name -> words.
    rows : str
        What was compared, in words.
    frame : polars.DataFrame
        A row per text that was compared: text, label, calibrated probability and answer of the
        bundle, and the same of the graph as ``onnx_...``.
    differences : dict of str to float
        Output -> largest absolute difference over texts and classes.
    notes : tuple of str
    """

    bundle: Bundle
    file: Path
    bytes: int
    inputs: dict[str, str]
    rows: str
    frame: pl.DataFrame
    differences: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def differ(self) -> dict[str, int]:
        """Texts of which bundle and graph say another label, and of which another answer."""
        return {f"{name}s_differ": int((self.frame[name] != self.frame[f"onnx_{name}"]).sum())
                for name in ("label", "answer")}  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        return {
            "schema": SCHEMA, "kind": "export", "bundle": str(self.bundle.folder),
            "key": self.bundle.description["key"], "name": self.bundle.name,
            "file": str(self.file), "bytes": self.bytes, "inputs": list(self.inputs),
            "outputs": list(OUTPUTS),
            "compared": {"rows": self.rows, "n": len(self.frame), "bound": BOUND,
                         "largest_difference": self.differences, **self.differ},
            "notes": list(self.notes),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per text that was compared."""
        return self.frame

    def document(self) -> Document:
        """What the graph reads and gives, and what was compared."""
        first = Sentence(
            f"{self.file} is ready: {self.bundle.name}, {count(self.bytes)} bytes; equal to the "
            f"bundle within {BOUND:.2g} in probability on {self.rows}.", "verdict",
        )  # fmt: skip
        table = Table(
            [Column("output", "code", 9), Column("largest difference", "text", 9)],
            [[name, f"{value:.2g}"] for name, value in self.differences.items()],
        )
        reads = [f"Input {name}: {what}" for name, what in self.inputs.items()]
        labels, answers = map(count, self.differ.values())
        return Document(f"ONNX graph of {self.bundle.name}", [first, table, Items([
            *reads,
            f"Of {count(len(self.frame))} labels {labels} differ, and {answers} of the answers "
            "(answered or not)",
            "What makes texts into its inputs stands in the metadata", *self.notes,
        ])])  # fmt: skip


def export_titles(
    predictor: TitlesPredictor, out: Path, sources: Mapping[str, Any]
) -> ExportedTitles:
    """Write a bundle as an ONNX graph, whole and compared, or not at all.

    Parameters
    ----------
    predictor : TitlesPredictor
    out : Path
    sources : mapping of str to source
        Texts that are compared, as `TitlesPredictor.load` takes them; a few titles without any.

    Raises
    ------
    TruenessError
        With code ``own_missing``, ``no_converter`` for models that have no graph or not one in
        common, ``too_large``, ``out``, ``differs`` if the graph answers otherwise.
    """
    check_packages()
    from trueness.bundle.graph import file_of

    graph = _graph(predictor)
    data = predictor.load_if_given(sources) or input_texts(list(EXAMPLES))
    codes = predictor.languages(data)
    temperature = predictor.promise.temperatures.of(codes)
    logits = graph.logits(data.texts)
    own = {"logits": logits, "probability": softmax(logits, axis=1),
           "calibrated": softmax(logits / temperature[:, None], axis=1)}  # fmt: skip
    written = file_of(graph.model, {"trueness": json.dumps(_about(predictor, graph))})
    try:
        with written_whole(out) as unfinished:
            unfinished.write_bytes(written)
            theirs = _answered(Session(unfinished), graph.batches(data.texts), temperature)
            differences = _differences(own, theirs, out)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({first_line(error)})", "out") from None
    notes = _about_16_bits(predictor, data.texts, own) if graph.narrow else ()
    return ExportedTitles(
        predictor.bundle, out, len(written), _inputs(graph), plural(len(data.texts), "text"),
        _hconcat(predictor, data, codes, own, theirs), differences, notes,
    )  # fmt: skip


def _graph(predictor: TitlesPredictor) -> TitlesGraph:
    """The models of a bundle as one."""
    name, forms = predictor.bundle.name, {one.form for one in predictor.bundle.members}
    with translate_errors(f"{name} cannot become an ONNX graph", "no_converter"):
        if forms <= ON_TOKENS:
            from trueness.bundle.graph_tokens import tokens_graph

            return tokens_graph(predictor.opened, name)
        if forms == {NGrams.form}:
            from trueness.bundle.graph_ngrams import ngrams_graph

            return ngrams_graph(predictor.opened, predictor.logits, name)
    raise TruenessError(f"{name}: no ONNX graph holds {' and '.join(sorted(forms))}; one "
                        "holds n-grams, another encoders and vectors", "no_converter")  # fmt: skip


def _inputs(graph: TitlesGraph) -> dict[str, str]:
    return {**graph.inputs, TEMPERATURE: "of the language of each text (B,), float32"}


def _answered(
    session: Session, batches: Iterable[Batch], temperature: NDArray[np.float64]
) -> Answers:  # fmt: skip
    """What a runtime says of all texts."""
    result: Answers = {}
    for rows, part in batches:
        some = session.run({**part, TEMPERATURE: temperature[rows].astype(np.float32)})
        for name, values in some.items():
            whole = result.setdefault(name, np.full((len(temperature), values.shape[1]), np.nan))
            whole[rows] = values
    return result


def _differences(own: Answers, theirs: Answers, out: Path) -> dict[str, float]:
    """Largest difference of each output; numbers that are none are not close."""
    result = {name: float(np.abs(own[name] - theirs[name]).max()) for name in OUTPUTS}
    apart = max(result["probability"], result["calibrated"])
    if not (np.isfinite(list(result.values())).all() and apart <= BOUND):
        raise TruenessError(
            f"the graph's probabilities differ by up to {apart:.2g}; {BOUND:.2g} is allowed, so "
            f"{out} is not written", "differs",
        )  # fmt: skip
    return result


def _about_16_bits(
    predictor: TitlesPredictor, texts: pl.Series, own: Answers
) -> tuple[str, ...]:  # fmt: skip
    """How far `predict` is from the graph where models answer in 16 bits."""
    apart = np.abs(softmax(predictor.logits(texts), axis=1) - own["probability"]).max()
    return (f"the models were trained in 16 bits; predict, which answers in these, differs by up "
            f"to {apart:.2g} in probability",)  # fmt: skip


def _hconcat(
    predictor: TitlesPredictor, data: InputTexts, codes: NDArray[np.str_], own: Answers,
    theirs: Answers,
) -> pl.DataFrame:  # fmt: skip
    """What both say of each text."""
    columns: dict[str, Any] = {"text": data.texts}
    for prefix, said in (("", own), ("onnx_", theirs)):
        names = [prefix + name for name in ("label", "calibrated", "answer")]
        note = predictor.answers(data.texts, said["calibrated"], codes)
        columns |= dict(zip(names, note, strict=True))
    return pl.DataFrame(columns)


def _about(predictor: TitlesPredictor, graph: TitlesGraph) -> dict[str, Any]:
    """What the metadata say; docs/reference/json.md describes it."""
    bundle, promise = predictor.bundle, predictor.promise
    return {
        "schema": SCHEMA, "kind": "onnx", "key": bundle.description["key"], "name": bundle.name,
        "task": bundle.task, "classes": list(promise.classes),
        "models": [f"{m.spec.label()}, seed {m.spec.seed}" for m in bundle.members],
        "inputs": _inputs(graph), "outputs": OUTPUTS,
        "preparation": {"text": PREPARATION, "fields": list(predictor.recipe.get("fields", ())),
                        "numbers": dict(predictor.recipe.get("numbers", {})),
                        **graph.preparation},
        "promise": promise.to_dict(),
    }  # fmt: skip
