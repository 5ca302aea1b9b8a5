"""Runs as folders of TensorBoard: event file, page and spec of each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from trueness.errors import TruenessError
from trueness.files import remove, replace_folder, sweep, temporary
from trueness.trackers.entry import Entry

FOLDER = "runs"
"""Where TensorBoard is pointed to by most of its users."""


def opened(uri: str | None, experiment: str) -> TensorBoardEvents:
    """The folder of an experiment.

    Parameters
    ----------
    uri : str, optional
        Folder of logs, ``runs`` by default.
    experiment : str
        Folder in it.

    Raises
    ------
    TruenessError
        With the code ``tracker`` if `uri` is no folder.
    """
    if uri is not None and "://" in uri:
        raise TruenessError(f"TensorBoard reads folders; {uri} is none", "tracker")
    return TensorBoardEvents(Path(uri or FOLDER) / in_path(experiment))


def in_path(name: str) -> str:
    """A name as that of a folder.

    Examples
    --------
    >>> in_path("demo/D-01 = D-02")
    'demo-D-01-D-02'
    """
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "run"


@dataclass(frozen=True)
class TensorBoardEvents:
    """A folder with a folder per run, whose name ends in the key."""

    folder: Path

    def find(self, key: str) -> str | None:
        """Folder of the run with this key; unfinished ones have other names."""
        return next((str(one) for one in sorted(self.folder.glob(f"*-{key}"))), None)

    def log(self, entry: Entry) -> str:
        """Write a folder, whole or not at all."""
        from tensorboardX import SummaryWriter
        from tensorboardX.summary import hparams

        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder)
        place = self.folder / f"{in_path(entry.name)}-{entry.key}"
        unfinished = temporary(place)
        try:
            with SummaryWriter(str(unfinished)) as writer:
                for part in hparams(entry.parameters, entry.metrics):
                    writer.file_writer.add_summary(part)
                for name, value in entry.metrics.items():
                    writer.add_scalar(name, value, 0)
                for epoch, values in entry.curves:
                    for name, value in values.items():
                        writer.add_scalar(name, value, epoch)
                writer.add_text("tags", _table(entry.tags), 0)
                writer.add_text("spec", _indented(entry.files["spec.json"]), 0)
            for name, text in entry.files.items():
                (unfinished / name).write_text(text, encoding="utf-8")
            replace_folder(unfinished, place)
        finally:
            remove(unfinished)
        return str(place)


def _table(rows: dict[str, str]) -> str:
    """Rows of two cells in Markdown, which TensorBoard renders."""
    cells = {name: text.replace("|", "\\|").replace("\n", " ") for name, text in rows.items()}
    return "\n".join(
        ["| tag | value |", "| --- | --- |", *(f"| {n} | {text} |" for n, text in cells.items())]
    )


def _indented(spec: str) -> str:
    """Spec as a block of code in Markdown."""
    lines = json.dumps(json.loads(spec), indent=1, ensure_ascii=False).splitlines()
    return "\n".join(f"    {line}" for line in lines)
