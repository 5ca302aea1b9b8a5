"""Calibration methods compared on the measured units of one stored run, all fitted out of fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from trueness.document import Document, Section, Sentence
from trueness.document.numbers import decimal, estimate, percent, plural
from trueness.errors import TruenessError
from trueness.evaluation.calibration import (
    brier_decomposition,
    expected_calibration_error,
    log_losses,
    smooth_calibration_error,
)
from trueness.evaluation.influence import linear_draws
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.metrics import roc_auc
from trueness.evaluation.resampling import Resampled
from trueness.evaluation.selection import Contrast, simultaneous_contrasts
from trueness.judge.access import record_access
from trueness.judge.comparison import measured_part
from trueness.judge.judgement import SCHEMA
from trueness.judge.parts import check_binary, check_probabilities, counted, unrecorded_notes
from trueness.predictions import Predictions
from trueness.spec.estimands import Estimands
from trueness.store import AnyStore, Run

Array = NDArray[np.float64]

UNCALIBRATED = "uncalibrated"
"""What the probabilities as they are stored are called beside the methods."""
BLOCKS, BINS = 5, 10
ROUNDING = 5e-5
"""Differences of Brier scores below it are shown as zero."""


@dataclass(frozen=True)
class Calibrated:
    """One way to read the scores: its probabilities (n,), and how well they are calibrated.

    `difference` is its Brier score minus that of the uncalibrated probabilities, on the same
    resampled units, below 0 if it is better; None for those themselves.
    """

    method: str
    probability: Array
    estimates: dict[str, Estimate]
    difference: Contrast | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        minus = None if self.difference is None else asdict(self.difference)
        estimates = {name: e.to_dict() for name, e in self.estimates.items()}
        return {"method": self.method, "estimates": estimates, "brier_minus_uncalibrated": minus}


@dataclass(frozen=True)
class CalibrationComparison:
    """All methods on one run, the uncalibrated probabilities first.

    Attributes
    ----------
    run : Run
    name : str
        Its ids, or its key.
    part : Predictions
        The units that are measured.
    methods : list of Calibrated
    gap : int
        Times that are left out of a fit beside the block it is for; 0 without times.
    notes : tuple of str
        An access that could not be recorded.
    """

    run: Run
    name: str
    part: Predictions
    methods: list[Calibrated]
    gap: int
    notes: tuple[str, ...] = ()

    @property
    def rule(self) -> Estimands:
        """What is measured of the run."""
        return self.run.estimands

    @property
    def best(self) -> Calibrated:
        """The smallest Brier score; the uncalibrated probabilities if equal."""
        return min(self.methods, key=lambda one: one.estimates["brier"].value or 0.0)

    @property
    def verdict(self) -> str:
        """Which is best, and whether any lowers the score beyond its interval."""
        best = self.best
        others = [one.difference.simultaneous for one in self.methods if one.difference is not None]
        better = sum(1 for d in others if d.high is not None and d.high < 0)
        worse = sum(1 for d in others if d.low is not None and d.low > 0)
        if best.difference is None or (best.difference.pointwise.value or 0.0) > -ROUNDING:
            first = "No method has a smaller Brier score than the uncalibrated probabilities."
        else:
            minus = estimate(best.difference.simultaneous, 4, signed=True)
            first = (
                f"{best.method} has the smallest Brier score; difference to the uncalibrated "
                f"probabilities {minus}."
            )
        if any(d.low is None for d in others):
            return f"{first} Too few {self.rule.nouns[0]}s for intervals."
        if len(others) == 1:
            return first
        return (
            f"{first} Adjusted for the number of methods, {better} of {len(others)} lower it and "
            f"{worse} raise it."
        )

    def facts(self) -> list[str]:
        """What was compared, on which units."""
        rule, n, k = self.rule, len(self.part), int(self.part.y.sum())
        chosen = f", weights chosen on {rule.chosen_on}" if rule.chosen_on else ""
        return [
            f"{counted(rule, rule.measured_on, self.part)}; base rate {percent(k / n)} %{chosen}",
            _folds(self),
            f"Brier score of the base-rate forecast: {decimal(k / n * (1 - k / n), 4)}",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain types: ``methods``, each with ``estimates``; ``best``; ``verdict``; ``facts``."""
        return {
            "schema": SCHEMA, "kind": "calibration", "key": self.run.key, "name": self.name,
            "label": self.run.record["label"], "measured_on": self.rule.measured_on,
            "n": len(self.part), "positives": int(self.part.y.sum()), "blocks": BLOCKS,
            "gap": self.gap, "methods": [one.to_dict() for one in self.methods],
            "best": self.best.method, "verdict": self.verdict, "facts": self.facts(),
            "notes": list(self.notes),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """One row per method, a column per estimate and per end of its interval."""
        return pl.from_dicts([_flat(one) for one in self.methods], infer_schema_length=None)

    def document(self) -> Document:
        """Scores of every method, and the calibration curves with the same axes."""
        from trueness.judge.calibration_document import document

        return document(self)


def _flat(one: Calibrated) -> dict[str, Any]:
    shown = dict(one.estimates)
    if one.difference is not None:
        shown["brier_minus_uncalibrated"] = one.difference.simultaneous
    row: dict[str, Any] = {"method": one.method}
    for name, e in shown.items():
        row[name] = e.value
        if e.low is not None:
            row |= {f"{name}_low": e.low, f"{name}_high": e.high}
    return row


def _folds(result: CalibrationComparison) -> str:
    """How the methods were fitted, and what the intervals take into account."""
    part, rule = result.part, result.rule
    noun = rule.nouns[0]
    if part.time is None:
        what = f"random folds of {noun}s" if part.cluster is None else "random folds of clusters"
        left_out = ""
    else:
        what = "consecutive blocks"
        times = plural(result.gap, "time" if part.blocks().items < len(part) else noun)
        left_out = f", {times} beside it left out" if result.gap else ""
    return (
        f"{BLOCKS} {what}; the calibrator of each is fitted on the others{left_out}; "
        f"{percent(rule.confidence)} % CI by {'block ' * (part.time is not None)}bootstrap"
    )


def judge_calibration(
    store: AnyStore, name: str, run: Run, methods: Sequence[str] | None = None
) -> CalibrationComparison:
    """Compare calibrations of one run of a store; the access is recorded.

    Parameters
    ----------
    store : Store or MemoryStore
    name : str
        What the run is called.
    run : Run
    methods : sequence of str, optional
        Of ``trueness.evaluation.calibrators.METHODS``; all without it.

    Raises
    ------
    TruenessError
        See `compare_calibrations`.
    """
    result = compare_calibrations(run, methods, name)
    return replace(result, notes=unrecorded_notes(record_access(store, [run], "calibrate")))


def compare_calibrations(
    run: Run, methods: Sequence[str] | None = None, name: str = ""
) -> CalibrationComparison:
    """Calibrate the measured units of a run out of fold by every method.

    Parameters
    ----------
    run : Run
    methods : sequence of str, optional
        Of ``trueness.evaluation.calibrators.METHODS``; all without it.
    name : str
        Its key by default.

    Raises
    ------
    TruenessError
        If the run is about classes, its scores only rank, or a block leaves fewer than two
        positives or negatives to fit on.
    """
    from trueness.evaluation.calibrators import METHODS
    from trueness.evaluation.out_of_fold import out_of_fold_calibration

    check_binary(run, "calibration methods are")
    check_probabilities(run, "there is nothing to calibrate")
    part, rule = measured_part(run), run.estimands
    gap = 0 if part.time is None else rule.horizon
    block, probability = _blocks(part), {UNCALIBRATED: expit(part.score)}
    for method in dict.fromkeys(methods or METHODS):
        probability[method] = out_of_fold_calibration(
            part.y, part.score, block, method, gap=gap, time=part.time, input="score"
        )
    mean, squares = _mean(part, rule), [(p - part.y) ** 2 for p in probability.values()]
    differences = [mean(square - squares[0]) for square in squares[1:]]
    contrasts = simultaneous_contrasts(differences, rule.confidence)
    rows = [
        Calibrated(method, p, _estimates(part, rule, mean, block, p), contrast)
        for (method, p), contrast in zip(probability.items(), [None, *contrasts], strict=True)
    ]
    return CalibrationComparison(run, name or run.key, part, rows, gap)


def calibration_section(name: str, run: Run) -> list[Section]:
    """A run before and after Platt scaling; a note where there is nothing to calibrate."""
    from trueness.judge.calibration_document import section

    try:
        return [section(compare_calibrations(run, ["platt"], name))]
    except TruenessError as error:
        return [Section("Calibration", [Sentence(f"No calibration of {name}: {error}", "note")])]


def _blocks(part: Predictions) -> NDArray[np.int64]:
    """Block of each unit, (n,): of consecutive times, else a random fold of units or clusters."""
    drawn = part.blocks()
    if drawn.time is not None:
        return drawn.pieces(BLOCKS)
    place = np.arange(drawn.items) * BLOCKS // drawn.items
    return np.random.default_rng(0).permutation(place)[drawn.item]


def _mean(part: Predictions, rule: Estimands) -> Callable[[Array], Resampled]:
    """Mean of a loss (n,) over the units, with joint draws."""
    blocks = part.blocks(rule.block)

    def mean(loss: Array) -> Resampled:
        value = float(loss.mean())
        return linear_draws(value, (loss - value) / len(loss), blocks)

    return mean


def _estimates(
    part: Predictions, rule: Estimands, mean_of: Callable[[Array], Resampled],
    block: NDArray[np.int64], p: Array,
) -> dict[str, Estimate]:  # fmt: skip
    """Every estimate of one way to read the scores."""
    y = part.y

    def plain(value: float) -> Estimate:
        known = value if np.isfinite(value) else None
        return Estimate(known, None, None, len(y), None, rule.chosen_on, rule.measured_on)

    def mean(loss: Array) -> Estimate:
        result = mean_of(loss).estimate(rule.confidence)
        return replace(result, chosen_on=rule.chosen_on, measured_on=rule.measured_on)

    parts = brier_decomposition(y, p, BINS, "quantile")
    error = partial(expected_calibration_error, y, p, BINS, blocks=part.blocks(rule.block))
    return {
        "brier": mean((p - y) ** 2),
        "log_loss": mean(log_losses(y, p)),
        "calibration_error": plain(error()),
        "calibration_error_equal_mass": plain(error("quantile")),
        "calibration_error_debiased": plain(error("quantile", debiased=True)),
        "smooth_calibration_error": plain(smooth_calibration_error(y, p)),
        "reliability": plain(parts["reliability"]),
        "resolution": plain(parts["resolution"]),
        "auc": plain(roc_auc(y, p)),
        "auc_in_block": plain(_auc_inside(y, p, block)),
    }


def _auc_inside(y: NDArray[Any], p: Array, block: NDArray[np.int64]) -> float:
    """Mean of the AUCs inside the blocks that have both classes; NaN if none has."""
    parts = [block == b for b in np.unique(block)]
    inside = [roc_auc(y[part], p[part]) for part in parts if 0 < y[part].mean() < 1]
    return float(np.mean(inside)) if inside else float("nan")
