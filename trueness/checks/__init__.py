"""Numbered checks of one run, for every task: each says finding, clean, or not applicable.

To add one, put a module and its page into `trueness.checks.catalogue`.
"""

from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.mutes import Mute, MuteChange, MuteList, add_mute, mutes_in, remove_mute
from trueness.checks.pages import CheckList, CheckPage, explained, next_move, page_of
from trueness.checks.recorded import checked, findings_of_run, is_checked
from trueness.checks.registry import (
    CHECKS,
    LIMITS,
    RELATIVE,
    VERSION,
    CheckFunction,
    baselines_compared,
    findings_from,
    findings_in,
    run_checks,
)
from trueness.checks.results import (
    SEVERITIES,
    Check,
    CheckResult,
    Clean,
    Finding,
    Limit,
    NotApplicable,
    Severity,
)
from trueness.checks.stored import limits_in, stored_findings

__all__ = [
    "CHECKS",
    "LIMITS",
    "RELATIVE",
    "SEVERITIES",
    "VERSION",
    "Check",
    "CheckFunction",
    "CheckInput",
    "CheckList",
    "CheckPage",
    "CheckResult",
    "Clean",
    "Finding",
    "Limit",
    "Missing",
    "Mute",
    "MuteChange",
    "MuteList",
    "NotApplicable",
    "Severity",
    "add_mute",
    "baselines_compared",
    "checked",
    "explained",
    "findings_from",
    "findings_in",
    "findings_of_run",
    "is_checked",
    "limits_in",
    "mutes_in",
    "next_move",
    "page_of",
    "remove_mute",
    "run_checks",
    "stored_findings",
]
