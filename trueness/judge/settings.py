"""Settings of runs by their dotted names: which differ, and what their values are called."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from trueness.document import numbers
from trueness.errors import TruenessError, nearest

MISSING = object()
"""Stands for a field that a spec does not have, such as `loss.gamma` of a loss without one."""
NEVER = ("seed", "task.kind", "task.bars", "task.volatility", "task.features", "task.bar",
         "task.rows", "task.corpus", "task.units")  # fmt: skip
"""Fields that are no settings."""
DIGEST, DIGITS = "model.digest", 8
"""Setting that tells models of one name apart, and how many digits of it are shown."""
COUPLED = {
    "loss": ("recipe.stop_on",),
    "task.tier": ("task.columns",),
    "model.d_model": ("model.d_ff",),
}
"""Setting -> those that may differ with it, because they follow it."""


def content_of(spec: Any) -> dict[str, Any]:  # noqa: ANN401 - any kind of spec
    """A spec in its canonical spelling as plain types."""
    return spec.canonical().model_dump(mode="json")


def value_at(content: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401
    """Value of a dotted field; `MISSING` if there is none.

    Examples
    --------
    >>> value_at({"model": {"embedding": {"kind": "none"}}}, "model.embedding.kind")
    'none'
    """
    node: Any = content
    for name in path.split("."):
        if not isinstance(node, Mapping) or name not in node:
            return MISSING
        node = node[name]
    return node


def stored_value(spec: Any, path: str) -> Any:  # noqa: ANN401 - any kind of spec, any value
    """Value of a dotted field of a stored spec, which is canonical, without writing all of it out.

    `MISSING` if there is none.
    """
    node = spec
    for name in path.split("."):
        known = getattr(type(node), "model_fields", node if isinstance(node, Mapping) else ())
        if name not in known:
            return MISSING
        node = node[name] if isinstance(node, Mapping) else getattr(node, name)
    return node.model_dump(mode="json") if hasattr(node, "model_dump") else node


def flat(content: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Dotted name -> value, of leaves and of everything that has a kind.

    Examples
    --------
    >>> sorted(flat({"loss": {"kind": "focal", "gamma": 2.0}, "seed": 1}))
    ['loss', 'loss.gamma', 'loss.kind', 'seed']
    """
    result: dict[str, Any] = {}
    for name, value in content.items():
        path = f"{before}{name}"
        if isinstance(value, Mapping):
            result |= {path: value} if "kind" in value and before + name != "task" else {}
            result |= flat(value, f"{path}.")
        else:
            result[path] = value
    return result


def differing(specs: Sequence[Any]) -> list[str]:
    """Dotted names of the settings in which some specs differ, the outermost of each."""
    distinct = {json.dumps({**content_of(spec), "seed": 0}): None for spec in specs}
    every = [flat(json.loads(text)) for text in distinct]
    paths = dict.fromkeys(path for one in every for path in one)
    result: list[str] = []
    for path in paths:
        entries = [one.get(path, MISSING) for one in every]
        values = {json.dumps(value, sort_keys=True, default=str) for value in entries}
        inside = any(path.startswith(f"{outer}.") for outer in result)
        if len(values) > 1 and path not in NEVER and not inside and not _of_one_kind(entries):
            result.append(path)
    return result


def own_settings(specs: Sequence[Any]) -> list[dict[str, str]]:
    """Dotted name -> value of the settings of each spec that differ and that no label names.

    Baselines have none: they differ by their names.
    """
    some = [spec for spec in specs if not spec.is_baseline]
    paths = [path for path in differing(some) if not _labelled(path, some)]
    if len({spec.label() for spec in some}) == len(some):
        paths = [path for path in paths if path != DIGEST]
    return [{} if spec.is_baseline else _values(content_of(spec), _read(spec, paths))
            for spec in specs]  # fmt: skip


def _read(spec: Any, paths: Sequence[str]) -> list[str]:  # noqa: ANN401
    """Settings that a run reads: what is no network has neither loss nor recipe."""
    return [p for p in paths if spec.model.is_network or p.split(".")[0] not in ("loss", "recipe")]


def _labelled(path: str, specs: Sequence[Any]) -> bool:
    return any(fnmatchcase(path, pattern) for spec in specs for pattern in spec.labelled)


def _values(content: Mapping[str, Any], paths: Sequence[str]) -> dict[str, str]:
    result = {path: value_at(content, path) for path in paths}
    return {
        path: words(value[:DIGITS] if path == DIGEST and isinstance(value, str) else value)
        for path, value in result.items()
        if value is not MISSING
    }


def settings_in_words(settings: Mapping[str, str]) -> str:
    """Settings behind a label; where two end alike, both by their whole names.

    Examples
    --------
    >>> settings_in_words({"recipe.learning_rate": "0.001", "recipe.epochs": "3"})
    'learning rate 0.001, epochs 3'
    >>> settings_in_words({"loss.teacher.weight": "0.5", "loss.extra.weight": "1"})
    'loss.teacher.weight 0.5, loss.extra.weight 1'
    """
    ends = Counter(map(short_name, settings))
    named = {p: short_name(p) if ends[short_name(p)] == 1 else p for p in settings}
    return ", ".join(f"{named[path]} {value}" for path, value in settings.items())


def full_labels(specs: Sequence[Any]) -> list[str]:
    """Labels of specs that are shown together, with every setting in which they differ."""
    return [", ".join(filter(None, [spec.label(), settings_in_words(own)]))
            for spec, own in zip(specs, own_settings(specs), strict=True)]  # fmt: skip


def short_name(path: str) -> str:
    """Last part of a dotted name, in words.

    Examples
    --------
    >>> short_name("recipe.learning_rate")
    'learning rate'
    """
    return path.rpartition(".")[2].replace("_", " ")


def _of_one_kind(values: Sequence[Any]) -> bool:
    """Whether all are settings of one kind, which differ further inside."""
    kinds = {value["kind"] if isinstance(value, Mapping) else MISSING for value in values}
    return len(kinds) == 1 and MISSING not in kinds


def resolve(path: str, specs: Sequence[Any]) -> str:
    """Full dotted name of a setting from its end, such as ``dropout`` or ``embedding.kind``.

    Raises
    ------
    TruenessError
        If no spec has such a field, or several fields end in that way.
    """
    known = dict.fromkeys(p for spec in specs for p in flat(content_of(spec)) if p not in NEVER)
    if path in known:
        return path
    matches = [one for one in known if one.endswith(f".{path}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise TruenessError(f"{path!r} is several settings: {', '.join(matches)}", "ambiguous")
    some = differing(specs)
    hint = f"these differ here: {', '.join(some)}" if some else "no setting differs here"
    raise TruenessError(f"no setting {path!r}; {nearest(path, list(known))}; {hint}",
                        "unknown_setting")  # fmt: skip


def words(value: Any) -> str:  # noqa: ANN401 - whatever a spec can hold
    """A value in few words.

    Examples
    --------
    >>> words({"kind": "focal", "gamma": 2.0}), words({"kind": "linear", "width": 16})
    ('focal gamma 2', 'linear 16')
    >>> words(1e-4), words(True), words(None)
    ('0.0001', 'true', 'none')
    """
    if isinstance(value, Mapping):
        rest = [
            words(v) if name == "width" else f"{name.replace('_', ' ')} {words(v)}"
            for name, v in value.items()
            if name != "kind"
        ]
        return " ".join([str(value.get("kind", "")), *rest]).strip()
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(words, value))
    return numbers.plain(value) if isinstance(value, int | float) else str(value)
