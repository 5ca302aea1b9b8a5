"""Promises about one model, two models, and a family of twenty."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from tests.simulations.experiments import Case, Experiment, Outcome, Promise, cases
from tests.simulations.generators import (
    EQUAL,
    SCATTERED,
    SETTINGS,
    sample,
    truth_at_large,
    truth_at_ranks,
)
from trueness.evaluation.best_baseline import against_best
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.joint_draws import auc_draws, precision_draws
from trueness.evaluation.metrics import measure
from trueness.evaluation.resampling import Resampled, mean_difference
from trueness.evaluation.selection import contrasts_with_leader, simultaneous_contrasts
from trueness.evaluation.shrinkage import shrink_drawn
from trueness.evaluation.simultaneous_bounds import precision_bounds

ALARMS, RATE_PCT, BASELINES = 30, 5.0, 10
PAIR = (0.8, 1.6)
"""A better and a worse model: the noise in their scores."""
SKILLED = ("iid", "markov", "regime", "regime_ar", "spread", "hard", "over5", "over5ar", "markov5")
FAMILY_SETTINGS = ("iid", "regime", "regime_ar", "hard", "over5ar")


def covers(estimate: Estimate, truth: float) -> bool | None:
    """Whether an interval holds the truth; None without an interval."""
    if estimate.low is None or estimate.high is None:
        return None
    return bool(estimate.low <= truth <= estimate.high)


# ------------------------------------------------------------------------------------- one model


def _single(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    setting, n = SETTINGS[case.setting], case.n
    one, large = sample(rng, setting, n), truth_at_large(setting)
    (top,), (recall,) = truth_at_ranks(setting, n, ALARMS)
    (rate,), _ = truth_at_ranks(setting, n, int(n * RATE_PCT / 100))
    actual = measure(
        one.y, one.scores[0], alarms=(ALARMS,), alarm_rate_pct=RATE_PCT, confidence=0.95,
        blocks=one.blocks, probabilities=False,
    )  # fmt: skip
    at_top = actual["precision@30"]
    return {
        "AUC": covers(actual["auc"], large.auc[0]),
        "average precision": covers(actual["average_precision"], large.average_precision[0]),
        "precision@30": covers(at_top, top),
        "precision@30, lower end": None if at_top.low is None else at_top.low <= top,
        "precision@5 %": covers(actual["precision@5%"], rate),
        "recall@30": covers(actual["recall@30"], recall),
        "base rate": covers(actual["base_rate"], large.base_rate),
    }


SINGLE = Experiment(
    "single", "Intervals of one model",
    (*map(Promise, ("AUC", "average precision", "precision@30")),
     Promise("precision@30, lower end", 0.975),
     *map(Promise, ("precision@5 %", "recall@30", "base rate"))),
    cases(SKILLED, (422, 1000, 3000)), 4000, _single,
)  # fmt: skip


# ------------------------------------------------------------------------------------ two models


def _pair(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    setting, n = SETTINGS[case.setting], case.n
    one = sample(rng, setting, n, PAIR)
    auc, precision = truth_at_large(setting, PAIR).auc, truth_at_ranks(setting, n, ALARMS, PAIR)[0]
    drawn = {
        "difference of two AUCs": (auc_draws(one.y, one.scores, blocks=one.blocks), auc),
        "difference of two precisions@30": (
            precision_draws(one.y, one.scores, alarms=ALARMS, blocks=one.blocks), precision,
        ),
    }  # fmt: skip
    return {
        name: covers(_difference(*models).simultaneous, truth[0] - truth[1])
        for name, (models, truth) in drawn.items()
    }


def _difference(one: Resampled, other: Resampled):
    (contrast,) = simultaneous_contrasts([mean_difference([one], [other])])
    return contrast


PAIRS = Experiment(
    "pair", "Differences of two models",
    (Promise("difference of two AUCs"), Promise("difference of two precisions@30")),
    cases(FAMILY_SETTINGS, (422, 1500)), 2000, _pair,
)  # fmt: skip


# --------------------------------------------------------------------------------- twenty models


def _equal(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    """Twenty models and a reference, none of them better than another."""
    one = sample(rng, SETTINGS[case.setting], case.n, (*EQUAL, EQUAL[0]))
    aucs = auc_draws(one.y, one.scores, blocks=one.blocks)
    tops = precision_draws(one.y, one.scores, alarms=ALARMS, blocks=one.blocks)
    return {
        "20 differences of AUC to a reference: any false": _any_apart(aucs),
        "20 differences of precision@30 to a reference: any false": _any_apart(tops),
        "leader by AUC ahead of an equal one": _leader_ahead(aucs[:-1]),
        "leader by precision@30 ahead of an equal one": _leader_ahead(tops[:-1]),
        **_of_baselines(aucs, "AUC"),
        **_of_baselines(tops, "precision@30"),
        **_of_family(case, tops[:-1], EQUAL, "equal"),
    }


def _scattered(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    one = sample(rng, SETTINGS[case.setting], case.n, SCATTERED)
    tops = precision_draws(one.y, one.scores, alarms=ALARMS, blocks=one.blocks)
    return _of_family(case, tops, SCATTERED, "scattered")


def _any_apart(models: list) -> bool:
    """Whether any of the first is told from the last."""
    *others, reference = models
    contrasts = simultaneous_contrasts([mean_difference([m], [reference]) for m in others])
    return any(c.verdict in ("better", "worse") for c in contrasts)


def _leader(models: list) -> int:
    return int(np.argmax([one.value for one in models]))


def _leader_ahead(models: list) -> bool:
    contrasts = contrasts_with_leader(models, _leader(models))
    return any(c.verdict == "better" for c in contrasts)


def _of_baselines(models: list, statistic: str) -> dict[str, Outcome]:
    """One model, and ten models, against the best of ten baselines, all of them equal."""
    baselines, ten, one = models[:BASELINES], models[BASELINES:-1], models[-1:]
    several = [c.verdict for c in against_best(ten, baselines)]
    (alone,) = against_best(one, baselines)
    return {
        f"{statistic} worse than the best of 10 equal baselines, one model": alone.verdict
        == "worse",
        f"{statistic} worse than the best of 10 equal baselines, any of 10": "worse" in several,
        f"{statistic} better than the best of 10 equal baselines, any of 10": "better" in several,
        f"difference of {statistic} to the best of 10 equal baselines": covers(
            alone.pointwise, 0.0
        ),
    }


def _of_family(
    case: Case, tops: list[Resampled], noise: tuple[float, ...], which: str
) -> dict[str, Outcome]:
    """Shrunk intervals and simultaneous lower bounds."""
    truth: NDArray[np.float64] = truth_at_ranks(SETTINGS[case.setting], case.n, ALARMS, noise)[0]
    shrunk = shrink_drawn(tops).estimates
    inside = [covers(one, t) for one, t in zip(shrunk, truth, strict=True)]
    bounds = precision_bounds(tops, [one.depends for one in tops])
    below = [b.low is None or b.low <= t for b, t in zip(bounds, truth, strict=True)]
    return {
        f"shrunk precision@30 of each of 20 {which}": [bool(b) for b in inside if b is not None],
        f"shrunk precision@30 of the leader of 20 {which}": inside[_leader(tops)],
        f"all 20 simultaneous lower bounds, {which}": all(below),
    }


_FALSE = partial(Promise, nominal=0.05, kind="error")
FAMILIES = (
    Experiment(
        "equal", "Twenty models, equally good",
        (_FALSE("20 differences of AUC to a reference: any false"),
         _FALSE("20 differences of precision@30 to a reference: any false"),
         _FALSE("leader by AUC ahead of an equal one"),
         _FALSE("leader by precision@30 ahead of an equal one"),
         *(_FALSE(f"{statistic} {how} than the best of 10 equal baselines, {who}")
           for statistic in ("AUC", "precision@30")
           for how, who in (("worse", "one model"), ("worse", "any of 10"), ("better", "any of 10"))),
         Promise("difference of AUC to the best of 10 equal baselines"),
         Promise("difference of precision@30 to the best of 10 equal baselines"),
         Promise("shrunk precision@30 of each of 20 equal"),
         Promise("shrunk precision@30 of the leader of 20 equal"),
         Promise("all 20 simultaneous lower bounds, equal")),
        cases(FAMILY_SETTINGS, (422, 3000)), 1000, _equal,
    ),
    Experiment(
        "scattered", "Twenty models from good to bad",
        (Promise("shrunk precision@30 of each of 20 scattered"),
         Promise("shrunk precision@30 of the leader of 20 scattered"),
         Promise("all 20 simultaneous lower bounds, scattered")),
        cases(FAMILY_SETTINGS, (422, 3000)), 1000, _scattered,
    ),
)  # fmt: skip
