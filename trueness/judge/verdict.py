"""Three questions about the leader of a comparison group, each with an answer, a p-value, a text.

Is it better than chance, than its siblings, than the best baseline?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trueness.document import numbers
from trueness.evaluation import Contrast, TwoNulls
from trueness.judge.answers import Answer


@dataclass(frozen=True)
class Verdict:
    """What is known of the leader of a comparison group."""

    leader: str
    better_than_chance: Answer
    better_than_siblings: Answer
    better_than_best_baseline: Answer

    @property
    def answers(self) -> dict[str, Answer]:
        """Question in words -> answer."""
        return {
            "Better than chance?": self.better_than_chance,
            "Better than the other candidates?": self.better_than_siblings,
            "Better than the best baseline?": self.better_than_best_baseline,
        }

    @property
    def lines(self) -> list[str]:
        """A line per question, the answer first."""
        return [
            f"{question} {one.answer.replace('_', ' ').capitalize()}. {one.text}"
            for question, one in self.answers.items()
        ]

    def __str__(self) -> str:
        return " ".join([f"{self.leader} leads.", *self.lines])

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


NOBODY = Verdict(
    "", *(Answer("too_few", None, "No candidate is stored for these units.") for _ in range(3))
)
"""Where only baselines are stored."""


def verdict_of(
    leader: str, nulls: TwoNulls, n_candidates: int, budget: int, baseline: str | None,
    siblings: Sequence[Contrast],
) -> Verdict:  # fmt: skip
    """Verdict about the leader of candidates for a rare event.

    Parameters
    ----------
    leader : str
        Its name.
    nulls : TwoNulls
    n_candidates : int
        Candidates, seeds of one counted once.
    budget : int
        Alarm budget at which precisions are compared.
    baseline : str or None
        What the best baseline is called.
    siblings : sequence of Contrast
        Leader minus each other candidate in AUC.
    """
    return Verdict(
        leader,
        _chance(nulls, n_candidates, budget),
        _siblings(nulls, budget, siblings),
        _baseline(nulls, budget, baseline),
    )


def _chance(nulls: TwoNulls, n_candidates: int, budget: int) -> Answer:
    if nulls.chance_p is None:
        return Answer("too_few", None, "It raises no alarm.")
    many = numbers.plural(nulls.looked_at, "run" if nulls.looked_at > n_candidates else "model")
    adjusted = f"adjusted for {many}" if nulls.looked_at > 1 else ""
    serial = "serial dependence" if nulls.in_blocks else ""
    how = " and ".join(
        x for x in (adjusted, serial and (serial if adjusted else f"adjusted for {serial}")) if x
    )
    text = (
        f"precision@{budget}: {nulls.alarms.k} of {nulls.alarms.n} alarms are right at a base "
        f"rate of {numbers.percent(nulls.base_rate)} %: {numbers.p_value(nulls.chance_p)}"
        + (f", {how}." if how else ".")
    )
    return Answer("yes" if nulls.beats_chance else "not_shown", nulls.chance_p, text)


def _siblings(nulls: TwoNulls, budget: int, siblings: Sequence[Contrast]) -> Answer:
    if not nulls.siblings:
        return Answer("too_few", None, "There is no other candidate.")
    worse = nulls.siblings - nulls.tied - nulls.ahead
    told = [
        f"indistinguishable from {_of(nulls.tied, nulls.siblings)}" if nulls.tied else "",
        f"better than {_of(worse, nulls.siblings)}" if worse else "",
        f"worse than {_of(nulls.ahead, nulls.siblings)}" if nulls.ahead else "",
    ]  # fmt: skip
    text = f"AUC: {', '.join(x for x in told if x)}"
    if nulls.precision_tied is not None:
        of = _of(nulls.precision_tied, nulls.siblings)
        text += f"; precision@{budget}: indistinguishable from {of}"
    known = [c.p for c in siblings if c.p is not None]
    p = max(known) if len(known) == len(siblings) else None
    return Answer("yes" if nulls.beats_siblings else "not_shown", p, f"{text}.")


def _of(some: int, siblings: int) -> str:
    """So many of the other candidates."""
    if some < siblings:
        return f"{numbers.count(some)} of {numbers.count(siblings)}"
    return "the other" if siblings == 1 else f"all {numbers.count(siblings)}"


def _baseline(nulls: TwoNulls, budget: int, baseline: str | None) -> Answer:
    if nulls.baseline is None or baseline is None:
        return Answer("too_few", None, "No baseline is stored for these units.")
    if nulls.baseline.verdict == "unknown":
        return Answer("too_few", None, f"Too few units to compare with {baseline}.")
    return Answer(
        "yes" if nulls.baseline.verdict == "better" else "not_shown",
        nulls.baseline.p,
        f"AUC minus that of {baseline}: {_difference(nulls.baseline)}"
        + _precision(nulls.baseline_precision, budget)
        + f"; {numbers.plural(nulls.beating, 'candidate beats', 'candidates beat')} it in AUC, "
        f"adjusted for {numbers.plural(nulls.candidates, 'model')}.",
    )


def _difference(contrast: Contrast) -> str:
    shown = numbers.estimate(contrast.simultaneous, signed=True)
    return f"{shown}, worse" if contrast.verdict == "worse" else shown


def _precision(contrast: Contrast | None, budget: int) -> str:
    if contrast is None:
        return ""
    return f"; precision@{budget} {numbers.points(contrast.simultaneous)}"
