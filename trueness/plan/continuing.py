"""Which stored runs, made when the data ended earlier, are continued by runs to be made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trueness.campaign import Campaign
from trueness.document.numbers import plural
from trueness.engines.continued import Continued, kept_folds
from trueness.plan.work import Plan
from trueness.store import Run, Store
from trueness.store.ledger import earlier_keys
from trueness.tasks import task_of


@dataclass(frozen=True)
class Predecessors:
    """Stored runs of the same specs on data that ended earlier.

    Attributes
    ----------
    known : mapping of str to (Run, str)
        By the key of the run to be made, with the last time of the data it knew.
    refused : mapping of (str, str) to int
        Last time and reason -> runs to be made that would continue one but for the reason.
    missing : int
        Runs to be made.
    """

    known: Mapping[str, tuple[Run, str]]
    refused: Mapping[tuple[str, str], int]
    missing: int

    @property
    def offer(self) -> str:
        """What an update would do; empty if there is nothing to continue."""
        if not self.known:
            return ""
        last = max(last for _, last in self.known.values())
        return (
            f"{len(self.known)} of the {plural(self.missing, 'run')} to be made exist for the bars "
            f"up to {last}; --update scores the new ones with their weights"
        )

    @property
    def refusals(self) -> list[str]:
        """Why runs are not continued."""
        return [
            f"{plural(n, 'run')} up to {last} cannot be continued: {reason}; trained from the start"
            for (last, reason), n in self.refused.items()
        ]


def predecessors(campaign: Campaign, store: Store, specs: Sequence[Any]) -> Predecessors:
    """Stored runs that specs continue, of the longest data where there are several."""
    task, data = task_of(campaign.kind), campaign.data
    if task.earlier is None or not specs:
        return Predecessors({}, {}, len(specs))
    runs = {run.key: run for run in store.all_runs()[0] if run.spec.task.kind == campaign.kind}
    earlier = task.earlier(runs.values())
    reasons: dict[int, str] = {}
    known: dict[str, tuple[Run, str]] = {}
    refused = Counter[tuple[str, str]]()
    for spec in sorted(specs, key=lambda one: bool(one.depends_on)):  # members, then ensembles
        if not spec.depends_on <= known.keys():
            continue
        for place, one in enumerate(earlier):
            before = one.as_of(_with_members(spec, known), data)
            if before is None or before.key not in runs:
                continue
            if place not in reasons:
                reasons[place] = one.why_not(data)
            if not reasons[place]:
                known[spec.key] = runs[before.key], one.last
                break
            refused[one.last, reasons[place]] += 1
    return Predecessors(known, refused, len(specs))


def _with_members(spec: Any, known: Mapping[str, tuple[Run, str]]) -> Any:  # noqa: ANN401
    """An ensemble of the runs that its members continue; other specs as they are."""
    if spec.model.engine != "ensemble":
        return spec
    keys = {key: known[key][0].key for key in spec.model.depends_on}
    return spec.model_copy(update={"model": spec.model.with_members(keys)})


def continued(result: Predecessors, todo: Plan) -> tuple[dict[str, Continued], str]:
    """What each run to be made continues, and a sentence on all of them."""
    made: dict[str, Continued] = {}
    folds: dict[tuple[str, str], dict[int, int]] = {}
    kept = trained = changed = 0
    for spec in todo.specs:
        if spec.key not in result.known:
            continue
        (run, last), key = result.known[spec.key], task_of(spec.task.kind).examples_key
        if _other_columns(run, spec, todo):
            changed += 1
            continue
        mine: dict[int, int] = {}
        if spec.model.is_network:
            pair = key(run.spec), key(spec)
            if pair not in folds:
                folds[pair] = kept_folds(run, todo.examples_of(spec))
            mine = folds[pair]
            kept += len(mine)
            trained += todo.examples_of(spec).n_folds - len(mine)
        made[spec.key] = Continued(run.key, earlier_keys(run), last, mine)
    note = (
        f"{plural(len(made), 'stored run')} continued: {plural(kept, 'fold')} of networks with "
        f"stored weights, {trained} to be trained; estimators are fitted again"
    )
    if changed:
        note = f"{plural(changed, 'run')} trained from the start: other columns than before; {note}"
    none = "" if result.refused else "no stored run has bars that end earlier; all are trained"
    return made, note if made or changed else none


def _other_columns(run: Run, spec: Any, todo: Plan) -> bool:  # noqa: ANN401
    """Whether the longer data have other inputs, such as a volume that is known now."""
    known = run.record.get("features")
    return known is not None and list(known) != list(todo.examples_of(spec).features)
