"""Complexity and regime rows against the published libraries, pandas and plain loops.

Slow libraries run on rows 900 to 1499 of the S&P 500 bars; what is built on them is compared from
row 1100 on, everything else on all rows.
"""

import dataclasses
import importlib.util
import itertools
import math
import subprocess
import sys
import warnings
from collections import Counter
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import talib

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from MFDFA import MFDFA
    from PyEMD import EMD

from trueness.market import load_bars
from trueness.market.indicators import CATALOGUE, complexity
from trueness.market.indicators.frame import Frame

ROWS = {row.name: row for row in complexity.ROWS}
TRUNCATIONS = (300, 301, 555, 1000, 1234, 1777, 2500, 3003, 3600, 4321, 4800, 5030)
SLOW = ("lyapunov", "correlation_dim", "mfdfa", "emd", "dfa", "approx")
SLOW_ROWS, COMPARED_FROM = range(900, 1500), 1100


class _Late:
    """The package antropy, which compiles for long when it is imported: where it is used."""

    def __getattr__(self, name):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(importlib.import_module("antropy"), name)


antropy = _Late()


def _nolds():
    """The file measures.py alone: the package nolds 0.6.3 cannot be imported on Python 3.11."""
    package = importlib.util.find_spec("nolds")
    path = Path(package.origin).with_name("measures.py")
    spec = importlib.util.spec_from_file_location("nolds_measures", path)
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
    return module


nolds = _nolds()


def columns(bars):
    frame = Frame(bars, None, CATALOGUE)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {name: frame[name] for name in ROWS}


@pytest.fixture(scope="module")
def bars():
    return load_bars("sp500")


@pytest.fixture(scope="module")
def table(bars):
    return columns(bars)


# ------------------------------------------------------------------------------------------ oracles


def pe(w, m):
    """Permutation entropy, straight from its definition."""
    patterns = Counter(
        tuple(np.argsort(w[i : i + m], kind="stable")) for i in range(len(w) - m + 1)
    )
    shares = sorted(c / patterns.total() for c in patterns.values())
    return -math.fsum(s * math.log(s) for s in shares) / math.log(math.factorial(m))


def finite(x):
    return x if np.isfinite(x) else np.nan


def correlation_dimension(w):
    slope = nolds.corr_dim(w, 3, fit="poly")
    return slope if np.isfinite(slope) and slope > 1e-9 else np.nan


def exponents(w):
    scales = np.unique(np.logspace(np.log10(4), np.log10(15), 5).astype(int))
    used, f = MFDFA(w, scales, order=1, q=np.array([-5, -3, -1, 1, 3, 5]))
    return np.polyfit(np.log(used), np.log(f), 1)[0]


def modes(w):
    parts = EMD().emd(w.copy())
    inner = [part.var() for part in parts[1:-1]]
    period = 40.0
    if inner:
        crossings = (np.diff(np.sign(parts[1 + int(np.argmax(inner))])) != 0).sum()
        period = 80 / crossings if crossings > 1 else 40.0
    shares = [min(1, parts[i].var() / w.var()) for i in (-1, 0)]
    return [len(parts), *shares, period]


def rescaled_range(w):
    path = np.cumsum(w - w.mean())
    return min(1, max(0, math.log((path.max() - path.min()) / w.std(ddof=1)) / math.log(30)))


WAVES = np.exp(-2j * np.pi * np.outer(np.arange(1, 11), np.arange(20)) / 20)


def spectral(w):
    power = np.abs(WAVES @ w) ** 2
    share = power / power.sum()
    return -(share * np.log(share)).sum() / math.log(10)


def roll(x, n, f):
    return x.rolling(n).apply(f, raw=True)


def mm(x, n):
    low, high = x.rolling(n).min(), x.rolling(n).max()
    return ((x - low) / (high - low)).where(high > low, (low * 0 + 0.5))


def tri(x):
    return x.map(
        lambda v: np.nan if np.isnan(v) else -1.0 if v < 0.33 else 1.0 if v > 0.67 else 0.0
    )


def runs(x):
    out, length, last = [], 0, None
    for v in x:
        length = length + 1 if v == last else 1
        out.append(np.nan if np.isnan(v) else length)
        last = v
    return pd.Series(out)


