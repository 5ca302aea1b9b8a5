"""A progress bar for a campaign, with one line per stored run."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from trueness.evaluation import Estimate
from trueness.report.tables import number_text, share_text


class ProgressListener:
    """Shows stages, epochs and finished runs on a console; a context manager."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self.task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.task is not None:
            self.progress.stop()

    def start(self, stage: str, epochs: int) -> None:
        """Begin a stage of at most so many epochs."""
        self.progress.start()
        if self.task is not None:
            self.progress.remove_task(self.task)
        self.task = self.progress.add_task(stage, total=epochs)

    def advance(self, epochs: int) -> None:
        """Move the bar."""
        self.progress.advance(self.task, epochs)

    def stored(self, ids: list[str], record: dict[str, Any]) -> None:
        """Print what a finished run is worth."""
        estimates = {
            n: Estimate.from_dict(record["estimates"][n]) for n in ("auc", "precision_half")
        }
        self.console.print(
            f"{' = '.join(ids):<16} {record['label']:<28} AUC {number_text(estimates['auc']):<20} "
            f"precision at 0.5 {share_text(estimates['precision_half']):<22} "
            f"{record['seconds']:.1f} s",
            highlight=False,
        )

    def failed(self, ids: list[str], reason: str) -> None:
        """Print the last line of a traceback."""
        self.console.print(
            f"{' = '.join(ids)} failed: {reason.strip().splitlines()[-1]}",
            style="red",
            highlight=False,
        )
