"""What each check looks for: one small function over the evidence, silent where that is lacking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, stdtrit

from trueness.checks.evidence import Evidence
from trueness.evaluation.intervals import (
    FEWEST_BLOCKS,
    Estimate,
    block_weights,
    clopper_pearson,
    percentile_interval,
)
from trueness.evaluation.metrics import alarm_cut, roc_auc
from trueness.evaluation.selection import mean_difference, resampled_aucs

Array = NDArray[np.float64]
NEAR_MEAN = 0.02
"""Distance from the mean within which probabilities count as one heap."""


@dataclass(frozen=True)
class Seen:
    """What a check saw: a sentence, and its numbers by name."""

    text: str
    numbers: dict[str, float]


Look: TypeAlias = Callable[[Evidence], Seen | None]


def _seen(text: str, **numbers: float | None) -> Seen:
    return Seen(text, {name: float(x) for name, x in numbers.items() if x is not None})


# --------------------------------------------------------------------------------- the scores alone


def collapsed(e: Evidence) -> Seen | None:
    """Probabilities in a heap: all of them, or all but a few days at either end."""
    prob, rate = expit(e.score), e.y.mean()
    width = float(prob.max() - prob.min())
    low, high = np.quantile(prob, [0.05, 0.95])
    least = e.limits.collapsed_core * (rate * (1 - rate)) ** 0.5
    if width >= e.limits.collapsed_width and high - low >= least:
        return None
    heap = float((np.abs(prob - prob.mean()) <= NEAR_MEAN).mean())
    return _seen(
        f"probabilities span {width:.3f} ({prob.min():.3f} to {prob.max():.3f}), nine days of ten "
        f"{high - low:.3f}; {heap:.0%} lie within {NEAR_MEAN} of the mean; at least "
        f"{e.limits.collapsed_width:g} and {least:.3f} are expected",
        width=width, core=high - low, near_mean=heap,
    )  # fmt: skip


def double_sigmoid(e: Evidence) -> Seen | None:
    """Probabilities taken for logits: all of them in sigmoid([0, 1])."""
    prob = expit(e.score)
    if not (prob.min() >= 0.5 and prob.max() <= expit(1.0) + 1e-9 and prob.max() > prob.min()):
        return None
    low, high = float(e.score.min()), float(min(1.0, e.score.max()))
    return _seen(
        f"all probabilities lie in [{prob.min():.3f}, {prob.max():.3f}], inside sigmoid([0, 1]) = "
        f"[0.5, 0.731]; inverting one sigmoid restores the range [{low:.3f}, {high:.3f}]",
        low=prob.min(), high=prob.max(), restored_low=low, restored_high=high,
    )  # fmt: skip


def constant(e: Evidence) -> Seen | None:
    """The same score on all days of a fold, or on almost all."""
    prob, tied, square = expit(e.score), 0, 0.0
    for f in np.unique(e.folds):
        inside = e.folds == f
        tied += int(np.unique(e.score[inside], return_counts=True)[1].max())
        square += float(prob[inside].var()) * int(inside.sum())
    share, std = tied / len(prob), (square / len(prob)) ** 0.5
    if std > e.limits.constant_std and share < e.limits.tied_share:
        return None
    return _seen(
        f"{tied} of {len(prob)} days share the most frequent score of their fold; the standard "
        f"deviation of the probabilities inside folds is {std:.1g}",
        tied_share=share, std=std,
    )  # fmt: skip


def one_class(e: Evidence) -> Seen | None:
    """No alarm at all, or a fold that alarms every day."""
    alarm = e.score >= 0
    always = [f for f in np.unique(e.folds) if alarm[e.folds == f].all()]
    if alarm.any() and not always:
        return None
    what, days = "no day reaches probability 0.5", 0
    if always:
        days = int(np.isin(e.folds, always).sum())
        where = "" if len(np.unique(e.folds)) == 1 else f" of {len(always)} of the folds"
        what = f"all {days} days{where} reach probability 0.5"
    return _seen(what, alarms=int(alarm.sum()), days=len(e.y), days_that_always_alarm=days)


# -------------------------------------------------------------------------------- scores and labels


def no_better_than_chance(e: Evidence) -> Seen | None:
    """An AUC whose interval is not above 0.5."""
    auc = e.estimates["auc"]
    if auc.value is not None and auc.low is not None and auc.low > 0.5:
        return None
    return _seen(f"AUC {auc} {_where(auc, 0.5)}", auc=auc.value, low=auc.low, high=auc.high)


def few_positives(e: Evidence) -> Seen | None:
    """Too few positives to tell recalls apart."""
    positives = int(e.y.sum())
    if positives >= e.limits.few_positives:
        return None
    error = 0.5 / max(1, positives) ** 0.5
    return _seen(
        f"{positives} positives among {len(e.y)} days; a recall is known to about +-{error:.0%}",
        positives=positives, days=len(e.y), error=error,
    )  # fmt: skip


def few_alarms(e: Evidence) -> Seen | None:
    """A precision of one, two, … alarms at probability 0.5 or at the alarm rate."""
    cuts = {"half": "at probability 0.5", "rate": "at the alarm rate"}
    shares = {cut: e.estimates.get(f"precision_{cut}") for cut in cuts}
    found = {cut: s for cut, s in shares.items() if s and 0 < s.n < e.limits.few_alarms}
    if not found:
        return None
    told = "; ".join(f"{cuts[cut]} {share}" for cut, share in found.items())
    return _seen(
        f"{told}: fewer than {e.limits.few_alarms} alarms",
        **{f"alarms_{cut}": s.n for cut, s in found.items()},
    )


def clustered(e: Evidence) -> Seen | None:
    """Alarms of the largest budget that fall in far fewer blocks than as many random days.

    The effective number of alarms is ``n² / Σ a²`` over the alarms a of each block: Hill's number
    of order 2 (Hill, "Diversity and evenness", 1973), Kish's effective size with the blocks as
    clusters. Random days reach ``n / (1 + (n - 1) q)``, q the chance that two share a block.
    """
    if e.block is None or e.budget is None:
        return None
    raised = np.flatnonzero(e.score > alarm_cut(e.score, e.budget))
    n, days = len(raised), len(e.y)
    sizes = np.bincount(np.arange(days) // e.block)
    if n < max(2, e.limits.few_alarms) or len(sizes) < FEWEST_BLOCKS:
        return None
    counts = np.bincount(raised // e.block, minlength=len(sizes))
    shared = float((sizes * (sizes - 1.0)).sum() / (days * (days - 1.0)))
    effective, random = n**2 / float((counts**2).sum()), n / (1 + (n - 1) * shared)
    if effective >= e.limits.clustered_share * random:
        return None
    few, hits = max(1, round(effective)), int(e.y[raised].sum())
    low, high = clopper_pearson(round(hits / n * few), few, e.confidence)
    return _seen(
        f"{n} alarms fall in {int((counts > 0).sum())} of {len(sizes)} blocks of {e.block} days "
        f"and count as {effective:.1f} if those of a block are right or wrong together (random "
        f"days: {random:.1f}); {hits}/{n} is then known to [{100 * low:.0f}, {100 * high:.0f}] %",
        alarms=n, effective=effective, random=random, blocks=int((counts > 0).sum()),
    )  # fmt: skip


def volatility(e: Evidence) -> Seen | None:
    """Scores that rank the days of the mirror target as well as those of the target.

    Days that are positive for both are left out of both AUCs: whoever finds them is right twice and
    has said nothing about the direction. Both are resampled on the same blocks of days.
    """
    if e.mirror is None or e.block is None:
        return None
    keep = (e.mirror == 0) | ((e.mirror == 1) & (e.y == 0))
    labels = [e.y[keep], e.mirror[keep]]
    if not all(0 < label.sum() < len(label) for label in labels):
        return None
    one, other = (next(resampled_aucs(y, [e.score[keep]], block=e.block)) for y in labels)
    target, mirror = one.estimate(e.confidence), other.estimate(e.confidence)
    difference = mean_difference([one], [other]).estimate(e.confidence)
    if not (_above(target, 0.5) and _above(mirror, 0.5)) or _above(difference, 0.0):
        return None
    return _seen(
        f"AUC {target} on the target and {mirror} on its mirror, the opposite touch on the same "
        f"days (those with both left out); difference {difference} does not exclude 0",
        target=target.value, mirror=mirror.value, difference=difference.value,
        low=difference.low, high=difference.high,
    )  # fmt: skip


def _where(estimate: Estimate, bound: float) -> str:
    """What an interval that is not above `bound` says of it."""
    below = estimate.high is not None and estimate.high < bound
    return f"lies below {bound:g}" if below else f"does not exclude {bound:g}"


def _above(estimate: Estimate, bound: float) -> bool:
    return estimate.low is not None and estimate.low > bound


# ---------------------------------------------------------------------------- against the baselines


def no_better_than_best(e: Evidence) -> Seen | None:
    """An AUC difference to the best baseline whose interval is not above 0."""
    if e.difference is None or _above(e.difference, 0.0):
        return None
    return _seen(
        f"AUC difference {e.difference} {_where(e.difference, 0.0)}",
        difference=e.difference.value, low=e.difference.low, high=e.difference.high,
    )  # fmt: skip


def worse_than_one_feature(e: Evidence) -> Seen | None:
    """An AUC difference to the one-feature baseline that lies below 0 with all of its interval."""
    one = e.one_feature
    if one is None or one.high is None or one.high >= 0:
        return None
    return _seen(
        f"AUC difference {one} to the best single one of the same columns lies below 0",
        difference=one.value, low=one.low, high=one.high,
    )  # fmt: skip


# ----------------------------------------------------------------------------- against the training


def drifted(e: Evidence) -> Seen | None:
    """Base rates of training and measured days that differ by more than chance, in some fold.

    The variance of either share is that of its blocks, never less than for independent days; the
    cut is Student's, corrected for the number of folds (Bonferroni).
    """
    if e.train is None or e.block is None:
        return None
    pairs = [(e.train.y[e.train.fold == f], e.y[e.folds == f]) for f in np.unique(e.folds)]
    pairs = [p for p in pairs if min(len(p[0]), len(p[1])) >= FEWEST_BLOCKS * e.block]
    tail, found = (1 - e.confidence) / 2 / max(1, len(pairs)), []
    for before, now in pairs:
        z = _block_z(before, now, e.block)
        one, other = sorted((float(before.mean()), float(now.mean())))
        apart = abs(z) > stdtrit(len(now) // e.block - 1, 1 - tail)
        if apart and other > one and other >= e.limits.drift_ratio * one:
            found.append((z, before, now))
    if not found:
        return None
    z, before, now = max(found, key=lambda one: abs(one[0]))
    where = f" (the strongest of {len(found)} of {len(pairs)} folds)" if len(pairs) > 1 else ""
    return _seen(
        f"{100 * before.mean():.1f} % of {len(before)} training days are positive and "
        f"{100 * now.mean():.1f} % of {len(now)} measured ones{where}; z = {z:.1f} over blocks of "
        f"{e.block} days",
        training=before.mean(), measured=now.mean(), z=z, folds=len(found),
    )  # fmt: skip


def _block_z(before: NDArray[np.uint8], now: NDArray[np.uint8], block: int) -> float:
    """Difference of two shares over its standard error, with days in blocks; 0 if neither varies.

    Examples
    --------
    >>> alternating = np.tile([0, 1], 50)
    >>> round(_block_z(alternating, np.r_[alternating[:60], np.ones(40)], 10), 1)
    2.1
    """
    pooled = np.concatenate([before, now]).mean()
    variance = sum(_share_variance(part, block, pooled) for part in (before, now))
    return 0.0 if variance == 0 else float((now.mean() - before.mean()) / variance**0.5)


def _share_variance(y: NDArray[np.uint8], block: int, pooled: float) -> float:
    """Squared standard error of a share from the sums of its blocks, at least the binomial one."""
    starts = np.arange(0, len(y), block)
    excess = np.add.reduceat(y - y.mean(), starts)
    clusters = len(starts) / (len(starts) - 1) * float((excess**2).sum()) / len(y) ** 2
    return max(clusters, pooled * (1 - pooled) / len(y))


def worse_than_prior(e: Evidence) -> Seen | None:
    """A Brier score above that of the training base rate, with all of its interval.

    Brier, "Verification of forecasts expressed in terms of probability" (1950).
    """
    if e.train is None or e.block is None:
        return None
    prior = np.zeros(len(e.y))
    for f in np.unique(e.folds):
        of_fold = e.train.y[e.train.fold == f]
        prior[e.folds == f] = of_fold.mean() if len(of_fold) else np.nan
    own, simple = (expit(e.score) - e.y) ** 2, (prior - e.y) ** 2
    draws = block_weights(len(e.y), e.block) @ (own - simple) / len(e.y)
    low, high = percentile_interval(draws, e.confidence)
    if low is None or low <= 0:
        return None
    difference = float(np.mean(own - simple))
    return _seen(
        f"Brier score {own.mean():.4f}, {simple.mean():.4f} if every day gets the training base "
        f"rate; difference {difference:+.4f} [{low:+.4f}, {high:+.4f}]",
        brier=own.mean(), prior=simple.mean(), difference=difference, low=low, high=high,
    )  # fmt: skip


def memorised(e: Evidence) -> Seen | None:
    """An AUC on the training days far above that on the measured ones, fold by fold."""
    measured = e.estimates.get("auc_in_fold", e.estimates.get("auc"))
    if e.train is None or measured is None or measured.value is None:
        return None
    parts = [e.train.fold == f for f in np.unique(e.train.fold)]
    parts = [p for p in parts if 0 < e.train.y[p].mean() < 1]
    if not parts:
        return None
    train = float(np.mean([roc_auc(e.train.y[p], e.train.score[p]) for p in parts]))
    gap, chance = train - measured.value, measured.high is not None and train <= measured.high
    if gap <= e.limits.memorised_gap or chance:
        return None
    return _seen(
        f"AUC {train:.3f} on the training days, {measured} on the measured ones, {gap:.2f} apart",
        train=train, measured=measured.value, gap=gap,
    )  # fmt: skip


def overlapping(e: Evidence) -> Seen | None:
    """Training days within the horizon of a measured day of their fold, before or after it.

    Sessions are counted as weekdays, or as days where the data hold weekends: never too few, so
    that holidays can hide an overlap of a day but none is invented.
    """
    if e.train is None or e.train.when is None or e.when is None or e.horizon_days is None:
        return None
    weekends = not np.is_busday(e.when.astype("datetime64[D]")).all()
    found: list[np.datetime64] = []
    for f in np.unique(e.folds):
        days, train = np.unique(e.when[e.folds == f]), e.train.when[e.train.fold == f]
        near = _sessions_to_nearest(train.astype("datetime64[D]"), days.astype("datetime64[D]"),
                                    weekends)  # fmt: skip
        found += train[near <= e.horizon_days].tolist()
    if not found:
        return None
    reach = "day" if e.horizon_days == 1 else f"{e.horizon_days} days"
    return _seen(
        f"{len(found)} training rows, the first of {min(found)}, lie within the horizon of {reach} "
        "of a measured day of their fold: labels see the same prices",
        rows=len(found),
    )


def _sessions_to_nearest(
    days: NDArray[np.datetime64], others: NDArray[np.datetime64], weekends: bool
) -> NDArray[np.int64]:
    """Sessions between each day and the nearest of the others, before or after.

    Examples
    --------
    >>> friday, monday = np.array(["2024-01-05", "2024-01-08"], "datetime64[D]")
    >>> _sessions_to_nearest(np.array([friday]), np.array([monday]), weekends=False)
    array([1])
    """
    after = others[np.searchsorted(others, days).clip(max=len(others) - 1)]
    before = others[(np.searchsorted(others, days, "right") - 1).clip(min=0)]
    count = (lambda a, b: (b - a).astype(np.int64)) if weekends else np.busday_count
    gaps = [np.abs(count(np.minimum(days, o), np.maximum(days, o))) for o in (after, before)]
    return np.minimum(*gaps)


# ------------------------------------------------------------------------------------- the training


def edge_epoch(e: Evidence) -> Seen | None:
    """Weights of the first epoch, or of the last one that the budget allowed."""
    if e.epochs is None:
        return None
    best, last, budget = e.epochs.best, e.epochs.last, e.epochs.budget
    first = sum(b == 1 < end for b, end in zip(best, last, strict=True))
    late = sum(b == end == budget for b, end in zip(best, last, strict=True))
    if not max(first, late) or max(first, late) < e.limits.edge_share * len(best):
        return None
    of = f" in {max(first, late)} of {len(best)} folds" if len(best) > 1 else ""
    text = f"the first epoch is the best{of}: training made nothing better"
    if late >= first:
        text = f"the last of {budget} epochs is the best{of}: the budget ended before the training"
    return _seen(text, first=first, last=late, folds=len(best), budget=budget)


def astray(e: Evidence) -> Seen | None:
    """Incidents of the guard that lasted to the end of the training."""
    still = [one for one in e.incidents if one["until"] is None]
    if not still:
        return None
    folds = {one["fold"] for one in still}
    told = []
    for what in dict.fromkeys(one["what"] for one in still):
        these = [one for one in still if one["what"] == what]
        of = f" in {len(these)} folds" if len(these) > 1 else ""
        since = min(one["epoch"] for one in these)
        told.append(f"{what} from epoch {since} to the end{of}; {these[0]['cause']}")
    return _seen(" · ".join(told), incidents=len(still), folds=len(folds))
