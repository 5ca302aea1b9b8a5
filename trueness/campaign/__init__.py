"""Campaigns: declared experiments become validated specs before the first one starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trueness.errors import CampaignError, DataError, SpecError, nearest
from trueness.expansion import MOST, declared_name, expand, top_level
from trueness.market import Bars, Volatility, load_bars, load_volatility, resolve_evaluation
from trueness.market.inputs import chosen_rows
from trueness.own import pinned
from trueness.spec import (
    RECIPES,
    SEEDS,
    Recipe,
    Spec,
    default_baselines,
    explain_error,
    named_recipe,
)
from trueness.yamlfile import Part, Reader, merge

FOLDER = Path(__file__).parent.parent / "campaigns"
BASELINE_PRIORITY = "baseline"
MOST_SEED = 10**9


@dataclass(frozen=True)
class Entry:
    """One experiment of a campaign: its id, its priority and its spec."""

    id: str
    priority: str
    spec: Spec


@dataclass(frozen=True)
class Campaign:
    """An expanded campaign, the baselines its experiments are compared to, and its data."""

    name: str
    title: str
    baselines: tuple[Entry, ...]
    experiments: tuple[Entry, ...]
    bars: Bars
    volatility: Volatility | None
    folder: Path = Path()
    """Of its file, beside which own files lie."""

    def select(self, ids: list[str], priorities: list[str], tiers: list[str]) -> Campaign:
        """Experiments of the given ids, priorities and tiers, with their baselines.

        Raises
        ------
        CampaignError
            For a name that no experiment has.
        """
        kept = list(self.experiments)
        for what, wanted, of in (
            ("id", ids, lambda e: e.id.split("@")[0]),
            ("priority", priorities, lambda e: e.priority),
            ("tier", tiers, lambda e: e.spec.task.tier),
        ):
            known = list(dict.fromkeys(of(e) for e in self.experiments))
            for name in wanted:
                if name not in known:
                    raise CampaignError(
                        f"{self.name} has no {what} {name!r}; {nearest(name, known)}"
                    )
            kept = [e for e in kept if not wanted or of(e) in wanted]
        if not kept:
            raise CampaignError(
                f"{self.name}: no experiment has all of the given ids, priorities and tiers"
            )
        rungs = {entry.spec.key for entry in baselines_of(kept)}
        ladder = tuple(entry for entry in self.baselines if entry.spec.key in rungs)
        return replace(self, baselines=ladder, experiments=tuple(kept))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Baselines, then experiments."""
        return (*self.baselines, *self.experiments)

    def duplicate_specs(self) -> dict[str, list[str]]:
        """Key -> ids, for every run that several experiments share."""
        by_key: dict[str, list[str]] = {}
        for entry in self.entries:
            by_key.setdefault(entry.spec.key, []).append(entry.id)
        return {key: ids for key, ids in by_key.items() if len(ids) > 1}


def campaign_file(name: str | Path) -> Path:
    """File of a bundled campaign, or the path itself.

    Raises
    ------
    CampaignError
        If there is neither; the message lists the bundled ones.
    """
    bundled = {p.stem: p for p in sorted(FOLDER.glob("*.yaml"))}
    if str(name) in bundled:
        return bundled[str(name)]
    if Path(name).is_file():
        return Path(name)
    raise CampaignError(
        f"unknown campaign {str(name)!r}; {nearest(str(name), list(bundled))}, or give a YAML file"
    )


def bundled_campaigns() -> list[dict[str, Any]]:
    """Name, title and number of experiments of every bundled campaign."""
    rows = []
    for file in sorted(FOLDER.glob("*.yaml")):
        reader = Reader(file)
        top = top_level(reader)
        count = sum(1 for _ in expand(reader, top))
        rows.append(
            {
                "campaign": file.stem,
                "experiments": count,
                "title": str(top.content.get("title", "")),
            }
        )
    return rows


def campaign_name(name: str | Path) -> str:
    """Name under which the runs of a campaign are stored."""
    file = campaign_file(name)
    reader = Reader(file)
    return declared_name(reader, top_level(reader), file.stem)