def changes(x, n):
    changed = pd.Series(
        [
            np.nan,
            *(np.nan if np.isnan(a + b) else float(a != b) for a, b in itertools.pairwise(x)),
        ]
    )
    return changed.rolling(n).sum().round()


def corr(x, y, n):
    out = np.full(len(x), np.nan)
    a, b = x.to_numpy(), y.to_numpy()
    for t in range(n - 1, len(x)):
        u, v = a[t - n + 1 : t + 1], b[t - n + 1 : t + 1]
        if np.ptp(u) > 0 and np.ptp(v) > 0:
            out[t] = np.corrcoef(u, v)[0, 1]
    return pd.Series(out)


def stability(x):
    spread = roll(x, 20, lambda w: w.std(ddof=1) if np.ptp(w) else 0.0)
    top = spread.rolling(60).max()
    return (1 - spread / top).clip(0, 1).where(top > 0, top * 0 + 1)


class Oracle:
    """Columns written from the wording of the catalogue, each computed once."""

    def __init__(self, bars):
        self.d = pd.DataFrame(
            {n: getattr(bars, n) for n in ("open", "high", "low", "close", "volume")}
        )
        self.c = self.d.close
        self.done = {}

    def __getitem__(self, name):
        if name not in self.done:
            with np.errstate(invalid="ignore", divide="ignore"):
                self.done[name] = pd.Series(np.asarray(ORACLES[name](self), float))
        return self.done[name]

    def past(self, n, f, rows=None, width=0):
        """f of the n closes ending the day before, on all rows or on those given."""
        c = self.c.to_numpy()
        out = np.full((len(c), width) if width else len(c), np.nan)
        for t in rows or range(n, len(c)):
            out[t] = f(c[t - n : t])
        return out if width else pd.Series(out)

    @cached_property
    def p4(self):
        return self.past(20, lambda w: pe(w, 4))

    @cached_property
    def atr(self):
        return pd.Series(talib.ATR(*(self.d[n].to_numpy() for n in ("high", "low", "close")), 14))

    @cached_property
    def adx(self):
        return pd.Series(talib.ADX(*(self.d[n].to_numpy() for n in ("high", "low", "close")), 14))

    @property
    def a(self):
        return self.atr / self.c

    @property
    def r(self):
        return self.c / self.c.shift(1) - 1

    @property
    def s(self):
        return self.r.rolling(20).std()

    @cached_property
    def modes(self):
        return self.past(40, modes, SLOW_ROWS, 4)

    @cached_property
    def h(self):
        return self.past(120, exponents, SLOW_ROWS, 6)

    def slow(self, n, f):
        return self.past(n, f, SLOW_ROWS)

    @property
    def p(self):
        low, high = self.c.rolling(20).min(), self.c.rolling(20).max()
        return (self.c - low) / (high - low + 1e-10)

    @property
    def u(self):
        return (self.d.volume / self.d.volume.rolling(20).mean()).clip(0.5, 2)

    @property
    def m(self):
        return self.c / self.c.shift(20) - 1

    @property
    def scores(self):
        names = ("accumulation", "markup", "distribution", "markdown")
        return np.column_stack([self[f"{n}_score"] for n in names])


def _slopes():
    five = {
        "entropy_trend_5d": "permutation_entropy_order4",
        "permutation_entropy_acceleration": "permutation_entropy_slope",
        "perm_entropy_acceleration_5d": "permutation_entropy_slope",
        "hurst_exponent_slope": "hurst_exponent_20d",
        "emd_imf_count_slope": "emd_imf_count",
        "sample_entropy_slope": "sample_entropy_20d",
        "sample_entropy_acceleration": "sample_entropy_slope",
        "approx_entropy_slope": "approx_entropy_20d",
        "spectral_entropy_slope": "spectral_entropy_20d",
        "katz_fd_slope": "katz_fd_20d",
        "petrosian_fd_slope": "petrosian_fd_20d",
        "lyapunov_exp_slope": "lyapunov_exp_20d",
        "correlation_dim_slope": "correlation_dim_20d",
        "mfdfa_hurst_slope": "mfdfa_hurst_mean",
        "dfa_alpha_slope": "dfa_alpha_20d",
        "hurst_rs_slope": "hurst_rs_30d",
    }
    return {name: (lambda o, x=x: o[x].diff(5)) for name, x in five.items()}


