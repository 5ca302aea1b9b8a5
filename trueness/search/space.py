"""Search spaces: a spec with opened leaves.

    model.d_model: {one_of: [64, 96, 128]}
    recipe.learning_rate: {between: [2e-6, 5e-4], log: true}
    model.n_layers: {between: [2, 8]}                        whole numbers stay whole
    model.embedding: {one_of: [none, {kind: linear, width: {one_of: [8, 16, 32]}}]}

A choice may hold mappings with opened leaves of their own: those exist only where that choice was
made. Leaves are named by their dotted path; below a choice the name of the option stands in
brackets: ``model.embedding[linear].width``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from trueness.errors import SpecError

Scalar: TypeAlias = str | int | float | bool | None
MANY_LEVELS = 33
"""Steps of a range above which only some of them stand for it."""


@dataclass(frozen=True)
class Choice:
    """A leaf with a list of options; `labels` are what a sampler sees."""

    name: str
    options: tuple[Any, ...]

    @property
    def labels(self) -> tuple[Scalar, ...]:
        """Scalars stand for themselves, mappings for their kind, or for their JSON."""
        return tuple(_label(option, self.options) for option in self.options)


@dataclass(frozen=True)
class Range:
    """A leaf with numbers from `low` to `high`, both included."""

    name: str
    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def levels(self, count: int = 5) -> list[float]:
        """Values from the lowest to the highest: all if they are few, else evenly spaced ones.

        Examples
        --------
        >>> Range("", 2, 8, step=2).levels(), Range("", 1.0, 100.0, log=True).levels(3)
        ([2, 4, 6, 8], [1.0, 10.0, 100.0])
        """
        step = self.step or (1 if self.whole and not self.log else None)
        steps = 0 if step is None else int((self.high - self.low) / step + 1e-9)
        if step is not None and steps < MANY_LEVELS:
            return [self.low + k * step for k in range(steps + 1)]
        shares = [k / (count - 1) for k in range(count)]
        if self.log:
            values = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            values = [self.low + (self.high - self.low) * share for share in shares]
        if step is not None:
            values = [self.low + round((v - self.low) / step) * step for v in values]
        rounded = [round(v) for v in values] if self.whole else [*values[:-1], self.high]
        return list(dict.fromkeys(rounded))


Leaf: TypeAlias = Choice | Range
Ask: TypeAlias = Callable[[Leaf], Any]
"""Answers a leaf: the label of a choice, or a number."""


class Space:
    """A mapping of spec fields in which some leaves are open.

    Parameters
    ----------
    content : dict
        Nested mapping as a campaign holds it.

    Raises
    ------
    SpecError
        If a leaf is malformed, or none is open.

    Examples
    --------
    >>> space = Space({"model": {"n_layers": {"one_of": [2, 4]}, "dropout": 0.5}})
    >>> [leaf.name for leaf in space.leaves()]
    ['model.n_layers']
    >>> space.fill(lambda leaf: leaf.labels[0])
    ({'model': {'n_layers': 2, 'dropout': 0.5}}, {'model.n_layers': 2})
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        if not list(self.leaves()):
            raise SpecError(
                "the space has no opened leaf; write {one_of: [...]} or {between: [a, b]}"
            )

    def leaves(self) -> Iterator[Leaf]:
        """All leaves, those below choices included."""
        yield from _leaves(self.content, "")

    def fill(self, ask: Ask) -> tuple[dict[str, Any], dict[str, Any]]:
        """Close every leaf by asking for it.

        Returns
        -------
        content : dict
            Without opened leaves.
        parameters : dict
            Name of each leaf that exists under these choices -> its answer.
        """
        parameters: dict[str, Any] = {}

        def answer(leaf: Leaf) -> Any:  # noqa: ANN401
            parameters[leaf.name] = ask(leaf)
            return parameters[leaf.name]

        return _filled(self.content, "", answer), parameters

    def of(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Content of given parameters.

        Raises
        ------
        SpecError
            If a leaf that exists under these choices has no parameter.
        """

        def ask(leaf: Leaf) -> Any:  # noqa: ANN401
            if leaf.name not in parameters:
                raise SpecError(f"no value for {leaf.name}")
            return parameters[leaf.name]

        return self.fill(ask)[0]

    def points(self) -> Iterator[dict[str, Any]]:
        """Parameters of every combination of levels; some levels stand for a long range.

        Examples
        --------
        >>> inner = {"kind": "linear", "width": {"one_of": [8, 16]}}
        >>> [list(p.values()) for p in Space({"e": {"one_of": ["none", inner]}}).points()]
        [['none'], ['linear', 8], ['linear', 16]]
        """
        pending: list[tuple[Any, ...]] = [()]
        while pending:
            answers = pending.pop()
            rest, unanswered = list(answers), []

            def ask(leaf: Leaf, rest: list[Any] = rest, more: list[Leaf] = unanswered) -> Any:  # noqa: ANN401
                if rest:
                    return rest.pop(0)
                more.append(leaf)
                return levels(leaf)[0]

            _, parameters = self.fill(ask)
            if not unanswered:
                yield parameters
            else:
                further = reversed(levels(unanswered[0]))
                pending += [(*answers, level) for level in further]

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that differ between different spaces."""
        text = json.dumps(self.content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def levels(leaf: Leaf) -> list[Any]:
    """Answers of a leaf in order: all labels, or some numbers of a range."""
    return list(leaf.labels) if isinstance(leaf, Choice) else leaf.levels()


def described(leaf: Leaf) -> dict[str, Any]:
    """Levels or ends of a leaf, as a study remembers them."""
    if isinstance(leaf, Choice):
        return {"levels": list(leaf.labels)}
    return {"low": leaf.low, "high": leaf.high, "log": leaf.log}


def _label(option: Any, options: tuple[Any, ...]) -> Scalar:  # noqa: ANN401
    if not isinstance(option, dict | list):
        return option
    kind = option.get("kind") if isinstance(option, dict) else None
    same_kind = [o for o in options if isinstance(o, dict) and o.get("kind") == kind]
    if kind is not None and len(same_kind) == 1 and kind not in options:
        return str(kind)
    return json.dumps(option, sort_keys=True)


def _is_leaf(node: Any) -> bool:  # noqa: ANN401
    return isinstance(node, dict) and ("one_of" in node or "between" in node)


def _leaf(node: dict[str, Any], name: str) -> Leaf:
    if "one_of" in node:
        options = node["one_of"]
        if set(node) != {"one_of"} or not isinstance(options, list) or not options:
            raise SpecError(f"{name}: one_of must be a list of options, and stand alone")
        choice = Choice(name, tuple(options))
        if len(set(choice.labels)) != len(options):  # 8 and 8.0 are one option
            raise SpecError(f"{name}: one_of holds an option twice")
        return choice
    unknown = set(node) - {"between", "log", "step"}
    ends = node["between"]
    numbers = (
        isinstance(ends, list)
        and len(ends) == 2
        and all(isinstance(e, int | float) and not isinstance(e, bool) for e in ends)
    )
    if unknown or not numbers or not ends[0] < ends[1]:
        raise SpecError(f"{name}: between takes [low, high] with low < high, log and step only")
    log, step = node.get("log", False), node.get("step")
    if not isinstance(log, bool):
        raise SpecError(f"{name}: log must be true or false, not {log!r}")
    if log and (ends[0] <= 0 or step is not None):
        raise SpecError(f"{name}: a logarithmic range must lie above 0 and has no step")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int | float)):
        raise SpecError(f"{name}: step must be a number, not {step!r}")
    if all(isinstance(e, int) for e in ends) and step is not None and step != int(step):
        raise SpecError(f"{name}: between whole numbers the step is one too, not {step}")
    if step is not None and not 0 < step <= ends[1] - ends[0]:
        raise SpecError(f"{name}: step {step} must lie above 0 and within the range")
    return Range(name, ends[0], ends[1], log, step)


def _leaves(node: Any, name: str) -> Iterator[Leaf]:  # noqa: ANN401
    if not isinstance(node, dict):
        return
    if not _is_leaf(node):
        for key, value in node.items():
            yield from _leaves(value, f"{name}.{key}" if name else key)
        return
    leaf = _leaf(node, name)
    yield leaf
    if isinstance(leaf, Choice):
        for option, label in zip(leaf.options, leaf.labels, strict=True):
            yield from _leaves(option, f"{name}[{label}]")


def _filled(node: Any, name: str, answer: Ask) -> Any:  # noqa: ANN401
    if not isinstance(node, dict):
        return node
    if not _is_leaf(node):
        return {
            key: _filled(value, f"{name}.{key}" if name else key, answer)
            for key, value in node.items()
        }
    leaf = _leaf(node, name)
    chosen = answer(leaf)
    if isinstance(leaf, Range):
        return chosen
    if chosen not in leaf.labels:
        raise SpecError(f"{name}: {chosen!r} is none of {', '.join(map(str, leaf.labels))}")
    label = leaf.labels.index(chosen)
    return _filled(leaf.options[label], f"{name}[{chosen}]", answer)
