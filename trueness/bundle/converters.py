"""Each form of a fitted model as a part of an ONNX graph; a new form is a row of `CONVERTERS`.

Models are given columns in the precision in which they compute themselves.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trueness.baselines.catboost_trees import CatBoost
from trueness.baselines.fitted import CLIP
from trueness.baselines.foreign import method_of, positive_column
from trueness.bundle.format import NETWORK
from trueness.bundle.graph import ML, ML_OPSET, Graph
from trueness.bundle.opened import Opened
from trueness.bundle.trees import (
    of_arrays,
    of_catboost,
    of_histograms,
    of_lightgbm,
    of_xgboost,
    summed,
    unsupported,
)
from trueness.errors import SpecError
from trueness.onnxfile import OPSET, Session, network_graph
from trueness.own import translate_errors

IN_32_BITS = ("sklearn.tree.", "sklearn.ensemble._forest", "sklearn.ensemble._gb")
"""Modules of estimators that round what they are given to 32 bits."""
TRIED = 3
"""Rows on which a graph of another package is tried."""


@dataclass(frozen=True)
class Rows:
    """What a part of a graph reads: windows (N, L, C), or columns (N, C) of windows of one row.

    Attributes
    ----------
    tensor : str
        Of float32.
    context, n_features : int
        L and C.
    flat : bool
        Whether they are columns, those of the last row.
    """

    tensor: str
    context: int
    n_features: int
    flat: bool


Converter = Callable[[Graph, Opened, Rows, Path], str]
"""Logits (N,) float64 that it adds to a graph; the path is the folder of own files."""


# ---------------------------------------------------------------------------------------- networks


def _network(graph: Graph, one: Opened, rows: Rows, base_folder: Path) -> str:
    import torch

    from trueness.fit.scoring import network_of

    spec = one.member.spec
    shape = (3, rows.context, rows.n_features)
    network = network_of(spec, one.fitted, rows.n_features, rows.context, base_folder)
    example = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    made = network_graph(network, (example,), ["x"], ["logit"], [{0: "rows"}], spec.label())
    x = rows.tensor
    if rows.flat:
        x = graph.node("Unsqueeze", x, graph.constant(np.array([1], np.int64)))
    return graph.row(graph.embedded(made, {"x": x}, "logit"))


# ----------------------------------------------------------------------------------------- columns


def _columns(graph: Graph, one: Opened, rows: Rows) -> str:
    """What `trueness.baselines.inputs.columns_of` makes of windows, (N, p) float64."""
    rule, x = one.member.spec.model.inputs, rows.tensor
    last = x if rows.flat else graph.taken(x, 1, rows.context - 1)
    if rows.flat or rule == "last" or (rule == "summary" and rows.context == 1):
        return graph.cast(last, "float64")
    wide = graph.cast(x, "float64")
    if rule == "summary":
        means = graph.node("ReduceMean", wide, graph.constant(np.array([1], np.int64)), keepdims=0)
        return graph.node("Concat", graph.cast(last, "float64"), means, axis=1)
    backwards = graph.taken(wide, 1, np.arange(rows.context)[::-1])
    shape = graph.constant(np.array([-1, rows.context * rows.n_features], np.int64))
    return graph.node("Reshape", backwards, shape)


def _constant(graph: Graph, one: Opened, rows: Rows, base_folder: Path) -> str:
    del base_folder
    first = graph.row(graph.taken(_columns(graph, one, rows), 1, 0))
    return graph.scaled(graph.node("Mul", first, graph.constant(np.float64(0))), 1,
                        one.fitted.value)  # fmt: skip


def _linear(graph: Graph, one: Opened, rows: Rows, base_folder: Path) -> str:
    del base_folder
    fitted, x = one.fitted, _columns(graph, one, rows)
    if fitted.columns:
        x = graph.taken(x, 1, np.array(fitted.columns))
    centred = graph.node("Sub", x, graph.constant(fitted.centre))
    scaled = graph.node("Div", centred, graph.constant(fitted.spread))
    products = graph.node("MatMul", scaled, graph.constant(fitted.weights[:, None]))
    return graph.scaled(graph.row(products), 1, fitted.intercept)


def _forest(graph: Graph, one: Opened, rows: Rows, base_folder: Path) -> str:
    del base_folder
    nodes, trees = of_arrays(one.fitted.trees), len(one.fitted.trees.roots)
    narrow = graph.cast(graph.cast(_columns(graph, one, rows), "float32"), "float64")
    votes = summed(graph, narrow, nodes, 0.0, "float64")
    return _log_odds(graph, graph.scaled(votes, 1 / trees, 0.0))


def _boosting(graph: Graph, one: Opened, rows: Rows, base_folder: Path) -> str:
    del base_folder
    nodes = of_arrays(one.fitted.trees)
    return summed(graph, _columns(graph, one, rows), nodes, one.fitted.base, "float64")


def _lightgbm(graph: Graph, one: Opened, rows: Rows, base_folder: Path) -> str:
    del base_folder
    nodes = of_lightgbm(one.fitted.model, one.fitted.trees)
    return summed(graph, _columns(graph, one, rows), nodes, 0.0, "float64")


def _xgboost(graph: Graph, one: Opened, rows: Rows, base_folder: Path) -> str:
    del base_folder
    nodes, base = of_xgboost(one.fitted.model)
    return summed(graph, graph.cast(_columns(graph, one, rows), "float32"), nodes, base, "float32")


def _catboost(graph: Graph, one: Opened, rows: Rows, base_folder: Path) -> str:
    del base_folder
    columns = graph.cast(_columns(graph, one, rows), "float32")
    return catboost_logits(graph, columns, one.fitted)


def catboost_logits(graph: Graph, columns: str, fitted: CatBoost) -> str:
    """Logits (N,) of float32 columns (N, p), by what CatBoost exports itself."""
    with (
        tempfile.TemporaryDirectory() as folder,
        translate_errors("CatBoost cannot become an ONNX graph", "no_converter"),
    ):
        path = Path(folder) / "model.onnx"
        fitted.model.save_model(str(path), format="onnx")
        written = path.read_bytes()
    return of_catboost(graph, columns, written)


# ---------------------------------------------------------------------------- scikit-learn, others


def _foreign(graph: Graph, one: Opened, rows: Rows, base_folder: Path) -> str:
    del base_folder
    x, model = _columns(graph, one, rows), one.fitted.model
    if type(model).__name__ == "HistGradientBoostingClassifier":
        nodes, base = of_histograms(model)
        return summed(graph, x, nodes, base, "float64")
    method = method_of(model)
    made, kind, classes = _converted(model, method)
    result = graph.embedded(made, {"x": graph.cast(x, kind)}, made.graph.output[-1].name)
    shape = graph.constant(np.array([-1, classes], np.int64))
    scores = graph.node("Reshape", result, shape)
    at = positive_column(model) if classes > 1 and method == "predict_proba" else classes - 1
    score = graph.row(graph.taken(scores, 1, at))
    return score if method == "decision_function" else _log_odds(graph, score)


def _converted(model: Any, method: str) -> tuple[Any, str, int]:  # noqa: ANN401
    """The graph that skl2onnx writes, its scores last; kind of what it reads, scores of a row.

    Converters of skl2onnx know some options and some kinds of numbers each, and do not say which:
    the first graph that a runtime opens is taken.
    """
    narrow = type(model).__module__.startswith(IN_32_BITS)
    kinds = ("float32", "float64") if narrow else ("float64", "float32")
    raw = {"raw_scores": True} if method == "decision_function" else {}
    every = [(kind, options) for kind in kinds for options in ({"zipmap": False, **raw}, raw)]
    for kind, options in every:
        try:
            return _written(model, kind, options)
        except SpecError as error:
            refused = error
    raise refused


def _written(
    model: Any, kind: str, options: dict[str, bool]  # noqa: ANN401
) -> tuple[Any, str, int]:  # fmt: skip
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    final = model
    while hasattr(final, "steps"):
        final = final.steps[-1][1]
    tensor: Any = {"float32": FloatTensorType, "float64": DoubleTensorType}[kind]
    what = f"{type(final).__name__} cannot become an ONNX graph"
    with translate_errors(what, "no_converter"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of attributes that scikit-learn is about to drop
        made = to_onnx(
            model, initial_types=[("x", tensor([None, model.n_features_in_]))],
            options={id(final): options}, target_opset={"": OPSET, ML: ML_OPSET},
        )  # fmt: skip
        session = Session(made.SerializeToString())
        scores = session.run({"x": np.zeros((TRIED, model.n_features_in_), kind)})
        last = scores[session.outputs[-1]]
        if last.dtype.kind != "f" or last.size not in (TRIED, 2 * TRIED):
            raise ValueError(f"its scores are {last.dtype} {last.shape}")
    return made, kind, last.size // TRIED


def _log_odds(graph: Graph, p: str) -> str:
    """What `trueness.baselines.fitted.log_odds` makes of probabilities (N,) float64."""
    low, high = (graph.constant(np.float64(bound)) for bound in (CLIP, 1 - CLIP))
    kept = graph.node("Clip", p, low, high)
    odds = graph.node("Div", kept, graph.scaled(kept, -1.0, 1.0))
    return graph.node("Log", odds)


CONVERTERS: dict[str, Converter] = {
    NETWORK: _network,
    "constant": _constant,
    "linear": _linear,
    "forest": _forest,
    "boosting": _boosting,
    "estimator": _foreign,
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "catboost": _catboost,
}
"""Form of a member -> what adds it to a graph."""


def added(graph: Graph, one: Opened, rows: Rows, base_folder: Path) -> str:
    """Logits (N,) float64 of a member, added to a graph.

    Raises
    ------
    TruenessError
        With code ``no_converter``.
    """
    if one.member.form not in CONVERTERS:
        raise unsupported(f"a model of the form {one.member.form}")
    return CONVERTERS[one.member.form](graph, one, rows, base_folder)
