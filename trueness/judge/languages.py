"""What a campaign on titles came to: each run per language, and methods against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.campaign.titles import TitlesCampaign
from trueness.errors import TruenessError
from trueness.evaluation.slice_comparison import (
    MethodComparison,
    SliceComparison,
    compare_many,
    compare_slices,
)
from trueness.evaluation.slices import Slices
from trueness.store.ledger import Ledger, data_of, times_text
from trueness.judge.studies.text import Section
from trueness.judge.titles import (
    methods_sections,
    slices_sections,
    write_titles_page,
)
from trueness.spec.titles import TitlesSpec
from trueness.store import Run, Store

TitlesRun = Run[TitlesSpec]
SHOWN = 3
"""Runs whose languages are shown one by one: the best baseline, the reference, the leader."""


@dataclass(frozen=True)
class TitlesReport:
    """Runs of a campaign on one part of a corpus.

    Attributes
    ----------
    title : str
    part : str
    labels : dict of str to str
        What each method is, in few words.
    slices : dict of str to Slices
        By method, of its first seed.
    comparison : MethodComparison or None
        None with a single method.
    looks : str
        How often the part was looked at before.
    """

    title: str
    part: str
    labels: dict[str, str]
    slices: dict[str, Slices]
    comparison: MethodComparison | None
    looks: str

    @property
    def heading(self) -> str:
        """Title and part."""
        return f"{self.title} · {self.part} part"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        compared = None if self.comparison is None else self.comparison.to_dict()
        return {
            "part": self.part,
            "labels": self.labels,
            "looks": self.looks,
            "comparison": compared,
            "slices": {name: one.to_dict() for name, one in self.slices.items()},
        }

    def shown(self) -> list[str]:
        """Methods worth a table of their own."""
        if self.comparison is None or len(self.slices) <= SHOWN:
            return list(self.slices)
        found = self.comparison
        return list(dict.fromkeys([found.leader, found.reference, *found.ranked]))[:SHOWN]

    def sections(self) -> list[tuple[str, list[Any]]]:
        """Titles with their sections, for a terminal."""
        compared = [] if self.comparison is None else methods_sections(self.comparison, self.labels)
        runs = [section for n in self.shown() for section in slices_sections(n, self.slices[n])]
        return [(self.heading, [*compared, *runs, Section("Looks", [self.looks])])]

    def write(self, path: Path) -> None:
        """Write all of it as an HTML page."""
        kept = {name: self.slices[name] for name in self.shown()}
        write_titles_page(
            path, kept, self.comparison, title=self.heading, labels=self.labels, note=self.looks
        )


def judge_campaign(
    campaign: TitlesCampaign, store: Store, part: str, *,
    target: str = "worst_language", verb: str = "text run",
) -> TitlesReport:  # fmt: skip
    """Judge what is stored of a campaign; the ledger remembers the look.

    Methods are experiments with their seeds, and the baselines. Intervals hold for all methods
    together.

    Parameters
    ----------
    campaign : TitlesCampaign
    store : Store
    part : {"validation", "test"}
    target : str
        Score in which methods are ranked.
    verb : str
        What asks, for the ledger.

    Raises
    ------
    TruenessError
        If nothing is stored.
    """
    methods: dict[str, dict[str, TitlesRun]] = {}
    for entry in campaign.entries:
        if entry.spec.key in store:
            methods.setdefault(entry.method, {})[entry.spec.key] = store.run(entry.spec.key)
    if not methods:
        raise TruenessError(f"{campaign.name}: no run is stored yet; nothing can be judged")
    runs = {name: list(found.values()) for name, found in methods.items()}
    every = [run for some in runs.values() for run in some]
    seen = seen_before(store, every[0], part)
    Ledger(store).look(every, part, verb, target, opened=part == "test")
    slices = {n: Slices.from_dict(some[0].record["slices"][part]) for n, some in runs.items()}
    comparison = None
    reference = campaign.reference if campaign.reference in runs else next(iter(runs))
    if len(runs) > 1:
        comparison = _compared(runs, part, reference, target)
    labels = {name: some[0].record["label"] for name, some in runs.items()}
    return TitlesReport(campaign.title, part, labels, slices, comparison, seen)


def seen_before(store: Store, run: TitlesRun, part: str) -> str:
    """How often a part of a run's corpus was looked at until now, and how many runs were seen."""
    looks = Ledger(store).looks(data_of(run), part)
    if not looks:
        return f"the {part} part of corpus {data_of(run)} was not looked at before"
    runs = {key for look in looks for key in look.keys}
    return (
        f"the {part} part of corpus {data_of(run)} was looked at {times_text(len(looks))} since "
        f"{looks[0].when[:10]}, {len(runs)} runs"
    )


def compared(one: TitlesRun, other: TitlesRun, part: str) -> SliceComparison:
    """First run minus second, per language, on the same texts.

    Raises
    ------
    TruenessError
        If they were measured on other texts.
    """
    table, rule = _same_texts([one, other], part), one.spec.evaluation
    return compare_slices(
        table.y, _predicted(one, part), _predicted(other, part), table.language, table.cluster,
        n_classes=len(one.record["classes"]), min_rows=rule.min_rows,
        confidence=rule.confidence_pct / 100, draws=rule.draws,
    )  # fmt: skip


def _compared(
    runs: dict[str, list[TitlesRun]], part: str, reference: str, target: str
) -> MethodComparison:
    every = [run for some in runs.values() for run in some]
    table, rule = _same_texts(every, part), every[0].spec.evaluation
    predicted = {
        name: np.stack([_predicted(run, part) for run in some]) for name, some in runs.items()
    }
    return compare_many(
        table.y, predicted, table.language, table.cluster, reference=reference,
        n_classes=len(every[0].record["classes"]), target=target, min_rows=rule.min_rows,
        confidence=rule.confidence_pct / 100, draws=rule.draws,
    )  # fmt: skip


@dataclass(frozen=True)
class _Texts:
    """Classes, languages and clusters (n,) of one part."""

    y: NDArray[np.int64]
    language: NDArray[np.str_]
    cluster: NDArray[np.int64]


def _same_texts(runs: Sequence[TitlesRun], part: str) -> _Texts:
    """The texts that all of some runs were measured on."""
    arenas = {run.record["comparison_group"] for run in runs}
    if len(arenas) > 1:
        raise TruenessError(
            "these runs were measured on other texts or by other rules; compare runs of one corpus "
            "and one evaluation"
        )
    table = runs[0].predictions().filter(pl.col("split") == part)
    return _Texts(
        table["y"].to_numpy().astype(np.int64),
        table["language"].to_numpy().astype(np.str_),
        table["cluster"].to_numpy(),
    )


def _predicted(run: TitlesRun, part: str) -> NDArray[np.int64]:
    """Predicted classes (n,)."""
    logits = run.predictions().filter(pl.col("split") == part)["logits"].to_numpy()
    return logits.argmax(1)
