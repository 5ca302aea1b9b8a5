"""What alarms returned: against a double loop, and through the verb."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_cli import call
from trueness.api import run as run_api
from trueness.bundle.payoff import payoff, series_returns
from trueness.errors import TruenessError
from trueness.market import synthetic_bars
from trueness.market.bars import bars_from_table
from trueness.spec.task import MarketTask
from trueness.store import Store

BARS = synthetic_bars(1300)
CAMPAIGN = """\
campaign: paid
data: bars.csv
defaults:
  task: {context: 20, horizon: 3}
  evaluation: {protocol: walk_forward}
experiments:
  - {id: L, model: {kind: forest, n_estimators: 10}}
  - {id: F, model: {kind: forest, n_estimators: 20}}
"""


def _by_loop(bars, target, h, exit_):
    """Position by position, day by day; the level is checked with the slack of labels."""
    adjusted, found = bars.adjusted(), np.full(len(bars), np.nan)
    side = -1 if target["threshold_pct"] < 0 else 1
    for t in range(len(bars) - h):
        entry, out = adjusted.close[t], adjusted.close[t + h]
        level = entry * (1 + target["threshold_pct"] / 100)
        for day in range(t + 1, t + h + 1) if exit_ == "touch" else ():
            price = adjusted.high[day] if side > 0 else adjusted.low[day]
            if target.get("price") == "close":
                price = adjusted.close[day]
            if (side > 0 and price >= level * (1 - 1e-7)) or (
                side < 0 and price <= level * (1 + 1e-7)
            ):
                out = level
                break
        found[t] = 100 * side * (out / entry - 1)
    return found


@given(
    seed=st.integers(0, 50), h=st.integers(1, 6), pct=st.sampled_from([0.5, 1.0, 2.5, -0.7, -1.5]),
    price=st.sampled_from(["high", "close"]), exit_=st.sampled_from(["touch", "horizon"]),
)  # fmt: skip
def test_returns_are_those_of_a_double_loop(seed, h, pct, price, exit_):
    bars = bars_from_table(synthetic_bars(90, seed=seed).frame(), "b")
    target = {"kind": "touch", "threshold_pct": pct, "price": price}
    task = MarketTask(kind="market", bars=bars.digest, context=5, horizon=h, target=target)
    np.testing.assert_allclose(series_returns(bars, task, exit_), _by_loop(bars, target, h, exit_),
                               rtol=1e-9)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paid")
    BARS.frame().write_csv(folder / "bars.csv")
    (folder / "paid.yaml").write_text(CAMPAIGN)
    run_api(folder / "paid.yaml", store=folder / "store", workers=0, device="cpu", progress=False)
    return folder


def test_means_are_those_of_the_alarms(folder, capsys, tmp_path):
    store = Store(folder / "store")
    code, out, err = call(capsys, "payoff", "F", "--store", store.root, "--cost-bps", 5, "--json",
                          "--csv", tmp_path / "a.csv")  # fmt: skip
    assert code == 0, err
    found = json.loads(out)
    (key,) = store.campaigns()["paid"]["F"]
    part = store.run(key).predictions().part("oof")
    task = store.run(key).spec.task
    each = dict(
        zip(map(str, BARS.dates), series_returns(BARS, task, "horizon") - 0.05, strict=True)
    )
    r = np.array([each[i] for i in part.id])
    raised = part.score > np.sort(part.score)[-31]
    assert found["mean"]["value"] == pytest.approx(r[raised].mean())
    assert found["every_day"]["value"] == pytest.approx(r.mean())
    assert found["difference"]["value"] == pytest.approx(r[raised].mean() - r.mean())
    assert found["lead"]["value"] == pytest.approx(
        found["mean"]["value"] - found["of_baseline"]["value"])  # fmt: skip
    assert found["models"] == found["mean"]["n_candidates"] == 2
    assert found["mean"]["low"] < found["mean"]["value"] < found["mean"]["high"]
    table = pl.read_csv(tmp_path / "a.csv")
    assert len(table) == len(found["alarms"]) == raised.sum()
    assert table["return_pct"].mean() == pytest.approx(found["mean"]["value"])
    code, out, _ = call(capsys, "payoff", "F", "--store", store.root, "--exit", "touch")
    assert code == 0
    assert "No portfolio" in out


def test_an_interval_knows_of_the_number_of_models(folder, tmp_path):
    """The same run in a store without the other candidate has a narrower interval."""
    store, alone = Store(folder / "store"), tmp_path / "alone"
    shutil.copytree(store.root, alone)
    (key,) = store.campaigns()["paid"]["L"]
    Store(alone).remove(key)
    both, one = payoff(store, "F", {}), payoff(Store(alone), "F", {})
    assert (both.models, one.models) == (2, 1)
    assert one.mean.value == both.mean.value
    assert one.mean.high - one.mean.low < both.mean.high - both.mean.low


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--cost-bps", -1), "cost"), (("--cost-bps", 1e9), "cost"), (("--exit", "soon"), None),
     (("--data", "synthetic"), "other_data"), (("--data", "missing.csv"), None)],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(folder, capsys, words, code):
    status, out, err = call(capsys, "payoff", "F", "--store", folder / "store", *words)
    assert (status, out) == (2, "")
    assert len(err.strip().splitlines()) == 1, err
    if code == "cost":
        with pytest.raises(TruenessError) as caught:
            payoff(Store(folder / "store"), "F", {}, cost_bps=float(words[1]))
        assert caught.value.code == code
