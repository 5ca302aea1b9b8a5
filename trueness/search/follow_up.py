"""What follows a search, as campaign files that `trueness run` takes.

Candidates come with a reason and a spec; a file is written, read back, and refused if its specs do
not come out of it again, as when the data changed since the search.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trueness.campaign import load_campaign
from trueness.errors import DataError, SpecError, StoreError
from trueness.search.stored import StoredStudy
from trueness.search.trainer import OF_LABELS, alarm_estimate
from trueness.spec import Spec
from trueness.store import Run, Store

SECTIONS = ("task", "model", "loss", "recipe", "evaluation", "seed")
OBJECTIVES = {"worst_group": "the worst language", "mean_group": "the mean of languages",
              "macro_f1": "macro-F1"}  # fmt: skip
"""Estimates of titles by which a search ranks, in words."""


@dataclass(frozen=True)
class Candidate:
    """An experiment that is worth its training: id, priority, spec, why, and its seeds."""

    id: str
    priority: str
    spec: Spec
    why: str
    seeds: tuple[int, ...] = ()

    @property
    def specs(self) -> list[Spec]:
        """One spec per seed."""
        return [self.spec.model_copy(update={"seed": s}) for s in self.seeds] or [self.spec]


@dataclass(frozen=True)
class Ranked:
    """A configuration of a search: its runs, one per replicate, and what ranks it.

    `low` is the lower bound that ranks, of the estimate `by`; `tie` decides where those are equal,
    `value` is shown beside it, called `measure`.
    """

    study: str
    runs: tuple[Run, ...]
    by: str
    low: float
    tie: float
    value: float
    measure: str

    @property
    def spec(self) -> Spec:
        """Spec of its first replicate."""
        return self.runs[0].spec


def ranked(study: StoredStudy, store: Store, by: str | None = None) -> list[Ranked]:
    """Distinct configurations, the best lower bound first, ties by recall or by macro-F1.

    Parameters
    ----------
    study : StoredStudy
    store : Store
    by : str, optional
        Estimate whose lower bound ranks, one of `OF_LABELS`: the objective's own by default, the
        precision at the largest alarm budget where that was the recall.

    Raises
    ------
    DataError
        If no run of the study is in the store, or its runs have no such estimate.
    """
    own = study.objective[0]
    chosen = by or ("precision" if own.startswith("recall") else own)
    of_classes = own in OF_LABELS["classes"]
    if of_classes != (chosen in OF_LABELS["classes"]):
        raise DataError(f"--by {chosen}: runs of the study {study.name} have no such estimate; "
                        f"leave it out for {own}", "objective")  # fmt: skip
    configurations: dict[str, list[Run]] = {}
    for trial in study.completed:
        try:
            runs = [store.run(key) for key in trial.user_attrs["run"]["keys"]]
        except StoreError:
            continue
        configurations.setdefault(runs[0].spec.candidate, []).extend(runs)
    if not configurations:
        raise DataError(f"no run of the study {study.name} is in the store {store.root}")
    rows = [_ranked(study.name, runs, chosen) for runs in configurations.values()]
    return sorted(rows, key=lambda r: (-r.low, -r.tie, -r.value, r.spec.key))


def _ranked(study: str, runs: list[Run], by: str) -> Ranked:
    def mean(name: str, field: str) -> float:
        values = [run.record["estimates"][name][field] for run in runs]
        return sum(v or 0.0 for v in values) / len(values)

    if by in OF_LABELS["classes"]:
        all_units = mean("macro_f1", "value")
        return Ranked(study, tuple(runs), OBJECTIVES[by], mean(by, "low"), all_units, all_units,
                      "macro-F1 of all texts")  # fmt: skip
    name = "auc" if by == "auc" else alarm_estimate(runs[0])
    recall = alarm_estimate(runs[0], "recall")
    return Ranked(
        study,
        tuple(runs),
        name,
        mean(name, "low"),
        mean(recall, "value"),
        mean("auc", "value"),
        "AUC",
    )


def varied(spec: Spec, changes: dict[str, Any]) -> Spec | None:
    """Spec with other values at dotted paths; None if there is no such run.

    Examples
    --------
    >>> spec = Spec.model_validate({"task": {"kind": "market", "bars": "x"},
    ...                             "evaluation": {"protocol": "holdout"}})
    >>> varied(spec, {"model.dropout": 0.2}).model.dropout, varied(spec, {"model.n_heads": 7})
    (0.2, None)
    """
    content = spec.model_dump()
    for path, value in changes.items():
        *above, last = path.split(".")
        node = content
        for key in above:
            node = node[key]
        node[last] = value
    try:
        return type(spec).model_validate(content)
    except ValidationError:
        return None


# ------------------------------------------------------------------------------------ promote


def promoted(
    studies: Sequence[StoredStudy], store: Store, *, count: int = 10, tiers: Sequence[str] = (),
    seeds: int = 5, by: str | None = None,
) -> list[Candidate]:  # fmt: skip
    """Best configurations of each tier, for full training with new seeds.

    A shortened search is promoted to the epochs of its space.

    Parameters
    ----------
    studies : sequence of StoredStudy
    store : Store
    count : int
        Configurations of each tier.
    tiers : sequence of str
        All tiers of the studies by default.
    seeds : int
        Replicates of each, with seeds that the search did not use.
    by : str, optional
        As for `ranked`.

    Raises
    ------
    DataError
        If a tier has no study, or studies that were measured on different units.
    """
    known = list(dict.fromkeys(tier_of(f) for f in studies))
    chosen: list[Candidate] = []
    for tier in tiers or known:
        inside = [f for f in studies if tier_of(f) == tier]
        if not inside:
            raise DataError(f"no study of tier {tier!r}; there are {', '.join(known) or 'none'}")
        rows = [(row, study) for study in inside for row in ranked(study, store, by)]
        same_units([row for row, _ in rows])
        rows.sort(key=lambda one: (-one[0].low, -one[0].tie, -one[0].value))
        unique = {_full(row, study).candidate: (row, study) for row, study in reversed(rows)}
        for place, (row, study) in enumerate(list(reversed(unique.values()))[:count], 1):
            spec = _full(row, study)
            first = max(run.spec.seed for run in row.runs) + 1
            why = (f"{study.name}: lower bound of {row.by} {row.low:.3f}, {row.measure} "
                   f"{row.value:.3f}")  # fmt: skip
            numbers = tuple(range(first, first + seeds))
            chosen.append(Candidate(f"{tier}-{place:02d}", "P1", spec, why, numbers))
    return chosen


def tier_of(study: StoredStudy) -> str:
    """Tier of a search; ``best`` where its task has none."""
    return str(study.about["tier"] or "best")


def _full(row: Ranked, study: StoredStudy) -> Spec:
    epochs = study.about.get("full_epochs")
    changed = None if epochs is None else varied(row.spec, {"recipe.epochs": epochs})
    return changed or row.spec


def same_units(rows: Sequence[Ranked]) -> None:
    """Refuse configurations that were not measured on the same units.

    Raises
    ------
    DataError
        If they were not.
    """
    groups: dict[str, str] = {}
    for row in rows:
        groups.setdefault(row.runs[0].record["comparison_group"], row.study)
    if len(groups) > 1:
        raise DataError(
            f"studies {', '.join(groups.values())} were measured on different units or by other "
            "rules; name those that belong together", "different_units",
        )  # fmt: skip


# ------------------------------------------------------------------------------------ writing


def write_follow_up(
    path: Path,
    name: str,
    title: str,
    studies: Sequence[StoredStudy],
    candidates: Sequence[Candidate],
) -> None:
    """Write candidates as a campaign file, and make sure that it holds their specs.

    Raises
    ------
    SpecError
        If the data are not those of the search any more.
    """
    sources = studies[0].about["sources"]
    lines = [f"campaign: {name}", f"title: {json.dumps(title)}"]
    lines += [f"{key}: {json.dumps(_relative_to(path, source))}" for key, source in sources.items()]
    contents = [_content(c.spec) for c in candidates]
    shared = _shared(contents)
    lines += ["", "defaults:", *(f"  {k}: {json.dumps(v)}" for k, v in shared.items())]
    lines += ["", "experiments:"]
    for candidate, content in zip(candidates, contents, strict=True):
        lines += _entry(candidate, _without(content, shared))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    wanted = [spec.key for candidate in candidates for spec in candidate.specs]
    if [entry.spec.key for entry in load_campaign(path, seeds=1).experiments] != wanted:
        raise SpecError(
            f"{path}: the data named there ({', '.join(sources.values())}) are not those of the "
            "search any more", "other_data",
        )  # fmt: skip


def _entry(candidate: Candidate, content: dict[str, Any]) -> list[str]:
    ids, grid = candidate.id, ""
    if candidate.seeds:
        content = {k: v for k, v in content.items() if k != "seed"}
        ids += f"-s{candidate.seeds[0]}"
        if len(candidate.seeds) > 1:
            ids += f"..{candidate.id}-s{candidate.seeds[-1]}"
        grid = f", grid: {{seed: {list(candidate.seeds)}}}"
    fields = "".join(f", {key}: {json.dumps(value)}" for key, value in content.items())
    return [
        f"  # {candidate.why}",
        f"  - {{id: {ids}, priority: {candidate.priority}{fields}{grid}}}",
    ]


def _relative_to(path: Path, source: str) -> str:
    """Source as seen from the folder of a file."""
    if not Path(source).is_absolute():
        return source
    return os.path.relpath(source, path.parent.resolve())


def _content(spec: Spec) -> dict[str, Any]:
    """Fields of a spec that are not at their default; the digests come with the data."""
    content = spec.model_dump(mode="json", exclude_defaults=True)
    decided = spec.task.of_data
    content["task"] = {k: v for k, v in content["task"].items() if k not in decided}
    whole = spec.evaluation.model_dump(mode="json")
    dates = {k: whole[k] for k in ("val_start", "test_start", "start") if k in whole}
    content["evaluation"] = {**content.get("evaluation", {}), **dates}
    return {k: content[k] for k in SECTIONS if k in content}


def _shared(contents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What all contents say alike; mappings of different kinds share nothing."""
    first, shared = contents[0], {}
    for key, value in first.items():
        others = [content.get(key) for content in contents]
        if all(other == value for other in others):
            shared[key] = value
        elif all(isinstance(o, dict) and o.get("kind") == value.get("kind") for o in others):
            inside = _shared([o for o in others if isinstance(o, dict)])
            shared |= {key: inside} if inside else {}
    return shared


def _without(content: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """What a content says besides what all say."""
    rest: dict[str, Any] = {}
    for key, value in content.items():
        if key not in shared:
            rest[key] = value
        elif value != shared[key]:
            rest[key] = _without(value, shared[key])
    return rest
