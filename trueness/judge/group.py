"""Runs measured on the same units: each as a model, all of them as a comparison group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trueness.checks import Finding
from trueness.evaluation import Estimate
from trueness.judge.access import AccessLog
from trueness.judge.declared import Pending
from trueness.judge.findings import Muted
from trueness.judge.selection import Selected, Selection
from trueness.judge.settings import settings_in_words
from trueness.judge.verdict import Verdict
from trueness.spec.estimands import Estimands
from trueness.store import Run
from trueness.store.annotations import Annotation

if TYPE_CHECKING:
    from trueness.judge.choice import Shown
    from trueness.judge.languages_group import ClassGroup


class Recorded(Mapping[str, Estimate]):
    """Estimates of a record, read when they are asked for: a long leaderboard shows few of them.

    Parameters
    ----------
    content : mapping of str to dict
        As a record holds them.
    n_candidates : int
        Among which their model was chosen.
    """

    def __init__(self, content: Mapping[str, dict[str, Any]], n_candidates: int) -> None:
        self._content, self._n_candidates = content, n_candidates
        self._read: dict[str, Estimate] = {}

    def __getitem__(self, name: str) -> Estimate:
        if name not in self._read:
            made = Estimate.from_dict(self._content[name])
            self._read[name] = made.with_candidates(self._n_candidates)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)


@dataclass(frozen=True)
class Model:
    """One run: what it is called, what it is worth, what is wrong with it.

    Attributes
    ----------
    ids : list of str
        Ids that stand for it.
    run : Run
    estimates : mapping of str to Estimate
    reference : Run or None
        The best baseline.
    difference : Estimate or None
        Headline minus that of the best baseline: AUC, or the macro-F1 that is ranked.
    findings, muted : list
        Findings of checks.
    selected : Selected or None
        What remains of it after the choice; None for baselines.
    annotation : Annotation
        Tags and a note that somebody wrote at it.
    settings : mapping of str to str
        Dotted name -> value of what differs between the runs shown and no label names.
    identical : str
        What the best baseline is called, where both rank all units alike; else empty.
    """

    ids: list[str]
    run: Run
    estimates: Mapping[str, Estimate]
    reference: Run | None = None
    difference: Estimate | None = None
    findings: list[Finding] = field(default_factory=list)
    muted: list[Muted] = field(default_factory=list)
    selected: Selected | None = None
    annotation: Annotation = field(default_factory=Annotation)
    settings: Mapping[str, str] = field(default_factory=dict)
    identical: str = ""

    @property
    def key(self) -> str:
        """Key of its run."""
        return self.run.key

    @property
    def is_baseline(self) -> bool:
        """Whether the others have to beat it."""
        return self.run.spec.is_baseline

    @property
    def name(self) -> str:
        """Ids that share the run, or its key."""
        return " = ".join(self.ids) or self.key

    @property
    def label(self) -> str:
        """What kind of model it is, where the name does not say so, its columns and settings."""
        label = self.run.record["label"]
        chosen = [text for text in self.run.record.get("chosen", ()) if text]
        if self.is_baseline and chosen and self.run.spec.model.kind == "one_feature":
            label = f"{label}: {' / '.join(dict.fromkeys(chosen))}"
        own = settings_in_words(self.settings)
        return ", ".join(filter(None, ["" if label in self.ids else label, own]))

    @property
    def title(self) -> str:
        """Name and kind."""
        return " · ".join(part for part in (self.name, self.label) if part)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        record, spec = self.run.record, self.run.spec
        difference = None if self.difference is None or self.reference is None else {
            "baseline": self.reference.key,
            "label": self.reference.record["label"],
            **self.difference.to_dict(),
            "identical": bool(self.identical),
        }  # fmt: skip
        return {
            "name": self.name,
            "ids": self.ids,
            "key": self.key,
            "label": record["label"],
            "settings": dict(self.settings),
            "baseline": self.is_baseline,
            "seed": spec.seed,
            "parameters": record["parameters"],
            "estimates": {name: e.to_dict() for name, e in self.estimates.items()},
            "scores": record.get("scores"),
            "difference_to_best_baseline": difference,
            "selection": None if self.selected is None else self.selected.to_dict(),
            "findings": [f.to_dict() for f in self.findings],
            "muted": [m.to_dict() for m in self.muted],
            "tags": list(self.annotation.tags),
            "note": self.annotation.note or None,
            "seconds": record["seconds"],
        }


@dataclass(frozen=True)
class Group:
    """A comparison group: runs measured on the same units, candidates and baselines, best first.

    Attributes
    ----------
    title : str
        What is predicted, on which units, by which protocol.
    rule : Estimands
        What is measured, and how.
    part : str
    data : dict
        What the record says of the data.
    base_rate : Estimate or None
        None for K classes.
    candidates, baselines : list of Model
    sort : str
        Estimate that ranks.
    n_candidates : int
        Candidates, seeds of one counted once.
    reference : Run or None
        The best baseline.
    verdict : Verdict
    selection : Selection or None
        What remains after the choice; None for K classes.
    classes : ClassGroup or None
        Methods compared per group of units, for K classes.
    power : dict or None
        What so many units can show, see `power_of`; None for K classes, or if nothing.
    access : AccessLog or None
    effective_alarms : float or None
        Effective number of the leader's alarms at the largest budget, see `Dependence`.
    shown : Shown or None
        What tables show of it, where something was chosen; judgements are about all of it.
    pending : Pending or None
        Candidates of the campaign that are stored, of how many; None if none is pending.
    notes : list of str
        Experiments that are no candidates, and why.
    """

    title: str
    rule: Estimands
    part: str
    data: dict[str, Any]
    base_rate: Estimate | None
    candidates: list[Model]
    baselines: list[Model]
    sort: str
    n_candidates: int
    reference: Run | None
    verdict: Verdict
    selection: Selection | None = None
    classes: ClassGroup | None = None
    power: dict[str, Any] | None = None
    access: AccessLog | None = None
    effective_alarms: float | None = None
    shown: Shown | None = None
    pending: Pending | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """A binary event, or K classes."""
        return self.rule.kind

    @property
    def models(self) -> list[Model]:
        """Candidates, then baselines."""
        return [*self.candidates, *self.baselines]

    @property
    def rows(self) -> list[Model]:
        """Models that tables show, in their order."""
        return self.models if self.shown is None else self.shown.models

    @property
    def n(self) -> int:
        """Units."""
        return self.models[0].run.record["units"]["n"] if self.classes is None else self.classes.n

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "title": self.title,
            "kind": self.kind,
            "comparison_group": self.models[0].run.record["comparison_group"],
            "part": self.part,
            "n": self.n,
            "data": self.data,
            "base_rate": None if self.base_rate is None else self.base_rate.to_dict(),
            "confidence": self.rule.confidence,
            "sorted_by": self.sort,
            "n_candidates": self.n_candidates,
            "best_baseline": None if self.reference is None else self.reference.key,
            "verdict": self.verdict.to_dict(),
            "selection": None if self.selection is None else self.selection.to_dict(),
            "classes": None if self.classes is None else self.classes.to_dict(),
            "power": self.power,
            "access": None if self.access is None else self.access.to_dict(),
            "pending": None if self.pending is None else self.pending.to_dict(),
            "notes": self.notes,
            "shown": None if self.shown is None else self.shown.to_dict(),
            "models": [model.to_dict() | self._fields(model) for model in self.rows],
        }

    def _fields(self, model: Model) -> dict[str, Any]:
        """Fields of a model that were asked for."""
        if self.shown is None or not self.shown.fields:
            return {}
        return {"fields": {name: values[model.key] for name, values in self.shown.fields.items()}}

    def flat(self, model: Model) -> dict[str, Any]:
        """One of its models as a row: estimates and ends of their intervals."""
        row: dict[str, Any] = {
            "group": self.models[0].run.record["comparison_group"],
            "name": model.name,
            "key": model.key,
            "label": model.run.record["label"],
            "settings": settings_in_words(model.settings),
            "baseline": model.is_baseline,
            "seed": model.run.spec.seed,
            "parameters": model.run.record["parameters"],
            "findings": " ".join(finding.code for finding in model.findings),
            "tags": " ".join(model.annotation.tags),
        }
        shown = dict(model.estimates)
        if self.classes is not None:
            shown |= self.classes.slices(model.key).overall.top_k
        if model.difference is not None:
            shown["difference_to_best_baseline"] = model.difference
        for name, e in shown.items():
            row |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high, f"{name}_n": e.n}
            row |= {} if e.k is None else {f"{name}_k": e.k}
        if model.selected is not None:
            row |= {
                "shrunk": model.selected.shrunk.value, "bound": model.selected.bound.low,
                "against_leader": model.selected.against_leader,
            }  # fmt: skip
        return {**self._fields(model).get("fields", {}), **row}
