"""Spec: the only description of a run; frozen, closed, hashed.

Everything that can change a number is a field of `Spec`, the digest of its data included. Equal
specs have equal keys and are one run. Fields that hold their default are left out of the hashed
text, so a new field whose default means "as before" keeps every old key.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    field_validator,
    model_validator,
)

from trueness.errors import nearest

KEY_DIGITS = 12


def _no_bool(value: Any) -> Any:  # noqa: ANN401 - a validator sees whatever was written
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return value


def _kind_from_name(value: Any) -> Any:  # noqa: ANN401
    """Let `loss: bce` stand for `loss: {kind: bce}`."""
    return {"kind": value} if isinstance(value, str) else value


Int: TypeAlias = Annotated[int, BeforeValidator(_no_bool), Field(le=10**9)]
Bool: TypeAlias = Annotated[bool, Strict()]
Float: TypeAlias = Annotated[float, BeforeValidator(_no_bool)]
Fraction: TypeAlias = Annotated[Float, Field(ge=0, lt=1)]


class Shape(BaseModel):
    """A frozen record that refuses unknown fields, NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# --------------------------------------------------------------------------------------------- task


class MarketTask(Shape):
    """Daily bars: whether the price touches a level within the next days.

    The label is ``max(High[t+1..t+h]) >= Close[t] * (1 + x)`` with ``h = horizon_days`` and
    ``x = threshold_pct / 100``; ``price="close"`` uses future closes, ``mirror`` asks for the low
    at ``-x``.
    """

    kind: Literal["market"]
    bars: str = Field(min_length=1, description="digest of the daily bars")
    volatility: str | None = Field(
        None, description="digest of the volatility index, if one is used"
    )
    horizon_days: Int = Field(1, ge=1, le=60)
    threshold_pct: Float = Field(1.0, ge=0, le=50)
    price: Literal["high", "close"] = "high"
    mirror: Bool = False
    tier: str = "a20"
    columns: tuple[str, ...] | None = Field(None, min_length=1, description="in place of the tier")
    dedupe: Bool = Field(False, description="leave out copies, linear maps and constants")
    upright_ranks: Bool = Field(False, description="turn the ranks published upside down")
    raw_bars: Bool = Field(False, description="add Open, High, Low, Close, Volume to the inputs")
    context_days: Int = Field(80, ge=2, le=100000)
    fill_days: Int = Field(20, ge=0, description="oldest value that may fill a scattered gap")
    old_gaps: Literal["refuse", "median"] = "refuse"
    missing_indicators: Bool = Field(False, description="a column per column that has gaps")
    max_gap_days: Int = Field(
        10, ge=1, description="calendar days; a longer hole refuses the window"
    )


Task: TypeAlias = Annotated[MarketTask, Field(discriminator="kind")]


# -------------------------------------------------------------------------------------------- model


class NoEmbedding(Shape):
    """Indicators go straight into the patches."""

    kind: Literal["none"]


class LinearEmbedding(Shape):
    """One affine map of all indicators of a day, LayerNorm, dropout."""

    kind: Literal["linear"]
    width: Int = Field(ge=1, le=65536)


Embedding: TypeAlias = Annotated[
    Annotated[NoEmbedding | LinearEmbedding, Field(discriminator="kind")],
    BeforeValidator(_kind_from_name),
]


class PatchTST(Shape):
    """Channel-mixing patch transformer; defaults are the published mission's."""

    kind: Literal["patchtst"]
    d_model: Int = Field(128, ge=1, le=65536)
    n_layers: Int = Field(4, ge=1, le=1024)
    n_heads: Int = Field(8, ge=1)
    d_ff: Int = Field(512, ge=1, le=262144)
    patch_length: Int = Field(16, ge=1)
    stride: Int = Field(8, ge=1)
    dropout: Fraction = 0.5
    head_dropout: Fraction = 0.0
    revin: Bool = True
    position_std: Float = Field(0.02, ge=0)
    embedding: Embedding = NoEmbedding(kind="none")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.d_model % self.n_heads:
            valid = [str(n) for n in range(1, self.d_model + 1) if self.d_model % n == 0]
            raise ValueError(
                f"n_heads {self.n_heads} does not divide d_model {self.d_model}; "
                f"choose from {', '.join(valid)}"
            )
        return self


class Baseline(Shape):
    """A rung of the ladder that every network has to beat."""

    kind: Literal["base_rate", "one_feature", "logit", "forest", "boosting"]


Model: TypeAlias = Annotated[
    Annotated[PatchTST | Baseline, Field(discriminator="kind")], BeforeValidator(_kind_from_name)
]


# --------------------------------------------------------------------------------------------- loss


class Bce(Shape):
    """Binary cross-entropy."""

    kind: Literal["bce"]


class WeightedBce(Shape):
    """Cross-entropy whose positives count `pos_weight` times."""

    kind: Literal["weightedbce"]
    pos_weight: Float = Field(1.0, gt=0)

    def identity(self) -> Loss:
        """Weight 1 is plain cross-entropy."""
        return Bce(kind="bce") if self.pos_weight == 1 else self


