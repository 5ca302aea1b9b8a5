"""Models that are no networks: baselines, boosting of other packages, any estimator.

What was tuned, or is none of `BASELINES`, is a candidate: it may have been chosen because it was
best. A trial of a search that has every field at its default is the baseline itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, JsonValue, field_validator, model_validator

from trueness.spec.model import Engine, Inputs, Model
from trueness.spec.shape import Float, Int, Shape

PENALTIES = (0.001, 0.01, 0.1, 1.0)
"""Among which logistic regression chooses its own, by the AUC on validation."""

UpToOne: TypeAlias = Annotated[Float, Field(gt=0, le=1)]
Trees: TypeAlias = Annotated[Int, Field(ge=1, le=100_000)]
Params: TypeAlias = dict[str, JsonValue]
Version: TypeAlias = Annotated[
    str | None,
    Field(min_length=1, description="of the package, or the digest of an own file; filled in"),
]


class _Fitted(Model):
    """Traits of a model that is fitted to columns, unless its shape says otherwise."""

    engine: ClassVar[Engine] = "estimators"
    is_usual_baseline: ClassVar[bool] = False
    words: ClassVar[str] = ""

    @property
    def changed(self) -> dict[str, Any]:
        """Fields that are not at their default; the version of a package is no choice."""
        return self.model_dump(exclude={"kind", "version"}, exclude_defaults=True)

    @property
    def is_baseline(self) -> bool:
        """Whether it is one of the baselines, with every field at its default."""
        return self.is_usual_baseline and not self.changed

    @property
    def validates(self) -> bool:
        """Whether anything is chosen on the validation part."""
        return self.choices > 1

    def in_words(self) -> str:
        """What it is called, and every field that is not at its default."""
        changed = self.changed
        changed |= changed.pop("params", {})
        return ", ".join([self.words, *(f"{name} {_value(v)}" for name, v in changed.items())])


def _value(value: object) -> str:
    """A setting as it stands in a label."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


# -------------------------------------------------------------------------------------- baselines


class BaseRate(_Fitted):
    """The proportion of positives in the training part, for every example."""

    kind: Literal["base_rate"]
    is_usual_baseline: ClassVar[bool] = True
    words: ClassVar[str] = "base rate"
    inputs: ClassVar[str] = "last"
    seeded: ClassVar[bool] = False


class OneFeature(_Fitted):
    """The column whose ranks separate the training labels best, in either direction."""

    kind: Literal["one_feature"]
    inputs: Inputs = "summary"
    is_usual_baseline: ClassVar[bool] = True
    words: ClassVar[str] = "best single feature"
    seeded: ClassVar[bool] = False


class Logit(_Fitted):
    """Logistic regression with an L2 penalty, on standardised columns."""

    kind: Literal["logit"]
    inputs: Inputs = "summary"
    C: Annotated[Float, Field(gt=0, le=1e6)] | None = Field(
        None, description="inverse strength of the penalty; null: the best of four on validation"
    )
    is_usual_baseline: ClassVar[bool] = True
    words: ClassVar[str] = "logistic regression"
    seeded: ClassVar[bool] = False

    @property
    def choices(self) -> int:
        """Penalties, where none is given."""
        return len(PENALTIES) if self.C is None else 1


class Forest(_Fitted):
    """Random forest: trees on resampled rows, their votes averaged."""

    kind: Literal["forest"]
    inputs: Inputs = "summary"
    n_estimators: Trees = 300
    min_samples_leaf: Int = Field(20, ge=1)
    max_features: UpToOne | None = Field(
        None, description="fraction of the columns that a split looks at; null: square root of them"
    )
    is_usual_baseline: ClassVar[bool] = True
    words: ClassVar[str] = "random forest"


