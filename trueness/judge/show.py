"""One run, whole."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from trueness.checks import NotApplicable
from trueness.document import Document, Sentence
from trueness.errors import TruenessError
from trueness.judge.access import AccessLog, part_in_words
from trueness.judge.finding import find_run
from trueness.judge.findings import not_applicable
from trueness.judge.group import Model
from trueness.judge.judgement import SCHEMA
from trueness.judge.leaderboard import leaderboard
from trueness.judge.run_sections import (
    facts,
    finding_parts,
    not_applicable_parts,
    run_sections,
)
from trueness.store import AnyStore


@dataclass(frozen=True)
class Shown:
    """One run with its estimates, its difference to the best baseline and its findings.

    Attributes
    ----------
    ids : list of str
        Campaign and id of everything that stands for it.
    model : Model
    part : str
        The part that is shown.
    access : AccessLog or None
    not_applicable : list of NotApplicable
        Checks that could not look at it.
    """

    ids: list[str]
    model: Model
    part: str
    access: AccessLog | None
    not_applicable: list[NotApplicable] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON: the record, the model of a leaderboard, the spec."""
        run = self.model.run
        return {
            **run.record,
            "by_series": self.by_series(),
            **self.model.to_dict(),
            "schema": SCHEMA,
            "kind": "run",
            "part": self.part,
            "ids": self.ids,
            "spec": run.spec.model_dump(mode="json"),
            "access": None if self.access is None else self.access.to_dict(),
            "not_applicable": {one.code: one.why for one in self.not_applicable},
        }

    def by_series(self) -> dict[str, Any] | None:
        """The run on each series of a panel; None without, or if predictions are damaged."""
        from trueness.judge.comparison import measured_part
        from trueness.judge.slices import slices

        if self.model.run.estimands.kind != "binary":
            return None
        with contextlib.suppress(TruenessError):
            if measured_part(self.model.run).group is not None:
                result = slices(self.model.run).to_dict()
                return {**result, "by": {"group": result["by"]["group"]}}
        return None

    def to_frame(self) -> pl.DataFrame:
        """A row per estimate."""
        rows = [{"estimate": name, **e.to_dict()} for name, e in self.model.estimates.items()]
        return pl.from_dicts(rows, infer_schema_length=None)

    def document(self) -> Document:
        """What to show."""
        run = self.model.run
        title = f"{' = '.join(self.ids) or run.key} · {run.record['label']}"
        log = [] if self.access is None else [Sentence(f"{self.access}", "note")]
        log = [*not_applicable_parts(self.not_applicable), *log]
        if run.estimands.kind == "classes":
            from trueness.judge.languages_tables import class_run_sections

            parts: list[Any] = [
                *class_run_sections(self.model.name, run, self.part),
                *finding_parts(self.model.findings, self.model.muted),
                *log,
            ]
            about = [part_in_words(self.part).capitalize(), *facts(self.model)]
            return Document(title, parts, " · ".join(about))
        return Document(title, [*run_sections(self.model), *log], part_in_words(self.part))


def show(
    store: AnyStore, wanted: str, *, part: str | None = None, opened: bool = False,
    access: tuple[str, str] | None = None,
) -> Shown:  # fmt: skip
    """Everything that is known about one run.

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : str
        Id, key or the beginning of a key.
    part : str, optional
        Of K classes: in place of the part that is measured on.
    opened : bool
        Whether a sealed part was asked for on purpose.
    access : tuple of str, optional
        Verb and question for the ledger.

    Raises
    ------
    TruenessError
        If there is no such run or part, or the part is sealed.
    """
    run, ids = find_run(store, wanted)
    rule = run.estimands
    if part is not None and part != rule.measured_on and rule.kind == "binary":
        raise TruenessError(
            f"{wanted}: estimates are of the {part_in_words(rule.measured_on)}; `trueness "
            f"thresholds {wanted} --on {part} --open-test` judges another part", "no_part",
        )  # fmt: skip
    board = leaderboard(store, keys={run.key}, access=access, part=part, opened=opened)
    (group,) = board.groups
    (model,) = group.models
    unseen = []
    with contextlib.suppress(TruenessError):  # damaged predictions are told elsewhere
        unseen = not_applicable(store, run)
    return Shown(ids, model, part or rule.measured_on, group.access, unseen)
