"""Promises about "better than chance": how often it is said of models without and with skill."""

from functools import partial

import numpy as np

from tests.simulations.experiments import Case, Experiment, Outcome, Promise
from tests.simulations.generators import SETTINGS, Sample, planted, truth_at_large
from trueness.evaluation.influence import auc_influence, linear_draws, too_few
from trueness.evaluation.rearranged import Chance, alarm_values, rank_values
from trueness.evaluation.rearranged_labels import labels_of

ALARMS, MODELS, LEVEL = 30, 20, 0.05
MEMORIES = {"independent scores": 0.0, "AR scores": 0.95, "slow scores": 0.995}
"""Correlation of one day's score with the next."""
POWERED = {"precision@30": alarm_values, "AUC": lambda ranked, _: rank_values(ranked)}
"""What is tested, by name: values of each day from ranks and a number of alarms."""


def _values(one: Sample) -> dict[str, list]:
    """By statistic, of each model."""
    every = [one.ranked(i) for i in range(len(one.scores))]
    return {name: [of(ranked, ALARMS) for ranked in every] for name, of in POWERED.items()}


def _size(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    """Twenty models that know nothing."""
    memory, setting = MEMORIES[case.variant], SETTINGS[case.setting]
    one = planted(rng, setting, case.n, None, memory=memory, models=MODELS)
    labels, actual = labels_of(one.y, one.blocks), {}
    for statistic, values in _values(one).items():
        some = Chance.of(labels, values[:4])
        every = some.joined(Chance.of(labels, values[4:]))
        single = every.single.max(axis=0)
        actual |= {
            f"no skill by {statistic}, one model": single[0] <= LEVEL,
            f"no skill by {statistic}, leader of 4": _leader_p(some) <= LEVEL,
            f"no skill by {statistic}, leader of 20": _leader_p(every) <= LEVEL,
            f"no skill by {statistic}, leader of 20, the others unseen":
                MODELS * single.min() <= LEVEL,
        }  # fmt: skip
    ranked = one.ranked()
    interval = linear_draws(*auc_influence(ranked), one.blocks, few=too_few(one.y)).proportion(0.95)
    # a shared trend raises the AUC itself
    truth = truth_at_large(setting, (1.0,)).auc[0] if setting.trend else 0.5
    return actual | {"no skill: interval of AUC above 0.5": interval.low and interval.low > truth}


def _leader_p(chance: Chance) -> float:
    return chance.p_value(int(np.argmax(chance.observed[0])))


def _power(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    """One model of a true precision, by itself and corrected for others that are not here."""
    scores, precision = case.variant.rsplit(", ", 1)
    one = planted(
        rng, SETTINGS[case.setting], case.n, float(precision.rstrip(" %")) / 100,
        memory=MEMORIES[scores],
    )  # fmt: skip
    labels, actual = labels_of(one.y, one.blocks), {}
    for statistic, values in _values(one).items():
        chance = Chance.of(labels, values)
        actual |= {
            f"skill found by {statistic}, {name}": chance.p_value(0, further) <= LEVEL
            for name, further in (
                ("one model", 0),
                ("corrected for 4", 3),
                ("corrected for 20", 19),
            )
        }
    return actual


def _leader_power(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    """Twenty models of a true precision of 60 %."""
    memory = MEMORIES[case.variant]
    one = planted(rng, SETTINGS[case.setting], case.n, 0.6, memory=memory, models=MODELS)
    labels = labels_of(one.y, one.blocks)
    return {
        f"skill found by {statistic}, leader of 20 skilled":
            _leader_p(Chance.of(labels, values)) <= LEVEL
        for statistic, values in _values(one).items()
    }  # fmt: skip


_FALSE = partial(Promise, nominal=0.05, kind="error")
_AIM = partial(Promise, nominal=0.85, kind="power")
SIZE = Experiment(
    "chance", "Better than chance, said of models without skill",
    (*(_FALSE(f"no skill by {statistic}, {who}") for statistic in POWERED
       for who in ("one model", "leader of 4", "leader of 20", "leader of 20, the others unseen")),
     _FALSE("no skill: interval of AUC above 0.5", nominal=0.025)),
    (*(Case(setting, n, scores) for setting in ("iid", "markov", "sv", "sv5", "over5")
       for scores in MEMORIES for n in (422, 3000)),
     *(Case("trend", n, scores) for scores in ("independent scores", "AR scores")
       for n in (422, 3000)),
     Case("sv_slow", 422, "slow scores"), Case("sv", 200, "slow scores")),
    2000, _size,
)  # fmt: skip
POWER = Experiment(
    "power", "Better than chance, said of models with skill",
    tuple(_AIM(f"skill found by {statistic}, {who}") for statistic in POWERED
          for who in ("one model", "corrected for 4", "corrected for 20")),
    tuple(Case(setting, n, f"{scores}, {precision} %") for n, setting, scores, precision in (
        (3000, "iid", "AR scores", 60), (3000, "sv", "independent scores", 60),
        (3000, "sv", "independent scores", 70), (3000, "sv", "AR scores", 40),
        (3000, "sv", "AR scores", 60), (3000, "sv", "AR scores", 70),
        (3000, "sv5", "AR scores", 60), (422, "sv", "AR scores", 50))),
    2000, _power,
)  # fmt: skip
LEADERS = Experiment(
    "leader", "Better than chance, said of the leader of twenty models with skill",
    tuple(_AIM(f"skill found by {statistic}, leader of 20 skilled") for statistic in POWERED),
    (Case("sv", 3000, "AR scores"), Case("sv5", 3000, "AR scores")), 1000, _leader_power,
)  # fmt: skip
