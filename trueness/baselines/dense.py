"""Linear classifiers of many classes on dense rows, fitted to their optimum by L-BFGS.

Rows are read some thousand at a time, so that they may be mapped from disk; columns are brought to
one scale without a copy of the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

Array: TypeAlias = NDArray[np.float64]
Floats: TypeAlias = NDArray[np.float32]
Index: TypeAlias = NDArray[np.int64]
Loss: TypeAlias = Callable[[Array, Index], tuple[float, Array]]
"""Scores (n, K) and classes (n,) to the summed loss and its slopes (n, K)."""

ITERATIONS = 100
_PORTION = 8192


def column_scales(x: Floats) -> tuple[Floats, Floats]:
    """Means and standard deviations (D,) of the columns of rows (n, D); 1 for a constant one.

    Examples
    --------
    >>> mean, scale = column_scales(np.array([[0, 5], [2, 5]], np.float32))
    >>> mean.tolist(), scale.tolist()
    ([1.0, 5.0], [1.0, 1.0])
    """
    total, square = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for rows in _portions(len(x)):
        total += x[rows].sum(axis=0, dtype=np.float64)
    mean = total / max(len(x), 1)
    for rows in _portions(len(x)):
        square += ((x[rows] - mean) ** 2).sum(axis=0)
    scale = np.sqrt(square / max(len(x), 1))
    return mean.astype(np.float32), np.where(scale > 0, scale, 1).astype(np.float32)


class DenseLinear:
    """Linear classifiers of rows by the smallest mean loss plus a penalty.

    Liu and Nocedal, "On the Limited Memory BFGS Method for Large Scale Optimization" (1989).

    Parameters
    ----------
    x : (n, D) float32
    y : (n,) int
        Classes, 0 to K - 1.
    n_classes : int
        K.
    loss : {"softmax", "squared_hinge"}
        Log loss of all classes together, or one class against the rest.

    Examples
    --------
    >>> x = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    >>> weights, bias = DenseLinear(x, np.arange(6) % 3, 3, "softmax").fit(1e-3)
    >>> (x @ weights + bias).argmax(axis=1)
    array([0, 1, 2, 0, 1, 2])
    """

    def __init__(
        self, x: Floats, y: Index, n_classes: int, loss: Literal["softmax", "squared_hinge"]
    ) -> None:
        self._x, self._y, self._classes = x, y, n_classes
        self._mean, self._scale = column_scales(x)
        self._loss = _LOSSES[loss]
        self._start = np.zeros((x.shape[1] + 1) * n_classes)

    def fit(self, penalty: float) -> tuple[Floats, Floats]:
        """Weights (D, K) and intercepts (K,), both float32, of rows as they are.

        The penalty is half of it times the squared weights of columns of deviation 1. Each fit
        begins where the one before ended.
        """
        result = minimize(self._value, self._start, (penalty,), "L-BFGS-B", jac=True,
                         options={"maxiter": ITERATIONS, "ftol": 1e-7, "gtol": 1e-5})  # fmt: skip
        self._start = result.x
        weights, bias = self._unfolded(result.x)
        return weights.astype(np.float32), bias.astype(np.float32)

    def _unfolded(self, flat: Array) -> tuple[Array, Array]:
        """Weights and intercepts of rows as they are, from those of columns of one scale."""
        every = flat.reshape(-1, self._classes)
        weights = every[:-1] / self._scale[:, None]
        return weights, every[-1] - self._mean @ weights

    def _value(self, flat: Array, penalty: float) -> tuple[float, Array]:
        weights, bias = (one.astype(np.float32) for one in self._unfolded(flat))
        total, slope, sums = 0.0, np.zeros(weights.shape), np.zeros(self._classes)
        for rows in _portions(len(self._x)):
            x = self._x[rows]
            value, slopes = self._loss((x @ weights + bias).astype(np.float64), self._y[rows])
            total += value
            slope += x.T @ slopes.astype(np.float32)
            sums += slopes.sum(axis=0)
        slope = (slope - self._mean[:, None] * sums) / self._scale[:, None]
        own = flat.reshape(-1, self._classes)[:-1]
        n = max(len(self._x), 1)
        gradient = np.vstack([slope / n + penalty * own, sums / n])
        return total / n + penalty / 2 * float((own**2).sum()), gradient.ravel()


def _portions(n: int) -> list[slice]:
    return [slice(begin, min(begin + _PORTION, n)) for begin in range(0, n, _PORTION)]


def _softmax(scores: Array, y: Index) -> tuple[float, Array]:
    every = np.arange(len(y))
    top = logsumexp(scores, axis=1)
    slopes = np.exp(scores - top[:, None])
    slopes[every, y] -= 1
    return float((top - scores[every, y]).sum()), slopes


def _squared_hinge(scores: Array, y: Index) -> tuple[float, Array]:
    side = np.full(scores.shape, -1.0)
    side[np.arange(len(y)), y] = 1
    lacking = np.maximum(1 - side * scores, 0)
    return float((lacking**2).sum()), -2 * side * lacking


_LOSSES: dict[str, Loss] = {"softmax": _softmax, "squared_hinge": _squared_hinge}
