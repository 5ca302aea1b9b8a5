"""Classifiers of the same units against each other, per group and in their summaries.

What is resampled is drawn once for all models, so that every comparison sees the same units. Runs
that differ only in their seed are averaged draw by draw: intervals resample units, not seeds, and
hold for these fits; how far the seeds scatter is shown beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.special import ndtri

from trueness.errors import nearest
from trueness.evaluation.class_draws import ClassDraws
from trueness.evaluation.inputs import InputError
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.power import POWER
from trueness.evaluation.resampling import Resampled, mean_difference, number
from trueness.evaluation.selection import Contrast, contrasts_with_leader, simultaneous_contrasts
from trueness.evaluation.simultaneous_groups import lower_bounds

Degraded: TypeAlias = Literal["no", "yes", "unknown"]
MAJORITY = "majority_group"
ALLOWED_DROP = 0.01
"""Macro-F1 that the majority group may lose and still count as not degraded."""
PLANNED_LIFT = 0.05
"""Lift of the target that a plan counts units for."""


@dataclass(frozen=True)
class SliceComparison:
    """A model minus another on the same units.

    Attributes
    ----------
    groups : dict of str to Contrast
        Difference of macro-F1 per group; simultaneous over the groups. Groups that have too few
        units for an interval have none.
    summaries : dict of str to Contrast
        Difference of each summary of `by_group.summaries`; simultaneous over these.
    first, second : dict of str to float
        Values of the summaries.
    rows : int
    """

    groups: dict[str, Contrast]
    summaries: dict[str, Contrast]
    first: dict[str, float]
    second: dict[str, float]
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON, verdicts included."""
        return {**asdict(self), "groups": _dicts(self.groups), "summaries": _dicts(self.summaries)}


@dataclass(frozen=True)
class Method:
    """One method among several, against the reference.

    Attributes
    ----------
    values : dict of str to float
        Summaries, means over the seeds.
    per_seed : dict of str to tuple of float
        The same for each seed.
    groups : dict of str to float
        Macro-F1 per group with enough units.
    against : dict of str to Contrast
        Summaries minus those of the reference; each simultaneous over the methods. Empty for the
        reference.
    groups_against : dict of str to Contrast
        The same per group; simultaneous over methods and groups.
    majority_bound : float or None
        One-sided lower bound of the difference in the majority group, simultaneous over the
        methods.
    majority_degraded : {"no", "yes", "unknown"}
        "no" if that bound lies above minus the allowed drop, "yes" if the whole simultaneous
        interval lies below it.
    detectable_lift : float or None
        Smallest true lift of the target that is found in 80 % of samples like this one.
    detectable_drop : float or None
        Smallest allowed drop of the majority group that is excluded in 80 % of them, if the method
        loses nothing there.
    behind : Contrast or None
        Leader minus this method in the target, corrected for the leader being the best of all;
        None for the leader.
    """

    values: dict[str, float]
    per_seed: dict[str, tuple[float, ...]]
    groups: dict[str, float]
    against: dict[str, Contrast]
    groups_against: dict[str, Contrast]
    majority_bound: float | None
    majority_degraded: Degraded
    detectable_lift: float | None
    detectable_drop: float | None
    behind: Contrast | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON, verdicts included."""
        behind = None if self.behind is None else self.behind.to_dict()
        return {**asdict(self), "against": _dicts(self.against), "behind": behind,
                "groups_against": _dicts(self.groups_against)}  # fmt: skip


@dataclass(frozen=True)
class MethodComparison:
    """Which methods lift the target without degrading the majority group.

    Attributes
    ----------
    methods : dict of str to Method
    reference, leader, target : str
        The leader has the largest target; it may be the reference.
    allowed_drop, confidence : float
    rows : int
    planned : dict of str to int
        Units that are needed in 80 % of samples, for the median of the methods: ``majority`` of the
        majority group to exclude the allowed drop, ``target`` of what the target is measured on to
        find a lift of 0.05. Standard errors fall with the root of the units. Empty where unknown.
    judged : int
        Groups that have enough units for an interval.
    """

    methods: dict[str, Method]
    reference: str
    leader: str
    target: str
    allowed_drop: float
    confidence: float
    rows: int
    planned: dict[str, int]
    judged: int

    @property
    def lifting(self) -> list[str]:
        """Methods better than the reference in the target, the best first."""
        result = [n for n in self.ranked if _verdict(self.methods[n], self.target) == "better"]
        return [n for n in result if n != self.reference]

    @property
    def majority_counts(self) -> bool:
        """Whether there are several groups, so that who lifts one may degrade another."""
        return self.judged > 1

    @property
    def answer(self) -> list[str]:
        """Those of them that do not degrade the majority group, if there are several groups."""
        if not self.majority_counts:
            return self.lifting
        return [name for name in self.lifting if self.methods[name].majority_degraded == "no"]

    @property
    def tied(self) -> list[str]:
        """Methods that the leader is not distinguishable from in the target."""
        behind = ((n, self.methods[n].behind) for n in self.ranked)
        return [n for n, one in behind if one is not None and one.verdict in ("tied", "unknown")]

    @property
    def ranked(self) -> list[str]:
        """Names by falling target."""
        return sorted(self.methods, key=lambda n: -self.methods[n].values[self.target])

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON, the answer included."""
        methods = {name: one.to_dict() for name, one in self.methods.items()}
        derived = {"lifting": self.lifting, "answer": self.answer, "tied": self.tied}
        return {**asdict(self), "methods": methods, **derived}


