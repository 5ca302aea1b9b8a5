"""Trees of boosting as one node of an ONNX graph: sums of leaves, compared as their package does.

Splits of LightGBM and of scikit-learn's histogram boosting are numbers of 64 bits. Rounded to 32,
as common converters write them, rows next to one would take the other branch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from trueness.baselines import arrays
from trueness.baselines.arrays import Trees
from trueness.bundle.graph import ML, Graph
from trueness.errors import TruenessError

LEQ, LT, LEAF = "BRANCH_LEQ", "BRANCH_LT", "LEAF"


@dataclass(frozen=True)
class Node:
    """A split or a leaf; `value` is the number that a feature is compared with, or the leaf's.

    Attributes
    ----------
    tree, id : int
    mode : {"BRANCH_LEQ", "BRANCH_LT", "LEAF"}
    value : float
    feature, yes, no : int
        Column; nodes that follow where the comparison holds and where it does not.
    """

    tree: int
    id: int
    mode: str
    value: float
    feature: int = 0
    yes: int = 0
    no: int = 0


def unsupported(what: str) -> TruenessError:
    """A refusal of a model that has no graph."""
    return TruenessError(f"{what} cannot become an ONNX graph", "no_converter")


def summed(graph: Graph, columns: str, nodes: list[Node], base: float, kind: str) -> str:
    """Logits (N,) of columns (N, p): a number, and a leaf of each tree.

    Parameters
    ----------
    graph : Graph
    columns : str
        In `kind`.
    nodes : list of Node
    base : float
    kind : {"float32", "float64"}
        In which features are compared.
    """
    leaves = [node for node in nodes if node.mode == LEAF]
    splits = [0.0 if node.mode == LEAF else node.value for node in nodes]
    attributes: dict[str, Any] = {
        "nodes_treeids": [node.tree for node in nodes],
        "nodes_nodeids": [node.id for node in nodes],
        "nodes_modes": [node.mode for node in nodes],
        "nodes_featureids": [node.feature for node in nodes],
        "nodes_truenodeids": [node.yes for node in nodes],
        "nodes_falsenodeids": [node.no for node in nodes],
        "target_treeids": [leaf.tree for leaf in leaves],
        "target_nodeids": [leaf.id for leaf in leaves], "target_ids": [0] * len(leaves),
        "n_targets": 1, "post_transform": "NONE", "aggregate_function": "SUM",
    }  # fmt: skip
    weights = [leaf.value for leaf in leaves]
    if kind == "float32":
        attributes |= {"nodes_values": splits, "target_weights": weights, "base_values": [base]}
    else:
        numbers = {"nodes_values": splits, "target_weights": weights, "base_values": [base]}
        attributes |= {f"{name}_as_tensor": numpy_helper.from_array(np.array(values), name)
                       for name, values in numbers.items()}  # fmt: skip
    return graph.row(graph.node("TreeEnsembleRegressor", columns, domain=ML, **attributes))


# ------------------------------------------------------------------------------------ scikit-learn


def of_arrays(trees: Trees) -> list[Node]:
    """Nodes of trees that are kept as arrays."""
    tree = np.searchsorted(trees.roots, np.arange(len(trees.value)), side="right") - 1
    own = np.arange(len(trees.value)) - trees.roots[tree]
    sides = (trees.below - trees.roots[tree], trees.above - trees.roots[tree])
    columns = (tree, own, trees.is_leaf, trees.value, trees.feature, *sides)
    return [
        Node(t, i, LEAF, value) if leaf else Node(t, i, LEQ, value, feature, yes, no)
        for t, i, leaf, value, feature, yes, no
        in zip(*(one.tolist() for one in columns), strict=True)
    ]  # fmt: skip


def of_histograms(model: Any) -> tuple[list[Node], float]:  # noqa: ANN401
    """Nodes of a `HistGradientBoostingClassifier` of others, and its first number."""
    if getattr(model, "_preprocessor", None) is not None:
        raise unsupported("boosting with categories")
    trees, base = arrays.of_histograms(model, len(model._predictors))
    return of_arrays(trees), base


# ---------------------------------------------------------------------------------------- LightGBM


def of_lightgbm(model: Any, trees: int) -> list[Node]:  # noqa: ANN401
    """Nodes of a `lightgbm.Booster`, of its first trees."""
    result = model.dump_model(num_iteration=trees)["tree_info"]
    return [node for tree, one in enumerate(result) for node in _lightgbm(tree, one)]


def _lightgbm(tree: int, result: dict[str, Any]) -> Iterator[Node]:
    pending, last = [(0, result["tree_structure"])], 0
    while pending:
        at, one = pending.pop()
        if "split_feature" not in one:
            if "leaf_coeff" in one:
                raise unsupported("LightGBM with linear trees")
            yield Node(tree, at, LEAF, float(one["leaf_value"]))
            continue
        if one["decision_type"] != "<=" or one["missing_type"] == "Zero":
            raise unsupported("LightGBM with categories, or with zero as missing,")
        yes, no = last + 1, last + 2
        last += 2
        yield Node(tree, at, LEQ, float(one["threshold"]), int(one["split_feature"]), yes, no)
        pending += [(yes, one["left_child"]), (no, one["right_child"])]


# ----------------------------------------------------------------------------------------- XGBoost


def of_xgboost(model: Any) -> tuple[list[Node], float]:  # noqa: ANN401
    """Nodes of an `xgboost.Booster`, and its first number."""
    learner = json.loads(bytes(model.save_raw("json")))["learner"]
    nodes: list[Node] = []
    for tree, one in enumerate(learner["gradient_booster"]["model"]["trees"]):
        if any(one["split_type"]):
            raise unsupported("XGBoost with categories")
        columns = zip(one["left_children"], one["right_children"], one["split_indices"],
                      one["split_conditions"], strict=True)  # fmt: skip
        for i, (yes, no, feature, value) in enumerate(columns):
            nodes.append(Node(tree, i, LEAF, value) if yes < 0
                         else Node(tree, i, LT, value, feature, yes, no))  # fmt: skip
    p = np.float64(learner["learner_model_param"]["base_score"].strip("[]"))
    return nodes, float(np.log(p / (1 - p)))


# ---------------------------------------------------------------------------------------- CatBoost


def of_catboost(graph: Graph, columns: str, written: bytes) -> str:
    """Logits (N,) of what CatBoost exported itself: its trees as they are, without a sigmoid."""
    import onnx

    (node, *_) = onnx.load_model_from_string(written).graph.node
    known = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    positive = [i for i, label in enumerate(known["class_ids"]) if label == 1]
    attributes = {name: value for name, value in known.items() if name.startswith("nodes_")}
    for name in ("treeids", "nodeids", "weights"):
        attributes[f"target_{name}"] = [known[f"class_{name}"][i] for i in positive]
    attributes |= {"target_ids": [0] * len(positive), "n_targets": 1, "post_transform": "NONE",
                   "aggregate_function": "SUM"}  # fmt: skip
    if "base_values" in known:
        attributes["base_values"] = list(known["base_values"])[-1:]
    return graph.row(graph.node("TreeEnsembleRegressor", columns, domain=ML, **attributes))
