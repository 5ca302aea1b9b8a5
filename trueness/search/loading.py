"""Search spaces from files, fitted to their data, to a budget, or around a held configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trueness.campaign.context import make_context
from trueness.errors import CampaignError, SpecError
from trueness.expansion import expand_dotted_keys
from trueness.judge.settings import value_at
from trueness.models.budgets import WIDTHS, label_space, shapes_within
from trueness.search.definition import ARCHITECTURE, Search
from trueness.search.space import Space
from trueness.spec import Spec
from trueness.spec.kinds import spec_class
from trueness.tasks import Declaration, window_shape
from trueness.yamlfile import Part, Reader, bundled_file

FOLDER = Path(__file__).parents[1] / "spaces"
SIZELESS = ("model.d_ff", "model.d_ff_ratio", "model.dropout", "model.head_dropout")
"""Leaves of the model besides the architecture that may stay open under a budget."""
EXTRA_WIDTHS = (112, 144)
_TOP = ("search", "title", "data", "vix", "features", "space")


def load_search(
    name: str | Path = "published", *, budget: str | None = None, tier: str | None = None,
    horizon: int | None = None, protocol: str | None = None, recipe: str | None = None,
    epochs: int | None = None, data: str | Path | None = None, vix: str | Path | None = None,
    pin: Spec | None = None, vary: Sequence[str] = (),
) -> Search:  # fmt: skip
    """Read a search space and fit it to its data and budget.

    Parameters
    ----------
    name : str or Path
        A bundled space or a YAML file with `search`, `title`, `data`, `vix` and `space`.
    budget : str, optional
        ``2M``: true number of parameters within ten percent, d_ff solved; ``label:2M``: the levels
        that were published under that name.
    tier, horizon, protocol, recipe, epochs : optional
        In place of the space's own.
    data, vix : optional
        Bars and volatility index in place of the file's.
    pin : Spec, optional
        A configuration that is held; only the leaves named in `vary` stay open.
    vary : sequence of str
        Names of leaves, such as ``model.dropout`` or ``dropout``.

    Raises
    ------
    CampaignError, SpecError, DataError
        With the first mistake.
    """
    file = bundled_file("search", FOLDER, name)
    reader = Reader(file, "a search space is a mapping with `search:` and `space:`")
    top = reader.part_of_root()
    unknown = [key for key in top if key not in _TOP]
    if unknown or not isinstance(top.get("space"), dict):
        what = f"unknown field {unknown[0]!r}" if unknown else "no mapping `space:`"
        raise CampaignError(f"{file.name}: {what}; a search has {', '.join(_TOP)}")
    overrides = {"task.tier": tier, "task.horizon": horizon, "recipe.epochs": epochs}
    content = expand_dotted_keys(Part(dict(top["space"]), {})).content
    own = content.get("recipe", {})
    for path, value in overrides.items():
        content = content if value is None else _put(content, path, value)
    context = make_context(
        Declaration(file, reader, "space", Part(content, {})), top, {"data": data, "vix": vix},
        protocol=protocol, recipe=recipe,
    )  # fmt: skip
    usual_recipe = spec_class(context.kind).model_fields["recipe"].get_default(
        call_default_factory=True
    )  # fmt: skip
    usual = own.get("epochs", usual_recipe.epochs) if isinstance(own, dict) else None
    if pin is not None:
        content = _pinned(content, pin, vary)
    elif vary:
        raise SpecError("--vary names what changes around a held configuration; give --pin KEY")
    result = Search(
        _label(str(top.get("search") or file.stem), budget, tier, horizon, protocol, recipe,
               epochs, pin, vary),
        str(top.get("title") or file.stem), Space(content), context, _sources(file, top, data, vix),
        usual if epochs is not None and isinstance(usual, int) else None,
    )  # fmt: skip
    if not result.trains_networks():
        _refuse(file.stem, {"--budget": budget, "--epochs": epochs, "--recipe": recipe})
    result = result if budget is None else _with_budget(result, budget)
    result.any_valid()
    return named(result, result.name)


def _refuse(space: str, options: dict[str, object]) -> None:
    """Refuse options that only networks read."""
    option = next((name for name, value in options.items() if value is not None), None)
    if option is not None:
        raise SpecError(
            f"{option} is read by networks only; the space {space} holds none",
            "no_network",
        )


def _label(
    name: str, budget: str | None, tier: str | None, horizon: int | None, protocol: str | None,
    recipe: str | None, epochs: int | None, pin: Spec | None, vary: Sequence[str],
) -> str:  # fmt: skip
    """Name of a study: that of its space, and everything that was given in place of its own."""
    parts = [
        name, budget and budget.replace(":", "-"), tier, horizon and f"h{horizon}", protocol,
        recipe, epochs and f"{epochs}epochs", pin and f"pin-{pin.key}",
        *(one.rpartition(".")[2] for one in sorted(vary)),
    ]  # fmt: skip
    return re.sub(r"[^\w.-]+", "-", "-".join(str(part) for part in parts if part))


def _sources(
    file: Path, top: dict[str, Any], data: str | Path | None, vix: str | Path | None
) -> dict[str, str]:
    """Data as a campaign file names them: a word, or the whole path of a file."""
    keeps = data is None  # the file's index and features belong to its own bars
    named = {
        "data": top.get("data", "sp500") if keeps else data,
        "vix": vix if vix is not None or not keeps else top.get("vix"),
        "features": top.get("features") if keeps else None,
    }
    overridden = {"data": not keeps, "vix": vix is not None, "features": False}
    result = {}
    for key, source in named.items():
        if source is not None:
            sibling = file.parent / str(source)
            path = sibling if not overridden[key] and sibling.exists() else Path(str(source))
            result[key] = str(path.resolve()) if path.exists() else str(source)
    return result


def _put(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:  # noqa: ANN401
    """Mapping with another value at a dotted path, whatever stood there."""
    key, _, rest = path.partition(".")
    below = content.get(key)
    inside = below if isinstance(below, dict) else {}
    return {**content, key: _put(inside, rest, value) if rest else value}


def _pinned(content: dict[str, Any], pin: Spec, vary: Sequence[str]) -> dict[str, Any]:
    """A held configuration with the named leaves of the space opened again."""
    known = [leaf.name for leaf in Space(content).leaves() if "[" not in leaf.name]
    chosen = [[n for n in known if n == one or n.endswith(f".{one}")] for one in vary]
    if not vary or not all(chosen):
        wrong = next((one for one, matches in zip(vary, chosen, strict=True) if not matches), None)
        what = "--pin holds everything; --vary names" if wrong is None else f"no leaf {wrong!r}"
        raise SpecError(f"{what}; choose from {', '.join(sorted(known))}")
    held = pin.model_dump(mode="json", exclude_defaults=True)
    result = {k: v for k, v in held.items() if k in ("model", "loss", "recipe", "seed")}
    decided = ("kind", *pin.task.of_data)
    result["task"] = {k: v for k, v in held["task"].items() if k not in decided}
    if "evaluation" in content:
        result["evaluation"] = content["evaluation"]
    for name in (one for matches in chosen for one in matches):
        result = _put(result, name, value_at(content, name))
        if name == "model.d_ff_ratio":
            result["model"].pop("d_ff", None)
    return result


def _with_budget(search: Search, budget: str) -> Search:
    """Open the architecture to what meets a budget, or to published levels."""
    if budget.startswith("label:"):
        return _with_label(search, budget)
    for leaf in search.space.leaves():
        of_size = leaf.name.startswith("model") and leaf.name not in (*ARCHITECTURE, *SIZELESS)
        if of_size or leaf.name.startswith("task"):
            raise SpecError(f"a budget needs one {leaf.name}: it decides the number of parameters")
    spec = search.spec(search.any_valid())
    if not spec.model.sizes:
        raise SpecError(f"{search.name}: a budget cannot decide the size of {spec.model.kind}")
    shapes = shapes_within(
        budget, *window_shape(spec, search.context.data), base=spec.model,
        widths=tuple(sorted({*WIDTHS, *EXTRA_WIDTHS})),
    )  # fmt: skip
    model = {k: v for k, v in search.space.content["model"].items() if not k.startswith("d_ff")}
    model |= {
        "d_model": {"one_of": sorted({s.model.d_model for s in shapes})},
        "n_layers": {"one_of": sorted({s.model.n_layers for s in shapes})},
        "n_heads": {"one_of": sorted({k for s in shapes for k in s.heads})},
    }
    return replace(
        search, space=Space({**search.space.content, "model": model}), budget=budget,
        shapes={(s.model.d_model, s.model.n_layers): s for s in shapes},
    )  # fmt: skip


def _with_label(search: Search, budget: str) -> Search:
    content = search.space.content
    for name, values in label_space(budget).levels.items():
        section = "recipe" if name in ("learning_rate", "weight_decay") else "model"
        content = _put(content, f"{section}.{name}", {"one_of": list(values)})
    content["model"].pop("d_ff", None)
    return replace(search, space=Space(content), budget=budget)


def named(search: Search, name: str) -> Search:
    """The same search under another name.

    Raises
    ------
    SpecError
        If the name cannot be that of a file.
    """
    if re.fullmatch(r"\w[\w.-]{0,99}", name) is None:
        raise SpecError(f"name {name!r}: letters, digits, '.', '-' and '_' only, at most 100")
    return replace(search, name=name)