def _entropies():
    se = lambda w: antropy.sample_entropy(w)  # noqa: E731
    return {
        f"permutation_entropy_order{m}": (lambda o, m=m: roll(o.c, 20, lambda w: pe(w, m)))
        for m in (3, 4, 5)
    } | {
        "permutation_entropy_slope": lambda o: o.p4.diff(5),
        "perm_entropy_trend_5d": lambda o: o.p4.diff(5),
        "entropy_percentile_60d": lambda o: mm(o.p4, 60),
        "entropy_regime_score": lambda o: 2 * mm(o.p4, 60) - 1,
        "entropy_vol_ratio": lambda o: (o.p4 / (o.s / o.s.rolling(60).max())).clip(0, 10),
        "sample_entropy_20d": lambda o: o.past(20, lambda w: x if np.isfinite(x := se(w)) else 0.0),
        "sample_entropy_30d": lambda o: o.past(30, lambda w: finite(se(w))),
        "entropy_atr_ratio": lambda o: o["sample_entropy_30d"] / (o.a + 1e-10),
        "entropy_change_10d": lambda o: o["sample_entropy_30d"].diff(10),
        "entropy_regime": _entropy_regime,
        "approx_entropy_20d": lambda o: o.slow(20, lambda w: max(0, antropy.app_entropy(w))),
        "approximate_entropy_30d": lambda o: o.slow(30, antropy.app_entropy),
        "approx_entropy_percentile_60d": lambda o: mm(o["approx_entropy_20d"], 60),
        "approx_entropy_regime": lambda o: tri(mm(o["approx_entropy_20d"], 60)),
        "spectral_entropy_20d": lambda o: o.past(20, spectral),
        "spectral_entropy_percentile_60d": lambda o: mm(o["spectral_entropy_20d"], 60),
        "spectral_entropy_regime": lambda o: tri(mm(o["spectral_entropy_20d"], 60)),
        "spectral_vs_volatility_ratio": lambda o: (
            o["spectral_entropy_20d"] / (o.a / o.a.rolling(60).max())
        ).clip(0, 10),
        "entropy_scale_5d": lambda o: o.past(5, lambda w: pe(w, 3)),
        "entropy_scale_10d": lambda o: o.past(10, lambda w: pe(w, 3)),
        "entropy_scale_ratio_5_20": lambda o: (o["entropy_scale_5d"] / o.p4).clip(0.1, 10),
        "entropy_scale_ratio_10_20": lambda o: (o["entropy_scale_10d"] / o.p4).clip(0.1, 10),
        "entropy_scale_consistency": lambda o: pd.concat(
            [o["entropy_scale_5d"], o["entropy_scale_10d"], o.p4], axis=1
        ).std(axis=1, ddof=0),
        "entropy_vol_divergence": lambda o: mm(o.p4, 60) - mm(o.a, 60),
        "entropy_vol_correlation_20d": lambda o: corr(o.p4, o.a, 20),
        "entropy_leading_vol": lambda o: corr(o.p4.diff(5).shift(5), o.a.diff(5), 20),
        "vol_leading_entropy": lambda o: corr(o.a.diff(5).shift(5), o.p4.diff(5), 20),
        "entropy_vol_regime_match": lambda o: (
            (tri(mm(o.p4, 60)) == tri(mm(o.a, 60))) * 1.0 + 0 * mm(o.p4, 60)
        ),
        "hidden_instability_score": lambda o: mm(o.p4, 60) * (1 - mm(o.a, 60)),
        "entropy_regime_duration": lambda o: runs(tri(mm(o.p4, 60))),
        "entropy_regime_change_count_20d": lambda o: changes(tri(mm(o.p4, 60)), 20),
        "entropy_stability_score": lambda o: stability(o.p4),
    }


