import dataclasses

import numpy as np
import pytest
import yaml

from trueness.campaign import load_campaign
from trueness.errors import CampaignError, TruenessError
from trueness.execute import Pool
from trueness.fit import Device
from trueness.market import synthetic_bars
from trueness.reduce import Round, _clusters, _Scores, _verdict, _weakest_dropped, reduce_tier
from trueness.spec import Spec

CPU = Device("cpu", has_bf16=False)
BEST = Round(50, [], precision=0.50, recall=0.20, auc=0.70, width=0.40, verdict="start")


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "keep"),
        ({"precision": 0.48}, "keep"),
        ({"precision": 0.46}, "warn"),
        ({"precision": 0.44}, "abort"),
        ({"recall": 0.17}, "warn"),
        ({"recall": 0.15}, "abort"),
        ({"auc": 0.64}, "warn"),
        ({"auc": 0.62}, "abort"),
        ({"width": 0.07}, "warn"),
        ({"width": 0.04}, "abort"),
        ({"precision": 0.46, "auc": 0.62}, "abort"),
    ],
)
def test_verdict_is_the_worst_of_four_ratios(changes, verdict):
    """Limits of the research notes: 0.95/0.90, 0.90/0.80, 0.95/0.90 of the baseline; width 0.10/0.05."""
    assert _verdict(dataclasses.replace(BEST, **changes), BEST) == verdict


def test_the_weakest_go_and_families_keep_their_least_number():
    names = (
        "sma_50",
        "sma_100",
        "sma_200",
        "dema_9",
        "dema_10",
        "sma_12",
        "obv",
        "adosc",
        "vwap_20",
    )
    n = len(names)
    scores = _Scores(np.linspace(0, 1, n), np.linspace(0, 1, n), np.zeros(n), np.eye(n))
    kept = _weakest_dropped(names, np.arange(n), scores, 0.4)
    # six trend columns may lose one, three volume columns none
    assert [names[i] for i in range(n) if i not in kept] == ["sma_50"]


def test_clusters_hold_near_copies_only():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 500))
    x = np.column_stack([a, a + 0.05 * rng.standard_normal(500), b, -a])
    correlation = np.abs(np.corrcoef(x.T))
    assert _clusters(("a", "near", "b", "minus"), correlation) == [["a", "near", "minus"]]


@pytest.fixture(scope="module")
def reduction():
    bars = synthetic_bars(1500, strength=2.0, seed=1)
    names = ("volume_ratio_20d", "return_1d", "atr_pct", "overnight_gap", "open_to_close_pct", "rsi_daily",
             "rsi_slope", "bb_width", "sharpe_20d", "obv", "adosc", "sma_12", "dema_9", "kvo_signal")  # fmt: skip
    spec = Spec.model_validate({
        "task": {"kind": "market", "bars": bars.digest, "columns": names, "context": 10},
        "model": {"kind": "patchtst", "d_model": 8, "n_layers": 1, "n_heads": 2, "d_ff": 16,
                  "patch_length": 5, "stride": 5, "dropout": 0.0, "revin": False},
        "recipe": {"epochs": 4, "learning_rate": 5e-3, "precision": "float32"},
        "evaluation": {"protocol": "walk_forward", "start": "1993-06-01", "block_years": 2},
    })  # fmt: skip
    notes = []
    with Pool(0) as pool:
        actual = reduce_tier(
            spec, bars, None, device=CPU, pool=pool, seeds=1, max_rounds=3, on_round=notes.append
        )
    return actual, notes, names


@pytest.mark.long
def test_rounds_shrink_and_are_told_as_they_come(reduction):
    actual, note, names = reduction
    assert note == actual.rounds
    assert actual.rounds[0].columns == len(names)
    assert actual.rounds[0].verdict == "start"
    sizes = [r.columns for r in actual.rounds]
    assert sizes == sorted(sizes, reverse=True)
    survived = [r for r in actual.rounds if r.verdict != "abort"]
    assert len(actual.columns) == survived[-1].columns
    assert set(actual.columns) <= set(names)
    assert actual.after.measured_on == "oof"
    assert actual.before.n == actual.after.n


@pytest.mark.long
def test_the_tier_file_is_usable_in_a_campaign(reduction, tmp_path):
    actual, _, _ = reduction
    actual.write(tmp_path / "small.yaml", "small")
    assert yaml.safe_load((tmp_path / "small.yaml").read_text())["columns"] == actual.columns
    (tmp_path / "c.yaml").write_text("experiments:\n  - {id: A, task.tier: small.yaml}\n")
    spec = load_campaign(tmp_path / "c.yaml").experiments[0].spec
    assert spec.task.tier == "small"
    assert list(spec.task.columns) == actual.columns
    (tmp_path / "c.yaml").write_text("experiments:\n  - {id: A, task.tier: other.yaml}\n")
    with pytest.raises(
        CampaignError, match=r"c.yaml:2: A: task.tier: other.yaml is not a tier file"
    ):
        load_campaign(tmp_path / "c.yaml")
    (tmp_path / "small.yaml").write_text("tier: small\ncolumns: [sma_50, sma_51]\n")
    (tmp_path / "c.yaml").write_text("experiments:\n  - {id: A, task.tier: small.yaml}\n")
    with pytest.raises(CampaignError, match="unknown column 'sma_51'"):
        load_campaign(tmp_path / "c.yaml")


@pytest.mark.long
def test_needs_an_out_of_fold_check(reduction):
    bars = synthetic_bars(1500)
    spec = Spec.model_validate({
        "task": {"kind": "market", "bars": bars.digest},
        "evaluation": {"protocol": "holdout", "val_start": "1994-01-01", "test_start": "1995-03-01"},
    })  # fmt: skip
    with Pool(0) as pool, pytest.raises(TruenessError, match="needs walk_forward"):
        reduce_tier(spec, bars, None, device=CPU, pool=pool)
