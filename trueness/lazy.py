"""Names that a package hands on, loaded when they are first used.

What a package hands on stands in one place, its imports under ``if TYPE_CHECKING:``: tools read
them as imports, and this module reads them as the homes of the names.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def handed_on(
    package: str, file: str
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """``__all__, __getattr__, __dir__`` of a package.

    Parameters
    ----------
    package, file : str
        Its ``__name__`` and ``__file__``.

    Raises
    ------
    ImportError
        If a name is that of a module of the package too: importing the module would hide it.
    """
    homes = _homes(file)
    names = sorted(homes)
    hidden = {home.removeprefix(f"{package}.") for home, _ in homes.values()} & set(names)
    if hidden:
        raise ImportError(f"{package} hands on names of its modules: {', '.join(sorted(hidden))}")

    def load(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, known_as = homes[name]
        value = getattr(import_module(home), known_as)
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return names, load, listed


def _homes(file: str) -> dict[str, tuple[str, str]]:
    """Name -> module and name there, of imports from modules under ``if TYPE_CHECKING:``."""
    with open(file, encoding="utf-8") as source:
        tree = ast.parse(source.read())
    blocks = [one for one in tree.body if isinstance(one, ast.If)]
    return {
        alias.asname or alias.name: (statement.module, alias.name)
        for block in blocks
        if isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom) and statement.module
        for alias in statement.names
    }