def _entropy_regime(o):
    x = o["sample_entropy_30d"]
    low = roll(x, 50, lambda w: np.percentile(w, 30))
    high = roll(x, 50, lambda w: np.percentile(w, 70))
    return ((x > low) * 1.0 + (x > high)).where(low.notna())


def _fractals():
    return {
        "hurst_exponent_20d": lambda o: np.full(len(o.c), 0.5),
        "autocorr_lag1": lambda o: o.r.rolling(20).apply(lambda w: w.autocorr(1)),
        "autocorr_lag5": lambda o: o.r.rolling(20).apply(lambda w: w.autocorr(5)),
        "autocorr_partial_lag1": lambda o: o["autocorr_lag1"],
        "fractal_dimension_20d": lambda o: o.past(
            20, lambda w: min(2, max(1, antropy.higuchi_fd(w, 5)))
        ),
        "katz_fd_20d": lambda o: o.past(20, antropy.katz_fd),
        "petrosian_fd_20d": lambda o: o.past(20, antropy.petrosian_fd),
        "fd_diversity_ratio": lambda o: o.past(40, antropy.higuchi_fd) / o["katz_fd_20d"],
        "fd_regime_score": lambda o: 2 * mm((o["katz_fd_20d"] + o["petrosian_fd_20d"]) / 2, 60) - 1,
        "lyapunov_exp_20d": lambda o: o.slow(
            40, lambda w: nolds.lyap_r(w, emb_dim=3, lag=1, min_tsep=1, fit="poly")
        ),
        "lyapunov_regime": lambda o: (o["lyapunov_exp_20d"] > 0) * 1.0,
        "correlation_dim_20d": lambda o: o.slow(20, correlation_dimension),
        "mfdfa_hurst_mean": lambda o: o.h.mean(axis=1),
        "mfdfa_hurst_width": lambda o: o.h.max(axis=1) - o.h.min(axis=1),
        "mfdfa_alpha_range": lambda o: o["mfdfa_hurst_width"],
        "mfdfa_asymmetry": lambda o: o.h[:, :3].mean(axis=1) - o.h[:, 3:].mean(axis=1),
        "mfdfa_regime_score": lambda o: 2 * mm(o["mfdfa_hurst_width"], 60) - 1,
        "emd_imf_count": lambda o: o.modes[:, 0],
        "emd_trend_strength": lambda o: o.modes[:, 1],
        "emd_noise_ratio": lambda o: o.modes[:, 2],
        "emd_dominant_period": lambda o: o.modes[:, 3],
        "emd_stability_score": lambda o: stability(o["emd_imf_count"]),
        "dfa_alpha_20d": lambda o: o.slow(40, lambda w: nolds.dfa(w, fit_exp="poly")),
        "dfa_crossover_scale": lambda o: np.full(len(o.c), 6.0),
        "dfa_trend_strength": lambda o: (o["dfa_alpha_20d"] - 0.5).abs(),
        "hurst_rs_30d": lambda o: o.past(30, rescaled_range),
        "hurst_regime": lambda o: sum((o["hurst_rs_30d"] >= k) * 1.0 for k in (0.4, 0.5, 0.6)),
        "hurst_vs_volatility": _hurst_vs_volatility,
        "days_in_hurst_regime": lambda o: runs(o["hurst_regime"].where(o["hurst_rs_30d"].notna())),
        "hurst_regime_transition_prob": lambda o: mm(o.s, 50),
    }


def _hurst_vs_volatility(o):
    x = o.c.rolling(14).max() - o.c.rolling(14).min()
    low, high = x.rolling(50).min(), x.rolling(50).max()
    return o["hurst_rs_30d"] / ((x - low) / (high - low + 1e-10) + 0.1)


def _vol_state(o):
    rank = o["atr_regime_pct_60d"]
    return ((rank > 0.7) * 1.0 - (rank < 0.3) * 1.0).where(rank.notna())


