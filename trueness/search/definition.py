"""What is searched: a space on its data and under its budget, and how parameters become a spec."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from trueness.campaign.context import CampaignContext
from trueness.errors import CampaignError, SpecError
from trueness.expansion import expand_dotted_keys
from trueness.models.budgets import SolvedShape
from trueness.search.space import Leaf, Space, levels
from trueness.spec import Spec
from trueness.yamlfile import Part

ARCHITECTURE = ("model.d_model", "model.n_layers", "model.n_heads")
TRIED = 3000
"""Combinations that are tried before a space counts as one without a valid one."""


@dataclass(frozen=True)
class Search:
    """A space on its data, and how parameters become a spec.

    Attributes
    ----------
    name, title : str
        The name is that of the study and of the campaign under which its runs are stored.
    space : Space
    context : CampaignContext
        Data, protocol and recipe.
    sources : dict of str to str
        Where the data come from, as a campaign file names them.
    full_epochs : int or None
        Epochs of the space's own recipe, where fewer were asked for.
    budget : str or None
    shapes : dict
        Under a budget, (d_model, n_layers) -> the network that meets it.
    """

    name: str
    title: str
    space: Space
    context: CampaignContext
    sources: dict[str, str] = field(default_factory=dict)
    full_epochs: int | None = None
    budget: str | None = None
    shapes: dict[tuple[int, int], SolvedShape] = field(default_factory=dict)

    def spec(self, parameters: dict[str, Any]) -> Any:  # noqa: ANN401 - of the kind of the task
        """Spec of one trial.

        Raises
        ------
        SpecError
            If the parameters make no valid network.
        """
        content = self.space.of(parameters)
        model = content.get("model")
        if isinstance(model, dict):
            content = {**content, "model": self._whole(dict(model))}
        try:
            return self.context.spec("trial", expand_dotted_keys(Part(content, {})))[0]
        except CampaignError as error:
            raise SpecError(str(error).split("trial: ", 1)[-1]) from None

    def is_valid(self, parameters: dict[str, Any]) -> bool:
        """Whether the parameters make a valid network."""
        try:
            self.spec(parameters)
        except SpecError:
            return False
        return True

    def trains_networks(self) -> bool:
        """Whether a model of the space is a network; others have neither weights nor epochs."""
        return any(spec.model.is_network for spec in self._models())

    def _models(self) -> Iterator[Spec]:
        """A spec of each kind of model that the space holds, those that can be built."""
        kinds = next((leaf for leaf in self.space.leaves() if leaf.name == "model"), None)
        if kinds is None:
            yield self.spec(self.any_valid())
            return
        for kind in levels(kinds):
            parameters = self._answered({"model": kind})
            if self.is_valid(parameters):
                yield self.spec(parameters)

    def _whole(self, model: dict[str, Any]) -> dict[str, Any]:
        """Inner width from its ratio, or solved for by the budget."""
        ratio, width = model.pop("d_ff_ratio", None), model.get("d_model")
        if ratio is not None:
            if not isinstance(ratio, int | float) or not isinstance(width, int):
                raise SpecError("model.d_ff_ratio needs a number, and model.d_model")
            model["d_ff"] = round(ratio * width)
        if self.shapes:
            solved = self.shapes.get((model["d_model"], model["n_layers"]))
            if solved is None:
                raise SpecError(
                    f"d_model {width} with {model['n_layers']} layers cannot meet {self.budget}"
                )
            model["d_ff"] = solved.model.d_ff
        return model

    def triples(self, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The same parameters with every architecture, the nearest in levels first."""
        ordered = {
            leaf.name: levels(leaf) for leaf in self.space.leaves() if leaf.name in ARCHITECTURE
        }
        here = [_nearest_level(steps, parameters[name]) for name, steps in ordered.items()]
        places = itertools.product(*(range(len(steps)) for steps in ordered.values()))

        def distance(place: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
            return sum(abs(a - b) for a, b in zip(place, here, strict=True)), place

        for place in sorted(places, key=distance):
            chosen = {n: ordered[n][i] for n, i in zip(ordered, place, strict=True)}
            if self._may_be(chosen):
                yield {**parameters, **chosen}

    def _may_be(self, chosen: dict[str, Any]) -> bool:
        """Whether an architecture is not refused at first sight."""
        width, depth, heads = (chosen.get(name) for name in ARCHITECTURE)
        if isinstance(width, int) and isinstance(heads, int) and heads > 0 and width % heads:
            return False
        return not self.shapes or (width, depth) in self.shapes

    def forced(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Least and largest width, depth and heads, everything else in the middle."""
        for leaf in self.space.leaves():
            if leaf.name not in ARCHITECTURE:
                continue
            for which, end in (("min", 0), ("max", -1)):
                wanted = {**self.middle(), leaf.name: levels(leaf)[end]}
                valid = (
                    c for c in self.triples(wanted)
                    if c[leaf.name] == wanted[leaf.name] and self.is_valid(c)
                )  # fmt: skip
                result = next(valid, None)
                if result is not None:
                    yield f"{which}_{leaf.name.removeprefix('model.')}", result

    def middle(self) -> dict[str, Any]:
        """Middle level of every leaf."""
        return self._answered({})

    def _answered(self, answers: dict[str, Any]) -> dict[str, Any]:
        """Given levels, and the middle one of every other leaf."""

        def ask(leaf: Leaf) -> Any:  # noqa: ANN401
            steps = levels(leaf)
            return answers.get(leaf.name, steps[len(steps) // 2])

        return self.space.fill(ask)[1]

    def any_valid(self) -> dict[str, Any]:
        """Valid parameters, near the middle if there are some.

        Raises
        ------
        SpecError
            If nothing in the space can be built.
        """
        middle = self.middle()
        tried = itertools.chain(self.triples(middle), self.space.points())
        for parameters in itertools.islice(tried, TRIED):
            if self.is_valid(parameters):
                return parameters
        try:
            self.spec(middle)
            reason = ""
        except SpecError as error:
            reason = f"; its middle: {error}"
        raise SpecError(f"{self.name}: the space has no valid combination{reason}")


def _nearest_level(steps: list[Any], value: Any) -> int:  # noqa: ANN401
    """Place of the level that is nearest to a value."""
    if value in steps or not isinstance(value, int | float):
        return steps.index(value) if value in steps else 0
    numbers = [s if isinstance(s, int | float) else float("inf") for s in steps]
    return min(range(len(steps)), key=lambda i: abs(numbers[i] - value))
