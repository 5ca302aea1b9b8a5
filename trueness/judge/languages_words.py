"""What was measured per group of units, in sentences; for texts a group is a language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from trueness.document.numbers import count, decimal, estimate, level, listed, percent, plural
from trueness.evaluation.by_group import FEWEST_UNITS
from trueness.evaluation.macro_f1 import FEWEST_ITEMS
from trueness.evaluation.selection import Contrast
from trueness.evaluation.slice_comparison import (
    PLANNED_LIFT,
    Method,
    MethodComparison,
    SliceComparison,
)
from trueness.evaluation.slices import Slices
from trueness.spec.estimands import Estimands

LANGUAGES = {"en": "English"}
"""Majority group -> what it is called where groups are languages."""
OVER_GROUPS = ("mean_group", "worst_group", "low_group", "majority_group")
"""Estimates that are all the same where there is a single group."""
VERDICTS = {
    "better": "better",
    "worse": "worse",
    "tied": "not distinguishable",
    "unknown": "unknown",
}


@dataclass(frozen=True)
class Words:
    """What units and groups are called.

    Attributes
    ----------
    unit, group : str
    majority : str
        Name of the majority group.
    only : str
        Name of the only group with enough units, of which alone can be spoken; empty where there
        are several or none.
    """

    unit: str = "unit"
    group: str = "group"
    majority: str = "the majority group"
    only: str = ""

    @property
    def units(self) -> str:
        """Several of them."""
        return f"{self.unit}s"

    @property
    def groups(self) -> str:
        """Several of them."""
        return f"{self.group}s"

    def score(self, name: str) -> str:
        """An estimate in a table."""
        if self.only and name in OVER_GROUPS:
            return self.only
        return {
            "macro_f1": f"all {self.units}",
            "mean_group": f"mean of {self.groups}",
            "worst_group": f"worst {self.group}",
            "low_group": f"20 % quantile of {self.groups}",
            "majority_group": self.majority,
        }.get(name, name.replace("_", " "))

    def distinct(self, names: Iterable[str]) -> list[str]:
        """Those estimates that are not all the same group's."""
        first: dict[str, str] = {}
        for name in names:
            first.setdefault(self.score(name), name)
        return list(first.values())

    def goal(self, name: str) -> str:
        """The same in a sentence."""
        shown = self.score(name)
        if shown == self.only:
            return shown
        named = {"macro_f1": f"macro-F1 of {shown}", "majority_group": shown}
        return named.get(name, f"the {shown}")

    def measure(self, name: str) -> str:
        """What the number is, in a sentence."""
        return self.goal(name) if name == "macro_f1" else f"macro-F1 of {self.goal(name)}"


def words_of(rule: Estimands, majority: str = "", groups: Sequence[str] = ()) -> Words:
    """Words of a kind of task, of its majority group and of the groups that count.

    Examples
    --------
    >>> from trueness.spec.titles import TitlesSpec
    >>> spec = TitlesSpec.model_validate({"task": {"kind": "titles", "corpus": "x"}})
    >>> words_of(spec.estimands, "en").goal("worst_group"), words_of(spec.estimands, "en").majority
    ('the worst language', 'English')
    """
    unit, group = rule.nouns
    known = LANGUAGES if group == "language" else {}
    name, only = majority or rule.majority, groups[0] if len(groups) == 1 else ""
    return Words(unit, group, known.get(name, name) or f"the majority {group}",
                 known.get(only, only))  # fmt: skip


def gain(contrast: Contrast) -> str:
    """Difference with its simultaneous interval."""
    return estimate(contrast.simultaneous, signed=True)


def _bracketed(contrast: Contrast) -> str:
    """The same for inside of brackets."""
    return gain(contrast).replace(" (", ", ").removesuffix(")")


def verdict_word(contrast: Contrast) -> str:
    """Better, worse, or not distinguishable, by the simultaneous interval."""
    return VERDICTS[contrast.verdict]