def _regimes():
    rank = lambda x: roll(x, 60, lambda w: (w <= w[-1]).mean())  # noqa: E731
    return {
        "atr_regime_pct_60d": lambda o: rank(o.a),
        "atr_regime_rolling_q": lambda o: rank(o.a),
        "trend_strength_pct_60d": lambda o: rank(o.adx),
        "trend_strength_rolling_q": lambda o: rank(o.adx),
        "vol_regime_state": _vol_state,
        "regime_consistency": lambda o: runs(_vol_state(o)),
        "regime_transition_prob": lambda o: changes(_vol_state(o), 20) / 20,
        "adx_regime": lambda o: ((o.adx >= 20) * 1.0 + (o.adx > 25)).where(o.adx.notna()),
        "trend_regime_duration": lambda o: runs(o["adx_regime"]),
        "accumulation_score": lambda o: (
            0.4 * (1 - o.p) + 0.15 * o.u + 0.3 * (1 - mm(o.s, 50))
        ).clip(0, 1),
        "markup_score": lambda o: (
            0.3 * (o.m > 0) + 0.3 * o.m.clip(-0.2, 0.2) / 0.2 + 0.1 * o.u + 0.2 * o.p
        ).clip(0, 1),
        "distribution_score": lambda o: (0.4 * o.p + 0.15 * o.u + 0.3 * mm(o.s, 50)).clip(0, 1),
        "markdown_score": lambda o: (
            0.3 * (o.m < 0) + 0.3 * (-o.m).clip(-0.2, 0.2) / 0.2 + 0.1 * o.u + 0.2 * (1 - o.p)
        ).clip(0, 1),
        "cycle_phase": lambda o: np.argmax(o.scores, axis=1),
        "cycle_phase_confidence": lambda o: o.scores.max(axis=1),
    }


ORACLES = _slopes() | _entropies() | _fractals() | _regimes()


@pytest.fixture(scope="module")
def oracle(bars):
    return Oracle(bars.adjusted())


def test_every_row_has_an_oracle():
    assert set(ORACLES) == set(ROWS)
    assert len(ROWS) == 96


@pytest.mark.long
@pytest.mark.parametrize("name", list(ROWS))
def test_equals_an_independent_formula(name, table, oracle):
    slow = name.startswith(SLOW) and ROWS[name].flags != ("constant_in_reference",)
    rows = slice(COMPARED_FROM, SLOW_ROWS.stop) if slow else slice(ROWS[name].warmup, None)
    expected, actual = oracle[name].to_numpy()[rows], table[name][rows]
    known = ~np.isnan(actual)
    assert known.any()
    np.testing.assert_array_equal(np.isnan(expected), ~known)  # missing on the same days
    np.testing.assert_allclose(
        actual[known], expected[known], rtol=0, atol=1e-8 * expected[known].std() + 1e-9
    )


# ---------------------------------------------------------------------------------------- contracts


@pytest.mark.parametrize("name", list(ROWS))
def test_first_value_comes_when_declared(name, table):
    first = int(np.argmax(~np.isnan(table[name])))
    if "scattered_missing" in ROWS[name].flags:
        assert ROWS[name].warmup <= first <= ROWS[name].warmup + 60
    else:
        assert first == ROWS[name].warmup
        assert not np.isnan(table[name][first:]).any()


def test_no_column_looks_ahead(bars, table):
    """Also the two that did in the reference, and every compiled window."""
    for cut in TRUNCATIONS:
        for name, values in columns(bars.head(cut)).items():
            np.testing.assert_allclose(
                values, table[name][:cut], rtol=1e-9, atol=1e-9, err_msg=f"{name} at {cut}"
            )


@pytest.mark.parametrize(
    ("factor", "fields"), [(4.0, ("open", "high", "low", "close")), (8.0, ("volume",))]
)
def test_scale_free(bars, table, factor, fields):
    scaled = dataclasses.replace(bars, **{n: getattr(bars, n) * factor for n in fields})
    for name, values in columns(scaled).items():
        assert ROWS[name].scale == "free"
        size = np.nanmax(np.abs(table[name]))
        np.testing.assert_allclose(
            values, table[name], rtol=1e-7, atol=1e-9 * size, err_msg=f"{name} times {factor}"
        )


def test_volume_is_declared(bars):
    frame = Frame(dataclasses.replace(bars, volume=None), None, CATALOGUE)
    for name, row in ROWS.items():
        if row.needs:
            with pytest.raises(KeyError):
                frame[name]
        else:
            assert len(frame[name]) == len(bars)


