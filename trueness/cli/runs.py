"""Verbs about runs: run, list, show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from trueness import interrupts
from trueness.cli.campaigns import ALL, Experiments
from trueness.cli.options import DEFAULT_STORE, On, OpenTest, Store_, StrictInt, progress
from trueness.cli.output import DEFAULT, Output, check, console, note, present
from trueness.errors import TruenessError

if TYPE_CHECKING:
    import polars as pl

    from trueness.campaign import Campaign
    from trueness.document import Document
    from trueness.execute import AnyPool
    from trueness.judge.leaderboard import Leaderboard
    from trueness.store import Store

MANY = 100
"""Experiments above which a run asks for --all."""


def run(
    campaign: str,
    /,
    *,
    experiments: Experiments = ALL,
    everything: Annotated[bool, Parameter(name="--all", negative=())] = False,
    store: Store_ = DEFAULT_STORE,
    device: str = "auto",
    workers: StrictInt | None = None,
    on: On = None,
    retry: Annotated[bool, Parameter(negative=())] = False,
    update: Annotated[bool, Parameter(negative=())] = False,
    max_hours: float | None = None,
    tokenizer: Path | None = None,
    compiled: Annotated[bool, Parameter(name="--compile", negative=())] = False,
    restart: Annotated[bool, Parameter(negative=())] = False,
    open_test: OpenTest = False,
    watch: Annotated[bool, Parameter(negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    output: Output = DEFAULT,
) -> int:
    """Train what is missing of a campaign, baselines first, and print the leaderboard.

    Runs that are stored already are not trained again: after an interruption, the same command
    resumes, encoders from their checkpoints. With chosen experiments come those that they begin
    with.

    Example: trueness run demo --report report.html

    Example: trueness run demo --data longer.csv --update

    Example: trueness run demo --set recipe.learning_rate=3e-4 --epochs 5

    Example: trueness run demo --on ray://192.0.2.10:10001

    Parameters
    ----------
    campaign
        A bundled campaign (trueness list) or a YAML file.
    everything
        Really all experiments, if there are more than a hundred.
    device
        auto, cpu, cuda or mps.
    workers
        Processes on a CPU, one thread each; all cores by default.
    retry
        Try runs again that failed before.
    update
        Continue stored runs whose bars ended earlier: new days are scored with their weights.
    max_hours
        Begin nothing new after so many hours, and give up what is not finished by then.
    tokenizer
        File of the tokenizer, where specs on titles name one.
    compiled
        Compile encoders of titles.
    restart
        Begin unfinished encoders anew, whatever checkpoints there are.
    watch
        A live picture in place of a bar: what runs, what is done, the best so far.
    dry_run
        Print parameters, split sizes with positives and estimated work; train and write nothing.
    """
    from trueness.engines import EncoderOptions
    from trueness.execute import pool_on
    from trueness.store import Store

    check(output)
    opened = Store(store)
    chosen = experiments.campaign(campaign, store=opened, update=update)
    _check_files(chosen, output)
    if open_test:
        _check_open_test(chosen)
    if dry_run:
        with pool_on(on, workers) as pool:
            return _dry_run(chosen, opened, device, workers, pool, update, output)
    _ask_for_all(chosen, everything or experiments.chosen)
    _tell_duplicates(chosen)
    encoders = EncoderOptions(compiled, tokenizer, restart)
    with pool_on(on, workers) as pool:
        return carried_out(
            chosen, opened, output, open_test, watch, device=device, workers=workers, retry=retry,
            max_hours=max_hours, encoders=encoders, update=update, pool=pool,
        )  # fmt: skip


def carried_out(
    campaign: Campaign,
    store: Store,
    output: Output,
    open_test: bool = False,
    watch: bool = False,
    then: Callable[[], None] | None = None,
    **how: Any,  # noqa: ANN401 - options of the runner
) -> int:
    """Train what is missing, and print what it came to; 1 if a run failed, 130 after Ctrl-C.

    `then` is called when all of it is stored.
    """
    from trueness.judge.leaderboard import leaderboard
    from trueness.runner import run as run_campaign

    with progress(watch) as shown:
        summary = run_campaign(campaign, store, callback=shown, **how)
    if not summary.speaks:
        return interrupts.status() if summary.interrupted else 0
    if then is not None and not (summary.failed or summary.missing):
        then()
    keys = {e.spec.key for e in campaign.entries}
    board = leaderboard(
        store, campaign.name, keys=keys, access=("run", ""), part="test" if open_test else None,
        opened=open_test,
    )  # fmt: skip
    for text in summary.notes:
        note(text)
    pending = f", {len(summary.missing)} pending" if summary.missing else ""
    console(err=True).print(
        f"{len(summary.trained)} trained, {len(summary.reused)} reused, {len(summary.failed)} "
        f"failed{pending}\n", highlight=False,
    )  # fmt: skip
    present(_Finished(campaign.name, vars(summary), board), output)
    if summary.interrupted:
        note("Interrupted. Run the same command to resume.")
        return interrupts.status()
    if summary.out_of_time:
        note("The hours are over. Run the same command to resume.")
    return 1 if summary.failed else 0


@dataclass(frozen=True)
class _Finished:
    """The leaderboard of a campaign, and in its JSON what became of each run."""

    campaign: str
    summary: dict[str, Any]
    board: Leaderboard

    def to_dict(self) -> dict[str, Any]:
        return {"campaign": self.campaign, **self.summary, **self.board.to_dict()}

    def to_frame(self) -> pl.DataFrame:
        return self.board.to_frame()

    def document(self) -> Document:
        return self.board.document()


def _tell_duplicates(campaign: Campaign) -> None:
    for key, names in campaign.duplicate_specs().items():
        console(err=True).print(f"{' = '.join(names)}: one run, {key}", highlight=False)


def _check_files(campaign: Campaign, output: Output) -> None:
    """Refuse to write over the data."""
    named = campaign.data.origin()["source"] or []
    sources = [Path(one) for one in ([named] if isinstance(named, str) else named)]
    for name, path in output.files().items():
        if any(one.is_file() and path.exists() and path.samefile(one) for one in sources):
            message = f"--{name} {path}: these are the data of the campaign; give another file"
            raise TruenessError(message, "output_path")


def _check_open_test(campaign: Campaign) -> None:
    """Refuse before anything trains what the leaderboard could not show after it."""
    rule = campaign.entries[0].spec.estimands
    if rule.kind == "binary" or "test" not in rule.sealed:
        raise TruenessError(
            "--open-test of a run shows the test part of K classes; `trueness thresholds RUN --on "
            "test --open-test` shows that of a binary label", "no_part",
        )  # fmt: skip


def _ask_for_all(campaign: Campaign, asked: bool) -> None:
    """Refuse to start days of work by mistake."""
    count = len(campaign.experiments)
    if count > MANY and not asked:
        raise TruenessError(
            f"{campaign.name} has {count} experiments; choose with --priority, --tier or --id, "
            "or give --all (--dry-run tells the work)"
        )


def list_(
    campaign: str | None = None, /, *, experiments: Experiments = ALL, output: Output = DEFAULT
) -> int:
    """List the bundled campaigns, or the experiments of one with key, priority and weights.

    Example: trueness list demo

    Parameters
    ----------
    campaign
        A bundled campaign or a YAML file; without it, the campaigns are listed.
    """
    from trueness.campaign import bundled_campaigns
    from trueness.judge.listing import Listing

    check(output)
    if campaign is None:
        rows = bundled_campaigns()
        present(Listing("Bundled campaigns", rows), output)
        return 0
    chosen = replace(experiments, seeds=experiments.seeds or 1).campaign(campaign, needed=False)
    present(Listing(chosen.title, _experiments(chosen)), output)
    if not output.as_json:
        _tell_duplicates(chosen)
    return 0


def _experiments(campaign: Campaign) -> list[dict[str, Any]]:
    """Id, key, label and weights of every experiment."""
    from trueness.judge.settings import full_labels
    from trueness.models import parameter_count
    from trueness.tasks import task_of

    rows: list[dict[str, Any]] = []
    labels = full_labels([entry.spec for entry in campaign.experiments])
    for entry, label in zip(campaign.experiments, labels, strict=True):
        spec = entry.spec
        shape = task_of(campaign.kind).shape(spec, campaign.data)
        weights = (
            {}
            if shape is None
            else {"parameters": parameter_count(spec.model, *shape, campaign.folder)}
        )
        rows.append({
            "id": entry.id, "priority": entry.priority,
            "key": None if campaign.data.digest == "unknown" else spec.key, "label": label,
            **weights,
            "spec": spec.model_dump(mode="json"),
        })  # fmt: skip
    return rows


def show(
    run: str, /, *, open_test: OpenTest = False, store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:  # fmt: skip
    """Show one stored run: data, splits, every estimate with its interval, checks.

    Example: trueness show D-01

    Parameters
    ----------
    run
        A key, the beginning of one, or the id of an experiment.
    """
    from trueness.judge.show import show as show_run
    from trueness.store import Store

    check(output)
    part = "test" if open_test else None
    present(show_run(Store(store), run, part=part, opened=open_test, access=("show", "")), output)
    return 0


def _dry_run(
    campaign: Campaign, store: Store, device: str, workers: int | None, pool: AnyPool | None,
    update: bool, output: Output,
) -> int:  # fmt: skip
    from trueness.engines import Setting
    from trueness.execute import pool_size
    from trueness.fit import choose_device
    from trueness.plan import plan, planned
    from trueness.plan.continuing import continued, predecessors

    where = choose_device(device) if pool is None else pool.device(device)
    todo = plan(campaign, store)
    setting = Setting(where, store.root, folder=campaign.folder)
    todo.check(setting)
    if todo.specs:
        result = predecessors(campaign, store, todo.specs)
        message = [continued(result, todo)[1], *result.refusals] if update else [result.offer]
        for text in filter(None, message):
            note(text)
    if pool is not None:
        pool.check(lambda: todo.jobs(todo.specs, setting))
        size = min(pool.size, len(todo.specs))
    else:
        size = pool_size(workers, len(todo.specs)) if where.name == "cpu" else 1
    present(planned(campaign, todo, setting, size), output)
    return 0