def _verdict(method: Method, summary: str) -> str:
    return method.against[summary].verdict if summary in method.against else ""


def _dicts(contrasts: Mapping[str, Contrast]) -> dict[str, Any]:
    return {name: one.to_dict() for name, one in contrasts.items()}


def compare_pair(
    first: Sequence[ClassDraws], second: Sequence[ClassDraws], confidence: float = 0.95
) -> SliceComparison:
    """First minus second from the draws of their seeds."""
    one, other = ClassDraws.mean(first), ClassDraws.mean(second)
    whole = one.summaries["macro_f1"]
    return SliceComparison(
        _family({n: _minus(r, other.groups[n]) for n, r in one.groups.items()}, confidence),
        _family({n: _minus(r, other.summaries[n]) for n, r in one.summaries.items()}, confidence),
        _values(one.summaries), _values(other.summaries), whole.n,
    )  # fmt: skip


def compare_draws(
    runs: Mapping[str, Sequence[ClassDraws]], *, reference: str, target: str,
    allowed_drop: float = ALLOWED_DROP, confidence: float = 0.95,
) -> MethodComparison:  # fmt: skip
    """Which method lifts the worst groups without degrading the majority group.

    A method is an answer if its target is better than that of the reference, and the one-sided
    lower bound of its difference in the majority group lies above minus `allowed_drop`. Both have
    to be shown, so a false answer needs no correction for there being two: Berger, "Multiparameter
    hypothesis testing and acceptance sampling" (1982). Each is simultaneous over all methods, so
    that with about the stated confidence no answer is wrong in the one respect, nor in the other.

    Parameters
    ----------
    runs : mapping of str to sequence of ClassDraws
        Seeds of each method, all on the same draws; they are averaged draw by draw.
    reference : str
        The method that the others are compared with.
    target : str
        One of `by_group.summaries`.
    allowed_drop : float
        Macro-F1 that the majority group may lose, in [0, 1).
    confidence : float
        In (0, 1).

    Raises
    ------
    InputError
        With the codes ``no_reference, no_estimate, range``.
    """
    _check_reference(reference, runs)
    if not 0 <= allowed_drop < 1:
        raise InputError(
            f"allowed_drop {allowed_drop} must lie in [0, 1), a drop of macro-F1", "range"
        )
    means = {name: ClassDraws.mean(seeds) for name, seeds in runs.items()}
    check_target(target, list(means[reference].summaries))
    against, by_group = _against(means, reference, confidence)
    lifts, drops = (_differences(means, reference, name) for name in (target, MAJORITY))
    bounds = dict(zip(drops, lower_bounds(list(drops.values()), confidence), strict=True))
    leader, behind = _behind({n: m.summaries[target] for n, m in means.items()}, confidence)

    def method(name: str) -> Method:
        mean, own, bound = means[name], against[name], bounds.get(name, float("nan"))
        margin = drops[name].value - bound if name in drops else None
        degraded = _degraded(own.get(MAJORITY), bound, allowed_drop)
        return Method(
            _values(mean.summaries), _per_seed(runs[name]), _values(mean.groups), own,
            by_group[name], number(bound), "no" if name == reference else degraded,
            _detectable(lifts.get(name), _half(own.get(target))),
            _detectable(drops.get(name), margin), behind.get(name),
        )  # fmt: skip

    methods = {name: method(name) for name in means}
    planned = {
        "majority": _needed(
            means[reference], MAJORITY, [m.detectable_drop for m in methods.values()], allowed_drop
        ),
        "target": _needed(
            means[reference], target, [m.detectable_lift for m in methods.values()], PLANNED_LIFT
        ),
    }
    return MethodComparison(
        methods, reference, leader, target, allowed_drop, confidence,
        means[reference].summaries["macro_f1"].n, {n: k for n, k in planned.items() if k},
        sum(bool(np.isfinite(one.error)) for one in means[reference].groups.values()),
    )  # fmt: skip


def check_target(target: str, known: list[str]) -> None:
    """Refuse a summary that was not measured.

    Raises
    ------
    InputError
    """
    if target not in known:
        raise InputError(
            f"no estimate {target!r} for these units; {nearest(target, known)}", "no_estimate"
        )


