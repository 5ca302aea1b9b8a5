"""Complexity and regimes: entropies, fractal dimensions, chaos, decompositions, market phases.

Windows of the added features (a500) end YESTERDAY; the three entropies of a200 end today. P4 is the
permutation entropy of order 4 of 20 closes ending yesterday, a is ATR14 / C.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trueness.market import kernels as k
from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row

# NOTE[DIFF] the published counters and states show 0, and the stability score 1, while they warm
# up; here they are missing, and a run is counted from the first defined row on. A state whose input
# is missing is missing too.
# NOTE[DIFF] the published Lyapunov exponent, correlation dimension and DFA exponent end in a
# randomised, unseeded line fit; here it is the least-squares line, so that they are reproducible.

_RANDOM = ("unseeded_random_line_fit",)
_MISSING = ("scattered_missing",)
_CONSTANT = ("constant_in_reference",)
_LAGGED = ("lagged_instead_of_lookahead",)


# ------------------------------------------------------------------------------------------ helpers


def _windows(f: Frame, n: int, reduce: Callable[[p.Array], p.Array]) -> p.Array:
    """`reduce`, (windows, n) -> (windows,), over the n closes ending yesterday; inf is missing."""
    return _finite(p.lag(p.rolling(f.close, n, lambda w, axis: reduce(w)), 1))


def _finite(x: p.Array) -> p.Array:
    return np.where(np.isinf(x), np.nan, x)


def _relative_atr(f: Frame) -> p.Array:
    return f.atr14 / f.close


def _p4(f: Frame) -> p.Array:
    return p.lag(f["permutation_entropy_order4"], 1)


def _known(x: p.Array, values: p.Array | np.ndarray) -> p.Array:
    """`values` where x is defined, else NaN."""
    return np.where(np.isnan(x), np.nan, values)


def _share_of_high(x: p.Array, n: int) -> p.Array:
    return x / p.highest(x, n)


def _stability(x: p.Array) -> p.Array:
    """``clip(1 - s / max(s, 60), 0, 1)``, s = std(x, 20); 1 where s stays 0."""
    spread = p.std(x, 20)
    share = _share_of_high(spread, 60)
    return np.where(p.highest(spread, 60) == 0, 1.0, np.clip(1 - share, 0, 1))


def _run_length(state: p.Array) -> p.Array:
    """Rows since the state last changed, today included; NaN where it is missing."""
    return _known(state, np.arange(len(state)) - p.run_start(state) + 1.0)


def _changes(state: p.Array) -> p.Array:
    """1 where the state differs from the row before, 0 where not; NaN where either is missing."""
    return _known(p.diff(state, 1), p.diff(state, 1) != 0)


def _correlation(x: p.Array, y: p.Array, n: int) -> p.Array:
    """Correlation over n rows; missing where one side is constant, rounding aside."""
    flat = (p.rolling(x, n, np.ptp) == 0) | (p.rolling(y, n, np.ptp) == 0)
    return np.where(flat, np.nan, p.correlation(x, y, n))


def _entropy_state(f: Frame) -> p.Array:
    return p.tri(f["entropy_percentile_60d"])


# -------------------------------------------------------------------------------- window statistics


def _katz(w: p.Array) -> p.Array:
    """Katz, "Fractals and the analysis of waveforms" (1988); undefined in a constant window."""
    step = np.abs(np.diff(w, axis=1))
    reach, mean = np.abs(w - w[:, :1]).max(axis=1), step.mean(axis=1)
    return np.log10(step.sum(axis=1) / mean) / np.log10(reach / mean)


def _petrosian(w: p.Array) -> p.Array:
    """Petrosian, "Kolmogorov complexity of finite sequences" (1995); a step of 0 counts as up."""
    turns, n = np.diff(np.diff(w, axis=1) < 0, axis=1).sum(axis=1), w.shape[1]
    return np.log10(n) / (np.log10(n) + np.log10(n / (n + 0.4 * turns)))


def _spectral_entropy(w: p.Array) -> p.Array:
    """Shannon entropy of the power in all frequencies above 0; undefined in a constant window."""
    power = np.abs(np.fft.rfft(w, axis=1)[:, 1:]) ** 2
    share = power / power.sum(axis=1, keepdims=True)
    terms = share * np.log(np.where(share > 0, share, 1.0))
    flat = np.ptp(w, axis=1) == 0
    return np.where(flat, np.nan, -terms.sum(axis=1) / np.log(power.shape[1]))


def _rescaled_range(w: p.Array) -> p.Array:
    """Hurst, "Long-term storage capacity of reservoirs" (1951), from one scale only."""
    path = np.cumsum(w - w.mean(axis=1, keepdims=True), axis=1)
    ratio = np.ptp(path, axis=1) / w.std(axis=1, ddof=1)
    flat = np.ptp(w, axis=1) == 0
    return np.where(flat, np.nan, np.clip(np.log(ratio) / np.log(w.shape[1]), 0, 1))


# --------------------------------------------------------------------------------- rows of a family


def _change(
    position: int,
    name: str,
    source: str,
    warmup: int,
    *,
    formula: str = "",
    rows: int = 5,
    tier: str = "a500",
    flags: tuple[str, ...] = (),
) -> Row:
    """A row ``d(source, rows)``."""
    text = formula or f"d({source},{rows})"
    return Row(position, name, tier, text, lambda f: p.diff(f[source], rows), warmup, flags=flags)


def _order(position: int, order: int) -> Row:
    def compute(f: Frame) -> p.Array:
        return f.measures.of(k.permutation_entropy, 20, order)

    name, text = f"permutation_entropy_order{order}", "PE(20 closes ending today, order {})"
    return Row(position, name, "a200", text.format(order), compute, 19)


def _scale_entropy(position: int, n: int) -> Row:
    return Row(
        position,
        f"entropy_scale_{n}d",
        "a500",
        f"PE(PW {n}, order 3)",
        lambda f: f.past(k.permutation_entropy, n, 3),
        n,
    )


def _scale_ratio(position: int, n: int) -> Row:
    return Row(
        position,
        f"entropy_scale_ratio_{n}_20",
        "a500",
        f"clip(entropy_scale_{n}d/P4, 0.1, 10)",
        lambda f: np.clip(f[f"entropy_scale_{n}d"] / _p4(f), 0.1, 10),
        20,
    )


def _percentile(position: int, name: str, source: str) -> Row:
    return Row(position, name, "a500", f"mm({source}, 60)", lambda f: p.position(f[source], 60), 79)


def _thirds(position: int, name: str, source: str) -> Row:
    return Row(position, name, "a500", f"tri({source})", lambda f: p.tri(f[source]), 79)


def _autocorrelation(position: int, days: int) -> Row:
    """A row on the 20 - days pairs inside 20 returns."""
    return Row(
        position,
        f"autocorr_lag{days}",
        "a500",
        f"lag-{days} autocorrelation of r inside a 20-row window ending today",
        lambda f: _correlation(f.returns, p.lag(f.returns, days), 20 - days),
        20,
    )


# --------------------------------------------------------------------------- volatility and entropy


def _volatility_state(f: Frame) -> p.Array:
    rank = f["atr_regime_pct_60d"]
    return _known(rank, np.where(rank > 0.7, 1.0, np.where(rank < 0.3, -1.0, 0.0)))


def _trend_state(f: Frame) -> p.Array:
    adx = f["adx_14"]
    return _known(adx, np.where(adx < 20, 0.0, np.where(adx <= 25, 1.0, 2.0)))


def _hurst_state(f: Frame) -> p.Array:
    h = f["hurst_rs_30d"]
    return _known(h, np.searchsorted([0.4, 0.5, 0.6], h, side="right").astype(np.float64))


def _sample_entropy_20d(f: Frame) -> p.Array:
    values = f.past(k.sample_entropy, 20)
    return np.where(np.isnan(values), 0.0, values)


def _sample_entropy_state(f: Frame) -> p.Array:
    x = f["sample_entropy_30d"]
    low, high = p.quantile(x, 50, 0.3), p.quantile(x, 50, 0.7)
    return _known(low, np.where(x <= low, 0.0, np.where(x <= high, 1.0, 2.0)))


def _volatility_match(f: Frame) -> p.Array:
    entropy, volatility = _entropy_state(f), p.tri(p.position(_relative_atr(f), 60))
    return _known(entropy + volatility, entropy == volatility)


TINY = 1e-13
"""Of the close: keeps ratios of ranges defined where nothing moves; 1e-10 at 1,000."""


def _hurst_against_volatility(f: Frame) -> p.Array:
    spread = p.highest(f.close, 14) - p.lowest(f.close, 14)
    low, high = p.lowest(spread, 50), p.highest(spread, 50)
    return f["hurst_rs_30d"] / ((spread - low) / (high - low + TINY * f.close) + 0.1)


def _entropy_to_volatility(f: Frame) -> p.Array:
    return np.clip(_p4(f) / _share_of_high(p.std(f.returns, 20), 60), 0, 10)


def _fluctuation(f: Frame) -> p.Array:
    alpha = f.past(k.fluctuation_exponent, 40, k.DFA_SCALES)
    return np.where(alpha > 0, alpha, np.nan)


def _scales(f: Frame) -> p.Array:
    return np.std([f["entropy_scale_5d"], f["entropy_scale_10d"], _p4(f)], axis=0)


# ------------------------------------------------------------------------------------ market phases


def _price_place(f: Frame) -> p.Array:
    low, high = p.lowest(f.close, 20), p.highest(f.close, 20)
    return (f.close - low) / (high - low + TINY * f.close)


def _activity(f: Frame) -> p.Array:
    return np.clip(p.ratio(f.volume, p.mean(f.volume, 20)), 0.5, 2)


def _volatility_rank(f: Frame) -> p.Array:
    return p.position(p.std(f.returns, 20), 50)


def _accumulation(f: Frame) -> p.Array:
    score = 0.4 * (1 - _price_place(f)) + 0.15 * _activity(f) + 0.3 * (1 - _volatility_rank(f))
    return np.clip(score, 0, 1)


def _distribution(f: Frame) -> p.Array:
    return np.clip(0.4 * _price_place(f) + 0.15 * _activity(f) + 0.3 * _volatility_rank(f), 0, 1)


def _move(f: Frame, sign: float) -> p.Array:
    move = sign * (f.close / p.lag(f.close, 20) - 1)
    return 0.3 * (move > 0) + 0.3 * np.clip(move, -0.2, 0.2) / 0.2 + 0.1 * _activity(f)


def _phases(f: Frame) -> p.Array:
    """Scores of accumulation, markup, distribution, markdown, (T, 4)."""
    names = ("accumulation", "markup", "distribution", "markdown")
    return np.column_stack([f[f"{name}_score"] for name in names])


def _phase(f: Frame) -> p.Array:
    scores = _phases(f)
    return _known(scores.sum(axis=1), scores.argmax(axis=1))


_VOLUME = ("volume",)

ROWS = (
    _order(196, 3),
    _order(197, 4),
    _order(198, 5),
    _change(199, "entropy_trend_5d", "permutation_entropy_order4", 24, tier="a200"),
    Row(200, "atr_regime_pct_60d", "a200", "rank_le(ATR14/C, 60)",
        lambda f: p.rank_le(_relative_atr(f), 60), 73, flags=("affine_of:atr_pct_percentile_60d",)),
    Row(201, "atr_regime_rolling_q", "a200", "rank_le(ATR14/C, 60)",
        lambda f: f["atr_regime_pct_60d"], 73, flags=("same_as:atr_regime_pct_60d",)),
    Row(202, "trend_strength_pct_60d", "a200", "rank_le(ADX14, 60)",
        lambda f: p.rank_le(f["adx_14"], 60), 86),
    Row(203, "trend_strength_rolling_q", "a200", "rank_le(ADX14, 60)",
        lambda f: f["trend_strength_pct_60d"], 86, flags=("same_as:trend_strength_pct_60d",)),
    Row(204, "vol_regime_state", "a200",
        "+1 if atr_regime_pct_60d > 0.7, -1 if < 0.3, else 0 (missing -> 0)",
        _volatility_state, 73),
    Row(205, "regime_consistency", "a200",
        "length of the current run of equal vol_regime_state (>= 1)",
        lambda f: _run_length(f["vol_regime_state"]), 73),
    Row(206, "regime_transition_prob", "a200",
        "share of the last 20 rows on which vol_regime_state differs from the row before",
        lambda f: p.mean(_changes(f["vol_regime_state"]), 20), 93),
    Row(312, "adx_regime", "a500", "0 if ADX14 < 20, 1 if 20..25 inclusive, 2 if > 25",
        _trend_state, 27),
    Row(315, "trend_regime_duration", "a500", "length of the current run of equal adx_regime",
        lambda f: _run_length(f["adx_regime"]), 27),
    Row(407, "permutation_entropy_slope", "a500", "d(P4,5), P4 = PE(PW 20, order 4)",
        lambda f: p.diff(_p4(f), 5), 25),
    _change(408, "permutation_entropy_acceleration", "permutation_entropy_slope", 30,
            formula="d(d(P4,5),5)"),
    Row(409, "sample_entropy_20d", "a500",
        "SE(PW 20): template lengths 2 and 3, tolerance 0.2*population std, Chebyshev distance "
        "strictly below tolerance, no self matches, -ln(A/B); 0 when A, B or the std is 0",
        _sample_entropy_20d, 20),
    _change(410, "sample_entropy_slope", "sample_entropy_20d", 25),
    _change(411, "sample_entropy_acceleration", "sample_entropy_slope", 30,
            formula="d(d(sample_entropy_20d,5),5)"),
    Row(412, "entropy_percentile_60d", "a500", "mm(P4, 60)", lambda f: p.position(_p4(f), 60), 79),
    Row(413, "entropy_vol_ratio", "a500", "clip(P4 / (s/max(s,60)), 0, 10), s = std(r,20)",
        _entropy_to_volatility, 79),
    Row(414, "entropy_regime_score", "a500", "2*mm(P4,60) - 1",
        lambda f: 2 * f["entropy_percentile_60d"] - 1, 79,
        flags=("affine_of:entropy_percentile_60d",)),
    Row(415, "hurst_exponent_20d", "a500",
        "rescaled-range Hurst on PW 20 with sub-series sizes between 10 and n/2 = 10: only one "
        "scale exists, so it always returns the fallback 0.5",
        lambda f: np.full_like(f.close, 0.5), 20, flags=_CONSTANT),
    _change(416, "hurst_exponent_slope", "hurst_exponent_20d", 25, flags=_CONSTANT),
    _autocorrelation(417, 1),
    _autocorrelation(418, 5),
    Row(419, "autocorr_partial_lag1", "a500",
        "lag-1 partial autocorrelation, identical to autocorr_lag1",
        lambda f: f["autocorr_lag1"], 20, flags=("same_as:autocorr_lag1",)),
    Row(420, "fractal_dimension_20d", "a500",
        "Higuchi dimension of PW 20, k = 1..5, slope of ln curve length on ln(1/k), clipped to "
        "[1,2]", lambda f: np.clip(f.past(k.higuchi_dimension, 20, 5), 1, 2), 20),
    Row(421, "approx_entropy_20d", "a500",
        "AE(PW 20): lengths 2 and 3, tolerance 0.2*population std (<=), self matches counted, "
        "max(0, phi2 - phi3)", lambda f: np.maximum(f.past(k.approximate_entropy, 20), 0), 20),
    _change(422, "approx_entropy_slope", "approx_entropy_20d", 25),
    _percentile(423, "approx_entropy_percentile_60d", "approx_entropy_20d"),
    _thirds(424, "approx_entropy_regime", "approx_entropy_percentile_60d"),
    Row(425, "spectral_entropy_20d", "a500",
        "power = squared FFT modulus of PW 20 (levels, no detrending), bins 1..10, normalised; "
        "Shannon entropy / ln(10)", lambda f: _windows(f, 20, _spectral_entropy), 20),
    _change(426, "spectral_entropy_slope", "spectral_entropy_20d", 25),
    _percentile(427, "spectral_entropy_percentile_60d", "spectral_entropy_20d"),
    Row(428, "spectral_vs_volatility_ratio", "a500",
        "clip(spectral_entropy_20d / (a/max(a,60)), 0, 10), a = ATR14/C",
        lambda f: np.clip(f["spectral_entropy_20d"] / _share_of_high(_relative_atr(f), 60), 0, 10),
        73),
    _thirds(429, "spectral_entropy_regime", "spectral_entropy_percentile_60d"),
    _scale_entropy(430, 5),
    _scale_entropy(431, 10),
    _scale_ratio(432, 5),
    _scale_ratio(433, 10),
    Row(434, "entropy_scale_consistency", "a500",
        "population std of {entropy_scale_5d, entropy_scale_10d, P4}", _scales, 20),
    Row(435, "entropy_vol_divergence", "a500", "mm(P4,60) - mm(a,60), a = ATR14/C",
        lambda f: f["entropy_percentile_60d"] - p.position(_relative_atr(f), 60), 79),
    Row(436, "entropy_vol_correlation_20d", "a500", "corr(P4, a, 20)",
        lambda f: _correlation(_p4(f), _relative_atr(f), 20), 39),
    # NOTE[DIFF] the published two correlate with a series moved five rows BACK in time: they know
    # tomorrow. Here the other series is taken five rows earlier.
    Row(437, "entropy_leading_vol", "a500",
        "reference: corr over 20 rows of d(P4,5) with d(a,5) taken 5 rows in the FUTURE; build "
        "instead corr(d(P4,5)[-5], d(a,5), 20)",
        lambda f: _correlation(p.lag(f["permutation_entropy_slope"], 5),
                               p.diff(_relative_atr(f), 5), 20), 49, flags=_LAGGED),
    Row(438, "vol_leading_entropy", "a500",
        "reference: corr over 20 rows of d(a,5) with d(P4,5) taken 5 rows in the FUTURE; build "
        "instead corr(d(a,5)[-5], d(P4,5), 20)",
        lambda f: _correlation(p.lag(p.diff(_relative_atr(f), 5), 5),
                               f["permutation_entropy_slope"], 20), 44, flags=_LAGGED),
    Row(439, "entropy_vol_regime_match", "a500", "1 if tri(mm(P4,60)) = tri(mm(a,60)), else 0",
        _volatility_match, 79),
    Row(440, "hidden_instability_score", "a500", "mm(P4,60)*(1 - mm(a,60))",
        lambda f: f["entropy_percentile_60d"] * (1 - p.position(_relative_atr(f), 60)), 79),
    Row(441, "entropy_regime_duration", "a500",
        "length of the current run of equal tri(mm(P4,60))",
        lambda f: _run_length(_entropy_state(f)), 79),
    Row(442, "entropy_regime_change_count_20d", "a500",
        "number of changes of tri(mm(P4,60)) in the last 20 rows",
        lambda f: p.total(_changes(_entropy_state(f)), 20), 99),
    Row(443, "perm_entropy_trend_5d", "a500", "d(P4,5)",
        lambda f: f["permutation_entropy_slope"], 25, flags=("same_as:permutation_entropy_slope",)),
    Row(444, "perm_entropy_acceleration_5d", "a500", "d(d(P4,5),5)",
        lambda f: f["permutation_entropy_acceleration"], 30,
        flags=("same_as:permutation_entropy_acceleration",)),
    Row(445, "entropy_stability_score", "a500", "clip(1 - s/max(s,60), 0, 1), s = std(P4,20)",
        lambda f: _stability(_p4(f)), 98),
    Row(446, "katz_fd_20d", "a500", "Katz fractal dimension of PW 20",
        lambda f: _windows(f, 20, _katz), 20),
    _change(447, "katz_fd_slope", "katz_fd_20d", 25),
    Row(448, "petrosian_fd_20d", "a500", "Petrosian fractal dimension of PW 20",
        lambda f: _windows(f, 20, _petrosian), 20),
    _change(449, "petrosian_fd_slope", "petrosian_fd_20d", 25),
    Row(450, "fd_diversity_ratio", "a500",
        "Higuchi dimension of PW 40 (library default k max 10) / katz_fd_20d",
        lambda f: f.past(k.higuchi_dimension, 40, 10) / f["katz_fd_20d"], 40),
    Row(451, "fd_regime_score", "a500", "2*mm((katz_fd_20d + petrosian_fd_20d)/2, 60) - 1",
        lambda f: 2 * p.position((f["katz_fd_20d"] + f["petrosian_fd_20d"]) / 2, 60) - 1, 79),
    Row(452, "lyapunov_exp_20d", "a500",
        "largest Lyapunov exponent (Rosenstein) of PW 40, embedding 3, lag 1, minimum separation "
        "1; non-finite -> missing", lambda f: _finite(f.past(k.lyapunov_exponent, 40, 3, 20)),
        40, flags=(*_RANDOM, "name_states_wrong_window")),
    _change(453, "lyapunov_exp_slope", "lyapunov_exp_20d", 45, flags=_RANDOM),
    Row(454, "lyapunov_regime", "a500", "1 if lyapunov_exp_20d > 0 else 0",
        lambda f: _known(f["lyapunov_exp_20d"], f["lyapunov_exp_20d"] > 0), 40, flags=_RANDOM),
    Row(455, "correlation_dim_20d", "a500",
        "correlation dimension of PW 20, embedding 3; non-finite or <= 0 -> missing",
        lambda f: f.past(k.correlation_dimension, 20, 3), 20, flags=_RANDOM + _MISSING),
    _change(456, "correlation_dim_slope", "correlation_dim_20d", 25, flags=_RANDOM + _MISSING),
    Row(457, "mfdfa_hurst_mean", "a500",
        "MF = multifractal DFA of PW 120 (levels): scales = unique integers of 5 log-spaced points "
        "4..15, q in {-5,-3,-1,1,3,5}, linear detrending, h(q) = slope of ln F on ln scale; mean "
        "of h(q)", lambda f: f.multifractal.mean(axis=1), 120),
    Row(458, "mfdfa_hurst_width", "a500", "max h(q) - min h(q) of MF",
        lambda f: np.ptp(f.multifractal, axis=1), 120),
    _change(459, "mfdfa_hurst_slope", "mfdfa_hurst_mean", 125),
    Row(460, "mfdfa_alpha_range", "a500", "in the reference equal to mfdfa_hurst_width",
        lambda f: f["mfdfa_hurst_width"], 120, flags=("same_as:mfdfa_hurst_width",)),
    Row(461, "mfdfa_asymmetry", "a500", "mean h over negative q - mean h over positive q",
        lambda f: f.multifractal[:, :3].mean(axis=1) - f.multifractal[:, 3:].mean(axis=1), 120),
    Row(462, "mfdfa_regime_score", "a500", "2*mm(mfdfa_hurst_width,60) - 1",
        lambda f: 2 * p.position(f["mfdfa_hurst_width"], 60) - 1, 179),
    Row(463, "emd_imf_count", "a500",
        "number of components returned by empirical mode decomposition of PW 40 (default settings)",
        lambda f: f.modes[:, 0], 40),
    Row(464, "emd_trend_strength", "a500", "min(1, var(last component)/var(window))",
        lambda f: f.modes[:, 1], 40),
    Row(465, "emd_noise_ratio", "a500", "min(1, var(first component)/var(window))",
        lambda f: f.modes[:, 2], 40),
    Row(466, "emd_dominant_period", "a500",
        "highest-variance component excluding first and last: 2*40/(zero crossings), 40 if at most "
        "one crossing; 40 if there are 2 or fewer components", lambda f: f.modes[:, 3], 40),
    _change(467, "emd_imf_count_slope", "emd_imf_count", 45),
    Row(468, "emd_stability_score", "a500",
        "clip(1 - s/max(s,60), 0, 1), s = std(emd_imf_count,20); undefined -> 1",
        lambda f: _stability(f["emd_imf_count"]), 118),
    Row(469, "dfa_alpha_20d", "a500",
        "detrended fluctuation exponent of PW 40 (order 1, overlapping); <= 0 -> missing",
        _fluctuation, 40, flags=(*_RANDOM, "name_states_wrong_window")),
    _change(470, "dfa_alpha_slope", "dfa_alpha_20d", 45, flags=_RANDOM),
    Row(471, "dfa_crossover_scale", "a500",
        "middle member of the usable scales {4,6,8}: always 6 in the reference",
        lambda f: np.full_like(f.close, 6.0), 40, flags=_CONSTANT),
    Row(472, "dfa_trend_strength", "a500", "abs(dfa_alpha_20d - 0.5)",
        lambda f: np.abs(f["dfa_alpha_20d"] - 0.5), 40, flags=_RANDOM),
    Row(473, "hurst_rs_30d", "a500",
        "h = clip(ln(R/S)/ln 30, 0, 1) on PW 30 levels; R = range of cumulative deviations from "
        "the mean, S = sample std", lambda f: _windows(f, 30, _rescaled_range), 30),
    _change(474, "hurst_rs_slope", "hurst_rs_30d", 35),
    Row(475, "hurst_regime", "a500", "0 if h < 0.4, 1 if < 0.5, 2 if < 0.6, else 3",
        _hurst_state, 30),
    Row(476, "hurst_vs_volatility", "a500",
        "h/(mm(max(C,14)-min(C,14), 50) + 0.1), 1e-13*C added to the mm divisor",
        _hurst_against_volatility, 62),
    Row(477, "days_in_hurst_regime", "a500", "length of the current run of equal hurst_regime",
        lambda f: _run_length(f["hurst_regime"]), 30),
    Row(478, "hurst_regime_transition_prob", "a500",
        "mm(std(r,20), 50): a volatility rank, not a probability",
        _volatility_rank, 69, flags=("name_misleading",)),
    Row(479, "sample_entropy_30d", "a500",
        "sample entropy of PW 30, order 2, library default tolerance 0.2*std; infinite -> missing",
        lambda f: f.past(k.sample_entropy, 30), 30, flags=_MISSING),
    Row(480, "approximate_entropy_30d", "a500",
        "approximate entropy of PW 30, order 2, default tolerance",
        lambda f: f.past(k.approximate_entropy, 30), 30),
    Row(481, "entropy_atr_ratio", "a500", "sample_entropy_30d/(ATR14/C + 1e-10)",
        lambda f: f["sample_entropy_30d"] / (_relative_atr(f) + 1e-10), 30, flags=_MISSING),
    Row(482, "entropy_regime", "a500",
        "sample_entropy_30d against its own 30th/70th percentiles over 50 complete rows: 0 if <= "
        "p30, 1 if <= p70, 2 above", _sample_entropy_state, 79, flags=_MISSING),
    _change(483, "entropy_change_10d", "sample_entropy_30d", 40, rows=10, flags=_MISSING),
    Row(495, "accumulation_score", "a500",
        "clip(0.4*(1-p) + 0.15*clip(u,0.5,2) + 0.3*(1-w), 0, 1); p = "
        "(C-min(C,20))/(max(C,20)-min(C,20)+1e-13*C), u = V/mean(V,20), w = mm(std(r,20),50)",
        _accumulation, 69, needs=_VOLUME),
    Row(496, "markup_score", "a500",
        "clip(0.3*[m>0] + 0.3*clip(m,-0.2,0.2)/0.2 + 0.1*clip(u,0.5,2) + 0.2*p, 0, 1); m = "
        "C/C[-20]-1",
        lambda f: np.clip(_move(f, 1) + 0.2 * _price_place(f), 0, 1), 20, needs=_VOLUME),
    Row(497, "distribution_score", "a500", "clip(0.4*p + 0.15*clip(u,0.5,2) + 0.3*w, 0, 1)",
        _distribution, 69, needs=_VOLUME),
    Row(498, "markdown_score", "a500",
        "clip(0.3*[m<0] + 0.3*clip(-m,-0.2,0.2)/0.2 + 0.1*clip(u,0.5,2) + 0.2*(1-p), 0, 1)",
        lambda f: np.clip(_move(f, -1) + 0.2 * (1 - _price_place(f)), 0, 1), 20, needs=_VOLUME),
    Row(499, "cycle_phase", "a500",
        "index (0..3) of the largest of accumulation, markup, distribution, markdown scores",
        _phase, 69, needs=_VOLUME),
    Row(500, "cycle_phase_confidence", "a500", "value of that largest score",
        lambda f: _phases(f).max(axis=1), 69, needs=_VOLUME),
)  # fmt: skip
