"""The verb search run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from trueness import interrupts
from trueness.cli.options import (
    CHOICE,
    DEFAULT_STORE,
    Data,
    On,
    Protocol,
    Recipe,
    Store_,
    StrictInt,
    Vix,
    progress,
)
from trueness.cli.output import DEFAULT, Output, check, note, present
from trueness.cli.searching import Storage
from trueness.cli.suggestions import command
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.execute import AnyPool
    from trueness.search.definition import Search
    from trueness.search.studies import Opened
    from trueness.search.trials import Outcome

MOST_SEEDS = 100
GPU_BATCH = 8
"""Trials asked for at once on an accelerator, where those of equal shape train as one stack."""

Vary = Annotated[
    list[str] | None,
    Parameter(name="--vary", negative=(), help="With --pin, a leaf that stays open; repeatable."),
]


def run(
    space: str = "published",
    /,
    *,
    budget: str | None = None,
    tier: str | None = None,
    horizon: str | None = None,
    trials: StrictInt = 50,
    protocol: Protocol = None,
    recipe: Recipe = None,
    seeds: StrictInt = 1,
    objective: Literal[
        "auc", "precision", "recall", "both", "macro_f1", "mean_group", "worst_group"
    ]
    | None = None,
    precision: float = 0.6,
    sampler: Literal["tpe", "gp", "random"] = "tpe",
    sampler_seed: StrictInt = 42,
    duplicates: Literal["architecture", "seed"] = "architecture",
    batch: StrictInt | None = None,
    pin: str | None = None,
    vary: Vary = None,
    epochs: StrictInt | None = None,
    flat_after: StrictInt | None = None,
    prune: Annotated[Literal["median", "halving"] | None, CHOICE] = None,
    name: str | None = None,
    data: Data = None,
    vix: Vix = None,
    store: Store_ = DEFAULT_STORE,
    storage: Storage = None,
    device: str = "auto",
    workers: StrictInt | None = None,
    on: On = None,
    output: Output = DEFAULT,
) -> int:
    """Search a space: baselines, forced extremes, then what the sampler asks for.

    Every trial is a stored run like any other. The same command resumes a study; several processes
    may work on one.

    Example: trueness search run --budget 20M --tier a100 --horizon h1 --trials 50

    Example: trueness search run --pin 0575c82ffff4 --vary dropout --vary learning_rate --trials 20

    Parameters
    ----------
    space
        A bundled space, or a YAML file with `search` and `space`.
    budget
        True number of parameters, such as 750k, 2M, 20M; or label:2M, a published space.
    tier
        Indicators, such as a50.
    horizon
        Days, as h1 or 1.
    trials
        Trials of the study in the end, earlier ones included.
    seeds
        Replicates of every trial; its value is their mean.
    objective
        auc, by default; precision: lower bound at the largest alarm budget; recall: with
        --precision reached; both: auc and precision, as two objectives. Of titles macro_f1,
        mean_group or worst_group of the validation part; what picks the epoch by default.
    sampler_seed
        Seed of the sampler.
    duplicates
        What replaces a repeated suggestion: the nearest untested architecture, or a new seed.
    batch
        Trials asked for at once; as many as there are workers by default, 8 on each accelerator.
    pin
        Key of a stored run that is held; only leaves named with --vary stay open.
    epochs
        Shorter training than the recipe's.
    flat_after
        Stop when so many trials in a row did not beat the best by its standard error.
    prune
        Give trials up after some epochs: below the median of the others, or by successive halving.
        Under the protocol holdout, and of titles.
    name
        Name of the study; made from the options by default.
    device
        auto, cpu, cuda or mps.
    workers
        Processes on a CPU, one thread each; all cores by default.
    """
    from trueness.models.budgets import refuse_on_cpu
    from trueness.search.finding import storage_url
    from trueness.search.loading import load_search, named
    from trueness.search.pruning import make_pruner
    from trueness.search.studies import open_storage, open_study
    from trueness.search.summary import summary_of
    from trueness.search.trainer import Objective, Trainer
    from trueness.search.trials import search_trials
    from trueness.store import Store

    check(output)
    _check_counts(
        precision, sampler_seed, trials=trials, seeds=seeds, batch=batch, flat_after=flat_after,
        epochs=epochs,
    )  # fmt: skip
    opened_store = Store(store)
    held = None if pin is None else opened_store.run(pin).spec
    search = load_search(
        space, budget=budget, tier=tier, horizon=_days(horizon), protocol=protocol,
        recipe=recipe, epochs=epochs, data=data, vix=vix, pin=held, vary=vary or [],
    )  # fmt: skip
    search = search if name is None else named(search, name)
    goal = Objective.of(objective, precision, search.spec(search.any_valid()))
    pruner = make_pruner(prune, search, objective=goal.names, seeds=seeds)
    with progress() as shown, _pool(on, device, workers) as pool:
        where = pool.device(device)
        for shape in search.shapes.values():
            refuse_on_cpu(shape, where.name)
        trainer = Trainer(
            search, opened_store, goal, seeds, device, workers, pool, shown, prune is not None
        )
        trainer.check()
        database = None if storage is None else open_storage(storage)
        opened_store.prepare()
        study = open_study(
            search, goal.names, database or open_storage(storage_url(None, store)),
            sampler=sampler, seed=sampler_seed, about={"seeds": seeds}, pruner=pruner,
        )  # fmt: skip
        shown.on_note(_beginning(search, study, trials))
        outcome = search_trials(
            search, study, trainer, trials=trials, seeds=seeds, duplicates=duplicates,
            batch=batch or max(1, pool.size) * (1 if where.name == "cpu" else GPU_BATCH),
            flat_after=flat_after,
        )  # fmt: skip
    analyze = command("search", "analyze", search.name)
    present(summary_of(search.name, study, trainer, outcome, opened_store, analyze), output)
    return _status(outcome)


def _check_counts(precision: float, sampler_seed: int, **counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and count < 1:
            raise TruenessError(f"--{name.replace('_', '-')} {count}: at least 1 is needed")
    if not 0 < precision <= 1:
        raise TruenessError(f"--precision {precision:g}: give a share above 0, up to 1")
    if not 0 <= sampler_seed < 2**32:
        raise TruenessError(f"--sampler-seed {sampler_seed}: give 0 to {2**32 - 1}")
    if (counts.get("seeds") or 1) > MOST_SEEDS:
        raise TruenessError(f"--seeds {counts['seeds']}: at most {MOST_SEEDS}")


def _days(horizon: str | None) -> int | None:
    if horizon is None:
        return None
    digits = horizon.removeprefix("h")
    if not digits.isdecimal():
        raise TruenessError(f"--horizon {horizon}: give a number of days, as h1 or 1")
    return int(digits)


def _pool(on: str | None, device: str, workers: int | None) -> AnyPool:
    """Where trials are trained; on an accelerator of this machine, in this process."""
    from trueness.execute import Pool, open_pool, pool_size
    from trueness.fit import choose_device

    if on is not None:
        return open_pool(on, workers)
    if choose_device(device).name != "cpu":
        return Pool(0)
    if workers is not None and workers < 0:
        raise TruenessError(f"--workers {workers}: give 0 to stay in this process, or more")
    return Pool(pool_size(workers))


def _beginning(search: Search, study: Opened, trials: int) -> str:
    from trueness.document.numbers import count, plural

    done = len(study.counted())
    there = f", {count(done)} of them done" if done else ""
    sizes = [shape.parameters for shape in search.shapes.values()]
    size = (
        f"; {plural(len(sizes), 'shape')} with {count(min(sizes))} to {count(max(sizes))} "
        "parameters" if sizes else ""
    )  # fmt: skip
    return f"study {search.name}: {plural(trials, 'trial')}{there}{size}"


def _status(outcome: Outcome) -> int:
    if outcome.interrupted:
        note("Interrupted. Run the same command to resume.")
        return interrupts.status()
    return 1 if outcome.failed and not outcome.done else 0