def test_flags_name_copies_and_defects(table):
    same = {n: f.split(":")[1] for n, r in ROWS.items() for f in r.flags if f.startswith("same_as")}
    assert len(same) == 6
    for name, source in same.items():
        np.testing.assert_array_equal(table[name], table[source])
    for name in ("entropy_leading_vol", "vol_leading_entropy"):
        assert "lagged_instead_of_lookahead" in ROWS[name].flags
    for name, value in (
        ("hurst_exponent_20d", 0.5),
        ("hurst_exponent_slope", 0),
        ("dfa_crossover_scale", 6),
    ):
        assert "constant_in_reference" in ROWS[name].flags
        assert set(table[name][ROWS[name].warmup :]) == {value}


def test_constant_and_short_prices_are_finite_or_missing(bars):
    one = np.full(400, 100.0)
    flat = dataclasses.replace(bars.head(400), open=one, high=one, low=one, close=one, volume=one)
    for name, values in columns(flat).items():
        assert not np.isinf(values).any(), name
    for rows in (3, 25, 60):
        for name, values in columns(bars.head(rows)).items():
            assert len(values) == rows
            assert np.isnan(values[: ROWS[name].warmup]).all()


# ------------------------------------------------------------------------------------------ kernels


def _windows(kind, rng, n):
    if kind == "steps":  # ties and plateaus
        return np.cumsum(rng.integers(-1, 2, n)) + 50.0
    if kind == "tiny":
        return np.cumsum(rng.standard_normal(n)) * 3e-4 + 50  # near the absolute thresholds
    return rng.standard_normal(n) if kind == "noise" else np.cumsum(rng.standard_normal(n)) + 50


@pytest.mark.parametrize("kind", ["steps", "tiny", "noise", "walk"])
def test_mode_decomposition_equals_the_library(kind):
    from trueness.market.emd import decompose

    rng, agree = np.random.default_rng(0), 0
    for _ in range(60):
        window = _windows(kind, rng, 40)
        window *= 1000 / np.abs(window).mean()  # where our thresholds are those of PyEMD
        ours, theirs = decompose(window), EMD().emd(window.copy())
        agree += ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=0, atol=1e-8)
        np.testing.assert_allclose(ours.sum(axis=0), window, atol=1e-8)
    assert agree == 60


@pytest.mark.parametrize("kind", ["steps", "noise"])
def test_kernels_equal_the_libraries_off_prices(kind):
    from trueness.market import kernels as k

    rng = np.random.default_rng(1)
    pairs = {
        "sample": (lambda w: k.sample_entropy(w, 40), lambda w: finite(antropy.sample_entropy(w))),
        "approximate": (lambda w: k.approximate_entropy(w, 40), antropy.app_entropy),
        "higuchi": (lambda w: k.higuchi_dimension(w, 40, 10), antropy.higuchi_fd),
        "permutation": (lambda w: k.permutation_entropy(w, 40, 3), lambda w: antropy.perm_entropy(w, normalize=True)),
        "correlation": (lambda w: k.correlation_dimension(w, 40, 3), correlation_dimension),
        "lyapunov": (
            lambda w: k.lyapunov_exponent(w, 40, 3, 20),
            lambda w: nolds.lyap_r(w, emb_dim=3, lag=1, min_tsep=1, fit="poly"),
        ),
        "dfa": (
            lambda w: k.fluctuation_exponent(w, 40, k.DFA_SCALES),
            lambda w: nolds.dfa(w, fit_exp="poly"),
        ),
    }  # fmt: skip
    for _ in range(15):
        window = _windows(kind, rng, 40)
        for name, (ours, theirs) in pairs.items():
            assert ours(window)[-1] == pytest.approx(theirs(window), abs=1e-9, nan_ok=True), name
            assert np.isnan(ours(window)[:-1]).all()


