"""Which class of specs each kind of task has."""

from __future__ import annotations

from typing import TypeAlias

from trueness.spec import Spec
from trueness.spec.external import ExternalSpec
from trueness.spec.titles import TitlesSpec

AnySpec: TypeAlias = Spec | TitlesSpec | ExternalSpec
SPECS: dict[str, type[Spec] | type[TitlesSpec] | type[ExternalSpec]] = {
    "market": Spec,
    "titles": TitlesSpec,
    "external": ExternalSpec,
}
"""Kind of task -> class of its specs."""
