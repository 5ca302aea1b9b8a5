"""What a campaign would do: fits, work and memory, before anything is trained or written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from trueness.baselines import check_estimator
from trueness.campaign import Campaign, Entry
from trueness.errors import DataError, SpecError
from trueness.examples import Examples
from trueness.fit import Device, Mode, choose_mode, members_that_fit, stackable
from trueness.market import market_examples
from trueness.models import activation_bytes, member_bytes, multiply_adds
from trueness.record import weight_count
from trueness.spec import PatchTST, Spec
from trueness.store import Store

GPU_STACK = 128
"""Most members per stack on an accelerator."""
TIMED = 100
"""Stored runs whose speed is looked at."""
CPU_STACK = 1
"""Members per stack on a CPU, where arithmetic is the bound: wider stacks were measured slower."""


@dataclass(frozen=True)
class Work:
    """One item for a worker: specs that share examples and, if they are networks, a stack."""

    examples: Examples
    specs: tuple[Spec, ...]
    device: Device
    width: int = 1
    mode: Mode = "eager"
    asks: bool = False
    """Whether the worker asks after every epoch if a network is to be pruned."""
    beside: Path = Path()
    """Folder of own files."""

    @property
    def members(self) -> int:
        """Networks to train: folds of every spec."""
        return len(self.specs) * self.examples.n_folds

    @property
    def gflop_per_epoch(self) -> float:
        """Mean work of one epoch of one member."""
        return work_of(self.specs[0], self.examples, 1) / self.examples.n_folds / 1e9

    @property
    def bytes(self) -> int:
        """Estimated memory of the stack in training."""
        return min(self.width, self.members) * _member_bytes(self.specs[0], self.examples)


@dataclass
class Plan:
    """What is left of a campaign.

    `rows` has one dictionary per entry; `missing` are the networks without a stored run, `given_up`
    those among them that failed before and are not tried again unless asked to. `store` tells how
    fast earlier runs were.
    """

    rows: list[dict[str, Any]]
    baselines: list[Spec]
    missing: list[Spec]
    given_up: list[Spec]
    notes: list[str]
    examples: dict[str, Examples] = field(repr=False)
    store: Store = field(repr=False)

    def examples_of(self, spec: Spec) -> Examples:
        """Examples that a spec is trained on."""
        return self.examples[_data_key(spec)]

    def stacks(self, device: Device) -> list[Work]:
        """Missing networks grouped by tensor shape; what comes first in the campaign, first."""
        groups: dict[tuple[str, ...], list[Spec]] = {}
        for spec in self.missing:
            groups.setdefault(stackable(spec), []).append(spec)
        items = [item for specs in groups.values() for item in self._items(specs, device)]
        place = {spec.key: position for position, spec in enumerate(self.missing)}
        return sorted(items, key=lambda item: place[item.specs[0].key])

    def _items(self, specs: list[Spec], device: Device) -> list[Work]:
        """Specs of one shape, as many per item as a stack holds; a spec's folds stay together."""
        examples = self.examples_of(specs[0])
        most = GPU_STACK if device.name != "cpu" else CPU_STACK
        width = members_that_fit(device, self._bytes_that_fit(specs[0], device), most)
        per_item = max(1, width // examples.n_folds)
        items = []
        for first in range(0, len(specs), per_item):
            chunk = tuple(specs[first : first + per_item])
            members = min(width, len(chunk) * examples.n_folds)
            mode = choose_mode(device, *_steps(chunk[0], examples, members))
            if mode == "compile" and _attends_columns(chunk[0]):
                mode = "graph"  # its piecewise backward pass breaks the compiler's tracing
            items.append(Work(examples, chunk, device, width, mode))
        return items

    def _bytes_that_fit(self, spec: Spec, device: Device) -> int:
        """Memory of one member; refused if it is more than there is."""
        needed, free = _member_bytes(spec, self.examples_of(spec)), device.free_bytes()
        if free is not None and needed > free:
            raise SpecError(
                f"{spec.label()}: one network needs about {needed / 1e9:,.1f} GB in training with "
                f"batches of {spec.recipe.batch_size}, {free / 1e9:,.1f} GB are free on "
                f"{device.name}; make it or its batch smaller"
            )
        return needed

    def size(self, device: Device, workers: int) -> dict[str, Any]:
        """Fits, work, memory and time at most, of all that is missing."""
        items = self.stacks(device)
        folds = {self.examples_of(spec).n_folds for spec in self.missing}
        gflop = sum(work_of(s, self.examples_of(s), s.recipe.epochs) for s in self.missing) / 1e9
        rate = measured_rate(self.store)
        largest = sorted((item.bytes for item in items), reverse=True)[: max(1, workers)]
        return {
            "baselines": len(self.baselines),
            "networks": len(self.missing),
            "folds": folds.pop() if len(folds) == 1 else None,
            "fits": sum(item.members for item in items),
            "stacks": len(items),
            "widest_stack": max((min(i.width, i.members) for i in items), default=0),
            "modes": sorted({item.mode for item in items}),
            "gflop_at_most": round(gflop, 3),
            "memory_bytes": sum(largest),
            "hours_at_most": None if not rate else round(gflop / rate / max(1, workers) / 3600, 3),
        }


def plan(
    campaign: Campaign, store: Store, *, retry: bool = False,
    examples: dict[str, Examples] | None = None,
) -> Plan:  # fmt: skip
    """Check all data of a campaign and say what is left to do; trains and writes nothing.

    Parameters
    ----------
    campaign : Campaign
    store : Store
    retry : bool
        Whether runs that failed before are tried again.
    examples : dict, optional
        Examples of earlier plans on the same data, which this one adds its own to.

    Raises
    ------
    DataError
        If any experiment cannot be carried out on these data.
    """
    examples = {} if examples is None else examples
    for entry in campaign.experiments:  # baselines share their data; errors name the experiment
        if _data_key(entry.spec) not in examples:
            examples[_data_key(entry.spec)] = _examples(campaign, entry)
    notes = list(dict.fromkeys(note for one in examples.values() for note in one.notes))
    there = {e.spec.key: e.spec.key in store for e in campaign.entries}
    rows = [_plan_row(e, examples[_data_key(e.spec)], there[e.spec.key]) for e in campaign.entries]
    specs = list({e.spec.key: e.spec for e in campaign.entries if not there[e.spec.key]}.values())
    failed = {} if retry else store.failures()
    wanted = [s for s in specs if s.key not in failed]
    given_up = [s for s in specs if s.key in failed]
    baselines = [s for s in wanted if s.model.engine == "estimators"]
    missing = [s for s in wanted if s.model.engine == "stack"]
    for spec in baselines:
        check_estimator(examples[_data_key(spec)], spec, campaign.folder)
    return Plan(rows, baselines, missing, given_up, notes, examples, store)


def measured_rate(store: Store) -> float | None:
    """GFLOP per second and worker of runs that are stored, by the median; None without any."""
    records = [run.record for run in store.all_runs(TIMED)[0]]
    return median([r["gflop"] / r["seconds"] for r in records if r.get("gflop")] or [0.0]) or None


def work_of(spec: Spec, examples: Examples, epochs: float) -> float:
    """Floating-point operations of so many epochs: 6 per weight use, forward and backward."""
    if not isinstance(spec.model, PatchTST):
        return 0.0
    uses = multiply_adds(spec.model, len(examples.features), examples.context)
    trained = sum(fold.get("train", (0, 0))[0] for fold in examples.counts())
    return 6.0 * uses * trained * epochs


def _data_key(spec: Spec) -> str:
    return f"{spec.task.model_dump_json()} {spec.evaluation.model_dump_json()}"


def _examples(campaign: Campaign, entry: Entry) -> Examples:
    try:
        return market_examples(
            entry.spec.task, entry.spec.evaluation, campaign.bars, campaign.volatility
        )
    except DataError as error:
        raise DataError(f"{campaign.name} {entry.id}: {error}") from None


def _attends_columns(spec: Spec) -> bool:
    return isinstance(spec.model, PatchTST) and spec.model.embedding.kind == "attention"


def _steps(spec: Spec, examples: Examples, members: int) -> tuple[int, float]:
    """Steps of a stack at most, and the work of one."""
    rows = max(len(examples.members("train", fold)) for fold in range(examples.n_folds))
    steps = -(-rows // spec.recipe.batch_size) * spec.recipe.epochs
    assert isinstance(spec.model, PatchTST)
    uses = multiply_adds(spec.model, len(examples.features), examples.context)
    return steps, 6.0 * uses * spec.recipe.batch_size * members


def _member_bytes(spec: Spec, examples: Examples) -> int:
    assert isinstance(spec.model, PatchTST)
    kept = activation_bytes(spec.model, len(examples.features), examples.context)
    return member_bytes(weight_count(spec, examples), spec.recipe.batch_size, kept)


def _plan_row(entry: Entry, examples: Examples, there: bool) -> dict[str, Any]:
    spec, counts = entry.spec, examples.counts()
    return {
        "id": entry.id,
        "priority": entry.priority,
        "key": spec.key,
        "label": spec.label(),
        "stored": there,
        "parameters": weight_count(spec, examples),
        "features": len(examples.features),
        "folds": [
            {part: {"n": n, "positives": p} for part, (n, p) in fold.items()} for fold in counts
        ],
        "work_gflop": round(work_of(spec, examples, spec.recipe.epochs) / 1e9, 3),
        "seed": spec.seed,
    }
