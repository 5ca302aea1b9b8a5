"""What is fitted without epochs: estimators on columns, ensembles, and the baselines for titles."""

# ruff: noqa: F401 - what stands here is handed on
from typing import TYPE_CHECKING

from trueness.lazy import handed_on

if TYPE_CHECKING:
    from trueness.baselines.ensemble import fit_ensemble
    from trueness.baselines.estimators import FITS, EstimatorFit, check_estimator, fit_estimator
    from trueness.baselines.inputs import columns_of
    from trueness.baselines.titles import TITLES_BASELINES, TitlesFit, fit_titles_baseline

__all__, __getattr__, __dir__ = handed_on(__name__, __file__)