def slices_verdict(name: str, result: Slices, words: Words) -> str:
    """One sentence about a run: the mean of its groups, its worst group, its majority group."""
    whole = f"macro-F1 {estimate(result.scores['macro_f1'])} over all {words.units}"
    if not result.worst:
        small = f"; no {words.group} has {count(result.min_rows)} {words.units}" * bool(
            result.pooled
        )
        return f"{name}: {whole}{small}."
    worst = estimate(result.scores["worst_group"])
    if len(result.own) == 1:
        return (
            f"{name}: macro-F1 {worst} in {result.worst}, the only {words.group} with "
            f"{count(result.min_rows)} {words.units}; {whole}."
        )
    often = "" if result.worst_share is None else (
        f", the worst in {percent(result.worst_share)} % of the draws")  # fmt: skip
    parts = [
        f"macro-F1 {estimate(result.scores['mean_group'])} as the mean of {words.groups}",
        f"worst is {result.worst} with {worst}{often}",
    ]
    if "majority_group" in result.scores:
        parts.append(f"{words.majority} {estimate(result.scores['majority_group'])}")
    return f"{name}: {'; '.join(parts)}."


def slices_note(result: Slices, words: Words) -> str:
    """How scores are computed and what was resampled."""
    kept = {
        "clusters": f"clusters of {words.units} kept together",
        "blocks": f"blocks of consecutive times resampled, with all their {words.units}",
        "units": f"{words.units} resampled one by one",
    }[result.resampled]
    at_once = f"; that of the worst {words.group} holds for all {words.groups} at once"
    return (
        f"Macro-F1 is the mean over the classes with at least {FEWEST_UNITS} {words.units} (of at "
        f"least {FEWEST_ITEMS} clusters where there are some) of "
        f"{plural(len(result.classes), 'class', 'classes')}. {level(result.confidence)} confidence "
        f"intervals, {kept}{at_once * (not words.only)}."
    )


def left_out_note(result: Slices, words: Words) -> str:
    """What takes no part in means and in the worst; empty if all do."""
    k, small = len(result.classes), [name for name in result.own if name not in result.judged]
    parts = []
    if result.left_out:
        classes = plural(result.left_out, "class", "classes")
        fewer = f"fewer than {FEWEST_UNITS} {words.units} there"
        parts.append(f"{classes} of single {words.groups} left out: {fewer}.")
    if small:
        parts.append(f"Too few {words.units} for means and the worst: {listed(small)}.")
    lacking = {n: s.counted for n, s in result.own.items() if s.counted < k and n not in small}
    if lacking:
        ceilings = [f"{n} {decimal(c / k)} ({c} of {k})" for n, c in lacking.items()]
        parts.append(
            f"Over all {k} classes a perfect model could not exceed: {listed(ceilings)}; "
            f"{words.groups} are ranked over the classes that count there."
        )
    return " ".join(parts)


def pooled_note(result: Slices, words: Words) -> str:
    """Which groups are in "other", and why; empty if there is none."""
    if not result.pooled:
        return ""
    names = listed([f"{name} {count(n)}" for name, n in result.pooled.items()])
    few = f"fewer than {count(result.min_rows)} {words.units} each"
    return f"other: {names}; {few}, or no {words.group}."


def comparison_verdict(first: str, second: str, result: SliceComparison, words: Words) -> str:
    """One sentence about two runs: which groups are better, worse, not distinguishable."""
    sets = [
        f"{word} in {listed(names)}"
        for word in dict.fromkeys(VERDICTS.values())
        if (names := [n for n, c in result.groups.items() if verdict_word(c) == word])
    ]
    shown = ("worst_group", "majority_group") if result.groups else ("macro_f1",)
    known = [name for name in words.distinct(result.summaries) if name in shown]
    if words.only:
        known, sets = ["mean_group"], []
    summaries = [
        f"{words.score(name)} {gain(one := result.summaries[name])}, {verdict_word(one)}"
        for name in known
    ]
    clauses = [*([", ".join(sets)] if sets else []), *summaries]
    return f"{first} against {second}: {'; '.join(clauses)}."


