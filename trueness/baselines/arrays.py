"""Models of scikit-learn as plain arrays, which score without it.

``import sklearn`` takes longer than all else that a prediction needs. Answers are those of the
estimators to rounding of the last digit; graphs of ONNX are made from the same arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from trueness.baselines.fitted import Array, Kept, log_odds

ARRAYS = "arrays.safetensors"


def kept_arrays(arrays: Mapping[str, NDArray[Any]]) -> dict[str, bytes]:
    """A file of arrays."""
    from safetensors.numpy import save

    return {ARRAYS: save({name: np.ascontiguousarray(one) for name, one in arrays.items()})}


def opened_arrays(files: Mapping[str, bytes], kinds: Mapping[str, type]) -> list[Any]:
    """Rows of numbers of a file by name, each of a kind."""
    from safetensors.numpy import load

    result = load(files[ARRAYS])
    for name, kind in kinds.items():
        if result[name].dtype != kind or result[name].ndim != 1:
            raise ValueError(f"{name} is no row of numbers of the kind {kind.__name__}")
    return [result[name] for name in kinds]


# ------------------------------------------------------------------------------------------- lines


@dataclass(frozen=True)
class Linear:
    """Logistic regression on standardised columns.

    Attributes
    ----------
    centre, spread, weights : (p,) float64
    intercept : float
    columns : tuple of int
        Those that it reads, p of them; all without any.
    """

    centre: Array
    spread: Array
    weights: Array
    intercept: float
    columns: tuple[int, ...] = ()
    form: ClassVar[str] = "linear"

    @classmethod
    def of(cls, pipeline: Any, columns: tuple[int, ...] = ()) -> Self:  # noqa: ANN401
        """From a pipeline of a `StandardScaler` and a `LogisticRegression`."""
        scaler, model = (step for _, step in pipeline.steps)
        weights, intercept = model.coef_[0], float(model.intercept_[0])
        return cls(scaler.mean_, scaler.scale_, weights, intercept, columns)

    def logits(self, x: Array) -> Array:
        """Logits (n,)."""
        x = x[:, list(self.columns)] if self.columns else x
        return (x - self.centre) / self.spread @ self.weights + self.intercept

    def kept(self) -> Kept:
        """Its arrays."""
        files = kept_arrays({n: getattr(self, n) for n in ("centre", "spread", "weights")})
        return {"intercept": self.intercept, "columns": list(self.columns)}, files

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From its arrays."""
        kinds = dict.fromkeys(("centre", "spread", "weights"), np.float64)
        columns = tuple(int(at) for at in settings["columns"])
        return cls(*opened_arrays(files, kinds), float(settings["intercept"]), columns)


# ------------------------------------------------------------------------------------------- trees


