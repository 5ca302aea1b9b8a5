"""How loops over numbers are compiled: one decorator for every room that has kernels.

It loads numba: import a module of kernels where it is used, not at the head of a module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any], *, fastmath: bool = False) -> Callable[..., Any]:
    """Compile on the first call; division by zero gives inf or NaN, whole numbers wrap round.

    The result is kept in numba's cache: beside the source, else where ``NUMBA_CACHE_DIR`` points or
    in the user's cache folder; where none of them can be written, it is compiled once per process.
    Kernels hold no lock of the interpreter, so threads run them side by side.

    Parameters
    ----------
    function : callable
    fastmath : bool
        Sums may be taken in any order.

    Examples
    --------
    >>> @compiled
    ... def half(x):
    ...     return x / 2
    >>> half(3)
    1.5
    """
    options: dict[str, Any] = {"error_model": "numpy", "nogil": True, "fastmath": fastmath}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no folder for its cache
        return njit(**options)(function)
