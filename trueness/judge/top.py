"""The best distinct configurations of a store, with confusion counts at several thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from rich.console import Console
from scipy.special import logit

from trueness.errors import StoreError
from trueness.evaluation import Estimate
from trueness.evaluation.metrics import alarm_cut
from trueness.judge.comparison import measured, without_seed
from trueness.judge.leaderboard import Row, leaderboard
from trueness.report.tables import rows_table
from trueness.judge.words import number_text, share_text
from trueness.store import Store

PROBABILITIES = (0.3, 0.4, 0.5, 0.6)
NOMINAL = {"750k": 750e3, "2M": 2e6, "20M": 20e6, "200M": 200e6, "2B": 2e9}
"""Sizes that a network may be filed under, by its true number of parameters."""

Per = Literal["budget", "tier", "loss"]


@dataclass(frozen=True)
class Cut:
    """Confusion counts where alarms are raised by one rule."""

    rule: str
    probability: float
    tp: int
    fp: int
    fn: int
    tn: int
    precision: Estimate
    recall: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        shares = {"precision": self.precision.to_dict(), "recall": self.recall.to_dict()}
        return {**vars(self), **shares}


@dataclass(frozen=True)
class Top:
    """One configuration: its row of the leaderboard and what it does at each threshold."""

    group: str
    row: Row
    cuts: list[Cut]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        cuts = [cut.to_dict() for cut in self.cuts]
        return {"group": self.group, **self.row.to_dict(), "thresholds": cuts}


def top_models(
    store: Store, *, campaign: str | None = None, tiers: Sequence[str] = (), n: int = 3,
    per: Per | None = None, probabilities: Sequence[float] = PROBABILITIES,
    look: tuple[str, str] | None = None,
) -> dict[str, list[Top]]:  # fmt: skip
    """Best networks by the lower end of their precision; repeated specs and seeds count once.

    Parameters
    ----------
    store : Store
    campaign : str, optional
        Only its runs.
    tiers : sequence of str
        Only these tiers.
    n : int
        Configurations per arena and group.
    per : {"budget", "tier", "loss"}, optional
        The best of each group; a budget is the nominal size nearest to the true one.
    probabilities : sequence of float
        Thresholds beside the alarm budgets.
    look : tuple of str, optional
        As for `leaderboard`.

    Returns
    -------
    dict of str to list of Top
        Title of each set of days -> the best on them.

    Raises
    ------
    StoreError
        If the store holds no such network.
    """
    found: dict[str, list[Top]] = {}
    for arena in leaderboard(store, campaign, look=look).arenas:
        rows = [r for r in arena.networks if not tiers or r.run.spec.task.tier in tiers]
        kept = _best(rows, n, per)
        if kept:
            tops = [Top(group, row, _cuts(row, probabilities)) for group, row in kept]
            found.setdefault(arena.title, []).extend(tops)
    if not found:
        where = f" of tier {', '.join(tiers)}" if tiers else ""
        raise StoreError(f"{store.root}: no network{where}; `trueness run` makes some")
    return found


def _best(rows: Sequence[Row], n: int, per: Per | None) -> list[tuple[str, Row]]:
    """First `n` distinct configurations of each group, groups in order of their best."""
    groups: dict[str, list[Row]] = {}
    seen: set[str] = set()
    for row in rows:
        same = without_seed(row.run.spec)
        group = groups.setdefault(_group(row, per), [])
        if same not in seen and len(group) < n:
            group.append(row)
            seen.add(same)
    return [(name, row) for name, kept in groups.items() for row in kept]


def _group(row: Row, per: Per | None) -> str:
    if per == "budget":
        true = max(1, row.run.record["parameters"])
        return min(NOMINAL, key=lambda name: abs(math.log(true / NOMINAL[name])))
    if per == "tier":
        return row.run.spec.task.tier
    return row.run.spec.canonical().loss.kind if per == "loss" else ""


def _cuts(row: Row, probabilities: Sequence[float]) -> list[Cut]:
    """What the run does at each probability and at each alarm budget."""
    y, score = measured(row.run)
    rule = row.run.spec.evaluation
    raised = {f"p >= {p:g}": (score >= logit(p), p) for p in probabilities}
    for budget in rule.alarms:
        cut = alarm_cut(score, budget)
        above = score > cut
        lowest = float(score[above].min()) if above.any() else np.inf
        raised[f"top {budget}"] = (above, float(1 / (1 + np.exp(-lowest))))
    return [
        _cut(name, p, y == 1, alarm, rule.confidence_pct / 100)
        for name, (alarm, p) in raised.items()
    ]


def _cut(rule: str, probability: float, y: Any, alarm: Any, confidence: float) -> Cut:  # noqa: ANN401
    tp, fp = int((alarm & y).sum()), int((alarm & ~y).sum())
    fn, tn = int(y.sum()) - tp, int((~y).sum()) - fp
    precision = Estimate.proportion(tp, tp + fp, confidence=confidence)
    recall = Estimate.proportion(tp, tp + fn, confidence=confidence)
    return Cut(rule, probability, tp, fp, fn, tn, precision, recall)


def show_top(console: Console, found: dict[str, list[Top]]) -> None:
    """Print each configuration with its thresholds."""
    for title, tops in found.items():
        console.print(title, style="bold", highlight=False)
        for top in tops:
            record, scores = top.row.run.record, top.row.run.record["scores"]
            group = f"{top.group}: " if top.group else ""
            console.print(
                f"\n{group}{top.row.title} · {record['parameters']:,} weights · AUC "
                f"{number_text(top.row.estimates['auc'])} · probabilities {scores['min']:.3f} to "
                f"{scores['max']:.3f}, {scores['state']}",
                highlight=False,
            )
            console.print(rows_table([_line(cut) for cut in top.cuts]))
    console.print(
        "\nprecision as hits/alarms and recall as hits/positives, percent and interval, days taken "
        "as independent; chosen as the best of many and not corrected for it",
        highlight=False,
    )


def _line(cut: Cut) -> dict[str, Any]:
    return {
        "alarms": cut.rule, "from probability": f"{cut.probability:.3f}", "tp": cut.tp,
        "fp": cut.fp, "fn": cut.fn, "tn": cut.tn, "precision": share_text(cut.precision),
        "recall": share_text(cut.recall),
    }  # fmt: skip
