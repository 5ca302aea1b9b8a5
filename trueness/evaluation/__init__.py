"""Arrays in, numbers out; never sees a model."""

from trueness.evaluation.calibration import expected_calibration_error, reliability_diagram_data
from trueness.evaluation.checks import CHECKS, Evidence, Finding, run_checks
from trueness.evaluation.intervals import Estimate, block_weights, clopper_pearson
from trueness.evaluation.metrics import (
    average_precision,
    measure,
    paired_auc_differences,
    precision_recall_curve,
    roc_auc,
    score_facts,
)

__all__ = [
    "CHECKS",
    "Estimate",
    "Evidence",
    "Finding",
    "average_precision",
    "block_weights",
    "clopper_pearson",
    "expected_calibration_error",
    "measure",
    "paired_auc_differences",
    "precision_recall_curve",
    "reliability_diagram_data",
    "roc_auc",
    "run_checks",
    "score_facts",
]
