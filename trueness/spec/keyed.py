"""A spec's address: the digest of what it says."""

from __future__ import annotations

import hashlib
import json
from typing import ClassVar, Self

from trueness.spec.shape import Shape

KEY_DIGITS = 12


class ContentAddressed(Shape):
    """A description of a run whose digest is its address.

    `references` are the fields that name another run: in a campaign, the id of an earlier
    experiment. `named_recipes` tells whether a recipe may be called by its name. `labelled` are the
    fields that the label names, as patterns of dotted names.
    """

    references: ClassVar[tuple[tuple[str, ...], ...]] = ()
    named_recipes: ClassVar[bool] = True
    labelled: ClassVar[tuple[str, ...]] = ()

    @property
    def depends_on(self) -> set[str]:
        """Keys of the stored runs that this one begins with."""
        return set()

    def canonical(self) -> Self:
        """Equal runs brought to one spelling."""
        return self

    def stored(self) -> Self:
        """What is written down of it."""
        return self.canonical()

    def canonical_json(self) -> str:
        """Text that is hashed: sorted fields, numbers in one spelling, defaults left out."""
        content = self.canonical().model_dump(mode="json", exclude_defaults=True)
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @property
    def candidate(self) -> str:
        """Equal for runs that are seeds, that is replicates, of one candidate."""
        return self.model_copy(update={"seed": 42}).canonical_json()

    @property
    def key(self) -> str:
        """Address of the run: 12 hexadecimal digits of the SHA-256 of `canonical_json`."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()[:KEY_DIGITS]
