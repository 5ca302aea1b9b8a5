"""What is shown of calibrations that were compared."""

from __future__ import annotations

from trueness.document import (
    Beside,
    Cell,
    Column,
    Document,
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


def document(found: CalibrationComparison) -> Document:
    """Facts, the verdict, a row per method, and the calibration curves with the same axes."""
    return Document(
        f"Calibration of {run_title(found.name, found.run)}",
        [
            *(Sentence(note, "warning") for note in found.notes),
            *cautions([found.rule]),
            Sentence(found.verdict, "verdict"),
            Items(found.facts()),
            comparison_table(found),
            Items(NOTES),
            Section("Calibration curves", [_explained(found), curves(found)]),
        ],
        found.run.key if found.run.key not in found.name else "",
    )


def section(found: CalibrationComparison) -> Section:
    """The same in short, for the page of a leaderboard."""
    facts = [f"Of {found.name}. {found.verdict}", *found.facts()[1:]]
    return Section(
        "Calibration",
        [Items(facts), comparison_table(found, errors=False), _explained(found), curves(found)],
    )


def _explained(found: CalibrationComparison) -> Sentence:
    shown = curve_explained(found.rule.confidence)
    return Sentence(f"{capital(shown)}.", "note")


def comparison_table(found: CalibrationComparison, *, errors: bool = True) -> Table:
    """A row per method; without `errors` only the Brier score and the error by equal mass."""
    values = VALUES if errors else {n: v for n, v in VALUES.items() if n.endswith("equal_mass")}
    columns = [
        Column("method", weight=9),
        Column("Brier score", "estimate", 9, digits=4),
        Column("difference to\nuncalibrated", "difference", 8, digits=4),
        *(Column(title, "number", weight, digits=4) for title, weight in values.values()),
    ]
    rows = [_row(one, list(values)) for one in found.methods]
    styles: list[Style] = [
        "reference" if one.method == UNCALIBRATED else "" for one in found.methods
    ]
    return Table(columns, rows, styles=styles)


def _row(one: Calibrated, names: list[str]) -> list[Cell]:
    minus = None if one.difference is None else one.difference.simultaneous
    return [one.method, one.estimates["brier"], minus, *(one.estimates[n].value for n in names)]


def curves(found: CalibrationComparison) -> Beside:
    """Calibration curves of every method, side by side with the same axes."""
    y, confidence = found.part.y, found.rule.confidence
    blocks = found.part.blocks(found.rule.block)
    end = max(axis_end(y, one.probability, confidence, blocks) for one in found.methods)
    best = found.best.method
    return Beside([
        calibration_curve(
            y, one.probability, confidence, blocks, end=end,
            title=one.method + ", smallest Brier score" * (one.method == best),
        )
        for one in found.methods
    ])  # fmt: skip
