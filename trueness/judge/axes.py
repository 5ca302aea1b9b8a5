"""Axes along which runs are compared: what may differ, its name, and which run is the reference.

A reference is fixed by the axis (bce, no embedding, the mission's depth, width, heads and dropout)
or by what is there (the smallest tier).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trueness.errors import TruenessError
from trueness.spec import PatchTST, Shape, Spec
from trueness.store import Run

MISSION = PatchTST(kind="patchtst")


@dataclass(frozen=True)
class Axis:
    """What may differ between two runs of a pair, and which of the two is the reference."""

    reference: str
    label: Callable[[Spec], str]
    loosen: Callable[[dict[str, Any]], None]
    is_reference: Callable[[Spec], bool]
    takes: Callable[[Spec], bool] = lambda _: True

    def signature(self, spec: Spec) -> str:
        """Everything else; two runs of equal signature make a pair."""
        content = spec.canonical().model_dump(mode="json")
        self.loosen(content)
        return json.dumps(content, sort_keys=True)


def words(shape: Shape) -> str:
    """Kind and settings of a loss or an embedding.

    Examples
    --------
    >>> from trueness.spec import Focal, LinearEmbedding
    >>> words(Focal(kind="focal")), words(LinearEmbedding(kind="linear", width=16))
    ('focal gamma 2 alpha 0.25', 'linear 16')
    """
    content = shape.model_dump(mode="json")
    settings = [
        f"{value}" if name == "width" else f"{name.replace('_', ' ')} {_plain(value)}"
        for name, value in content.items()
        if name != "kind"
    ]
    return " ".join([str(content["kind"]), *settings])


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _without(section: str, *names: str) -> Callable[[dict[str, Any]], None]:
    """Remove fields of a section."""

    def loosen(content: dict[str, Any]) -> None:
        for name in names:
            content[section].pop(name)

    return loosen


def _loss(_: list[Run]) -> list[Axis]:
    def loosen(content: dict[str, Any]) -> None:
        del content["loss"], content["recipe"]["stop_on"]

    return [
        Axis("bce", lambda s: words(s.canonical().loss), loosen,
             lambda s: s.canonical().loss.kind == "bce"),
    ]  # fmt: skip


def _embedding(_: list[Run]) -> list[Axis]:
    def same_width(content: dict[str, Any]) -> None:
        embedding = content["model"]["embedding"]
        content["model"]["embedding"] = embedding.get("width")

    def label(spec: Spec) -> str:
        return f"{spec.task.tier} {words(_network(spec).embedding)}"

    def kind(spec: Spec) -> str:
        return _network(spec).embedding.kind

    return [
        Axis("no embedding", label, _without("model", "embedding"), lambda s: kind(s) == "none"),
        Axis("linear of the same width", label, same_width, lambda s: kind(s) == "linear",
             lambda s: kind(s) not in ("none", "linear")),
    ]  # fmt: skip


def _tier(runs: list[Run]) -> list[Axis]:
    """The smallest tier first, then each but the largest, for specs that the smallest lacks."""
    size: dict[str, int] = {}
    for run in sorted(runs, key=lambda r: (len(r.record["features"]), r.spec.task.tier)):
        size.setdefault(run.spec.task.tier, len(size))
    return [_above(tier, size) for tier in list(size)[: max(1, len(size) - 1)]]


def _above(tier: str, size: dict[str, int]) -> Axis:
    """Larger tiers against this one."""
    return Axis(
        f"tier {tier}", lambda s: s.task.tier, _without("task", "tier", "columns"),
        lambda s: s.task.tier == tier, lambda s: size.get(s.task.tier, 0) >= size[tier],
    )  # fmt: skip


def _network(spec: Spec) -> PatchTST:
    if not isinstance(spec.model, PatchTST):
        raise TruenessError(f"{spec.key}: a {spec.model.kind} run is no network")
    return spec.model


def _field(name: str, text: str) -> Callable[[list[Run]], list[Axis]]:
    """Axis of one number of the network; the mission's is the reference."""
    usual = getattr(MISSION, name)

    def axes(_: list[Run]) -> list[Axis]:
        return [
            Axis(text.format(usual), lambda s: text.format(getattr(s.model, name)),
                 _without("model", name), lambda s: getattr(s.model, name) == usual),
        ]  # fmt: skip

    return axes


def _width(_: list[Run]) -> list[Axis]:
    def label(spec: Spec) -> str:
        model = _network(spec)
        plain = model.d_ff == 4 * model.d_model
        return f"d_model {model.d_model}" + ("" if plain else f" d_ff {model.d_ff}")

    def usual(spec: Spec) -> bool:
        model = _network(spec)
        return (model.d_model, model.d_ff) == (MISSION.d_model, MISSION.d_ff)

    loosen = _without("model", "d_model", "d_ff")
    return [Axis(f"d_model {MISSION.d_model}", label, loosen, usual)]


AXES: dict[str, Callable[[list[Run]], list[Axis]]] = {
    "loss": _loss,
    "tier": _tier,
    "embedding": _embedding,
    "depth": _field("n_layers", "n_layers {}"),
    "width": _width,
    "heads": _field("n_heads", "n_heads {}"),
    "dropout": _field("dropout", "dropout {:g}"),
}
