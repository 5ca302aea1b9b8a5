"""What a check is, and the three answers it can give: a finding, clean, not applicable."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Gravest first."""


@dataclass(frozen=True)
class Finding:
    """A check that fired.

    `evidence` says in words, `numbers` by name, what made it fire.
    """

    code: str
    severity: Severity
    title: str
    evidence: str
    numbers: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)

    @property
    def rank(self) -> tuple[int, str]:
        """Order of a list of findings: by severity, then by code."""
        return SEVERITIES.index(self.severity), self.code


@dataclass(frozen=True)
class Clean:
    """A check that looked and found nothing."""

    code: str


@dataclass(frozen=True)
class NotApplicable:
    """A check that could not look, and why."""

    code: str
    why: str


CheckResult: TypeAlias = Finding | Clean | NotApplicable


@dataclass(frozen=True)
class Limit:
    """Where a check draws a line; ``checks.yaml`` in a store may move it.

    A whole `default` asks for whole numbers.
    """

    name: str
    default: float
    meaning: str


@dataclass(frozen=True)
class Check:
    """What a check is called, how grave it is, and what it is made for.

    Attributes
    ----------
    code : str
        Such as TRU001.
    title : str
    severity : {"error", "warning", "note"}
        A note is a fact worth knowing, not a fault.
    applies_to : tuple of str
        Kinds of label (``binary``, ``classes``) or of task (``market``, ``table``, ``titles``,
        ``external``).
    limits : tuple of Limit
    against : tuple of str
        Baselines that it compares with, by kind of model, or ``best``; such a check depends on
        other runs and is made on reading.
    version : int
        Goes up when it decides otherwise; findings of an older version are made anew.
    """

    code: str
    title: str
    severity: Severity
    applies_to: tuple[str, ...]
    limits: tuple[Limit, ...] = ()
    against: tuple[str, ...] = ()
    version: int = 1

    def finding(self, evidence: str, **numbers: float | None) -> Finding:
        """It fired; numbers that are not known are left out."""
        known = {name: float(x) for name, x in numbers.items() if x is not None}
        return Finding(self.code, self.severity, self.title, evidence, known)

    def clean(self) -> Clean:
        """It found nothing."""
        return Clean(self.code)

    def not_applicable(self, why: str) -> NotApplicable:
        """It could not look."""
        return NotApplicable(self.code, why)
