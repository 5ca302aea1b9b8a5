"""Estimates, and what a table shows, in words; shared by terminal, pages and JSON."""

from __future__ import annotations

from trueness.evaluation import Estimate, TwoNulls
from trueness.judge.comparison import without_seed
from trueness.judge.leaderboard import Arena
from trueness.store import Run


def share_text(estimate: Estimate) -> str:
    """``21/30 70 [51–85]``: hits of alarms, percent, interval; nothing if there are no alarms."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "no alarms"
    counts = f"{estimate.k}/{estimate.n} " if estimate.k is not None else ""
    return (
        f"{counts}{100 * estimate.value:.0f} [{100 * estimate.low:.0f}–{100 * estimate.high:.0f}]"
    )


def number_text(estimate: Estimate | None) -> str:
    """``0.786 [0.77–0.80]``; a dash if undefined."""
    if estimate is None or estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f} [?]"
    return f"{estimate.value:.3f} [{estimate.low:.2f}–{estimate.high:.2f}]"


def difference_text(estimate: Estimate | None) -> str:
    """Signed difference of AUC with its interval."""
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return "–"
    return f"{estimate.value:+.3f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"


def at_least_text(estimate: Estimate) -> str:
    """``≥ 41``, percent; a dash if undefined."""
    return "–" if estimate.low is None else f"≥ {100 * estimate.low:.0f}"


def selection_lines(arena: Arena) -> list[str]:
    """What the candidates show together: how far they differ, how often a choice fails."""
    found = arena.selection
    if found is None or found.shrunk.pooled.value is None or found.distinct < 2:
        return []
    pooled, other = found.shrunk.pooled, found.distinct != arena.candidates
    lines = [
        f"precision at top {found.budget} over {found.distinct} {'distinct ' * other}candidates: "
        f"pooled {share_text(pooled)} %, true ones scatter by "
        f"{100 * found.shrunk.deviation:.1f} points around it"
    ]
    if found.overfitting is not None and found.overfitting.value is not None:
        share = 100 * found.overfitting.value
        lines.append(
            f"overfitting: the best by AUC of one half of the days is not above the median of the "
            f"other in {share:.0f} % of {found.overfitting.n:,} splits; 50 % is chance"
        )
    return lines


def verdict(arena: Arena) -> str:
    """Say whether the leading network beats chance, its siblings, and the best baseline."""
    if not arena.networks or arena.nulls is None:
        return "Nothing to judge: no network is stored for these days."
    leader, nulls = arena.networks[0], arena.nulls
    seeds = sum(without_seed(r.run.spec) == without_seed(leader.run.spec) for r in arena.networks)
    mean = f" (AUC: mean of {seeds} seeds)" if seeds > 1 else ""
    told = (_chance_text(nulls, arena.candidates), _siblings_text(nulls), _baseline_text(arena))
    return f"{leader.name}{mean}: {'; '.join(told)}."


def _chance_text(nulls: TwoNulls, candidates: int) -> str:
    """Hits against guessing at the base rate."""
    if nulls.chance_p is None:
        return "better than chance: unknown, no alarms"
    word, p = "yes" if nulls.beats_chance else "no", nulls.chance_p
    among = plural(nulls.looked_at, "run" if nulls.looked_at > candidates else "candidate")
    hits = f"{nulls.alarms.k}/{nulls.alarms.n} at a base rate of {100 * nulls.base_rate:.1f} %"
    days = "with days in blocks" if nulls.in_blocks else "for independent days"
    small = "p < 0.0001" if p < 1e-4 else f"p = {p:.4f}" if p < 0.01 else f"p = {p:.2f}"
    return f"better than chance: {word}, {hits}, {small} {days}, corrected for {among}"


def _siblings_text(nulls: TwoNulls) -> str:
    if not nulls.siblings:
        return "better than its siblings: it has none"
    ties = "" if nulls.precision_tied is None else f", in precision with {nulls.precision_tied}"
    if nulls.beats_siblings:
        also = f", tied{ties[1:]}" if ties else ""
        return f"better than its siblings: yes, in AUC than all {nulls.siblings}{also}"
    behind = f", behind {nulls.ahead}" if nulls.ahead else ""
    told = f"tied in AUC with {nulls.tied} of {nulls.siblings}{behind}{ties}"
    return f"better than its siblings: no, {told}"


def _baseline_text(arena: Arena) -> str:
    nulls, best = arena.nulls, arena.reference
    if nulls is None or best is None or nulls.baseline is None:
        return "better than the best baseline: unknown, none is stored for these days"
    word = {"better": "yes", "unknown": "unknown"}.get(nulls.baseline.verdict, "no")
    budget = max(best.spec.evaluation.alarms)
    points = (
        ""
        if nulls.baseline_precision is None
        else f", precision at top {budget} {points_text(nulls.baseline_precision.simultaneous)}"
    )
    return (
        f"better than the best baseline ({baseline_text(best)}): {word}, AUC difference "
        f"{difference_text(nulls.baseline.simultaneous)}{points}; {nulls.beating} of "
        f"{plural(nulls.candidates, 'candidate')} beat it in AUC after correction for their number"
    )


def baseline_text(run: Run) -> str:
    """Tier, kind and columns: ``a50 logit, 50 columns``, ``a20 one_feature, high atr_pct``."""
    label, kind = run.record["label"], run.spec.model.kind
    if kind == "one_feature":
        return f"{label}, {' / '.join(dict.fromkeys(run.record['chosen']))}"
    return (
        label
        if kind == "base_rate"
        else f"{label}, {plural(len(run.record['features']), 'column')}"
    )


def points_text(estimate: Estimate) -> str:
    """``-3.3 points [-13, +7]``: signed difference of two shares with its interval."""
    if estimate.value is None:
        return "undefined"
    value = f"{100 * estimate.value:+.1f} points"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{100 * estimate.low:+.0f}, {100 * estimate.high:+.0f}]"


def plural(n: int, what: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{n:,} {what}" + ("" if n == 1 else "s")
