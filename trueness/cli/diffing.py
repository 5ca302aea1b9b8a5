"""The verb about two specs: diff."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueness.cli.options import DEFAULT_STORE, Data, Store_, Vix
from trueness.cli.output import DEFAULT, Output, check, present
from trueness.errors import TruenessError, nearest
from trueness.places import StoreLocation

if TYPE_CHECKING:
    from trueness.judge.diff import NamedSpec


def diff(
    first: str,
    second: str,
    /,
    *,
    data: Data = None,
    vix: Vix = None,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """List the settings in which two specs differ; of stored runs, or declared ones.

    Example: trueness diff D-01 D-03

    Example: trueness diff demo:D-01 fewer-features:F-001

    Parameters
    ----------
    first
        A key, the beginning of one, or the id of an experiment; or CAMPAIGN:ID, an experiment of a
        bundled campaign or a YAML file that need not have run.
    second
        The same, of the spec that it is compared with.
    """
    from trueness.judge.diff import diff as compared

    check(output)
    one, other = (_find(wanted, store, data, vix) for wanted in (first, second))
    present(compared(one, other), output)
    return 0


def _find(wanted: str, store: StoreLocation, data: str | None, vix: str | None) -> NamedSpec:
    """A stored run, or an experiment that a campaign declares."""
    from trueness.judge.diff import stored_spec
    from trueness.store import Store

    try:
        return stored_spec(Store(store), wanted)
    except TruenessError as error:
        if error.code != "no_run" or ":" not in wanted:
            raise
    return _declared(wanted, data, vix)


def _declared(wanted: str, data: str | None, vix: str | None) -> NamedSpec:
    """An experiment of a campaign; a corpus that is not made yet stays unknown."""
    from trueness.campaign import load_campaign
    from trueness.judge.diff import NamedSpec

    name, _, id_ = wanted.rpartition(":")
    campaign = load_campaign(name, data=data, vix=vix, needed=False)
    known = {entry.id: entry.spec for entry in campaign.entries}
    if id_ not in known:
        raise TruenessError(
            f"{name} has no experiment {id_!r}; {nearest(id_, list(known))}", "no_experiment"
        )
    spec = known[id_]
    return NamedSpec(
        wanted, spec, spec.label(), spec.key if campaign.data.digest != "unknown" else None
    )
