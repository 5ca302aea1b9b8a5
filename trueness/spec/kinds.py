"""Which class of specs each kind of task has; loaded when a spec of that kind is read."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from trueness.spec import Spec
    from trueness.spec.external import ExternalSpec
    from trueness.spec.titles import TitlesSpec

AnySpec: TypeAlias = "Spec | TitlesSpec | ExternalSpec"
HOMES = {
    "market": "trueness.spec:Spec",
    "table": "trueness.spec:Spec",
    "titles": "trueness.spec.titles:TitlesSpec",
    "external": "trueness.spec.external:ExternalSpec",
}


@cache
def spec_class(task: str) -> type[AnySpec]:
    """Class of the specs of a kind of task; KeyError if there is no such kind."""
    module, _, name = HOMES[task].partition(":")
    return getattr(import_module(module), name)
