"""Options that the environment or a file fills, so that they are set once.

The command line wins, then the environment (``TRUENESS_STORE``, ``TRUENESS_DATA``,
``TRUENESS_VIX``), then a file, then the default. The file is the first ``trueness.toml``, or
``pyproject.toml`` with a table ``[tool.trueness]``, from the folder of the campaign file upwards to
the root of its repository (the folder with ``.git``; without one, that folder only), then in the
same way from the current folder. Its paths are relative to it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import Token

from trueness.cli import suggestions
from trueness.errors import TruenessError, first_line, nearest

if TYPE_CHECKING:
    from cyclopts import App, Argument, ArgumentCollection

FILES = {"trueness.toml": (), "pyproject.toml": ("tool", "trueness")}
"""Name of a file -> the table in it that is meant."""
CAMPAIGN_ARGUMENTS = ("CAMPAIGN", "SPACE", "--campaign")
"""Arguments that may name a file whose folder is searched first."""


@dataclass(frozen=True)
class Setting:
    """An option that a file may fill.

    Attributes
    ----------
    needs : str
        What its value has to be, in words.
    read : callable
        From the value and the folder of its file to the text of the option; None for a wrong one.
    """

    needs: str
    read: Callable[[Any, Path], str | None]


def _text(value: Any, folder: Path) -> str | None:  # noqa: ANN401 - whatever TOML can hold
    del folder
    return value if isinstance(value, str) and value.strip() else None


def _path(value: Any, folder: Path) -> str | None:  # noqa: ANN401
    text = _text(value, folder)
    if text is None:
        return None
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # nobody's home
        return None
    return str(path) if path.is_absolute() else os.path.relpath(folder / path)


def _store(value: Any, folder: Path) -> str | None:  # noqa: ANN401
    text = _text(value, folder)
    return text if text is not None and "://" in text else _path(value, folder)


def _bars(value: Any, folder: Path) -> str | None:  # noqa: ANN401
    from trueness.market.bars import BUNDLED

    return value if value in BUNDLED else _path(value, folder)


def _count(value: Any, folder: Path) -> str | None:  # noqa: ANN401
    del folder
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return str(value) if is_count else None


SETTINGS = {
    "store": Setting("a folder or postgresql://…", _store),
    "data": Setting("sp500, synthetic, or a CSV or Parquet file", _bars),
    "vix": Setting("a CSV or Parquet file", _path),
    "workers": Setting("a whole number of 0 or more", _count),
    "device": Setting("auto, cpu, cuda or mps", _text),
}
_replaced: list[str] = []


def data_notes() -> list[str]:
    """Which bars and volatility index the environment or a file gave to this call, and where."""
    return list(_replaced)


def apply(app: App, commands: Sequence[str], arguments: ArgumentCollection) -> None:
    """Fill what the command line left open; called by cyclopts with the options of a verb.

    Raises
    ------
    TruenessError
        With the code ``config_file``, ``config_name`` or ``config_value``.
    """
    del app
    options = {a.name.removeprefix("--"): a for a in arguments if a.name.startswith("--")}
    known = {name: options[name] for name in SETTINGS if name in options}
    _drop_weaker(known)
    typed = {name: a.tokens[0].value for name, a in options.items() if _source(a) == "cli"}
    file = None
    if any(not argument.tokens for argument in known.values()):
        file = find_file(_folders(arguments))
        _fill(known, file)
    is_local = file is None or file == find_file([Path.cwd()])
    elsewhere = {} if is_local else {
        name: a.tokens[0].value for name, a in known.items() if _source(a) == str(file)
    }  # fmt: skip
    values = {f"--{name}": value for name, value in (elsewhere | typed).items()}
    suggestions.remember(values, commands[0] if commands else "")
    _replaced[:] = [
        f"--{name} {known[name].tokens[0].value} is from {where}"
        for name in ("data", "vix")
        if name in known and (where := _source(known[name])) not in ("", "cli")
    ]


def _source(argument: Argument) -> str:
    """``cli``, the name of a variable, or of a file; empty if nothing gave it a value."""
    if not argument.tokens:
        return ""
    token = argument.tokens[0]
    return str(token.keyword) if token.source == "env" else token.source


def _drop_weaker(known: dict[str, Argument]) -> None:
    """Take back variables that are empty, and an index of bars that others replaced."""
    for argument in known.values():
        if argument.tokens and argument.tokens[0].source == "env" and not argument.tokens[0].value:
            argument.tokens.clear()
    bars, index = known.get("data"), known.get("vix")
    if bars and index and _source(bars) == "cli" and _source(index) not in ("", "cli"):
        index.tokens.clear()


def _fill(known: dict[str, Argument], file: Path | None) -> None:
    """Give the values of a file to options that have none."""
    if file is None:
        return
    bars = known.get("data")
    keeps_index = bars is not None and bool(bars.tokens)  # the index belongs to other bars
    for name, value in read_file(file).items():
        argument = known.get(name)
        if argument is not None and not argument.tokens and not (name == "vix" and keeps_index):
            argument.append(Token(keyword=f"--{name}", value=value, source=str(file)))


# ------------------------------------------------------------------------------------------- files


def _folders(arguments: ArgumentCollection) -> list[Path]:
    """Folder of the campaign file, if one was given, and the current one."""
    values = [a.tokens[0].value for a in arguments if a.name in CAMPAIGN_ARGUMENTS and a.tokens]
    files = [Path(value) for value in values if value.endswith((".yaml", ".yml"))]
    return [*(file.parent for file in files if file.is_file()), Path.cwd()]


def find_file(folders: Sequence[Path]) -> Path | None:
    """The first file with settings, from each folder upwards to the root of its repository.

    Raises
    ------
    TruenessError
        With the code ``config_file`` if one on the way cannot be read.
    """
    for folder in (above for start in folders for above in _upwards(start.resolve())):
        for name in FILES:
            if (folder / name).is_file() and _table(folder / name) is not None:
                return folder / name
    return None


def _upwards(folder: Path) -> Iterator[Path]:
    chain = [folder, *folder.parents]
    root = next((one for one in chain if (one / ".git").exists()), folder)
    return iter(chain[: chain.index(root) + 1])


def read_file(path: Path) -> dict[str, str]:
    """Settings of a file as the texts of their options.

    Raises
    ------
    TruenessError
        With the code ``config_name`` for one that is unknown, ``config_value`` for a wrong value.
    """
    result = {}
    for name, value in (_table(path) or {}).items():
        if name not in SETTINGS:
            raise TruenessError(
                f"{_shown(path)}: no setting {name!r}; {nearest(name, list(SETTINGS))}",
                "config_name",
            )
        setting = SETTINGS[name]
        text = setting.read(value, path.parent)
        if text is None:
            raise TruenessError(
                f"{_shown(path)}: {name} = {repr(value)[:40]}; it needs {setting.needs}",
                "config_value",
            )
        result[name] = text
    return result


def _table(path: Path) -> dict[str, Any] | None:
    """The table of a file that is meant; None if it has none."""
    keys = FILES[path.name]
    try:
        text = path.read_text(encoding="utf-8")
        if not all(key in text for key in keys):
            return None
        node: Any = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TruenessError(
            f"{_shown(path)}: the file cannot be read ({first_line(error)})", "config_file"
        ) from None
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    if node is not None and not isinstance(node, dict):
        raise TruenessError(f"{_shown(path)}: [tool.trueness] must be a table", "config_file")
    return node


def _shown(path: Path) -> str:
    return os.path.relpath(path)
