"""What is predicted of the bars that follow: the families of labels, and how each is said."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from trueness.spec.shape import Family, Float

MOST_PCT, MOST_RANGES = 50, 50


class Target(Family):
    """A label of each bar t that looks at the bars t+1 .. t+h, h the horizon; a family.

    Distances are percent of Close[t], or multiples of its average true range (14 bars, Wilder,
    "New Concepts in Technical Trading Systems", 1978), so that calm and turbulent times have about
    as many events.
    """

    @property
    def opposite(self) -> Target | None:
        """The same asked of the other direction; None if there is no such thing."""
        return None

    def in_words(self, ahead: str) -> str:
        """The event, `ahead` being the bars it looks at."""
        raise NotImplementedError


class _Distance(Target):
    """A level in percent or in ranges; negative ones lie below."""

    threshold_pct: Float | None = Field(
        1.0, ge=-MOST_PCT, le=MOST_PCT, description="of the close; negative: below it"
    )
    threshold_atr: Float | None = Field(
        None, ge=-MOST_RANGES, le=MOST_RANGES, description="in average true ranges, instead"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_of_both(cls, content: Any) -> Any:  # noqa: ANN401 - whatever a file holds
        return _one_unit(content, "threshold")

    @model_validator(mode="after")
    def _far_enough(self) -> Self:
        if self.size == 0:
            raise ValueError("a threshold of 0 is reached at once; give a distance above or below")
        return self

    @property
    def size(self) -> float:
        """Signed distance in its unit."""
        return self.threshold_pct if self.threshold_pct is not None else self.threshold_atr or 0.0

    @property
    def ranged(self) -> bool:
        """Whether it is measured in ranges."""
        return self.threshold_atr is not None

    @property
    def opposite(self) -> Self:
        """The level on the other side."""
        name = "threshold_atr" if self.ranged else "threshold_pct"
        return self.model_copy(update={name: -self.size})

    @property
    def level(self) -> str:
        """The distance in words."""
        return _distance(self.size, self.ranged)


class Touch(_Distance):
    """The price touches a level within the horizon.

    ``max(High[t+1..t+h]) >= Close[t] * (1 + x)``, x = threshold_pct / 100; below zero
    ``min(Low[t+1..t+h]) <= Close[t] * (1 + x)``. With `price: close` closes alone count. In ranges
    the level is ``Close[t] + threshold_atr * ATR[t]``.
    """

    kind: Literal["touch"]
    price: Literal["high", "close"] = Field("high", description="high: lows below the close")

    def in_words(self, ahead: str) -> str:
        """The event."""
        extreme = "Low" if self.size < 0 else "High"
        return f"{'Close' if self.price == 'close' else extreme} of {ahead} reaches {self.level}"


class CloseReturn(_Distance):
    """The close after the horizon lies beyond a level.

    ``Close[t+h] >= Close[t] * (1 + x)``, below zero ``<=``.
    """

    kind: Literal["close_return"]

    def in_words(self, ahead: str) -> str:
        """The event."""
        return f"Close after {ahead} {'at most' if self.size < 0 else 'at least'} {self.level}"


class FirstTouch(Target):
    """The one barrier is touched before the other, and within the horizon.

    The triple barrier of López de Prado, "Advances in Financial Machine Learning" (2018): 1 if the
    barrier of `first` is reached before the other one, 0 if the other one is, or none until the
    horizon. Bars do not say which came first where one of them reaches both: that counts as the
    other one.
    """

    kind: Literal["first_touch"]
    first: Literal["up", "down"] = "up"
    up_pct: Float | None = Field(1.0, gt=0, le=MOST_PCT, description="above the close, percent")
    up_atr: Float | None = Field(None, gt=0, le=MOST_RANGES, description="in ranges, instead")
    down_pct: Float | None = Field(1.0, gt=0, le=MOST_PCT, description="below the close, percent")
    down_atr: Float | None = Field(None, gt=0, le=MOST_RANGES, description="in ranges, instead")

    @model_validator(mode="before")
    @classmethod
    def _one_of_both(cls, content: Any) -> Any:  # noqa: ANN401 - whatever a file holds
        return _one_unit(_one_unit(content, "up"), "down")

    @property
    def opposite(self) -> Self:
        """The same turned upside down: the other barrier first, and distances exchanged."""
        return self.model_copy(update={
            "first": "down" if self.first == "up" else "up", "up_pct": self.down_pct,
            "up_atr": self.down_atr, "down_pct": self.up_pct, "down_atr": self.up_atr,
        })  # fmt: skip

    def in_words(self, ahead: str) -> str:
        """The event."""
        barriers = (1, self.up_pct, self.up_atr), (-1, self.down_pct, self.down_atr)
        up, down = (
            _distance(sign * (pct if pct is not None else atr or 0.0), pct is None)
            for sign, pct, atr in barriers
        )
        one, other = (up, down) if self.first == "up" else (down, up)
        return f"{one} before {other} in {ahead}"


class LabelColumn(Target):
    """A column of own features or of the bars' file: 0, 1, or empty where nothing is known.

    The horizon says how many bars ahead it looks; labels that reach into the next part are left
    out by it. Written as ``{column: my_label}``.
    """

    kind: Literal["column"]
    column: str = Field(min_length=1, max_length=200)

    def in_words(self, ahead: str) -> str:
        """The event."""
        return f"{self.column} is 1 ({ahead})"


def _one_unit(content: Any, of: str) -> Any:  # noqa: ANN401 - whatever a file holds
    """Content in which ranges, where they are given, stand in place of the usual percent."""
    if not isinstance(content, dict) or content.get(f"{of}_atr") is None:
        return content
    if content.get(f"{of}_pct") is not None:
        raise ValueError(f"give {of}_pct or {of}_atr, not both")
    return {**content, f"{of}_pct": None}


def _distance(size: float, ranged: bool) -> str:
    """A signed distance with its unit."""
    sign = "−" if size < 0 else "+"
    return f"{sign}{abs(size):g} {'ATR' if ranged else '%'}"
