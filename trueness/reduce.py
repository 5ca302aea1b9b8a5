"""Feature reduction: drop the weakest columns round by round while a small network does not suffer.

Columns are scored on training rows only; a round is kept or undone by the inner validation days;
the out-of-fold days are measured at the beginning and at the end and decide nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.special import expit
from scipy.stats import rankdata

from trueness.errors import TruenessError
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.metrics import alarm_cut, measure, roc_auc
from trueness.examples import Examples
from trueness.execute import Failure, Pool, keep_memory
from trueness.fit import Device, choose_device, fit_stack
from trueness.judge.reduction import Decision, Reduction, Round
from trueness.market import (
    Bars,
    MarketData,
    Volatility,
    load_bars,
    load_volatility,
    market_examples,
    resolve_evaluation,
)
from trueness.market.indicators import CATALOGUE, FAMILIES
from trueness.market.quality import relation_to_label
from trueness.shares import percent_of
from trueness.spec import Spec

WEIGHTS = {"auc": 0.45, "mi": 0.35, "redundancy": 0.20}
KEEP_STEP, WARN_STEP = 0.10, 0.05
LIMITS = {"precision": (0.95, 0.90), "recall": (0.90, 0.80), "auc": (0.95, 0.90)}
WIDTH_LIMITS = (0.10, 0.05)
AT_LEAST = {
    "trend": 5, "momentum": 4, "volatility": 4, "volume": 3, "range": 2, "candles": 1,
    "calendar": 1, "complexity": 1, "implied": 1,
}  # fmt: skip
SMALL = {"d_model": 32, "n_layers": 2, "n_heads": 4, "d_ff": 64, "dropout": 0.3}
RECIPE = {"optimizer": "adamw", "learning_rate": 5e-4, "weight_decay": 1e-3}
CLUSTER_CORRELATION = 0.95
SCORED_DRAWS = 20


@dataclass(frozen=True)
class _Scores:
    """Strength of each column, mean over folds, and its relative spread."""

    auc: NDArray[np.float64]
    mi: NDArray[np.float64]
    spread: NDArray[np.float64]
    correlation: NDArray[np.float64]


def reduce_tier(
    spec: Spec,
    bars: Bars,
    volatility: Volatility | None,
    *,
    device: Device,
    pool: Pool,
    seeds: int = 2,
    max_rounds: int = 20,
    on_round: Callable[[Round], None] | None = None,
) -> Reduction:
    """Reduce the columns of a spec's tier.

    Parameters
    ----------
    spec : Spec
        Task, evaluation (walk-forward), a small network and its recipe.
    bars : Bars
    volatility : Volatility, optional
    device : Device
    pool : Pool
        Where networks are trained.
    seeds : int
        Networks per round; medians over them decide.
    max_rounds : int
    on_round : callable, optional
        Hears every round.

    Returns
    -------
    Reduction
    """
    of: Any = spec
    examples = market_examples(of.task, of.evaluation, MarketData.of(bars, volatility))
    if spec.evaluation.protocol != "walk_forward":
        raise TruenessError("reduction needs walk_forward: its final check is out of fold")
    scores = _score(examples)
    report = on_round or (lambda one: None)
    kept = np.arange(len(examples.features))
    rounds, first = [_train(examples, kept, [], spec, seeds, device, pool)], kept
    report(rounds[0])
    step = KEEP_STEP
    while len(rounds) <= max_rounds:
        fewer = _weakest_dropped(examples.features, kept, scores, step)
        if len(fewer) == len(kept):
            break
        dropped = [examples.features[i] for i in np.setdiff1d(kept, fewer)]
        one = _train(examples, fewer, dropped, spec, seeds, device, pool, rounds[0])
        rounds.append(one)
        report(one)
        if one.verdict == "abort":
            break
        kept, step = fewer, KEEP_STEP if one.verdict == "keep" else WARN_STEP
    names = [examples.features[i] for i in kept]
    before, after = (_out_of_fold(examples, rows, spec, device, pool) for rows in (first, kept))
    return Reduction(
        of.task.tier, names, rounds, _clusters(examples.features, scores.correlation),
        {n: float(scores.spread[i]) for i, n in enumerate(examples.features)}, before, after,
        list(examples.notes),
    )  # fmt: skip


def reduce_file(
    data: str,
    vix: str | None,
    tier: str,
    out: Path,
    *,
    seeds: int,
    rounds: int,
    epochs: int,
    device: str = "auto",
    workers: int | None = None,
    on_round: Callable[[Round], None] | None = None,
) -> Reduction:
    """Reduce a tier on bars from a file with a small network, and write the tier file."""
    bars = load_bars(data)
    index = None if vix is None else load_volatility(vix)
    spec = Spec.model_validate({
        "task": {
            "kind": "market", "bars": bars.digest, "tier": tier, "long_gaps": "impute_median",
            "volatility": None if index is None else index.digest,
        },
        "model": {**SMALL, "kind": "patchtst"},
        "recipe": {**RECIPE, "epochs": epochs, "patience": epochs},
        "evaluation": resolve_evaluation(
            {"protocol": "walk_forward", "block_years": 6}, bars.dates[0], bars.dates[-1]
        ),
    })  # fmt: skip
    where = choose_device(device)
    keep_memory()
    cores = os.cpu_count() or 1
    size = min(seeds, cores if workers is None else workers) if where.name == "cpu" else 0
    with Pool(size) as pool:
        result = reduce_tier(
            spec, bars, index, device=where, pool=pool, seeds=seeds, max_rounds=rounds,
            on_round=on_round,
        )  # fmt: skip
    result.write(out, out.stem)
    return replace(result, file=str(out))


# ------------------------------------------------------------------------------------------ scoring


def _score(examples: Examples) -> _Scores:
    """Relation of each column's last row to the label, on the training rows of each fold."""
    last = examples.series[examples.start + examples.context - 1].astype(np.float64)
    auc, mi = [], []
    for fold in range(examples.n_folds):
        rows = examples.members("train", fold)
        result = relation_to_label(last[rows], examples.y[rows], draws=SCORED_DRAWS)
        auc.append(np.abs(result["auc"] - 0.5))
        mi.append(result["mi"])
    ranks = np.column_stack([rankdata(c) for c in last[examples.members("train", 0)].T])
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(np.abs(np.corrcoef(ranks.T)))
    strength = np.array(auc)
    mean = strength.mean(axis=0)
    spread = strength.std(axis=0) / np.where(mean == 0, 1, mean)
    return _Scores(mean, np.array(mi).mean(axis=0), spread, correlation)


