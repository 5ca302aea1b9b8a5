"""Code of others, loaded by name: classes of installed packages, or of files beside a campaign.

A reference is ``package.module.Class`` or ``file.py:Class``, the file in a folder that the caller
names. What a run holds of it is the version of the package, or a digest of the file and of the
files beside it that it imports; other code is another run.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Generator, Iterator
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from trueness.errors import SpecError, TruenessError, first_line, nearest

DIGITS = 12
"""Hexadecimal digits of a digest."""
EXTRAS = {
    "lightgbm": "boost", "xgboost": "boost", "catboost": "boost",
    "onnx": "onnx", "onnxscript": "onnx", "onnxruntime": "onnx", "skl2onnx": "onnx",
    "wordllama": "vectors", "transformers": "pretrained", "peft": "pretrained",
    "ray": "ray",
    "mlflow": "trackers", "wandb": "trackers", "tensorboardX": "trackers",
}  # fmt: skip
"""Package -> extra of trueness that installs it."""


Model = TypeVar("Model")


def load(reference: str, base_folder: Path) -> Any:  # noqa: ANN401 - whatever bears the name
    """Class or function of a reference.

    Parameters
    ----------
    reference : str
        ``package.module.Class``, or ``file.py:Class``.
    base_folder : Path
        Folder of own files.

    Raises
    ------
    SpecError
        With code ``own_missing``: no such file, or the package is not installed; ``own_import``:
        it cannot be imported; ``own_name``: it holds nothing of that name that can be called.

    Examples
    --------
    >>> load("fractions.Fraction", Path())(3, 6)
    Fraction(1, 2)
    """
    place, name = _split(reference)
    module = _module_of_file(place, base_folder) if _is_file(reference) else _module(place)
    result = getattr(module, name, None)
    if not callable(result):
        known = [one for one, value in vars(module).items() if _is_offered(one, value, module)]
        hint = nearest(name, known) if known else "it defines none"
        raise SpecError(f"{place} has no class or function {name!r}; {hint}", "own_name")
    return result


def digest(reference: str, base_folder: Path) -> str:
    """What a key holds of a reference: the version of the package, or a digest of own source.

    The digest is that of the file and of every file in its folder that it imports, directly or
    not. Nothing is imported.

    Parameters
    ----------
    reference : str
    base_folder : Path

    Returns
    -------
    str
        ``"lightgbm 4.6.0"``, or 12 hexadecimal digits.

    Raises
    ------
    SpecError
        With code ``own_missing``, ``own_import`` or ``own_name``.
    """
    place, _ = _split(reference)
    if _is_file(reference):
        return _digest_of(_sources(_file(place, base_folder)))
    package = place.partition(".")[0]
    if (version := _installed(package)) is not None:
        return f"{package} {version}"
    if package in sys.stdlib_module_names:
        return f"python {sys.version_info.major}.{sys.version_info.minor}"
    spec = _spec_of(package)
    if spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0])
        return _digest_of({str(f.relative_to(folder)): f for f in folder.rglob("*.py")})
    return _digest_of(_sources(Path(str(spec.origin))))


def pinned(model: Model, base_folder: Path) -> Model:
    """A model with the version of what it refers to, which is then part of its key.

    Models that refer to nothing stay as they are.

    Raises
    ------
    SpecError
        With code ``own_changed`` if it names another version than is here, else as `digest` does.
    """
    refers: Any = model
    reference = getattr(refers, "reference", None)
    if reference is None:
        return model
    here = digest(reference, base_folder)
    if refers.version not in (None, here):
        raise SpecError(
            f"{reference}: the run is of {refers.version}, here is {here}; leave `version` out "
            "for a new run of what is here", "own_changed",
        )  # fmt: skip
    return refers.model_copy(update={"version": here})


def check_pinned(model: Any, base_folder: Path) -> None:  # noqa: ANN401 - any shape of a model
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
    pinned(model, base_folder)


@contextlib.contextmanager
def translate_errors(what: str, code: str, base_folder: Path | None = None) -> Generator[None]:
    """Turn whatever code of others raises into one line, with the line of the own file if known.

    Refusals of ours go through. What others print goes to the standard error: the standard output
    belongs to results.

    Parameters
    ----------
    what : str
        What was tried.
    code : str
        Of the error.
    base_folder : Path, optional
        Folder of own files.

    Raises
    ------
    SpecError

    Examples
    --------
    >>> with translate_errors("my.py: fit", "estimator_fit"):
    ...     1 / 0
    Traceback (most recent call last):
        ...
    trueness.errors.SpecError: my.py: fit: ZeroDivisionError: division by zero
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except TruenessError:
        raise
    except (Exception, SystemExit) as error:
        name = type(error).__name__
        line = first_line(error)
        note = name if line == name else f"{name}: {line}"
        raise SpecError(f"{what}: {note}{_place(error, base_folder)}", code) from error


