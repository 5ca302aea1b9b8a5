"""Campaigns: declared experiments become validated specs before the first one starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trueness.campaign.context import CampaignContext, dated_data, make_context
from trueness.campaign.ensembles import ensemble_of, replicate
from trueness.errors import CampaignError, nearest
from trueness.expansion import MOST, declared_name, expand, top_level
from trueness.spec.kinds import AnySpec
from trueness.spec.recipe import SEEDS
from trueness.store import AnyStore
from trueness.tasks import Declaration, task_of
from trueness.yamlfile import Part, Reader, bundled_file

FOLDER = Path(__file__).parent.parent / "campaigns"
BASELINE_PRIORITY = "baseline"
MOST_SEED = 10**9


@dataclass(frozen=True)
class Entry:
    """One experiment of a campaign: its id, its priority and its spec."""

    id: str
    priority: str
    spec: Any
    declared: bool = True
    """Whether the file names it, or only an ensemble needs it."""

    @property
    def own_id(self) -> str:
        """Id without the replicate."""
        return self.id.split("@")[0]


@dataclass(frozen=True)
class Campaign:
    """An expanded campaign, the baselines its experiments are compared to, and its data.

    Attributes
    ----------
    name, title, kind : str
        The kind is that of the task.
    baselines, experiments : tuple of Entry
    data : Data
        See `trueness.tasks`.
    reference : str or None
        Experiment or baseline that the others are compared with.
    folder : Path
        Of its file, beside which own files lie.
    """

    name: str
    title: str
    kind: str
    baselines: tuple[Entry, ...]
    experiments: tuple[Entry, ...]
    data: Any
    reference: str | None = None
    folder: Path = Path()

    def select(
        self, ids: Sequence[str] = (), priorities: Sequence[str] = (), tiers: Sequence[str] = ()
    ) -> Campaign:
        """Experiments of the given ids, priorities and tiers, their baselines, and their sources.

        Sources are the experiments that teach the chosen ones or lend them their weights.

        Raises
        ------
        CampaignError
            For a name that no experiment has.
        """
        kept = list(self.experiments)
        asked: list[tuple[str, Sequence[str], Callable[[Entry], str]]] = [
            ("id", ids, lambda e: e.own_id),
            ("priority", priorities, lambda e: e.priority),
            ("tier", tiers, lambda e: getattr(e.spec.task, "tier", "")),
        ]
        for what, wanted, of in asked:
            known = list(dict.fromkeys(map(of, self.experiments)))
            for name in wanted:
                if name not in known:
                    raise CampaignError(
                        f"{self.name} has no {what} {name!r}; {nearest(name, known)}"
                    )
            kept = [e for e in kept if not wanted or (of(e) in wanted and e.declared)]
        if not kept:
            raise CampaignError(
                f"{self.name}: no experiment has all of the given ids, priorities and tiers"
            )
        keys = self._with_sources({e.spec.key for e in kept})
        chosen = tuple(e for e in self.experiments if e.spec.key in keys)
        own = {entry.spec.key for entry in baselines_of(chosen)}
        baselines = tuple(entry for entry in self.baselines if entry.spec.key in own)
        return replace(self, baselines=baselines, experiments=chosen)

    def _with_sources(self, keys: set[str]) -> set[str]:
        """The same keys, and those of all experiments that they begin with."""
        by_key = {e.spec.key: e.spec for e in self.experiments}
        while True:
            needed = {k for key in keys for k in by_key[key].depends_on} & set(by_key)
            if needed <= keys:
                return keys
            keys = keys | needed

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Baselines, then experiments."""
        return (*self.baselines, *self.experiments)

    def ids_of(self, key: str) -> list[str]:
        """Ids that stand for a run."""
        return [entry.id for entry in self.entries if entry.spec.key == key]

    def duplicate_specs(self) -> dict[str, list[str]]:
        """Key -> ids, for every run that several experiments share."""
        by_key: dict[str, list[str]] = {}
        for entry in self.entries:
            by_key.setdefault(entry.spec.key, []).append(entry.id)
        return {key: ids for key, ids in by_key.items() if len(ids) > 1}


def campaign_file(name: str | Path) -> Path:
    """File of a bundled campaign, or the path itself; CampaignError if there is neither."""
    return bundled_file("campaign", FOLDER, name)


def bundled_campaigns() -> list[dict[str, Any]]:
    """Name, title and number of experiments of every bundled campaign."""
    rows = []
    for file in sorted(FOLDER.glob("*.yaml")):
        reader = Reader(file)
        top = top_level(reader)
        count = sum(1 for _ in expand(reader, top))
        title = str(top.content.get("title", ""))
        rows.append({"campaign": file.stem, "experiments": count, "title": title})
    return rows


def campaign_name(name: str | Path) -> str:
    """Name under which the runs of a campaign are stored."""
    file = campaign_file(name)
    reader = Reader(file)
    return declared_name(reader, top_level(reader), file.stem)


