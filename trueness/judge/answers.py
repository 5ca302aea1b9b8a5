"""An answer to a question about a model: yes, not shown, or too few units to say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Answer:
    """An answer with its p-value and the sentence that explains it.

    Attributes
    ----------
    answer : {"yes", "not_shown", "too_few"}
        Not shown is no "no": the difference may be there and too small for so many units.
    p : float or None
        Adjusted for how many models were tried.
    text : str
    """

    answer: Literal["yes", "not_shown", "too_few"]
    p: float | None
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)
