"""The same work for many models, side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def threads() -> int:
    """Threads that kernels may use: ``OMP_NUM_THREADS`` where it is set, else one per core.

    Cores are those that this process may run on.

    Examples
    --------
    >>> threads() >= 1
    True
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def in_threads(function: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """Result for each of some arguments, in their order; none depends on the number of threads.

    Examples
    --------
    >>> in_threads(abs, [-1, 2])
    [1, 2]
    """
    every = list(items)
    workers = min(threads(), len(every))
    if workers < 2:
        return [function(one) for one in every]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, every))
