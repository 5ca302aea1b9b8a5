"""A stored encoder for use elsewhere: a folder of plain files, or an ONNX graph."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trueness.errors import StoreError, TruenessError, first_line
from trueness.files import remove, replace_folder, restore_folder, temporary, written_whole
from trueness.onnxfile import Session, check_packages, network_graph
from trueness.spec.titles import Encoder, TitlesSpec
from trueness.store import Run
from trueness.text.tokens import vocabulary_of
from trueness.titles.classifier import TOKENIZER, Classifier

_COPIED, _METRICS = ("model.safetensors", TOKENIZER, "spec.json"), "metrics.json"
WIDEST = 1e-4
"""Largest difference between logits of the graph and of the network."""


def check_export_folder(out: Path) -> None:
    """Refuse a folder that an export may not replace: one that holds anything but an export.

    Raises
    ------
    StoreError
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise StoreError(f"{out} is a file; give a folder for the export")
    if out.samefile(Path()):
        raise StoreError(f"{out} is the folder you are in; give one inside it")
    if any(path.name not in (*_COPIED, _METRICS) for path in out.iterdir()):
        raise StoreError(f"{out} exists and holds something else; give a new folder")


def export_folder(run: Run[TitlesSpec], out: Path) -> None:
    """Copy weights, tokenizer, spec and metrics of a run into a folder; all or nothing.

    Raises
    ------
    StoreError
        If the folder exists and is no earlier export, or cannot be written.
    """
    if not isinstance(run.spec.model, Encoder):
        raise StoreError(f"{run.key} is the baseline {run.spec.model.kind}; it has no weights")
    place = out.resolve()
    restore_folder(place)
    check_export_folder(out)
    unfinished = temporary(place)
    try:
        unfinished.mkdir(parents=True)
        for name in _COPIED:
            shutil.copyfile(run.file(name), unfinished / name)
        kept = ("classes", "estimates", "slices", "temperatures", "best_epoch", "data", "label")
        metrics = {"key": run.key, **{name: run.record[name] for name in kept}}
        (unfinished / _METRICS).write_text(json.dumps(metrics, indent=1))
        replace_folder(unfinished, place)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({first_line(error)})") from None
    finally:
        remove(unfinished)


def export_onnx(classifier: Classifier, out: Path) -> float:
    """Write the network as an ONNX graph, and compare the two.

    Inputs are ``tokens`` (B, T) int64 and ``mask`` (B, T) bool, the output ``logits`` (B, K), with
    any B and T. The tokenizer stays a file of its own.

    Returns
    -------
    float
        Largest difference of logits on random texts of several shapes.

    Raises
    ------
    TruenessError
        If the graph answers differently; it is not kept.
    """
    check_packages()
    axes = {0: "batch", 1: "length"}
    graph = network_graph(
        classifier.network.to("cpu"), _example(classifier, 3, 7, 0), ["tokens", "mask"], "logits",
        (axes, axes), "the encoder",
    )  # fmt: skip
    with written_whole(out) as unfinished:
        unfinished.write_bytes(graph.SerializeToString())
        widest = _difference(classifier, unfinished)
        if widest > WIDEST:
            raise TruenessError(f"the graph's logits differ by {widest:.2g}; it is not written")
    return widest


def _example(classifier: Classifier, rows: int, length: int, seed: int) -> tuple[Any, Any]:
    """Random tokens and a mask of ragged texts."""
    generator = torch.Generator().manual_seed(seed)
    vocabulary = vocabulary_of(classifier.tokenizer)
    tokens = torch.randint(0, vocabulary, (rows, length), generator=generator)
    lengths = torch.randint(1, length + 1, (rows, 1), generator=generator)
    return tokens, torch.arange(length) < lengths


def _difference(classifier: Classifier, path: Path) -> float:
    session, widest = Session(path), 0.0
    for seed, (rows, length) in enumerate(((1, 1), (2, 5), (3, 7), (9, 40))):
        tokens, mask = _example(classifier, rows, length, seed)
        with torch.no_grad():
            own = classifier.network(tokens, mask).numpy()
        theirs = session.run({"tokens": tokens.numpy(), "mask": mask.numpy()})["logits"]
        widest = max(widest, float(np.abs(own - theirs).max()))
    return widest
