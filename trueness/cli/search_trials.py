"""The verb search run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from trueness.cli.options import (
    DEFAULT_STORE,
    Data,
    Json,
    Protocol,
    Recipe,
    Store_,
    Vix,
    Whole,
    console,
    print_json,
    progress,
)
from trueness.cli.searching import Storage, storage_url
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.search.definition import Search
    from trueness.search.studies import Opened
    from trueness.search.trainer import Trainer
    from trueness.search.trials import Outcome
    from trueness.store import Store

EXIT_INTERRUPTED = 130
MOST_SEEDS = 100
MOST_BEST = 5
"""Trials of the front of two objectives that are shown."""
GPU_BATCH = 8
"""Trials asked for at once on an accelerator, where those of equal shape train as one stack."""

Vary = Annotated[
    list[str] | None,
    Parameter(name="--vary", negative=(), help="With --pin, a leaf that stays open; repeatable."),
]


def run(
    space: str = "mission",
    /,
    *,
    budget: str | None = None,
    tier: str | None = None,
    horizon: str | None = None,
    trials: Whole = 50,
    protocol: Protocol = None,
    recipe: Recipe = None,
    seeds: Whole = 1,
    objective: Literal["auc", "precision", "recall", "both"] = "auc",
    precision: float = 0.6,
    sampler: Literal["tpe", "gp", "random"] = "tpe",
    sampler_seed: Whole = 42,
    duplicates: Literal["architecture", "seed"] = "architecture",
    batch: Whole | None = None,
    pin: str | None = None,
    vary: Vary = None,
    epochs: Whole | None = None,
    flat_after: Whole | None = None,
    prune: Literal["median", "halving"] | None = None,
    name: str | None = None,
    data: Data = None,
    vix: Vix = None,
    store: Store_ = DEFAULT_STORE,
    storage: Storage = None,
    device: str = "auto",
    workers: Whole | None = None,
    as_json: Json = False,
) -> int:
    """Search a space: baselines, forced extremes, then what the sampler asks for.

    Every trial is a stored run like any other. A study goes on where it stopped; several processes
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
        auc; precision: lower end at the largest alarm budget; recall: with --precision reached;
        both: auc and precision, as two objectives.
    sampler_seed
        Seed of the sampler.
    duplicates
        What replaces a repeated suggestion: the nearest untested architecture, or a new seed.
    batch
        Trials asked for at once; as many as there are workers by default, 8 on an accelerator.
    pin
        Key of a stored run that is held; only leaves named with --vary stay open.
    epochs
        Shorter training than the recipe's.
    flat_after
        Stop when so many trials in a row did not beat the best by its standard error.
    prune
        Give trials up after some epochs: below the median of the others, or by successive halving.
        Under the protocol mission only.
    name
        Name of the study; made from the options by default.
    device
        auto, cpu, cuda or mps.
    workers
        Processes on a CPU, one thread each; all cores by default.
    """
    from trueness.execute import Pool
    from trueness.fit import choose_device
    from trueness.models.budgets import refuse_on_cpu
    from trueness.search.loading import load_search, named
    from trueness.search.pruning import make_pruner
    from trueness.search.studies import open_storage, open_study
    from trueness.search.trainer import Objective, Trainer
    from trueness.search.trials import search_trials
    from trueness.store import Store

    _check_counts(
        precision, sampler_seed, trials=trials, seeds=seeds, batch=batch, flat_after=flat_after,
        epochs=epochs,
    )  # fmt: skip
    goal, opened_store = Objective(objective, precision), Store(store)
    held = None if pin is None else opened_store.run(pin).spec
    search = load_search(
        space, budget=budget, tier=tier, horizon_days=_days(horizon), protocol=protocol,
        recipe=recipe, epochs=epochs, data=data, vix=vix, pin=held, vary=vary or [],
    )  # fmt: skip
    search = search if name is None else named(search, name)
    where = choose_device(device)
    for shape in search.shapes.values():
        refuse_on_cpu(shape, where.name)
    size = _processes(where.name, workers)
    pruner = make_pruner(prune, search, objective=goal.names, seeds=seeds)
    with progress() as shown, Pool(size) as pool:
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
        shown.note(_beginning(search, study, trials))
        outcome = search_trials(
            search, study, trainer, trials=trials, seeds=seeds, duplicates=duplicates,
            batch=batch or (max(1, size) if where.name == "cpu" else GPU_BATCH),
            flat_after=flat_after,
        )  # fmt: skip
    report = _report(search, study, trainer, outcome, opened_store)
    print_json(report) if as_json else _show(report, outcome, store, storage)
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


def _processes(device: str, workers: int | None) -> int:
    """Processes for training; on an accelerator it happens in this one."""
    import os

    if device != "cpu":
        return 0
    if workers is not None and workers < 0:
        raise TruenessError(f"--workers {workers}: give 0 to stay in this process, or more")
    cores = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    return len(cores) if workers is None else workers


def _beginning(search: Search, study: Opened, trials: int) -> str:
    done = len(study.counted())
    there = f", {done} of them there already" if done else ""
    sizes = [shape.parameters for shape in search.shapes.values()]
    size = (
        f"; {len(sizes)} widths and depths with {min(sizes):,} to {max(sizes):,} parameters"
        if sizes else ""
    )  # fmt: skip
    return f"study {search.name}: {trials} trials{there}{size}"


def _report(
    search: Search, study: Opened, trainer: Trainer, outcome: Outcome, store: Store
) -> dict[str, Any]:
    """What a search came to, for a table or JSON."""
    done = study.completed()
    sizes = [t.user_attrs["run"]["parameters"] for t in done]
    best = [_best_row(trial, store) for trial in study.best()[:MOST_BEST]]
    return {
        "study": search.name, **vars(outcome), "reused": trainer.reused,
        "trials": len(done), "distinct": len({t.user_attrs["key"] for t in done}),
        "parameters": [min(sizes), max(sizes)] if sizes else None,
        "objective": study.study.user_attrs["made"]["objective"], "best": best,
    }  # fmt: skip


def _best_row(trial: Any, store: Store) -> dict[str, Any]:  # noqa: ANN401 - Optuna's own
    from trueness.search.trainer import alarm_estimate

    facts = trial.user_attrs["run"]
    run = store.run(facts["keys"][0])
    wanted = ("auc", alarm_estimate(run), alarm_estimate(run, "recall"))
    return {
        "trial": trial.number, "key": run.key, "label": facts["label"],
        "parameters": facts["parameters"], "values": trial.values,
        "forced": trial.user_attrs.get("forced"), "params": trial.params,
        "estimates": {name: run.record["estimates"][name] for name in wanted},
    }  # fmt: skip


def _show(report: dict[str, Any], outcome: Outcome, store: Path, storage: str | None) -> None:
    from trueness.evaluation import Estimate
    from trueness.report.tables import number_text, share_text
    from trueness.search.studies import shown_url

    def say(text: str) -> None:
        console().print(text, highlight=False, soft_wrap=True)

    sizes = report["parameters"]
    say(
        f"{report['trials']} trials with {report['distinct']} distinct specs"
        + (f", {sizes[0]:,} to {sizes[1]:,} parameters" if sizes else "")
        + f"; now {outcome.done} done, {outcome.failed} failed, {outcome.pruned} pruned, "
        f"{outcome.saved} repeats saved, {outcome.invalid} invalid suggestions replaced, "
        f"{report['reused']} found in the store"
    )
    for row in report["best"]:
        estimates = {n: Estimate.from_dict(e) for n, e in row["estimates"].items()}
        auc, *shares = estimates
        words = [f"{n.replace('_', ' ')} {share_text(estimates[n])}" for n in shares]
        say(
            f"best of {report['trials']}: trial {row['trial']} {row['label']} ({row['key']}), "
            f"{row['parameters']:,} parameters: AUC {number_text(estimates[auc])}, "
            + ", ".join(words)
        )
    if report["best"]:
        say("The best of many looks better than it is: promote it and measure it with new seeds.")
    if outcome.exhausted:
        say("the space is exhausted: nothing in it is left untested")
    if outcome.flat:
        say("stopped early: the last trials did not beat the best by its standard error")
    given = f" --store {store}" if store != DEFAULT_STORE else ""
    given += f" --storage {shown_url(storage)}" if storage else ""
    say(f"trueness search analyze {report['study']}{given}")


def _status(outcome: Outcome) -> int:
    if outcome.interrupted:
        console(err=True).print("interrupted; call again to go on", style="yellow")
        return EXIT_INTERRUPTED
    return 1 if outcome.failed and not outcome.done else 0
