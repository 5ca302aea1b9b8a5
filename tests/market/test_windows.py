import dataclasses
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.market.cases import examples_of
from trueness.errors import DataError
from trueness.market import resolve_evaluation, synthetic_bars
from trueness.market.inputs import earlier_median, forward_fill
from trueness.spec.evaluation import Holdout, WalkForward
from trueness.spec.target import Touch
from trueness.spec.task import MarketTask


def _task(bars, **changes):
    return MarketTask(kind="market", bars=bars.digest, **changes)


HOLDOUT = Holdout(protocol="holdout")
SP500_HOLDOUT = Holdout(protocol="holdout", val_start="2015-01-01", test_start="2017-01-01")
WALK = WalkForward(protocol="walk_forward", start="2007-01-01", block_years=3)


@pytest.mark.parametrize(("tier", "train"), [("a20", 7257), ("a50", 7204)])
def test_mission_split_on_spy_has_the_published_sizes(spy, vix, tier, train):
    """Counts of the research notes: 7,257 / 7,204 training windows, 422 in validation with 76 positives."""
    volatility = vix if tier == "a50" else None
    examples = examples_of(_task(spy, tier=tier), HOLDOUT, spy, volatility)
    (counts,) = examples.counts()
    assert counts["train"][0] == train
    assert counts["validation"] == (422, 76)


@pytest.mark.parametrize(
    ("context", "n"), [(60, 442), (90, 412), (120, 382), (180, 322), (252, 250)]
)
def test_validation_shrinks_with_the_context_as_published(spy, context, n):
    examples = examples_of(_task(spy, context=context), HOLDOUT, spy)
    assert examples.counts()[0]["validation"][0] == n


def test_windows_are_views_of_consecutive_rows(sp500):
    examples = examples_of(_task(sp500), SP500_HOLDOUT, sp500)
    assert np.shares_memory(examples.x, examples.series)
    i = 123
    window = examples.x[examples.start[i]]
    first = examples.start[i]
    np.testing.assert_array_equal(window, examples.series[first : first + 80])
    offset = len(sp500) - len(examples.series)
    assert examples.when[i] == sp500.dates[offset + first + 79]


def test_labels_belong_to_the_last_day_of_the_window(sp500):
    examples = examples_of(_task(sp500), SP500_HOLDOUT, sp500)
    for i in (0, 500, len(examples.y) - 1):
        t = int(np.searchsorted(sp500.dates, examples.when[i]))
        assert examples.y[i] == (sp500.high[t + 1] >= sp500.close[t] * 1.01)


@pytest.mark.parametrize("horizon", [1, 5])
def test_mission_regions_hold_context_and_label(sp500, horizon):
    examples = examples_of(_task(sp500, horizon=horizon), SP500_HOLDOUT, sp500)
    dates = sp500.dates[len(sp500) - len(examples.series) :]
    bounds = [np.datetime64(d) for d in ("1999-01-01", "2015-01-01", "2017-01-01", "2020-01-01")]
    for part, low, high in zip(
        ("train", "validation", "test"), bounds[:-1], bounds[1:], strict=True
    ):
        rows = examples.members(part)
        assert len(rows)
        assert (dates[examples.start[rows]] >= low).all()
        assert (dates[examples.start[rows] + 79 + horizon] < high).all()


@given(st.sampled_from([1, 2, 3, 5]), st.integers(1, 4), st.integers(0, 30), st.floats(5, 60))
def test_walk_forward_never_trains_on_what_it_predicts(horizon, years, embargo, inner):
    bars = synthetic_bars(2600, seed=5)
    rule = WalkForward(
        protocol="walk_forward",
        start="1995-01-01",
        block_years=years,
        embargo=embargo,
        inner_pct=inner,
    )
    examples = examples_of(_task(bars, horizon=horizon, context=30), rule, bars)
    day = examples.start + 29
    predicted = []
    for fold in range(examples.n_folds):
        train, inner_rows, oof = (
            day[examples.members(p, fold)] for p in ("train", "validation", "oof")
        )
        # labels of one part end, and the embargo passes, before the first decision of the next
        assert train.max() + horizon + embargo < inner_rows.min()
        assert inner_rows.max() + horizon + embargo < oof.min()
        predicted.append(oof)
    every = np.concatenate(predicted)
    assert len(np.unique(every)) == len(every)
    when = examples.when[examples.when >= np.datetime64("1995-01-01")]
    assert len(every) == len(when)  # each day from the start on is predicted exactly once


