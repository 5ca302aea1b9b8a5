"""An answer to a question about a model: yes, worse, not shown, or too few units to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from trueness.evaluation.selection import Contrast
from trueness.store import Run

Kind: TypeAlias = Literal["yes", "worse", "not_shown", "too_few"]
KINDS: dict[str, Kind] = {
    "better": "yes", "worse": "worse", "tied": "not_shown", "unknown": "too_few",
}  # fmt: skip
"""Verdict of a contrast -> answer."""
IN_WORDS: dict[Kind, str] = {
    "yes": "Yes",
    "worse": "No, worse",
    "not_shown": "Not shown",
    "too_few": "Too few",
}
"""Answer -> what is said of it."""


def no_baseline(run: Run[Any]) -> str:
    """What to say where nothing is to be beaten: of scores made elsewhere, somebody names it."""
    if run.spec.task.kind == "external":
        return "No baseline named: give --baseline MODEL."
    return "No baseline is stored for these units."


@dataclass(frozen=True)
class Answer:
    """An answer with its p-value and the sentence that explains it.

    Attributes
    ----------
    answer : {"yes", "worse", "not_shown", "too_few"}
        Whether it is better; worse is shown as well. Not shown is no "no": the difference may be
        there and too small for so many units.
    p : float or None
        Adjusted for how many models were tried.
    text : str
    measures : mapping of str to str
        Measure -> answer in it, where it was asked in several; `answer` is that of the first.
    """

    answer: Kind
    p: float | None
    text: str
    measures: Mapping[str, Kind] = field(default_factory=dict)

    @classmethod
    def of(cls, contrast: Contrast, text: str) -> Answer:
        """What a difference, a model's value minus what it is held against, says."""
        p = None if contrast.verdict == "unknown" else contrast.p
        return cls(KINDS[contrast.verdict], p, text)

    @property
    def measure(self) -> str:
        """Measure that the answer holds in; empty if it is the same in all."""
        return next(iter(self.measures)) if len(set(self.measures.values())) > 1 else ""

    @property
    def words(self) -> str:
        """The answer; where another measure has another one, both with their measures.

        Examples
        --------
        >>> Answer("worse", 0.01, "", {"AUC": "worse", "precision@30": "worse"}).words
        'No, worse.'
        >>> Answer("yes", 0.01, "", {"AUC": "yes", "precision@30": "not_shown"}).words
        'Yes, in AUC; precision@30: not shown.'
        """
        if not self.measure:
            return f"{IN_WORDS[self.answer]}."
        (name, kind), *others = self.measures.items()
        first = f"{IN_WORDS[kind]}{',' * (kind == 'yes')} in {name}"
        return "; ".join([first, *(f"{n}: {IN_WORDS[k].lower()}" for n, k in others)]) + "."

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)
