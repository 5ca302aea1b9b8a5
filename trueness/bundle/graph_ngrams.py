"""The graph of linear models on n-grams: counts of buckets in, rarity and weights inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray
from onnx import numpy_helper
from scipy.sparse import csr_array

from trueness.baselines.ngrams import MAX_CHARACTERS, NGrams, Vectorizer, counting
from trueness.bundle.graph import Graph
from trueness.bundle.titles_graph import BATCH, TEMPERATURE, Batch, TitlesGraph
from trueness.errors import TruenessError
from trueness.text.tokens import length_batches

INPUTS = {
    "bucket": "n-grams of each text (B, F), int64; of each kind behind all of those before it",
    "count": "how often each stands there (B, F), float32; 0 fills up short rows",
}


def ngrams_graph(
    models: Sequence[NGrams], logits: Callable[[pl.Series], NDArray[np.float64]], what: str
) -> TitlesGraph:
    """The mean of linear models on the same n-grams.

    Parameters
    ----------
    models : sequence of NGrams
    logits : callable
        Texts (n,) to their mean logits (n, K).
    what : str
        What they are called in an error.

    Raises
    ------
    TruenessError
        With code ``no_converter`` if they were fitted on different texts.
    """
    vectorizer = models[0].vectorizer
    if not all(_alike(vectorizer, one.vectorizer) for one in models[1:]):
        raise TruenessError(f"{what}: its models weigh n-grams differently, one graph has one "
                            "weighting", "no_converter")  # fmt: skip
    graph = Graph()
    bucket = graph.input("bucket", (None, "width"), "int64")
    count = graph.input("count", (None, "width"))
    temperature = graph.input(TEMPERATURE, (None,))
    values = _weighted(graph, vectorizer, bucket, count)
    columns, weights, bias = _mean(models)
    place = np.full(sum(map(len, vectorizer.rarity)), len(columns), np.int32)
    place[columns] = np.arange(len(columns))
    at = _looked_up(graph, _spread(graph, place, len(columns)), bucket)
    rows = _looked_up(graph, graph.constant(weights), at)
    flat = graph.node("MatMul", _with_axis(graph, values), rows)
    scores = graph.node("Add", _without_axis(graph, flat), graph.constant(bias))
    scaled = graph.node("Div", scores, _with_axis(graph, temperature))
    for name, tensor in (("logits", scores), ("probability", graph.node("Softmax", scores)),
                         ("calibrated", graph.node("Softmax", scaled))):  # fmt: skip
        graph.output(name, tensor, (None, len(bias)))
    return TitlesGraph(
        graph.model(), INPUTS, _preparation(vectorizer),
        lambda texts: _batches(vectorizer.counts(texts)), logits,
    )  # fmt: skip


def _alike(one: Vectorizer, other: Vectorizer) -> bool:
    return one.kinds == other.kinds and all(map(np.array_equal, one.rarity, other.rarity))


def _mean(
    models: Sequence[NGrams],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Buckets (m,) that have weights; mean weights (m + 1, K), the last of no bucket; bias (K,)."""
    columns = np.unique(np.concatenate([one.columns for one in models]))
    weights = np.zeros((len(columns) + 1, models[0].weights.shape[1]), np.float32)
    bias = np.zeros(weights.shape[1], np.float64)
    for one in models:
        scale = 1 / (one.temperature * len(models))
        weights[np.searchsorted(columns, one.columns)] += one.weights * np.float32(scale)
        bias += one.bias * scale
    return columns, weights, bias.astype(np.float32)


def _weighted(graph: Graph, vectorizer: Vectorizer, bucket: str, count: str) -> str:
    """TF-IDF (B, F) of counts, as `Vectorizer.transform` weighs them."""
    one = graph.constant(np.float32(1))
    frequency = graph.node("Add", graph.node("Log", graph.node("Max", count, one)), one)
    there = graph.node("Min", count, one)
    every = np.concatenate(vectorizer.rarity)
    rarity = _looked_up(graph, _spread(graph, every, float(every.max())), bucket)
    whole = graph.node("Mul", graph.node("Mul", frequency, there), rarity)
    ends, parts = np.cumsum([0, *map(len, vectorizer.rarity)]), []
    for first, end in pairwise(ends):
        inside = graph.node(
            "And", graph.node("GreaterOrEqual", bucket, graph.constant(first)),
            graph.node("Less", bucket, graph.constant(end)),
        )  # fmt: skip
        part = graph.node("Mul", whole, graph.cast(inside, "float32"))
        length = graph.node("ReduceL2", part, graph.constant(np.array([1], np.int64)), keepdims=1)
        tiny = graph.constant(np.finfo(np.float32).tiny)
        parts.append(graph.node("Div", part, graph.node("Max", length, tiny)))
    return graph.node("Sum", *parts)


def _spread(graph: Graph, table: NDArray[np.generic], usual: float) -> str:
    """A table of which only those values are written that are not the usual one.

    A runtime makes it once, when it opens the graph.
    """
    others = np.flatnonzero(table != usual)
    size = graph.constant(np.array([len(table)], np.int64))
    value = numpy_helper.from_array(np.array([usual], table.dtype))
    whole = graph.node("ConstantOfShape", size, value=value)
    at, values = graph.constant(others.astype(np.int32)), graph.constant(table[others])
    return graph.node("ScatterElements", whole, at, values, axis=0)


def _looked_up(graph: Graph, table: str, at: str) -> str:
    return graph.node("Gather", table, at, axis=0)


def _with_axis(graph: Graph, tensor: str) -> str:
    return graph.node("Unsqueeze", tensor, graph.constant(np.array([1], np.int64)))


def _without_axis(graph: Graph, tensor: str) -> str:
    return graph.node("Squeeze", tensor, graph.constant(np.array([1], np.int64)))


def _preparation(vectorizer: Vectorizer) -> dict[str, object]:
    return {
        "max_characters": MAX_CHARACTERS,
        "ngrams": [counting(kind) for kind in vectorizer.kinds],
        "weighing": "in the graph: 1 + log of each count, times rarity; each kind has length 1",
    }


def _batches(x: csr_array) -> Iterator[Batch]:
    """Rows of similar length side by side."""
    for rows in length_batches(np.maximum(np.diff(x.indptr), 1), BATCH):
        yield rows, padded(x[rows])


def padded(x: csr_array) -> dict[str, NDArray[np.generic]]:
    """Counts as the graph reads them.

    Examples
    --------
    >>> given = padded(csr_array(np.array([[0, 2, 0], [1, 0, 3]], np.float32)))
    >>> given["bucket"].tolist(), given["count"].tolist()
    ([[1, 0], [0, 2]], [[2.0, 0.0], [1.0, 3.0]])
    """
    there = np.arange(np.diff(x.indptr).max(initial=0)) < np.diff(x.indptr)[:, None]
    bucket, count = np.zeros(there.shape, np.int64), np.zeros(there.shape, np.float32)
    bucket[there], count[there] = x.indices, x.data
    return {"bucket": bucket, "count": count}
