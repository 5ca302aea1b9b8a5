"""Promises of the planner: what it says can be shown is shown in four of five samples."""

import numpy as np
from scipy.special import ndtri

from tests.simulations.experiments import Case, Experiment, Outcome, Promise
from tests.simulations.generators import SETTINGS, planted, sample
from trueness.evaluation.best_baseline import against_best
from trueness.evaluation.joint_draws import auc_draws
from trueness.evaluation.power import POWER
from trueness.evaluation.rearranged import Chance, alarm_values
from trueness.evaluation.rearranged_labels import labels_of
from trueness.evaluation.selection import contrasts_with_leader
from trueness.evaluation.simulated_models import (
    PERSISTENCE,
    Planned,
    simulated_resolution,
    simulated_scores,
)

ALARMS, LEVEL = 30, 0.05
PLAN = Planned(candidates=4, baselines=3, alarms=ALARMS, auc=0.7)
DAYS = (1000, 3000)


def _ahead(auc: float, lead: float) -> float:
    """How much farther apart the classes lie where an AUC is higher by a lead."""
    return float(np.sqrt(2) * (ndtri(auc + lead) - ndtri(auc)))


def _planned(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    """Plan on one sample; test on another."""
    setting = SETTINGS[case.setting]
    at_hand, later = (sample(rng, setting, case.n) for _ in range(2))
    plan = simulated_resolution(at_hand.y, at_hand.blocks, PLAN)
    return {
        "planned precision is better than chance": _chance(case, rng, plan.precision),
        "planned lead over the best baseline is found": _lead(later, rng, plan.baseline, True),
        "planned lead over all siblings is found": _lead(later, rng, plan.siblings, False),
    }


def _chance(case: Case, rng: np.random.Generator, precision: float | None) -> bool | None:
    """A model of that precision among others that know nothing."""
    if precision is None:
        return None
    one = planted(rng, SETTINGS[case.setting], case.n, precision, memory=PERSISTENCE)
    noise = planted(
        rng, SETTINGS[case.setting], case.n, None, memory=PERSISTENCE, models=PLAN.candidates - 1
    ).scores
    every = [type(one)(one.y, score[None]).ranked() for score in (*one.scores, *noise)]
    values = [alarm_values(ranked, ALARMS) for ranked in every]
    return Chance.of(labels_of(one.y, one.blocks), values).p_value(0) <= LEVEL


def _lead(later, rng: np.random.Generator, lead: float | None, baselines: bool) -> bool | None:
    """A model that leads by so much, and others that are as good as was planned."""
    if lead is None or PLAN.auc + lead >= 1:
        return None
    others = PLAN.baselines if baselines else PLAN.candidates - 1
    seed = int(rng.integers(2**31))
    scores = simulated_scores(later.y, 1 + others, PLAN, persistence=PERSISTENCE, seed=seed)
    scores[0] += _ahead(PLAN.auc, lead) * later.y
    first, *rest = auc_draws(later.y, scores, blocks=later.blocks)
    if baselines:
        (actual,) = against_best([first], rest)
        return actual.verdict == "better"
    return all(c.verdict == "better" for c in contrasts_with_leader([first, *rest], 0))


PLANNED = Experiment(
    "planned", "What the planner says can be shown",
    (Promise("planned precision is better than chance", POWER),
     Promise("planned lead over the best baseline is found", POWER),
     Promise("planned lead over all siblings is found", POWER)),
    tuple(Case(setting, n) for setting in ("iid", "sv", "sv5") for n in DAYS), 500, _planned,
)  # fmt: skip
