"""How counts, levels and configurations of a study are written."""

from __future__ import annotations

from collections.abc import Sequence

from trueness.document.numbers import count, percent, plain
from trueness.evaluation.intervals import Estimate
from trueness.judge.studies.coverage import Gap, GridCoverage
from trueness.judge.studies.trials import PUBLISHED, Trial, Value

UNTESTED_SHOWN = 8


def of(part: int, whole: int) -> str:
    """Part of a whole in a sentence.

    Examples
    --------
    >>> of(22, 75), of(0, 0)
    ('22 of 75 (29 %)', '0 of 0')
    """
    share = f" ({percent(part / whole)} %)" if whole else ""
    return f"{count(part)} of {count(whole)}{share}"


def fraction(part: int, whole: int) -> Estimate:
    """Part of a whole in a table; a count of what was done has no interval."""
    return Estimate(part / whole if whole else None, None, None, whole, part)


def level_text(level: Value | None) -> str:
    """A level as in a setting; a dash if the parameter was not there.

    Examples
    --------
    >>> level_text(1e-4), level_text("bce"), level_text(None)
    ('0.0001', 'bce', '–')
    """
    if level is None:
        return "–"
    return plain(level) if isinstance(level, float) else str(level)


def levels_text(levels: Sequence[Value]) -> str:
    """Several levels; "none" without any."""
    return ", ".join(map(level_text, levels)) or "none"


def configuration(trial: Trial) -> str:
    """Parameters in one line, the published ones first."""
    names = [*(n for n in PUBLISHED if n in trial.params), *trial.params]
    return ", ".join(f"{name} {level_text(trial.params[name])}" for name in dict.fromkeys(names))


def grid_text(grid: GridCoverage) -> str:
    """How much of a grid was tried, in a sentence."""
    names, rest = ", ".join(grid.names), untested_text(grid)
    tested = f"({names}): {of(grid.tested, len(grid.counts))} valid combinations tested"
    return f"{tested}." if rest == "none" else f"{tested}; untested: {rest}."


def untested_text(grid: GridCoverage) -> str:
    """The first few combinations that were not tried, and how many more."""
    points = ["/".join(map(level_text, point)) for point in grid.untested]
    more = len(points) - UNTESTED_SHOWN
    shown = ", ".join(points[:UNTESTED_SHOWN]) or "none"
    return f"{shown} and {count(more)} more" if more > 0 else shown


def gap_text(gap: Gap | None) -> str:
    """Between which values nothing was tried."""
    if gap is None:
        return "none"
    scale = "" if gap.scale == "linear" else f", {gap.scale} scale"
    return f"{level_text(gap.low)} to {level_text(gap.high)}, {percent(gap.share)} %{scale}"
