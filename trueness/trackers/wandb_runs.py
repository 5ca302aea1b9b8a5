"""Runs in Weights & Biases: its server, or folders that `wandb sync` sends later."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueness.errors import TruenessError
from trueness.files import read_json, write_json
from trueness.trackers.entry import Entry

MARK = "trueness.json"
"""File in the folder of a run that was written whole."""
LONGEST_PROJECT, LONGEST_TAG = 128, 64
"""Characters that the server takes."""


def opened(uri: str | None, experiment: str) -> WandbRuns:
    """A project.

    Whether runs go to a server or stay in folders is said by ``WANDB_MODE``, as anywhere with
    Weights & Biases: ``offline`` keeps them in folders.

    Parameters
    ----------
    uri : str, optional
        Folder in which its folder ``wandb`` lies; the current one by default.
    experiment : str
        Name of the project; characters that the server refuses become hyphens.

    Raises
    ------
    TruenessError
        With the code ``tracker`` if `uri` is no folder, or WANDB_MODE switches it off.
    """
    mode = os.environ.get("WANDB_MODE", "online")
    if mode not in ("online", "offline"):
        raise TruenessError(f"WANDB_MODE={mode}: set it to online or offline", "tracker")
    if uri is not None and "://" in uri:
        raise TruenessError(
            f"{uri} is no folder; WANDB_BASE_URL names a server of Weights & Biases", "tracker"
        )
    project = re.sub(r"[/\\#?%:]+", "-", experiment)[:LONGEST_PROJECT]
    return WandbRuns(Path(uri or "."), project, mode == "offline")


@dataclass(frozen=True)
class WandbRuns:
    """Runs of a project; the number of each is its key."""

    folder: Path
    project: str
    offline: bool

    def find(self, key: str) -> str | None:
        """Folder of the run with this key that was written whole, or its address on the server."""
        if self.offline:
            marks = sorted(self.folder.glob(f"wandb/offline-run-*-{key}/{MARK}"))
            return next((str(m.parent) for m in marks if self._is_ours(m)), None)
        with _calm():
            import wandb

            with suppress(ValueError, wandb.errors.CommError):  # no such run, or no such project
                result = wandb.Api().run(f"{self.project}/{key}")
                return result.url if result.state == "finished" else None
        return None

    def log(self, entry: Entry) -> str:
        """Send a run, or write its folder; one that ends early is sent anew the next time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _calm():
            import wandb

            settings = wandb.Settings(
                silent=True, console="off", x_disable_stats=True, save_code=False
            )
            run = wandb.init(
                project=self.project, id=entry.key, name=entry.name, dir=self.folder,
                config={"trueness": entry.tags, **entry.parameters}, resume="allow",
                tags=_tags(entry), mode="offline" if self.offline else "online", settings=settings,
            )  # fmt: skip
            status = 1
            try:
                _fill(run, entry)
                status = 0
            finally:
                run.finish(exit_code=status)
        place = Path(run.dir).parent
        if not self.offline:
            return str(run.url)
        write_json(place / MARK, {"key": entry.key, "project": self.project})
        return str(place)

    def _is_ours(self, mark: Path) -> bool:
        """Whether a folder is of this project: those of all projects lie side by side."""
        return read_json(mark)["project"] == self.project


def _fill(run: Any, entry: Entry) -> None:  # noqa: ANN401 - a run of wandb
    run.define_metric("epoch")
    run.define_metric("*", step_metric="epoch")
    for epoch, values in entry.curves:
        run.log({"epoch": epoch, **values})
    run.summary.update(entry.metrics)
    for name, text in entry.files.items():
        path = Path(run.dir) / name
        path.write_text(text, encoding="utf-8")
        run.save(str(path), base_path=run.dir, policy="end")


def _tags(entry: Entry) -> list[str]:
    """Codes of the checks that fired, what the run says about itself is in its config."""
    codes = [name.removeprefix("check.") for name in entry.tags if name.startswith("check.")]
    return [one[:LONGEST_TAG] for one in [entry.tags["trueness.task"], *codes]]


@contextmanager
def _calm() -> Generator[None]:
    """Keep its warnings off the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
