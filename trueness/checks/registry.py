"""Numbered diagnoses of one run, each with its evidence.

`trueness explain TRU001` prints the page of the first. A check is a row of `CHECKS`: its severity,
its title, and a function in `diagnoses` that looks at the evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trueness.evaluation import diagnoses as see
from trueness.checks.diagnoses import Look
from trueness.checks.evidence import Evidence, Finding
from trueness.evaluation.intervals import Estimate

VERSION = 2
"""Goes up when a check is added or sees otherwise; findings of an older one are made anew."""


@dataclass(frozen=True)
class Check:
    """How grave it is, what it is called, and what it looks for."""

    severity: str
    title: str
    look: Look


def run_checks(evidence: Evidence, codes: Iterable[str] | None = None) -> list[Finding]:
    """Findings of all checks, or of some, the gravest first."""
    found = []
    for code in CHECKS if codes is None else codes:
        check = CHECKS[code]
        seen = check.look(evidence)
        if seen is not None:
            found.append(Finding(code, check.severity, check.title, seen.text, seen.numbers))
    return sorted(found, key=lambda finding: finding.rank)


def against_baselines(best: Estimate | None, one_feature: Estimate | None) -> list[Finding]:
    """Findings that depend on other runs, from the AUC differences to them."""
    nothing = np.empty(0)
    evidence = Evidence(nothing.astype(np.uint8), nothing, {}, None, best, one_feature)
    return run_checks(evidence, ("TRU004", "TRU009"))


def findings_from(content: list[dict[str, Any]]) -> list[Finding]:
    """Back from the dictionaries of a record."""
    names = ("code", "severity", "title", "evidence")
    return [Finding(*(str(one[n]) for n in names), one.get("numbers", {})) for one in content]


CHECKS: dict[str, Check] = {
    "TRU001": Check("error", "collapsed scores", see.collapsed),
    "TRU002": Check("warning", "one class at 0.5", see.one_class),
    "TRU003": Check("error", "no better than chance", see.no_better_than_chance),
    "TRU004": Check("warning", "no better than the best baseline", see.no_better_than_best),
    "TRU005": Check("warning", "few positives", see.few_positives),
    "TRU006": Check("error", "double sigmoid", see.double_sigmoid),
    "TRU007": Check("error", "constant scores", see.constant),
    "TRU008": Check("warning", "base-rate drift", see.drifted),
    "TRU009": Check("error", "worse than one feature", see.worse_than_one_feature),
    "TRU010": Check("warning", "volatility, not direction", see.volatility),
    "TRU011": Check("warning", "calibration worse than the prior", see.worse_than_prior),
    "TRU012": Check("warning", "precision from too few alarms", see.few_alarms),
    "TRU013": Check("note", "best epoch at the edge", see.edge_epoch),
    "TRU014": Check("warning", "went astray in training", see.astray),
    "TRU015": Check("warning", "memorised", see.memorised),
    "TRU016": Check("warning", "alarms cluster", see.clustered),
    "TRU017": Check("error", "labels overlap in time", see.overlapping),
}