def _check_reference(reference: str, runs: Mapping[str, Any]) -> None:
    if reference not in runs:
        raise InputError(
            f"no method is called {reference!r}; {nearest(reference, list(runs))}", "no_reference"
        )


def _per_seed(seeds: Sequence[ClassDraws]) -> dict[str, tuple[float, ...]]:
    return {n: tuple(s.summaries[n].value for s in seeds) for n in seeds[0].summaries}


def _values(statistics: Mapping[str, Resampled]) -> dict[str, float]:
    return {name: one.value for name, one in statistics.items()}


# ---------------------------------------------------------------------------------------- contrasts


def _minus(one: Resampled, other: Resampled) -> Resampled:
    return mean_difference([one], [other])


def _family(differences: Mapping[Any, Resampled], confidence: float) -> dict[Any, Contrast]:
    """Contrasts that are simultaneous over those of these differences that have draws."""
    enough = {n: d for n, d in differences.items() if np.isfinite(d.error)}
    result = simultaneous_contrasts(list(enough.values()), confidence)
    known = dict(zip(enough, result, strict=True))
    return {n: known.get(n) or _unknown(d) for n, d in differences.items()}


def _unknown(difference: Resampled) -> Contrast:
    alone = Estimate(difference.value, None, None, difference.n)
    return Contrast(alone, alone)


def _against(
    means: Mapping[str, ClassDraws], reference: str, confidence: float
) -> tuple[dict[str, dict[str, Contrast]], dict[str, dict[str, Contrast]]]:
    """Of each method minus the reference: summaries, each a family over methods, and groups."""
    own, others = means[reference], [name for name in means if name != reference]
    whole: dict[str, dict[str, Contrast]] = {name: {} for name in means}
    groups: dict[str, dict[str, Contrast]] = {name: {} for name in means}
    for summary in own.summaries:
        family = _differences(means, reference, summary)
        for name, contrast in _family(family, confidence).items():
            whole[name][summary] = contrast
    every = {
        (n, s): _minus(means[n].groups[s], base) for n in others for s, base in own.groups.items()
    }
    for (name, group), contrast in _family(every, confidence).items():
        groups[name][group] = contrast
    return whole, groups


def _behind(targets: Mapping[str, Resampled], confidence: float) -> tuple[str, dict[str, Contrast]]:
    """The leader, and how far each other method is behind it."""
    names, candidates = list(targets), list(targets.values())
    leader = max(range(len(names)), key=lambda i: candidates[i].value)
    others = [name for i, name in enumerate(names) if i != leader]
    result = contrasts_with_leader(candidates, leader, confidence)
    return names[leader], dict(zip(others, result, strict=True))


def _differences(
    means: Mapping[str, ClassDraws], reference: str, summary: str
) -> dict[str, Resampled]:
    """A summary of each other method minus that of the reference; empty if it is not known."""
    base = means[reference].summaries.get(summary)
    if base is None:
        return {}
    return {n: _minus(m.summaries[summary], base) for n, m in means.items() if n != reference}


def _degraded(majority: Contrast | None, bound: float, allowed_drop: float) -> Degraded:
    """Whether the majority group loses more than is allowed."""
    if majority is None or not np.isfinite(bound):
        return "unknown"
    if bound > -allowed_drop:
        return "no"
    high = majority.simultaneous.high
    return "yes" if high is not None and high < -allowed_drop else "unknown"


# ----------------------------------------------------------------------------------------- planning


def _half(contrast: Contrast | None) -> float | None:
    """Half width of the simultaneous interval."""
    low, high = (None, None) if contrast is None else (
        contrast.simultaneous.low, contrast.simultaneous.high)  # fmt: skip
    return None if low is None or high is None else (high - low) / 2


def _detectable(difference: Resampled | None, margin: float | None) -> float | None:
    """What lies beyond a margin of error in 80 % of samples."""
    if difference is None or margin is None:
        return None
    return number(margin + float(ndtri(POWER)) * difference.error)


def _needed(
    reference: ClassDraws, summary: str, detectable: Sequence[float | None], size: float
) -> int | None:
    """Units of a summary, of the worst group for the worst, with which `size` is detectable."""
    known = [one for one in detectable if one is not None]
    if not known or summary not in reference.summaries:
        return None
    rows = _rows(reference, summary)
    return int(np.ceil(rows * (np.median(known) / size) ** 2)) if size else None


def _rows(reference: ClassDraws, summary: str) -> int:
    """Units that a summary is measured on; of the worst group where that differs between seeds."""
    value = reference.summaries[summary]
    if summary not in ("worst_group", MAJORITY):
        return value.n
    estimable = [one for one in reference.groups.values() if np.isfinite(one.error)]
    return min(estimable, key=lambda one: abs(one.value - value.value), default=value).n
