"""Linear classifiers of many classes on sparse rows, by stochastic gradients.

All classes of a row are updated at once, side by side in memory; a solver that fits one class after
the other walks the rows once for each. Weights take bounded memory however many classes there are:
one class against the rest is fitted some classes at a time, and a log loss of all classes together,
which cannot be, sees fewer features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from trueness.compiling import compiled
from trueness.errors import TruenessError

Floats = NDArray[np.float32]
EPOCHS = 5
STEPS = {"softmax": 4.0, "squared_hinge": 0.1}
"""Step of the first row, for rows of length about 1; it falls linearly to 0 over the epochs."""
MOST_BYTES = 1 << 29
"""Of the weights that are fitted at once."""
FEW = 16
"""Where fewer than a class in so many has a slope, the others are passed over."""
BIAS_RATE = 0.1
"""Step of the intercepts, in steps of the weights; each row moves them."""


class LinearScores:
    """Scores of rows by linear classifiers that were fitted on others.

    Parameters
    ----------
    train : (n, features) sparse float32
        Rows of length about 1.
    y : (n,) int
        Classes, 0 to K - 1.
    n_classes : int
        K.
    others : sequence of (m, features) sparse float32
        Rows to be scored.
    loss : {"softmax", "squared_hinge"}
        Log loss of all classes together, or one class against the rest.
    seed : int
        Of the order of the rows.
    most_bytes : int
        Of the weights.

    Attributes
    ----------
    features : int
        Features that occur in the training rows; no others have a weight.
    kept : int
        Those that are used: all of them, or with a log loss the most frequent ones.

    Examples
    --------
    >>> x = csr_array(np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]])
    >>> (scores,) = LinearScores(x, np.arange(6) % 3, 3, [x], loss="softmax", seed=0).fit(0.0)
    >>> scores.argmax(axis=1)
    array([0, 1, 2, 0, 1, 2])
    """

    def __init__(
        self, train: csr_array, y: NDArray[np.int64], n_classes: int, others: Sequence[csr_array],
        *, loss: Literal["softmax", "squared_hinge"], seed: int, most_bytes: int = MOST_BYTES,
    ) -> None:  # fmt: skip
        rows = np.bincount(train.indices, minlength=train.shape[1])
        used = np.flatnonzero(rows)
        self.features, each = len(used), 4 * n_classes
        self.at_once = n_classes
        if loss == "squared_hinge":
            self.at_once = min(n_classes, max(1, most_bytes // (4 * max(1, len(used)))))
        elif each * len(used) > most_bytes:
            order = np.argsort(-rows[used], kind="stable")[: max(1, most_bytes // each)]
            used = np.sort(used[order])
        self.kept = len(used)
        self._columns = used
        self._train, *self._others = (csr_array(x[:, used]) for x in (train, *others))
        rng = np.random.default_rng(seed)
        self._order = np.concatenate([rng.permutation(len(y)) for _ in range(EPOCHS)])
        self._y, self._classes, self._loss = y, n_classes, loss

    def fit(self, penalty: float) -> list[Floats]:
        """Scores (m, K) float32 of the others.

        The classifier has the smallest mean loss plus ``penalty / 2`` times the squared weights,
        roughly: five passes with a falling step. Bottou, "Large-Scale Machine Learning with
        Stochastic Gradient Descent" (2010).
        """
        result = [np.empty((x.shape[0], self._classes), np.float32) for x in self._others]
        for first, last in self._ranges():
            weights, bias = self._descended(first, last, penalty)
            for scores, x in zip(result, self._others, strict=True):
                scores[:, first:last] = x @ weights + bias
        return result

    def coefficients(
        self, penalty: float, most_bytes: int = 1 << 30
    ) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Features (m,) that are used, their weights (m, K) and intercepts (K,), both float32.

        Raises
        ------
        TruenessError
            With code ``too_large`` if the weights take more than `most_bytes`.
        """
        if (needed := 4 * self.kept * self._classes) > most_bytes:
            raise TruenessError(
                f"weights of {self.kept:,} n-grams and {self._classes:,} classes take "
                f"{needed / 2**30:.1f} GiB; {most_bytes / 2**30:.1f} are kept", "too_large",
            )  # fmt: skip
        made = [self._descended(first, last, penalty) for first, last in self._ranges()]
        weights, bias = (np.concatenate(side, axis=-1) for side in zip(*made, strict=True))
        return self._columns, weights, bias

    def _ranges(self) -> list[tuple[int, int]]:
        """First and last class of those that are fitted at once."""
        k, step = self._classes, self.at_once
        return [(first, min(first + step, k)) for first in range(0, k, step)]

    def _descended(self, first: int, last: int, penalty: float) -> tuple[Floats, Floats]:
        """Weights (features, k) and intercepts (k,) of some classes."""
        x, k = self._train, last - first
        weights, bias = np.zeros((x.shape[1], k), np.float32), np.zeros(k, np.float32)
        _descend(
            x.indptr, x.indices, x.data, self._y - first, self._order, weights, bias,
            np.float32(STEPS[self._loss]), np.float32(penalty), self._loss == "softmax",
        )  # fmt: skip
        return weights, bias


