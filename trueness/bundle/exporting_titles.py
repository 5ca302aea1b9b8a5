"""A bundle on texts as one ONNX graph: tokens in, logits and calibrated probabilities out.

The tokenizer, and how texts are prepared for it, stand in the metadata of the graph.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from tokenizers import Tokenizer
from torch import Tensor, nn

from trueness.baselines.vectors import VectorClassifier
from trueness.bundle.class_promise import ClassPromise
from trueness.bundle.classifying import TitlesPredictor
from trueness.bundle.format import Bundle
from trueness.bundle.members import ENCODER
from trueness.document import Column, Document, Items, Sentence, Table
from trueness.document.numbers import count, plural
from trueness.errors import StoreError, TruenessError, first_line
from trueness.files import written_whole
from trueness.fit.titles.scoring import length_batches
from trueness.judge.judgement import SCHEMA
from trueness.onnxfile import Session, check_packages, network_graph
from trueness.text.given import given_texts
from trueness.text.tokens import Tokens, encode, pad_token
from trueness.titles.classifier import Classifier
from trueness.titles.latency import EXAMPLES

BOUND = 1e-4
"""Largest difference of a probability with which a graph is kept."""
BATCH_TOKENS = 16_384
INPUTS = {
    "tokens": "ids of the tokenizer (B, T), int64",
    "mask": "where there is a token (B, T), bool",
    "temperature": "of the language of each text (B,), float32",
}
OUTPUTS = {
    "logits": "mean of the models (B, K)",
    "probability": "softmax of the logits (B, K)",
    "calibrated": "softmax of the logits over the temperature (B, K)",
}
PREPARATION = "white space and control characters become one space, ends are stripped, then NFC"
Answers = dict[str, NDArray[np.float64]]


class _Ensemble(nn.Module):
    """Mean logits of several models, and both probabilities."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(
        self, tokens: Tensor, mask: Tensor, temperature: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, K), probabilities, calibrated ones."""
        total = self.networks[0](tokens, mask)
        for one in self.networks[1:]:
            total = total + one(tokens, mask)
        logits = total / len(self.networks)
        return logits, logits.softmax(1), (logits / temperature[:, None]).softmax(1)


@dataclass(frozen=True)
class ExportedTitles:
    """A graph that was written, and how far it is from the bundle.

    Attributes
    ----------
    bundle : Bundle
    file : Path
    bytes : int
    rows : str
        What was compared, in words.
    frame : polars.DataFrame
        A row per text that was compared: text, label and probability of the bundle, and the same
        of the graph as ``onnx_...``.
    differences : dict of str to float
        Output -> largest absolute difference over texts and classes.
    labels_differ : int
        Texts that the two give different labels.
    notes : tuple of str
    """

    bundle: Bundle
    file: Path
    bytes: int
    rows: str
    frame: pl.DataFrame
    differences: dict[str, float]
    labels_differ: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        return {
            "schema": SCHEMA, "kind": "export", "bundle": str(self.bundle.folder),
            "key": self.bundle.description["key"], "name": self.bundle.name,
            "file": str(self.file), "bytes": self.bytes, "inputs": list(INPUTS),
            "outputs": list(OUTPUTS),
            "compared": {"rows": self.rows, "n": len(self.frame), "bound": BOUND,
                         "largest_difference": self.differences,
                         "labels_differ": self.labels_differ},
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
        reads = [f"Input {name}: {what}" for name, what in INPUTS.items()]
        differ = f"Labels that differ: {count(self.labels_differ)} of {count(len(self.frame))}"
        return Document(f"ONNX graph of {self.bundle.name}", [first, table, Items([
            *reads, differ, "The tokenizer stands in the metadata", *self.notes,
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
        With code ``own_missing``, ``no_converter`` for models that read no tokens or have several
        tokenizers, ``out``, ``differs`` if the graph answers otherwise.
    """
    check_packages()
    parts = _parts(predictor)
    data = predictor.load_if_given(sources) or given_texts(list(EXAMPLES))
    tokens, temperatures = parts[0].tokens(data.texts), predictor.temperatures(data)
    axes = {0: "batch", 1: "length"}
    ensemble = _Ensemble([one.network for one in parts]).eval()
    graph = network_graph(
        ensemble, _example(tokens, temperatures), list(INPUTS), list(OUTPUTS),
        (axes, axes, {0: "batch"}), predictor.bundle.name,
    )  # fmt: skip
    told = graph.metadata_props.add()
    told.key, told.value = "trueness", json.dumps(_about(predictor, parts[0]))
    _check_size(graph)
    written = graph.SerializeToString()
    try:
        with written_whole(out) as unfinished:
            unfinished.write_bytes(written)
            theirs = _answered(Session(unfinished).run, tokens, temperatures)
            own = _of_network(ensemble, tokens, temperatures)
            found = _compared(predictor, out, data.texts, own, theirs)
            apart = max(found.differences[name] for name in ("probability", "calibrated"))
            if not apart <= BOUND:
                raise TruenessError(
                    f"the graph's probabilities differ by up to {apart:.2g}; {BOUND:.2g} is "
                    f"allowed, so {out} is not written", "differs",
                )  # fmt: skip
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({first_line(error)})", "out") from None
    notes = _about_16_bits(predictor, parts, data.texts, own["logits"])
    return replace(found, bytes=len(written), notes=notes)


