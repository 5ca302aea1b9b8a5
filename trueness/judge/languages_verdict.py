"""Answers about the leader of a comparison group of K classes: chance, siblings, the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from trueness.document import numbers
from trueness.evaluation.class_draws import ClassDraws
from trueness.evaluation.resampling import Resampled
from trueness.evaluation.selection import (
    Contrast,
    contrasts_with_leader,
    simultaneous_contrasts,
)
from trueness.judge.answers import Answer
from trueness.judge.languages import CommonUnits
from trueness.judge.languages_words import Words
from trueness.spec.estimands import Estimands


def verdicts_of(
    units: CommonUnits, means: Mapping[str, ClassDraws], candidates: Sequence[str],
    best: str | None, against: Mapping[str, Contrast], target: str, words: Words,
    no_baseline: str,
) -> dict[str, Answer]:  # fmt: skip
    """Question -> answer; empty without a candidate.

    Parameters
    ----------
    units : CommonUnits
    means : mapping of str to ClassDraws
        Of each method, its seeds averaged.
    candidates : sequence of str
        The best first.
    best : str or None
        The best baseline.
    against : mapping of str to Contrast
        Each candidate minus the best baseline.
    target : str
        Estimate that ranks.
    words : Words
    no_baseline : str
        What to say where there is none.
    """
    if not candidates:
        return {}
    rule = units.rule
    return {
        "better_than_chance": _chance(
            [means[name].summaries["macro_f1"] for name in candidates], units, words
        ),
        "better_than_siblings": _siblings(
            {n: means[n].summaries[target] for n in candidates}, words.goal(target), rule
        ),
        "better_than_best_baseline": Answer("too_few", None, no_baseline)
        if best is None
        else _baseline(candidates, best, against, words.goal(target)),
    }


def _chance(values: Sequence[Resampled], units: CommonUnits, words: Words) -> Answer:
    """Leader against the best blind guess, in macro-F1 of all units."""
    level = units.chance
    differences = [replace(one, value=one.value - level, draws=one.draws - level) for one in values]
    leader = simultaneous_contrasts(differences, units.rule.confidence)[0]
    text = (
        f"Macro-F1 {numbers.decimal(values[0].value)} against {numbers.decimal(level)}, the most "
        f"that guesses blind to the {words.units} can reach with "
        f"{numbers.plural(units.n_classes, 'class', 'classes')}: "
        f"{numbers.estimate(leader.simultaneous, signed=True)}{_p(leader, len(values))}."
    )
    return Answer.of(leader, text)


def _siblings(values: Mapping[str, Resampled], goal: str, rule: Estimands) -> Answer:
    """Leader against every other candidate, corrected for leading."""
    names = list(values)
    if len(names) == 1:
        return Answer("too_few", None, "There is no other candidate.")
    result = contrasts_with_leader(list(values.values()), 0, rule.confidence)
    others = dict(zip(names[1:], result, strict=True))
    tied = [name for name, one in others.items() if one.verdict != "better"]
    if all(one.verdict == "unknown" for one in result):
        return Answer("too_few", None, "Too few units to compare it with the other candidates.")
    text = f"{numbers.capital(goal)}: {_against_others(tied, len(others))}"
    known = [one.p for one in result if one.p is not None]
    p = max(known) if len(known) == len(result) else None
    return Answer("not_shown" if tied else "yes", p, f"{text}{_p_text(p, len(names))}.")


def _against_others(tied: list[str], of: int) -> str:
    if not tied:
        return "better than the other" if of == 1 else f"better than all {numbers.count(of)} others"
    behind = of - len(tied)
    better = f", better than {numbers.count(behind)} of {numbers.count(of)}" * bool(behind)
    return f"not distinguishable from {numbers.listed(tied)}{better}"


def _baseline(
    candidates: Sequence[str], best: str, against: Mapping[str, Contrast], goal: str
) -> Answer:
    """Leader against the best baseline, corrected for the number of candidates."""
    leader = against[candidates[0]]
    beating = sum(one.verdict == "better" for one in against.values())
    text = (
        f"{numbers.capital(goal)} minus that of {best}: "
        f"{numbers.estimate(leader.simultaneous, signed=True)}"
        f"{_p(leader, len(candidates))}; "
        f"{numbers.plural(beating, 'candidate beats', 'candidates beat')} it."
    )
    return Answer.of(leader, text)


def _p(contrast: Contrast, many: int) -> str:
    return _p_text(contrast.p, many)


def _p_text(p: float | None, many: int) -> str:
    if p is None:
        return ""
    adjusted = f", adjusted for {numbers.plural(many, 'model')}" if many > 1 else ""
    return f", {numbers.p_value(p)}{adjusted}"
