"""Campaign files: YAML to the parts of every experiment, with the line of every mistake.

    campaign: demo                      name, as used on the command line
    title: ...
    data: sp500                         or a file or folder; `--data` overrides
    reference: M-0                      experiment that the others are compared with, if one is
    defaults: {...}                     part of a spec, under every experiment
    bases: {small: {...}}               named parts; `base: small` or `base: [a, b]` applies them
    experiments:
      - {id: D-01, priority: P1, base: small, task.tier: a20}
      - {id: E-01, ensemble: {of: D-01, seeds: 5}}         mean logits of five seeds of D-01
      - id: FE-65..FE-67
        priority: P10
        grid: {model.embedding: [none, {kind: linear, width: 16}, ...]}

Later parts win: defaults, bases in order, the experiment, the grid. A dotted key stands for nested
ones. A mapping with another `kind` or `protocol` replaces the earlier mapping, else the two are
merged. A grid expands to its product, the last entry varying fastest, and its ids are a range. YAML
1.2: only `true` and `false` are booleans, `1e-4` is a number, and no key may stand twice.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

from trueness.errors import nearest
from trueness.spec import Spec
from trueness.yamlfile import KeyPath, Part, Reader, nested

MOST = 10_000
"""Experiments in one entry, and replicates of one."""
ID = re.compile(r"\w[\w.+-]{0,99}")
"""Of an experiment or a priority: what can be printed, typed and written."""
SHOWN = 202
"""Characters of two ids and the dots of a range."""
WORDS = {"model": "kind", "loss": "kind", "recipe": "name"}
"""Sections that a single word may stand for, and the field that it gives."""
_SECTIONS = (*Spec.model_fields, "ensemble")
_TOP = (
    "campaign",
    "title",
    "data",
    "vix",
    "features",
    "reference",
    "defaults",
    "bases",
    "experiments",
)


def declared_name(reader: Reader, top: Part, stem: str) -> str:
    """Name of the campaign, which also names a file of the store."""
    name = str(top.content.get("campaign", stem))
    if re.fullmatch(r"\w[\w.-]{0,99}", name) is None:
        line = top.line(("campaign",))
        raise reader.fail(line, f"campaign name {name!r}: letters, digits, '.', '-' and '_' only")
    return name


def top_level(reader: Reader) -> Part:
    """Fields of a campaign file; experiments stay nodes until `expand` reads them."""
    root = reader.root()
    part = Part({}, {})
    for key, node, line in reader.pairs(root, "campaign"):
        if key not in _TOP:
            raise reader.fail(line, f"unknown field {key!r}; {nearest(key, list(_TOP))}")
        part.lines[(key,)] = line
        if key == "experiments":
            part.content[key] = reader.items(node, "experiments")
        elif key == "bases":
            pairs = reader.pairs(node, "bases")
            part.content[key] = {name: expand_dotted_keys(reader.part(n)) for name, n, _ in pairs}
        elif key == "defaults":
            part.content[key] = expand_dotted_keys(reader.part(node))
        else:
            part.content[key] = reader.value(node, (key,), {})
    if not part.content.get("experiments"):
        raise reader.fail(1, "no experiments; list at least one under `experiments:`")
    return part


def expand(reader: Reader, top: Part) -> Iterator[tuple[str, str, Part]]:
    """Id, priority and merged part of every experiment, grids multiplied out."""
    seen: dict[str, int] = {}
    for node in top.content["experiments"]:
        entry = reader.part(node)
        line, own = entry.lines[()], dict(entry.content)
        ids, priority = _called(reader, entry, own)
        grid, base = own.pop("grid", {}), own.pop("base", [])
        if "ensemble" in own and (len(own) > 1 or grid):
            other = next((name for name in own if name != "ensemble"), "grid")
            raise reader.fail(
                entry.line((other,)), f"{ids[0]}: an ensemble takes no {other} beside it: its "
                "members say what they are", "ensemble_fields",
            )  # fmt: skip
        unknown = [k for k in own if k not in _SECTIONS]
        if unknown:
            choices = ["id", "priority", "base", "grid", *_SECTIONS]
            raise reader.fail(
                entry.line((unknown[0],)),
                f"{ids[0]}: unknown field {unknown[0]!r}; {nearest(unknown[0], choices)}",
            )
        part = top.content.get("defaults", Part({}, {}))
        names = base if isinstance(base, list) else [base]
        if not all(isinstance(name, str) for name in names):
            raise reader.fail(
                entry.line(("base",)), f"{ids[0]}: base must be a name or a list of names"
            )
        for name in names:
            part = part.merged(_base(reader, top, name, line))
        part = part.merged(expand_dotted_keys(Part(own, entry.lines)))
        cells = _cells(reader, line, grid, entry.lines)
        if len(cells) != len(ids):
            raise reader.fail(
                line, f"{ids[0]}: {len(ids)} ids for {len(cells)} experiments of its grid"
            )
        for id_, cell in zip(ids, cells, strict=True):
            if id_ in seen:
                raise reader.fail(line, f"id {id_} stands twice, first in line {seen[id_]}")
            seen[id_] = line
            yield id_, priority, part.merged(expand_dotted_keys(cell))


def expand_dotted_keys(part: Part) -> Part:
    """Words in the place of mappings, as in `loss: bce`, as the mappings that they stand for.

    Merging then sees two mappings, and keeps what the word does not speak of.
    """
    content = dict(part.content)
    for section, tag in WORDS.items():
        if isinstance(content.get(section), str):
            content[section] = {tag: content[section]}
    model = content.get("model")
    if isinstance(model, dict) and isinstance(model.get("embedding"), str):
        content["model"] = {**model, "embedding": {"kind": model["embedding"]}}
    return Part(content, part.lines)


def _called(reader: Reader, entry: Part, own: dict[str, Any]) -> tuple[list[str], str]:
    """Ids and priority of an entry, taken out of its fields."""
    if "id" not in own:
        raise reader.fail(entry.lines[()], "an experiment needs an id")
    ids = _ids(reader, entry.line(("id",)), _text(reader, entry, "id", own.pop("id")))
    priority = _text(reader, entry, "priority", own.pop("priority", "P1"))
    _check_plain(reader, entry.line(("priority",)), "priority", priority)
    return ids, priority


def _text(reader: Reader, entry: Part, field: str, value: Any) -> str:  # noqa: ANN401
    if value is None or isinstance(value, bool | list | dict):
        raise reader.fail(entry.line((field,)), f"{field} must be a word, not {value!r}")
    return str(value)


def _base(reader: Reader, top: Part, name: str, line: int) -> Part:
    bases = top.content.get("bases", {})
    if name not in bases:
        hint = nearest(name, list(bases)) if bases else "no bases are declared"
        raise reader.fail(line, f"unknown base {name!r}; {hint}")
    return bases[name]


def _ids(reader: Reader, line: int, text: str) -> list[str]:
    """``FE-65..FE-67`` -> FE-65, FE-66, FE-67."""
    first, dots, last = text.partition("..") if len(text) <= SHOWN else (text, "", "")
    ids = _range(reader, line, text, (_numbered(first), _numbered(last))) if dots else [text]
    for id_ in ids:
        _check_plain(reader, line, "id", id_)
    return ids


def _range(
    reader: Reader, line: int, text: str, ends: tuple[tuple[str, str], tuple[str, str]]
) -> list[str]:
    """All ids between two ends."""
    (prefix, first), (prefix2, last) = ends
    if not (first and last) or prefix != prefix2 or int(last) < int(first):
        raise reader.fail(line, f"{text!r} is not a range of ids; write FE-65..FE-67", "id")
    if int(last) - int(first) >= MOST:
        raise reader.fail(line, f"{text!r} are more than {MOST} experiments", "id")
    return [f"{prefix}{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)]


def _numbered(text: str) -> tuple[str, str]:
    """Prefix and number of one end of a range."""
    prefix = text.rstrip("0123456789")
    return prefix, text[len(prefix) :]


def _check_plain(reader: Reader, line: int, field: str, text: str) -> None:
    """Refuse what is to be printed, written and typed, and could not be."""
    if ID.fullmatch(text) is None:
        raise reader.fail(
            line, f"{field} {text[:SHOWN]!r}: letters, digits, '.', '+', '-' and '_' only, at "
            "most 100 of them", field,
        )  # fmt: skip


def _cells(reader: Reader, line: int, grid: Any, lines: dict[KeyPath, int]) -> list[Part]:  # noqa: ANN401
    """All combinations of a grid of dotted paths."""
    axes = []
    if not isinstance(grid, dict):
        raise reader.fail(line, "grid must be a mapping of fields to lists of values")
    for path, values in _leaves(grid, ()):
        if not isinstance(values, list) or not values:
            name = ".".join(path)
            raise reader.fail(line, f"grid: {name} must be a list of values")
        at = lines.get(("grid", *path), line)
        if len(values) * math.prod(map(len, axes)) > MOST:
            raise reader.fail(line, f"the grid has more than {MOST} cells")
        axes.append([Part(nested(path, value), {path: at}) for value in values])
    cells = []
    for combination in itertools.product(*axes):
        cell = Part({}, {})
        for part in combination:
            cell = cell.merged(part)
        cells.append(cell)
    return cells


def _leaves(grid: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:  # noqa: ANN401
    if not isinstance(grid, dict):
        yield path, grid
        return
    for key, value in grid.items():
        yield from _leaves(value, (*path, key))
