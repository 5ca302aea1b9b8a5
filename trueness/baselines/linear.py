"""Linear classifiers of many classes on sparse rows, by stochastic gradients.

All classes of a row are updated at once, side by side in memory; a solver that fits one class after
the other walks the rows once for each. The kernel is compiled on its first call and kept in numba's
cache; importing this module loads numba: import it where it is used.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from trueness.compiling import compiled

Floats = NDArray[np.float32]
EPOCHS = 5
STEPS = {"softmax": 4.0, "squared_hinge": 0.1}
"""Step of the first row, for rows of length about 1; it falls linearly to 0 over the epochs."""
BIAS_RATE = 0.1
"""Step of the intercepts, in steps of the weights; each row moves them."""


def fit_linear(
    x: csr_array, y: NDArray[np.int64], n_classes: int, *, penalty: float,
    loss: Literal["softmax", "squared_hinge"], seed: int,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Weights and intercepts of a linear classifier.

    The smallest mean loss plus ``penalty / 2`` times the squared weights, roughly: five passes with
    a falling step. Bottou, "Large-Scale Machine Learning with Stochastic Gradient Descent" (2010).

    Parameters
    ----------
    x : (n, features) float32
        Rows of length about 1.
    y : (n,) int
        Classes, 0 to K - 1.
    n_classes : int
        K.
    penalty : float
    loss : {"softmax", "squared_hinge"}
        Log loss of all classes together, or one class against the rest.
    seed : int
        Of the order of the rows.

    Returns
    -------
    (features, K), (K,) float32

    Examples
    --------
    >>> x = csr_array(np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]])
    >>> weights, bias = fit_linear(x, np.arange(6) % 3, 3, penalty=0.0, loss="softmax", seed=0)
    >>> (x @ weights + bias).argmax(axis=1)
    array([0, 1, 2, 0, 1, 2])
    """
    rng = np.random.default_rng(seed)
    weights, bias = np.zeros((x.shape[1], n_classes), np.float32), np.zeros(n_classes, np.float32)
    order = np.concatenate([rng.permutation(len(y)) for _ in range(EPOCHS)])
    _descend(
        x.indptr, x.indices, x.data, y, order, weights, bias,
        np.float32(STEPS[loss]), np.float32(penalty), loss == "softmax",
    )  # fmt: skip
    return weights, bias


@partial(compiled, fastmath=True)
def _descend(
    start: NDArray[np.int32], column: NDArray[np.int32], value: Floats, y: NDArray[np.int64],
    order: NDArray[np.int64], weights: Floats, bias: Floats, step: np.float32, penalty: np.float32,
    softmax: bool,
) -> None:  # fmt: skip
    """One update of weights and bias, in place, for each row of `order`.

    Weights are kept as ``scale * weights``, so that shrinking all of them is one product.
    """
    scale, k, slope = np.float32(1), weights.shape[1], np.empty(weights.shape[1], np.float32)
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
        for c in range(k):
            bias[c] -= np.float32(BIAS_RATE) * rate * slope[c]
            slope[c] *= rate / scale
        for q in range(start[row], start[row + 1]):
            w, v = weights[column[q]], value[q]
            for c in range(k):
                w[c] -= v * slope[c]
        if scale < 1e-6:
            weights *= scale
            scale = np.float32(1)
    weights *= scale


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
