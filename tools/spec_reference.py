"""Write docs/reference/spec.md: every field of a spec, its values and its default.

python tools/spec_reference.py
"""

from __future__ import annotations

import json
import types
import typing
from datetime import datetime
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from trueness.spec import titles, titles_loss
from trueness.spec.embedding import Embedding
from trueness.spec.loss import Loss
from trueness.spec.model import Model
from trueness.spec.recipe import Recipe
from trueness.spec.regime import Regime
from trueness.spec.scales import Multiscale
from trueness.spec.shape import Family, Shape, TaskShape
from trueness.spec.target import Target
from trueness.spec.training import Augmentation, Curriculum, Pretraining, Selection
from trueness.spec.tuning import Tuning


def _evaluations() -> dict[tuple[type[Shape], ...], str]:
    """Shapes of evaluations -> kinds of task that take them."""
    result: dict[tuple[type[Shape], ...], list[str]] = {}
    for kind, task in TaskShape.kinds().items():
        result.setdefault(task.protocols, []).append(kind)
    return {protocols: ", ".join(kinds) for protocols, kinds in result.items()}


PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "spec.md"
SECTIONS = {
    "task": TaskShape.members(),
    "task.target": Target.members(),
    "model": Model.members(),
    "model.embedding": Embedding.members(),
    "model.multiscale": Multiscale.members(),
    "model.regime": Regime.members(),
    "loss": Loss.members(),
    "recipe": (Recipe,),
    "recipe.augmentation": (Augmentation,),
    "recipe.selection": Selection.members(),
    "recipe.curriculum": Curriculum.members(),
    "recipe.pretraining": Pretraining.members(),
} | {f"evaluation: {kinds}": protocols for protocols, kinds in _evaluations().items()}
TITLES = {
    "task": (titles.TitlesTask,),
    "task.tokenizer": titles.Tokenizer.members(),
    "model": titles.TitlesModel.members(),
    "model.tune": Tuning.members(),
    "model.head": (*titles.Head.members(), *titles.VectorHead.members()),
    "model.projection": (titles.Projection,),
    "loss": (titles_loss.TitlesLoss,),
    "loss.classification": titles_loss.Classification.members(),
    "loss.class_weights": (titles_loss.ClassWeights,),
    "loss.groups": titles_loss.Groups.members(),
    "loss.contrastive": (titles_loss.Contrastive,),
    "loss.teacher": (titles_loss.Distillation,),
    "recipe": (titles.TitlesRecipe,),
    "evaluation": (titles.Slices,),
}


def values(field: FieldInfo) -> str:
    """Type of a field in words, with its choices."""
    return _words(field.annotation)


def _words(kind: object) -> str:
    if typing.get_origin(kind) is typing.Annotated:
        return _words(typing.get_args(kind)[0])
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(kind))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join(_words(one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is dict:
        return "names to values"
    if typing.get_origin(kind) is tuple:
        return f"list of {_words(typing.get_args(kind)[0])}"
    if isinstance(kind, type) and issubclass(kind, Family) and kind.kinds():
        return " or ".join(f"`{name}`" for name in kind.kinds())
    if isinstance(kind, type) and issubclass(kind, Shape):
        field = kind.model_fields.get("kind")
        return "fields, see below" if field is None else values(field)
    names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    names[datetime] = "day or time"
    names[type(None)] = "null"
    return names.get(kind, getattr(kind, "__name__", str(kind)))  # type: ignore[arg-type]


def default(field: FieldInfo) -> str:
    """Default as it would be written in YAML."""
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, Shape):
        return "see below"
    text = json.dumps(field.default, default=str).strip('"')
    return f"`{text}`"


def page() -> str:
    """Whole page as Markdown."""
    lines = [
        "# Fields of a spec",
        "",
        "Made by `tools/spec_reference.py`. Unknown fields are refused. Runs on daily bars and on",
        "tables come first, runs on [titles](#titles) after them.",
        "",
        "`seed`: whole number, default `42`.",
        "",
    ]
    for section, shapes in SECTIONS.items():
        lines += [f"## {section}", "", *_tables(shapes)]
    lines += ["## Titles", "", "`seed`: whole number, default `42`.", ""]
    for section, shapes in TITLES.items():
        lines += [f"## titles: {section}", "", *_tables(shapes)]
    return "\n".join(" ".join(line.split(" ")) for line in lines)


def _tables(shapes: tuple[type[Shape], ...]) -> list[str]:
    """A sentence and a table of fields for each shape."""
    lines = []
    for shape in shapes:
        lines += [(shape.__doc__ or "").strip().split("\n\n")[0].replace("\n", " "), ""]
        lines += ["| field | values | default | |", "| --- | --- | --- | --- |"]
        for name, field in shape.model_fields.items():
            about = field.description or ""
            lines.append(f"| `{name}` | {values(field)} | {default(field)} | {about} |")
        lines.append("")
    return lines


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
