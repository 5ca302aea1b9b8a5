"""The verb that mutes a check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from trueness.cli.options import DEFAULT_STORE, Json, Store_, console, print_json, print_rows
from trueness.cli.stored import find_run, open_store
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.checks import Mute


def mute(
    check: str | None = None,
    /,
    *,
    run: Annotated[str | None, Parameter(name="--run")] = None,
    campaign: str | None = None,
    everywhere: Annotated[bool, Parameter(name="--all", negative=())] = False,
    reason: str | None = None,
    undo: Annotated[bool, Parameter(negative=())] = False,
    listed: Annotated[bool, Parameter(name="--list", negative=())] = False,
    store: Store_ = DEFAULT_STORE,
    as_json: Json = False,
) -> int:
    """Mute a check with a reason that is kept; its findings are shown as muted, not dropped.

    Example: trueness mute TRU005 --campaign demo --reason "two years of validation are all we have"

    Parameters
    ----------
    check
        Such as TRU005.
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
    from trueness import diagnosis

    opened = open_store(store)
    if listed:
        if check or run or campaign or everywhere or reason or undo:
            raise TruenessError("--list stands alone")
        return _list(diagnosis.mutes_in(opened), as_json)
    if check is None:
        raise TruenessError("which check? as in `trueness mute TRU005 --run D-01 --reason ...`")
    if (run is not None) + (campaign is not None) + everywhere != 1:
        raise TruenessError("for what? give one of --run, --campaign and --all")
    if undo and reason is not None:
        raise TruenessError("--undo needs no --reason")
    key = None if run is None else find_run(opened, run)[0].key
    one = diagnosis.Mute(check.upper(), reason or "", key, campaign)
    if undo:
        diagnosis.unmute(opened, one)
    else:
        one = diagnosis.mute(opened, one)
    if as_json:
        print_json({"undone": undo, **one.to_dict()})
    else:
        done = "counts again" if undo else "is muted"
        console().print(f"{one.check} {done} for {one.scope}", highlight=False)
    return 0


def _list(mutes: list[Mute], as_json: bool) -> int:
    if as_json:
        print_json([one.to_dict() for one in mutes])
    elif not mutes:
        console().print("nothing is muted")
    else:
        print_rows(
            [{"check": m.check, "for": m.scope, "since": m.date, "reason": m.reason} for m in mutes]
        )
    return 0
