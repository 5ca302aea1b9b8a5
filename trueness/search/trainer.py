"""Carries trials out: trains and stores their specs like any run, and reads their objective."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from trueness.callback import Callback
from trueness.campaign import Campaign, Entry, baselines_of
from trueness.engines import Setting
from trueness.errors import SpecError
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.metrics import precision_recall_curve
from trueness.examples import Examples
from trueness.execute import AnyPool
from trueness.fit import choose_device
from trueness.judge.comparison import measured_part
from trueness.plan import plan
from trueness.runner import Prune, Summary, run
from trueness.search.definition import Search
from trueness.search.pruning import epoch_judge
from trueness.search.trials import POLL_S, Proposal, Result
from trueness.spec import Spec
from trueness.store import Run, Store

FEW_ALARMS = 5
"""Alarms below which a precision does not count."""
WIDTH_OF_95 = 3.92
"""Standard errors in a 95 % interval."""
Kind: TypeAlias = Literal[
    "auc", "precision", "recall", "both", "macro_f1", "mean_group", "worst_group"
]
OF_LABELS: dict[str, tuple[Kind, ...]] = {
    "binary": ("auc", "precision", "recall", "both"),
    "classes": ("macro_f1", "mean_group", "worst_group"),
}
"""Kind of label -> what a search may maximise."""


@dataclass(frozen=True)
class Objective:
    """What a search maximises, from stored runs.

    ``auc``: pooled AUC. ``precision``: lower bound of the precision at the largest alarm budget.
    ``recall``: best recall of a threshold with precision at least `precision`; without one, 0 and
    a violated constraint. ``both``: AUC and the lower bound of the precision, as two objectives.
    Of K classes ``macro_f1``, of all units; ``mean_group`` and ``worst_group``, its mean over
    languages and the smallest of them. All on the part that runs are measured on.
    """

    kind: Kind = "auc"
    precision: float = 0.6

    @classmethod
    def of(cls, kind: Kind | None, precision: float, spec: Any) -> Objective:  # noqa: ANN401
        """Objective for specs like this one; by default the AUC, or what picks an epoch.

        Raises
        ------
        SpecError
            With code ``objective`` if their runs have no such measure.
        """
        known = OF_LABELS[spec.estimands.kind]
        usual = getattr(spec.evaluation, "select_on", "auc") if kind is None else kind
        if usual not in known:
            raise SpecError(
                f"--objective {usual}: runs on {spec.task.kind} have none; give "
                f"{', '.join(known[:-1])} or {known[-1]}", "objective",
            )  # fmt: skip
        return cls(usual, precision)

    @property
    def of_classes(self) -> bool:
        """Whether it is a measure of K classes."""
        return self.kind in OF_LABELS["classes"]

    @property
    def names(self) -> tuple[str, ...]:
        """One name per value."""
        if self.kind == "both":
            return ("auc", "precision")
        return (f"recall@{self.precision:g}",) if self.kind == "recall" else (self.kind,)

    def values(self, one: Run) -> tuple[tuple[float, ...], float | None]:
        """Values to maximise, and how far a constraint is broken, if there is one."""
        if self.kind == "recall":
            return self._recall(one)
        estimates = one.record["estimates"]
        if self.of_classes:
            return (float(estimates[self.kind]["value"] or 0.0),), None
        known = {
            "auc": estimates["auc"]["value"],
            "precision": estimates[alarm_estimate(one)]["low"],
        }
        return tuple(float(known[name] or 0.0) for name in self.names), None

    def _recall(self, one: Run) -> tuple[tuple[float, ...], float]:
        part = measured_part(one)
        curve = precision_recall_curve(part.y, part.score)
        enough = curve["alarms"] >= FEW_ALARMS
        reached = enough & (curve["precision"] >= self.precision)
        if reached.any():
            return (float(curve["recall"][reached].max()),), 0.0
        return (0.0,), self.precision - float(curve["precision"][enough].max(initial=0.0))

    def error(self, one: Run) -> float | None:
        """Standard error of the first value, by its interval; None if it has none."""
        if self.kind == "recall":
            return None
        binary = alarm_estimate(one) if self.kind == "precision" else "auc"
        name = self.kind if self.of_classes else binary
        low, high = (one.record["estimates"][name][end] for end in ("low", "high"))
        return None if low is None or high is None else (high - low) / WIDTH_OF_95

    def shown(self, one: Run) -> dict[str, Estimate]:
        """Estimates of a run that a summary shows."""
        names = OF_LABELS["classes"] if self.of_classes else (
            "auc", alarm_estimate(one), alarm_estimate(one, "recall")
        )  # fmt: skip
        return {n: Estimate.from_dict(one.record["estimates"][n]) for n in names}

    def facts(self, one: Run) -> dict[str, Any]:
        """What a trial keeps of a run beside its value."""
        if self.of_classes:
            return {}
        scores, recall = one.record["scores"], alarm_estimate(one, "recall")
        return {
            "scores": [scores["min"], scores["max"]],
            "recall": one.record["estimates"][recall]["value"],
        }


def alarm_estimate(one: Run, of: str = "precision") -> str:
    """Name of the estimate at the largest alarm budget."""
    return f"{of}@{one.spec.estimands.budget}"


@dataclass
class Trainer:
    """Trains and stores proposals, and answers their objective; the mean over replicates.

    Baselines of the data run first, in the first batch. Examples are made once. With `prunes`, the
    pruner of the study sees every epoch.
    """

    search: Search
    store: Store
    objective: Objective
    seeds: int = 1
    device: str = "auto"
    workers: int | None = None
    pool: AnyPool | None = None
    callback: Callback | None = None
    prunes: bool = False
    reused: int = 0
    announced: bool = False
    _examples: dict[str, Examples] = field(default_factory=dict, repr=False)

    def check(self) -> None:
        """Refuse data and own code on which nothing can be trained, before anything is written.

        Raises
        ------
        DataError, SpecError
            If a first spec has no examples, or could only fail later.
        """
        first = Entry(self.search.name, "search", self.search.spec(self.search.any_valid()))
        campaign = self._campaign([first])
        todo = plan(campaign, self.store, retry=True, examples=self._examples)
        name, pool = self.device, self.pool
        where = choose_device(name) if pool is None else pool.device(name)
        todo.check(Setting(where, self.store.root, folder=campaign.folder))

    def __call__(self, proposals: Sequence[Proposal]) -> list[Result]:
        """Carry out a batch."""
        entries = [
            Entry(_id(one, extra), "search", self._replicate(one, extra))
            for one in proposals
            for extra in range(self.seeds)
        ]
        trials = {p.spec.key: p.trial for p in proposals}
        prune = epoch_judge(trials, self.objective.kind) if self.prunes else None
        summary = self._trained(entries, prune)
        results = [self._result(one, summary) for one in proposals]
        return [replace(one, interrupted=summary.interrupted) for one in results]

    def _trained(self, entries: list[Entry], prune: Prune | None) -> Summary:
        """Train what is missing; what other processes train is waited for, or taken over."""
        summary = self._run(entries, prune)
        while summary.missing and not summary.interrupted:
            try:
                time.sleep(POLL_S)
            except KeyboardInterrupt:
                return replace(summary, interrupted=True)
            later = self._run([e for e in entries if e.spec.key in summary.missing], prune)
            summary = replace(
                later, trained=summary.trained + later.trained,
                failed=summary.failed + later.failed, pruned=summary.pruned + later.pruned,
            )  # fmt: skip
        return summary

    def _run(self, entries: list[Entry], prune: Prune | None) -> Summary:
        made = run(
            self._campaign(entries), self.store, device=self.device, workers=self.workers,
            retry=True, callback=self.callback, pool=self.pool, examples=self._examples,
            announce=not self.announced, prune=prune,
        )  # fmt: skip
        self.announced = True
        return made

    def _campaign(self, entries: list[Entry]) -> Campaign:
        search = self.search
        return Campaign(
            search.name, search.title, search.context.kind, baselines_of(entries), tuple(entries),
            search.context.data, folder=search.context.file.parent,
        )  # fmt: skip

    def _replicate(self, one: Proposal, extra: int) -> Spec:
        return one.spec.model_copy(update={"seed": one.spec.seed + extra}) if extra else one.spec

    def _result(self, one: Proposal, summary: Summary) -> Result:
        keys = [self._replicate(one, extra).key for extra in range(self.seeds)]
        left = [key for key in keys if key not in self.store]
        if not left:
            self.reused += not set(keys) & set(summary.trained)
            return self._values([self.store.run(key) for key in keys])
        if left[0] in summary.pruned:
            return Result(pruned=True)
        if summary.interrupted:
            return Result()
        return Result(failure=self.store.failures().get(left[0], "it is not stored"))

    def _values(self, runs: list[Run]) -> Result:
        result = [self.objective.values(one) for one in runs]
        values = tuple(sum(c) / len(runs) for c in zip(*(v for v, _ in result), strict=True))
        broken = [v for _, v in result if v is not None]
        first = runs[0].record
        facts = {
            "keys": [one.key for one in runs], "label": first["label"],
            "parameters": first["parameters"], "error": self.objective.error(runs[0]),
            **self.objective.facts(runs[0]),
            "seconds": sum(one.record["seconds"] for one in runs),
        }  # fmt: skip
        return Result(values, sum(broken) / len(broken) if broken else None, facts)


def _id(one: Proposal, extra: int) -> str:
    return f"S-{one.number:04d}" + (f"@{one.spec.seed + extra}" if extra else "")
