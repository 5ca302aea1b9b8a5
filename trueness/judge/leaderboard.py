"""The leaderboard: comparable runs side by side, sorted by the lower bound of an estimate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from trueness.document import Document
from trueness.errors import StoreError
from trueness.evaluation import Estimate, mean_of
from trueness.evaluation.resolution import resolution
from trueness.judge.access import access_log, counted_in_part, record_access
from trueness.judge.answers import no_baseline
from trueness.judge.asked import Asked, asked_of, check_asked, check_estimate
from trueness.judge.chance import Rearranged, chance_of
from trueness.judge.choice import Choice, Fields, check_fields, one_group, shown_in
from trueness.judge.comparison import (
    Statistics,
    best_baseline,
    differences,
    ranking_alike,
    statistics,
)
from trueness.judge.declared import pending_of, same_as_baselines
from trueness.judge.finding import ids_by_key
from trueness.judge.findings import RunFindings, compared_baselines, findings_of_runs
from trueness.judge.group import Group, Model, Recorded
from trueness.judge.judgement import SCHEMA
from trueness.judge.power import power_dict
from trueness.judge.ranks import rank_of
from trueness.judge.selection import Selection, against_baselines, replicates, selection
from trueness.judge.settings import own_settings
from trueness.judge.unranked import why_unranked
from trueness.judge.verdict import Standing, Verdict, verdict_of
from trueness.store import AnyStore, Problem, Run
from trueness.store.annotations import annotations_of
from trueness.store.campaigns import Declared


@dataclass(frozen=True)
class Leaderboard:
    """Comparison groups of a store or a campaign, folders that cannot be read, runs that failed."""

    groups: list[Group]
    problems: list[Problem]
    failures: dict[str, str]
    title: str = "Leaderboard"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        return {
            "schema": SCHEMA,
            "kind": "leaderboard",
            "title": self.title,
            "groups": [group.to_dict() for group in self.groups],
            "problems": [problem.to_dict() for problem in self.problems],
            "failures": self.failures,
        }

    def to_frame(self) -> pl.DataFrame:
        """A row per model; a column per estimate and end of its interval."""
        rows = [group.flat(model) for group in self.groups for model in group.rows]
        return pl.from_dicts(rows, infer_schema_length=None) if rows else pl.DataFrame()

    def document(self) -> Document:
        """What to show."""
        from trueness.judge.leaderboard_document import leaderboard_document

        return leaderboard_document(self)


# ------------------------------------------------------------------------------------- from a store


def leaderboard(
    store: AnyStore, campaign: str | None = None, *, rank_by: str | None = None,
    keys: set[str] | None = None, access: tuple[str, str] | None = None, part: str | None = None,
    opened: bool = False, reference: str | None = None, title: str | None = None,
    choice: Choice | None = None, group: str | None = None,
) -> Leaderboard:  # fmt: skip
    """Read a store: records, and differences to the best baseline from an index or the predictions.

    Parameters
    ----------
    store : Store or MemoryStore
    campaign : str, optional
        Only the runs of this campaign, under its ids.
    rank_by : str, optional
        Estimate that ranks, by the worse end of its interval; by default the precision at
        the largest alarm budget, or the mean over groups for K classes.
    keys : set of str, optional
        Only these runs.
    access : tuple of str, optional
        Verb and question under which the ledger counts this evaluation; not counted without.
    part : str, optional
        Of K classes: in place of the part that is measured on.
    opened : bool
        Whether a sealed part was asked for on purpose.
    reference : str, optional
        Of K classes: method that the others are compared with; by default the one that the
        campaign declares, and nothing is compared while no run of it is stored.
    title : str, optional
        By default that of the campaign, or its name.
    choice : Choice, optional
        Which of the judged runs are shown, and in which order; all as they are ranked without it.
    group : str, optional
        Only this comparison group, by its name or the beginning of one.

    Raises
    ------
    StoreError
        If nothing of the campaign is stored, or `rank_by` names no estimate.
    TruenessError
        If `part` is sealed and was not opened; ``no_field``, ``judged_field`` for a choice,
        ``no_group``, ``ambiguous`` for a group.
    """
    every, problems = store.all_runs()
    ids = ids_by_key(store, campaign)
    shown = {
        r.key
        for r in every
        if (campaign is None or r.key in ids) and (keys is None or r.key in keys)
    }
    failures = {k: v for k, v in store.failures().items() if campaign is None or k in ids}
    by_group: dict[str, list[Run]] = {}
    for run in every:
        by_group.setdefault(run.record["comparison_group"], []).append(run)
    some = {name: [r for r in runs if r.key in shown] for name, runs in by_group.items()}
    some = {name: runs for name, runs in some.items() if runs}
    if group is not None:
        name = one_group(list(some), group)
        some = {name: some[name]}
    check_asked(list(some.values()), rank_by, part, reference)
    if choice is not None and some:
        check_fields(choice, [Fields.of_runs(runs) for runs in some.values()])
    declared = Declared() if campaign is None else store.declared(campaign)
    ids = {run.key: ids[run.key] for run in every if run.key in ids}
    asked = asked_of(rank_by, part, reference, declared.reference, ids)
    unrecorded = ""
    if access:
        seen = [run for runs in some.values() for run in runs]
        unrecorded = record_access(store, seen, *access, part=part, opened=opened)
    groups = [
        _group(store, runs, by_group[name], ids, problems, asked) for name, runs in some.items()
    ]
    groups = _annotated(store, [_set_apart(group) for group in groups], problems)
    lost = failures.keys() | {problem.name for problem in problems}
    pending = pending_of(declared, every, lost, keys)
    groups = [
        replace(g, pending=pending, notes=same_as_baselines(declared, {m.key for m in g.baselines}))
        for g in groups
    ]
    groups.sort(key=lambda group: -len(group.models))
    if choice is not None:
        groups = [replace(one, shown=shown_in(one, choice)) for one in groups]
    logged = [
        replace(g, access=access_log(store, g.models[0].run, every, unrecorded, g.part))
        if store.root is not None
        else g
        for g in groups
    ]
    title = title or declared.title or campaign or "Leaderboard"
    return Leaderboard(logged, problems, failures, title)


def _set_apart(group: Group) -> Group:
    """The same, each candidate with the settings in which it differs from the others."""
    result = own_settings([model.run.spec for model in group.candidates])
    named = zip(group.candidates, result, strict=True)
    return replace(group, candidates=[replace(m, settings=own) for m, own in named])


def _annotated(store: AnyStore, groups: list[Group], problems: list[Problem]) -> list[Group]:
    """Groups with the tags and notes of their runs; without them if their file is damaged."""
    try:
        known = annotations_of(store)
    except StoreError as error:
        problems.append(Problem("annotations.json", str(error)))
        known = {}
    if not known:
        return groups

    def each(models: list[Model]) -> list[Model]:
        return [
            replace(m, annotation=known[m.key]) if m.key in known else m for m in models
        ]  # fmt: skip

    return [replace(g, candidates=each(g.candidates), baselines=each(g.baselines)) for g in groups]


def _group(
    store: AnyStore, runs: list[Run], comparable: list[Run], ids: dict[str, list[str]],
    problems: list[Problem], asked: Asked,
) -> Group:  # fmt: skip
    if runs[0].estimands.kind == "classes":
        return _of_classes(store, runs, comparable, ids, problems, asked)
    return _of_an_event(store, runs, comparable, ids, asked.rank_by, problems)


def _of_an_event(
    store: AnyStore, runs: list[Run], comparable: list[Run], ids: dict[str, list[str]],
    rank_by: str | None, problems: list[Problem],
) -> Group:  # fmt: skip
    """Group of a binary event."""
    candidates = [r for r in runs if not r.spec.is_baseline]
    rule = (candidates or runs)[0].estimands
    sort = rank_by or rule.headline
    check_estimate(sort, runs)
    reference, every = best_baseline(comparable), [r for r in comparable if r.spec.is_baseline]
    compared = compared_baselines(candidates, comparable)
    others = every if candidates else []
    known, unreadable = statistics(
        store, list({run.key: run for run in (*candidates, *others)}.values())
    )
    problems += unreadable
    draws = {key: one.auc for key, one in known.items()}
    against = {k: c.pointwise for k, c in differences(draws, candidates, every).items()}
    findings, unreadable = findings_of_runs(store, runs, draws, against, compared, reference)
    problems += [p for p in unreadable if p.name not in {known.name for known in problems}]
    n_candidates, named = len({run.candidate for run in candidates}), _called(reference, ids)
    alike = ranking_alike(known, reference)
    of_candidates = _ranked([
        _model(run, ids, n_candidates, reference, against.get(run.key), findings.get(run.key),
               (named or "") if run.key in alike else "")
        for run in candidates
    ], sort)  # fmt: skip
    baselines = [r for r in runs if r.spec.is_baseline]
    of_baselines = _ranked(
        [
            _model(run, ids, len(baselines), reference, None, findings.get(run.key))
            for run in baselines
        ],
        sort,
    )
    first = (of_candidates or of_baselines)[0]
    unranked = why_unranked(of_candidates, sort, rule.budget)
    leader = of_candidates[0] if of_candidates and not unranked else None
    chosen = selection(store, known, candidates, leader.run) if leader else None
    by_key = chosen.by_key if chosen else {}
    tested = [r for r in comparable if not r.spec.is_baseline]
    rearranged = Rearranged.of(store, tested) if leader else None
    verdict = Verdict.of_nobody(unranked)
    if leader is not None:
        verdict = verdict_of(leader.title, rule.budget, _standing(
            store, leader, known, candidates, every, tested, chosen, rearranged, named,
        ))  # fmt: skip
    return Group(
        group_title(first.run, rule.measured_on, first.run.record["units"]["n"]), rule,
        rule.measured_on, first.run.record["data"],
        first.estimates["base_rate"],
        [replace(one, selected=by_key.get(one.key)) for one in of_candidates], of_baselines, sort,
        n_candidates, reference, verdict, chosen,
        power=None if leader is None else _power(
            leader.run, known, candidates, every, rearranged
        ),
        effective_alarms=_effective_alarms(known, leader),
    )  # fmt: skip


def _effective_alarms(known: dict[str, Statistics], leader: Model | None) -> float | None:
    precision = known[leader.key].precision if leader and leader.key in known else None
    if leader is None or precision is None or precision.depends is None:
        return None
    return precision.depends.effective(precision.n, (1 - leader.run.estimands.confidence) / 2)


def _called(reference: Run | None, ids: dict[str, list[str]]) -> str | None:
    """Ids of the best baseline, or what kind of model it is."""
    if reference is None:
        return None
    return " = ".join(ids.get(reference.key, [])) or str(reference.record["label"])


def _standing(
    store: AnyStore, leader: Model, known: dict[str, Statistics], candidates: list[Run],
    baselines: list[Run], tested: list[Run], chosen: Selection | None,
    rearranged: Rearranged | None, baseline: str | None,
) -> Standing:  # fmt: skip
    """Against chance, all that were tested count; against siblings, those that are shown."""
    rule, run = leader.run.estimands, leader.run
    by_auc, by_precision = against_baselines(known, candidates, run, baselines)
    return Standing(
        leader.estimates[f"precision@{rule.budget}"], leader.estimates["base_rate"].value or 0.0,
        1 - rule.confidence, chance_of(store, run, tested, rearranged),
        chosen.auc if chosen else [], chosen.precision if chosen else [], by_auc, by_precision,
        baseline, no_baseline(run), sum(one.key in known for one in baselines),
        bool(leader.identical),
    )  # fmt: skip


def _power(
    leader: Run, known: dict[str, Statistics], candidates: list[Run], baselines: list[Run],
    rearranged: Rearranged | None,
) -> dict[str, Any] | None:  # fmt: skip
    """What the units can show about the leader; None if they are too few."""
    if rearranged is None or leader.key not in known:
        return None
    rule, rate = leader.estimands, leader.record["estimates"]["base_rate"]
    groups = replicates(known, candidates, leader)
    aucs = [mean_of([known[run.key].auc for run in group]) for group in groups]
    others = [known[run.key].auc for run in baselines if run.key in known]
    result = resolution(
        rate["k"], rate["n"], rearranged.addresses.index(leader.address), aucs, others,
        known[leader.key].precision, (rearranged.precision, rearranged.auc), rule.confidence,
    )  # fmt: skip
    return power_dict(
        rate["n"], rate["k"], len(groups), len(others), rule.budget, rule.confidence, result
    )


def _model(
    run: Run, ids: dict[str, list[str]], n_candidates: int, reference: Run | None,
    difference: Estimate | None, findings: RunFindings | None, identical: str = "",
) -> Model:  # fmt: skip
    estimates = Recorded(run.record["estimates"], n_candidates)
    if difference is not None:
        difference = difference.with_candidates(n_candidates)
    findings = findings or RunFindings([], [])
    return Model(
        ids.get(run.key, []),
        run,
        estimates,
        reference,
        difference,
        findings.findings,
        findings.muted,
        identical=identical,
    )


def _ranked(models: list[Model], sort: str) -> list[Model]:
    return sorted(models, key=lambda model: rank_of(model, sort), reverse=True)


def group_title(run: Run, part: str, n: int) -> str:
    """What is predicted, on which units, by which protocol."""
    data, spec, rule = run.record["data"], run.spec, run.estimands
    name = str(data.get("name") or "").rpartition("/")[2]
    noun = rule.nouns[0]
    notes = [
        f"{name}: {spec.question()}" if name else spec.question(),
        spec.protocol(),
        counted_in_part(n, noun, part),
    ]
    return " · ".join(one for one in notes if one)


# ---------------------------------------------------------------------------------------- K classes


def _of_classes(
    store: AnyStore, runs: list[Run], comparable: list[Run], ids: dict[str, list[str]],
    problems: list[Problem], asked: Asked,
) -> Group:  # fmt: skip
    """Group of K classes; where no baseline is shown, all of them are compared with."""
    from trueness.judge.languages_group import class_group

    rule, shown = runs[0].estimands, {run.key for run in runs}
    if not any(run.spec.is_baseline for run in runs):
        runs = [*runs, *(run for run in comparable if run.spec.is_baseline)]
    result = class_group(
        store, runs, ids, part=asked.part, target=asked.rank_by, reference=asked.reference,
        pending=asked.pending,
    )  # fmt: skip
    problems += result.problems
    by_key = {run.key: run for run in runs}
    best = next((by_key[k] for k in result.ranked if result.names[k] == result.best_baseline), None)
    against = {k: d for k in result.ranked if (d := result.whole_difference(k)) is not None}
    findings, unreadable = findings_of_runs(store, runs, {}, against, {}, best)
    problems += unreadable
    models = [
        Model(
            ids.get(key, []), by_key[key], result.estimates(key), best, result.difference(key),
            findings[key].findings if key in findings else [],
            findings[key].muted if key in findings else [],
        )
        for key in result.ranked
        if key in shown
    ]  # fmt: skip
    verdict = Verdict.of_nobody()
    if result.leader is not None:
        answers = result.verdicts
        verdict = Verdict(
            result.leader, answers["better_than_chance"], answers["better_than_siblings"],
            answers["better_than_best_baseline"],
        )  # fmt: skip
    return Group(
        f"{group_title(runs[0], result.part, result.n)} · {result.title}", rule, result.part,
        runs[0].record["data"], None,
        [one for one in models if not one.is_baseline], [one for one in models if one.is_baseline],
        result.target, result.n_candidates, best, verdict, classes=result,
    )  # fmt: skip
