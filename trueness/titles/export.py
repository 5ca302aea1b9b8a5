"""A stored encoder for use elsewhere: a folder of plain files, or an ONNX graph."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from trueness.errors import StoreError, first_line
from trueness.files import remove, replace_folder, restore_folder, temporary
from trueness.spec.titles import TitlesSpec
from trueness.store import Run
from trueness.text.pretrained import CONFIG, TOKENIZER, WEIGHTS
from trueness.titles.classifier import complete_run

_SPEC, _METRICS = "spec.json", "metrics.json"
_WRITTEN = (WEIGHTS, TOKENIZER, CONFIG, _SPEC, _METRICS)
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
    if any(path.name not in _WRITTEN for path in out.iterdir()):
        raise StoreError(f"{out} exists and holds something else; give a new folder")


def export_folder(run: Run[TitlesSpec], out: Path) -> None:
    """Put weights, tokenizer, spec and metrics of a run into a folder; all or nothing.

    A pretrained encoder is written whole, with its config.

    Raises
    ------
    StoreError
        If the folder exists and is no earlier export, or cannot be written.
    """
    files = complete_run(run)
    place = out.resolve()
    restore_folder(place)
    check_export_folder(out)
    unfinished = temporary(place)
    try:
        unfinished.mkdir(parents=True)
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
        shutil.copyfile(run.file(_SPEC), unfinished / _SPEC)
        kept = ("classes", "estimates", "slices", "temperatures", "best_epoch", "data", "label")
        metrics = {"key": run.key, **{name: run.record[name] for name in kept}}
        (unfinished / _METRICS).write_text(json.dumps(metrics, indent=1))
        replace_folder(unfinished, place)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({first_line(error)})") from None
    finally:
        remove(unfinished)
