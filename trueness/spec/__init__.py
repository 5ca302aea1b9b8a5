"""Spec: the only description of a run; frozen, closed, hashed.

Everything that can change a number is a field of `Spec`, the digest of its data included. Equal
specs have equal keys and are one run. Fields that hold their default are left out of the hashed
text, so a new field whose default means "as before" keeps every old key.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

import trueness.spec.estimator  # noqa: F401 - defines members of Model
from trueness.errors import nearest
from trueness.spec.estimands import Estimands
from trueness.spec.evaluation import Evaluation
from trueness.spec.keyed import ContentAddressed
from trueness.spec.kinds import define_shapes
from trueness.spec.loss import Bce, Loss
from trueness.spec.model import Model, PatchTST
from trueness.spec.recipe import Recipe
from trueness.spec.shape import Family, Int, Shape, TaskShape

define_shapes()


class Spec(ContentAddressed):
    """One run, whole.

    Examples
    --------
    >>> spec = Spec.model_validate({
    ...     "task": {"kind": "market", "bars": "3b9c6f0d5a1e"},
    ...     "model": {"kind": "patchtst", "d_model": 64, "n_heads": 4},
    ...     "loss": "bce",
    ...     "evaluation": {"protocol": "holdout"},
    ... })
    >>> len(spec.key)
    12
    >>> spec.key == spec.model_copy(update={"recipe": Recipe(batch_size=128)}).key
    True
    """

    references: ClassVar[tuple[tuple[str, ...], ...]] = (("recipe", "pretraining", "of"),)
    labelled: ClassVar[tuple[str, ...]] = (
        "task.tier", "task.columns", "model", "model.d_model", "model.n_layers", "model.embedding",
        "loss", "model.kind", "model.name", "model.digest", "model.baseline",
    )  # fmt: skip

    task: TaskShape
    model: Model = PatchTST(kind="patchtst")
    loss: Loss = Bce(kind="bce")
    recipe: Recipe = Recipe()
    evaluation: Evaluation
    seed: Int = Field(42, ge=0)

    @field_validator("evaluation", mode="wrap")
    @classmethod
    def _one_of_the_task(cls, value: Any, handler: Any, info: ValidationInfo) -> Any:  # noqa: ANN401
        """Protocols are those of the task; without a task its own mistake is the one to show."""
        del handler
        task = info.data.get("task")
        return value if task is None else task.evaluation(value)

    @model_validator(mode="after")
    def _evaluation_fits(self) -> Self:
        misfit = self.task.misfit(self.evaluation)
        if misfit is not None:
            raise ValueError(misfit)
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        self.model.check(self)
        self.loss.check(self)
        self.recipe.check(self)
        return self

    @property
    def is_baseline(self) -> bool:
        """Whether the others have to beat it."""
        if self.model.is_network or self.task.context > 1:
            return self.model.is_baseline
        return self._model_as_read().is_baseline

    def _model_as_read(self) -> Model:
        """The model in its simplest spelling; of a single row every rule for inputs is the same."""
        model = self.model.identity()
        usual = type(model).model_fields.get("inputs")
        if self.task.context > 1 or usual is None:
            return model
        return model.model_copy(update={"inputs": usual.default})

    @property
    def depends_on(self) -> set[str]:
        """Keys of the stored runs that it is made of, or begins with."""
        begins = self.recipe.pretraining.depends_on if self.model.is_network else ()
        return {*self.model.depends_on, *begins}

    @property
    def columns_read(self) -> tuple[tuple[tuple[str, ...], str], ...]:
        """Paths of fields that name an input, and the inputs."""
        column = self.recipe.curriculum.column if self.model.is_network else None
        named = [(("model", "regime", "returns"), name) for name in self.model.columns_read]
        return (*named, *([(("recipe", "curriculum", "returns"), column)] if column else []))

    @property
    def estimands(self) -> Estimands:
        """What is measured of it, and on which units."""
        rule = self.evaluation
        chosen = {} if self.model.validates else {"chosen_on": "train"}
        where: dict[str, Any] = rule.where | chosen
        return Estimands(
            kind="binary",
            headline=f"precision@{max(rule.alarms)}",
            **where,
            confidence=rule.confidence_pct / 100,
            block=max(rule.block, self.task.horizon),  # labels that overlap stay together
            horizon=self.task.horizon,
            alarms=rule.alarms,
            alarm_rate_pct=rule.alarm_rate_pct,
            nouns=self.task.nouns,
            caution="; ".join(one for one in (rule.caution, self.task.caution) if one),
        )

    def canonical(self) -> Spec:
        """Equal runs brought to one spelling: identities, and what a model never reads."""
        update: dict[str, Any] = {
            "loss": self.loss.identity(), "model": self._model_as_read(),
            "recipe": self.recipe.identity(),
        }  # fmt: skip
        if not self.model.is_network:
            update |= {"loss": Bce(kind="bce"), "recipe": Recipe()}
        if not self.model.seeded:
            update["seed"] = Spec.model_fields["seed"].default
        return self.model_copy(update=update)

    def question(self) -> str:
        """The event that is predicted."""
        return self.task.question()

    def protocol(self) -> str:
        """How units are divided."""
        return self.evaluation.in_words()

    def label(self) -> str:
        """What kind of model it is, in few words; a leaderboard shows what else differs.

        Examples
        --------
        >>> def label(model):
        ...     content = {"task": {"kind": "market", "bars": "x"}, "model": model,
        ...                "evaluation": {"protocol": "holdout"}}
        ...     return Spec.model_validate(content).label()
        >>> label("logit")
        'a20 · logistic regression'
        >>> label({"kind": "patchtst", "embedding": {"kind": "linear", "width": 16}})
        'a20 · PatchTST d128×4, emb 16'
        """
        own = f"{self.task.prefix}{self.model.in_words()}"
        read = self.canonical()
        return ", ".join(filter(None, [own, read.loss.in_words(), read.recipe.in_words()]))


def explain_error(
    content: dict[str, Any], error: dict[str, Any], root: type[Shape] = Spec
) -> tuple[tuple[str, ...], str]:
    """Path without the union tags that pydantic puts in, and a message with the valid choices."""
    path, node, tag = [], content, None
    for element in map(str, error["loc"]):
        written = (node.get("kind"), node.get("protocol")) if isinstance(node, dict) else (node,)
        if element in written and not (isinstance(node, dict) and element in node):
            tag = element
            continue
        path.append(element)
        node = node.get(element) if isinstance(node, dict) else None
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        fields = [f for f in _fields_at(root, content, path[:-1]) if f not in ("kind", "protocol")]
        hint = nearest(path[-1], fields) if fields else f"{tag} takes none"
        return tuple(path), f"unknown field; {hint}"
    if kind == "union_tag_not_found":
        name = str(context["discriminator"]).strip("'")
        shown = "patchtst" if path == ["model"] else "..."
        return tuple(path), f"it needs a {name}, as in {{{name}: {shown}}}"
    if kind == "union_tag_invalid":
        label, choices = context["tag"], re.findall(r"'([^']+)'", str(context["expected_tags"]))
        hint = nearest(str(label), choices)
        return tuple(path), f"unknown {context['discriminator'].strip(chr(39))} {label!r}; {hint}"
    message = str(error["msg"]).removeprefix("Value error, ")
    shown = (
        "" if isinstance(error["input"], dict) or kind == "missing" else f", not {error['input']!r}"
    )
    return tuple(path), message[0].lower() + message[1:] + ("" if kind == "value_error" else shown)


def _fields_at(shape: type[Shape], node: Any, path: list[str]) -> list[str]:  # noqa: ANN401
    """Fields of the shape at a path of what was written; protocols are those of its task."""
    task = _member_at(TaskShape, node.get("task"))
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
        field = shape.model_fields.get(name)
        choices = [] if field is None else _shapes_in(field.annotation)
        if task is not None and name == "evaluation":
            choices = list(task.protocols)
        tags = (node.get("kind"), node.get("protocol")) if isinstance(node, dict) else ()
        match = [one for one in choices if any(tag in tags for tag in _tags_of(one))] or choices
        if len(match) != 1:
            return []
        shape = match[0]
    return list(shape.model_fields)


def _member_at(family: type[TaskShape], node: Any) -> type[TaskShape] | None:  # noqa: ANN401
    """Member that was written; None for one of another spec."""
    kind = node.get("kind") if isinstance(node, dict) else node
    return family.kinds().get(kind) if isinstance(kind, str) else None


def _shapes_in(annotation: Any) -> list[type[Shape]]:  # noqa: ANN401
    """Shapes that an annotation allows, families, unions and aliases opened."""
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        members = annotation.members() if issubclass(annotation, Family) else ()
        return list(members) or [annotation]
    return [shape for inner in get_args(annotation) for shape in _shapes_in(inner)]


def _tags_of(shape: type[Shape]) -> set[str]:
    """Kinds or protocols that a shape stands for."""
    fields = [shape.model_fields.get(name) for name in ("kind", "protocol")]
    return {tag for field in fields if field is not None for tag in get_args(field.annotation)}
