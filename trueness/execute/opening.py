"""The pool that a command asks for with ``--on``."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trueness.errors import SpecError
from trueness.own import check_installed

if TYPE_CHECKING:
    from trueness.execute.contract import AnyPool

RAY = "ray"


def open_pool(on: str, workers: int | None = None) -> AnyPool:
    """Where items are to be carried out; nothing is started before the pool is entered.

    Parameters
    ----------
    on : str
        ``ray://HOST:PORT`` for the Ray cluster whose client server is
        there; ``ray`` for the one that ``RAY_ADDRESS`` names, else one on this machine that ends
        with the pool.
    workers : int, optional
        Jobs at once; as many as it has room for by default.

    Raises
    ------
    SpecError
        With code ``on`` if there is no such place, ``own_missing`` without the extra ``ray``,
        ``torchrun`` under torchrun.
    """
    address = _address(on)
    if workers is not None and workers < 1:
        raise SpecError(f"{workers} workers; leave --on out to stay in this process", "on")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SpecError("torchrun starts the processes itself; leave --on out", "torchrun")
    check_installed(RAY)
    from trueness.execute.cluster import RayPool

    return RayPool(address, workers)


def pool_on(on: str | None, workers: int | None = None) -> AbstractContextManager[AnyPool | None]:
    """The same as a context, with None where nobody asked for such a place."""
    return nullcontext() if on is None else open_pool(on, workers)


def _address(on: str) -> str | None:
    """Address of a cluster, None for one that is started here."""
    if on == RAY:
        return os.environ.get("RAY_ADDRESS") or None
    try:
        result = urlsplit(on)
        fits = result.scheme == RAY and result.hostname and result.port and not result.path
    except ValueError:
        fits = False
    if not fits:
        raise SpecError(f"--on {on}: give ray, or ray://HOST:PORT", "on")
    return on
