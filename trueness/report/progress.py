"""How a campaign proceeds, on a terminal: a bar, or a live picture."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from trueness.document import numbers
from trueness.evaluation import Estimate

LINES = 12
"""Finished runs that the live picture shows."""
SHOWN = {
    "auc": ("AUC", numbers.estimate),
    "precision@0.5": ("precision at 0.5", numbers.share),
    "macro_f1": ("macro-F1", numbers.estimate),
    "mean_group": ("mean of languages", numbers.estimate),
    "worst_group": ("worst language", numbers.estimate),
}
"""Estimates that a line about a stored run shows, where it has them; groups have titles alone."""


class ProgressCallback:
    """Shows stages, work and finished runs on a console; a context manager.

    Parameters
    ----------
    console : Console
    watch : bool
        One live picture that is redrawn in place, instead of a bar under a growing list.
    """

    def __init__(self, console: Console, watch: bool = False) -> None:
        self.console, self.watch = console, watch
        self.progress = Progress(
            TextColumn("{task.description:<10}", markup=False), BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(), TextColumn("left"),
            TimeRemainingColumn(), TextColumn("{task.fields[text]}", markup=False), console=console,
        )  # fmt: skip
        self.task: Any = None
        self.running: list[str] = []
        self.lines: deque[str] = deque(maxlen=LINES)
        self.done = self.broken = 0
        self.best: tuple[float, str] | None = None
        self.live = Live(
            console=console, transient=not watch, refresh_per_second=2,
            get_renderable=self._picture,
        )  # fmt: skip

    def __enter__(self) -> Self:
        if self.console.is_terminal or self.console.is_jupyter:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal or self.console.is_jupyter:
            self.live.stop()

    def on_stage_start(self, stage: str, total: float) -> None:
        """Begin a stage of at most so much work."""
        if self.task is not None:
            self.progress.remove_task(self.task)
        self.task, self.running = self.progress.add_task(stage, total=total, text=""), []

    def on_run_start(self, ids: list[str]) -> None:
        """Remember what is being trained."""
        self.running.append(" = ".join(ids))

    def on_progress(self, amount: float, text: str = "") -> None:
        """Move the bar, and show a word about it."""
        self.progress.advance(self.task, amount)
        if text:
            self.progress.update(self.task, text=text)

    def on_run_stored(self, ids: list[str], record: dict[str, Any]) -> None:
        """Print what a finished run is worth."""
        self._over(ids)
        self.done += 1
        estimates = {n: Estimate.from_dict(e) for n, e in record["estimates"].items()}
        name, top = " = ".join(ids), "precision@"
        suffixes = [n.removeprefix(top) for n in estimates if n.startswith(top)]
        budgets = [int(cut) for cut in suffixes if cut.isdecimal()]
        if budgets:
            headline = f"{name}, precision at top {max(budgets)}"
            self._keep_best(headline, estimates[f"{top}{max(budgets)}"])
        shown = [
            f"{title} {text(estimates[n]):<22}"
            for n, (title, text) in SHOWN.items()
            if n in estimates
        ]
        self._say(f"{name:<16} {record['label']:<28} {' '.join(shown)} {record['seconds']:.1f} s")

    def on_run_failed(self, ids: list[str], reason: str) -> None:
        """Print the last line of a traceback."""
        self._over(ids)
        self.broken += 1
        self._say(f"{' = '.join(ids)} failed: {reason.strip().splitlines()[-1]}", "red")

    def on_run_pruned(self, ids: list[str]) -> None:
        """Print that a network was given up."""
        self._over(ids)
        self._say(f"{' = '.join(ids):<16} pruned", "dim")

    def on_note(self, text: str) -> None:
        """Print a remark."""
        self._say(text, "dim")

    def _over(self, ids: list[str]) -> None:
        name = " = ".join(ids)
        if name in self.running:
            self.running.remove(name)

    def _keep_best(self, what: str, result: Estimate) -> None:
        if result.low is not None and (self.best is None or result.low > self.best[0]):
            self.best = result.low, f"{what}: {numbers.share(result)}"

    def _say(self, line: str, style: str = "") -> None:
        if self.watch and self.console.is_terminal:
            self.lines.append(line)
        else:
            self.console.print(line, style=style, highlight=False, soft_wrap=True)

    def _picture(self) -> RenderableType:
        if not self.watch:
            return self.progress
        counts = f"{self.done} done, {len(self.running)} running, {self.broken} failed"
        running = f"running: {', '.join(self.running[:8])}{' ...' * (len(self.running) > 8)}"
        best = "" if self.best is None else f"best so far by its lower end: {self.best[1]}"
        return Group(*(Text(line) for line in (*self.lines, counts, running, best)), self.progress)
