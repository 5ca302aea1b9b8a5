"""Campaign files: YAML to a list of validated specs, with the line of every mistake.

    campaign: demo                      name, as used on the command line
    title: ...
    data: sp500                         or a file; `--data` overrides
    defaults: {...}                     part of a spec, under every experiment
    bases: {small: {...}}               named parts; `base: small` or `base: [a, b]` applies them
    experiments:
      - {id: D-01, priority: P1, base: small, task.tier: a20}
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from trueness.errors import CampaignError, DataError, nearest
from trueness.market import Bars, Volatility, load_bars, load_volatility, resolve_evaluation
from trueness.market.inputs import chosen_rows
from trueness.spec import Baseline, Spec, explain_error
from trueness.yamlfile import KeyPath, Part, Reader, merge

FOLDER = Path(__file__).parent / "campaigns"
BASELINE_PRIORITY = "baseline"
MOST = 10_000
"""Experiments in one entry, and replicates of one."""
_SECTIONS = tuple(Spec.model_fields)
_TOP = ("campaign", "title", "data", "vix", "defaults", "bases", "experiments")


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
        rungs = {entry.spec.key for entry in _baselines(kept)}
        ladder = tuple(entry for entry in self.baselines if entry.spec.key in rungs)
        return replace(self, baselines=ladder, experiments=tuple(kept))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Baselines, then experiments."""
        return (*self.baselines, *self.experiments)

    def twins(self) -> dict[str, list[str]]:
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
        top = _top_level(reader)
        count = sum(1 for _ in _expand(reader, top))
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
    return _name(reader, _top_level(reader), file.stem)


