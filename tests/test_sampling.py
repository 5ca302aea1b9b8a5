"""Samplers that know the order of levels: the same trials as over places, whatever was told."""

import itertools

import numpy as np
import optuna
import pytest

from trueness.search.sampling import Ordered

LEVELS = {
    "width": [64, 32, 128, 96],  # in any order
    "rate": [2e-6, 1e-5, 5e-5, 1e-4, 5e-4],
    "decay": [0, 1e-5, 1e-4, 1e-3],
}
NAMES = ["none", "linear", "mlp"]
FAIL, PRUNED = optuna.trial.TrialState.FAIL, optuna.trial.TrialState.PRUNED


INNER = {
    "tpe": lambda: optuna.samplers.TPESampler(seed=3, n_startup_trials=6),
    "gp": lambda: optuna.samplers.GPSampler(
        seed=3, n_startup_trials=6, warn_independent_sampling=False
    ),
}
TRIALS = {"tpe": 30, "gp": 13}


def asked(trial, by_place):
    """Parameters of a trial; below one of the names there is one more."""

    def suggested(name, levels):
        if by_place:
            return sorted(levels)[trial.suggest_int(name, 0, len(levels) - 1)]
        return trial.suggest_categorical(name, levels)

    actual = {name: suggested(name, levels) for name, levels in LEVELS.items()}
    actual["kind"] = trial.suggest_categorical("kind", NAMES)
    actual["share"] = trial.suggest_float("share", 0.1, 0.9)
    actual["flag"] = trial.suggest_categorical("flag", [True, False, None])
    if actual["kind"] == "linear":
        actual["inner"] = suggested("inner", [8, 16, 32])
    return actual


def value(p):
    return -(np.log2(p["width"] / 96) ** 2) - np.log10(p["rate"] / 7e-5) ** 2 - p["share"]


def history(sampler, by_place, count, objectives, constrained):
    study = optuna.create_study(directions=["maximize"] * objectives, sampler=sampler)
    seen = []
    for number in range(count):
        trial = study.ask()
        p = asked(trial, by_place)
        seen.append(p)
        if number % 7 == 3:
            study.tell(trial, state=FAIL)
        elif number % 7 == 5 and objectives == 1:
            trial.report(value(p), 1)
            study.tell(trial, state=PRUNED)
        elif number % 7 != 6:  # else another process is still at it
            if constrained:
                trial.set_constraint("c", 0.4 - p["share"])
            study.tell(trial, [value(p), p["share"]][:objectives])
    return seen, study


CASES = list(itertools.product(["tpe", "gp"], [(1, False), (1, True), (2, False)]))


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(("kind", "setting"), CASES)
def test_trials_are_those_of_a_search_over_places(kind, setting):
    make, count = INNER[kind], TRIALS[kind]
    over_levels, study = history(Ordered(make()), False, count, *setting)
    over_places, _ = history(make(), True, count, *setting)
    assert over_levels == over_places
    for trial in study.trials:  # and the study reads as what was run
        assert trial.params["width"] in LEVELS["width"]
        assert isinstance(trial.distributions["rate"], optuna.distributions.CategoricalDistribution)
        assert trial.distributions["rate"].choices == tuple(LEVELS["rate"])


def test_levels_without_an_order_stay_as_they_are():
    def levels_only(sampler):
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for _ in range(20):
            trial = study.ask()
            kind = trial.suggest_categorical("kind", NAMES)
            pair = trial.suggest_categorical("pair", [1, 2])
            study.tell(trial, NAMES.index(kind) + pair)
        return [t.params for t in study.trials]

    assert levels_only(Ordered(INNER["tpe"]())) == levels_only(INNER["tpe"]())


@pytest.mark.slow
def test_the_order_brings_the_best_nearer():
    """Fifty trials of a noiseless bowl over the published levels, twelve seeds."""
    levels = {
        "d": [32, 48, 64, 80, 96, 112, 128, 144, 160, 192, 256, 320, 384],
        "n": [2, 3, 4, 5, 6, 7, 8, 10, 12],
        "p": [0.05, 0.1, 0.15, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7],
        "r": [2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 7e-5, 1e-4, 1.5e-4, 2e-4, 5e-4],
    }

    def best(sampler):
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for _ in range(50):
            trial = study.ask()
            p = {name: trial.suggest_categorical(name, some) for name, some in levels.items()}
            bowl = np.log2(p["d"] / 128) ** 2 + np.log2(p["n"] / 4) ** 2
            study.tell(trial, -bowl / 2 - 10 * (p["p"] - 0.3) ** 2 - np.log10(p["r"] / 7e-5) ** 2)
        return study.best_value

    plain = [best(optuna.samplers.TPESampler(seed=s)) for s in range(12)]
    ordered = [best(Ordered(optuna.samplers.TPESampler(seed=s))) for s in range(12)]
    assert np.median(ordered) > np.median(plain)
