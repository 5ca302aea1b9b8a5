"""A stored encoder for use elsewhere: a folder of plain files, or an ONNX graph."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from trueness.errors import StoreError, first_line
from trueness.files import remove, replace_folder, restore_folder, temporary
from trueness.spec.titles import Encoder, TitlesSpec
from trueness.store import Run
from trueness.titles.classifier import TOKENIZER

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
