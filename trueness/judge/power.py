"""What a part of so many days can resolve, printed before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from trueness.errors import TruenessError, at_least
from trueness.evaluation.power import (
    MOST,
    POWER,
    alarms_needed,
    auc_standard_error,
    between,
    detectable_auc_difference,
    detectable_precision,
    lucky_hits,
)

LIFTS = (0.05, 0.1, 0.15, 0.2, 0.3)
"""True precisions above the one to certify, for which the alarms are counted."""


@dataclass(frozen=True)
class Question:
    """What is planned.

    Attributes
    ----------
    positives, samples : int
        Of the part that will judge.
    candidates : int
        Models that will be compared there.
    alarms : int
        Budget at which precisions are compared.
    precision : float
        To be certified.
    auc : float
        Where the models are expected to lie.
    correlation : float
        Of the AUCs of two models on the same days.
    confidence, power : float
    """

    positives: int
    samples: int
    candidates: int = 1
    alarms: int = 30
    precision: float = 0.6
    auc: float = 0.7
    correlation: float = 0.5
    confidence: float = 0.95
    power: float = POWER

    def __post_init__(self) -> None:
        for name, least in (("positives", 2), ("samples", 2), ("candidates", 1), ("alarms", 1)):
            at_least(f"--{name}", getattr(self, name), least, MOST)
        if self.positives >= self.samples:
            raise TruenessError(
                f"{self.positives} positives among {self.samples} samples: fewer are needed"
            )
        if self.alarms > self.samples:
            raise TruenessError(f"{self.alarms} alarms on {self.samples} samples: one each at most")
        for name in ("precision", "auc", "confidence", "power"):
            between(f"--{name}", getattr(self, name))
        between("--correlation", self.correlation, -1.0)


def plan_power(asked: Question) -> dict[str, Any]:
    """All numbers of a plan; pairs are for one candidate and for all of them.

    Examples
    --------
    >>> found = plan_power(Question(76, 422, 183))
    >>> [round(found["auc_difference"][who], 2) for who in ("one", "all")]
    [0.1, 0.16]
    """
    base, error = asked.positives / asked.samples, 1 - asked.confidence
    levels = {"one": error, "all": error / asked.candidates}
    spread = auc_standard_error(asked.auc, asked.positives, asked.samples - asked.positives)
    truths = [asked.precision + lift for lift in LIFTS if asked.precision + lift < 1]
    return {
        **vars(asked),
        "base_rate": base,
        "auc_standard_error": spread,
        "auc_half_width": float(-ndtri(error / 2) * spread),
        "auc_difference": {
            who: detectable_auc_difference(
                asked.auc, asked.positives, asked.samples - asked.positives,
                correlation=asked.correlation, candidates=m, confidence=asked.confidence,
                power=asked.power,
            )
            for who, m in (("one", 1), ("all", asked.candidates))
        },
        "precision_above_base_rate": _detectable(asked, base, levels),
        "alarms_to_certify": [
            {
                "truth": round(truth, 6),
                **{
                    who: alarms_needed(asked.precision, truth, level=level, power=asked.power)
                    for who, level in levels.items()
                },
            }
            for truth in truths
        ],
        "luck": [
            {"truth": truth, **_luck(asked, truth)} for truth in sorted({base, asked.precision})
        ],
    }  # fmt: skip


def _detectable(asked: Question, base: float, levels: dict[str, float]) -> dict[str, float | None]:
    return {
        who: detectable_precision(asked.alarms, base, level=level, power=asked.power)
        for who, level in levels.items()
    }


def _luck(asked: Question, truth: float) -> dict[str, int]:
    """Hits of the best of all candidates that luck alone brings half of the time, and rarely."""
    return {
        name: lucky_hits(asked.alarms, truth, models=asked.candidates, probability=probability)
        for name, probability in (("half", 0.5), ("rarely", 1 - asked.confidence))
    }


def power_lines(found: dict[str, Any]) -> list[str]:
    """A plan in sentences."""
    m, n, pairs = found["candidates"], found["alarms"], found["auc_difference"]
    confidence, power = (f"{100 * found[name]:g} %" for name in ("confidence", "power"))
    lift = found["precision_above_base_rate"]
    base = f"{found['positives']}/{found['samples']} = {100 * found['base_rate']:.1f} %"
    among = f", {pairs['all']:.3f} among {m:,} candidates" * (m > 1)
    shown = f", {_from(lift['all'])} among {m:,} candidates" * (m > 1)
    lines = [
        f"base rate {base}; confidence {confidence}, power {power}, days taken as independent",
        f"an AUC of {found['auc']:g} is known to ±{found['auc_half_width']:.3f} (standard error "
        f"{found['auc_standard_error']:.3f})",
        f"two AUCs on the same days (correlation {found['correlation']:g}) are told apart from a "
        f"difference of {pairs['one']:.3f} on{among}",
        f"{n} alarms show a precision above the base rate {_from(lift['one'])}{shown}",
    ]
    for one in found["luck"]:
        lines.append(
            f"luck: if {_models(m)} a true precision of {_percent(one['truth'])}, the best shows "
            f"{one['half']}/{n} or better in half of all cases, {one['rarely']}/{n} or better in "
            f"{100 * (1 - found['confidence']):.3g} %"
        )
    return lines


def power_of(
    positives: int, days: int, candidates: int, alarms: int, confidence: float
) -> dict[str, Any] | None:
    """`plan_power` for days that are there already; None if nothing can be compared on them."""
    if not 2 <= positives < days or candidates < 1:
        return None
    asked = Question(positives, days, candidates, min(alarms, days), confidence=confidence)
    return plan_power(asked)


def resolution_lines(found: dict[str, Any], days: str = "days") -> list[str]:
    """The same in two lines, for so many days of a part."""
    m, n, pairs = found["candidates"], found["alarms"], found["auc_difference"]
    lift, luck = found["precision_above_base_rate"], found["luck"][0]
    who = "all" if m > 1 else "one"
    what, best = (f"{m:,} candidates", "the best of them") if m > 1 else ("one candidate", "it")
    return [
        f"what {found['samples']:,} {days} with {found['positives']:,} positives can resolve: an "
        f"AUC of {found['auc']:g} to ±{found['auc_half_width']:.3f}; two AUCs from a difference of "
        f"{pairs['one']:.3f} on" + f", {pairs['all']:.3f} among {what}" * (m > 1),
        f"{n} alarms show a precision above the base rate of {_percent(found['base_rate'])} "
        f"{_from(lift[who])} for {what}; luck alone brings {best} to "
        f"{luck['half']}/{n} in half of all cases, to {luck['rarely']}/{n} in "
        f"{100 * (1 - found['confidence']):.3g} %",
    ]


def _models(m: int) -> str:
    return "the only candidate has" if m == 1 else f"all {m:,} candidates have"


def power_rows(found: dict[str, Any]) -> list[dict[str, str]]:
    """Alarms needed to certify, by true precision."""
    columns = {"one": "alarms, one candidate"}
    if found["candidates"] > 1:
        columns["all"] = f"alarms, {found['candidates']:,} candidates"
    return [
        {
            f"to certify {_percent(found['precision'])}, if the true precision is": _percent(
                one["truth"]
            ),
            **{
                title: "too many" if one[who] is None else f"{one[who]:,}"
                for who, title in columns.items()
            },
        }
        for one in found["alarms_to_certify"]
    ]


def _from(truth: float | None) -> str:
    return "never" if truth is None else f"from a true one of {_percent(truth)} on"


def _percent(share: float) -> str:
    return f"{np.round(100 * share, 1):g} %"
