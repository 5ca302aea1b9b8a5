"""Verbs about what is kept of runs: runs list, delete, tag, note; unlock."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from trueness.cli.options import DEFAULT_STORE, Store_, StrictInt
from trueness.cli.output import DEFAULT, Output, check, confirm, console, present
from trueness.errors import TruenessError

runs_app = App(
    name="runs", help="List, delete, tag, annotate stored runs.", help_format="plaintext"
)
Remove = Annotated[bool, Parameter(negative=())]


@runs_app.command(name="list")
def list_(
    campaign: str | None = None,
    /,
    *,
    n: Annotated[StrictInt, Parameter(name="-n")] = 20,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """List the best stored runs by the interval that each has by itself; compares nothing.

    It opens no run, so that it lists 100,000 in seconds; trueness leaderboard judges them.

    Example: trueness runs list demo -n 5

    Parameters
    ----------
    campaign
        Only the runs of this campaign; all runs without it.
    n
        Candidates, and baselines, of each comparison group.
    """
    from trueness.judge.ranking import ranking
    from trueness.store import Store

    check(output)
    present(ranking(Store(store), campaign, n=n, verb="runs list"), output)
    return 0


@runs_app.command
def delete(
    *runs: str,
    yes: Annotated[bool, Parameter(negative=())] = False,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Delete stored runs, and those that start from one of them; says first which they are.

    The ledger keeps every evaluation of them. A terminal is asked; elsewhere --yes is needed.

    Example: trueness runs delete D-04 --yes

    Parameters
    ----------
    runs
        Keys, beginnings of keys, or ids of experiments.
    yes
        Delete them without asking.
    """
    from trueness.judge.keeping import delete as delete_planned
    from trueness.judge.keeping import plan_deletion
    from trueness.store import Store

    check(output)
    opened = Store(store)
    plan = plan_deletion(opened, runs)
    if not yes:
        present(plan, output)
        what = "it" if len(plan.runs) == 1 else f"all {len(plan.runs)}"
        confirm(f"Delete {what}?", "nothing was deleted", f"give --yes to delete {what}")
    done = delete_planned(opened, plan)
    if yes:
        present(done, output)
    else:
        console(err=True).print("deleted")
    return 0


@runs_app.command
def tag(
    run: str,
    /,
    *words: str,
    remove: Remove = False,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Tag a stored run; the leaderboard and the page of the run show its tags.

    Example: trueness runs tag D-01 keep paper

    Example: trueness runs tag D-01 paper --remove

    Parameters
    ----------
    run
        A key, the beginning of one, or the id of an experiment.
    words
        Tags: words without spaces and commas.
    remove
        Remove these tags instead.
    """
    from trueness.judge.keeping import tag as tag_run
    from trueness.store import Store

    check(output)
    present(tag_run(Store(store), run, words, remove=remove), output)
    return 0


@runs_app.command
def note(
    run: str,
    text: str | None = None,
    /,
    *,
    remove: Remove = False,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Write a note at a stored run, in place of an earlier one; the page of the run shows it.

    Example: trueness runs note D-01 "the run of the paper"

    Parameters
    ----------
    run
        A key, the beginning of one, or the id of an experiment.
    text
        The note.
    remove
        Remove the note instead.
    """
    from trueness.judge.keeping import note as note_run
    from trueness.store import Store

    check(output)
    if remove == (text is not None):
        raise TruenessError("give the text of the note, or --remove", "which_note")
    present(note_run(Store(store), run, text), output)
    return 0


def unlock(
    run: str,
    /,
    *,
    force: Annotated[bool, Parameter(negative=())] = False,
    store: Store_ = DEFAULT_STORE,
) -> int:
    """Free a run that a process holds which is gone, so that another one may train it.

    Leases end by themselves: at once where this machine sees that the process is gone, and two
    minutes after its last sign of life elsewhere. `trueness status` shows who holds what.

    Example: trueness unlock D-01

    Parameters
    ----------
    run
        A key, the beginning of one, or the id of an experiment.
    force
        Also where the process is at work; the run may then be trained twice.
    """
    from trueness.judge.keeping import held_key
    from trueness.store import Store
    from trueness.store.leases import Leases

    opened = Store(store)
    holder = Leases(opened).unlock(held_key(opened, run), force=force)
    console().print(f"{holder.key} is free; it was held by {holder.text}")
    return 0