def test_walk_forward_stops_at_its_end(sp500):
    rule = WALK.model_copy(update={"end": date(2013, 1, 1)})
    examples = examples_of(_task(sp500), rule, sp500)
    assert examples.n_folds == 2
    assert examples.when[examples.members("oof", 1)].max() < np.datetime64("2013-01-01")


def test_warm_up_is_dropped_once(sp500):
    for tier, lost in (("a20", 199), ("a50", 252)):
        examples = examples_of(_task(sp500, tier=tier), SP500_HOLDOUT, sp500)
        assert len(examples.series) == len(sp500) - lost


def test_raw_bars_are_an_explicit_switch(sp500):
    plain = examples_of(_task(sp500), SP500_HOLDOUT, sp500)
    raw = examples_of(_task(sp500, raw_bars=True), SP500_HOLDOUT, sp500)
    assert raw.features == ("open", "high", "low", "close", "volume", *plain.features)
    np.testing.assert_array_equal(raw.series[:, 5:], plain.series)
    bars = dataclasses.replace(sp500, volume=None)
    with pytest.raises(DataError, match="needs a volume"):
        examples_of(_task(bars, raw_bars=True), SP500_HOLDOUT, bars)


def test_missing_volatility_is_said(sp500):
    examples = examples_of(_task(sp500, tier="a50"), SP500_HOLDOUT, sp500)
    assert len(examples.features) == 47
    assert "3 of 50 columns need volatility" in examples.notes[0]


def _vix_with_gap(vix, first, rows):
    keep = np.ones(len(vix.dates), bool)
    at = int(np.searchsorted(vix.dates, np.datetime64(first)))
    keep[at : at + rows] = False
    return dataclasses.replace(vix, dates=vix.dates[keep], close=vix.close[keep])


def test_short_gaps_are_filled_and_long_ones_refuse_windows(spy, vix):
    whole = examples_of(_task(spy, tier="a50"), HOLDOUT, spy, vix)
    short = examples_of(_task(spy, tier="a50"), HOLDOUT, spy, _vix_with_gap(vix, "2010-03-01", 5))
    assert len(short.y) == len(whole.y)
    assert short.notes[0].startswith("9 missing values filled from at most 3 bars before")
    long = examples_of(_task(spy, tier="a50"), HOLDOUT, spy, _vix_with_gap(vix, "2010-03-01", 30))
    # the index stands for the first two days; rows left empty, and the windows that end after them
    assert len(whole.y) - len(long.y) == 8 + 79
    assert any("windows refused" in note for note in long.notes)
    assert any("vrp_10d" in note and "older than 20 bars" in note for note in long.notes)
    kept = examples_of(
        _task(spy, tier="a50", long_gaps="impute_median", missing_indicators=True), HOLDOUT, spy,
        _vix_with_gap(vix, "2010-03-01", 30),
    )  # fmt: skip
    assert len(kept.y) == len(whole.y)
    assert [n for n in kept.features if n.endswith("_missing")] == [
        "vrp_10d_missing", "vrp_21d_missing", "implied_vs_realized_ratio_missing",
    ]  # fmt: skip
    assert kept.series[:, -1].sum() == 28


def test_a_hole_in_the_dates_refuses_the_windows_that_bridge_it(sp500):
    keep = np.ones(len(sp500), bool)
    keep[3000:3020] = False
    cut = {
        n: getattr(sp500, n)[keep]
        for n in ("dates", "open", "high", "low", "close", "volume", "factor")
    }
    bars = dataclasses.replace(sp500, **cut)
    examples = examples_of(_task(bars), SP500_HOLDOUT, bars)
    dates = bars.dates[len(bars) - len(examples.series) :]
    for rows in examples.start[:, None] + np.arange(80):
        assert np.diff(dates[rows]).astype(int).max() <= 10
    whole = examples_of(_task(bars, max_gap_days=60), SP500_HOLDOUT, bars)
    assert len(whole.y) - len(examples.y) == 79


