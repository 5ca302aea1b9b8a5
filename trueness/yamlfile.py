"""YAML 1.2 with the line of every value.

Only `true` and `false` are booleans, `1e-4` is a number. Mappings become nested dictionaries; a
dotted key stands for nested ones, and no key may stand twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from trueness.errors import CampaignError, nearest
from trueness.files import no_such_file

MAX_DEPTH = 20
MAX_VALUES = 100_000

KeyPath: TypeAlias = tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """YAML 1.2 core schema."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+0123456789."),
    ("null", r"~|null|", ["~", "n", ""]),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )


_TAGGED = {"bool": "true or false", "null": "null"}


def _word(text: str, known: dict[str, bool | None]) -> bool | None:
    if text not in known:
        raise ValueError(text)
    return known[text]


_YAML = "tag:yaml.org,2002:"
_SCALARS: dict[str, Callable[[str], Any]] = {
    f"{_YAML}bool": lambda text: _word(text, {"true": True, "false": False}),
    f"{_YAML}int": int,
    f"{_YAML}float": float,
    f"{_YAML}null": lambda text: _word(text, dict.fromkeys(("~", "null", ""))),
    f"{_YAML}str": str,
}


@dataclass
class Part:
    """A piece of YAML as plain nested dictionaries, with the line of every path in it."""

    content: dict[str, Any]
    lines: dict[KeyPath, int]

    def merged(self, other: Part) -> Part:
        """Overlay with another part, which wins."""
        return Part(merge(self.content, other.content), {**self.lines, **other.lines})

    def line(self, path: KeyPath) -> int:
        """Line of a path, or of the nearest one above it."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Overlay of two mappings; another `kind` or `protocol` replaces, else they merge."""
    result = _copied(old)
    _lay(result, new)
    return result


def _copied(content: dict[str, Any]) -> dict[str, Any]:
    return {k: _copied(v) if isinstance(v, dict) else v for k, v in content.items()}


def _lay(under: dict[str, Any], new: dict[str, Any]) -> None:
    """Lay a mapping over another one, in place."""
    for key, value in new.items():
        before = under.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and not _is_other(before, value):
            _lay(before, value)
        else:
            under[key] = value


def _is_other(before: dict[str, Any], value: dict[str, Any]) -> bool:
    """Whether a mapping is of another kind, so that it replaces."""
    tags = [tag for tag in ("kind", "protocol") if tag in value and tag in before]
    return any(value[tag] != before[tag] for tag in tags)


def nested(path: str | KeyPath, value: Any) -> dict[str, Any]:  # noqa: ANN401 - of any kind
    """Value under nested names, or under a dotted one.

    Examples
    --------
    >>> nested("a.b", 1)
    {'a': {'b': 1}}
    """
    for name in reversed(path.split(".") if isinstance(path, str) else path):
        value = {name: value}
    return value


class Reader:
    """Turns nodes into values and remembers lines; errors name file and line."""

    def __init__(
        self, file: Path, what: str = "a campaign is a mapping with `campaign:` and `experiments:`"
    ) -> None:
        self.file, self.what = file, what
        self.values = 0

    def fail(self, line: int, message: str, code: str | None = None) -> CampaignError:
        """Error that names the file and a line."""
        return CampaignError(f"{self.file.name}:{line}: {message}", code)

    def root(self) -> yaml.MappingNode:
        """Top mapping of the file."""
        try:
            node = yaml.compose(self.file.read_text(encoding="utf-8"), Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise self.fail(line, f"not valid YAML: {error.problem}") from None
        except RecursionError:
            raise self.fail(1, f"nested deeper than {MAX_DEPTH} levels", "too_deep") from None
        except yaml.YAMLError as error:
            raise self.fail(1, f"not valid YAML: {' '.join(str(error).split())}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise CampaignError(f"{self.file}: cannot be read ({error})") from None
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(1, self.what)
        return node

    def part_of_root(self) -> dict[str, Any]:
        """Whole file as nested dictionaries."""
        return self.mapping(self.root(), (), {})

    def pairs(self, node: yaml.Node, what: str) -> Iterator[tuple[str, yaml.Node, int]]:
        """Keys, values and lines of a mapping; refuses a key that stands twice."""
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(
                node.start_mark.line + 1, f"{what} must be a mapping of names to values"
            )
        seen: dict[str, int] = {}
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.fail(line, f"{what}: a key is a word, no list or mapping", "key")
            key = str(key_node.value)
            if key in seen:
                raise self.fail(line, f"{what}: {key} stands twice, first in line {seen[key]}")
            seen[key] = line
            yield key, value, line

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """Nodes of a list."""
        if not isinstance(node, yaml.SequenceNode):
            raise self.fail(node.start_mark.line + 1, f"{what} must be a list, one line each")
        return node.value

    def value(self, node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> Any:  # noqa: ANN401
        """Plain value of a node; `lines` learns where its parts stand."""
        lines[path] = node.start_mark.line + 1
        self._count(lines[path], len(path))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, lines)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, str(i)), lines) for i, item in enumerate(node.value)]
        if node.tag not in _SCALARS:
            raise self.fail(lines[path], f"{'.'.join(path)}: the tag {node.tag} is not supported")
        try:
            return _SCALARS[node.tag](str(node.value))
        except ValueError:
            text = str(node.value)[:40]
            what = _TAGGED.get(node.tag.removeprefix(_YAML), "a number")
            raise self.fail(lines[path], f"{'.'.join(path)}: {text!r} is not {what}") from None

    def _count(self, line: int, depth: int) -> None:
        """Count a node wherever an alias repeats it, and refuse too many, or too deep ones."""
        self.values += 1
        if self.values > MAX_VALUES:
            raise self.fail(
                line, f"more than {MAX_VALUES} values; are aliases nested?", "too_many_values"
            )
        if depth > MAX_DEPTH:
            raise self.fail(line, f"nested deeper than {MAX_DEPTH} levels", "too_deep")

    def mapping(self, node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> dict[str, Any]:
        """Nested dictionaries of a mapping, dotted keys taken apart."""
        content: dict[str, Any] = {}
        for key, value, line in self.pairs(node, ".".join(path) or "this entry"):
            keys = tuple(key.split(".", MAX_DEPTH + 1))
            self._count(line, len(path) + len(keys))
            for depth in range(len(keys)):
                lines.setdefault((*path, *keys[: depth + 1]), line)
            _lay(content, nested(keys, self.value(value, (*path, *keys), lines)))
        return content

    def part(self, node: yaml.Node) -> Part:
        """A mapping with the lines of everything in it."""
        lines: dict[KeyPath, int] = {(): node.start_mark.line + 1}
        return Part(self.mapping(node, (), lines), lines)


def bundled_file(what: str, folder: Path, name: str | Path) -> Path:
    """YAML file of a bundled campaign or search, or the path itself.

    Raises
    ------
    CampaignError
        If there is neither (code ``no_file`` for what can only be the name of a file); the message
        lists the bundled ones.
    """
    bundled = {p.stem: p for p in sorted(folder.glob("*.yaml"))}
    if str(name) in bundled:
        return bundled[str(name)]
    if Path(name).is_file():
        return Path(name)
    if Path(name).suffix in (".yaml", ".yml") or len(Path(name).parts) > 1:
        raise CampaignError(no_such_file(Path(name)), "no_file")
    hint = nearest(str(name), list(bundled))
    raise CampaignError(f"unknown {what} {str(name)!r}; {hint}, or give a YAML file")
