"""Kinds of task: of which class their specs are, and what loads their data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from trueness.spec import Spec
    from trueness.spec.external import ExternalSpec
    from trueness.spec.titles import TitlesSpec

AnySpec: TypeAlias = "Spec | TitlesSpec | ExternalSpec"


@dataclass(frozen=True)
class Kind:
    """Where the classes of a kind of task are, as ``module:name``.

    Attributes
    ----------
    shape : str
        Of its section in a spec; a `TaskShape` where the spec is `trueness.spec.Spec`.
    loader : str or None
        See `trueness.tasks.Task`; None if nothing of the kind is trained.
    spec : str
    """

    shape: str
    loader: str | None
    spec: str = "trueness.spec:Spec"


KINDS = {
    "market": Kind("trueness.spec.task:MarketTask", "trueness.tasks.market:Market"),
    "table": Kind("trueness.spec.table:TableTask", "trueness.tasks.table:TableRows"),
    "titles": Kind(
        "trueness.spec.titles:TitlesTask", "trueness.tasks.titles:TitlesTask",
        "trueness.spec.titles:TitlesSpec",
    ),
    "external": Kind(
        "trueness.spec.external:ExternalTask", None, "trueness.spec.external:ExternalSpec"
    ),
}  # fmt: skip
"""Every kind of task; the one place that lists them."""


def imported(where: str) -> Any:  # noqa: ANN401
    """What ``module:name`` stands for."""
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)


def define_shapes() -> None:
    """Import the shapes that may stand in ``task`` of `trueness.spec.Spec`."""
    for kind in KINDS.values():
        if kind.spec == Kind.spec:
            imported(kind.shape)


@cache
def spec_class(task: str) -> type[AnySpec]:
    """Class of the specs of a kind of task; KeyError if there is no such kind."""
    return imported(KINDS[task].spec)
