"""What the graph of a bundle reads, and rows to ask it about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.bundle.format import NETWORK, Bundle, Member
from trueness.bundle.predicting import rows_key
from trueness.examples import Examples
from trueness.own import translate_errors

RANDOM_ROWS = 256
FLAT = {True: "columns", False: "windows"}
Asked = Mapping[str, Examples]
"""What members read, by `rows_key`."""


@dataclass(frozen=True)
class Input:
    """What the graph reads: the rows of one or more members that are prepared alike.

    Attributes
    ----------
    name : str
        ``columns`` or ``windows``, with a number where there are several.
    member : Member
        The first of them.
    flat : bool
        Whether it is columns (N, C), the last rows of windows; else windows (N, L, C).
    """

    name: str
    member: Member
    flat: bool

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes, the free number of rows as None."""
        sizes = (self.member.spec.task.context, len(self.member.features))
        return (None, sizes[1]) if self.flat else (None, *sizes)

    def values(self, examples: Examples, some: slice) -> NDArray[np.float32]:
        """Some rows as the graph reads them."""
        start = examples.starts(0)[some]
        if self.flat:
            return examples.series[start + examples.context - 1]
        return np.ascontiguousarray(examples.x[start])

    def in_words(self) -> str:
        """Its name and shape."""
        sizes = ", ".join("N" if size is None else str(size) for size in self.shape)
        return f"{self.name}: float32 ({sizes})"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"name": self.name, "shape": list(self.shape), "columns": list(self.member.features)}


def inputs_of(members: Sequence[Member]) -> tuple[Input, ...]:
    """What the graph of some members reads: one input for all that are prepared alike."""
    alike: dict[str, list[Member]] = {}
    for member in members:
        alike.setdefault(rows_key(member), []).append(member)
    flat = [all(map(reads_last_row, some)) for some in alike.values()]
    return tuple(
        Input(FLAT[one] + (f"_{i}" if len(alike) > 1 else ""), some[0], one)
        for i, (some, one) in enumerate(zip(alike.values(), flat, strict=True), 1)
    )


def random_rows(bundle: Bundle, inputs: Sequence[Input]) -> Asked:
    """Windows of numbers in the training range of each column; of any size where none is known."""
    rng, ranges, result = np.random.default_rng(0), bundle.description["ranges"], {}
    for one in inputs:
        context, names = one.member.spec.task.context, one.member.features
        size = RANDOM_ROWS * context
        with translate_errors("ranges of the description", "damaged"):
            columns = [
                rng.uniform(*ranges[name], size) if name in ranges
                else 10 ** rng.uniform(-2, 4, size)
                for name in names
            ]  # fmt: skip
        result[rows_key(one.member)] = Examples(
            series=np.column_stack(columns).astype(np.float32),
            start=np.arange(RANDOM_ROWS) * context, context=context,
            y=np.zeros(RANDOM_ROWS, np.uint8), when=None, group=None,
            parts=np.zeros((1, RANDOM_ROWS), np.int8), features=names,
            ids=np.arange(1, RANDOM_ROWS + 1).astype(np.str_),
        )  # fmt: skip
    return result


def reads_last_row(member: Member) -> bool:
    """Whether a model looks at nothing but the last row of a window."""
    if member.spec.task.context == 1:
        return True
    return member.form != NETWORK and getattr(member.spec.model, "inputs", "") == "last"
