"""Stored runs sent to experiment trackers: MLflow, Weights & Biases, TensorBoard.

Adding a tracker: a module with a function that opens it, and its row in `sending.TRACKERS`.
"""

# ruff: noqa: F401 - what stands here is handed on
from typing import TYPE_CHECKING

from trueness.lazy import handed_on

if TYPE_CHECKING:
    from trueness.trackers.entry import Entry, entry_of
    from trueness.trackers.sending import TRACKERS, Logged, Tracker, send

__all__, __getattr__, __dir__ = handed_on(__name__, __file__)
