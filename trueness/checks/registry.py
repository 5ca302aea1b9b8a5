"""Every check of the catalogue, and how they are asked about a run."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, TypeAlias

from trueness.checks import catalogue
from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.results import Check, CheckResult, Finding, Limit
from trueness.errors import TruenessError, nearest

CheckFunction: TypeAlias = Callable[[CheckInput], CheckResult]

_MODULES = [
    import_module(f"{catalogue.__name__}.{module.name}")
    for module in iter_modules(catalogue.__path__)
]
_BY_CODE = {m.CHECK.code: m for m in sorted(_MODULES, key=lambda m: m.CHECK.code)}
CHECKS: dict[str, Check] = {code: m.CHECK for code, m in _BY_CODE.items()}
"""By code, in order."""
FUNCTIONS: dict[str, CheckFunction] = {code: m.check for code, m in _BY_CODE.items()}
PAGES: dict[str, Path] = {
    code: Path(str(m.__file__)).with_suffix(".md") for code, m in _BY_CODE.items()
}
LIMITS: dict[str, Limit] = {one.name: one for check in CHECKS.values() for one in check.limits}
RELATIVE = tuple(code for code, check in CHECKS.items() if check.against)
"""Checks that depend on other runs."""


def _version() -> str:
    notes = [[c.code, c.title, c.severity, c.version, c.applies_to,
             [(one.name, one.default) for one in c.limits]] for c in CHECKS.values()]  # fmt: skip
    return hashlib.sha256(json.dumps(notes).encode()).hexdigest()[:8]


VERSION = _version()
"""Changes when a check is added or decides otherwise; older findings are then made anew."""


def run_checks(run: CheckInput, codes: Iterable[str] | None = None) -> list[CheckResult]:
    """Answers of all checks that are made for such a run, or of some of them, in order of codes."""
    kinds = {run.rule.kind, run.task}
    wanted = [CHECKS[code] for code in (CHECKS if codes is None else codes)]
    return [_answer(check, run) for check in wanted if kinds & {*check.applies_to}]


def _answer(check: Check, run: CheckInput) -> CheckResult:
    try:
        return FUNCTIONS[check.code](run)
    except Missing as missing:
        return check.not_applicable(str(missing))


def findings_in(results: Iterable[CheckResult]) -> list[Finding]:
    """Those that fired, the gravest first."""
    return sorted((r for r in results if isinstance(r, Finding)), key=lambda one: one.rank)


def findings_from(content: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Back from the dictionaries of a record."""
    return [Finding(**one) for one in content]


def known_code(code: str) -> str:
    """Code of a check, in capitals.

    Raises
    ------
    TruenessError
        If there is no such check.
    """
    if code.upper() not in CHECKS:
        raise TruenessError(f"unknown check {code!r}; {nearest(code.upper(), list(CHECKS))}",
                            "no_check")  # fmt: skip
    return code.upper()


def moved_limits(content: Mapping[str, object]) -> dict[str, float]:
    """Limits that differ from their defaults.

    Raises
    ------
    TruenessError
        For a name that no limit has, or a value that is no number of its kind.

    Examples
    --------
    >>> moved_limits({"drift_ratio": 2, "overfitting_gap": 0.15})
    {'drift_ratio': 2}
    """
    result = {name: _checked_limit(name, value) for name, value in content.items()}
    return {name: value for name, value in result.items() if value != LIMITS[name].default}


def _checked_limit(name: str, value: object) -> float:
    if name not in LIMITS:
        raise TruenessError(f"unknown limit {name!r}; {nearest(name, list(LIMITS))}", "limit")
    whole = isinstance(LIMITS[name].default, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        kind = "whole number" if whole else "number"
        raise TruenessError(f"limit {name} is {value!r}; a {kind} is needed", "limit")
    if not math.isfinite(value) or value < 0:
        raise TruenessError(f"limit {name} is {value!r}; it must be at least 0", "limit")
    return value


def baselines_compared() -> Collection[str]:
    """Kinds of baselines that some check compares with."""
    return {kind for check in CHECKS.values() for kind in check.against}
