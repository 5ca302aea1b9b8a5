"""Alarms and what they returned: against a double loop, and through the verbs."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_cli import call
from trueness.api import run as run_api
from trueness.bundle.alarms import alarms
from trueness.bundle.finalizing import finalize_named
from trueness.bundle.format import open_bundle
from trueness.bundle.log import OUTCOME, append, read_log
from trueness.bundle.payoff import payoff
from trueness.bundle.predicting import load
from trueness.bundle.returns import series_returns
from trueness.errors import TruenessError
from trueness.files import read_json, write_json
from trueness.market import synthetic_bars
from trueness.market.bars import bars_from_table
from trueness.spec.task import MarketTask
from trueness.store import Store

LONGER = synthetic_bars(1420, seed=2)
BARS = LONGER.head(1300)
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
    adjusted, actual = bars.adjusted(), np.full(len(bars), np.nan)
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
        actual[t] = 100 * side * (out / entry - 1)
    return actual


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
    LONGER.frame().write_csv(folder / "longer.csv")
    (folder / "paid.yaml").write_text(CAMPAIGN)
    run_api(folder / "paid.yaml", store=folder / "store", workers=0, device="cpu", progress=False)
    return folder


@pytest.mark.long
def test_means_are_those_of_the_alarms(folder, capsys, tmp_path):
    store = Store(folder / "store")
    code, out, err = call(capsys, "payoff", "F", "--store", store.root, "--cost-bps", 5, "--json",
                          "--csv", tmp_path / "a.csv")  # fmt: skip
    assert code == 0, err
    actual = json.loads(out)
    (key,) = store.campaigns()["paid"]["F"]
    part = store.run(key).predictions().part("oof")
    task = store.run(key).spec.task
    each = dict(
        zip(map(str, BARS.dates), series_returns(BARS, task, "horizon") - 0.05, strict=True)
    )
    r = np.array([each[i] for i in part.id])
    raised = part.score > np.sort(part.score)[-31]
    assert actual["mean"]["value"] == pytest.approx(r[raised].mean())
    assert actual["every_day"]["value"] == pytest.approx(r.mean())
    assert actual["difference"]["value"] == pytest.approx(r[raised].mean() - r.mean())
    assert actual["lead"]["value"] == pytest.approx(
        actual["mean"]["value"] - actual["of_baseline"]["value"])  # fmt: skip
    assert actual["models"] == actual["mean"]["n_candidates"] == 2
    assert actual["mean"]["low"] < actual["mean"]["value"] < actual["mean"]["high"]
    table = pl.read_csv(tmp_path / "a.csv")
    assert len(table) == len(actual["alarms"]) == raised.sum()
    assert table["return_pct"].mean() == pytest.approx(actual["mean"]["value"])
    code, out, _ = call(capsys, "payoff", "F", "--store", store.root, "--exit", "touch")
    assert code == 0
    assert "No portfolio" in out


@pytest.mark.long
def test_an_interval_knows_of_the_number_of_models(folder, tmp_path):
    """The same run in a store without the other candidate has a narrower interval."""
    store, alone = Store(folder / "store"), tmp_path / "alone"
    shutil.copytree(store.root, alone)
    (key,) = store.campaigns()["paid"]["L"]
    Store(alone).remove(key)
    both, one = payoff(store, "F", {}), payoff(Store(alone), "F", {})
    assert (both.setting.models, one.setting.models) == (2, 1)
    assert one.mean.value == both.mean.value
    assert one.mean.high - one.mean.low < both.mean.high - both.mean.low


@pytest.mark.long
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


# ------------------------------------------------------------------------------ a bundle and its log


@pytest.fixture(scope="module")
def bundle(folder):
    """A bundle that predicted what came after its run, and whose threshold raises alarms."""
    place = folder / "bundle"
    finalize_named(Store(folder / "store"), "F", {}, place, device="cpu")
    predictor = load(place)
    scores = predictor.predict(predictor.load({"data": folder / "longer.csv"})).frame["score"]
    description = read_json(place / "bundle.json")
    description["promise"]["threshold"]["score"] = float(scores.quantile(0.8))
    write_json(place / "bundle.json", description)
    predictor = load(place)
    predictor.predict(predictor.load({"data": folder / "longer.csv"})).logged()
    return place


def _logged(bundle):
    lines = read_log(open_bundle(bundle)).predictions
    return [(i, one["answer"] == "alarm", one["score"]) for i, one in lines.items()]


@pytest.mark.long
def test_a_bundle_is_paid_by_its_own_log(folder, bundle, capsys):
    code, out, err = call(capsys, "payoff", bundle, "--data", folder / "longer.csv", "--json")
    assert code == 0, err
    actual = json.loads(out)
    task = open_bundle(bundle).members[0].spec.task
    returns = _by_loop(LONGER, task.target.model_dump(), task.horizon, "horizon")
    each = dict(zip(map(str, LONGER.dates), returns, strict=True))
    whole = [(i, raised) for i, raised, _ in _logged(bundle) if not np.isnan(each[i])]
    paid = [each[i] for i, raised in whole if raised]
    assert len(whole) == len(_logged(bundle)) - task.horizon
    assert len(paid) > 2
    assert actual["source"] == "bundle"
    assert actual["mean"]["value"] == pytest.approx(np.mean(paid))
    assert actual["every_day"]["value"] == pytest.approx(np.mean([each[i] for i, _ in whole]))
    assert [one["return_pct"] for one in actual["alarms"]] == pytest.approx(paid)
    assert (actual["models"], actual["baseline"], actual["lead"]) == (1, None, None)
    assert any("not over" in note for note in actual["notes"])
    touched = _by_loop(LONGER, task.target.model_dump(), task.horizon, "touch")
    hit = {str(day): touched[i] == pytest.approx(1.0) for i, day in enumerate(LONGER.dates)}
    assert [one["y"] for one in actual["alarms"]] == [
        int(hit[one["id"]]) for one in actual["alarms"]
    ]


@pytest.mark.long
def test_a_bundle_without_a_whole_horizon_has_no_return(folder, bundle, capsys):
    """The bars that it was made from end before its first answer."""
    status, out, err = call(capsys, "payoff", bundle)
    assert (status, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    with pytest.raises(TruenessError) as caught:
        payoff(Store(folder / "store"), str(bundle), {"data": str(folder / "bars.csv")})
    assert caught.value.code == "open"


@pytest.mark.long
def test_bars_that_lack_an_answered_day_are_refused(folder, bundle, tmp_path):
    first = next(i for i, raised, _ in _logged(bundle) if raised)
    gone = LONGER.frame().filter(pl.col("Date").cast(pl.String) != first)
    gone.write_csv(tmp_path / "longer.csv")
    with pytest.raises(TruenessError) as caught:
        payoff(Store(folder / "store"), str(bundle), {"data": str(tmp_path / "longer.csv")})
    assert caught.value.code == "other_data"


@pytest.mark.long
def test_alarms_of_a_run_are_its_highest_scores(folder, capsys, tmp_path):
    store = Store(folder / "store")
    code, out, err = call(capsys, "alarms", "F", "--store", store.root, "--json", "--csv",
                          tmp_path / "a.csv")  # fmt: skip
    assert code == 0, err
    actual, (key,) = json.loads(out), store.campaigns()["paid"]["F"]
    part = store.run(key).predictions().part("oof")
    raised = part.frame.filter(pl.Series(part.score > np.sort(part.score)[-31]))
    assert [one["id"] for one in actual["alarms"]] == raised["id"].to_list()
    assert [one["fold"] for one in actual["alarms"]] == raised["fold"].to_list()
    assert [one["outcome"] == "hit" for one in actual["alarms"]] == [y == 1 for y in raised["y"]]
    assert (actual["answered"], actual["source"]) == (len(part), "run")
    assert pl.read_csv(tmp_path / "a.csv")["id"].to_list() == raised["id"].to_list()
    paid = payoff(store, "F", {}).alarms
    assert paid["id"].to_list() == raised["id"].to_list()


@pytest.mark.long
def test_alarms_of_a_bundle_are_those_of_its_log(folder, bundle, capsys, tmp_path):
    shutil.copytree(bundle, tmp_path / "b")
    raised = [i for i, alarm, _ in _logged(bundle) if alarm]
    append(
        open_bundle(tmp_path / "b"), OUTCOME, [{"id": raised[0], "y": 1}, {"id": raised[1], "y": 0}]
    )
    code, out, err = call(capsys, "alarms", tmp_path / "b", "--store", tmp_path / "none", "--json")
    assert code == 0, err
    actual = json.loads(out)
    assert [one["id"] for one in actual["alarms"]] == raised
    expected = ["hit", "miss", *["unknown"] * (len(raised) - 2)]
    assert [one["outcome"] for one in actual["alarms"]] == expected
    assert (actual["answered"], actual["source"]) == (len(_logged(bundle)), "bundle")
    code, out, _ = call(capsys, "alarms", tmp_path / "b", "--report", tmp_path / "a.html")
    assert code == 0
    assert "unknown" in out


@pytest.mark.long
def test_a_bundle_that_was_never_asked_has_no_alarms(folder, tmp_path):
    store = Store(folder / "store")
    finalize_named(store, "F", {}, tmp_path / "b", device="cpu")
    for asked in (lambda name: alarms(store, name), lambda name: payoff(store, name, {})):
        with pytest.raises(TruenessError) as caught:
            asked(str(tmp_path / "b"))
        assert caught.value.code == "nothing_logged"


@pytest.mark.long
def test_a_log_without_an_alarm_is_listed_and_not_paid(folder, bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "b")
    (tmp_path / "b" / "log.jsonl").unlink()
    description = read_json(tmp_path / "b" / "bundle.json")
    description["promise"]["threshold"]["score"] = 1e9
    write_json(tmp_path / "b" / "bundle.json", description)
    predictor = load(tmp_path / "b")
    predictor.predict(predictor.load({"data": folder / "longer.csv"})).logged()
    store = Store(folder / "store")
    assert alarms(store, str(tmp_path / "b")).to_dict()["alarms"] == []
    assert "0 alarms" in alarms(store, str(tmp_path / "b")).document().sentences()[0]
    with pytest.raises(TruenessError) as caught:
        payoff(store, str(tmp_path / "b"), {"data": str(folder / "longer.csv")})
    assert caught.value.code == "no_alarms"


@pytest.mark.long
def test_a_name_that_is_a_run_and_a_bundle_is_asked_back(folder, bundle, tmp_path, monkeypatch):
    shutil.copytree(bundle, tmp_path / "F")
    monkeypatch.chdir(tmp_path)
    store = Store(folder / "store")
    with pytest.raises(TruenessError) as caught:
        alarms(store, "F")
    assert caught.value.code == "ambiguous"
    assert alarms(store, "./F").answered.source == "bundle"
    assert alarms(store, "L").answered.source == "run"


@pytest.mark.long
@pytest.mark.parametrize("hours", [False, True])
def test_every_alarm_stands_on_the_price_and_in_the_distribution(folder, hours, tmp_path):
    """Of bars within a day, too: the marks find the times of the prices."""
    place = tmp_path if hours else folder
    if hours:
        times = pl.datetime_range(
            pl.datetime(2020, 1, 6, 10), pl.datetime(2021, 1, 1), "1h", eager=True
        )
        frame = BARS.frame().with_columns(Date=times.head(len(BARS)))
        frame.write_csv(place / "bars.csv")
        start = "walk_forward, start: 2020-02-05"
        (place / "paid.yaml").write_text(CAMPAIGN.replace("walk_forward", start))
        run_api(place / "paid.yaml", store=place / "store", workers=0, device="cpu", progress=False)
    actual = payoff(Store(place / "store"), "F", {"data": str(place / "bars.csv")})
    distribution, price = actual.document().figures()
    marks = [y for trace in price.data[1:] for y in trace["y"]]
    assert len(marks) == len(actual.alarms)
    assert None not in marks
    assert sum(sum(trace["y"]) for trace in distribution.data) == len(actual.alarms)
