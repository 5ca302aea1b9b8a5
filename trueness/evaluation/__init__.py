"""Arrays in, numbers out; never sees a model.

Calibrators, thresholds, certificates, power and what judges titles are loaded when they are first
used: a leaderboard does without them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trueness.evaluation.calibration import (
    brier_decomposition,
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    log_loss,
    reliability_diagram_data,
    smooth_calibration_error,
)
from trueness.evaluation.intervals import (
    Estimate,
    block_weights,
    clopper_pearson,
    replicated_proportion,
)
from trueness.evaluation.loss_tests import LossComparison, daily_losses, loss_comparison
from trueness.evaluation.metrics import (
    average_precision,
    measure,
    precision_recall_curve,
    roc_auc,
    score_facts,
)
from trueness.evaluation.overfitting import (
    Overfitting,
    auc_counts,
    backtest_overfitting,
    class_counts,
    overfitting_of_aucs,
)
from trueness.evaluation.precision_bounds import adjusted_precision_bounds, precision_bounds
from trueness.evaluation.resampling import (
    Resampled,
    mean_difference,
    mean_of,
    resampled_aucs,
    resampled_precisions,
)
from trueness.evaluation.selection import (
    Contrast,
    TwoNulls,
    chance_p,
    contrasts_with_leader,
    critical_of_pairs,
    simultaneous_contrasts,
    simultaneous_differences,
    two_nulls,
)
from trueness.evaluation.shrinkage import Shrunk, shrink

if TYPE_CHECKING:
    from trueness.evaluation.by_language import selection_scores
    from trueness.evaluation.calibrators import (
        BetaCalibration,
        IsotonicCalibration,
        PlattScaling,
        TemperatureScaling,
        VennAbersCalibration,
        out_of_fold_calibration,
    )
    from trueness.evaluation.guarantee import Certificate, certify, certify_many, sequence
    from trueness.evaluation.language_calibration import (
        LanguageTemperatures,
        PrecisionCut,
        fit_language_temperatures,
        precision_cuts,
        taken,
    )
    from trueness.evaluation.power import (
        alarms_needed,
        auc_standard_error,
        detectable_auc_difference,
        detectable_precision,
        luck_of_the_best,
    )
    from trueness.evaluation.slice_comparison import (
        Method,
        MethodComparison,
        SliceComparison,
        compare_many,
        compare_slices,
    )
    from trueness.evaluation.slices import (
        ClassScores,
        Slice,
        Slices,
        measure_slices,
    )
    from trueness.evaluation.thresholds import (
        best_precision,
        best_recall,
        precision_at_alarms,
        threshold_sweep,
        undo_sigmoid,
    )

__all__ = [
    "BetaCalibration",
    "Certificate",
    "ClassScores",
    "Contrast",
    "Estimate",
    "IsotonicCalibration",
    "LanguageTemperatures",
    "LossComparison",
    "Method",
    "MethodComparison",
    "Overfitting",
    "PlattScaling",
    "PrecisionCut",
    "Resampled",
    "Shrunk",
    "Slice",
    "SliceComparison",
    "Slices",
    "TemperatureScaling",
    "TwoNulls",
    "VennAbersCalibration",
    "adjusted_precision_bounds",
    "alarms_needed",
    "auc_counts",
    "auc_standard_error",
    "average_precision",
    "backtest_overfitting",
    "best_precision",
    "best_recall",
    "block_weights",
    "brier_decomposition",
    "brier_score",
    "certify",
    "certify_many",
    "chance_p",
    "class_counts",
    "classwise_calibration_error",
    "clopper_pearson",
    "compare_many",
    "compare_slices",
    "contrasts_with_leader",
    "critical_of_pairs",
    "daily_losses",
    "detectable_auc_difference",
    "detectable_precision",
    "expected_calibration_error",
    "fit_language_temperatures",
    "log_loss",
    "loss_comparison",
    "luck_of_the_best",
    "mean_difference",
    "mean_of",
    "measure",
    "measure_slices",
    "out_of_fold_calibration",
    "overfitting_of_aucs",
    "precision_at_alarms",
    "precision_bounds",
    "precision_cuts",
    "precision_recall_curve",
    "reliability_diagram_data",
    "replicated_proportion",
    "resampled_aucs",
    "resampled_precisions",
    "roc_auc",
    "score_facts",
    "selection_scores",
    "sequence",
    "shrink",
    "simultaneous_contrasts",
    "simultaneous_differences",
    "smooth_calibration_error",
    "taken",
    "threshold_sweep",
    "two_nulls",
    "undo_sigmoid",
]


_LATER = {
    "BetaCalibration": "calibrators",
    "IsotonicCalibration": "calibrators",
    "PlattScaling": "calibrators",
    "TemperatureScaling": "calibrators",
    "VennAbersCalibration": "calibrators",
    "out_of_fold_calibration": "calibrators",
    "Certificate": "guarantee",
    "certify": "guarantee",
    "certify_many": "guarantee",
    "sequence": "guarantee",
    "selection_scores": "by_language",
    "LanguageTemperatures": "language_calibration",
    "PrecisionCut": "language_calibration",
    "fit_language_temperatures": "language_calibration",
    "precision_cuts": "language_calibration",
    "taken": "language_calibration",
    "Method": "slice_comparison",
    "MethodComparison": "slice_comparison",
    "SliceComparison": "slice_comparison",
    "compare_many": "slice_comparison",
    "compare_slices": "slice_comparison",
    "ClassScores": "slices",
    "Slice": "slices",
    "Slices": "slices",
    "measure_slices": "slices",
    "alarms_needed": "power",
    "auc_standard_error": "power",
    "detectable_auc_difference": "power",
    "detectable_precision": "power",
    "luck_of_the_best": "power",
    "best_precision": "thresholds",
    "best_recall": "thresholds",
    "precision_at_alarms": "thresholds",
    "threshold_sweep": "thresholds",
    "undo_sigmoid": "thresholds",
}
"""Names and the modules that they are loaded from when they are first used."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Load a name that a leaderboard does without."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
