"""What is shown of calibrations that were compared."""

from __future__ import annotations

from trueness.document import (
    Cell,
    Column,
    Document,
    HConcat,
    Items,
    Section,
    Sentence,
    Style,
    Table,
)
from trueness.document.numbers import capital
from trueness.judge.calibration import (
    BINS,
    UNCALIBRATED,
    Calibrated,
    CalibrationComparison,
)
from trueness.judge.curves import axis_end, calibration_curve, curve_explained
from trueness.judge.parts import cautions, run_title

NOTES = (
    "Brier score and log loss: mean over the units, smaller is better; the difference is to the "
    "uncalibrated probabilities on the same resamples, with intervals that hold for all methods "
    "at once",
    f"calibration error: mean distance of probability and share of positives in {BINS} bins of "
    "equal width or equal mass; debiased: root mean square over the bins of equal mass, less what "
    "chance explains; smooth: without bins",
    "monotone calibration keeps the ranking; it cannot improve discrimination: the AUC inside "
    "blocks stays (isotonic and venn_abers may tie units), and the pooled AUC falls where the base "
    "rate changes, as each block has a calibrator of its own",
)
VALUES = {
    "log_loss": ("log loss", 6),
    "calibration_error": ("error,\nequal width", 5),
    "calibration_error_equal_mass": ("error,\nequal mass", 7),
    "calibration_error_debiased": ("RMS,\ndebiased", 3),
    "smooth_calibration_error": ("smooth", 2),
    "auc": ("AUC", 4),
    "auc_in_block": ("AUC inside\nblocks", 4),
}
"""Estimate -> column that shows it without an interval, and its weight; JSON has all."""


def document(result: CalibrationComparison) -> Document:
    """Facts, the verdict, a row per method, and the calibration curves with the same axes."""
    return Document(
        f"Calibration of {run_title(result.name, result.run)}",
        [
            *(Sentence(note, "warning") for note in result.notes),
            *cautions([result.rule]),
            Sentence(result.verdict, "verdict"),
            Items(result.facts()),
            comparison_table(result),
            Items(NOTES),
            Section("Calibration curves", [_explained(result), curves(result)]),
        ],
        result.run.key if result.run.key not in result.name else "",
    )


def section(result: CalibrationComparison) -> Section:
    """The same in short, for the page of a leaderboard."""
    facts = [f"Of {result.name}. {result.verdict}", *result.facts()[1:]]
    return Section(
        "Calibration",
        [Items(facts), comparison_table(result, errors=False), _explained(result), curves(result)],
    )


def _explained(result: CalibrationComparison) -> Sentence:
    shown = curve_explained(result.rule.confidence)
    return Sentence(f"{capital(shown)}.", "note")


def comparison_table(result: CalibrationComparison, *, errors: bool = True) -> Table:
    """A row per method; without `errors` only the Brier score and the error by equal mass."""
    values = VALUES if errors else {n: v for n, v in VALUES.items() if n.endswith("equal_mass")}
    columns = [
        Column("method", weight=9),
        Column("Brier score", "estimate", 9, digits=4),
        Column("difference to\nuncalibrated", "difference", 8, digits=4),
        *(Column(title, "number", weight, digits=4) for title, weight in values.values()),
    ]
    rows = [_row(one, list(values)) for one in result.methods]
    styles: list[Style] = [
        "reference" if one.method == UNCALIBRATED else "" for one in result.methods
    ]
    return Table(columns, rows, styles=styles)


def _row(one: Calibrated, names: list[str]) -> list[Cell]:
    minus = None if one.difference is None else one.difference.simultaneous
    return [one.method, one.estimates["brier"], minus, *(one.estimates[n].value for n in names)]


def curves(result: CalibrationComparison) -> HConcat:
    """Calibration curves of every method, side by side with the same axes."""
    y, confidence = result.part.y, result.rule.confidence
    blocks = result.part.blocks(result.rule.block)
    end = max(axis_end(y, one.probability, confidence, blocks) for one in result.methods)
    best = result.best.method
    return HConcat([
        calibration_curve(
            y, one.probability, confidence, blocks, end=end,
            title=one.method + ", smallest Brier score" * (one.method == best),
        )
        for one in result.methods
    ])  # fmt: skip
