"""Along which setting runs are compared, and which run is the reference of which."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trueness.errors import TruenessError
from trueness.judge.settings import COUPLED, MISSING, content_of, resolve, value_at, words
from trueness.store import Run


@dataclass(frozen=True)
class Axis:
    """A setting that may differ between the two runs of a pair, and the value of the reference.

    A `path` that ends in ``.kind`` compares kinds: of the rest of the setting, only the fields that
    the reference has as well have to be equal, such as the width of an embedding.
    """

    path: str
    value: Any
    shared: frozenset[str] = frozenset()

    @property
    def reference(self) -> str:
        """What the reference is called."""
        return words(self.value)

    def label(self, run: Run) -> str:
        """What the value of a run is called."""
        return words(value_at(content_of(run.spec), self.path))

    def is_reference(self, run: Run) -> bool:
        """Whether a run has the value of the reference."""
        return value_at(content_of(run.spec), self.path) == self.value

    def applies(self, run: Run) -> bool:
        """Whether a run has the setting at all."""
        return value_at(content_of(run.spec), self.path) is not MISSING

    def besides(self, run: Run, other: Run) -> list[str]:
        """Settings that follow this one and differ between two runs."""
        mine, theirs = content_of(run.spec), content_of(other.spec)
        return [
            path
            for path in COUPLED.get(self.path, ())
            if value_at(mine, path) != value_at(theirs, path)
        ]

    def signature(self, run: Run) -> str:
        """Everything else; two runs of equal signature make a pair."""
        content = content_of(run.spec)
        outer, _, last = self.path.rpartition(".")
        node = value_at(content, outer) if outer else content
        if last == "kind":
            kept = {name: v for name, v in node.items() if name in self.shared}
            node.clear()
            node.update(kept)
        else:
            del node[last]
        for coupled in COUPLED.get(self.path, ()):
            section, _, name = coupled.rpartition(".")
            value_at(content, section).pop(name, None)
        return json.dumps(content, sort_keys=True)


def axis_of(path: str, runs: Sequence[Run], reference: str | None = None) -> Axis:
    """Axis of a setting; the reference is its default, or else its most frequent value.

    Raises
    ------
    TruenessError
        If no run has the setting, or none the value of the reference.
    """
    path = resolve(path, [run.spec for run in runs])
    values = [value_at(content_of(run.spec), path) for run in runs]
    known = [value for value in values if value is not MISSING]
    value = _chosen(path, known, reference) if reference else _usual(path, known, runs)
    shared: frozenset[str] = frozenset()
    if path.endswith(".kind"):
        of = next(r for r, v in zip(runs, values, strict=True) if v == value)
        shared = frozenset(value_at(content_of(of.spec), path.rpartition(".")[0])) - {"kind"}
    return Axis(path, value, shared)


def _chosen(path: str, known: Sequence[Any], reference: str) -> Any:  # noqa: ANN401
    for value in known:
        if reference in (words(value), json.dumps(value)) or (
            isinstance(value, dict) and list(value) == ["kind"] and value["kind"] == reference
        ):
            return value
    shown = ", ".join(dict.fromkeys(words(value) for value in known))
    raise TruenessError(f"no run has {path} {reference!r}; there are {shown}", "no_reference")


def _usual(path: str, known: Sequence[Any], runs: Sequence[Run]) -> Any:  # noqa: ANN401
    """The default of a setting if some run has it, else the most frequent value."""
    for run in runs:
        changed = run.spec.canonical().model_dump(mode="json", exclude_defaults=True)
        value = value_at(content_of(run.spec), path)
        if value is not MISSING and value_at(changed, path) is MISSING:
            return value
    counts = Counter(json.dumps(value, sort_keys=True) for value in known)
    most = max(counts, key=lambda one: counts[one])
    return json.loads(most)
