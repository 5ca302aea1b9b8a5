"""Verbs about runs: run, list, leaderboard, show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from trueness.cli.options import (
    DEFAULT_STORE,
    ROWS_SHOWN,
    By,
    Data,
    Ids,
    Json,
    Priorities,
    Protocol,
    Recipe,
    Seeds,
    Store_,
    Tiers,
    Vix,
    Whole,
    check_output,
    console,
    print_json,
    print_rows,
    progress,
)
from trueness.cli.stored import campaign_name_of, find_run, open_store
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.campaign import Campaign
    from trueness.store import Store

EXIT_INTERRUPTED = 130
MANY = 100
"""Experiments above which a run asks for --all."""


def run(
    campaign: str,
    /,
    *,
    ids: Ids = None,
    priorities: Priorities = None,
    tiers: Tiers = None,
    everything: Annotated[bool, Parameter(name="--all", negative=())] = False,
    seeds: Seeds = None,
    protocol: Protocol = None,
    recipe: Recipe = None,
    data: Data = None,
    vix: Vix = None,
    store: Store_ = DEFAULT_STORE,
    device: str = "auto",
    workers: Whole | None = None,
    retry: Annotated[bool, Parameter(negative=())] = False,
    max_hours: float | None = None,
    watch: Annotated[bool, Parameter(negative=())] = False,
    report: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    as_json: Json = False,
) -> int:
    """Train what is missing of a campaign, baselines first, and print the leaderboard.

    Runs that are stored already are not trained again, so an interrupted call goes on where it
    stopped.

    Example: trueness run demo --report report.html

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
    max_hours
        Begin nothing new after so many hours, and give up what is not finished by then.
    watch
        A live picture in place of a bar: what runs, what is done, the best so far.
    report
        Also write an HTML page to this file.
    dry_run
        Print parameters, split sizes with positives and estimated work; train and write nothing.
    """
    from trueness.report import leaderboard, write_page
    from trueness.report.tables import show_leaderboard
    from trueness.run import run as run_campaign

    chosen, opened = (
        _campaign(campaign, ids, priorities, tiers, seeds, protocol, recipe, data, vix),
        open_store(store),
    )
    if dry_run:
        return _dry_run(chosen, opened, device, workers, as_json)
    check_output(report)
    _ask_for_all(chosen, everything or bool(ids or priorities or tiers))
    out = console()
    for key, twins in chosen.twins().items():
        console(err=True).print(f"{' = '.join(twins)}: one run, {key}", highlight=False)
    with progress(watch) as shown:
        summary = run_campaign(
            chosen, opened, device=device, workers=workers, retry=retry, max_hours=max_hours,
            listener=shown,
        )  # fmt: skip
    keys = {e.spec.key for e in chosen.entries}
    board = leaderboard(opened, chosen.name, keys=keys, look=("run", ""))
    if as_json:
        print_json({"campaign": chosen.name, **vars(summary), **board.to_dict()})
    else:
        for note in summary.notes:
            out.print(f"note: {note}", highlight=False)
        left = f", {len(summary.missing)} not yet" if summary.missing else ""
        out.print(
            f"{len(summary.trained)} trained, {len(summary.reused)} there already, "
            f"{len(summary.failed)} failed{left}\n"
        )
        show_leaderboard(out, board, ROWS_SHOWN)
    if report is not None and board.arenas:
        write_page(board, report, chosen.title)
        console(err=True).print(f"report: {report}", highlight=False)
    if summary.interrupted:
        console(err=True).print("interrupted; call again to go on", style="yellow")
        return EXIT_INTERRUPTED
    if summary.out_of_time:
        console(err=True).print("the hours are over; call again to go on", style="yellow")
    return 1 if summary.failed else 0


def _ask_for_all(campaign: Campaign, asked: bool) -> None:
    """Refuse to start days of work by mistake."""
    count = len(campaign.experiments)
    if count > MANY and not asked:
        raise TruenessError(
            f"{campaign.name} has {count} experiments; choose with --priority, --tier or --id, "
            "or give --all (--dry-run tells the work)"
        )


def list_(
    campaign: str | None = None,
    /,
    *,
    ids: Ids = None,
    priorities: Priorities = None,
    tiers: Tiers = None,
    protocol: Protocol = None,
    recipe: Recipe = None,
    data: Data = None,
    vix: Vix = None,
    as_json: Json = False,
) -> int:
    """List the bundled campaigns, or the experiments of one with key, priority and weights.

    Example: trueness list demo

    Parameters
    ----------
    campaign
        A bundled campaign or a YAML file; without it, the campaigns are listed.
    """
    if campaign is None:
        return _list_campaigns(as_json)
    from trueness.market import feature_names
    from trueness.models import parameter_count
    from trueness.spec import PatchTST

    chosen = _campaign(campaign, ids, priorities, tiers, 1, protocol, recipe, data, vix)
    rows: list[dict[str, Any]] = []
    for entry in chosen.experiments:
        spec = entry.spec
        columns = len(feature_names(spec.task, chosen.bars, chosen.volatility))
        weights = 0
        if isinstance(spec.model, PatchTST):
            weights = parameter_count(spec.model, columns, spec.task.context_days)
        rows.append(
            {
                "id": entry.id,
                "priority": entry.priority,
                "key": spec.key,
                "label": spec.label(),
                "parameters": weights,
            }
        )
    if as_json:
        for row, entry in zip(rows, chosen.experiments, strict=True):
            row["spec"] = entry.spec.model_dump(mode="json")
        print_json(rows)
    else:
        print_rows(rows)
        for key, twins in chosen.twins().items():
            console().print(f"{' = '.join(twins)}: one run, {key}", highlight=False)
    return 0


def leaderboard_(
    campaign: str | None = None,
    /,
    *,
    name: Annotated[str | None, Parameter(name="--campaign")] = None,
    by: By = None,
    each: Annotated[bool, Parameter(negative=())] = False,
    sort: str | None = None,
    limit: Whole = ROWS_SHOWN,
    store: Store_ = DEFAULT_STORE,
    report: Path | None = None,
    as_json: Json = False,
) -> int:
    """Print the stored runs, comparable ones together, sorted by the lower end of a precision.

    With --by, compare the variants of one axis with a reference, everything else equal.

    Example: trueness leaderboard demo --sort precision@15

    Example: trueness leaderboard demo --by embedding

    Parameters
    ----------
    campaign
        Only the runs of this campaign; all runs without it.
    name
        The same, as an option.
    by
        Axis whose variants are compared: loss with bce, embedding with none (and with linear of the
        same width), tier with the smallest, depth, width, heads and dropout with the mission's.
    each
        With --by: a row per experiment instead of the mean over those of a variant.
    sort
        Estimate whose lower end sorts, such as precision@15, precision@0.5 or auc.
    limit
        Networks shown per table; JSON and pages show all.
    report
        Also write an HTML page to this file.
    """
    from trueness.judge.leaderboard import leaderboard
    from trueness.report.tables import show_leaderboard

    check_output(report)
    if limit < 1:
        raise TruenessError(f"--limit {limit}: at least 1 row is needed")
    if None not in (campaign, name) and campaign != name:
        raise TruenessError(f"two campaigns, {campaign} and {name}; give one")
    campaign = campaign or name
    if campaign is not None and campaign.endswith((".yaml", ".yml")):
        campaign = campaign_name_of(campaign)
    if by is not None or each:
        return _by_axis(campaign, by, each, sort, limit, store, report, as_json)
    board = leaderboard(open_store(store), campaign, sort, look=("leaderboard", ""))
    if as_json:
        print_json(board.to_dict())
    else:
        show_leaderboard(console(), board, limit)
    if report is not None and board.arenas:
        from trueness.report.page import write_page

        write_page(board, report, campaign or "trueness")
        console(err=True).print(f"report: {report}", highlight=False)
    return 0


def show(run: str, /, *, store: Store_ = DEFAULT_STORE, as_json: Json = False) -> int:
    """Show one stored run: data, splits, every estimate with its interval, checks.

    Example: trueness show D-01

    Parameters
    ----------
    run
        A key, the beginning of one, or the id of an experiment.
    """
    from trueness.judge.leaderboard import leaderboard
    from trueness.report.tables import show_run

    opened = open_store(store)
    found, ids = find_run(opened, run)
    board = leaderboard(opened, keys={found.key}, look=("show", ""))
    (row,) = board.arenas[0].rows
    if as_json:
        looks = {"looks": board.to_dict()["looks"]}
        record = {**found.record, **row.to_dict(), "ids": ids, **looks}
        print_json({**record, "spec": found.spec.model_dump(mode="json")})
    else:
        show_run(console(), row, ids)
        console().print(str(board.arenas[0].looks), highlight=False, soft_wrap=True)
    return 0


def _by_axis(
    campaign: str | None, by: str | None, each: bool, sort: str | None, limit: int, store: Path,
    report: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Tables of `leaderboard --by`."""
    from trueness.judge.contrasts import contrasts
    from trueness.report.tables import show_contrasts

    if by is None:
        raise TruenessError("--each needs --by, which says what is compared")
    if sort is not None or report is not None:
        given = "--sort" if sort is not None else "--report"
        raise TruenessError(f"{given} belongs to the whole leaderboard; leave it or --by out")
    found = contrasts(open_store(store), campaign, by, each=each, look=("leaderboard", f"by {by}"))
    if as_json:
        print_json(found.to_dict())
    else:
        show_contrasts(console(), found, limit)
    return 0


