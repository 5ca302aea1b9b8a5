"""The whole catalogue of 500 indicators: order, tiers, contracts, row counts, and what the audit says of it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.market.cases import examples_of
from trueness.errors import DataError
from trueness.market import feature_table, load_bars
from trueness.market.bars import Volatility
from trueness.market.indicators import CATALOGUE, FAMILIES, POWER, TIERS, tier_rows
from trueness.market.quality import TRUNCATIONS, audit, look_ahead_rows, truncation_points
from trueness.spec.evaluation import Holdout
from trueness.spec.task import MarketTask

NOTES = Path(__file__).resolve().parents[3] / "shared" / "spec" / "features.yaml"

# From the research notes: exact copies, exact linear maps, and columns that never change.
COPIES = {
    "vwma_20": "vwap_20", "up_days_ratio_20d": "win_rate_20d", "atr_regime_rolling_q": "atr_regime_pct_60d",
    "trend_strength_rolling_q": "trend_strength_pct_60d", "price_bb_band_position": "bb_percent_b",
    "adx_14_slope": "adx_slope", "range_position_20d": "donchian_position",
    "range_width_20d_pct": "donchian_width_pct", "pct_from_20d_high": "prior_high_20d_dist",
    "pct_from_20d_low": "prior_low_20d_dist", "gap_size_pct": "overnight_gap",
    "doji_strict_indicator": "doji_indicator", "autocorr_partial_lag1": "autocorr_lag1",
    "perm_entropy_trend_5d": "permutation_entropy_slope",
    "perm_entropy_acceleration_5d": "permutation_entropy_acceleration",
    "mfdfa_alpha_range": "mfdfa_hurst_width", "squeeze_on_14": "bb_squeeze_indicator",
    "squeeze_duration_14": "bb_squeeze_duration",
}  # fmt: skip
MAPS = {
    "stc_from_50": "stc_value", "demarker_from_half": "demarker_value", "rsi_distance_from_50": "rsi_daily",
    "zscore_from_20d_mean": "bb_percent_b", "atr_regime_pct_60d": "atr_pct_percentile_60d",
    "vol_regime_change_intensity": "atr_5_21_ratio", "distance_to_fib_50": "donchian_position",
    "doji_score": "body_to_range_ratio", "marubozu_strength": "body_to_range_ratio",
    "entropy_regime_score": "entropy_percentile_60d",
}  # fmt: skip
CONSTANTS = {"hurst_exponent_20d", "hurst_exponent_slope", "dfa_crossover_scale"}


@pytest.fixture(scope="module")
def short():
    """1,500 real bars with a made-up volatility index."""
    bars = load_bars("sp500").head(1500)
    made = 15 + 5 * np.abs(np.random.default_rng(0).standard_normal(1500))
    return bars, Volatility("made", bars.dates, made)


@pytest.fixture(scope="module")
def quality():
    return audit(load_bars("sp500"), "a500", n_truncations=1)


def test_names_and_order_are_those_of_the_notes():
    if not NOTES.exists():
        pytest.skip("the research notes are not here")
    noted = yaml.safe_load(NOTES.read_text())["features"]
    rows = tier_rows("a500")
    assert [(r.position, r.name, r.tier) for r in rows] == [
        (f["i"], f["name"], f["tier"]) for f in noted
    ]
    for row, fact in zip(rows, noted, strict=True):
        assert row.scale == fact.get("scale", "free"), row.name


def test_tiers_are_nested_and_of_their_published_sizes():
    assert [len(tier_rows(tier)) for tier in TIERS] == [20, 50, 100, 206, 500]
    assert len(tier_rows("a500+c")) == 508
    assert len(CATALOGUE) == 508
    assert {row.name for module in FAMILIES.values() for row in module.ROWS} == set(CATALOGUE)


def test_every_row_says_what_it_is():
    for row in CATALOGUE.values():
        assert row.formula
        assert 0 <= row.warmup <= 297, row.name
        assert row.scale in ("free", "price", "volume", "price_per_volume")
        assert set(row.needs) <= {"volume", "volatility"}


def test_no_column_of_the_whole_catalogue_looks_ahead(short):
    bars, index = short
    whole = feature_table(bars, "a500+c", index)
    for cut in truncation_points(len(bars), 400, TRUNCATIONS):
        known = Volatility("cut", index.dates[:cut], index.close[:cut])
        again = feature_table(bars.head(cut), "a500+c", known)
        ahead = look_ahead_rows(whole.values, again.values)
        assert [n for n, rows in zip(whole.names, ahead, strict=True) if rows] == []


def test_prices_scaled_leave_free_columns_and_scale_price_columns(short):
    bars, index = short
    prices = {n: getattr(bars, n) * 4 for n in ("open", "high", "low", "close")}
    whole = feature_table(bars, "a500+c", index)
    scaled = feature_table(dataclasses.replace(bars, **prices), "a500+c", index)
    for i, name in enumerate(whole.names):
        row = CATALOGUE[name]
        if row.scale == "price_per_volume":
            continue  # grows with the square of the price, tested beside its formula
        expected = whole.values[:, i] * (4.0 if row.scale == "price" else 1.0)
        size = np.nanmax(np.abs(expected))
        np.testing.assert_allclose(
            scaled.values[:, i], expected, rtol=1e-5, atol=1e-6 * size, err_msg=name
        )


@pytest.mark.parametrize("factor", [2.0**-37, 2.0**-10, 2.0**17])
def test_every_column_is_equal_at_every_power_of_two(short, factor):
    """Prices of 1e-8 to 1e8: to the bit, as a power of two is exact."""
    bars, index = short
    prices = {n: getattr(bars, n) * factor for n in ("open", "high", "low", "close")}
    whole = feature_table(bars, "a500+c", index)
    scaled = feature_table(dataclasses.replace(bars, **prices), "a500+c", index)
    for i, name in enumerate(whole.names):
        expected = whole.values[:, i] * factor ** POWER[CATALOGUE[name].scale]
        np.testing.assert_array_equal(scaled.values[:, i], expected, err_msg=name)


@pytest.mark.parametrize("factor", [1e-11, 1e-6, 3e-3, 7.0, 1e5])
def test_every_column_is_equal_at_every_price(short, factor):
    """Other factors round each price: a comparison of equals may turn in a row of a thousand."""
    bars, index = short
    prices = {n: getattr(bars, n) * factor for n in ("open", "high", "low", "close")}
    whole = feature_table(bars, "a500+c", index)
    scaled = feature_table(dataclasses.replace(bars, **prices), "a500+c", index)
    for i, name in enumerate(whole.names):
        expected = whole.values[:, i] * factor ** POWER[CATALOGUE[name].scale]
        size = np.nanmax(np.abs(expected))
        same = np.isclose(
            scaled.values[:, i], expected, rtol=1e-6, atol=1e-7 * size, equal_nan=True
        )
        assert (~same).mean() < 0.005, name


def test_the_audit_lists_exactly_the_known_copies_maps_and_constants(quality):
    columns = {c.name: c for c in quality.columns}
    assert {c.name: c.copy_of for c in quality.columns if c.copy_of} == COPIES
    assert {c.name: c.affine_of for c in quality.columns if c.affine_of} == MAPS
    assert {c.name for c in quality.columns if c.constant} == CONSTANTS
    for name, original in COPIES.items():
        assert f"same_as:{original}" in columns[name].flags
    for name, original in MAPS.items():
        assert f"affine_of:{original}" in columns[name].flags


def test_dedupe_drops_them_from_a_task(short):
    bars, index = short
    task = {
        "kind": "market",
        "bars": bars.digest,
        "tier": "a500",
        "context": 10,
        "long_gaps": "impute_median",
    }
    rule = Holdout(protocol="holdout", val_start="2003-01-01", test_start="2004-01-01")
    examples = examples_of(MarketTask.model_validate({**task, "dedupe": True}), rule, bars, index)
    gone = {row.name for row in tier_rows("a500")} - set(examples.features)
    assert gone == set(COPIES) | set(MAPS) | CONSTANTS


@pytest.mark.parametrize(
    ("tier", "lost"), [("a20", 199), ("a50", 252), ("a100", 252), ("a200", 297), ("a500", 297)]
)
def test_leading_rows_lost_on_spy(spy, vix, tier, lost):
    """Row counts of the research notes: 199, 252, 252, 297; a500 no more than a200."""
    known = ~np.isnan(feature_table(spy, tier, vix).values)
    assert known.argmax(axis=0).max() == lost


@pytest.mark.parametrize(("tier", "train"), [("a100", 7204), ("a200", 7159), ("a500", 7159)])
def test_training_windows_on_spy(spy, vix, tier, train):
    """Sizes of the research notes; the gaps of a500 take the earlier median."""
    task = {"kind": "market", "bars": spy.digest, "tier": tier, "long_gaps": "impute_median"}
    examples = examples_of(MarketTask.model_validate(task), Holdout(protocol="holdout"), spy, vix)
    (counts,) = examples.counts()
    assert counts["train"][0] == train
    assert counts["validation"] == (422, 76)


def test_gaps_that_cost_rows_name_their_columns(spy, vix):
    task = MarketTask(kind="market", bars=spy.digest, tier="a500")
    examples = examples_of(task, Holdout(protocol="holdout"), spy, vix)
    assert examples.counts()[0]["train"][0] < 3000
    (note,) = [note for note in examples.notes if "older than 20 bars" in note]
    assert "entropy_regime" in note
    assert "set long_gaps: impute_median or leave the columns out" in note
    strict = task.model_copy(update={"max_fill": 0})
    with pytest.raises(DataError, match=r"has 0 windows.*entropy_regime.*long_gaps: impute_median"):
        examples_of(strict, Holdout(protocol="holdout"), spy, vix)


def test_inverted_ranks_are_turned_only_when_asked(short):
    bars, index = short
    task = {
        "kind": "market",
        "bars": bars.digest,
        "columns": ("atr_pct_percentile_60d", "atr_pct"),
        "context": 10,
    }
    rule = Holdout(protocol="holdout", val_start="2003-01-01", test_start="2004-01-01")
    plain, upright = (
        examples_of(
            MarketTask.model_validate({**task, "fix_inverted_ranks": turn}), rule, bars, index
        ).series
        for turn in (False, True)
    )
    names = sorted(task["columns"], key=lambda n: CATALOGUE[n].position)
    rank = names.index("atr_pct_percentile_60d")
    level = plain[:, 1 - rank]
    assert np.corrcoef(plain[:, rank], level)[0, 1] < -0.2
    assert np.corrcoef(upright[:, rank], level)[0, 1] > 0.2
    np.testing.assert_allclose(plain[:, rank] + upright[:, rank], 100 + 100 / 60, rtol=1e-5)


def test_too_few_rows_say_how_many_are_needed(short):
    bars, index = short
    task = MarketTask(kind="market", bars=bars.digest, tier="a200", context=80)
    with pytest.raises(
        DataError, match=r"350 bars are too few for tier a200: tema_100 takes 297 .* need 81 more"
    ):
        examples_of(task, Holdout(protocol="holdout"), bars.head(350), index)


def test_library_functions_exist_and_belong_to_known_rows():
    import talib

    from trueness.market.indicators.libraries import LIBRARIES, LIBRARY_OF

    assert set(LIBRARY_OF) <= set(CATALOGUE)
    assert len(LIBRARY_OF) == sum(len(names.split()) for names in LIBRARIES.values())  # none twice
    for library in LIBRARIES:
        if library.startswith("TA-Lib "):
            for function in library.removeprefix("TA-Lib ").split(", "):
                assert function in talib.get_functions(), function
