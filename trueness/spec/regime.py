"""Regimes of a window, and what a network makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from trueness.spec.shape import Family, Float, Int
from trueness.spec.training import RETURNS, must_have_returns

if TYPE_CHECKING:
    from trueness.spec import Spec

Weights: TypeAlias = Annotated[tuple[Annotated[Float, Field(ge=0)], ...], Field(min_length=2)]


class Regime(Family):
    """In which of several regimes a window lies, by the window alone."""

    @property
    def count(self) -> int:
        """Number of regimes."""
        return 1

    @property
    def column(self) -> str | None:
        """Input that it reads; None for all of them."""
        return None

    def decides(self, what: str) -> bool:
        """Whether regimes decide ``loss_weight``, ``embedding`` or ``gated_head``."""
        del what
        return False

    def identity(self) -> Self:
        """The same with nothing written that is not read."""
        return self

    def check(self, of: Spec) -> None:
        """Refuse a spec of which it cannot be a part; raises ValueError."""


class NoRegime(Regime):
    """All windows are alike."""

    kind: Literal["none"]


class Conditioned(Regime):
    """Regimes, and what they decide."""

    conditioning: Literal["loss_weight", "embedding", "gated_head"] = Field(
        "loss_weight", description="weight in the loss, vector added to tokens, or head of its own"
    )
    weights: Weights | None = Field(
        None, description="of the regimes in the loss; null: each counts alike in the training part"
    )

    def decides(self, what: str) -> bool:
        """What it is conditioned on."""
        return self.conditioning == what

    @model_validator(mode="after")
    def _a_weight_for_each(self) -> Self:
        if self.weights is not None and self.conditioning != "loss_weight":
            raise ValueError(f"weights are read by loss_weight, not by {self.conditioning}")
        if self.weights is not None and (len(self.weights) != self.count or not any(self.weights)):
            raise ValueError(f"{len(self.weights)} weights for {self.count} regimes, one above 0")
        return self


class ByReturns(Conditioned):
    """Regimes of the returns in a window."""

    returns: str = Field(RETURNS, min_length=1, description="input column of returns, percent")

    @property
    def column(self) -> str | None:
        """Input that it reads."""
        return self.returns

    def check(self, of: Spec) -> None:
        """Returns have to be there as they are."""
        must_have_returns(of, "model.regime")


class VolatilityRegime(ByReturns):
    """Standard deviation of the returns in a window, between thresholds."""

    kind: Literal["volatility"]
    thresholds_pct: Annotated[tuple[Annotated[Float, Field(gt=0)], ...],
                          Field(min_length=1, max_length=16)] = Field(
        (1.0, 2.0), description="of a bar's return, rising"
    )  # fmt: skip

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if list(self.thresholds_pct) != sorted(set(self.thresholds_pct)):
            raise ValueError("thresholds_pct must rise")
        return self

    @property
    def count(self) -> int:
        """One more than thresholds."""
        return len(self.thresholds_pct) + 1


class TrendRegime(ByReturns):
    """Trend of the price in a window.

    `sma`: the mean of the last `short_window` prices below, within or above a band around that of
    the last `long_window`. `adx`: ups less downs over their sum, in percent, below or above a
    threshold.
    """

    kind: Literal["trend"]
    method: Literal["sma", "adx"] = "sma"
    short_window: Int = Field(10, ge=1)
    long_window: Int = Field(30, ge=2)
    band_pct: Float = Field(2.0, ge=0, lt=100, description="half width, of the long mean")
    adx_threshold: Float = Field(25.0, gt=0, lt=100)

    @model_validator(mode="after")
    def _short_is_shorter(self) -> Self:
        if self.method == "sma" and self.short_window >= self.long_window:
            raise ValueError(
                f"short_window {self.short_window} must be below long_window {self.long_window}"
            )
        return self

    @property
    def count(self) -> int:
        """Down, none and up; or none and some."""
        return 3 if self.method == "sma" else 2

    def identity(self) -> Self:
        """A method reads its own fields."""
        other = ("adx_threshold",) if self.method == "sma" else ("short_window", "long_window",
                                                                 "band_pct")  # fmt: skip
        fields = type(self).model_fields
        return self.model_copy(update={name: fields[name].default for name in other})

    def check(self, of: Spec) -> None:
        """A window holds the long mean."""
        super().check(of)
        if self.method == "sma" and self.long_window > of.task.context:
            raise ValueError(f"model.regime.long_window {self.long_window} is longer than "
                             f"task.context {of.task.context}")  # fmt: skip


class ClusterRegime(Conditioned):
    """Nearest of k means of the training windows, by mean, deviation and slope of every column."""

    kind: Literal["cluster"]
    n_clusters: Int = Field(3, ge=2, le=64)

    @property
    def count(self) -> int:
        """One per mean."""
        return self.n_clusters