class LabelSmoothing(Shape):
    """Cross-entropy against targets epsilon and 1 - epsilon."""

    kind: Literal["labelsmoothing"]
    epsilon: Float = Field(0.1, ge=0, le=1)

    def identity(self) -> Loss:
        """No smoothing is plain cross-entropy."""
        return Bce(kind="bce") if self.epsilon == 0 else self


class Focal(Shape):
    """Focal loss; `alpha` None leaves the classes unweighted."""

    kind: Literal["focal"]
    gamma: Float = Field(2.0, ge=0)
    alpha: Annotated[Float, Field(ge=0, le=1)] | None = 0.25

    def identity(self) -> Loss:
        """Without focusing and class weights it is plain cross-entropy."""
        return Bce(kind="bce") if self.gamma == 0 and self.alpha is None else self


class MildFocal(Shape):
    """Focal loss under its published milder defaults."""

    kind: Literal["mildfocal"]
    gamma: Float = Field(0.75, ge=0)
    alpha: Annotated[Float, Field(ge=0, le=1)] | None = 0.5

    def identity(self) -> Loss:
        """It is the focal loss of the same parameters."""
        return Focal(kind="focal", gamma=self.gamma, alpha=self.alpha).identity()


class AsymmetricFocal(Shape):
    """Focal loss with one exponent per class."""

    kind: Literal["asymmetricfocal"]
    gamma_pos: Float = Field(1.0, ge=0)
    gamma_neg: Float = Field(2.0, ge=0)
    alpha: Annotated[Float, Field(ge=0, le=1)] = 0.5

    def identity(self) -> Loss:
        """Equal exponents make it the focal loss."""
        if self.gamma_pos != self.gamma_neg:
            return self
        return Focal(kind="focal", gamma=self.gamma_pos, alpha=self.alpha)


Loss: TypeAlias = Annotated[
    Annotated[
        Bce | WeightedBce | LabelSmoothing | Focal | MildFocal | AsymmetricFocal,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_kind_from_name),
]


# ------------------------------------------------------------------------------------------- recipe


class Recipe(Shape):
    """How the weights are found; defaults are the published mission's.

    The best epoch's weights are the ones evaluated. An epoch is better if `stop_on` improves by
    more than `min_delta`; after `patience` epochs without that, training ends.
    """

    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: Float = Field(1e-4, gt=0)
    weight_decay: Float = Field(
        0.0, ge=0, description="L2 in the gradient for adam, decoupled for adamw"
    )
    batch_size: Int = Field(128, ge=1)
    epochs: Int = Field(50, ge=1)
    patience: Int = Field(15, ge=1)
    min_delta: Float = Field(0.001, ge=0)
    stop_on: Literal["val_auc", "val_loss"] = "val_auc"
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_pct: Float = Field(
        0.0, ge=0, le=100, description="share of all steps with a rising rate"
    )
    clip_norm: Annotated[Float, Field(gt=0)] | None = None
    precision: Literal["auto", "float32", "bf16"] = "auto"


# --------------------------------------------------------------------------------------- evaluation


class _Evaluation(Shape):
    alarms: tuple[Annotated[Int, Field(ge=1)], ...] = (7, 15, 30)
    alarm_rate_pct: Float = Field(5.0, gt=0, le=100)
    confidence_pct: Float = Field(95.0, gt=50, lt=100)
    block_days: Int = Field(20, ge=1, description="block length of the bootstrap over days")

    @field_validator("alarms")
    @classmethod
    def _ascending(cls, alarms: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(alarms)))


class Mission(_Evaluation):
    """One split by date into train, validation and test.

    Train lies before `val_start`, validation before `test_start`, test from there on. A window
    belongs to a region only if its context and its label lie inside.
    """

    protocol: Literal["mission"]
    val_start: date = date(2023, 1, 1)
    test_start: date = date(2025, 1, 1)
    measured_on: ClassVar[str] = "validation"
    chosen_on: ClassVar[str] = "validation"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.val_start >= self.test_start:
            raise ValueError(
                f"val_start {self.val_start} must lie before test_start {self.test_start}"
            )
        return self


class WalkForward(_Evaluation):
    """Refit every `block_years`, predict the block, pool the out-of-fold scores.

    Each fold stops its training on the last `inner_pct` of the days before its block; the block
    itself chooses nothing. Labels that reach into the next part are purged, `embargo_days` more are
    left out.
    """

    protocol: Literal["walk_forward"]
    start: date
    end: date | None = Field(None, description="first day that is not predicted any more")
    block_years: Int = Field(1, ge=1, le=100)
    inner_pct: Float = Field(20.0, gt=0, lt=100)
    embargo_days: Int = Field(0, ge=0, le=10000)
    measured_on: ClassVar[str] = "oof"
    chosen_on: ClassVar[str] = "inner validation"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end {self.end} must lie after start {self.start}")
        return self


Evaluation: TypeAlias = Annotated[Mission | WalkForward, Field(discriminator="protocol")]


# --------------------------------------------------------------------------------------------- spec


