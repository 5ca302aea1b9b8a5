"""How a campaign on titles proceeds, on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from trueness.document import numbers
from trueness.evaluation import Estimate

SCORES = {"macro_f1": "macro-F1", "mean_group": "mean of languages", "worst_group": "worst"}
"""Estimates that a line about a stored run shows, and what they are called there."""


class TitlesProgress:
    """A bar per run that trains, and a line per epoch and stored run; a context manager.

    Parameters
    ----------
    console : Console
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description:<12}"), BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  loss {task.fields[loss]}"), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), console=console,
            disable=not console.is_terminal,
        )  # fmt: skip
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def begun(self, id_: str) -> None:
        """A run begins."""
        self.tasks[id_] = self.bars.add_task(id_, total=None, loss="")

    def heard(self, id_: str, event: tuple[Any, ...]) -> None:
        """A run got on."""
        task = self.tasks.get(id_)
        if event[0] == "note":
            self._say(f"{id_}: {event[1]}")
        elif event[0] == "epoch":
            self._say(f"{id_:<12} {_epoch_text(event[1])}")
        elif task is not None and event[0] == "begin":
            self.bars.update(task, total=event[2], completed=event[3])
        elif task is not None and event[0] == "advance":
            self.bars.update(task, advance=event[1], loss=f"{event[3]:.4f}")

    def stored(self, id_: str, record: dict[str, Any]) -> None:
        """A run was stored."""
        self._end(id_)
        estimates = record["estimates"]  # no language may have enough texts for the last two
        shown = [
            f"{title} {numbers.estimate(Estimate.from_dict(estimates[name]))}"
            for name, title in SCORES.items()
            if name in estimates
        ]
        self._say(f"{id_:<12} {'  '.join(shown)}  {record['seconds']:.1f} s")

    def failed(self, id_: str, reason: str) -> None:
        """A run failed."""
        self._end(id_)
        self._say(f"{id_}: failed: {reason.strip().splitlines()[-1]}")

    def note(self, text: str) -> None:
        """Something else a reader should know."""
        self._say(text)

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def _end(self, id_: str) -> None:
        task = self.tasks.pop(id_, None)
        if task is not None:
            self.bars.remove_task(task)


def _epoch_text(row: dict[str, float]) -> str:
    """Losses and scores of an epoch in one line."""
    return (
        f"epoch {row['epoch']:.0f}  loss {row['train_loss']:.4f}, validation "
        f"{row['val_loss']:.4f}  macro-F1 {row['macro_f1']:.3f}, mean of languages "
        f"{row['mean_group']:.3f}, worst {row['worst_group']:.3f}"
    )
