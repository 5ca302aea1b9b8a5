import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.stores import database, postgres, s3, store  # noqa: F401 - fixtures
from trueness.market import load_bars, load_volatility, synthetic_bars
from trueness.spec import Spec
from trueness.spec.estimator import default_baselines

for _name in ("TRUENESS_STORE", "TRUENESS_DATA", "TRUENESS_VIX"):
    os.environ.pop(_name, None)  # those of whoever runs the tests
# columns that tests compute are kept apart from the user's
os.environ["TRUENESS_CACHE"] = tempfile.mkdtemp(prefix="trueness-test-cache-")

settings.register_profile("default", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("default")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "market"

BASELINES = tuple(model.kind for model in default_baselines())
"""What is trained beside every campaign, the simplest first."""

TINY = """\
campaign: tiny
title: Two tiny transformers
defaults:
  task: {context: 20}
  evaluation: {protocol: holdout, val_start: 1993-03-01, test_start: 1994-03-01}
  model: {kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 5, stride: 5}
  recipe: {epochs: 2, batch_size: 64, learning_rate: 1e-3, precision: float32}
experiments:
  - {id: T-01..T-02, priority: P1, grid: {model.dropout: [0.0, 0.2]}}
"""


@pytest.fixture(scope="session")
def sp500():
    return load_bars("sp500")


@pytest.fixture(scope="session")
def spy():
    if not (SHARED / "SPY.csv").exists():
        pytest.skip("real SPY bars are not here")
    return load_bars(SHARED / "SPY.csv")


@pytest.fixture(scope="session")
def vix():
    if not (SHARED / "VIX.csv").exists():
        pytest.skip("real VIX values are not here")
    return load_volatility(SHARED / "VIX.csv")


@pytest.fixture
def tiny(tmp_path):
    """A campaign file that trains in a second, with the bars it names beside it."""
    synthetic_bars(1200).frame().write_csv(tmp_path / "bars.csv")
    (tmp_path / "tiny.yaml").write_text(TINY + "data: bars.csv\n")
    return tmp_path / "tiny.yaml"


@pytest.fixture
def make_spec():
    """Spec from keyword arguments over a small holdout spec."""

    def make(**sections):
        content = {
            "task": {"kind": "market", "bars": "0123456789ab", "context": 20},
            "model": {
                "kind": "patchtst", "d_model": 8, "n_layers": 1, "n_heads": 2, "d_ff": 16,
                "patch_length": 5, "stride": 5, "dropout": 0.0,
            },
            "recipe": {"epochs": 3, "batch_size": 32, "learning_rate": 1e-3, "precision": "float32"},
            "evaluation": {"protocol": "holdout"},
        }  # fmt: skip
        for name, value in sections.items():
            merge = isinstance(value, dict) and isinstance(content.get(name), dict)
            content[name] = {**content[name], **value} if merge else value
        return Spec.model_validate(content)

    return make


@pytest.fixture
def model_spec(make_spec):
    """Spec of a model that is no network, pinned to what is installed or lies in a folder."""
    from trueness.own import pinned

    def make(model, base_folder=Path(), **more):
        content = make_spec(**more).model_dump(exclude_unset=True)
        spec = Spec.model_validate({**content, "model": model})
        needs = str(spec.model.reference or "").partition(".")[0]
        if needs in ("lightgbm", "xgboost", "catboost"):
            pytest.importorskip(needs)
        return spec.model_copy(update={"model": pinned(spec.model, base_folder)})

    return make


@pytest.fixture(scope="session")
def noise_examples():
    """Examples over random columns, the label planted in the last row of the first one; two folds."""
    from trueness.examples import PARTS, Examples

    rng = np.random.default_rng(3)
    context, n = 20, 300
    series = rng.standard_normal((n + context - 1, 4)).astype(np.float32)
    last = series[context - 1 :, 0]
    parts = np.zeros((2, n), np.int8)
    for fold, (train, stop) in enumerate(((150, 190), (200, 250))):
        parts[fold, :train] = PARTS.index("train")
        parts[fold, train:stop] = PARTS.index("validation")
        parts[fold, stop : stop + 50] = PARTS.index("oof")
    return Examples(
        series=series,
        start=np.arange(n),
        context=context,
        y=(last + 0.5 * rng.standard_normal(n) > 0.6).astype(np.uint8),
        when=np.datetime64("2001-01-01") + np.arange(n),
        group=None,
        parts=parts,
        features=("a", "b", "c", "d"),
    )


@pytest.fixture(scope="session")
def two_copies(noise_examples):
    """Examples with a copy of the series per fold, and those that have one of the copies alone."""
    other = (noise_examples.series * np.float32(3) + np.float32(1)) ** 2
    both = dataclasses.replace(
        noise_examples, series=np.concatenate([noise_examples.series, other]),
        offsets=np.array([0, len(other)]),
    )  # fmt: skip
    return both, [noise_examples, dataclasses.replace(noise_examples, series=other)]


@pytest.fixture
def without():
    """Copy of bars with some fields changed."""
    return dataclasses.replace


COMPARED = TINY.split("experiments:")[0].replace("campaign: tiny", "campaign: judged") + """\
experiments:
  - {id: LF-1..LF-3, priority: P1, grid: {loss: [bce, focal, {kind: labelsmoothing, epsilon: 0.2}]}}
  - {id: LF-4, priority: P1, loss: focal, recipe.stop_on: val_loss}
  - {id: FE-1..FE-2, priority: P2, grid: {model.embedding: [{kind: linear, width: 2}, {kind: linear, width: 4}]}}
  - {id: FE-3..FE-4, priority: P10, task.tier: a50, grid: {model.embedding: [none, {kind: linear, width: 2}]}}
  - {id: FE-5..FE-6, priority: P10, grid: {model.n_layers: [2, 4]}}
  - {id: FE-7, priority: P10, model.n_heads: 8}
  - {id: FE-8, priority: P10, model.d_model: 16}
  - {id: FE-9, priority: P10, model.dropout: 0.1}
data: bars.csv
"""  # fmt: skip


@pytest.fixture(scope="session")
def campaign_folder(tmp_path_factory):
    """Folder with a campaign of two seeds along every axis, its bars, and its store; read only."""
    from trueness.campaign import load_campaign
    from trueness.runner import run
    from trueness.store import Store

    folder = tmp_path_factory.mktemp("judged")
    synthetic_bars(1200).frame().write_csv(folder / "bars.csv")
    (folder / "judged.yaml").write_text(COMPARED)
    campaign = load_campaign(folder / "judged.yaml", seeds=2)
    summary = run(campaign, Store(folder / "store"), device="cpu", workers=0)
    assert summary.failed == []
    return folder


from tests.golden import golden_market, golden_titles  # noqa: E402, F401 - fixtures for every test