def _weakest_dropped(
    names: tuple[str, ...], kept: NDArray[np.int64], scores: _Scores, step: float
) -> NDArray[np.int64]:
    """Columns without the weakest share, families keeping their least number."""
    alone = scores.correlation[np.ix_(kept, kept)].copy()
    np.fill_diagonal(alone, 0)
    parts = {"auc": scores.auc[kept], "mi": scores.mi[kept], "redundancy": 1 - alone.max(axis=1)}
    total = sum(weight * _unit(parts[name]) for name, weight in WEIGHTS.items())
    family = [_family(names[i]) for i in kept]
    left = {f: family.count(f) for f in set(family)}
    drop, wanted = set(), max(1, int(len(kept) * step))
    for k in np.argsort(total):
        if len(drop) < wanted and left[family[k]] > AT_LEAST.get(family[k], 1):
            drop.add(int(k))
            left[family[k]] -= 1
    return np.array([column for k, column in enumerate(kept) if k not in drop], dtype=np.int64)


def _unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scaled to [0, 1]; 0.5 where constant."""
    width = x.max() - x.min()
    return np.full_like(x, 0.5) if width == 0 else (x - x.min()) / width


def _family(name: str) -> str:
    row = CATALOGUE.get(name)
    return next((f for f, m in FAMILIES.items() if row is not None and row in m.ROWS), "other")


def _clusters(names: tuple[str, ...], correlation: NDArray[np.float64]) -> list[list[str]]:
    """Groups of columns whose ranks correlate above 0.95 on average, larger groups first."""
    distance = (1 - correlation).clip(min=0)
    np.fill_diagonal(distance, 0)
    symmetric = (distance + distance.T) / 2
    tree = linkage(squareform(symmetric, checks=False), "average")
    labels = fcluster(tree, 1 - CLUSTER_CORRELATION, "distance")
    groups = [[n for n, k in zip(names, labels, strict=True) if k == c] for c in np.unique(labels)]
    return sorted((g for g in groups if len(g) > 1), key=len, reverse=True)


# ----------------------------------------------------------------------------------------- training


def _narrow(examples: Examples, columns: NDArray[np.int64]) -> Examples:
    series = np.ascontiguousarray(examples.series[:, columns])
    return replace(examples, series=series, features=tuple(examples.features[i] for i in columns))


def _fit_item(
    item: tuple[Examples, Spec, Device], report: Callable[[int], None]
) -> list[NDArray[np.float32]]:
    examples, spec, device = item
    (fitted,) = fit_stack(
        examples, [spec], device, report, width=1 if device.name == "cpu" else None
    )
    if fitted.failure is not None:
        raise TruenessError(fitted.failure)
    return [fold.logit for fold in fitted.folds]


def _fits(
    examples: Examples, specs: list[Spec], device: Device, pool: Pool
) -> list[list[NDArray[np.float32]]]:
    answers = dict(pool.map(_fit_item, [(examples, one, device) for one in specs]))
    for answer in answers.values():
        if isinstance(answer, Failure):
            raise TruenessError(answer.reason.strip().splitlines()[-1])
    return [answers[i] for i in range(len(specs))]


def _pooled(
    examples: Examples, logits: list[NDArray[np.float32]], part: str
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    rows = [examples.members(part, fold) for fold in range(examples.n_folds)]
    y = np.concatenate([examples.y[i] for i in rows])
    score = np.concatenate([one[i] for one, i in zip(logits, rows, strict=True)])
    return y, score.astype(np.float64)


def _train(
    examples: Examples,
    columns: NDArray[np.int64],
    dropped: list[str],
    spec: Spec,
    seeds: int,
    device: Device,
    pool: Pool,
    first: Round | None = None,
) -> Round:
    """Train on some columns, measure on inner validation days, compare with the first round."""
    narrow = _narrow(examples, columns)
    specs = [spec.model_copy(update={"seed": spec.seed + k}) for k in range(seeds)]
    numbers = []
    for logits in _fits(narrow, specs, device, pool):
        y, score = _pooled(narrow, logits, "validation")
        raised = score > alarm_cut(score, percent_of(len(y), spec.evaluation.alarm_rate_pct))
        hits, prob = int(y[raised].sum()), expit(score)
        precision = hits / max(1, int(raised.sum()))
        numbers.append((precision, hits / y.sum(), roc_auc(y, score), prob.max() - prob.min()))
    precision, recall, auc, width = (float(v) for v in np.median(numbers, axis=0))
    one = Round(len(columns), dropped, precision, recall, auc, width, "start")
    return one if first is None else replace(one, verdict=_verdict(one, first))


def _verdict(now: Round, first: Round) -> Decision:
    """Keep, warn or abort by the worst of the four ratios."""
    worst = 0
    for name, (good, tolerable) in LIMITS.items():
        ratio = getattr(now, name) / max(1e-12, getattr(first, name))
        worst = max(worst, (ratio < good) + (ratio < tolerable))
    good, tolerable = WIDTH_LIMITS
    worst = max(worst, (now.width < good) + (now.width < tolerable))
    return ("keep", "warn", "abort")[worst]


def _out_of_fold(
    examples: Examples, columns: NDArray[np.int64], spec: Spec, device: Device, pool: Pool
) -> Estimate:
    """AUC on the out-of-fold days, which decided nothing."""
    narrow = _narrow(examples, columns)
    (logits,) = _fits(narrow, [spec], device, pool)
    y, score = _pooled(narrow, logits, "oof")
    rule = spec.estimands
    return measure(
        y, score, alarms=rule.alarms, alarm_rate_pct=rule.alarm_rate_pct,
        confidence=rule.confidence, blocks=Blocks.of(len(y), length=rule.block),
        chosen_on=rule.chosen_on, measured_on=rule.measured_on,
    )["auc"]  # fmt: skip
