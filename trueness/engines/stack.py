"""Networks of equal tensor shape, many in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from trueness.engines import Cost, Epoch, Inputs, Job, Outcome, Report, Setting, Step
from trueness.engines.continued import Continued, inherited
from trueness.engines.recorded import facts_of, make_outcome, predictions_of, weight_count
from trueness.engines.warm_start import starting_weights
from trueness.errors import SpecError
from trueness.examples import Examples
from trueness.execute import Question
from trueness.fit import (
    Checkpoints,
    Device,
    Fitted,
    FoldFit,
    Member,
    Mode,
    choose_mode,
    fit_stack,
    members_that_fit,
    seconds_per_step,
    stackable,
)
from trueness.judge.measured import estimates_of
from trueness.models import activation_bytes, member_bytes, multiply_adds, stacks
from trueness.own import own_files
from trueness.places import StoreLocation
from trueness.spec import Spec
from trueness.store import Store

GPU_STACK = 128
"""Most members per stack on an accelerator."""
CPU_STACK = 1
"""Members per stack on a CPU, where arithmetic is the bound: wider stacks were measured slower."""
TRIED = 3
"""Shapes of networks that are tried for their speed."""
TRIED_S = 0.3
"""Seconds after which no further step of a shape is tried."""


@dataclass(frozen=True)
class StackContent:
    """What a stack is trained on, and how."""

    examples: Examples
    device: Device
    width: int
    mode: Mode
    asks: bool
    folder: Path
    checkpoints: Checkpoints | None
    store: StoreLocation
    continues: Mapping[str, Continued]


class Stack:
    """See `trueness.engines.Engine`; a job is a stack of specs of one tensor shape."""

    stage: ClassVar[str] = "networks"
    alone: ClassVar[bool] = False
    ranked: ClassVar[bool] = False

    def check(self, specs: Sequence[Spec], inputs: Inputs, setting: Setting, store: Any) -> None:  # noqa: ANN401
        """Refuse torchrun, which many small networks gain nothing from, and unfit own networks."""
        del store
        for spec in specs:
            if spec.model.probed:
                stacks(spec.model, len(inputs(spec).features), inputs(spec).context, setting.folder)
        if setting.ranks.world > 1:
            raise SpecError(
                "networks of one stack train in one process; start it without torchrun", "torchrun"
            )

    def cost(self, spec: Spec, inputs: Examples, folder: Path) -> Cost:
        """Trainable parameters, columns, and work of all folds and epochs."""
        gflop = work_of(spec, inputs, spec.recipe.passes, folder) / 1e9
        return Cost(weight_count(spec, inputs, folder), len(inputs.features), gflop)

    def jobs(self, specs: Sequence[Spec], inputs: Inputs, setting: Setting) -> list[Job]:
        """Networks grouped by tensor shape; what comes first in the campaign, first."""
        groups: dict[tuple[str, ...], list[Spec]] = {}
        for spec in specs:
            groups.setdefault(stackable(spec), []).append(spec)
        made = [job for some in groups.values() for job in _stacks(some, inputs(some[0]), setting)]
        place = {spec.key: position for position, spec in enumerate(specs)}
        return sorted(made, key=lambda job: place[job.specs[0].key])

    def rates(self, jobs: Sequence[Job], setting: Setting) -> list[float] | None:
        """Some shapes are tried, from the least to the most work a step; others lie between."""
        if setting.device.name != "cpu" or not jobs:
            return None
        work = [_step_gflop(job) for job in jobs]
        order = np.argsort(work, kind="stable")
        some = np.unique(order[np.linspace(0, len(order) - 1, TRIED).round().astype(int)])
        some = some[np.argsort([work[k] for k in some], kind="stable")]
        known = [work[k] / _tried(jobs[k]) for k in some]
        return np.interp(np.log(work), np.log([work[k] for k in some]), known).tolist()

    def fit(self, job: Job, report: Report) -> list[Outcome]:
        """Train, then judge."""
        how: StackContent = job.content
        per_epoch = work_of(job.specs[0], how.examples, 1, how.folder) / how.examples.n_folds / 1e9

        def over(member: Member, row: dict[str, float]) -> bool:
            """Tell of an epoch; ask whether the member is worth more of them, if anybody knows."""
            losses = row["train_loss"], row["val_loss"]
            report(Step(0.0, epoch=Epoch(member.spec.key, member.fold, int(row["epoch"]), *losses)))
            return how.asks and report(Question((member.spec.key, row)))

        fitted = fit_stack(
            how.examples, job.specs, how.device, lambda n: report(Step(n * per_epoch)), how.width,
            how.mode, report, over, how.folder, how.checkpoints,
            _inherited(job.specs, how),
            starting_weights(job.specs, how.store, how.examples.n_folds),
        )  # fmt: skip
        return [
            outcome_of(one, how.examples, how.folder, how.continues.get(one.spec.key))
            for one in fitted
        ]


def _inherited(specs: Sequence[Spec], how: StackContent) -> dict[Member, FoldFit]:
    """Folds that keep the weights of a stored run."""
    result = {}
    for spec in specs:
        known = how.continues.get(spec.key)
        if known is not None and known.folds:
            run = Store(how.store).run(known.key)
            folds = inherited(run, known.folds, how.examples)
            result |= {Member(spec, fold): fit for fold, fit in folds.items()}
    return result


def _stacks(specs: Sequence[Spec], examples: Examples, setting: Setting) -> list[Job]:
    """Specs of one shape, as many per job as a stack holds; a spec's folds stay together."""
    device = setting.device
    most = GPU_STACK if device.name != "cpu" else CPU_STACK
    width = members_that_fit(device, _bytes_that_fit(specs[0], examples, setting), most)
    per_job = max(1, width // examples.n_folds)
    chunks = [tuple(specs[i : i + per_job]) for i in range(0, len(specs), per_job)]
    return [_job(chunk, examples, width, setting) for chunk in chunks]


def _job(specs: tuple[Spec, ...], examples: Examples, width: int, setting: Setting) -> Job:
    model, folder, fits = specs[0].model, setting.folder, len(specs) * examples.n_folds
    if not stacks(model, len(examples.features), examples.context, folder):
        width = 1
    members = min(width, fits)
    mode = choose_mode(setting.device, *_steps(specs[0], examples, members, folder))
    if model.reference is not None:
        mode = "eager"  # code that nobody here has seen
    elif mode == "compile" and not model.compiles:
        mode = "graph"  # its piecewise backward pass breaks the compiler's tracing
    anew = setting.encoders.restart or setting.asks or not setting.shared
    checkpoints = None if anew else Checkpoints(Store(setting.store).checkpoints, setting.device)
    continues = {s.key: setting.continues[s.key] for s in specs if s.key in setting.continues}
    content = StackContent(
        examples, setting.device, width, mode, setting.asks, folder, checkpoints, setting.store,
        continues,
    )  # fmt: skip
    work = sum(work_of(one, examples, one.recipe.passes, folder) for one in specs) / 1e9
    memory = members * _member_bytes(specs[0], examples, folder)
    warm_started = continues or any(spec.depends_on for spec in specs)
    reads = (*own_files(model, folder), *(Store(setting.store).folders if warm_started else []))
    return Job("stack", specs, content, work, fits, members, memory, mode, reads=reads)


def _step_gflop(job: Job) -> float:
    """Work of one network's step."""
    how: StackContent = job.content
    return _steps(job.specs[0], how.examples, 1, how.folder)[1] / 1e9


def _tried(job: Job) -> float:
    """Seconds of one network's step."""
    how: StackContent = job.content
    return seconds_per_step(how.examples, job.specs[0], how.device, how.folder, TRIED_S)


def _bytes_that_fit(spec: Spec, examples: Examples, setting: Setting) -> int:
    """Memory of one member; refused if it is more than there is."""
    device = setting.device
    needed, free = _member_bytes(spec, examples, setting.folder), device.free_bytes()
    if free is not None and needed > free:
        raise SpecError(
            f"{spec.label()}: one network needs about {needed / 1e9:,.1f} GB in training with "
            f"batches of {spec.recipe.batch_size}, {free / 1e9:,.1f} GB are free on "
            f"{device.name}; make it or its batch smaller"
        )
    return needed


def work_of(
    spec: Spec, examples: Examples, epochs: float, folder: Path = Path(),
    folds: Sequence[int] | None = None,
) -> float:  # fmt: skip
    """Floating-point operations of so many epochs: 6 per weight use, forward and backward.

    `folder` is that of own files; of all folds without `folds`.
    """
    uses = multiply_adds(spec.model, len(examples.features), examples.context, folder)
    counts = examples.counts()
    folds = range(len(counts)) if folds is None else folds
    trained = sum(counts[fold].get("train", (0, 0))[0] for fold in folds)
    return 6.0 * uses * trained * epochs


def _steps(spec: Spec, examples: Examples, members: int, folder: Path) -> tuple[int, float]:
    """Steps of a stack at most, and the work of one."""
    rows = max(len(examples.members("train", fold)) for fold in range(examples.n_folds))
    steps = -(-rows // spec.recipe.batch_size) * spec.recipe.passes
    uses = multiply_adds(spec.model, len(examples.features), examples.context, folder)
    return steps, 6.0 * uses * spec.recipe.batch_size * members


def _member_bytes(spec: Spec, examples: Examples, folder: Path) -> int:
    kept = activation_bytes(spec.model, len(examples.features), examples.context, folder)
    views = 2 if spec.recipe.pretraining.passes else 1
    return member_bytes(weight_count(spec, examples, folder), views * spec.recipe.batch_size, kept)


# ------------------------------------------------------------------------------------------ judging


def outcome_of(
    fit: Fitted, examples: Examples, folder: Path, continued: Continued | None = None
) -> Outcome:
    """A run of a network, ready to be stored; `folder` is that of own files.

    `continued` is the stored run that lent its weights.
    """
    if fit.failure is not None or fit.pruned:
        return Outcome(fit.spec, failure=fit.failure, pruned=fit.pruned)
    best, last = [f.logit for f in fit.folds], [f.logit_last for f in fit.folds]
    of_last = predictions_of(examples, last, last).part(fit.spec.estimands.measured_on)
    ended = estimates_of(of_last, fit.spec.estimands)
    trained = [f for f in fit.folds if not f.inherited]
    epochs = sum(len(f.history) for f in trained) / max(1, len(trained))
    epochs += fit.spec.recipe.passes - fit.spec.recipe.epochs
    facts: dict[str, Any] = facts_of(fit.spec, examples, folder) | {
        "estimates_last": {name: e.to_dict() for name, e in ended.items()},
        "best_epochs": [f.best_epoch for f in fit.folds],
        "last_epochs": [len(f.history) for f in fit.folds],
        "incidents": [{"fold": f.fold, **i.to_dict()} for f in fit.folds for i in f.warnings],
        "stacked": fit.stacked,
        "seconds": fit.seconds, "device": fit.device, "precision": fit.precision,
        "gflop": round(
            work_of(fit.spec, examples, epochs, folder, [f.fold for f in trained]) / 1e9, 3
        ),
    }  # fmt: skip
    if continued is not None and len(trained) < len(fit.folds):
        kept = len(fit.folds) - len(trained)
        notes = continued.notes(kept, len(trained), fit.spec.estimands.chosen_on)
        facts |= {"trained_folds": [f.fold for f in trained], "notes": [*facts["notes"], *notes]}
    history = [{"fold": f.fold, **row} for f in fit.folds for row in f.history]
    parameters = {
        f"fold{f.fold}.{name}": value for f in fit.folds for name, value in f.parameters.items()
    }
    predictions = predictions_of(examples, best, last)
    return make_outcome(fit.spec, predictions, facts, history, parameters)
