"""What is fitted without epochs: estimators on columns, ensembles, and the baselines for titles."""

from trueness.baselines.ensemble import fit_ensemble
from trueness.baselines.estimators import FITS, EstimatorFit, check_estimator, fit_estimator
from trueness.baselines.inputs import columns_of
from trueness.baselines.titles import TITLES_BASELINES, TitlesFit, fit_titles_baseline

__all__ = [
    "FITS",
    "TITLES_BASELINES",
    "EstimatorFit",
    "TitlesFit",
    "check_estimator",
    "columns_of",
    "fit_ensemble",
    "fit_estimator",
    "fit_titles_baseline",
]
