"""Models of CatBoost as plain arrays, which score without the package, and in its own format.

The package has no C interface for scores and takes longer to import than all else that a prediction
needs. Columns are rounded to 32 bits and compared with borders of 32 bits, as it does; leaves are
summed tree after tree.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from trueness.baselines.arrays import Trees, kept_arrays, opened_arrays
from trueness.baselines.fitted import Array, Kept

OWN_FORMAT = "model.cbm"


@dataclass(frozen=True)
class SymmetricTrees:
    """Trees that ask the same question in all nodes of a level, one after the other.

    Attributes
    ----------
    depth : (t,) int32
        Levels of each tree.
    feature, border : (s,) int32, float64
        Column of each level, and the number above which a row sets the bit of the level.
    unknown_above : (s,) bool
        Whether rows without a number set it.
    leaves : (l,) float64
        ``2 ** depth`` per tree, by the bits of its levels, the first the lowest.
    """

    depth: NDArray[np.int32]
    feature: NDArray[np.int32]
    border: Array
    unknown_above: NDArray[np.bool_]
    leaves: Array

    def sums(self, x: Array) -> Array:
        """The leaves of rows (n, p), summed (n,)."""
        columns, total = np.ascontiguousarray(x.T), np.zeros(len(x))
        unknown = np.isnan(columns) if np.isnan(columns).any() else None
        level = leaf = 0
        for depth in self.depth.tolist():
            index = np.full(len(x), leaf)
            for bit in range(depth):
                column = self.feature[level]
                over = columns[column] > self.border[level]
                if unknown is not None and self.unknown_above[level]:
                    over |= unknown[column]
                index += over.astype(np.int64) << bit
                level += 1
            total += self.leaves[index]
            leaf += 1 << depth
        return total

    def kept(self) -> dict[str, bytes]:
        """Its arrays."""
        return kept_arrays(vars(self))

    @classmethod
    def opened(cls, files: Mapping[str, bytes]) -> Self:
        """From its arrays; those that are no trees are a ValueError."""
        kinds = {"depth": np.int32, "feature": np.int32, "border": np.float64,
                 "unknown_above": np.bool_, "leaves": np.float64}  # fmt: skip
        trees = cls(*opened_arrays(files, kinds))
        levels, leaves = trees.depth.sum(), (2.0**trees.depth).sum()
        if (levels, levels, leaves) != (len(trees.feature), len(trees.border), len(trees.leaves)):
            raise ValueError("levels and leaves are not those of the trees")
        return trees


@dataclass(frozen=True)
class CatBoost:
    """A model of CatBoost.

    Attributes
    ----------
    content : bytes
        In the format of the package, for what scores do not need.
    trees : SymmetricTrees or Trees
        Those that count.
    count : int
    scale, bias : float
        Of the sum of their leaves.
    """

    content: bytes
    trees: SymmetricTrees | Trees
    count: int
    scale: float
    bias: float
    form: ClassVar[str] = "catboost"

    @classmethod
    def of(cls, model: Any, trees: int) -> Self:  # noqa: ANN401 - a catboost.CatBoost
        """From a fitted model of two classes on numbers, whose first trees count."""
        with tempfile.TemporaryDirectory() as folder:
            own, plain = Path(folder) / OWN_FORMAT, Path(folder) / "model.json"
            model.save_model(str(own))
            model.save_model(str(plain), format="json")
            content, written = own.read_bytes(), json.loads(plain.read_text())
        scale, (bias,) = written["scale_and_bias"]
        features = written["features_info"]["float_features"]
        above = [one["nan_value_treatment"] == "AsTrue" for one in features]
        if "trees" in written:
            made = Trees.joined(_single(tree, above) for tree in written["trees"][:trees])
        else:
            made = _symmetric(written["oblivious_trees"][:trees], above)
        return cls(content, made, trees, float(scale), float(bias))

    @property
    def model(self) -> Any:  # noqa: ANN401 - a catboost.CatBoost
        """The model of the package, without the trees that do not count."""
        import catboost

        model = catboost.CatBoost()
        model.load_model(blob=self.content)
        if model.tree_count_ > self.count:
            model.shrink(ntree_end=self.count)
        return model

    def logits(self, x: Array) -> Array:
        """Logits (n,)."""
        narrow = np.asarray(x, np.float32).astype(np.float64)
        return self.scale * self.trees.sums(narrow) + self.bias

    def contributions(self, x: Array) -> Array:
        """TreeSHAP of each column, (n, p); see `Explained`."""
        import catboost

        result = self.model.get_feature_importance(
            catboost.Pool(x), type="ShapValues", thread_count=1
        )
        return np.asarray(result)[:, :-1]

    def kept(self) -> Kept:
        """Its own format, and its arrays."""
        symmetric = isinstance(self.trees, SymmetricTrees)
        settings = {"trees": self.count, "symmetric": symmetric, "scale": self.scale,
                    "bias": self.bias}  # fmt: skip
        return settings, {OWN_FORMAT: self.content, **self.trees.kept()}

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From what `kept` gave; the package is not asked."""
        kind = SymmetricTrees if settings["symmetric"] else Trees
        scale, bias = float(settings["scale"]), float(settings["bias"])
        return cls(files[OWN_FORMAT], kind.opened(files), int(settings["trees"]), scale, bias)


def _symmetric(trees: Sequence[Mapping[str, Any]], above: Sequence[bool]) -> SymmetricTrees:
    """Trees of the JSON of the package."""
    splits = [tree.get("splits") or [] for tree in trees]
    levels = [split for some in splits for split in some]
    feature = [split["float_feature_index"] for split in levels]
    return SymmetricTrees(
        np.array([len(some) for some in splits], np.int32), np.array(feature, np.int32),
        np.array([split["border"] for split in levels], np.float64),
        np.array([above[at] for at in feature], bool),
        np.array([leaf for tree in trees for leaf in tree["leaf_values"]], np.float64),
    )  # fmt: skip


def _single(tree: Mapping[str, Any], unknown: Sequence[bool]) -> Trees:
    """A tree of the JSON of the package whose nodes ask questions of their own."""
    feature: list[int] = []
    value: list[float] = []
    following: dict[tuple[int, int], int] = {}
    pending: list[tuple[Mapping[str, Any], int, int]] = [(tree, -1, 0)]
    while pending:
        node, parent, side = pending.pop()
        at = len(feature)
        following[parent, side] = at
        split = node.get("split")
        feature.append(split["float_feature_index"] if split else 0)
        value.append(float(split["border"] if split else node["value"]))
        if split:
            pending += [(node["left"], at, 0), (node["right"], at, 1)]
    below, above = (
        np.array([following.get((at, side), at) for at in range(len(feature))], np.int32)
        for side in (0, 1)
    )
    return Trees(np.zeros(1, np.int32), np.array(feature, np.int32), np.array(value), below, above,
                 np.array([unknown[at] for at in feature], bool))  # fmt: skip
