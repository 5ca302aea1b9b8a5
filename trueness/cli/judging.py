"""Verbs about where a campaign stands: status, tracker, compare-published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trueness.cli.campaigns import ALL, Experiments
from trueness.cli.options import DEFAULT_STORE, Separator, Store_
from trueness.cli.output import DEFAULT, Output, check, present
from trueness.cli.runs import MANY
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.store import Store


def compare_published(
    file: Path,
    /,
    *,
    campaign: str = "precision",
    separator: Separator = None,
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
    rows, opened = read_published(file, separator), Store(store)
    access = ("compare-published", file.name)
    present(compared(rows, opened, campaign, file.name, access=access), output)
    return 0


def status(
    campaign: str | None = None, /, *, run: str | None = None, experiments: Experiments = ALL,
    store: Store_ = DEFAULT_STORE, output: Output = DEFAULT,
) -> int:  # fmt: skip
    """Say what a campaign is doing: counts per priority, what runs now, the best so far.

    Without a campaign it is about the store: what runs now, recent runs, problems, the ledger.

    Example: trueness status demo

    Parameters
    ----------
    campaign
        A bundled campaign (trueness list) or a YAML file.
    run
        In its place, one run, by id or key: who trains it, its losses so far.
    """
    from trueness.judge.status import status as stands
    from trueness.store import Store

    check(output)
    opened = Store(store)
    if campaign is None or run is not None:
        if campaign is not None or replace(experiments, data=None, vix=None) != ALL:
            raise TruenessError("--run, and the status of a store, take no campaign and none of "
                                "its experiments", "which_runs")  # fmt: skip
        return _of_store(opened, run, output)
    chosen, run = experiments.campaign(campaign, store=opened), experiments.command(campaign)
    if not experiments.chosen and len(chosen.experiments) > MANY:
        run += " --all"
    access = ("status", "")
    present(stands(chosen.name, chosen.experiments, opened, run, access=access), output)
    return 0


def _of_store(store: Store, wanted: str | None, output: Output) -> int:
    from trueness.judge.store_status import key_of, status_of_run, status_of_store

    result = status_of_store(store)
    if wanted is None:
        present(result, output)
    else:
        present(status_of_run(result, key_of(store, wanted)), output)
    return 0


def tracker(
    campaign: str, /, *, experiments: Experiments = ALL, store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:  # fmt: skip
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
    opened = Store(store)
    chosen = experiments.campaign(campaign, store=opened)
    result = stands(
        chosen.name, chosen.title, chosen.data.in_words(), chosen.experiments, chosen.baselines,
        opened, experiments.command(campaign), access=("tracker", ""),
    )  # fmt: skip
    present(result, output)
    return 0
