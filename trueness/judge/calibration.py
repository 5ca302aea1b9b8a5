"""Calibration methods compared on the measured days of one stored run, all fitted out of fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs
from rich.console import Console
from rich.table import Table
from scipy.special import expit

from trueness.errors import StoreError
from trueness.evaluation import (
    Contrast,
    Estimate,
    Resampled,
    block_weights,
    brier_decomposition,
    expected_calibration_error,
    roc_auc,
    simultaneous_contrasts,
    smooth_calibration_error,
)
from trueness.evaluation.calibration import log_losses
from trueness.judge.comparison import measured
from trueness.judge.figures import calibration_curve
from trueness.report.tables import PARTS_IN_WORDS
from trueness.spec import bootstrap_block
from trueness.store import Run

Array = NDArray[np.float64]

AS_IS = "as is"
BLOCKS, BINS = 5, 10
NOTES = (
    "Brier score and log loss: mean over the days, smaller is better; difference: to the "
    "probabilities as they are, on the same resampled days; its intervals hold for all methods at "
    "once",
    f"calibration error: mean distance of probability and share of positives in {BINS} bins of "
    "equal width or equal mass; debiased: root mean square over the bins of equal mass, less what "
    "chance explains; smooth: without bins",
    "AUC: a map that rises keeps the order of the days inside a block (isotonic and venn_abers may "
    "tie them), so the AUC inside blocks stays; the pooled AUC falls where the base rate changes, "
    "because a block rich in positives gets the map of poorer days; no method finds better days",
)


@dataclass(frozen=True)
class Judged:
    """One way to read the scores: its probabilities (n,), and how true they are.

    `difference` is its Brier score minus that of the probabilities as they are, on the same
    resampled days, below 0 if it is truer; None for those themselves.
    """

    method: str
    probability: Array
    estimates: dict[str, Estimate]
    difference: Contrast | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        minus = None if self.difference is None else asdict(self.difference)
        estimates = {name: e.to_dict() for name, e in self.estimates.items()}
        return {"method": self.method, "estimates": estimates, "brier_minus_as_is": minus}


@dataclass(frozen=True)
class Calibration:
    """All methods on one run, those as they are first."""

    run: Run
    y: NDArray[np.uint8]
    judged: list[Judged]
    gap_days: int

    @property
    def best(self) -> Judged:
        """The smallest Brier score; the probabilities as they are if equal."""
        return min(self.judged, key=lambda one: one.estimates["brier"].value or 0.0)

    @property
    def verdict(self) -> str:
        """Which is best, and whether any is better than nothing beyond its interval."""
        best = self.best
        others = [j.difference.simultaneous for j in self.judged if j.difference is not None]
        better = sum(1 for d in others if d.high is not None and d.high < 0)
        worse = sum(1 for d in others if d.low is not None and d.low > 0)
        if best.difference is None:
            first = "No method has a smaller Brier score than the probabilities as they are."
        else:
            first = (
                f"{best.method} has the smallest Brier score; difference to the probabilities as "
                f"they are {number(best.difference.simultaneous, True)}."
            )
        if any(d.low is None for d in others):
            return f"{first} The days are too few for intervals: nothing can be told apart."
        return (
            f"{first} Beyond the interval, corrected for their number, {better} of {len(others)} "
            f"methods lower it and {worse} raise it."
        )

    def facts(self) -> list[str]:
        """What was compared, on which days."""
        rule, record = self.run.spec.evaluation, self.run.record
        part = PARTS_IN_WORDS.get(rule.measured_on, rule.measured_on)
        gap = "1 day" if self.gap_days == 1 else f"{self.gap_days} days"
        n, k = len(self.y), int(self.y.sum())
        return [
            f"{record['label']}: {n} {part}, {k} positive ({100 * k / n:.1f} %), weights chosen on "
            f"{chosen_on(self.run)}",
            f"{BLOCKS} blocks of days; the map of a block is fitted on the others, {gap} "
            f"next to it left out; {rule.confidence_pct:g} % intervals by block bootstrap",
            f"always saying the share of positives has a Brier score of {k / n * (1 - k / n):.4f}",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "key": self.run.key, "label": self.run.record["label"], "facts": self.facts(),
            "blocks": BLOCKS, "gap_days": self.gap_days, "n": len(self.y),
            "positives": int(self.y.sum()), "methods": [one.to_dict() for one in self.judged],
            "best": self.best.method, "verdict": self.verdict, "notes": list(NOTES),
        }  # fmt: skip


def compare_calibrations(run: Run, methods: Sequence[str] | None = None) -> Calibration:
    """Calibrate the measured days of a run out of fold by every method.

    Parameters
    ----------
    run : Run
    methods : sequence of str, optional
        Of ``trueness.evaluation.calibrators.METHODS``; all without it.

    Raises
    ------
    TruenessError
        If a block leaves fewer than two positives or negatives to fit on.
    """
    from trueness.evaluation.calibrators import METHODS, out_of_fold_calibration

    y, score = measured(run)
    gap = run.spec.task.horizon_days
    block, probability = np.arange(len(y)) * BLOCKS // len(y), {AS_IS: expit(score)}
    for method in dict.fromkeys(methods or METHODS):
        probability[method] = out_of_fold_calibration(score, y, block, method, gap_days=gap)
    weights, squares = _resample(run, len(y)), [(p - y) ** 2 for p in probability.values()]
    differences = [weights(square - squares[0]) for square in squares[1:]]
    contrasts = simultaneous_contrasts(differences, run.spec.evaluation.confidence_pct / 100)
    judged = [
        Judged(method, p, _estimates(run, y, block, p), contrast)
        for (method, p), contrast in zip(probability.items(), [None, *contrasts], strict=True)
    ]
    return Calibration(run, y, judged, gap)


def _resample(run: Run, n: int) -> Callable[[Array], Resampled]:
    """Mean of a loss (n,) on the days and on each resample of them."""
    block = bootstrap_block(run.spec)
    weights = block_weights(n, block).astype(np.float64)
    return lambda loss: Resampled(float(loss.mean()), weights @ loss / n, n, -(-n // block))


def _estimates(
    run: Run, y: NDArray[np.uint8], block: NDArray[np.int64], p: Array
) -> dict[str, Estimate]:
    """Every estimate of one way to read the scores."""
    rule, mean_of = run.spec.evaluation, _resample(run, len(y))

    def plain(value: float) -> Estimate:
        known = value if np.isfinite(value) else None
        return Estimate(known, None, None, len(y), None, chosen_on(run), rule.measured_on)

    def mean(loss: Array) -> Estimate:
        found = mean_of(loss).estimate(rule.confidence_pct / 100)
        return replace(found, chosen_on=chosen_on(run), measured_on=rule.measured_on)

    parts = brier_decomposition(p, y, BINS, "quantile")
    error = partial(expected_calibration_error, p, y, BINS)
    return {
        "brier": mean((p - y) ** 2),
        "log_loss": mean(log_losses(p, y)),
        "calibration_error": plain(error()),
        "calibration_error_equal_mass": plain(error("quantile")),
        "calibration_error_debiased": plain(error("quantile", debiased=True)),
        "smooth_calibration_error": plain(smooth_calibration_error(p, y)),
        "reliability": plain(parts["reliability"]),
        "resolution": plain(parts["resolution"]),
        "auc": plain(roc_auc(y, p)),
        "auc_in_block": plain(_auc_inside(y, p, block)),
    }


def _auc_inside(y: NDArray[np.uint8], p: Array, block: NDArray[np.int64]) -> float:
    """Mean of the AUCs inside the blocks that have both classes; NaN if none has."""
    parts = [block == b for b in np.unique(block)]
    inside = [roc_auc(y[part], p[part]) for part in parts if 0 < y[part].mean() < 1]
    return float(np.mean(inside)) if inside else float("nan")


def chosen_on(run: Run) -> str:
    """Part that picked the weights of a run."""
    return str(run.record["estimates"]["auc"].get("chosen_on", run.spec.evaluation.chosen_on))


# ----------------------------------------------------------------------------------------- terminal


def number(estimate: Estimate, signed: bool = False) -> str:
    """``0.1612 [0.1501, 0.1720]``, without the interval where there is none."""
    if estimate.value is None:
        return "–"
    sign = "+" if signed else ""
    value = f"{estimate.value:{sign}.4f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{estimate.low:{sign}.4f}, {estimate.high:{sign}.4f}]"


def _value(estimate: Estimate) -> str:
    return "–" if estimate.value is None else f"{estimate.value:.4f}"


def _minus(difference: Contrast | None) -> str:
    return "–" if difference is None else number(difference.simultaneous, True)


VALUES = {
    "log loss": "log_loss",
    "error, equal\nwidth": "calibration_error",
    "equal\nmass": "calibration_error_equal_mass",
    "RMS,\ndebiased": "calibration_error_debiased",
    "smooth": "smooth_calibration_error",
    "AUC": "auc",
    "AUC inside\nblocks": "auc_in_block",
}
"""Column -> estimate shown without its interval; JSON has all."""


def texts(one: Judged) -> list[str]:
    """Cells of a method, in the order of `headers`."""
    values = [_value(one.estimates[name]) for name in VALUES.values()]
    return [one.method, number(one.estimates["brier"]), _minus(one.difference), *values]


def headers() -> list[str]:
    """Columns of the comparison."""
    return ["method", "Brier score", "− as is", *VALUES]


def show_calibration(console: Console, found: Calibration) -> None:
    """Print the comparison."""
    for line in found.facts():
        console.print(line, highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers():
        table.add_column(header)
    for one in found.judged:
        table.add_row(*texts(one))
    console.print()
    console.print(table, highlight=False)
    console.print(f"\n{found.verdict}\n", highlight=False, soft_wrap=True)
    for note in NOTES:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)


# --------------------------------------------------------------------------------------------- page


def write_calibration_page(found: Calibration, path: Path) -> None:
    """Write the comparison, with reliability pictures, as one self-contained HTML page.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    options = {"displayModeBar": False, "responsive": True}
    confidence = found.run.spec.evaluation.confidence_pct / 100
    pictures = {
        one.method: calibration_curve(found.y, one.probability, confidence).to_html(
            full_html=False, include_plotlyjs=False, config=options
        )
        for one in found.judged
    }
    environment = Environment(
        loader=PackageLoader("trueness.report", "."), autoescape=True, undefined=StrictUndefined
    )
    html = environment.get_template("calibrate.html.j2").render(
        found=found, headers=headers(), rows=[texts(one) for one in found.judged], notes=NOTES,
        pictures=pictures, plotly=get_plotlyjs(),
    )  # fmt: skip
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: the page cannot be written ({error.strerror})") from None
