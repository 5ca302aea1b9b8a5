"""From a run's spec, record and predictions to its findings, under the limits of a store."""

from trueness.checks.from_run import diagnose, evidence_of, judged
from trueness.checks.mutes import Mute, mute, mutes_in, unmute
from trueness.checks.stored import limits_in, stored_findings

__all__ = [
    "Mute",
    "diagnose",
    "evidence_of",
    "judged",
    "limits_in",
    "mute",
    "mutes_in",
    "stored_findings",
    "unmute",
]