def test_hand_computed_values():
    from trueness.market import kernels as k

    # 1 2 4 3: patterns 012, 021 of order 3, one each; 2 of 6 patterns
    assert k.permutation_entropy(np.array([1.0, 2, 4, 3]), 4, 3)[3] == pytest.approx(
        math.log(2) / math.log(6)
    )
    ties = k.permutation_entropy(
        np.array([2.0, 2, 2, 2]), 4, 3
    )  # ties rank by position: one pattern
    np.testing.assert_array_equal(ties, [np.nan, np.nan, np.nan, 0.0])
    # 0 1 0 1 0 1: short templates 01 10 01 10, two pairs alike; both go on alike
    assert k.sample_entropy(np.array([0.0, 1, 0, 1, 0, 1]), 6)[5] == 0
    # 0 1 5 0 1 9: the templates 01 are alike, but go on with 5 and 9
    assert np.isnan(k.sample_entropy(np.array([0.0, 1, 5, 0, 1, 9]), 6)[5])
    line = np.arange(1.0, 21)
    assert k.higuchi_dimension(line, 20, 5)[19] == pytest.approx(1)
    state = np.array([np.nan, 1.0, 1.0, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(complexity._run_length(state), [np.nan, 1, 2, 1, 1, 2])
    np.testing.assert_array_equal(complexity._changes(state), [np.nan, np.nan, 0, 1, 1, 0])
    expected = math.log10(4) / (math.log10(4) + math.log10(4 / 4.8))  # two turns
    assert complexity._petrosian(np.array([[1.0, 2, 1, 2]])) == pytest.approx(expected)
    w = np.array([[1.0, 2, 4, 3]])  # length 4, mean step 4/3, reach 3
    np.testing.assert_allclose(complexity._katz(w), math.log10(3) / math.log10(9 / 4))


def test_states_at_their_borders():
    """The state functions read finished columns by name, so a dict serves as a frame."""
    cases = (
        (complexity._trend_state, "adx_14", [19.9, 20, 25, 25.1, np.nan], [0, 1, 1, 2, np.nan]),
        (complexity._hurst_state, "hurst_rs_30d", [0.39, 0.4, 0.5, 0.6, np.nan], [0, 1, 2, 3, np.nan]),
        (complexity._volatility_state, "atr_regime_pct_60d", [0.3, 0.29, 0.7, 0.71, np.nan], [0, -1, 0, 1, np.nan]),
    )  # fmt: skip
    for state, name, values, expected in cases:
        np.testing.assert_array_equal(state({name: np.array(values)}), expected)


def test_a_line_segment_leaves_the_multifractal_exponents_undefined():
    from trueness.market import kernels as k

    x = np.cumsum(np.random.default_rng(0).standard_normal(120)) + 50
    assert not np.isnan(k.multifractal_exponents(x, 120, k.MFDFA_SCALES, k.MFDFA_POWERS)[-1]).any()
    x[5:8] = x[5]  # three equal closes: a line in the segment 4..7 of the summed series
    out = k.multifractal_exponents(x, 120, k.MFDFA_SCALES, k.MFDFA_POWERS)[-1]
    np.testing.assert_array_equal(np.isnan(out), [True, True, True, False, False, False])


# -------------------------------------------------------------------------------------- compilation


def test_numba_is_loaded_by_a_complexity_column_only():
    code = (
        "import sys; from trueness.market import load_bars, feature_table;"
        "from trueness.market.indicators import complexity;"
        "feature_table(load_bars('sp500').head(300), 'a20'); assert 'numba' not in sys.modules;"
        "feature_table(load_bars('sp500').head(300), ['sample_entropy_20d']);"
        "assert 'numba' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_each_kernel_is_compiled_for_one_signature(table):
    from trueness.compiling import Kernel
    from trueness.market import emd, kernels

    del table
    actual = [f for m in (kernels, emd) for f in vars(m).values() if isinstance(f, Kernel)]
    assert len(actual) > 15
    for kernel in actual:
        if not kernel.name.startswith("_") and kernel.name not in ("total", "variance"):
            signatures = kernel.dispatcher.signatures
            assert len(signatures) <= 1, (kernel.name, signatures)


def test_kernels_compile_without_a_folder_for_the_cache(monkeypatch):
    from numba.core import caching

    from trueness.market.kernels import compiled

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    doubled = compiled(lambda x: 2 * x)
    assert doubled(3.0) == 6