def _check_size(graph: Any) -> None:  # noqa: ANN401 - a ModelProto
    """Refuse a graph that one file cannot hold, with code ``too_large``."""
    from trueness.bundle.graph import MOST_BYTES

    if (size := graph.ByteSize()) > MOST_BYTES:
        raise TruenessError(f"the graph has {size:,} bytes; a file of ONNX holds {MOST_BYTES:,}",
                            "too_large")  # fmt: skip


@dataclass(frozen=True)
class _Part:
    """A model as a network on tokens, and how it makes them."""

    network: nn.Module
    tokenizer: Tokenizer
    max_tokens: int
    pad: int
    precision: str
    tokens: Callable[[pl.Series], Tokens]


def _parts(predictor: TitlesPredictor) -> list[_Part]:
    """Models of the bundle, all on tokens of one tokenizer."""
    bundle = predictor.bundle
    if other := {one.form for one in bundle.members} - set(_PARTS):
        raise TruenessError(f"{bundle.name}: {min(other)} has no ONNX graph; encoders and vectors "
                            "have", "no_converter")  # fmt: skip
    made = [_PARTS[member.form](one)
            for member, one in zip(bundle.members, predictor.opened, strict=True)]  # fmt: skip
    if len({one.tokenizer.to_str() for one in made}) > 1:
        raise TruenessError(f"{bundle.name}: its models have several tokenizers, one graph has one",
                            "no_converter")  # fmt: skip
    return made


def _of_encoder(one: Classifier) -> _Part:
    words, most = one.tokenizer, one.spec.task.max_tokens
    return _Part(one.network.to("cpu"), words, most, pad_token(words)[0], one.precision,
                 lambda texts: encode(texts, words, max_tokens=most))  # fmt: skip


def _of_vectors(one: VectorClassifier) -> _Part:
    vectors, most = one.vectors, one.max_tokens
    return _Part(_VectorGraph(one), vectors.tokenizer, most, vectors.pad, "float32",
                 lambda texts: vectors.ids(texts.to_list(), most))  # fmt: skip


