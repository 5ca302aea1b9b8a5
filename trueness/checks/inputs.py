"""What a check may look at: one run, whatever its task and whoever made it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax

from trueness.checks.results import Limit
from trueness.document import numbers
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.long_run import Window
from trueness.predictions import Predictions
from trueness.spec.estimands import Estimands
from trueness.spec.kinds import AnySpec
from trueness.store import Run

Array = NDArray[np.float64]
FEW_BLOCKS = "fewer than five blocks to resample"
PORTION = 100
"""Draws that are summed at once."""


class Missing(Exception):
    """Something that a check needs is not there; says what."""


@dataclass(frozen=True)
class Epochs:
    """Best and last epoch of each fold, counted from 1, and how many there might have been."""

    best: tuple[int, ...]
    last: tuple[int, ...]
    budget: int


@dataclass(frozen=True)
class CheckInput:
    """One run as the checks see it; what it does not hold raises `Missing` when it is asked for.

    Predictions and history are read when a check asks for them.

    Attributes
    ----------
    task : str
        Kind of task: market, table, titles, external.
    rule : Estimands
    record : mapping
        What is stored about the run.
    load : callable
        Gives the predictions of all parts.
    load_history : callable
        Gives a row per epoch; none for models that are not trained in epochs.
    epoch_budget : int, optional
        Epochs there might have been.
    differences : mapping of str to Estimate
        Headline of the run minus that of a baseline on the same units: of each kind of model, and
        of the ``best``.
    moved : mapping of str to float
        Limits that differ from their defaults.
    """

    task: str
    rule: Estimands
    record: Mapping[str, Any]
    load: Callable[[], Predictions]
    load_history: Callable[[], pl.DataFrame] = pl.DataFrame
    epoch_budget: int | None = None
    differences: Mapping[str, Estimate] = field(default_factory=dict)
    moved: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, spec: AnySpec, record: Mapping[str, Any], predictions: Predictions,
        history: pl.DataFrame | None = None, **more: Any,  # noqa: ANN401 - further attributes
    ) -> Self:  # fmt: skip
        """Input from what an engine made, before it is stored."""
        made = pl.DataFrame() if history is None else history
        return cls(spec.task.kind, spec.estimands, record, lambda: predictions, lambda: made,
                   _epoch_budget(spec), **more)  # fmt: skip

    @classmethod
    def of_run(cls, run: Run[Any], **more: Any) -> Self:  # noqa: ANN401 - further attributes
        """Input from a stored run."""
        return cls(run.spec.task.kind, run.estimands, run.record, run.predictions,
                   run.history, _epoch_budget(run.spec), **more)  # fmt: skip

    def limit(self, one: Limit) -> float:
        """A limit, moved or at its default."""
        return self.moved.get(one.name, one.default)

    @property
    def units(self) -> str:
        """What units are called, such as days or texts."""
        return f"{self.rule.nouns[0]}s"

    def count(self, n: int) -> str:
        """So many units, in words."""
        return numbers.plural(n, self.rule.nouns[0])

    # ------------------------------------------------------------------------------------ the parts

    @cached_property
    def predictions(self) -> Predictions:
        """All parts."""
        return self.load()

    @cached_property
    def measured(self) -> Predictions:
        """The part that results are measured on, in order of time."""
        return self.predictions.part(self.rule.measured_on)

    @cached_property
    def training(self) -> Predictions:
        """The training part with its scores."""
        if not self.predictions.has("train"):
            raise Missing("predictions of the training part are not stored")
        return self.predictions.part("train")

    @cached_property
    def probabilities(self) -> Array:
        """Probabilities of the measured part, (n,) or (n, K)."""
        part = self.measured
        if not self.rule.probabilities or part.scale != "logit":
            raise Missing("the scores only rank; they are no probabilities")
        if part.classes:
            return softmax(part.scores.astype(np.float64), axis=1)
        return expit(part.score)

    @cached_property
    def mirror(self) -> NDArray[np.uint8]:
        """Labels of the mirror target on the measured part, (n,)."""
        mirror = self.measured.optional("y_mirror")
        if mirror is None:
            raise Missing("labels of the mirror target are not stored")
        return mirror

    @property
    def time(self) -> NDArray[np.datetime64]:
        """Times of the measured part, (n,)."""
        if self.measured.time is None:
            raise Missing(f"the {self.units} have no time")
        return self.measured.time

    @property
    def group(self) -> NDArray[np.str_]:
        """Groups of the measured part, (n,)."""
        if self.measured.group is None:
            raise Missing(f"the {self.units} have no {self.rule.nouns[1]}")
        return self.measured.group

    # ----------------------------------------------------------------------------------- the record

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """Estimates on the measured part."""
        return {n: Estimate.from_dict(e) for n, e in self.record["estimates"].items()}

    @cached_property
    def epochs(self) -> Epochs:
        """Best and last epoch of each fold."""
        if "best_epochs" not in self.record or self.epoch_budget is None:
            raise Missing("the model was not trained in epochs")
        best, last = (tuple(self.record[name]) for name in ("best_epochs", "last_epochs"))
        return Epochs(best, last, self.epoch_budget)

    @cached_property
    def history(self) -> pl.DataFrame:
        """A row per epoch, at least one."""
        result = self.load_history()
        if not len(result):
            raise Missing("no history of a training is stored")
        return result

    @property
    def warnings(self) -> list[dict[str, Any]]:
        """What the training monitor saw: fold, what, epoch, until, cause."""
        if "incidents" not in self.record:
            raise Missing("the training was not monitored")
        return self.record["incidents"]

    def fact(self, name: str) -> Any:  # noqa: ANN401 - whatever the record says
        """Something that only some records say."""
        if name not in self.record:
            raise Missing(f"the record says nothing of the {name}")
        return self.record[name]

    def difference(self, *against: str) -> Estimate:
        """Headline minus that of a baseline; of several, the one that leaves the least."""
        known = [self.differences[name] for name in against if name in self.differences]
        if not known:
            raise Missing(f"nothing to compare with on these {self.units}: {' or '.join(against)}")
        return min(known, key=lambda one: np.inf if one.value is None else one.value)

    # ----------------------------------------------------------------------------------- dependence

    @cached_property
    def blocks(self) -> Blocks:
        """Which measured units depend on each other; at least five blocks of them."""
        result = self.measured.blocks(self.rule.block)
        if result.few:
            raise Missing(FEW_BLOCKS)
        return result

    def resampled(self, values: Array, statistic: Callable[[Array], Array]) -> Array:
        """A statistic of sums over the measured units, in each resample of their blocks.

        Parameters
        ----------
        values : (m, n)
            Are summed over the units.
        statistic : callable
            Sums (m, b) -> (b,).

        Returns
        -------
        (draws,) float64
        """
        weights = self.blocks.weights()
        portions = (weights[:, i : i + PORTION] for i in range(1, weights.shape[1], PORTION))
        return np.concatenate([statistic(values @ some.astype(np.float64)) for some in portions])

    def resampled_mean(self, values: Array) -> Array:
        """Mean of values (n,) over the measured units, in each resample of their blocks."""
        return self.resampled(np.stack([values, np.ones(len(values))]), lambda s: s[0] / s[1])


def long_run_variance(values: ArrayLike, blocks: Blocks) -> tuple[float, float]:
    """Variance of the sum of dependent values (n,), and its degrees of freedom."""
    values, window = np.asarray(values, np.float64), Window.of(blocks)
    return float(window.variance(blocks.totals(values - values.mean()))), window.freedom


def _epoch_budget(spec: AnySpec) -> int | None:
    return getattr(getattr(spec, "recipe", None), "epochs", None)
