"""Texts of a corpus that a model was trained on, or that belong to one that it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.text.corpus import PARTS, WHOLE, Corpus
from trueness.text.signatures import TextSignatures

KINDS = {
    "words": "the same words",
    "near_duplicate": "a near-duplicate",
    "id": "the same id",
    "cluster": "another text of their cluster",
}
"""Why a text is a leak; the first reason that holds counts."""
ALIKE = 0.75
"""Estimated similarity from which texts are near-duplicates; true ones of 0.8 have it at 0.9."""
SAME_THINGS = 0.5
"""Share of common ids whose texts are alike, from which ids name the same things."""


@dataclass(frozen=True)
class Leaks:
    """Texts of a part that the training part knows.

    Attributes
    ----------
    part : str
    kind : (n,) int8
        Number of the reason in `KINDS`; -1 for texts that it does not know.
    other_ids : int
        Texts of the part whose id stands in the training part with other words, where ids do not
        name the same things and were not compared.
    """

    part: str
    kind: NDArray[np.int8]
    other_ids: int

    @property
    def leaked(self) -> NDArray[np.bool_]:
        """Texts that are known, (n,)."""
        return self.kind >= 0

    @property
    def counts(self) -> dict[str, int]:
        """Kind -> texts; those of each kind that are of none before it."""
        return {name: int((self.kind == i).sum()) for i, name in enumerate(KINDS)}

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"n": len(self.kind), "leaked": int(self.leaked.sum()), "kinds": self.counts,
                "other_ids": self.other_ids}  # fmt: skip


def leaks_of(known: TextSignatures, corpus: Corpus, part: str) -> Leaks:
    """Texts of a part of a corpus that stand among others, or belong to one that does.

    A cluster of the corpus leaks where any of its texts does, in whatever part: clusters of two
    corpora have no names in common. Ids count where the corpora call the same things by them: at
    least half of the common ids have texts that are alike; two tables whose rows are numbered have
    ids in common that say nothing.

    Parameters
    ----------
    known : TextSignatures
        Of the texts that a model was trained on.
    corpus : Corpus
    part : str
        Or ``whole`` for all parts, one after the other.
    """
    some = [corpus.part(name) for name in PARTS]
    own = TextSignatures.of_corpus(corpus)
    cluster = np.concatenate([one.cluster for one in some])
    words = np.isin(own.words, known.words)
    row, _ = known.nearest(own, ALIKE)
    alike = words | (row >= 0)
    named = np.isin(own.ids, known.ids)
    trusted = bool(named.any()) and alike[named].mean() >= SAME_THINGS
    same_id = named & trusted
    leaked = alike | same_id
    spread = np.isin(cluster, cluster[leaked])
    kind = np.full(len(own), -1, np.int8)
    for i, holds in reversed(list(enumerate((words, alike, same_id, spread)))):
        kind[holds] = i
    here = np.ones(len(own), bool) if part == WHOLE else own.part == PARTS.index(part)
    return Leaks(part, kind[here], 0 if trusted else int((named & ~leaked)[here].sum()))
