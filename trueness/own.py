"""Code of others, loaded by name: from an installed package, or from a file beside a campaign."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Generator
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from trueness.errors import SpecError, first_line

DIGITS = 12
"""Hexadecimal digits of a digest."""

Model = TypeVar("Model")


def load(reference: str, beside: Path) -> Any:  # noqa: ANN401 - whatever bears the name
    """Class or function of a reference.

    Parameters
    ----------
    reference : str
        ``package.module.Class``, or ``file.py:Class``.
    beside : Path
        Folder of own files.

    Raises
    ------
    SpecError
        With code ``own_missing``, ``own_import`` or ``own_name``.

    Examples
    --------
    >>> load("fractions.Fraction", Path())(3, 6)
    Fraction(1, 2)
    """
    place, name = _split(reference)
    with answering(f"{place} cannot be imported", "own_import"):
        module = _file_module(place, beside) if ":" in reference else _package_module(place)
    if not callable(getattr(module, name, None)):
        raise SpecError(f"{place} has no class {name!r}", "own_name")
    return getattr(module, name)


def digest(reference: str, beside: Path) -> str:
    """Version of the package, or digest of the own file; nothing is imported.

    Raises
    ------
    SpecError
        With code ``own_missing`` or ``own_name``.
    """
    place, _ = _split(reference)
    if ":" in reference:
        return hashlib.sha256(_file(place, beside).read_bytes()).hexdigest()[:DIGITS]
    package = place.partition(".")[0]
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        raise SpecError(f"{package} is not installed here", "own_missing") from None


def pinned(model: Model, beside: Path) -> Model:
    """A model with the version of what it refers to, which is then part of its key.

    Models that refer to nothing stay as they are.

    Raises
    ------
    SpecError
        With code ``own_changed`` if it names another version than is here, else as `digest` does.
    """
    refers: Any = model
    if refers.reference is None:
        return model
    here = digest(refers.reference, beside)
    if refers.version not in (None, here):
        raise SpecError(
            f"{refers.reference}: the run is of {refers.version}, here is {here}", "own_changed"
        )
    return refers.model_copy(update={"version": here})


def check_pinned(model: Any, beside: Path) -> None:  # noqa: ANN401 - any shape of a model
    """Refuse a model whose key does not hold the code that would be run.

    Raises
    ------
    SpecError
        With code ``own_unpinned`` or ``own_changed``, else as `digest` does.
    """
    if model.reference is not None and model.version is None:
        raise SpecError(
            f"{model.reference}: its version is not part of the key; give the model to "
            "trueness.own.pinned", "own_unpinned",
        )  # fmt: skip
    pinned(model, beside)


@contextlib.contextmanager
def answering(what: str, code: str) -> Generator[None]:
    """Turn whatever code of others raises into one line; refusals of ours go through.

    Raises
    ------
    SpecError

    Examples
    --------
    >>> with answering("my.py: fit", "module_forward"):
    ...     1 / 0
    Traceback (most recent call last):
        ...
    trueness.errors.SpecError: my.py: fit: ZeroDivisionError: division by zero
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except SpecError:
        raise
    except (Exception, SystemExit) as error:
        raise SpecError(f"{what}: {type(error).__name__}: {first_line(error)}", code) from error


def _split(reference: str) -> tuple[str, str]:
    place, _, name = reference.rpartition(":" if ":" in reference else ".")
    if not place or not name.isidentifier():
        raise SpecError(f"{reference!r} names no class; write package.Class, or file.py:Class",
                        "own_name")  # fmt: skip
    return place, name


def _package_module(name: str) -> ModuleType:
    package = name.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise SpecError(f"{package} is not installed here", "own_missing")
    return import_module(name)


def _file(name: str, beside: Path) -> Path:
    path = beside / name
    if not path.is_file():
        raise SpecError(f"{name}: no such file beside the campaign", "own_missing")
    return path


def _file_module(name: str, beside: Path) -> ModuleType:
    """An own file as a module; loaded anew only if its source changed."""
    path = _file(name, beside)
    alias = f"trueness_own_{path.stem}_{hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS]}"
    if alias not in sys.modules:
        spec = importlib.util.spec_from_file_location(alias, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[alias] = module
    return sys.modules[alias]