def load_campaign(
    name: str | Path,
    *,
    data: str | Path | None = None,
    vix: str | Path | None = None,
    protocol: str | None = None,
    recipe: str | None = None,
    seeds: int | None = None,
) -> Campaign:
    """Expand a campaign and validate every spec before anything starts.

    Parameters
    ----------
    name : str or Path
        A bundled campaign or a YAML file.
    data, vix : str or Path, optional
        Bars and volatility index in place of the campaign's own.
    protocol : {"mission", "walk_forward"}, optional
        In place of the campaign's own; dates that it leaves open come from the data.
    recipe : {"mission", "fair"}, optional
        In place of the campaign's own; what an experiment says of its recipe stays on top.
    seeds : int, optional
        Replicates of every experiment: its seed, the next, and so on; as many as its recipe asks
        for by default.

    Returns
    -------
    Campaign

    Raises
    ------
    CampaignError
        With file, line and field of the first mistake.
    DataError
        If the data cannot be read.

    Examples
    --------
    >>> campaign = load_campaign("demo")
    >>> [entry.id for entry in campaign.experiments]
    ['D-01', 'D-02', 'D-03', 'D-04']
    """
    if seeds is not None and (isinstance(seeds, bool) or not 1 <= seeds <= MOST):
        raise CampaignError(f"{seeds} seeds; give 1 to {MOST}")
    file = campaign_file(name)
    reader = Reader(file)
    top = top_level(reader)
    if "corpus" in top.content:
        raise CampaignError(f"{file.name} is a campaign on titles; try `trueness text run {name}`")
    ground = make_ground(file, reader, top.content, data, vix, protocol, recipe)
    entries = []
    for id_, priority, part in expand(reader, top):
        spec, named = ground.spec(id_, part)
        count = seeds or SEEDS.get(named, 1)
        if spec.seed + count - 1 > MOST_SEED:
            line = part.line(("seed",))
            raise reader.fail(line, f"{id_}: the last of {count} seeds is above {MOST_SEED:,}")
        for extra in range(count):
            one = spec.model_copy(update={"seed": spec.seed + extra})
            entries.append(Entry(id_ if not extra else f"{id_}@{one.seed}", priority, one))
    label = declared_name(reader, top, file.stem)
    title = str(top.content.get("title", label))
    return Campaign(
        label, title, baselines_of(entries), tuple(entries), ground.bars, ground.volatility,
        ground.file.parent,
    )  # fmt: skip


@dataclass(frozen=True)
class Ground:
    """What all experiments of a file stand on: its data, and what the caller overrides."""

    file: Path
    reader: Reader
    bars: Bars
    volatility: Volatility | None
    protocol: str | None
    recipe: str | None

    def spec(self, id_: str, part: Part) -> tuple[Spec, str | None]:
        """Validated spec of an experiment, and the name of its recipe.

        Raises
        ------
        CampaignError
            With file, line and field of the first mistake.
        """
        outside: dict[str, Any] = {"task": {"kind": "market", "bars": self.bars.digest}}
        if self.volatility is not None:
            outside["task"]["volatility"] = self.volatility.digest
        content = _merge_outside(self.reader, id_, part, outside)
        _read_tier(self.file, self.reader, id_, part, content["task"])
        evaluation = _evaluation(content.get("evaluation", {}), self.protocol, self.bars)
        content["evaluation"] = evaluation
        named = _name_recipe(self.reader, id_, part, content, self.recipe)
        spec = _validated(self.reader, id_, replace(part, content=content))
        spec = _pinned(self.file.parent, self.reader, id_, part, spec)
        return _with_recipe(spec, named), named


def make_ground(
    file: Path, reader: Reader, top: dict[str, Any], data: str | Path | None,
    vix: str | Path | None, protocol: str | None, recipe: str | None,
) -> Ground:  # fmt: skip
    """Load the data that a file names, or those that the caller gives in their place."""
    given = data is not None or vix is not None
    bars = load_bars(_relative(file, top.get("data", "sp500")) if data is None else data)
    vix = vix if vix is not None or data is not None else top.get("vix")
    volatility = None if vix is None else load_volatility(vix if given else _relative(file, vix))
    return Ground(file, reader, bars, volatility, protocol, recipe)


def _merge_outside(reader: Reader, id_: str, part: Part, outside: dict[str, Any]) -> dict[str, Any]:
    """Content of an experiment with the digests of its data."""
    for section in ("task", "evaluation"):
        if not isinstance(part.content.get(section, {}), dict):
            line = part.line((section,))
            raise reader.fail(line, f"{id_}: {section} must be a mapping of names to values")
    task = part.content.get("task", {})
    if task.get("kind", "market") != "market":
        raise reader.fail(part.line(("task", "kind")), f"{id_}: task.kind: choose from market")
    for name, flag in (("bars", "--data"), ("volatility", "--vix")):
        if name in task:
            line = part.line(("task", name))
            raise reader.fail(line, f"{id_}: task.{name} is set by `{flag[2:]}:` or {flag}")
    return merge(part.content, outside)


