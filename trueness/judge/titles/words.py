"""What was measured on titles, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trueness.evaluation import (
    Contrast,
    Estimate,
    Method,
    MethodComparison,
    SliceComparison,
    Slices,
)
from trueness.judge.studies.text import interval

SCORES = {
    "macro_f1": "all texts",
    "mean_language": "mean of languages",
    "worst_language": "worst language",
    "low_language": "20 % quantile of languages",
    "english": "English",
}
"""Summary -> its name in tables."""
GOALS = SCORES | {
    "macro_f1": "macro-F1 of all texts",
    "mean_language": "the mean of languages",
    "worst_language": "the worst language",
    "low_language": "the 20 % quantile of languages",
}
"""The same in a sentence."""
VERDICTS = {
    "better": "better",
    "worse": "worse",
    "tied": "not told apart",
    "unknown": "unknown",
}


def score(estimate: Estimate | None) -> str:
    """``0.787 [0.764, 0.809]``; a dash if there is none."""
    return "–" if estimate is None else interval(estimate, 3)


def gain(estimate: Estimate) -> str:
    """``+0.021 [+0.003, +0.039]``."""
    return interval(estimate, 3, signed=True)


def verdict_word(contrast: Contrast) -> str:
    """Better, worse, or not told apart, by the simultaneous interval."""
    return VERDICTS[contrast.verdict]


def slices_verdict(name: str, found: Slices) -> str:
    """One sentence about a run: its language mean, its worst language, and English."""
    if not found.worst:
        return (
            f"{name}: no language has {found.min_rows} texts, so none is a slice; macro-F1 "
            f"{score(found.scores['macro_f1'])} over all texts."
        )
    worst, often = found.scores["worst_language"], found.worst_share or 0.0
    if len(found.languages) - bool(found.pooled) == 1:
        return (
            f"{name}: macro-F1 {score(worst)} in {found.worst}, the only language with "
            f"{found.min_rows} texts; {score(found.scores['macro_f1'])} over all texts."
        )
    told = [f"macro-F1 {score(found.scores['mean_language'])} as the mean of languages"]
    told.append(f"worst is {found.worst} with {score(worst)}, in {100 * often:.0f} % of the draws")
    if "english" in found.scores:
        told.append(f"English {score(found.scores['english'])}")
    return f"{name}: {'; '.join(told)}."


def pooled_note(found: Slices) -> str:
    """Which languages are in "other", and why; nothing if there is none."""
    if not found.pooled:
        return ""
    names = ", ".join(f"{name} {n:,}" for name, n in found.pooled.items())
    return f"other: {names}; fewer than {found.min_rows} texts each, or no language"


def comparison_verdict(first: str, second: str, found: SliceComparison) -> str:
    """One sentence about two runs: which languages are better, worse, not told apart."""
    groups = [
        f"{word} in {_listed(names)}"
        for word in dict.fromkeys(VERDICTS.values())
        if (names := [n for n, c in found.languages.items() if verdict_word(c) == word])
    ]
    told = [
        f"{SCORES[name]} {gain(one.simultaneous)}, {verdict_word(one)}"
        for name, one in found.summaries.items()
        if name in ("worst_language", "english")
    ]
    languages = f"{', '.join(groups)}" if groups else "no language is a slice"
    return f"{first} against {second}: {'; '.join([languages, *told])}."


def methods_verdict(found: MethodComparison) -> str:
    """Answer which method lifts the target without hurting English, in words."""
    goal, drop = GOALS[found.target], 100 * found.allowed_drop
    allowed = f"English loses less than {drop:g} points of macro-F1"
    if found.answer:
        told = _listed([_with_gain(n, found.methods[n], found.target) for n in found.answer])
        verb = "lifts" if len(found.answer) == 1 else "lift"
        first = f"{told} {verb} {goal} against {found.reference}, and {allowed}"
    else:
        first = f"No method is shown to lift {goal} against {found.reference} while {allowed}"
    return " ".join([f"{first}.", *_but(found), _leader(found)])


def _with_gain(name: str, method: Method, target: str) -> str:
    return f"{name} ({gain(method.against[target].simultaneous)})"


def _but(found: MethodComparison) -> list[str]:
    """Methods that lift the target, but of which English is hurt or not known to be unhurt."""
    words = {
        "yes": "lifts it but hurts English",
        "unknown": "lifts it, but what English loses is not known well enough",
    }
    told = []
    for name in found.lifting:
        one = found.methods[name]
        english = one.against.get("english")
        if one.hurts_english != "no":
            loss = "too few English texts" if english is None else gain(english.simultaneous)
            told.append(f"{name} {words[one.hurts_english]} ({loss}).")
    return told


def _leader(found: MethodComparison) -> str:
    value, others = found.methods[found.leader].values[found.target], len(found.methods) - 1
    if not found.tied:
        told = f"told apart from all {others} others"
    else:
        told = f"not told apart from {_listed(found.tied)}"
    return f"The leader is {found.leader} with {value:.3f}, {told}."


def seeds_note(methods: Mapping[str, Method], target: str) -> str:
    """How seeds enter, and how far they scatter."""
    seeds = {len(one.per_seed[target]) for one in methods.values()}
    if seeds == {1}:
        return "one seed per method: intervals resample clusters, and hold for these fits only"
    widest = max(max(v) - min(v) for one in methods.values() if (v := one.per_seed[target]))
    return (
        "values are means over seeds; intervals resample clusters, not seeds, and hold for these "
        f"fits; seeds of one method differ by up to {widest:.3f} in {SCORES[target]}"
    )


def _listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
