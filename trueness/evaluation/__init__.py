"""Arrays in, numbers out; never sees a model. Names are loaded when they are first used."""

# ruff: noqa: F401 - what stands here is handed on
from typing import TYPE_CHECKING

from trueness.lazy import handed_on

if TYPE_CHECKING:
    from trueness.evaluation.best_baseline import against_best
    from trueness.evaluation.blocks import Blocks
    from trueness.evaluation.calibration import (
        brier_decomposition,
        expected_calibration_error,
        reliability_diagram_data,
        smooth_calibration_error,
    )
    from trueness.evaluation.calibrators import (
        BetaCalibration,
        IsotonicCalibration,
        PlattScaling,
        TemperatureScaling,
        VennAbersCalibration,
    )
    from trueness.evaluation.dependence import Dependence
    from trueness.evaluation.design_effects import Residuals, of_share
    from trueness.evaluation.forecast_comparison import (
        LossComparison,
        loss_comparison,
        unit_losses,
    )
    from trueness.evaluation.group_calibration import (
        AbstentionThreshold,
        GroupTemperatures,
        abstention_thresholds,
        accepted,
        fit_group_temperatures,
    )
    from trueness.evaluation.guarantee import Candidate, Certificate, FamilyBounds, family_bounds
    from trueness.evaluation.inputs import InputError
    from trueness.evaluation.intervals import (
        Estimate,
        clopper_pearson,
        exact_bounds,
        replicated_proportion,
    )
    from trueness.evaluation.joint_draws import auc_draws, precision_draws
    from trueness.evaluation.macro_f1 import selection_scores
    from trueness.evaluation.metrics import (
        measure,
        measure_many,
        precision_recall_curve,
        roc_auc,
        score_facts,
    )
    from trueness.evaluation.operating_points import (
        best_precision,
        best_recall,
    )
    from trueness.evaluation.out_of_fold import out_of_fold_calibration
    from trueness.evaluation.overfitting import (
        Overfitting,
        auc_counts,
        class_counts,
        overfitting_of_aucs,
    )
    from trueness.evaluation.power import (
        alarms_needed,
        auc_standard_error,
        chance_of_best,
        detectable_precision,
    )
    from trueness.evaluation.rearranged import Chance
    from trueness.evaluation.resampling import Resampled, mean_difference, mean_of
    from trueness.evaluation.selection import (
        Contrast,
        contrasts_with_leader,
        largest_of_pairs,
        max_t_critical,
        simultaneous_contrasts,
    )
    from trueness.evaluation.shrinkage import Shrunk, shrink, shrink_drawn
    from trueness.evaluation.simultaneous_bounds import precision_bounds
    from trueness.evaluation.slice_comparison import (
        Method,
        MethodComparison,
        SliceComparison,
    )
    from trueness.evaluation.slices import ClassScores, Slice, Slices, measure_slices
    from trueness.evaluation.thresholds import (
        Sweep,
        Threshold,
        rate_thresholds,
        threshold_sweep,
    )

__all__, __getattr__, __dir__ = handed_on(__name__, __file__)