def _read_tier(file: Path, reader: Reader, id_: str, part: Part, task: dict[str, Any]) -> None:
    """Put the name and the columns of a tier file in the place of its path."""
    tier = task.get("tier")
    if not isinstance(tier, str) or not tier.endswith((".yaml", ".yml")):
        return
    path = Path(_relative(file, tier))
    content = Reader(path).part_of_root() if path.is_file() else {}
    columns, name = content.get("columns"), content.get("tier")
    if not isinstance(columns, list) or not isinstance(name, str):
        line = part.line(("task", "tier"))
        raise reader.fail(
            line,
            f"{id_}: task.tier: {tier} is not a tier file; `trueness features reduce` makes one",
        )
    task |= {"tier": name, "columns": columns}


def _relative(file: Path, source: str | Path) -> str | Path:
    """A data path in a campaign file is relative to that file."""
    beside = file.parent / str(source)
    return beside if beside.is_file() else str(source)


def _evaluation(content: dict[str, Any], protocol: str | None, bars: Bars) -> dict[str, Any]:
    if protocol is not None and content.get("protocol") != protocol:
        shared = {
            k: v
            for k, v in content.items()
            if k in ("alarms", "alarm_rate_pct", "confidence_pct", "block_days")
        }
        content = {**shared, "protocol": protocol}
    return resolve_evaluation({"protocol": "mission", **content}, bars)


def _name_recipe(
    reader: Reader, id_: str, part: Part, content: dict[str, Any], override: str | None
) -> str | None:
    """Take the name of a recipe out of `content`; what else it says there stays."""
    own = content.get("recipe", {})
    if not isinstance(own, dict):
        return None
    name = own.get("name") if override is None else override
    if name is not None and (not isinstance(name, str) or name not in RECIPES):
        line = 1 if override is not None else part.line(("recipe", "name"))
        hint = nearest(str(name), list(RECIPES))
        raise reader.fail(line, f"{id_}: recipe.name: unknown recipe {name!r}; {hint}")
    content["recipe"] = {k: v for k, v in own.items() if k != "name"}
    return name


def _pinned(folder: Path, reader: Reader, id_: str, part: Part, spec: Spec) -> Spec:
    """The spec with the version of the code that its model refers to."""
    try:
        return spec.model_copy(update={"model": pinned(spec.model, folder)})
    except SpecError as error:
        failure = reader.fail(part.line(("model",)), f"{id_}: model: {error}")
        failure.code = error.code
        raise failure from None


def _with_recipe(spec: Spec, name: str | None) -> Spec:
    """The spec with a named recipe beneath what it says itself."""
    if name is None or not spec.model.is_network:
        return spec
    given = spec.recipe.model_dump(include=spec.recipe.model_fields_set)
    return spec.model_copy(
        update={"recipe": Recipe(**{**named_recipe(name, spec.loss.kind), **given})}
    )


def baselines_of(experiments: list[Entry]) -> tuple[Entry, ...]:
    """The baselines of every distinct task and evaluation, in order of first appearance."""
    rungs: dict[str, Entry] = {}
    names: dict[str, int] = {}
    for spec in (entry.spec for entry in experiments):
        for model in default_baselines():
            one = Spec(task=spec.task, model=model, evaluation=spec.evaluation)
            if one.key not in rungs:
                name = f"{spec.task.tier}/{model.kind}"
                names[name] = names.get(name, 0) + 1
                name = name if names[name] == 1 else f"{name}~{names[name]}"
                rungs[one.key] = Entry(name, BASELINE_PRIORITY, one)
    return tuple(rungs.values())


# --------------------------------------------------------------------------------------- validating


def _validated(reader: Reader, id_: str, part: Part) -> Spec:
    try:
        spec = Spec.model_validate(part.content)
        chosen_rows(spec.task)
    except ValidationError as error:
        first = error.errors()[0]
        path, message = explain_error(part.content, dict(first))
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise reader.fail(part.line(path), f"{id_}: {'.'.join(path)}: {message}{more}") from None
    except DataError as error:
        raise reader.fail(part.line(("task", "tier")), f"{id_}: task.tier: {error}") from None
    return spec
