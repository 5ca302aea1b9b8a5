"""Samplers of a study, which know that numbers in a list have an order.

Optuna takes a list of levels for names: 0.3 is as far from 0.35 as from 0.7. The study keeps the
levels, so that its trials read as what was run; the sampler sees their places in the sorted list.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

Sampler: TypeAlias = Literal["tpe", "gp", "random"]

START_UP = 10
"""Random trials before the sampler models anything."""
FEWEST = 3
"""Levels below which an order says nothing."""


def make_sampler(kind: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    """Sampler of a study.

    Parameters
    ----------
    kind : {"tpe", "gp", "random"}
        Tree-structured Parzen estimator (multivariate, with constant liar), Gaussian process, or
        chance.
    seed : int
        0 to 2**32 - 1.
    """
    if kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if kind == "gp":
        return Ordered(
            optuna.samplers.GPSampler(
                seed=seed, n_startup_trials=START_UP, warn_independent_sampling=False
            )
        )
    return Ordered(optuna.samplers.TPESampler(seed=seed, n_startup_trials=START_UP))


class Ordered(optuna.samplers.BaseSampler):
    """Shows another sampler the study with places instead of numeric levels.

    Parameters
    ----------
    inner : optuna.samplers.BaseSampler
    """

    def __init__(self, inner: optuna.samplers.BaseSampler) -> None:
        self.inner = inner
        self._shown: tuple[int, optuna.Study] | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Parameters that are sampled together."""
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values of the parameters that are sampled together."""
        shown = self._show(study, trial)
        places = {name: _placed(one) for name, one in search_space.items()}
        result = self.inner.sample_relative(shown, _own(shown, trial), places)
        return {name: _level(search_space[name], value) for name, value in result.items()}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401 - a level
        """Value of one parameter."""
        shown = self._show(study, trial)
        result = self.inner.sample_independent(
            shown, _own(shown, trial), param_name, _placed(param_distribution)
        )
        return _level(param_distribution, result)

    def reseed_rng(self) -> None:
        """Begin another stream."""
        self.inner.reseed_rng()

    def _show(self, study: optuna.Study, trial: FrozenTrial) -> optuna.Study:
        """The study as the other sampler sees it while it makes one trial."""
        if self._shown is None or self._shown[0] != trial.number:
            shown = optuna.create_study(directions=study.directions)
            shown.add_trials([_translated(one) for one in study.get_trials(deepcopy=False)])
            self._shown = trial.number, shown
        return self._shown[1]


def _own(shown: optuna.Study, trial: FrozenTrial) -> FrozenTrial:
    return shown.get_trials(deepcopy=False)[trial.number]


def _translated(trial: FrozenTrial) -> FrozenTrial:
    """The same trial with places instead of numeric levels."""
    kinds = trial.distributions
    return optuna.trial.create_trial(
        state=trial.state,
        values=trial.values if trial.state == TrialState.COMPLETE else None,
        params={name: _place(kinds[name], level) for name, level in trial.params.items()},
        distributions={name: _placed(kind) for name, kind in kinds.items()},
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )


def _levels(kind: BaseDistribution) -> list[Any] | None:
    """Numeric levels in their order; None for anything else."""
    if not isinstance(kind, CategoricalDistribution) or len(kind.choices) < FEWEST:
        return None
    numbers = [c for c in kind.choices if isinstance(c, int | float) and not isinstance(c, bool)]
    return sorted(numbers) if len(numbers) == len(kind.choices) else None


def _placed(kind: BaseDistribution) -> BaseDistribution:
    levels = _levels(kind)
    return kind if levels is None else IntDistribution(0, len(levels) - 1)


def _place(kind: BaseDistribution, level: Any) -> Any:  # noqa: ANN401
    levels = _levels(kind)
    return level if levels is None else levels.index(level)


def _level(kind: BaseDistribution, place: Any) -> Any:  # noqa: ANN401
    levels = _levels(kind)
    return place if levels is None else levels[place]