def load_campaign(
    name: str | Path,
    *,
    data: str | Path | None = None,
    vix: str | Path | None = None,
    protocol: str | None = None,
    seeds: int = 1,
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
    seeds : int
        Replicates of every experiment: its seed, the next, and so on.

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
    if seeds < 1:
        raise CampaignError(f"{seeds} seeds; give at least 1")
    if seeds > MOST:
        raise CampaignError(f"{seeds} seeds; give at most {MOST}")
    file = campaign_file(name)
    reader = Reader(file)
    top = _top_level(reader)
    where = [p for p in (data, vix) if p is not None]
    bars = load_bars(_relative(file, top.content.get("data", "sp500")) if data is None else data)
    vix = vix if vix is not None or data is not None else top.content.get("vix")
    volatility = None if vix is None else load_volatility(vix if where else _relative(file, vix))
    outside = {"task": {"kind": "market", "bars": bars.digest}}
    if volatility is not None:
        outside["task"]["volatility"] = volatility.digest
    entries = []
    for id_, priority, part in _expand(reader, top):
        content = _merge_outside(reader, id_, part, outside)
        _read_tier(file, reader, id_, part, content["task"])
        content["evaluation"] = _evaluation(content.get("evaluation", {}), protocol, bars)
        spec = _validated(reader, id_, replace(part, content=content))
        for extra in range(seeds):
            one = spec.model_copy(update={"seed": spec.seed + extra})
            entries.append(Entry(id_ if not extra else f"{id_}@{one.seed}", priority, one))
    label = _name(reader, top, file.stem)
    title = str(top.content.get("title", label))
    return Campaign(label, title, _baselines(entries), tuple(entries), bars, volatility)


def _name(reader: Reader, top: Part, stem: str) -> str:
    """Name of the campaign, which also names a file of the store."""
    name = str(top.content.get("campaign", stem))
    if re.fullmatch(r"\w[\w.-]{0,99}", name) is None:
        line = top.line(("campaign",))
        raise reader.fail(line, f"campaign name {name!r}: letters, digits, '.', '-' and '_' only")
    return name


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


def _top_level(reader: Reader) -> Part:
    root = reader.root()
    part = Part({}, {})
    for key, node, line in reader.pairs(root, "campaign"):
        if key not in _TOP:
            raise reader.fail(line, f"unknown field {key!r}; {nearest(key, list(_TOP))}")
        part.lines[(key,)] = line
        if key == "experiments":
            part.content[key] = reader.items(node, "experiments")
        elif key == "bases":
            part.content[key] = {name: reader.part(n) for name, n, _ in reader.pairs(node, "bases")}
        elif key == "defaults":
            part.content[key] = reader.part(node)
        else:
            part.content[key] = reader.value(node, (key,), {})
    if not part.content.get("experiments"):
        raise reader.fail(1, "no experiments; list at least one under `experiments:`")
    return part


# ---------------------------------------------------------------------------------------- expanding


def _expand(reader: Reader, top: Part) -> Iterator[tuple[str, str, Part]]:
    """Id, priority and merged part of every experiment, grids multiplied out."""
    seen: dict[str, int] = {}
    for node in top.content["experiments"]:
        entry = reader.part(node)
        line, own = entry.lines[()], dict(entry.content)
        if "id" not in own:
            raise reader.fail(line, "an experiment needs an id")
        ids = _ids(reader, entry.line(("id",)), str(own.pop("id")))
        priority, grid, base = (
            str(own.pop("priority", "P1")),
            own.pop("grid", {}),
            own.pop("base", []),
        )
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
        part = part.merged(Part(own, entry.lines))
        cells = _cells(reader, line, grid, entry.lines)
        if len(cells) != len(ids):
            raise reader.fail(
                line, f"{ids[0]}: {len(ids)} ids for {len(cells)} experiments of its grid"
            )
        for id_, cell in zip(ids, cells, strict=True):
            if id_ in seen:
                raise reader.fail(line, f"id {id_} stands twice, first in line {seen[id_]}")
            seen[id_] = line
            yield id_, priority, part.merged(cell)


def _base(reader: Reader, top: Part, name: str, line: int) -> Part:
    bases = top.content.get("bases", {})
    if name not in bases:
        hint = nearest(name, list(bases)) if bases else "no bases are declared"
        raise reader.fail(line, f"unknown base {name!r}; {hint}")
    return bases[name]


def _ids(reader: Reader, line: int, text: str) -> list[str]:
    """``FE-65..FE-67`` -> FE-65, FE-66, FE-67."""
    match = re.fullmatch(r"(.*?)(\d+)\.\.(.*?)(\d+)", text)
    if match is None:
        if re.fullmatch(r"\w[\w.+-]*", text) is None or ".." in text:
            raise reader.fail(line, f"id {text!r}: letters, digits, '.', '+', '-' and '_' only")
        return [text]
    prefix, first, prefix2, last = match.groups()
    if prefix != prefix2 or int(last) < int(first):
        raise reader.fail(line, f"{text!r} is not a range of ids; write FE-65..FE-67")
    if int(last) - int(first) >= MOST:
        raise reader.fail(line, f"{text!r} are more than {MOST} experiments")
    return [f"{prefix}{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)]


def _cells(reader: Reader, line: int, grid: Any, lines: dict[KeyPath, int]) -> list[Part]:  # noqa: ANN401
    """All combinations of a grid of dotted paths."""
    axes = []
    for path, values in _leaves(grid, ()):
        if not isinstance(values, list) or not values:
            raise reader.fail(line, f"grid: {'.'.join(path)} must be a list of values")
        at = lines.get(("grid", *path), line)
        if len(values) * math.prod(map(len, axes)) > MOST:
            raise reader.fail(line, f"the grid has more than {MOST} cells")
        axes.append([Part(_nest(path, value), {path: at}) for value in values])
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


def _nest(path: KeyPath, value: Any) -> dict[str, Any]:  # noqa: ANN401
    for name in reversed(path):
        value = {name: value}
    return value


def _baselines(experiments: list[Entry]) -> tuple[Entry, ...]:
    """The ladder for every distinct task and evaluation, in order of first appearance."""
    rungs: dict[str, Entry] = {}
    names: dict[str, int] = {}
    for spec in (entry.spec for entry in experiments):
        for kind in get_args(Baseline.model_fields["kind"].annotation):
            one = Spec(task=spec.task, model=Baseline(kind=kind), evaluation=spec.evaluation)
            if one.key not in rungs:
                name = one.label().replace(" ", "/")
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