class Boosting(_Fitted):
    """Gradient boosting on histograms; as many trees as minimise the validation loss."""

    kind: Literal["boosting"]
    inputs: Inputs = "summary"
    learning_rate: UpToOne = 0.05
    max_leaf_nodes: Int = Field(8, ge=2, le=10_000)
    min_samples_leaf: Int = Field(40, ge=1)
    l2: Float = Field(1.0, ge=0)
    max_features: UpToOne = Field(1.0, description="fraction of the columns that a split looks at")
    max_trees: Trees = 200
    is_usual_baseline: ClassVar[bool] = True
    words: ClassVar[str] = "gradient boosting"

    @property
    def seeded(self) -> bool:
        """Whether columns are drawn."""
        return self.max_features < 1

    @property
    def choices(self) -> int:
        """Numbers of trees."""
        return self.max_trees


# ------------------------------------------------------------------- boosting of other packages


BY_ENGINE = (
    "objective", "loss_function", "metric", "eval_metric", "seed", "random_state", "random_seed",
    "data_random_seed", "n_estimators", "num_iterations", "num_boost_round", "iterations",
    "early_stopping_rounds", "n_jobs", "nthread", "num_threads", "thread_count", "device",
    "task_type", "boosting", "booster", "boosting_type", "boost", "num_trees", "num_tree", "n_iter",
    "num_iteration", "num_round", "num_rounds", "nrounds", "max_iter", "early_stopping_round",
    "early_stopping", "n_iter_no_change", "od_type", "od_wait", "od_pval", "use_best_model",
    "metric_period", "class_names", "disable_default_eval_metric",
)  # fmt: skip
"""Parameters of boosting that the engine gives: what is minimised and when it is measured, which
label is the event, seed, trees, threads. Boosters other than of trees, or that drop some, cannot be
cut after a number of trees."""
ALIASES = (
    "eta", "shrinkage_rate", "num_leaf", "max_leaves", "max_leaf", "max_leaf_nodes",
    "min_data_in_leaf", "min_data_per_leaf", "min_data", "min_samples_leaf", "lambda_l1", "l1",
    "l1_regularization", "lambda_l2", "l2", "l2_regularization", "alpha", "lambda",
    "bagging_fraction", "sub_row", "bagging", "feature_fraction", "sub_feature",
    "min_split_loss", "random_subspace_method",
)  # fmt: skip
"""Other names of fields, which packages take for the same or ignore beside them."""


class _Boosted(_Fitted):
    """What the boosting of other packages has in common: trees that validation cuts."""

    inputs: Inputs = "summary"
    learning_rate: UpToOne = 0.05
    max_trees: Trees = 200
    params: Params = Field({}, description="further parameters, by the names of the package")
    version: Version = None

    @property
    def choices(self) -> int:
        """Numbers of trees."""
        return self.max_trees

    @property
    def probed(self) -> bool:
        """Its further parameters may be unknown to the package."""
        return bool(self.params)

    @field_validator("params")
    @classmethod
    def _not_set_elsewhere(cls, params: Params) -> Params:
        for name in params:
            if name in cls.model_fields or name in BY_ENGINE or name in ALIASES:
                raise ValueError(f"{name} is set by a field of the model or by the engine")
        return params


class _Drawing(_Boosted):
    """Boosting that draws rows or columns only where a field says so."""

    reg_alpha: Float = Field(0.0, ge=0)
    subsample: UpToOne = 1.0
    colsample_bytree: UpToOne = 1.0

    @property
    def seeded(self) -> bool:
        """Whether rows or columns are drawn, or may be by its further parameters."""
        return self.subsample < 1 or self.colsample_bytree < 1 or bool(self.params)


class LightGBM(_Drawing):
    """LightGBM; as many trees as minimise the validation loss.

    Fields bear the names of ``lightgbm.LGBMClassifier`` and have its defaults, the learning rate
    apart; with `subsample` below 1 each tree sees that fraction of the rows.
    """

    kind: Literal["lightgbm"]
    num_leaves: Int = Field(31, ge=2, le=131_072)
    min_child_samples: Int = Field(20, ge=0)
    reg_lambda: Float = Field(0.0, ge=0)
    words: ClassVar[str] = "LightGBM"
    reference: ClassVar[str] = "lightgbm.train"