class _VectorGraph(nn.Module):
    """Tokens (B, T) to logits (B, K): the mean of their vectors, then the head."""

    def __init__(self, one: VectorClassifier) -> None:
        super().__init__()
        self.rows = nn.Buffer(torch.from_numpy(one.vectors.matrix))
        self.counted = nn.Buffer(torch.from_numpy(one.vectors.counted.astype(np.float32)))
        self.normalize, self.temperature = one.vectors.normalize, one.temperature
        flat = [torch.from_numpy(np.ascontiguousarray(a)) for layer in one.layers for a in layer]
        self.layers = nn.ParameterList([nn.Parameter(a, requires_grad=False) for a in flat])

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, K)."""
        seen = mask.to(torch.float32)
        total = (self.rows[tokens].to(torch.float32) * seen[:, :, None]).sum(1)
        x = total / (self.counted[tokens] * seen).sum(1, keepdim=True).clamp(min=1)
        x = nn.functional.normalize(x, eps=1e-32) if self.normalize else x
        for i in range(0, len(self.layers), 2):
            x = (x.relu() if i else x) @ self.layers[i] + self.layers[i + 1]
        return x / self.temperature


_PARTS: dict[str, Callable[[Any], _Part]] = {
    ENCODER: _of_encoder, VectorClassifier.form: _of_vectors,
}  # fmt: skip
"""By the form of a member."""


def _example(tokens: Tokens, temperatures: NDArray[np.float32]) -> tuple[Tensor, Tensor, Tensor]:
    """Two texts; a size of 1 would be taken for a constant."""
    rows = np.array([0, len(temperatures) - 1])
    ids, mask = tokens.batch(rows)
    if ids.shape[1] < 2:
        ids, mask = (np.repeat(one, 2, axis=1) for one in (ids, mask))
    given = (torch.from_numpy(np.ascontiguousarray(one)) for one in (ids, mask, temperatures[rows]))
    first, second, third = given
    return first, second, third


def _answered(
    ask: Callable[[dict[str, NDArray[Any]]], Mapping[str, NDArray[Any]]], tokens: Tokens,
    temperatures: NDArray[np.float32],
) -> Answers:  # fmt: skip
    """What a graph or a network says of all texts, batch by batch."""
    found: Answers = {}
    for rows in length_batches(tokens.lengths, BATCH_TOKENS):
        ids, mask = tokens.batch(rows)
        some = ask({"tokens": ids, "mask": mask, "temperature": temperatures[rows]})
        for name, values in some.items():
            whole = found.setdefault(name, np.zeros((len(temperatures), values.shape[1])))
            whole[rows] = values
    return found


@torch.no_grad()
def _of_network(
    ensemble: _Ensemble, tokens: Tokens, temperatures: NDArray[np.float32]
) -> Answers:  # fmt: skip
    """The same of the models in float32."""

    def ask(given: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        said = ensemble(*(torch.from_numpy(np.ascontiguousarray(one)) for one in given.values()))
        return {name: one.numpy() for name, one in zip(OUTPUTS, said, strict=True)}

    return _answered(ask, tokens, temperatures)


def _about_16_bits(
    predictor: TitlesPredictor, parts: list[_Part], texts: pl.Series, logits: NDArray[np.float64]
) -> tuple[str, ...]:  # fmt: skip
    """How far `predict` is from the graph where models answer in 16 bits."""
    if {one.precision for one in parts} == {"float32"}:
        return ()
    apart = np.abs(softmax(predictor.logits(texts), axis=1) - softmax(logits, axis=1)).max()
    return (f"the models were trained in 16 bits; predict, which answers in these, differs by up "
            f"to {apart:.2g} in probability",)  # fmt: skip


def _compared(
    predictor: TitlesPredictor, out: Path, texts: pl.Series, own: Answers, theirs: Answers
) -> ExportedTitles:
    names = np.array(predictor.promise.classes)
    columns: dict[str, Any] = {"text": texts}
    for prefix, answers in (("", own), ("onnx_", theirs)):
        columns[f"{prefix}label"] = names[answers["logits"].argmax(axis=1)]
        columns[f"{prefix}calibrated"] = answers["calibrated"].max(axis=1)
    frame = pl.DataFrame(columns)
    return ExportedTitles(
        predictor.bundle, out, 0, plural(len(texts), "text"), frame,
        {name: float(np.abs(own[name] - theirs[name]).max()) for name in OUTPUTS},
        int((frame["label"] != frame["onnx_label"]).sum()),
    )  # fmt: skip


def _about(predictor: TitlesPredictor, first: _Part) -> dict[str, Any]:
    """What the metadata say; docs/reference/json.md describes it."""
    bundle, promise = predictor.bundle, predictor.promise
    assert isinstance(promise, ClassPromise)
    return {
        "schema": SCHEMA, "kind": "onnx", "key": bundle.description["key"], "name": bundle.name,
        "task": bundle.task, "classes": list(promise.classes),
        "models": [f"{m.spec.label()}, seed {m.spec.seed}" for m in bundle.members],
        "inputs": INPUTS, "outputs": OUTPUTS,
        "preparation": {"text": PREPARATION, "max_tokens": first.max_tokens, "pad": first.pad,
                         "fields": list(predictor.recipe.get("fields", ())),
                         "numbers": dict(predictor.recipe.get("numbers", {})),
                        "tokenizer": first.tokenizer.to_str()},
        "promise": promise.to_dict(),
    }  # fmt: skip
