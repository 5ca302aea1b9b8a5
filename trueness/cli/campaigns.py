"""Options that say which experiments of a campaign are meant, on which data."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from trueness.cli.options import (
    Data,
    Features,
    Ids,
    Priorities,
    Protocol,
    Recipe,
    Seeds,
    StrictInt,
    Tiers,
    Vix,
    progress,
)
from trueness.cli.output import console
from trueness.errors import SpecError

if TYPE_CHECKING:
    from trueness.campaign import Campaign
    from trueness.store import Store

Settings = Annotated[
    list[str] | None,
    Parameter(
        name="--set", negative=(),
        help="Any field of the spec of every experiment, as recipe.learning_rate=3e-4; repeatable.",
    ),
]  # fmt: skip
Epochs = Annotated[
    StrictInt | None,
    Parameter(name="--epochs", help="Epochs at most, in place of the campaign's own."),
]


@Parameter(name="*")
@dataclass(frozen=True)
class Experiments:
    """Which experiments of a campaign, and what is overridden."""

    ids: Ids = None
    priorities: Priorities = None
    tiers: Tiers = None
    seeds: Seeds = None
    protocol: Protocol = None
    recipe: Recipe = None
    epochs: Epochs = None
    settings: Settings = None
    data: Data = None
    vix: Vix = None
    features: Features = None

    @property
    def chosen(self) -> bool:
        """Whether experiments were chosen by name."""
        return bool(self.ids or self.priorities or self.tiers)

    def campaign(
        self, name: str, needed: bool = True, store: Store | None = None, update: bool = False
    ) -> Campaign:
        """The campaign that is meant; `needed` is False if nothing is computed from its data.

        Dates that it leaves open are those of its runs in `store`; see `load_campaign`.
        """
        from trueness.campaign import load_campaign

        content = parsed_settings(self.settings)
        if self.epochs is not None:
            if "epochs" in content.get("recipe", {}):
                raise SpecError("--epochs and --set recipe.epochs say the same; give one",
                                "setting")  # fmt: skip
            content = {**content, "recipe": {**content.get("recipe", {}), "epochs": self.epochs}}
        with _progress_of_data() as note:
            campaign = load_campaign(
                name, data=self.data, vix=self.vix, features=self.features,
                protocol=self.protocol, recipe=self.recipe, seeds=self.seeds, settings=content,
                needed=needed, callback=note, store=store, update=update,
            )  # fmt: skip
        return campaign.select(*(names or () for names in (self.ids, self.priorities, self.tiers)))

    def command(self, campaign: str) -> str:
        """What carries the same experiments out."""
        from trueness.cli.suggestions import command

        words = {
            "--id": self.ids, "--priority": self.priorities, "--tier": self.tiers,
            "--seeds": self.seeds, "--protocol": self.protocol, "--recipe": self.recipe,
            "--epochs": self.epochs, "--set": self.settings,
        }  # fmt: skip
        options = [
            word
            for option, value in words.items()
            if value is not None
            for one in (value if isinstance(value, list) else [value])
            for word in (option, str(one))
        ]
        return command("run", campaign, *options)


ALL = Experiments()


@contextmanager
def _progress_of_data() -> Generator[Any]:
    """A bar on a terminal for data that are made before anything is trained."""
    if not console(err=True).is_terminal:
        yield None
        return
    with progress() as shown:
        yield shown


def parsed_settings(settings: list[str] | None) -> dict[str, Any]:
    """``["seed=7", "loss.groups.kind=dro"]`` as part of a spec."""
    from trueness.yamlfile import merge, nested

    content: dict[str, Any] = {}
    for setting in settings or []:
        path, equals, text = setting.partition("=")
        if not equals or not all(path.split(".")) or not text:
            raise SpecError(f"--set {setting!r}: write a field and a value, as seed=7", "setting")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        content = merge(content, nested(path, value))
    return content