class XGBoost(_Drawing):
    """XGBoost on histograms; as many trees as minimise the validation loss.

    Fields bear the names of ``xgboost.XGBClassifier`` and have the package's defaults, the learning
    rate apart.
    """

    kind: Literal["xgboost"]
    max_depth: Int = Field(6, ge=1, le=100)
    min_child_weight: Float = Field(1.0, ge=0)
    gamma: Float = Field(0.0, ge=0, description="least fall of the loss that a split must bring")
    reg_lambda: Float = Field(1.0, ge=0)
    words: ClassVar[str] = "XGBoost"
    reference: ClassVar[str] = "xgboost.train"


class CatBoost(_Boosted):
    """CatBoost, on resampled rows; as many trees as minimise the validation loss.

    Fields bear the names of ``catboost.CatBoostClassifier``.
    """

    kind: Literal["catboost"]
    depth: Int = Field(6, ge=1, le=16)
    l2_leaf_reg: Float = Field(3.0, ge=0)
    random_strength: Float = Field(1.0, ge=0, description="noise in the scores of splits")
    subsample: UpToOne = 0.8
    rsm: UpToOne = Field(1.0, description="fraction of the columns that a split looks at")
    words: ClassVar[str] = "CatBoost"
    reference: ClassVar[str] = "catboost.CatBoost"


# --------------------------------------------------------------------------------------- any class


class Estimator(_Fitted):
    """Any class with `fit` and `predict_proba` or `decision_function`, fitted in every fold.

    `of` is a class of an installed package, ``sklearn.naive_bayes.GaussianNB``, or one of a file
    beside the campaign, ``my_models.py:Slow``; a function that makes one will do.
    """

    kind: Literal["estimator"]
    of: str = Field(min_length=1, description="package.Class, or file.py:Class")
    params: Params = Field({}, description="arguments of the class")
    inputs: Inputs = "summary"
    version: Version = None

    @property
    def reference(self) -> str:
        """Its class."""
        return self.of

    @property
    def probed(self) -> bool:
        """Nobody here has seen its code."""
        return True

    @property
    def changed(self) -> dict[str, Any]:
        """Parameters and inputs."""
        return {name: value for name, value in super().changed.items() if name != "of"}

    def in_words(self) -> str:
        """Name of the class, and its parameters."""
        name = self.of.replace(":", ".").rpartition(".")[2]
        return f"{name}{super().in_words()}"


class Ensemble(_Fitted):
    """The mean of the logits of stored runs on the same units; nothing is trained.

    What its members chose on the validation part is chosen in the ensemble too.
    """

    kind: Literal["ensemble"]
    of: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        min_length=2, description="keys of the runs, of distinct ones at least two"
    )
    engine: ClassVar[Engine] = "ensemble"
    seeded: ClassVar[bool] = False
    validates: ClassVar[bool] = True

    @field_validator("of")
    @classmethod
    def _as_a_set(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(keys)))

    @model_validator(mode="after")
    def _has_several(self) -> Self:
        if len(self.of) < 2:
            raise ValueError(
                "an ensemble needs two runs that differ; seeds of a model that reads none are one"
            )
        return self

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Its members."""
        return self.of

    def with_members(self, keys: Mapping[str, str]) -> Self:
        """The same with other runs in place of its members, by key."""
        return self.model_copy(update={"of": tuple(sorted(keys[key] for key in self.of))})

    def in_words(self) -> str:
        """How many runs it averages."""
        return f"ensemble of {len(self.of)}"


BASELINES = tuple(shape for shape in _Fitted.members() if shape.is_usual_baseline)
"""Shapes of the baselines, the simplest first; with every field at its default they are run before
anything else."""


def default_baselines() -> tuple[Model, ...]:
    """The baselines, the simplest first.

    Examples
    --------
    >>> [model.in_words() for model in default_baselines() if model.is_baseline][:2]
    ['base rate', 'best single feature']
    """
    return tuple(shape.model_validate({"kind": _kind(shape)}) for shape in BASELINES)


def _kind(shape: type[Shape]) -> str:
    return shape.model_fields["kind"].annotation.__args__[0]  # ty: ignore
