"""Several studies beside each other: whether size matters, and whether they agree.

A published verdict on scaling compares the best values of three searches by their labels. Here the
same comparison stands beside its error and beside the true sizes of the networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtri

from trueness.document import Document
from trueness.document.numbers import count, decimal, estimate, plural
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.power import auc_standard_error
from trueness.evaluation.summaries import (
    correlation_estimate,
    difference_estimate,
    slope_estimate,
)
from trueness.judge.judgement import SCHEMA
from trueness.judge.studies.analysis import Analysis, level_rows
from trueness.judge.studies.trials import Study, Value

AGREED = (
    "d_model",
    "n_layers",
    "n_heads",
    "d_ff_ratio",
    "learning_rate",
    "dropout",
    "weight_decay",
)


@dataclass(frozen=True)
class Difference:
    """Two studies of one group: their best values and their typical ones.

    Attributes
    ----------
    one, two : str
        Names; differences are one minus two.
    best : Estimate
        Difference of the best values. The interval takes the two as independent, which is too wide
        if both were measured on the same windows.
    correlation_needed : float or None
        Correlation between the two values above which the difference would exceed its error.
    mean : Estimate
        Difference of the means over configurations, with the interval of their spread.
    """

    one: str
    two: str
    best: Estimate
    correlation_needed: float | None
    mean: Estimate

    @property
    def is_clear(self) -> bool:
        """Whether the best values differ by more than their error."""
        return _leaves_zero_out(self.best)


@dataclass(frozen=True)
class Group:
    """Studies that differ in their budget only, smallest label first."""

    tier: str
    kind: str
    members: list[Analysis]
    verdict: str | None
    differences: list[Difference]
    slope: Estimate
    correlation: Estimate
    agreement: dict[str, list[Value | None]]

    @property
    def name(self) -> str:
        """Tier and kind."""
        return f"{self.tier} {self.kind}"

    @property
    def is_supported(self) -> bool:
        """Whether any two best values differ by more than their error."""
        return any(d.is_clear for d in self.differences)

    @property
    def sizes(self) -> list[int | None]:
        """True size of each winner."""
        return [m.best.parameters for m in self.members]

    @property
    def sizes_rise(self) -> bool | None:
        """Whether winners are larger where the label is; None if a size is unknown."""
        known = [s for s in self.sizes if s is not None]
        if len(known) < len(self.members):
            return None
        return all(a < b for a, b in pairwise(known))


@dataclass(frozen=True)
class Across:
    """All studies, the groups that can be compared, and how they agree on training values."""

    analyses: list[Analysis]
    groups: list[Group]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "schema": SCHEMA, "kind": "search_analysis",
            "studies": [a.to_dict() for a in self.analyses],
            "groups": [_group_dict(g) for g in self.groups], "sentences": self.sentences(),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """One row for each level of each parameter of each study."""
        return pl.DataFrame(
            [row for one in self.analyses for row in level_rows(one)], infer_schema_length=None
        )

    def document(self) -> Document:
        """One study whole, or several together and each of them."""
        from trueness.judge.studies.comparing import analysis_document

        return analysis_document(self)

    def sentences(self) -> list[str]:
        """Whether any difference between budgets exceeds its error, and whether means differ."""
        pairs = [(g, d) for g in self.groups for d in g.differences if d.best.low is not None]
        means = [d for g in self.groups for d in g.differences if d.mean.low is not None]
        return [_about_best(pairs), *([_about_means(means)] if means else [])]


def _about_best(pairs: Sequence[tuple[Group, Difference]]) -> str:
    if not pairs:
        return (
            "Nothing is said about size: no two studies differ in their budget only and tell how "
            "many positives their values rest on."
        )
    clear = [d for _, d in pairs if d.is_clear]
    of = f"{plural(len(pairs), 'comparison')} of budgets"
    if not clear:
        _, most = max(pairs, key=lambda pair: abs(pair[1].best.value or 0.0))
        return (
            f"No difference between budgets exceeds its error in {of}: the largest is "
            f"{decimal(abs(most.best.value or 0.0))} with a 95 % error of "
            f"±{decimal(_half(most.best))}, {most.one} against {most.two}. Verdicts on scaling are "
            "not supported."
        )
    names = "; ".join(f"{d.one} against {d.two}" for d in clear)
    return (
        f"{count(len(clear))} of {of} exceed their error, not adjusted for multiple testing: "
        f"{names}."
    )


def _about_means(pairs: Sequence[Difference]) -> str:
    clear = [d for d in pairs if _leaves_zero_out(d.mean)]
    most = max(pairs, key=lambda d: abs(d.mean.value or 0.0))
    return (
        "Differences between means over configurations whose 95 % confidence interval excludes "
        f"zero, not adjusted for multiple testing: {count(len(clear))} of {count(len(pairs))}; the "
        f"largest is {estimate(most.mean, signed=True)}, {most.one} less {most.two}. They compare "
        "what each search happened to sample."
    )


def _leaves_zero_out(estimate: Estimate) -> bool:
    low, high = estimate.low, estimate.high
    return low is not None and high is not None and (low > 0 or high < 0)


def _half(estimate: Estimate) -> float:
    return ((estimate.high or 0.0) - (estimate.low or 0.0)) / 2


def _group_dict(group: Group) -> dict[str, Any]:
    return {
        "tier": group.tier, "kind": group.kind,
        "studies": [m.study.name for m in group.members],
        "budgets": [m.study.budget for m in group.members],
        "best": [m.best_value.to_dict() for m in group.members],
        "true_sizes_of_the_best": group.sizes, "sizes_rise_with_labels": group.sizes_rise,
        "published_verdict": group.verdict, "supported": group.is_supported,
        "slope_per_decade": group.slope.to_dict(),
        "correlation_with_log_size": group.correlation.to_dict(),
        "differences": [
            {**vars(d), "best": d.best.to_dict(), "mean": d.mean.to_dict(), "clear": d.is_clear}
            for d in group.differences
        ],
        "best_levels": group.agreement,
        "agree": {name: agree(levels) for name, levels in group.agreement.items()},
    }  # fmt: skip


def agree(levels: Sequence[Value | None]) -> bool:
    """Whether all studies have the same best level."""
    return len(set(levels)) == 1


def across(analyses: Sequence[Analysis]) -> Across:
    """Compare studies, those of one tier and kind by their budgets.

    Parameters
    ----------
    analyses : sequence of Analysis
    """
    analyses = sorted(analyses, key=_place)
    keys = dict.fromkeys((a.study.tier, a.study.kind) for a in analyses)
    groups = []
    for tier, kind in keys:
        inside = [a for a in analyses if (a.study.tier, a.study.kind) == (tier, kind)]
        if len(inside) > 1:
            groups.append(_group(tier, kind, inside))
    return Across(list(analyses), groups)


def _place(one: Analysis) -> tuple[int, str, str, float, str]:
    """Order of studies: tier by its number, kind, budget."""
    study = one.study
    digits = "".join(c for c in study.tier if c.isdigit())
    return int(digits or 0), study.tier, study.kind, study.budget_size, study.name


def _group(tier: str, kind: str, members: list[Analysis]) -> Group:
    log_size, value = _sizes_and_values([m.study for m in members])
    agreement: dict[str, list[Value | None]] = {
        name: [m.best.params.get(name) for m in members]
        for name in AGREED
        if any(name in m.best.params for m in members)
    }
    pairs = combinations(members, 2)
    return Group(
        tier, kind, members, verdict([m.best.value or 0.0 for m in members]),
        [difference(one, two) for one, two in pairs],
        slope_estimate(log_size, value),
        correlation_estimate(log_size, value), agreement,
    )  # fmt: skip


def _sizes_and_values(studies: Sequence[Study]) -> tuple[list[float], list[float]]:
    """Decimal logarithm of the true size, and value, of each configuration that tells its size."""
    points = [
        (math.log10(t.parameters), value)
        for study in studies for t, value, _ in study.configurations if t.parameters
    ]  # fmt: skip
    return [x for x, _ in points], [y for _, y in points]


def verdict(best: Sequence[float]) -> str | None:
    """Published verdict on three budgets, smallest first, by their best values alone.

    HOLDS if the largest beats the middle one and that the smallest; VIOLATED if the middle one
    beats the smallest and that the largest; PARTIAL otherwise. None for another number of budgets.

    Examples
    --------
    >>> verdict([0.70, 0.71, 0.72]), verdict([0.71, 0.72, 0.70]), verdict([0.72, 0.70, 0.71])
    ('HOLDS', 'VIOLATED', 'PARTIAL')
    """
    if len(best) != 3:
        return None
    small, middle, large = best
    if large > middle > small:
        return "HOLDS"
    return "VIOLATED" if middle > small > large else "PARTIAL"


def difference(one: Analysis, two: Analysis) -> Difference:
    """Best and mean value of one study minus those of another."""
    gap = (one.best.value or 0.0) - (two.best.value or 0.0)
    errors = [_error(a) for a in (one, two)]
    best, needed = Estimate(gap, None, None, one.best_value.n), None
    if errors[0] is not None and errors[1] is not None:
        z = float(ndtri(0.975))
        half = z * math.hypot(errors[0], errors[1])
        best = Estimate(gap, gap - half, gap + half, one.best_value.n)
        needed = _needed(gap / z, errors[0], errors[1])
    means = [[value for _, value, _ in a.study.configurations] for a in (one, two)]
    mean = difference_estimate(np.array(means[0]), np.array(means[1]))
    return Difference(one.study.name, two.study.name, best, needed, mean)


def _needed(gap: float, first: float, second: float) -> float | None:
    """Correlation at which the standard error of a difference equals its size over z."""
    if not first * second:
        return None
    return float(np.clip((first**2 + second**2 - gap**2) / (2 * first * second), -1, 1))


def _error(one: Analysis) -> float | None:
    study = one.study
    if study.measure != "AUC" or study.positives is None or study.examples is None:
        return None
    negatives = study.examples - study.positives
    return auc_standard_error(one.best.value or 0.0, study.positives, negatives)