@dataclass(frozen=True)
class Trees:
    """Trees, the nodes of all of them one after the other.

    Attributes
    ----------
    roots : (t,) int32
        First node of each tree.
    feature : (m,) int32
        Column that a node looks at.
    value : (m,) float64
        Number that the column is compared with, or what a leaf answers.
    below, above : (m,) int32
        Nodes that come next where the column is at most the value, and where it is above it; after
        a leaf the leaf itself.
    unknown_above : (m,) bool
        Whether rows without a number take the second way.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int32]
    value: Array
    below: NDArray[np.int32]
    above: NDArray[np.int32]
    unknown_above: NDArray[np.bool_]

    @property
    def is_leaf(self) -> NDArray[np.bool_]:
        """(m,)."""
        return self.below == np.arange(len(self.below))

    @classmethod
    def joined(cls, trees: Iterable[Trees]) -> Self:
        """From single trees, each with nodes from 0 on."""
        each = list(trees)
        roots = np.cumsum([0, *(len(one.feature) for one in each[:-1])]).astype(np.int32)
        below, above = ([getattr(one, side) + root for one, root in zip(each, roots, strict=True)]
                        for side in ("below", "above"))  # fmt: skip
        same = ([getattr(one, n) for one in each] for n in ("feature", "value", "unknown_above"))
        feature, value, unknown = map(np.concatenate, same)
        return cls(roots, feature, value, np.concatenate(below), np.concatenate(above), unknown)

    def sums(self, x: Array, base: float = 0.0) -> Array:
        """A number and the leaves of rows (n, p), summed (n,) tree after tree; gaps are NaN.

        All rows go down a tree together and part at its nodes.
        """
        columns, total = np.ascontiguousarray(x.T), np.full(len(x), base)
        gaps, every = np.isnan(x).any(), np.arange(len(x))
        pending = [(root, every) for root in self.roots[::-1]] if len(x) else []
        while pending:
            at, rows = pending.pop()
            if self.below[at] == at:
                total[rows] += self.value[at]
                continue
            known = columns[self.feature[at]].take(rows)
            over = known > self.value[at]
            if gaps and self.unknown_above[at]:
                over |= np.isnan(known)
            above = rows[over]
            if len(above):
                pending.append((self.above[at], above))
            if len(above) < len(rows):
                pending.append((self.below[at], rows[~over]))
        return total

    def kept(self) -> dict[str, bytes]:
        """Its arrays."""
        return kept_arrays(vars(self))

    @classmethod
    def opened(cls, files: Mapping[str, bytes]) -> Self:
        """From its arrays; those that are no trees are a ValueError."""
        kinds = {"roots": np.int32, "feature": np.int32, "value": np.float64, "below": np.int32,
                 "above": np.int32, "unknown_above": np.bool_}  # fmt: skip
        trees = cls(*opened_arrays(files, kinds))
        following, own = np.stack([trees.below, trees.above]), np.arange(len(trees.below))
        if not ((following > own).all(axis=0) | (following == own).all(axis=0)).all():
            raise ValueError("nodes follow each other in circles")
        return trees


def of_forest(model: Any) -> Trees:  # noqa: ANN401
    """Trees of a `RandomForestClassifier` of two classes; leaves answer the share of the second."""
    return Trees.joined(
        _tree(one.children_left < 0, one.feature, one.threshold, one.value[:, 0, -1],
              (one.children_left, one.children_right), one.missing_go_to_left)
        for one in (tree.tree_ for tree in model.estimators_)
    )  # fmt: skip


def of_histograms(model: Any, trees: int) -> tuple[Trees, float]:  # noqa: ANN401
    """First trees of a `HistGradientBoostingClassifier` of two classes, and its first number."""
    chosen = [one.nodes for (one,) in model._predictors[:trees]]
    base = float(np.ravel(model._baseline_prediction)[0])
    return Trees.joined(
        _tree(one["is_leaf"].astype(bool), one["feature_idx"], one["num_threshold"], one["value"],
              (one["left"], one["right"]), one["missing_go_to_left"])
        for one in chosen
    ), base  # fmt: skip


def _tree(
    leaf: NDArray[np.bool_], feature: NDArray[Any], split: Array, answer: Array,
    sides: tuple[NDArray[Any], NDArray[Any]], unknown_left: NDArray[Any],
) -> Trees:  # fmt: skip
    """A single tree from what scikit-learn keeps of each node."""
    below, above = (np.where(leaf, np.arange(len(leaf)), side).astype(np.int32) for side in sides)
    return Trees(np.zeros(1, np.int32), np.where(leaf, 0, feature).astype(np.int32),
                 np.where(leaf, answer, split), below, above, unknown_left == 0)  # fmt: skip


@dataclass(frozen=True)
class Forest:
    """The mean vote of trees, on columns in 32 bits, as log-odds."""

    trees: Trees
    form: ClassVar[str] = "forest"

    def logits(self, x: Array) -> Array:
        """Logits (n,)."""
        narrow = x.astype(np.float32).astype(np.float64)
        return log_odds(self.trees.sums(narrow) / len(self.trees.roots))

    def kept(self) -> Kept:
        """Its arrays."""
        return {}, self.trees.kept()

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From its arrays."""
        del settings
        return cls(Trees.opened(files))


@dataclass(frozen=True)
class Boosting:
    """A first number and the sum of trees."""

    trees: Trees
    base: float
    form: ClassVar[str] = "boosting"

    def logits(self, x: Array) -> Array:
        """Logits (n,)."""
        return self.trees.sums(x, self.base)

    def kept(self) -> Kept:
        """Its arrays, and the first number."""
        return {"base": self.base}, self.trees.kept()

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From its arrays."""
        return cls(Trees.opened(files), float(settings["base"]))
