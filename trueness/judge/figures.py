"""Figures about runs, as data: estimates side by side, and how the training went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from trueness.document import Figure, numbers
from trueness.judge.group import Model
from trueness.store import Run

MOST_ROWS = 30


def forest_plot(models: Sequence[Model]) -> Figure:
    """AUC of the best runs with their intervals, baselines in grey, chance at 0.5."""
    known = [m for m in models if m.estimates["auc"].value is not None]
    shown = sorted(known, key=lambda m: m.estimates["auc"].value or 0.0)[-MOST_ROWS:]
    places = {m.key: i for i, m in enumerate(shown)}
    traces = [
        _dots(name, [m for m in shown if m.is_baseline == baseline], places, colour)
        for name, baseline, colour in (
            ("candidates", False, "series-0"),
            ("baselines", True, "grey"),
        )
        if any(m.is_baseline == baseline for m in shown)
    ]
    layout = {
        "height": 110 + 22 * len(shown),
        "xaxis": {"title": {"text": "AUC"}},
        "yaxis": {
            "tickvals": list(places.values()), "ticktext": [m.name for m in shown],
            "range": [-0.7, len(shown) - 0.3], "automargin": True,
        },
        "shapes": [{"type": "line", "x0": 0.5, "x1": 0.5, "y0": 0, "y1": 1, "yref": "paper",
                    "line": {"color": "ink", "dash": "dot", "width": 1}}],
    }  # fmt: skip
    most = f"the best {MOST_ROWS} of {len(models)} runs" if len(models) > MOST_ROWS else "every run"
    caption = (
        f"AUC of {most} with its confidence interval. Chance is 0.5 within one fit; scores of "
        "several refits are pooled, which can move even a constant away from it."
    )
    return Figure(traces, layout, caption)


def _dots(
    name: str, models: Sequence[Model], places: dict[str, int], colour: str
) -> dict[str, Any]:
    aucs = [m.estimates["auc"] for m in models]
    values = [e.value or 0.0 for e in aucs]
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": values,
        "y": [places[m.key] for m in models], "marker": {"color": colour, "size": 9},
        "text": [f"{m.title}: {numbers.estimate(m.estimates['auc'])}" for m in models],
        "hoverinfo": "text",
        "error_x": {
            "array": [(e.high if e.high is not None else v) - v
                      for e, v in zip(aucs, values, strict=True)],
            "arrayminus": [v - (e.low if e.low is not None else v)
                           for e, v in zip(aucs, values, strict=True)],
            "thickness": 1.4, "color": colour,
        },
    }  # fmt: skip


def learning_curves(run: Run) -> Figure | None:
    """Loss in training and validation per epoch, a colour per fold, the kept epoch marked.

    None for models that are not trained in epochs.
    """
    history = run.history()
    if not len(history):
        return None
    best = run.record.get("best_epochs", [run.record.get("best_epoch")])
    return curves_of(history, best, "Loss per epoch; the marked epoch is kept.")


def curves_of(history: pl.DataFrame, best: Sequence[int | None], caption: str) -> Figure:
    """Losses of a history (fold, epoch, train_loss, val_loss), `best` epochs by fold marked."""
    folds = (
        history["fold"].unique(maintain_order=True).to_list() if "fold" in history.columns else [0]
    )
    traces: list[dict[str, Any]] = []
    for fold in folds:
        rows = history.filter(pl.col("fold") == fold) if "fold" in history.columns else history
        traces += _fold_curves(int(fold), rows, best[int(fold)] if best else None, len(folds) > 1)
    layout = {
        "xaxis": {"title": {"text": "epoch"}, "integer": True},
        "yaxis": {"title": {"text": "loss"}},
    }  # fmt: skip
    return Figure(traces, layout, caption)


def _fold_curves(
    fold: int, rows: pl.DataFrame, best: int | None, several: bool
) -> list[dict[str, Any]]:
    colour, of = f"series-{fold % 8}", f"fold {fold + 1}, " if several else ""
    epochs = rows["epoch"].to_list()
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "name": f"{of}{name}", "x": epochs,
            "y": rows[column].to_list(), "line": {"color": colour, "dash": dash},
        }
        for column, name, dash in (
            ("train_loss", "training", "dot"), ("val_loss", "validation", "solid")
        )
    ]  # fmt: skip
    kept = rows.filter(pl.col("epoch") == (0 if best is None else best))  # epochs begin with 1
    if len(kept):
        traces.append({
            "type": "scatter", "mode": "markers", "showlegend": False,
            "x": kept["epoch"].to_list(), "y": kept["val_loss"].to_list(),
            "marker": {"color": colour, "size": 9}, "hoverinfo": "text",
            "text": [f"{of}epoch {best} is kept"],
        })  # fmt: skip
    return traces
