"""What an experiment tracker is told of a stored run; the same for every tracker."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from trueness.document import Document
from trueness.evaluation import Estimate
from trueness.judge.settings import content_of, flat
from trueness.judge.show import Shown, show
from trueness.store import AnyStore, Run

LONGEST = 5000
"""Characters of a parameter or a tag that every tracker takes."""
Point = tuple[int, dict[str, float]]
"""An epoch, and its values by name."""
Page: TypeAlias = Callable[[Document], str]
"""What makes HTML of a document."""


@dataclass(frozen=True)
class Entry:
    """A run as a tracker keeps it.

    Attributes
    ----------
    key : str
        Of the run; a tracker keeps no second entry with it.
    name : str
        Ids that stand for it.
    parameters : dict of str to str, int, float or bool
        Dotted name of each setting -> value; lists as JSON.
    metrics : dict of str to float
        Estimates by name, with ``_low`` and ``_high``, the bounds of the confidence interval, and
        of proportions ``_k`` of ``_n``. No name holds ``@`` or ``%``.
    curves : list of (int, dict)
        Epoch, from 1, and its values, such as ``fold0/val_loss``.
    tags : dict of str to str
        ``trueness.key``, ``trueness.label`` and more, and ``check.CODE`` for each check that fired.
    files : dict of str to str
        ``run.html``, the page of the run, and ``spec.json``, its spec as it is stored.
    """

    key: str
    name: str
    parameters: dict[str, str | int | float | bool]
    metrics: dict[str, float]
    curves: list[Point]
    tags: dict[str, str]
    files: dict[str, str]


def entry_of(store: AnyStore, run: Run, name: str, page: Page) -> Entry:
    """Everything of a stored run that a tracker is told.

    Parameters
    ----------
    store : Store or MemoryStore
    run : Run
    name : str
        What it is called there.
    page : callable
        Makes HTML of the document of the run.

    Raises
    ------
    StoreError
        If a file of it is damaged.
    """
    shown = show(store, run.key)
    files = {
        "run.html": page(shown.document()),
        "spec.json": run.file("spec.json").read_text(encoding="utf-8"),
    }
    return Entry(
        run.key, name, dict(_parameters(run)), dict(_metrics(shown.model.estimates)), _curves(run),
        _tags(shown), files,
    )  # fmt: skip


def metric_name(name: str) -> str:
    """Name of an estimate in letters that every tracker takes.

    Examples
    --------
    >>> metric_name("precision@5%"), metric_name("recall@30"), metric_name("f1: 新")
    ('precision_at_5pct', 'recall_at_30', 'f1_ _')
    """
    return re.sub(r"[^\w ./-]", "_", name.replace("@", "_at_").replace("%", "pct"), flags=re.ASCII)


def _parameters(run: Run) -> Iterator[tuple[str, Any]]:
    """Leaves of the spec; what is not set has no value."""
    for path, value in flat(content_of(run.spec)).items():
        if value is None or isinstance(value, Mapping):
            continue
        plain = isinstance(value, str | int | float)
        text = value if plain else json.dumps(value, ensure_ascii=False)
        yield path, text[:LONGEST] if isinstance(text, str) else text


def _metrics(estimates: Mapping[str, Estimate]) -> Iterator[tuple[str, float]]:
    for name, estimate in estimates.items():
        called = metric_name(name)
        values = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
        if estimate.k is not None:
            values |= {"_k": estimate.k, "_n": estimate.n}
        for end, value in values.items():
            if value is not None and math.isfinite(value):
                yield f"{called}{end}", float(value)


def _curves(run: Run) -> list[Point]:
    """Learning curves by epoch: of networks one per fold, of encoders one."""
    points: dict[int, dict[str, float]] = {}
    for row in run.history().iter_rows(named=True):
        epoch, fold = row.pop("epoch"), row.pop("fold", None)
        before = "" if fold is None else f"fold{fold}/"
        known = {
            f"{before}{metric_name(name)}": float(value)
            for name, value in row.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        points.setdefault(int(epoch), {}).update(known)
    return sorted(points.items())


def _tags(shown: Shown) -> dict[str, str]:
    run = shown.model.run
    tags = {
        "trueness.key": run.key, "trueness.ids": ", ".join(shown.ids), "trueness.part": shown.part,
        "trueness.label": run.record["label"], "trueness.task": run.record["task"],
        "trueness.created": str(run.record["created"]),
        "trueness.tags": ", ".join(shown.model.annotation.tags),
        "trueness.note": shown.model.annotation.note,
        **{
            f"check.{one.code}": f"{one.severity}: {one.title}; {one.evidence}"
            for one in shown.model.findings
        },
    }  # fmt: skip
    return {name: text[:LONGEST] for name, text in tags.items() if text}
