"""Scores that were made elsewhere: which units, which model, how they are judged."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from trueness.spec.estimands import Estimands
from trueness.spec.keyed import ContentAddressed
from trueness.spec.shape import Bool, Float, Int, Shape

OF_EVENTS = ("alarms", "alarm_rate_pct", "block", "horizon")
"""Fields of the evaluation that K classes never read."""


class ExternalTask(Shape):
    """The units that every model was asked about, by the digest of their ids and labels."""

    kind: Literal["external"]
    units: str = Field(min_length=1, description="digest of ids, labels, times, groups, clusters")
    classes: tuple[str, ...] = Field((), description="names of K classes; none for a binary label")


class Scores(Shape):
    """The scores of one model, by the digest of their values; its loss is not known."""

    is_network: ClassVar[bool] = False

    kind: Literal["scores"]
    name: str = Field(min_length=1, max_length=100)
    digest: str = Field(min_length=1)
    scale: Literal["logit", "rank"] = "logit"
    baseline: Bool = False


class ExternalEvaluation(Shape):
    """How scores that were made elsewhere are judged."""

    measured_on: str = Field("evaluation", min_length=1, description="the part that is judged")
    parts: tuple[str, ...] = Field((), description="further parts that may be judged")
    alarms: tuple[Annotated[Int, Field(ge=1)], ...] = Field((7, 15, 30), min_length=1)
    alarm_rate_pct: Float = Field(5.0, gt=0, le=100)
    confidence_pct: Float = Field(95.0, gt=50, lt=100)
    block: Int = Field(20, ge=1, description="consecutive times that are resampled together")
    horizon: Int = Field(0, ge=0, description="times that a label looks ahead")
    min_rows: Int = Field(100, ge=1, description="units a group needs to be judged by itself")
    draws: Int = Field(1000, ge=100, le=100_000, description="of the bootstrap over clusters")

    @field_validator("alarms")
    @classmethod
    def _ascending(cls, alarms: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(alarms)))


class ExternalSpec(ContentAddressed):
    """One model whose scores came from elsewhere.

    A name that ends in ``@2`` is the second seed of the candidate before the sign.

    Examples
    --------
    >>> spec = ExternalSpec(task=ExternalTask(kind="external", units="3b9c6f0d5a1e"),
    ...                     model=Scores(kind="scores", name="svm@2", digest="0123456789ab"))
    >>> spec.label(), spec.candidate == spec.model_copy(update={"model": spec.model.model_copy(
    ...     update={"name": "svm@3", "digest": "ffff"})}).candidate
    ('svm@2', True)
    """

    task: ExternalTask
    model: Scores
    evaluation: ExternalEvaluation = ExternalEvaluation()
    seed: Int = 0

    def canonical(self) -> Self:
        """The content is the run: neither a name changes its key, nor what K classes never read."""
        model = self.model.model_copy(update={"name": "scores"})
        update: dict[str, Any] = {"model": model, "seed": 0}
        if self.task.classes:
            unread = {name: ExternalEvaluation.model_fields[name].default for name in OF_EVENTS}
            update["evaluation"] = self.evaluation.model_copy(update=unread)
        return self.model_copy(update=update)

    def stored(self) -> Self:
        """All of it: the name is worth keeping."""
        return self

    @property
    def is_baseline(self) -> bool:
        """Whether the others have to beat it."""
        return self.model.baseline

    @property
    def candidate(self) -> str:
        """Equal for the seeds of one candidate."""
        name, _, seed = self.model.name.rpartition("@")
        own = name if name and seed.isdecimal() else self.model.name
        return f"{self.task.units} {self.evaluation.canonical_text()} {self.is_baseline} {own}"

    @property
    def estimands(self) -> Estimands:
        """What is measured of it, and on which units."""
        rule = self.evaluation
        common: dict[str, Any] = {
            "measured_on": rule.measured_on, "chosen_on": "",
            "judged_on": (rule.measured_on, *rule.parts), "min_rows": rule.min_rows,
            "confidence": rule.confidence_pct / 100, "draws": rule.draws,
        }  # fmt: skip
        if self.task.classes:
            return Estimands(kind="classes", headline="macro_f1", **common)
        return Estimands(
            kind="binary", headline=f"precision@{max(rule.alarms)}", alarms=rule.alarms,
            alarm_rate_pct=rule.alarm_rate_pct, probabilities=self.model.scale == "logit",
            block=max(rule.block, rule.horizon), horizon=rule.horizon, nouns=("row", "group"),
            **common,
        )  # fmt: skip

    def question(self) -> str:
        """What is predicted."""
        return "one of K classes" if self.task.classes else "event label = 1"

    def protocol(self) -> str:
        """Who made the scores."""
        return "scores made elsewhere"

    def label(self) -> str:
        """Its name."""
        return self.model.name
