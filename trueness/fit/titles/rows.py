"""What a network reads of texts: their tokens, or a vector of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Rows(Protocol):
    """Inputs of many texts; `trueness.text.tokens.Tokens` are some."""

    def __len__(self) -> int:
        """Texts."""
        ...

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, (n,)."""
        ...

    def batch(self, rows: ArrayLike) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Inputs of some texts side by side, and where there are any."""
        ...


@dataclass(frozen=True)
class VectorRows:
    """A vector per text, its columns brought to one scale, or as they are.

    Attributes
    ----------
    values : (n, D) float32
        Mapped from disk.
    mean, scale : (D,) float32, or float
    """

    values: NDArray[np.float32]
    mean: NDArray[np.float32] | float = 0.0
    scale: NDArray[np.float32] | float = 1.0

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """1 for each text."""
        return np.ones(len(self), np.int64)

    def batch(self, rows: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Vectors (B, D) of some texts, and a mask (B, 1) that is true.

        Examples
        --------
        >>> values = np.array([[0, 4], [2, 4]], np.float32)
        >>> some = VectorRows(values, values.mean(0), np.ones(2, np.float32))
        >>> some.batch([1])[0].tolist()
        [[1.0, 0.0]]
        """
        taken = self.values[np.asarray(rows, np.int64)]
        return (taken - self.mean) / self.scale, np.ones((len(taken), 1), bool)