class Spec(Shape):
    """One run, whole.

    Examples
    --------
    >>> spec = Spec.model_validate({
    ...     "task": {"kind": "market", "bars": "3b9c6f0d5a1e"},
    ...     "model": {"kind": "patchtst", "d_model": 64, "n_heads": 4},
    ...     "loss": "bce",
    ...     "evaluation": {"protocol": "mission"},
    ... })
    >>> len(spec.key)
    12
    >>> spec.key == spec.model_copy(update={"recipe": Recipe(batch_size=128)}).key
    True
    """

    task: Task
    model: Model = PatchTST(kind="patchtst")
    loss: Loss = Bce(kind="bce")
    recipe: Recipe = Recipe()
    evaluation: Evaluation
    seed: Int = Field(42, ge=0)

    @model_validator(mode="after")
    def _patches_fit(self) -> Self:
        if isinstance(self.model, PatchTST) and self.model.patch_length > self.task.context_days:
            raise ValueError(
                f"model.patch_length {self.model.patch_length} is longer than "
                f"task.context_days {self.task.context_days}"
            )
        return self

    @property
    def is_baseline(self) -> bool:
        """Whether the model is a rung of the baseline ladder."""
        return isinstance(self.model, Baseline)

    def canonical(self) -> Spec:
        """Equal runs brought to one spelling: loss identities, and what a baseline never reads."""
        update: dict[str, Any] = {}
        identity = getattr(self.loss, "identity", None)
        if identity is not None:
            update["loss"] = identity()
        if isinstance(self.model, Baseline):
            update |= {"loss": Bce(kind="bce"), "recipe": Recipe()}
            if self.model.kind not in ("forest", "boosting"):
                update["seed"] = 42
        return self.model_copy(update=update)

    def canonical_json(self) -> str:
        """Text that is hashed: sorted fields, numbers in one spelling, defaults left out."""
        content = self.canonical().model_dump(mode="json", exclude_defaults=True)
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @property
    def key(self) -> str:
        """Address of the run: 12 hexadecimal digits of the SHA-256 of `canonical_json`."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()[:KEY_DIGITS]

    def label(self) -> str:
        """Few words that tell runs of one campaign apart.

        Examples
        --------
        >>> Spec.model_validate({"task": {"kind": "market", "bars": "x"}, "model": "logit",
        ...                      "evaluation": {"protocol": "mission"}}).label()
        'a20 logit'
        """
        if isinstance(self.model, Baseline):
            return f"{self.task.tier} {self.model.kind}"
        model, parts = self.model, [self.task.tier]
        if isinstance(model.embedding, LinearEmbedding):
            parts.append(f"e{model.embedding.width}")
        parts.append(f"d{model.d_model} L{model.n_layers} k{model.n_heads}")
        parts.append(self.loss.kind)
        if not model.revin:
            parts.append("no revin")
        return " ".join(parts)


def bootstrap_block(spec: Spec) -> int:
    """Days per block of the bootstrap: at least the horizon, whose labels overlap."""
    return max(spec.evaluation.block_days, spec.task.horizon_days)


def explain_error(content: dict[str, Any], error: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    """Path without the union tags that pydantic puts in, and a message with the valid choices."""
    path, node, tag = [], content, None
    for element in map(str, error["loc"]):
        if (
            isinstance(node, dict)
            and element in (node.get("kind"), node.get("protocol"))
            and element not in node
        ):
            tag = element
            continue
        path.append(element)
        node = node.get(element) if isinstance(node, dict) else None
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        fields = [f for f in _fields_of(tag, path) if f not in ("kind", "protocol")]
        return tuple(path), f"unknown field; {nearest(path[-1], fields)}"
    if kind == "union_tag_not_found":
        return tuple(
            path
        ), f"it needs a kind, as in {{kind: {'patchtst' if path == ['model'] else '...'}}}"
    if kind == "union_tag_invalid":
        given, choices = context["tag"], re.findall(r"'([^']+)'", str(context["expected_tags"]))
        hint = nearest(str(given), choices)
        return tuple(path), f"unknown {context['discriminator'].strip(chr(39))} {given!r}; {hint}"
    message = str(error["msg"]).removeprefix("Value error, ")
    shown = (
        "" if isinstance(error["input"], dict) or kind == "missing" else f", not {error['input']!r}"
    )
    return tuple(path), message[0].lower() + message[1:] + ("" if kind == "value_error" else shown)


def _fields_of(tag: str | None, path: list[str]) -> list[str]:
    """Fields of the shape that refused a field."""
    if len(path) == 1:
        return list(Spec.model_fields)
    pending: list[type[Shape]] = list(Shape.__subclasses__())
    while pending:
        shape = pending.pop()
        pending += shape.__subclasses__()
        field = shape.model_fields.get("kind") or shape.model_fields.get("protocol")
        if field is not None and tag in get_args(field.annotation):
            return list(shape.model_fields)
    annotation = Spec.model_fields[path[0]].annotation
    return (
        list(annotation.model_fields)
        if isinstance(annotation, type) and issubclass(annotation, Shape)
        else []
    )
