"""Which library function stands behind an indicator, where one does.

TA-Lib is called; the measures of complexity are compiled kernels of our own that equal the named
library, which the tests hold them to.
"""

from __future__ import annotations

LIBRARIES: dict[str, str] = {
    "TA-Lib DEMA": """
        dema_9 dema_10 dema_20 dema_25 dema_90
    """,
    "TA-Lib SMA": """
        sma_12 sma_50 sma_100 sma_200 price_pct_from_sma_50 price_pct_from_sma_200
        sma_50_200_proximity volume_ratio_20d sma_9_50_proximity sma_50_slope sma_200_slope
        days_since_sma_50_cross days_since_sma_200_cross days_above_sma_9 days_below_sma_9
        days_above_sma_50 days_below_sma_50 days_above_sma_200 days_below_sma_200
        days_since_sma_9_50_cross days_since_sma_50_200_cross days_since_sma_9_200_cross
        sma_9_200_proximity zscore_from_20d_mean zscore_from_50d_mean sma_5 sma_14 sma_21 sma_63
        sma_5_slope sma_21_slope sma_63_slope price_pct_from_sma_5 price_pct_from_sma_21
        sma_5_21_proximity sma_21_50_proximity sma_63_200_proximity days_above_sma_21
        days_below_sma_21 days_above_sma_63 days_below_sma_63 days_since_sma_5_21_cross
        days_since_sma_21_63_cross sma_21_acceleration sma_63_acceleration price_trend_direction
        weekly_ma_slope weekly_ma_slope_acceleration price_pct_from_weekly_ma
        trend_alignment_daily_weekly
    """,
    "TA-Lib RSI": """
        rsi_daily rsi_weekly qqe_fast qqe_slow rsi_slope rsi_extreme_dist rsi_distance_from_50
        days_rsi_overbought days_rsi_oversold rsi_percentile_60d price_rsi_divergence rsi_5
        rsi_21 rsi_5_slope rsi_21_slope rsi_5_21_spread weekly_rsi_slope
        weekly_rsi_slope_acceleration rsi_alignment_daily_weekly
    """,
    "TA-Lib STOCHRSI": """
        stochrsi_daily stochrsi_weekly
    """,
    "TA-Lib MACD": """
        macd_line stc_value macd_histogram macd_signal macd_histogram_slope
        days_since_macd_cross_signal macd_signal_proximity
    """,
    "TA-Lib OBV": """
        obv obv_slope
    """,
    "TA-Lib ADOSC": """
        adosc
    """,
    "TA-Lib ATR": """
        atr_14 atr_pct atr_pct_slope atr_pct_percentile_60d price_pct_from_supertrend
        supertrend_direction atr_regime_pct_60d atr_regime_rolling_q vol_regime_state
        regime_consistency regime_transition_prob atr_5 atr_21 atr_5_pct atr_21_pct
        atr_5_21_ratio atr_expansion_5d atr_acceleration atr_percentile_20d
        vol_regime_change_intensity breakout_strength_20d vol_alignment_daily_weekly
        spectral_vs_volatility_ratio entropy_vol_divergence entropy_vol_correlation_20d
        entropy_leading_vol vol_leading_entropy entropy_vol_regime_match hidden_instability_score
        supertrend_flip_recency_14 pct_from_supertrend_20 supertrend_slope
    """,
    "TA-Lib ADX": """
        adx_14 adx_slope trend_strength_pct_60d trend_strength_rolling_q adx_14_slope
        adx_acceleration adx_regime trend_regime_duration
    """,
    "TA-Lib BBANDS": """
        bb_percent_b bb_width bb_width_percentile_60d pct_from_upper_band pct_from_lower_band
        days_above_upper_band days_below_lower_band bb_width_slope bb_width_acceleration
        bb_width_percentile_20d price_bb_band_position weekly_bb_position weekly_bb_width
        weekly_bb_width_slope
    """,
    "TA-Lib CCI": """
        cci_14
    """,
    "TA-Lib EMA": """
        ema_12 ema_26 ema_5 ema_9 ema_50 ema_100 ema_200 ema_9_slope ema_50_slope ema_100_slope
        price_pct_from_ema_9 price_pct_from_ema_50 price_pct_from_ema_100 ema_9_50_proximity
        days_above_ema_9 days_below_ema_9 days_above_ema_50 days_below_ema_50
        days_since_ema_9_50_cross days_since_ema_50_200_cross ema_9_acceleration
        ema_50_acceleration
    """,
    "TA-Lib PLUS_DI, MINUS_DI": """
        di_spread di_cross_recency
    """,
    "TA-Lib AROON": """
        aroon_oscillator aroon_up_25 aroon_down_25 aroon_trend_strength aroon_up_14 aroon_down_14
        aroon_crossover_recency aroon_consolidation aroon_oscillator_14
    """,
    "TA-Lib AD": """
        accumulation_dist
    """,
    "TA-Lib TEMA": """
        tema_9 tema_20 tema_50 tema_100 tema_20_slope price_pct_from_tema_50 days_above_tema_20
        days_below_tema_20
    """,
    "TA-Lib WMA": """
        wma_10 wma_20 wma_50 wma_200 hma_9 hma_21 hma_50
    """,
    "TA-Lib KAMA": """
        kama_10 kama_20 kama_50 price_pct_from_kama_20 days_above_kama_20 days_below_kama_20
    """,
    "TA-Lib TEMA, SMA": """
        days_since_tema_sma_50_cross tema_20_sma_50_proximity
    """,
    "TA-Lib KAMA, SMA": """
        days_since_kama_sma_50_cross kama_20_sma_50_proximity
    """,
    "TA-Lib BBANDS, EMA, ATR": """
        bb_squeeze_indicator bb_squeeze_duration bb_kc_ratio squeeze_on_14 squeeze_duration_14
        squeeze_fire_recency
    """,
    "TA-Lib EMA, SMA": """
        days_since_ema_9_sma_50_cross
    """,
    "TA-Lib TRANGE": """
        tr_pct tr_pct_zscore_20d consecutive_high_vol_days
    """,
    "TA-Lib EMA, ATR": """
        kc_width kc_position
    """,
    "TA-Lib PLUS_DI": """
        plus_di_14
    """,
    "TA-Lib MINUS_DI": """
        minus_di_14
    """,
    "TA-Lib PLUS_DI, MINUS_DI, SMA": """
        trend_alignment_score
    """,
    "TA-Lib ADX, ATR": """
        trend_strength_vs_vol
    """,
    "TA-Lib LINEARREG_SLOPE": """
        linreg_slope_20d
    """,
    "TA-Lib LINEARREG": """
        price_linreg_deviation
    """,
    "kernel, equal to antropy.katz_fd": """
        katz_fd_20d katz_fd_slope
    """,
    "kernel, equal to antropy.petrosian_fd": """
        petrosian_fd_20d petrosian_fd_slope
    """,
    "kernel, equal to antropy.higuchi_fd": """
        fd_diversity_ratio
    """,
    "kernel, equal to antropy.katz_fd and petrosian_fd": """
        fd_regime_score
    """,
    "kernel, equal to nolds.lyap_r": """
        lyapunov_exp_20d lyapunov_exp_slope lyapunov_regime
    """,
    "kernel, equal to nolds.corr_dim": """
        correlation_dim_20d correlation_dim_slope
    """,
    "kernel, equal to MFDFA": """
        mfdfa_hurst_mean mfdfa_hurst_width mfdfa_hurst_slope mfdfa_alpha_range mfdfa_asymmetry
        mfdfa_regime_score
    """,
    "kernel, equal to PyEMD.EMD": """
        emd_imf_count emd_trend_strength emd_noise_ratio emd_dominant_period emd_imf_count_slope
        emd_stability_score
    """,
    "kernel, equal to nolds.dfa": """
        dfa_alpha_20d dfa_alpha_slope dfa_trend_strength
    """,
    "kernel, equal to antropy.sample_entropy": """
        sample_entropy_30d entropy_regime entropy_change_10d
    """,
    "kernel, equal to antropy.app_entropy": """
        approximate_entropy_30d
    """,
    "kernel, equal to antropy.sample_entropy; TA-Lib ATR": """
        entropy_atr_ratio
    """,
}
"""Library function -> names of the indicators it computes."""

LIBRARY_OF = {name: library for library, names in LIBRARIES.items() for name in names.split()}
"""Indicator -> library function."""
