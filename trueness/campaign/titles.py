"""Campaigns on titles: declared experiments become validated specs of runs on one corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from trueness.campaign import (
    BASELINE_PRIORITY,
    MOST_SEED,
    campaign_file,
)
from trueness.errors import CampaignError, nearest
from trueness.expansion import MOST, declared_name, expand, top_level
from trueness.spec import explain_error
from trueness.spec.titles import LinearBaseline, TitlesSpec, TitlesTask
from trueness.yamlfile import Part, Reader, merge

Seen = dict[tuple[str, int], str]
"""Key of every experiment so far, by id and replicate."""
REFERENCES = (("loss", "teacher", "run"), ("recipe", "start"))
"""Fields that name another run: the id of an earlier experiment, or the key of a stored one."""


@dataclass(frozen=True)
class TitlesEntry:
    """One experiment: its id, its priority and its spec."""

    id: str
    priority: str
    spec: TitlesSpec

    @property
    def method(self) -> str:
        """Id without the replicate."""
        return self.id.split("@")[0]

    @property
    def depends_on(self) -> set[str]:
        """Keys of the runs that teach it or lend it their weights."""
        return self.spec.depends_on


@dataclass(frozen=True)
class TitlesCampaign:
    """An expanded campaign, its baselines, and the experiment that others are compared with."""

    name: str
    title: str
    corpus: str
    reference: str
    baselines: tuple[TitlesEntry, ...]
    experiments: tuple[TitlesEntry, ...]

    @property
    def entries(self) -> tuple[TitlesEntry, ...]:
        """Baselines, then experiments."""
        return (*self.baselines, *self.experiments)

    def select(self, ids: list[str], priorities: list[str]) -> TitlesCampaign:
        """Experiments of the given ids and priorities, with whatever they start from.

        Raises
        ------
        CampaignError
            For a name that no experiment has.
        """
        kept = list(self.experiments)
        wanted_by: list[tuple[str, list[str], Callable[[TitlesEntry], str]]] = [
            ("id", ids, lambda e: e.method),
            ("priority", priorities, lambda e: e.priority),
        ]
        for what, wanted, of in wanted_by:
            known = list(dict.fromkeys(map(of, self.experiments)))
            for name in wanted:
                if name not in known:
                    hint = nearest(name, known)
                    raise CampaignError(f"{self.name} has no {what} {name!r}; {hint}")
            kept = [e for e in kept if not wanted or of(e) in wanted]
        if not kept:
            raise CampaignError(f"{self.name}: no experiment has all of the given ids, priorities")
        keys = {e.spec.key for e in kept}
        while True:
            chosen = [e for e in self.experiments if e.spec.key in keys]
            needed = {key for e in chosen for key in e.depends_on} - keys
            found = needed & {e.spec.key for e in self.experiments}
            if not found:
                break
            keys |= found
        return replace(self, experiments=tuple(e for e in self.experiments if e.spec.key in keys))


def is_titles_campaign(name: str | Path) -> bool:
    """Whether a campaign file speaks of titles: it names a corpus."""
    return "corpus" in top_level(Reader(campaign_file(name))).content


def corpus_named_by(name: str | Path) -> str:
    """The corpus that a campaign file names: a folder, or ``synthetic``."""
    file = campaign_file(name)
    named = str(top_level(Reader(file)).content.get("corpus", "synthetic"))
    beside = file.parent / named
    return str(beside) if beside.is_dir() else named


def load_titles_campaign(
    name: str | Path, corpus_digest: str, *, seeds: int = 1, settings: dict[str, Any] | None = None
) -> TitlesCampaign:
    """Expand a campaign on titles and validate every spec before anything starts.

    Parameters
    ----------
    name : str or Path
        A bundled campaign or a YAML file with `corpus:`.
    corpus_digest : str
        Of the corpus that all runs are about.
    seeds : int
        Replicates of every experiment: its seed, the next, and so on.
    settings : dict, optional
        Part of a spec that is laid over every experiment, as nested dictionaries.

    Raises
    ------
    CampaignError
        With file, line and field of the first mistake.

    Examples
    --------
    >>> campaign = load_titles_campaign("text", "0123456789ab")
    >>> campaign.experiments[0].id
    'V-1'
    """
    if isinstance(seeds, bool) or not 1 <= seeds <= MOST:
        raise CampaignError(f"{seeds} seeds; give 1 to {MOST}")
    file = campaign_file(name)
    reader = Reader(file)
    top = top_level(reader)
    if "corpus" not in top.content:
        raise CampaignError(
            f"{file.name} is no campaign on titles; it names no corpus; `trueness run`?"
        )
    entries: list[TitlesEntry] = []
    keys: Seen = {}
    for id_, priority, declared in expand(reader, top):
        part = declared.merged(Part(settings or {}, {}))
        for extra in range(seeds):
            spec = _spec(reader, id_, part, corpus_digest, extra, keys)
            keys[id_, extra] = spec.key
            full = id_ if not extra else f"{id_}@{spec.seed}"
            entries.append(TitlesEntry(full, priority, spec))
    label = declared_name(reader, top, file.stem)
    title = str(top.content.get("title", label))
    baselines = _baselines(entries)
    reference = str(top.content.get("reference", entries[0].id))
    if (reference, 0) not in keys:
        known = list(dict.fromkeys(name for name, _ in keys))
        raise reader.fail(
            top.line(("reference",)),
            f"reference: no experiment {reference!r}; {nearest(reference, known)}",
        )
    return TitlesCampaign(label, title, corpus_digest, reference, baselines, tuple(entries))


def campaign_of(spec: TitlesSpec, name: str, id_: str) -> TitlesCampaign:
    """A campaign of one experiment, with its baselines."""
    entries = [TitlesEntry(id_, "P1", spec)]
    return TitlesCampaign(name, name, spec.task.corpus, id_, _baselines(entries), tuple(entries))


def _spec(reader: Reader, id_: str, part: Part, digest: str, extra: int, keys: Seen) -> TitlesSpec:
    """Validated spec of one replicate of an experiment."""
    content = part.content
    if isinstance(content.get("task"), dict) and "corpus" in content["task"]:
        line = part.line(("task", "corpus"))
        raise reader.fail(line, f"{id_}: task.corpus is set by `corpus:` or --corpus")
    if not isinstance(content.get("task", {}), dict):
        raise reader.fail(part.line(("task",)), f"{id_}: task must be a mapping of names to values")
    content = merge(content, {"task": {"kind": "titles", "corpus": digest}})
    for path in REFERENCES:
        content = _resolved(reader, id_, part, content, path, keys, extra)
    try:
        spec = TitlesSpec.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        path, message = explain_error(content, dict(first), TitlesSpec)
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise reader.fail(part.line(path), f"{id_}: {'.'.join(path)}: {message}{more}") from None
    if spec.seed + extra > MOST_SEED:
        raise reader.fail(part.line(("seed",)), f"{id_}: the last seed is above {MOST_SEED:,}")
    return spec.model_copy(update={"seed": spec.seed + extra})


def _resolved(
    reader: Reader, id_: str, part: Part, content: dict[str, Any], path: tuple[str, ...],
    keys: Seen, extra: int,
) -> dict[str, Any]:  # fmt: skip
    """Content with the id of an earlier experiment replaced by its key, of the same replicate."""
    node: Any = content
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    if not isinstance(node, str) or _is_key(node):
        return content
    if (node, extra) not in keys:
        known = list(dict.fromkeys(name for name, _ in keys))
        hint = nearest(node, known) if known else "none stands before it"
        where = ".".join(path)
        raise reader.fail(
            part.line(path), f"{id_}: {where}: no earlier experiment {node!r}; {hint}"
        )
    value: Any = keys[node, extra]
    for name in reversed(path):
        value = {name: value}
    return merge(content, value)


def _is_key(text: str) -> bool:
    return len(text) == 12 and set(text) <= set("0123456789abcdef")


def _baselines(entries: list[TitlesEntry]) -> tuple[TitlesEntry, ...]:
    """The baselines for every distinct evaluation, in order of first appearance."""
    found: dict[str, TitlesEntry] = {}
    for spec in (entry.spec for entry in entries):
        for kind in get_args(LinearBaseline.model_fields["kind"].annotation):
            one = TitlesSpec(
                task=TitlesTask(kind="titles", corpus=spec.task.corpus),
                model=LinearBaseline(kind=kind),
                evaluation=spec.evaluation,
            )
            found.setdefault(one.key, TitlesEntry(kind, BASELINE_PRIORITY, one))
    return tuple(found.values())
