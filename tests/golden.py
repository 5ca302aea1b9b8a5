"""A store made of the golden inputs of tests/judgements, and what the first edition said of them."""

import json
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from trueness.checks import checked
from trueness.judge.measured import measured
from trueness.predictions import Predictions
from trueness.spec import Spec
from trueness.spec.titles import TitlesSpec
from trueness.store import Store

FOLDER = Path(__file__).parent / "judgements"
ESTIMATES = {"half": "0.5", "rate": "5%", "top7": "7", "top15": "15", "top30": "30"}
GROUPS = {
    "mean_language": "mean_group", "worst_language": "worst_group", "low_language": "low_group",
    "english": "majority_group",
}  # fmt: skip


@cache
def models():
    """Rules and models by task."""
    return json.loads((FOLDER / "models.json").read_text())


@cache
def expected():
    """Answers of the first edition."""
    return json.loads((FOLDER / "expected.json").read_text())


def estimate_name(old):
    """Name of an estimate today."""
    what, _, cut = old.rpartition("_")
    if what in ("precision", "recall"):
        return f"{what}@{ESTIMATES[cut]}"
    return GROUPS.get(old, old)


def market_predictions(name):
    """Predictions of one golden model on bars."""
    table = pl.read_parquet(FOLDER / "market.parquet")
    return Predictions(table.select(
        "split", "fold", pl.col("time").cast(pl.String).alias("id"), "time",
        pl.col("group").alias("regime"), "y", "y_mirror", pl.col(name).alias("score"),
        pl.col(name).alias("score_last"),
    ))  # fmt: skip


def titles_predictions(name):
    """Predictions of one golden model on titles."""
    table = pl.read_parquet(FOLDER / "titles.parquet")
    return Predictions(table.select(
        "split", pl.lit(0, pl.Int16).alias("fold"), "id", pl.col("language").alias("group"),
        "cluster", "y", pl.col(name).alias("scores"),
    ), classes=tuple(models()["titles"]["classes"]))  # fmt: skip


def _common(model):
    return {
        "notes": [],
        "seconds": 1.0,
        "device": "cpu",
        "precision": "float32",
        "data": {"bars": "golden", "digest": "golden", "as_of": "2013-01-01"},
        "parameters": 0 if model["baseline"] else 1000,
    } | {n: model[n] for n in ("best_epochs", "last_epochs", "incidents", "chosen") if n in model}


def fill_market(store):
    """Write every golden model on bars; their names are the ids of the campaign golden."""
    store.prepare()
    rules = models()["market"]
    parts = (
        pl.read_parquet(FOLDER / "market.parquet")
        .group_by("fold", "split")
        .agg(pl.len(), pl.col("y").sum())
    )
    folds = [{s: [n, int(k)] for f, s, n, k in parts.iter_rows() if f == fold} for fold in (0, 1)]
    for model in rules["models"]:
        spec, predictions = Spec.model_validate(model["spec"]), market_predictions(model["name"])
        record = _common(model) | measured(spec, predictions)
        record |= {"features": rules["features"], "folds": folds}
        record |= checked(spec, record, predictions)
        history = pl.DataFrame(schema={"fold": pl.Int64, "epoch": pl.Int64})
        assert store.write(spec, record, predictions.frame, history)
        store.write_campaign("golden", {model["name"]: spec.key})
    return store


def fill_titles(store):
    """Write every golden model on titles; their names are the ids of the campaign golden-titles."""
    store.prepare()
    for model in models()["titles"]["models"]:
        spec = TitlesSpec.model_validate(_renamed(model["spec"]))
        predictions = titles_predictions(model["name"])
        record = _common(model) | measured(spec, predictions)
        record |= checked(spec, record, predictions)
        history = pl.DataFrame(schema={"epoch": pl.Int64})
        assert store.write(spec, record, predictions.frame, history)
        store.write_campaign("golden-titles", {model["name"]: spec.key})
    return store


def _renamed(spec):
    text = json.dumps(spec)
    for old, new in GROUPS.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    return json.loads(text)


def named(store, campaign="golden"):
    """Key -> name of the golden models in a store."""
    return {keys[-1]: name for name, keys in store.campaigns()[campaign].items()}


def equal(actual, wanted, where=""):
    """Assert that two answers are equal: floats to 1e-6, the rest exactly.

    Draws are sums of float32, which round otherwise on other processors.
    """
    if isinstance(wanted, dict):
        assert set(actual) >= set(wanted), (where, set(wanted) - set(actual))
        for name, value in wanted.items():
            equal(actual[name], value, f"{where}.{name}")
    elif isinstance(wanted, list):
        assert len(actual) == len(wanted), where
        for i, (one, other) in enumerate(zip(actual, wanted, strict=True)):
            equal(one, other, f"{where}[{i}]")
    elif isinstance(wanted, float):
        assert actual == pytest.approx(wanted, rel=1e-6, abs=1e-6), (where, actual, wanted)
    else:
        assert actual == wanted, (where, actual, wanted)


@pytest.fixture(scope="session")
def golden_market(tmp_path_factory):
    """Store of the golden models on bars; read only."""
    return fill_market(Store(tmp_path_factory.mktemp("golden") / "store"))


@pytest.fixture(scope="session")
def golden_titles(tmp_path_factory):
    """Store of the golden models on titles; read only."""
    return fill_titles(Store(tmp_path_factory.mktemp("golden-titles") / "store"))
