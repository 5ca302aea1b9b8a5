"""Verbs about where a campaign stands: status, tracker, replay."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from trueness.cli.options import (
    DEFAULT_STORE,
    ROWS_SHOWN,
    Data,
    Json,
    Priorities,
    Protocol,
    Recipe,
    Seeds,
    Store_,
    Vix,
    Whole,
    check_output,
    console,
    print_json,
)
from trueness.cli.runs import MANY
from trueness.cli.stored import open_store
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.campaign import Campaign


def replay(
    file: Path,
    /,
    *,
    campaign: str = "precision",
    limit: Whole = ROWS_SHOWN,
    store: Store_ = DEFAULT_STORE,
    report: Path | None = None,
    as_json: Json = False,
) -> int:
    """Set published results beside the stored runs of the same ids, with intervals and luck.

    Example: trueness replay results.csv --campaign precision

    Parameters
    ----------
    file
        CSV file with exp_id and any of precision, recall, auc, tp, fp, fn, n_pred_pos,
        precision_ci95_low, precision_ci95_high.
    campaign
        Whose ids are meant; all stored seeds of an id count.
    limit
        Experiments shown; JSON and pages show all.
    report
        Also write an HTML page to this file.
    """
    from trueness.judge.access import look_at
    from trueness.judge.published import read_published
    from trueness.judge.published import replay as compare
    from trueness.report.replay_page import show_replay, write_replay_page

    check_output(report)
    if limit < 1:
        raise TruenessError(f"--limit {limit}: at least 1 row is needed")
    opened = open_store(store)
    found = compare(read_published(file), opened, campaign, file.name)
    if unwritten := look_at(opened, [run for row in found.rows for run in row.runs], "replay"):
        console(err=True).print(f"note: {unwritten}", style="yellow", highlight=False)
    if as_json:
        print_json(found.to_dict())
    else:
        show_replay(console(), found, limit)
    if report is not None:
        write_replay_page(found, report)
        console(err=True).print(f"report: {report}", highlight=False)
    return 0


def status(
    campaign: str,
    /,
    *,
    priorities: Priorities = None,
    seeds: Seeds = None,
    protocol: Protocol = None,
    recipe: Recipe = None,
    data: Data = None,
    vix: Vix = None,
    store: Store_ = DEFAULT_STORE,
    as_json: Json = False,
) -> int:
    """Say what a campaign is doing: counts per priority, what runs now, the best so far.

    Example: trueness status demo

    Parameters
    ----------
    campaign
        A bundled campaign (trueness list) or a YAML file.
    """
    from trueness.judge.status import show_status
    from trueness.judge.status import status as look

    chosen, command = _declared(campaign, seeds, protocol, recipe, data, vix, store)
    if priorities:
        chosen = chosen.select([], priorities, [])
        command += "".join(f" --priority {shlex.quote(p)}" for p in priorities)
    elif len(chosen.experiments) > MANY:
        command += " --all"
    found = look(chosen.name, chosen.experiments, open_store(store))
    if as_json:
        print_json(found.to_dict())
    else:
        show_status(console(), found, command)
    return 0


def tracker(
    campaign: str,
    /,
    *,
    output: Path | None = None,
    seeds: Seeds = None,
    protocol: Protocol = None,
    recipe: Recipe = None,
    data: Data = None,
    vix: Vix = None,
    store: Store_ = DEFAULT_STORE,
    as_json: Json = False,
) -> int:
    """Write where a campaign stands as Markdown: counts, best results, findings, what is left.

    Example: trueness tracker demo --output tracker.md

    Parameters
    ----------
    campaign
        A bundled campaign (trueness list) or a YAML file.
    output
        Markdown file; printed without it.
    """
    import sys

    from trueness.judge.tracker import tracker as track
    from trueness.judge.tracker import tracker_page

    check_output(output)
    chosen, command = _declared(campaign, seeds, protocol, recipe, data, vix, store)
    found = track(
        chosen.name, chosen.title, f"{chosen.bars.name} to {chosen.bars.dates[-1]}",
        chosen.experiments, chosen.baselines, open_store(store), command, ("tracker", ""),
    )  # fmt: skip
    page = tracker_page(found)
    if output is not None:
        output.write_text(page, encoding="utf-8")
        console(err=True).print(f"tracker: {output}", highlight=False)
    if as_json:
        print_json(found.to_dict())
    elif output is None:
        sys.stdout.write(page)
    return 0


def _declared(
    campaign: str, seeds: int | None, protocol: str | None, recipe: str | None,
    data: str | None, vix: str | None, store: Path,
) -> tuple[Campaign, str]:  # fmt: skip
    """The campaign, and the command that carries it out."""
    from trueness.campaign import load_campaign

    chosen = load_campaign(
        campaign, data=data, vix=vix, protocol=protocol, recipe=recipe, seeds=seeds
    )
    options = {"--data": data, "--vix": vix, "--protocol": protocol, "--recipe": recipe}
    options |= {"--seeds": None if seeds is None else str(seeds)}
    options |= {"--store": None if store == DEFAULT_STORE else str(store)}
    given = [word for name, value in options.items() if value for word in (name, value)]
    return chosen, shlex.join(["trueness", "run", campaign, *given])
