"""The ladders that run before any network: one for bars, one for titles."""

from trueness.baselines.market import (
    BASELINES,
    MAX_TREES,
    PENALTIES,
    BaselineFit,
    fit_baseline,
    window_features,
)
from trueness.baselines.titles import TITLES_BASELINES, TitlesFit, fit_titles_baseline

__all__ = [
    "BASELINES",
    "MAX_TREES",
    "PENALTIES",
    "TITLES_BASELINES",
    "BaselineFit",
    "TitlesFit",
    "fit_baseline",
    "fit_titles_baseline",
    "window_features",
]
