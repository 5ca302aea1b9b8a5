"""The documented functions: what the verbs do, for scripts and notebooks."""

from trueness.api.answer import Answer
from trueness.api.external import judge
from trueness.api.running import run
from trueness.api.stored import calibrate, certify, compare, leaderboard, load, show, thresholds

__all__ = [
    "Answer", "calibrate", "certify", "compare", "judge", "leaderboard", "load", "run", "show",
    "thresholds",
]  # fmt: skip