def _campaign(
    name: str, ids: list[str] | None, priorities: list[str] | None, tiers: list[str] | None,
    seeds: int | None, protocol: str | None, recipe: str | None, data: str | None, vix: str | None,
) -> Campaign:  # fmt: skip
    from trueness.campaign import load_campaign

    campaign = load_campaign(
        name, data=data, vix=vix, protocol=protocol, recipe=recipe, seeds=seeds
    )
    if ids or priorities or tiers:
        return campaign.select(ids or [], priorities or [], tiers or [])
    return campaign


def _list_campaigns(as_json: bool) -> int:
    from trueness.campaign import bundled_campaigns

    rows = bundled_campaigns()
    if as_json:
        print_json(rows)
    else:
        print_rows(rows)
    return 0


def _dry_run(
    campaign: Campaign, store: Store, device: str, workers: int | None, as_json: bool
) -> int:
    from trueness.fit import choose_device
    from trueness.plan import plan, resolution, size_text
    from trueness.report.tables import show_plan
    from trueness.run import pool_size

    todo, where = plan(campaign, store), choose_device(device)
    size = todo.size(where, pool_size(workers, todo) if where.name == "cpu" else 1)
    resolves = resolution(campaign, todo)
    for line in (line for one in resolves for line in one["lines"]):
        console(err=True).print(line, highlight=False, soft_wrap=True)
    if as_json:
        plain = {"experiments": todo.rows, "size": size, "notes": todo.notes}
        print_json({**plain, "resolves": resolves})
    else:
        show_plan(console(), todo.rows, todo.notes, size_text(size))
    return 0
