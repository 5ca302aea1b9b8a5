"""Linear models on n-grams as an ONNX graph: it weighs, scores and averages as they do."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueness.baselines.ngrams import NGrams, Vectorizer
from trueness.bundle.graph import file_of
from trueness.bundle.graph_ngrams import ngrams_graph
from trueness.errors import TruenessError
from trueness.onnxfile import Session

KNOWN = pl.Series(["red running shoe", "Kochbuch für Kinder", "gold ring", "red ring", "犬用 首輪"])
K = 3


def _model(seed, texts=KNOWN, share=1.0):
    """Random weights of a share of the n-grams of some texts."""
    rng = np.random.default_rng(seed)
    vectorizer, x = Vectorizer.fitted(texts)
    seen = np.unique(x.indices)
    columns = np.sort(rng.choice(seen, int(share * len(seen)), replace=False)).astype(np.int64)
    weights, bias = (rng.normal(size=size).astype(np.float32) for size in ((len(columns), K), K))
    return NGrams(vectorizer, columns, weights, bias, float(rng.uniform(0.5, 2)))


def _mean(models, texts):
    return np.mean([one.logits(texts) for one in models], axis=0, dtype=np.float64)


@pytest.fixture(scope="module")
def made():
    """Two models with weights of different n-grams, their graph and its session."""
    models = [_model(0, share=0.7), _model(1)]
    graph = ngrams_graph(models, lambda texts: _mean(models, texts), "two")
    return models, graph, Session(file_of(graph.model, {}))


WORDS = st.sampled_from(["red", "ring", "Shoe", "für", "犬用", "unseen", "zz9", "", "x" * 1200])


@given(st.lists(st.lists(WORDS, max_size=6).map(" ".join), min_size=1, max_size=9))
@settings(max_examples=15, deadline=None)
def test_logits_and_probabilities_are_those_of_the_models(made, texts):
    models, graph, session = made
    column, seen = pl.Series(texts, dtype=pl.String), np.zeros(len(texts), int)
    expected = _mean(models, column)
    np.testing.assert_allclose(graph.logits(column), expected)
    temperature = np.linspace(0.5, 2, len(texts), dtype=np.float32)
    for rows, inputs in graph.batches(column):
        said = session.run({**inputs, "temperature": temperature[rows]})
        seen[rows] += 1
        np.testing.assert_allclose(said["logits"], expected[rows], atol=1e-5)
        for name, by in (("probability", 1.0), ("calibrated", temperature[rows, None])):
            odds = np.exp(expected[rows] / by)
            np.testing.assert_allclose(said[name], odds / odds.sum(1, keepdims=True), atol=1e-6)
    assert (seen == 1).all()


def test_what_fills_up_short_rows_says_nothing(made):
    _, graph, session = made
    ((_, inputs),) = graph.batches(pl.Series(["gold ring"]))
    wider = {"bucket": np.pad(inputs["bucket"], ((0, 0), (0, 7)), constant_values=5),
             "count": np.pad(inputs["count"], ((0, 0), (0, 7)))}  # fmt: skip
    temperature = {"temperature": np.ones(1, np.float32)}
    first, second = (session.run({**one, **temperature})["logits"] for one in (inputs, wider))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_a_file_holds_the_weights_that_there_are_and_no_empty_bucket(made):
    models, graph, _ = made
    weights = len(np.union1d(*(one.columns for one in models))) * (K + 4) * 4
    assert len(file_of(graph.model, {})) < weights + 20_000


def test_a_graph_that_no_file_holds_is_refused(made, monkeypatch):
    monkeypatch.setattr("trueness.bundle.graph.MOST_BYTES", 1000)
    with pytest.raises(TruenessError) as caught:
        file_of(made[1].model, {})
    assert caught.value.code == "too_large"


def test_models_of_other_texts_have_no_graph_in_common():
    models = [_model(0), _model(0, KNOWN[:3])]
    with pytest.raises(TruenessError) as caught:
        ngrams_graph(models, lambda texts: _mean(models, texts), "two")
    assert caught.value.code == "no_converter"