def methods_verdict(result: MethodComparison, words: Words) -> str:
    """Answer which method lifts the target without degrading the majority group, in words."""
    goal, grouped = words.goal(result.target), result.majority_counts
    allowed = f"{words.majority} loses less than {_points(result.allowed_drop)} of macro-F1"
    if result.answer:
        names = listed([_with_gain(n, result.methods[n], result.target) for n in result.answer])
        verb = "lifts" if len(result.answer) == 1 else "lift"
        first = f"{names} {verb} {goal} against {result.reference}"
        first += f", and {allowed}" * grouped
    else:
        first = f"No method is shown to lift {goal} against {result.reference}"
        first += f" while {allowed}" * grouped
    return " ".join([f"{first}.", *(_but(result, words) if grouped else []), _leader(result)])


def _points(difference: float) -> str:
    return f"{decimal(100 * difference, 1)} points"


def methods_plan(result: MethodComparison, words: Words) -> str:
    """What could be shown with so many units, and how many it takes; empty if nobody knows."""
    others = [one for name, one in result.methods.items() if name != result.reference]
    lifts = [one.detectable_lift for one in others if one.detectable_lift is not None]
    drops = [one.detectable_drop for one in others if one.detectable_drop is not None]
    drops *= result.majority_counts
    parts = []
    if lifts and (needed := result.planned.get("target")):
        own = f" of the worst {words.group}" * (result.target == "worst_group" and not words.only)
        parts.append(
            f"a lift of {words.goal(result.target)} is found from {_points(median(lifts))} on "
            f"(one of {_points(PLANNED_LIFT)} with about {count(needed)} {words.units}{own})"
        )
    if drops and (needed := result.planned.get("majority")):
        parts.append(
            f"a loss of {words.majority} is excluded from {_points(median(drops))} on "
            f"({_points(result.allowed_drop)} with about {count(needed)} {words.units} of it)"
        )
    of = ", for the median of the methods" * (len(others) > 1)
    return f"With 80 % power{of}, {', and '.join(parts)}." if parts else ""


def _with_gain(name: str, method: Method, target: str) -> str:
    return f"{name} ({_bracketed(method.against[target])})"


def _but(result: MethodComparison, words: Words) -> list[str]:
    """Methods that lift the target, but degrade the majority group or are not known not to."""
    lost = f"lifts it, but a loss of {words.majority} by {_points(result.allowed_drop)}"
    clauses = {
        "yes": f"lifts it but degrades {words.majority}",
        "unknown": f"{lost} is not excluded",
    }
    sentences = []
    for name in result.lifting:
        one = result.methods[name]
        majority = one.against.get("majority_group")
        if one.majority_degraded != "no":
            few, bound = f"too few {words.units} of {words.majority}", one.majority_bound
            loss = few if majority is None else _bracketed(majority)
            if bound is not None and one.majority_degraded == "unknown":
                loss = f"{loss}; one-sided bound {decimal(bound, signed=True)}"
            sentences.append(f"{name} {clauses[one.majority_degraded]} ({loss}).")
    return sentences


def _leader(result: MethodComparison) -> str:
    value, others = result.methods[result.leader].values[result.target], len(result.methods) - 1
    if result.tied:
        rest = f"not distinguishable from {listed(result.tied)}"
    else:
        rest = f"better than {'the other' if others == 1 else f'all {others} others'}"
    return f"Best of all methods is {result.leader} with {decimal(value)}, {rest}."


def seeds_note(methods: Mapping[str, Method], target: str, words: Words) -> str:
    """How seeds enter, and how far they scatter."""
    seeds = {len(one.per_seed[target]) for one in methods.values()}
    if seeds == {1}:
        return (
            f"One seed per method: intervals resample {words.units}, and hold for these fits only."
        )
    widest = max(max(v) - min(v) for one in methods.values() if (v := one.per_seed[target]))
    return (
        f"Values are means over seeds; intervals resample {words.units}, not seeds, and hold for "
        f"these fits; seeds of one method differ by up to {decimal(widest)} in "
        f"{words.goal(target)}."
    )
