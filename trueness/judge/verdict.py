"""Three questions about the leader of a comparison group, each with an answer, a p-value, a text.

Is it better than chance, than its siblings, than the best baseline?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trueness.document import numbers
from trueness.evaluation import Contrast, Estimate
from trueness.judge.answers import KINDS, Answer, Kind
from trueness.judge.chance import ChanceTest

RIVALS = ("chance", "the other candidates", "the best baseline")
"""What a leader is held against, in the order of its answers."""


@dataclass(frozen=True)
class Verdict:
    """What is known of the leader of a comparison group.

    Attributes
    ----------
    leader : str
        Empty where no candidate leads.
    better_than_chance, better_than_siblings, better_than_best_baseline : Answer
    reason : str
        Why none of the stored candidates leads; empty if one does, or none is stored.
    """

    leader: str
    better_than_chance: Answer
    better_than_siblings: Answer
    better_than_best_baseline: Answer
    reason: str = ""

    @classmethod
    def of_nobody(cls, reason: str = "") -> Verdict:
        """Where no candidate leads, and why."""
        text = reason or "No candidate is stored for these units."
        return cls("", *(Answer("too_few", None, text) for _ in RIVALS), reason)

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
        return [f"{question} {one.words} {one.text}" for question, one in self.answers.items()]

    @property
    def short(self) -> str:
        """The answers in few words; why nobody leads, where that is so."""
        if not self.leader:
            return self.reason
        kinds = {"yes": "better than ", "worse": "worse than ", "not_shown": "not shown to beat ",
                 "too_few": "too few units or models to compare with "}  # fmt: skip
        rivals = zip(RIVALS, self.answers.values(), strict=True)
        answers = [
            (f"{name} in {a.measure}" if a.measure else name, a.answer) for name, a in rivals
        ]
        parts = [words + (" and " if kind in ("yes", "worse") else " or ").join(some)
                 for kind, words in kinds.items()
                 if (some := [name for name, answer in answers if answer == kind])]  # fmt: skip
        return f"{self.leader} leads: {'; '.join(parts)}."

    def __str__(self) -> str:
        return " ".join([f"{self.leader} leads.", *self.lines]) if self.leader else self.reason

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Standing:
    """What is known of a leader against chance, its siblings and the baselines.

    Attributes
    ----------
    alarms : Estimate
        Its hits of alarms at the largest budget.
    base_rate : float
    alpha : float
        One minus the confidence.
    chance : ChanceTest or None
    siblings, siblings_precision : list of Contrast
        Leader minus each other candidate in AUC, and in precision; corrected for all pairs.
    baseline, baseline_precision : list of Contrast
        Every candidate minus the best baseline in both, the leader first; corrected for all.
    baseline_name : str or None
        What the best baseline is called.
    no_baseline : str
        What to say where there is none.
    n_baselines : int
        Those that intervals are adjusted for.
    identical : bool
        Whether the leader ranks all units as the best baseline does.
    """

    alarms: Estimate
    base_rate: float
    alpha: float
    chance: ChanceTest | None
    siblings: Sequence[Contrast]
    siblings_precision: Sequence[Contrast]
    baseline: Sequence[Contrast]
    baseline_precision: Sequence[Contrast]
    baseline_name: str | None
    no_baseline: str
    n_baselines: int
    identical: bool = False


def verdict_of(leader: str, budget: int, result: Standing) -> Verdict:
    """Verdict about the leader of candidates for a rare event.

    Parameters
    ----------
    leader : str
        Its name.
    budget : int
        Alarm budget at which precisions are compared.
    result : Standing
    """
    return Verdict(
        leader, _chance(result, budget), _siblings(result, budget), _baseline(result, budget)
    )


def _chance(result: Standing, budget: int) -> Answer:
    alarms, test = result.alarms, result.chance
    if not alarms.n:
        return Answer("too_few", None, "It raises no alarm.")
    if test is None:
        return Answer("too_few", None, "Fewer than ten positives or negatives.")
    text = (
        f"precision@{budget}: {alarms.k} of {alarms.n} alarms are right at a base rate of "
        f"{numbers.percent(result.base_rate)} %: {numbers.p_value(test.precision)}; AUC: "
        f"{numbers.p_value(test.auc)} ({_how(test)})."
    )
    if (
        test.tested * test.smallest > result.alpha >= test.smallest
        and test.precision > result.alpha
    ):
        text += f" No p-value can be smaller than {numbers.short(test.smallest)} here."
    shown: dict[str, Kind] = {
        name: "yes" if p <= result.alpha else "not_shown"
        for name, p in ((f"precision@{budget}", test.precision), ("AUC", test.auc))
    }
    return Answer(shown[f"precision@{budget}"], test.precision, text, shown)


def _how(test: ChanceTest) -> str:
    how = "circular shifts" if test.shifted else "permutations"
    adjusted = f", adjusted for {numbers.plural(test.tested, 'model')}" if test.tested > 1 else ""
    return f"{numbers.count(test.arrangements)} {how}{adjusted}"


def _siblings(result: Standing, budget: int) -> Answer:
    siblings = result.siblings
    if not siblings:
        return Answer("too_few", None, "There is no other candidate.")
    counts = {what: sum(c.verdict == what for c in siblings)
              for what in ("tied", "better", "worse", "unknown")}  # fmt: skip
    if counts["unknown"] == len(siblings):
        return Answer("too_few", None, "Too few units to compare with the other candidates.")
    words = {"tied": "indistinguishable from", "better": "better than", "worse": "worse than",
             "unknown": "not comparable with"}  # fmt: skip
    notes = [f"{words[what]} {_of(n, len(siblings))}" for what, n in counts.items() if n]
    text = f"AUC: {', '.join(notes)}"
    if result.siblings_precision:
        tied = sum(c.verdict in ("tied", "unknown") for c in result.siblings_precision)
        text += f"; precision@{budget}: indistinguishable from {_of(tied, len(siblings))}"
    known = [c.p for c in siblings if c.p is not None]
    p = max(known) if len(known) == len(siblings) else None
    shown = _measures(_of_all(siblings), _of_all(result.siblings_precision), budget)
    return Answer(shown["AUC"], p, f"{text}.", shown)


def _of_all(contrasts: Sequence[Contrast]) -> Kind:
    """Better or worse than all of them."""
    kinds = {KINDS[c.verdict] for c in contrasts}
    return kinds.pop() if len(kinds) == 1 else "not_shown" if kinds else "too_few"


def _measures(auc: Kind, precision: Kind, budget: int) -> dict[str, Kind]:
    """Answers by measure; none in precision where it is not known."""
    known: dict[str, Kind] = {"AUC": auc}
    return known if precision == "too_few" else {**known, f"precision@{budget}": precision}


def _of(some: int, siblings: int) -> str:
    """So many of the other candidates."""
    if some < siblings:
        return f"{numbers.count(some)} of {numbers.count(siblings)}"
    return "the other" if siblings == 1 else f"all {numbers.count(siblings)}"


def _baseline(result: Standing, budget: int) -> Answer:
    if not result.baseline or result.baseline_name is None:
        return Answer("too_few", None, result.no_baseline)
    leader = result.baseline[0]
    if leader.verdict == "unknown":
        return Answer("too_few", None, f"Too few units to compare with {result.baseline_name}.")
    if result.identical and leader.simultaneous.value == 0:
        return Answer("not_shown", leader.p, f"It ranks all units as {result.baseline_name} does.")
    beating = sum(c.verdict == "better" for c in result.baseline)
    beat = numbers.plural(beating, "candidate beats", "candidates beat")
    precise = result.baseline_precision[:1]
    text = (
        f"AUC minus that of {result.baseline_name}: "
        f"{numbers.estimate(leader.simultaneous, signed=True)}"
        + "".join(f"; precision@{budget} {numbers.points(c.simultaneous)}" for c in precise)
        + f"{_adjusted(result)}; {beat if beating else 'no candidate beats'} every baseline in AUC."
    )
    shown = _measures(KINDS[leader.verdict], _of_all(precise), budget)
    return Answer(shown["AUC"], leader.p, text, shown)


def _adjusted(result: Standing) -> str:
    """What the intervals to the best baseline are adjusted for."""
    counts = ((len(result.baseline), "model"), (result.n_baselines, "baseline"))
    some = [numbers.plural(n, what) for n, what in counts if n > 1]
    return f", adjusted for {numbers.listed(some)}" if some else ""
