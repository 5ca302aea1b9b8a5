"""The documented functions: what the verbs do, for scripts and notebooks."""

from trueness.api.answer import Answer
from trueness.api.external import judge
from trueness.api.running import run
from trueness.api.stored import calibrate, certify, compare, leaderboard, log, show, thresholds
from trueness.api.using import Bundle, finalize, importance, load

__all__ = [
    "Answer", "Bundle", "calibrate", "certify", "compare", "finalize", "importance", "judge",
    "leaderboard", "load", "log", "run", "show", "thresholds",
]  # fmt: skip
