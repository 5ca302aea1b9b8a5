"""Where no candidate leads: precisions of no alarms, or of next to none, rank nobody."""

from __future__ import annotations

from collections.abc import Sequence

from trueness.document.numbers import listed, plural
from trueness.judge.captions import MIN_ALARMS
from trueness.judge.group import Model


def why_unranked(candidates: Sequence[Model], sort: str, budget: int) -> str:
    """Why no candidate can be ranked; empty if one can, or there is none.

    Parameters
    ----------
    candidates : sequence of Model
        Ranked, so that one with enough alarms stands first.
    sort : str
        Estimate that sorts.
    budget : int
        The largest alarm budget; fewer alarms than five are enough if it allows no more.
    """
    if not candidates or not sort.startswith("precision@"):
        return ""
    least, most = min(MIN_ALARMS, budget), max(m.estimates[sort].n for m in candidates)
    if most >= least:
        return ""
    if len(candidates) == 1:
        why = f"{candidates[0].name} {_of_one(candidates[0], most, least)}"
    else:
        alarms = f"{plural(least, 'alarm')} or more" if most else "an alarm"
        why = f"none of {plural(len(candidates), 'run')} raises {alarms}"
    codes = {f.code for m in candidates for f in m.findings if f.severity == "error"}
    return f"No candidate can be ranked: {why}{f' ({listed(sorted(codes))})' if codes else ''}."


def _of_one(model: Model, alarms: int, least: int) -> str:
    if alarms:
        return f"raises {plural(alarms, 'alarm')}, fewer than {least}"
    scores = model.run.record["scores"]
    return "gives equal scores and raises no alarm" if scores["min"] == scores["max"] else (
        "raises no alarm"
    )  # fmt: skip
