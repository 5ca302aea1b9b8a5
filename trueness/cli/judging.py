"""Verbs about where a campaign stands: status, tracker, compare-published."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from trueness.cli.options import (
    DEFAULT_STORE,
    Data,
    Priorities,
    Protocol,
    Recipe,
    Seeds,
    Store_,
    Vix,
)
from trueness.cli.output import DEFAULT, Output, check, present
from trueness.cli.runs import MANY
from trueness.cli.suggestions import command

if TYPE_CHECKING:
    from trueness.campaign import Campaign


def compare_published(
    file: Path,
    /,
    *,
    campaign: str = "precision",
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Set published results beside the stored runs of the same ids, with intervals.

    The best published precision stands beside the maximum that equally good models would show.

    Example: trueness compare-published results.csv --campaign precision

    Parameters
    ----------
    file
        CSV file with exp_id and any of precision, recall, auc, tp, fp, fn, n_pred_pos,
        precision_ci95_low, precision_ci95_high.
    campaign
        Whose ids are meant; all stored seeds of an id count.
    """
    from trueness.judge.published import compare_published as compared
    from trueness.judge.published import read_published
    from trueness.store import Store

    check(output)
    rows, opened = read_published(file), Store(store)
    access = ("compare-published", file.name)
    present(compared(rows, opened, campaign, file.name, access=access), output)
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
    output: Output = DEFAULT,
) -> int:
    """Say what a campaign is doing: counts per priority, what runs now, the best so far.

    Example: trueness status demo

    Parameters
    ----------
    campaign
        A bundled campaign (trueness list) or a YAML file.
    """
    from trueness.judge.status import status as stands
    from trueness.store import Store

    check(output)
    chosen, run = _declared(campaign, seeds, protocol, recipe, data, vix)
    if priorities:
        chosen = chosen.select([], priorities, [])
        run += "".join(f" --priority {shlex.quote(p)}" for p in priorities)
    elif len(chosen.experiments) > MANY:
        run += " --all"
    access = ("status", "")
    present(stands(chosen.name, chosen.experiments, Store(store), run, access=access), output)
    return 0


def tracker(
    campaign: str,
    /,
    *,
    seeds: Seeds = None,
    protocol: Protocol = None,
    recipe: Recipe = None,
    data: Data = None,
    vix: Vix = None,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Say where a campaign stands: counts, best results, what holds, what is left.

    Example: trueness tracker demo --markdown tracker.md

    Parameters
    ----------
    campaign
        A bundled campaign (trueness list) or a YAML file.
    """
    from trueness.judge.tracker import tracker as stands
    from trueness.store import Store

    check(output)
    chosen, run = _declared(campaign, seeds, protocol, recipe, data, vix)
    found = stands(
        chosen.name, chosen.title, f"{chosen.bars.name} to {chosen.bars.dates[-1]}",
        chosen.experiments, chosen.baselines, Store(store), run, access=("tracker", ""),
    )  # fmt: skip
    present(found, output)
    return 0


def _declared(
    campaign: str, seeds: int | None, protocol: str | None, recipe: str | None,
    data: str | None, vix: str | None,
) -> tuple[Campaign, str]:  # fmt: skip
    """The campaign, and the command that carries it out."""
    from trueness.campaign import load_campaign

    chosen = load_campaign(
        campaign, data=data, vix=vix, protocol=protocol, recipe=recipe, seeds=seeds
    )
    options = {"--protocol": protocol, "--recipe": recipe}
    options |= {"--seeds": None if seeds is None else str(seeds)}
    given = [word for name, value in options.items() if value for word in (name, value)]
    return chosen, command("run", campaign, *given)
