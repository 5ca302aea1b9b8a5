"""Compiled libraries of installed packages by their C interface, without importing the packages."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

from trueness.own import folder_of


@cache
def opened(package: str, name: str, error: str) -> Callable[..., None]:
    """What calls functions of the library of a package, by their names.

    Parameters
    ----------
    package : str
    name : str
        Of the file, without what a system adds to it.
    error : str
        Function that tells what went wrong last.

    Returns
    -------
    callable
        Takes the name of a function and its arguments; `ValueError` with the message of the
        library if it fails.

    Raises
    ------
    SpecError
        With code ``own_missing`` if the package is not installed.
    """
    folder = folder_of(package)
    endings = (f"{start}{name}.{end}" for start in ("lib", "") for end in ("so", "dylib", "dll"))
    library = ctypes.CDLL(str(next(file for one in endings for file in folder.rglob(one))))
    getattr(library, error).restype = ctypes.c_char_p

    def call(function: str, *arguments: object) -> None:
        if getattr(library, function)(*arguments):
            raise ValueError(getattr(library, error)().decode(errors="replace"))

    return call
