"""The pool that a command asks for with ``--on``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trueness.errors import SpecError
from trueness.execute.local import Pool
from trueness.own import check_installed

if TYPE_CHECKING:
    from trueness.execute.contract import AnyPool

RAY = "ray"


def open_pool(on: str | None, workers: int | None) -> AnyPool:
    """Where items are to be carried out; nothing is started before the pool is entered.

    Parameters
    ----------
    on : str or None
        None for local processes; ``ray://HOST:PORT`` for the Ray cluster whose client server is
        there; ``ray`` for the one that ``RAY_ADDRESS`` names, else one on this machine that ends
        with the pool.
    workers : int or None
        Local processes, 0 if None; or jobs on the cluster at once, as many as it has room for if
        None.

    Raises
    ------
    SpecError
        With code ``on`` if there is no such place, ``own_missing`` without the extra ``ray``,
        ``torchrun`` under torchrun.

    Examples
    --------
    >>> open_pool(None, 2).size
    2
    """
    if on is None:
        return Pool(workers or 0)
    address = _address(on)
    if workers is not None and workers < 1:
        raise SpecError(f"{workers} workers; leave --on out to stay in this process", "on")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SpecError("torchrun starts the processes itself; leave --on out", "torchrun")
    check_installed(RAY)
    from trueness.execute.cluster import RayPool

    return RayPool(address, workers)


def _address(on: str) -> str | None:
    """Address of a cluster, None for one that is started here."""
    if on == RAY:
        return os.environ.get("RAY_ADDRESS") or None
    try:
        found = urlsplit(on)
        fits = found.scheme == RAY and found.hostname and found.port and not found.path
    except ValueError:
        fits = False
    if not fits:
        raise SpecError(f"--on {on}: give ray, or ray://HOST:PORT", "on")
    return on
