"""Write docs/reference/api.md: signature and docstring of every public name.

Public is what `trueness` lists in `__all__`, and what README and docs import from its rooms.

python tools/api_reference.py
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import trueness

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "api.md"
HEAD = """# Python API

Everything that `import trueness` offers, and the names of its rooms that these pages use.
Shapes stand in parentheses, such as `(n,)` for a column of n units.
Made by `tools/api_reference.py` from the docstrings.
"""
WIDTH = 92
LISTED = ("Parameters", "Attributes", "Returns", "Raises", "Yields")


def page() -> str:
    """Whole page as Markdown."""
    lines = [HEAD, "## trueness", ""]
    for name in trueness.__all__:
        lines += _entry("trueness", name)
    for room, names in _used().items():
        lines += [f"## {room}", ""]
        for name in names:
            lines += _entry(room, name)
    return "\n".join(lines).rstrip() + "\n"


def _used() -> dict[str, list[str]]:
    """Room -> names that Python blocks of README and docs import from it."""
    result: dict[str, set[str]] = {}
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for room, names in re.findall(
            r"^from (trueness\.[\w.]+) import ([\w, ]+)$", file.read_text(encoding="utf-8"), re.M
        ):
            result.setdefault(room, set()).update(name.strip() for name in names.split(","))
    return {room: sorted(result[room]) for room in sorted(result)}


def _entry(room: str, name: str) -> Iterator[str]:
    """Heading, signature and docstring; of a class its public methods too."""
    thing = getattr(import_module(room), name)
    yield from (f"### {name}", "", *_signature(f"{room}.{name}", thing), *_described(thing))
    if not inspect.isclass(thing) or issubclass(thing, Exception):
        return
    for method, value in vars(thing).items():
        if method.startswith("_") or not getattr(value, "__doc__", None):
            continue
        if isinstance(value, property):
            yield from (f"#### {name}.{method}", "", *_described(value))
        elif isinstance(value, classmethod | staticmethod) or inspect.isfunction(value):
            bound = getattr(thing, method)
            yield from (f"#### {name}.{method}", "", *_signature(f"{name}.{method}", bound))
            yield from _described(value)


def _signature(name: str, thing: Any) -> Iterator[str]:  # noqa: ANN401 - function or class
    """How it is called, as a block of Python; of a spec, where its fields are."""
    if hasattr(thing, "model_fields"):
        yield from ("Its fields are [the fields of a spec](spec.md).", "")
        return
    signature = inspect.signature(thing)
    parts, keyword_only = [], False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts.append("*")
        parts.append(_parameter(parameter))
    answers = _annotation(signature.return_annotation)
    end = f") -> {answers}" if answers and not inspect.isclass(thing) else ")"
    line = f"{name}({', '.join(parts)}{end}"
    if len(line) > WIDTH:
        line = "\n".join([f"{name}(", *(f"    {part}," for part in parts), end])
    yield from ("```py", line, "```", "")


def _parameter(one: inspect.Parameter) -> str:
    stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
    kind = _annotation(one.annotation)
    text = f"{stars}{one.name}: {kind}" if kind else f"{stars}{one.name}"
    if one.default is one.empty:
        return text
    shown = repr(one.default)
    shown = f'"{one.default}"' if "Path(" in shown else "..." if " object at 0x" in shown else shown
    return f"{text} = {shown}" if kind else f"{text}={shown}"


def _annotation(kind: object) -> str:
    if kind is inspect.Signature.empty:
        return ""
    text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
    return re.sub(r"\b(?:typing|trueness(?:\.\w+)*|pathlib|collections\.abc)\.(?=\w)", "", text)


def _described(thing: Any) -> Iterator[str]:  # noqa: ANN401 - function, class or property
    """Docstring in the style of NumPy as Markdown."""
    text = inspect.cleandoc(thing.__doc__ or "")
    pieces = re.split(r"^(\w[\w ]*)\n-{3,}\n", text, flags=re.M)
    yield from (_prose(pieces[0]), "")
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        yield from (f"**{title}**", "")
        if title in LISTED:
            yield from (*_items(body), "")
        elif title == "Examples":
            yield from ("```pycon", body.strip(), "```", "")
        else:
            yield from (_prose(body), "")


def _items(body: str) -> Iterator[str]:
    """Names with their kind, each with what is said of it."""
    for item in re.split(r"^(?=\S)", body.strip("\n"), flags=re.M)[1:]:
        first, _, rest = item.partition("\n")
        name, colon, kind = first.partition(" : ")
        about = " ".join(textwrap.dedent(rest).split())
        head = f"`{name.strip()}`" + (f" : {_escaped(kind)}" if colon else "")
        yield f"* {head}" + (f" – {_prose(about)}" if about else "")


def _prose(text: str) -> str:
    linked = text.strip().replace("docs/reference/json.md", "[the page on JSON](json.md)")
    return _escaped(linked.replace("``", "`"))


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
