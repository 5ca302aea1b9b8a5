"""The verb that mutes a check."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from trueness.cli.options import DEFAULT_STORE, Store_
from trueness.cli.output import DEFAULT, Output, check, present
from trueness.errors import TruenessError


def mute(
    code: str | None = None,
    /,
    *,
    run: Annotated[str | None, Parameter(name="--run")] = None,
    campaign: str | None = None,
    everywhere: Annotated[bool, Parameter(name="--all", negative=())] = False,
    reason: str | None = None,
    undo: Annotated[bool, Parameter(negative=())] = False,
    listed: Annotated[bool, Parameter(name="--list", negative=())] = False,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Mute a check with a reason that is kept; its findings are shown as muted, not dropped.

    Example: trueness mute TRU008 --campaign demo --reason "the test years hold a crisis"

    Parameters
    ----------
    code
        Check, such as TRU008.
    run
        For this run: a key, the beginning of one, or the id of an experiment.
    campaign
        For all runs of this campaign.
    everywhere
        For all runs of the store.
    reason
        Why the finding is known and accepted.
    undo
        Take the mute of this check and scope back.
    listed
        List the mutes of the store.
    """
    from trueness.checks import Mute, MuteChange, MuteList, add_mute, mutes_in, remove_mute
    from trueness.judge.finding import find_run
    from trueness.store import Store

    check(output)
    opened = Store(store)
    if listed:
        if code or run or campaign or everywhere or reason or undo:
            raise TruenessError("--list stands alone", "list_alone")
        present(MuteList(tuple(mutes_in(opened))), output)
        return 0
    if code is None:
        raise TruenessError(
            "which check? as in `trueness mute TRU008 --run D-01 --reason ...`", "which_check"
        )
    if (run is not None) + (campaign is not None) + everywhere != 1:
        raise TruenessError("for what? give one of --run, --campaign and --all", "which_scope")
    if undo and reason is not None:
        raise TruenessError("--undo needs no --reason", "undo_reason")
    key = None if run is None else find_run(opened, run)[0].key
    one = Mute(code.upper(), reason or "", key, campaign)
    if undo:
        remove_mute(opened, one)
    else:
        one = add_mute(opened, one)
    present(MuteChange(one, undo), output)
    return 0