def _place(error: BaseException, base_folder: Path | None) -> str:
    """Where in the own files it happened, if it did there."""
    if base_folder is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if _is_own(Path(one.filename), base_folder.resolve())]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _is_own(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, and not in an environment there."""
    return folder in path.parents and "site-packages" not in path.parts


# ------------------------------------------------------------------------------------- references


def _is_file(reference: str) -> bool:
    return ":" in reference


def _split(reference: str) -> tuple[str, str]:
    """File or module, and the name in it."""
    place, _, name = reference.rpartition(":" if _is_file(reference) else ".")
    if not place or not name.isidentifier() or (_is_file(reference) and not place.endswith(".py")):
        raise SpecError(
            f"{reference!r} names no class; write package.Class, or file.py:Class for a file "
            "beside the campaign", "own_name",
        )  # fmt: skip
    return place, name


def _is_offered(name: str, value: object, module: ModuleType) -> bool:
    """Whether a name is a class or function that the module defines itself."""
    home = getattr(value, "__module__", None)
    return callable(value) and not name.startswith("_") and home == module.__name__


# ---------------------------------------------------------------------------------------- packages


def _module(name: str) -> ModuleType:
    """An installed module, imported."""
    _spec_of(name.partition(".")[0])
    try:
        with translate_errors(f"{name} cannot be imported", "own_import"):
            return import_module(name)
    except SpecError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and f"{name}.".startswith(f"{cause.name}."):
            raise SpecError(f"there is no module {cause.name}", "own_name") from None
        raise


def own_files(model: Any, base_folder: Path) -> tuple[Path, ...]:  # noqa: ANN401 - of a spec
    """File of own code that a model refers to, if it does.

    Parameters
    ----------
    model : Model of a spec
    base_folder : Path
        Folder of own files.
    """
    reference = getattr(model, "reference", None) or ""
    return (base_folder / _split(reference)[0],) if _is_file(reference) else ()


def check_installed(package: str) -> None:
    """Refuse a package that is not here, with the extra that installs it; nothing is imported.

    Raises
    ------
    SpecError
        With code ``own_missing``.

    Examples
    --------
    >>> check_installed("numpy")
    """
    _spec_of(package)


def folder_of(package: str) -> Path:
    """Folder of a package that is here; nothing is imported.

    Raises
    ------
    SpecError
        With code ``own_missing``.

    Examples
    --------
    >>> folder_of("numpy").name
    'numpy'
    """
    return Path(_spec_of(package).submodule_search_locations[0])


def _spec_of(package: str) -> Any:  # noqa: ANN401 - a ModuleSpec
    """Where a package lies."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        extra = EXTRAS.get(package)
        hint = f"; pip install 'trueness[{extra}]'" if extra else " here"
        raise SpecError(f"{package} is not installed{hint}", "own_missing")
    return spec


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def _installed(package: str) -> str | None:
    """Version of a package that was installed whole; None for one that lies about as source."""
    known = sorted(_distributions().get(package, ()))
    if not known:
        return None
    _spec_of(package)
    return metadata.version(known[0])


# --------------------------------------------------------------------------------------- own files


def _file(name: str, base_folder: Path) -> Path:
    path = (base_folder / name).resolve()
    if not path.is_file():
        raise SpecError(f"{name}: no such file beside the campaign", "own_missing")
    return path


def _module_of_file(name: str, base_folder: Path) -> ModuleType:
    """An own file as a module; loaded anew only if its source changed."""
    path = _file(name, base_folder)
    place = hashlib.sha256(str(path).encode()).hexdigest()[:DIGITS]
    alias = f"trueness_own_{path.stem}_{place}_{_digest_of(_sources(path))}"
    if alias in sys.modules:
        return sys.modules[alias]
    spec = importlib.util.spec_from_file_location(alias, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[alias] = importlib.util.module_from_spec(spec)
    try:
        with (
            translate_errors(f"{name} cannot be imported", "own_import", path.parent),
            _on_path(path),
        ):
            spec.loader.exec_module(module)
    except SpecError:
        del sys.modules[alias]
        raise
    return module


@contextlib.contextmanager
def _on_path(path: Path) -> Generator[None]:
    """Let a file import those beside it; afterwards their names are free for other campaigns.

    Nothing is written beside them: compiled code would outlive an edit within the same second.
    """
    before, writes_nothing = set(sys.modules), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(path.parent))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_nothing
        sys.path.remove(str(path.parent))
        for name in set(sys.modules) - before:
            home = getattr(sys.modules[name], "__file__", None)
            if home is not None and path.parent in Path(home).parents:
                del sys.modules[name]


def _sources(path: Path) -> dict[str, Path]:
    """A file, and all files of its folder that it imports, by their path in the folder."""
    result: dict[str, Path] = {}
    waiting = [path]
    while waiting:
        one = waiting.pop()
        name = one.relative_to(path.parent).as_posix()
        if name not in result:
            result[name] = one
            try:
                waiting += _imported(one, path.parent)
            except SpecError:
                if one == path:
                    raise
    return result


def _imported(path: Path, folder: Path) -> Iterator[Path]:
    """Files of a folder that a file imports; of a package there, all of its files."""
    names: set[str] = set()
    tree = _parsed(path)
    late = {
        inner
        for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node) if isinstance(inner, ast.Import | ast.ImportFrom)
    }  # fmt: skip
    for node in ast.walk(tree):
        if node in late:
            _refuse_late(node, path, folder)
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    for name in sorted(names):
        if (folder / f"{name}.py").is_file():
            yield folder / f"{name}.py"
        if (folder / name).is_dir():
            yield from sorted((folder / name).rglob("*.py"))


def _refuse_late(node: Any, path: Path, folder: Path) -> None:  # noqa: ANN401 - an import
    """Refuse an import of an own file inside a function: it would be resolved too late."""
    note = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
    for name in (str(one).partition(".")[0] for one in note if one):
        if (folder / f"{name}.py").is_file() or (folder / name).is_dir():
            raise SpecError(
                f"{path.name} imports {name} inside a function (line {node.lineno}); own files are "
                "imported at the top", "own_import",
            )  # fmt: skip


def _parsed(path: Path) -> ast.Module:
    """Syntax tree of a file."""
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        raise SpecError(
            f"{path.name} cannot be imported: {first_line(error)}{line}", "own_import"
        ) from None


def _digest_of(files: dict[str, Path]) -> str:
    """Digest of files with their names, but for the name of the folder."""
    total = hashlib.sha256()
    for name in sorted(files):
        content = files[name].read_bytes()
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:DIGITS]
