"""How loops over numbers are compiled: one decorator for every room that has kernels.

numba is loaded by the first call, not by the import of a module that has kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, cached_property, update_wrapper
from pathlib import Path
from pickle import UnpicklingError
from types import FunctionType, ModuleType
from typing import Any

_interpreting = ContextVar("_interpreting", default=False)


class Kernel:
    """A function that is compiled on its first call; `compiled` makes it.

    Parameters
    ----------
    function : function
        Written for numba. It may call other kernels.
    fastmath : bool
    """

    def __init__(self, function: FunctionType, *, fastmath: bool = False) -> None:
        update_wrapper(self, function)
        self.name = str(getattr(function, "__name__", function))
        self.function, self.fastmath = function, fastmath

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401 - as the function
        """What the function gives, by numba or inside `interpreted` by Python."""
        return (self.function if _interpreting.get() else self.dispatcher)(*arguments)

    @cached_property
    def dispatcher(self) -> Any:  # noqa: ANN401 - numba's Dispatcher
        """The compiled function."""
        from numba import njit

        _teach_numba()
        options: dict[str, Any] = {
            "error_model": "numpy", "nogil": True, "fastmath": self.fastmath
        }  # fmt: skip
        try:
            made = njit(cache=True, **options)(self.function)
        except RuntimeError:  # numba found no folder for its cache
            return njit(**options)(self.function)
        others = {one.function.__code__.co_filename for one in _called(self.function)}
        if others:  # numba looks at the own file alone
            file = made._cache._cache_file
            file._source_stamp = (file._source_stamp, *map(_state, sorted(others)))
        for name in ("load_overload", "save_overload"):  # a full disk or damage costs time alone
            setattr(made._cache, name, _if_it_can(getattr(made._cache, name)))
        return made


def _called(function: FunctionType) -> set[Kernel]:
    """Kernels that a function names, and those that they name."""
    names, known = function.__code__.co_names, function.__globals__
    named = [known[name] for name in names if name in known]
    named += [getattr(one, name, None) for one in named if isinstance(one, ModuleType)
              for name in names]  # fmt: skip
    result: set[Kernel] = set()
    for one in named:
        if isinstance(one, Kernel) and one.function is not function:
            result |= {one, *_called(one.function)}
    return result


def _state(file: str) -> tuple[int, int]:
    """Time and size of a file."""
    facts = Path(file).stat()
    return facts.st_mtime_ns, facts.st_size


def _if_it_can(step: Callable[..., Any]) -> Callable[..., Any]:
    """The same, which does nothing where files cannot be written or are damaged."""

    def tried(*arguments: object) -> Any:  # noqa: ANN401 - as the step
        with suppress(OSError, EOFError, UnpicklingError):
            return step(*arguments)
        return None

    return tried


@cache
def _teach_numba() -> None:
    """Compiled code that names a kernel calls its compiled function."""
    from numba import types
    from numba.extending import typeof_impl

    @typeof_impl.register(Kernel)
    def _(kernel: Kernel, context: object) -> types.Dispatcher:
        del context
        return types.Dispatcher(kernel.dispatcher)


def compiled(function: Any, *, fastmath: bool = False) -> Kernel:  # noqa: ANN401 - a function
    """Compile on the first call; division by zero gives inf or NaN, whole numbers wrap round.

    The result is kept in numba's cache: beside the source, else where ``NUMBA_CACHE_DIR`` points or
    in the user's cache folder; where none of them can be written, it is compiled once per process.
    Kernels hold no lock of the interpreter, so threads run them side by side.

    Parameters
    ----------
    function : function
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
    return Kernel(function, fastmath=fastmath)


@contextmanager
def interpreted() -> Generator[None]:
    """Kernels run as plain Python inside: slow, but without the second that numba takes to load.

    For a handful of short windows. Only kernels that say so give the same bits either way: numpy
    sums in another order and has logarithms and powers of its own.

    Examples
    --------
    >>> with interpreted():
    ...     compiled(lambda x: x / 2)(3)
    1.5
    """
    token = _interpreting.set(True)
    try:
        yield
    finally:
        _interpreting.reset(token)