@pytest.mark.parametrize(
    ("changes", "rule", "words"),
    [
        ({"context": 5000}, SP500_HOLDOUT, "too few for tier a20"),
        ({}, Holdout(protocol="holdout", val_start="2018-10-01", test_start="2018-12-01"), "validation has 0 windows"),
        ({}, Holdout(protocol="holdout", val_start="1999-02-01", test_start="2010-01-01"), "train has 0 windows"),
        ({}, WalkForward(protocol="walk_forward", start="2030-01-01"), "no day to predict"),
        ({}, WalkForward(protocol="walk_forward", start="1999-10-01"), "train has 0 windows"),
        ({"target": Touch(kind="touch", threshold_pct=50)}, SP500_HOLDOUT, "0 of them positive"),
        ({"tier": "a30"}, SP500_HOLDOUT, "unknown tier 'a30'; .*choose from a20, a50"),
    ],
)  # fmt: skip
def test_refuses(sp500, changes, rule, words):
    with pytest.raises(DataError, match=words):
        examples_of(_task(sp500, **changes), rule, sp500)


@given(st.integers(0, 1000), st.integers(0, 6))
def test_forward_fill_equals_a_loop_and_never_looks_ahead(seed, age):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((25, 3))
    values[rng.random((25, 3)) < 0.4] = np.nan
    filled, ages = forward_fill(values, age)
    expected = values.copy()
    count = 0
    for c in range(3):
        last, when = np.nan, -99
        for t in range(25):
            if np.isnan(values[t, c]):
                if t - when <= age:
                    expected[t, c] = last
                    count += 1
            else:
                last, when = values[t, c], t
    np.testing.assert_array_equal(filled, expected)
    assert len(ages) == count


def test_open_dates_are_resolved_from_the_data(sp500, spy):
    assert resolve_evaluation({"protocol": "holdout"}, spy.dates[0], spy.dates[-1]) == {
        "protocol": "holdout"
    }
    resolved = resolve_evaluation({"protocol": "holdout"}, sp500.dates[0], sp500.dates[-1])
    assert date(2016, 1, 1) < resolved["val_start"] < resolved["test_start"] < date(2018, 12, 31)
    given_ = {"protocol": "holdout", "val_start": date(2010, 1, 1)}
    assert resolve_evaluation(given_, sp500.dates[0], sp500.dates[-1]) == given_
    assert resolve_evaluation({"protocol": "walk_forward"}, sp500.dates[0], sp500.dates[-1])[
        "start"
    ] == date(2008, 1, 1)


def test_blocks_that_start_on_a_leap_day(sp500):
    rule = WalkForward(protocol="walk_forward", start="2008-02-29", block_years=3)
    examples = examples_of(_task(sp500), rule, sp500)
    firsts = [str(examples.when[examples.members("oof", f)].min()) for f in range(examples.n_folds)]
    assert firsts == ["2008-02-29", "2011-03-01", "2014-03-03", "2017-03-01"]


def test_the_earlier_median_equals_a_loop_and_never_looks_ahead():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((60, 2))
    values[rng.random((60, 2)) < 0.5] = np.nan
    values[:3] = np.nan
    actual = earlier_median(values)
    for t in range(60):
        past = values[: t + 1]
        for c in range(2):
            known = past[~np.isnan(past[:, c]), c]
            expected = np.median(known) if len(known) else np.nan
            np.testing.assert_allclose(actual[t, c], expected, rtol=1e-12)


def test_named_columns_stand_in_for_a_tier(sp500):
    task = _task(sp500, columns=("atr_pct", "sma_50"))
    examples = examples_of(task, SP500_HOLDOUT, sp500)
    assert examples.features == ("sma_50", "atr_pct")  # catalogue order
    with pytest.raises(DataError, match="unknown column 'atr_pc'"):
        examples_of(_task(sp500, columns=("atr_pc",)), SP500_HOLDOUT, sp500)
    with pytest.raises(DataError, match="stands twice"):
        examples_of(_task(sp500, columns=("atr_pct", "atr_pct")), SP500_HOLDOUT, sp500)


def test_dedupe_leaves_out_linear_copies(sp500):
    plain = examples_of(_task(sp500, tier="a50"), SP500_HOLDOUT, sp500)
    bare = examples_of(_task(sp500, tier="a50", dedupe=True), SP500_HOLDOUT, sp500)
    assert set(plain.features) - set(bare.features) == {"stc_from_50"}
