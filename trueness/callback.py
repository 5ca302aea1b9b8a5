"""Who is called while long work proceeds."""

from __future__ import annotations

from typing import Any


class Callback:
    """Is called as work proceeds; override or duck-type what is wanted. By default nothing is done.

    Campaigns call all of it; corpora, audits and importances only stages, progress and notes.
    """

    def on_stage_start(self, stage: str, total: float) -> None:
        """A stage begins that takes at most so much work."""

    def on_progress(self, amount: float, text: str = "") -> None:
        """So much work is done, and a word about it, such as a loss."""

    def on_run_start(self, ids: list[str]) -> None:
        """Experiments that are fitted from now on."""

    def on_run_stored(self, ids: list[str], record: dict[str, Any]) -> None:
        """A run was stored."""

    def on_run_failed(self, ids: list[str], reason: str) -> None:
        """A run failed; its traceback is in the store."""

    def on_run_pruned(self, ids: list[str]) -> None:
        """A network was given up as not worth its training; nothing is stored."""

    def on_note(self, text: str) -> None:
        """Something else a reader should know."""
