"""An answer to a question about a model: yes, worse, not shown, or too few units to say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from trueness.evaluation.selection import Contrast

IN_WORDS = {"yes": "Yes", "worse": "No, worse", "not_shown": "Not shown", "too_few": "Too few"}
"""Answer -> what is said of it."""


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
    """

    answer: Literal["yes", "worse", "not_shown", "too_few"]
    p: float | None
    text: str

    @classmethod
    def of(cls, contrast: Contrast, text: str) -> Answer:
        """What a difference, a model's value minus what it is held against, says."""
        if contrast.verdict == "unknown":
            return cls("too_few", None, text)
        kinds: dict[str, Literal["yes", "worse"]] = {"better": "yes", "worse": "worse"}
        return cls(kinds.get(contrast.verdict, "not_shown"), contrast.p, text)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)