@partial(compiled, fastmath=True)
def _descend(
    start: NDArray[np.int32], column: NDArray[np.int32], value: Floats, y: NDArray[np.int64],
    order: NDArray[np.int64], weights: Floats, bias: Floats, step: np.float32, penalty: np.float32,
    softmax: bool,
) -> None:  # fmt: skip
    """One update of weights and bias, in place, for each row of `order`.

    A row whose class is not among these is one of the rest for all of them.

    Weights are kept as ``scale * weights``, so that shrinking all of them is one product.
    """
    scale, k, slope = np.float32(1), weights.shape[1], np.empty(weights.shape[1], np.float32)
    active = np.empty(k, np.int64)
    for t in range(len(order)):
        row = order[t]
        slope[:] = 0
        for q in range(start[row], start[row + 1]):
            w, v = weights[column[q]], value[q]
            for c in range(k):
                slope[c] += v * w[c]
        for c in range(k):
            slope[c] = slope[c] * scale + bias[c]
        _to_slope(slope, y[row], softmax)
        rate = step * np.float32(1 - t / len(order))
        scale *= np.float32(1) - rate * penalty
        many = 0
        for c in range(k):
            if slope[c] != 0:
                active[many] = c
                many += 1
                bias[c] -= np.float32(BIAS_RATE) * rate * slope[c]
                slope[c] *= rate / scale
        some = active[:many] if many <= k // FEW else active[:0]
        for q in range(start[row], start[row + 1]):
            _step(weights[column[q]], value[q], slope, some)
        if scale < 1e-6:
            weights *= scale
            scale = np.float32(1)
    weights *= scale


@partial(compiled, fastmath=True)
def _step(weights: Floats, value: np.float32, slope: Floats, some: NDArray[np.int64]) -> None:
    """Take a step in the weights of a feature, of some classes or of all if none is named."""
    if len(some):
        for c in some:
            weights[c] -= value * slope[c]
        return
    for c in range(len(slope)):
        weights[c] -= value * slope[c]


@partial(compiled, fastmath=True)
def _to_slope(score: Floats, own: int, softmax: bool) -> None:
    """Replace the scores of a row by the derivative of its loss in them."""
    if softmax:
        top, total = score.max(), np.float32(0)
        for c in range(len(score)):
            score[c] = np.exp(score[c] - top)
            total += score[c]
        for c in range(len(score)):
            score[c] /= total
        score[own] -= 1
        return
    for c in range(len(score)):
        side = np.float32(1) if c == own else np.float32(-1)
        score[c] = -2 * side * max(np.float32(0), np.float32(1) - side * score[c])