def load_campaign(
    name: str | Path,
    *,
    data: Any = None,  # noqa: ANN401 - a name, a path, a frame
    vix: str | Path | None = None,
    features: Any = None,  # noqa: ANN401 - a path, a frame, a function of a file
    protocol: str | None = None,
    recipe: str | None = None,
    seeds: int | None = None,
    settings: Mapping[str, Any] | None = None,
    needed: bool = True,
    callback: Any = None,  # noqa: ANN401 - a callback
    store: AnyStore | None = None,
    update: bool = False,
) -> Campaign:
    """Expand a campaign and validate every spec before anything starts.

    Parameters
    ----------
    name : str or Path
        A bundled campaign or a YAML file.
    data, vix, features : str, Path or frame, optional
        Data, and volatility index and own features of bars, in place of the campaign's own.
    protocol : {"holdout", "walk_forward", ...}, optional
        In place of the campaign's own; dates that it leaves open come from the data.
    recipe : {"published", "fair"}, optional
        In place of the campaign's own; what an experiment says of its recipe stays on top.
    seeds : int, optional
        Replicates of every experiment: its seed, the next, and so on; as many as its recipe asks
        for by default.
    settings : mapping, optional
        Part of a spec that is laid over every experiment, as nested dictionaries.
    needed : bool
        False if nothing is computed from the data: those that are slow to make are left out.
    callback : Callback, optional
        Hears of data that are made.
    store : Store, optional
        Dates that the campaign leaves open are those of its runs there on these same data.
    update : bool
        Its runs on data that ended earlier count as well, so that they can be continued.

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
    laid_over = Part(dict(settings or {}), {})
    declared = [(i, p, part.merged(laid_over)) for i, p, part in expand(reader, top)]
    first, _, part = declared[0]
    context = make_context(
        Declaration(file, reader, first, part), top.content,
        {"data": data, "vix": vix, "features": features}, protocol=protocol, recipe=recipe,
        needed=needed, callback=callback, labels=_labels(part for _, _, part in declared),
    )  # fmt: skip
    label = declared_name(reader, top, file.stem)
    if store is not None:
        context = replace(context, data=dated_data(context, label, store, update=update))
    entries = _entries(context, declared, seeds)
    title = str(top.content.get("title", label))
    baselines = baselines_of(entries)
    reference = _reference(reader, top, entries, baselines)
    return Campaign(
        label, title, context.kind, baselines, tuple(entries), context.data, reference,
        context.file.parent,
    )  # fmt: skip


def _labels(parts: Iterable[Part]) -> set[str]:
    """Columns that experiments predict."""
    result = set()
    for part in parts:
        task = part.content.get("task")
        target = task.get("target") if isinstance(task, dict) else None
        column = target.get("column") if isinstance(target, dict) else None
        result |= {column} if isinstance(column, str) else set()
    return result


def _entries(
    context: CampaignContext, declared: Sequence[tuple[str, str, Part]], seeds: int | None
) -> list[Entry]:
    """Every replicate of every experiment, and what ensembles need besides."""
    entries: dict[str, Entry] = {}
    keys: dict[int, dict[str, str]] = {}
    for id_, priority, part in declared:
        if "ensemble" in part.content:
            known = {e.id: e.spec for e in entries.values() if e.id == e.own_id}
            place = Declaration(context.file, context.reader, id_, part)
            spec, members = ensemble_of(part.content["ensemble"], known, place)
            for name, member in members:
                entries.setdefault(name, Entry(name, priority, member, declared=False))
            entries[id_] = Entry(id_, priority, spec)
            continue
        for entry in _replicates(context, id_, priority, part, seeds, keys):
            entries[entry.id] = entry
    return list(entries.values())


def _replicates(
    context: CampaignContext, id_: str, priority: str, part: Part, seeds: int | None,
    keys: dict[int, dict[str, str]],
) -> Iterator[Entry]:  # fmt: skip
    """An experiment with its seed, the next, and so on; `keys` learns the key of each."""
    spec, named = context.spec(id_, part, keys.setdefault(0, {}))
    count = seeds or SEEDS.get(named, 1)
    if spec.seed + count - 1 > MOST_SEED:
        line = part.line(("seed",))
        message = f"{id_}: the last of {count} seeds is above {MOST_SEED:,}"
        raise context.reader.fail(line, message)
    for extra in range(count):
        one = context.spec(id_, part, keys.setdefault(extra, {}))[0] if extra else spec
        name, one = replicate(id_, one, extra)
        keys[extra][id_] = one.key
        yield Entry(name, priority, one)


def _reference(
    reader: Reader, top: Part, entries: Sequence[Entry], baselines: Sequence[Entry]
) -> str | None:
    """Experiment or baseline that the others are compared with; by default the first experiment."""
    named = top.content.get("reference")
    of_classes = entries[0].spec.estimands.kind == "classes"
    if named is None:
        return entries[0].own_id if of_classes else None
    line = top.line(("reference",))
    if not of_classes:
        message = "a binary label is compared with the best baseline; leave it out"
        raise reader.fail(line, f"reference: {message}", "reference")
    known = list(dict.fromkeys(entry.own_id for entry in (*entries, *baselines)))
    if str(named) not in known:
        hint = nearest(str(named), known)
        message = f"reference: no experiment or baseline {named!r}; {hint}"
        raise reader.fail(line, message, "no_reference")
    return str(named)


def campaign_of(spec: AnySpec, data: Any, name: str, id_: str) -> Campaign:  # noqa: ANN401
    """A campaign of one experiment, with its baselines."""
    entries = [Entry(id_, "P1", spec)]
    kind = spec.task.kind
    return Campaign(name, name, kind, baselines_of(entries), tuple(entries), data)


def baselines_of(experiments: Sequence[Entry]) -> tuple[Entry, ...]:
    """Those of every distinct task and evaluation, in order of first appearance."""
    result: dict[str, Entry] = {}
    names: dict[str, int] = {}
    for spec in (entry.spec for entry in experiments):
        for name, one in task_of(spec.task.kind).baselines(spec).items():
            if one.key not in result:
                names[name] = names.get(name, 0) + 1
                name = name if names[name] == 1 else f"{name}~{names[name]}"
                result[one.key] = Entry(name, BASELINE_PRIORITY, one)
    return tuple(result.values())
