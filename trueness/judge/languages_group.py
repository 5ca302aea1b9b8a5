"""A comparison group of classifiers of K classes: methods, verdict, groups of units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trueness.document import Section, numbers
from trueness.errors import StoreError
from trueness.evaluation.class_draws import ClassDraws
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.resampling import Resampled, mean_difference
from trueness.evaluation.selection import Contrast, simultaneous_contrasts
from trueness.evaluation.slice_comparison import MethodComparison, check_target, compare_draws
from trueness.evaluation.slices import Slices
from trueness.evaluation.top_k import ALL
from trueness.judge.answers import Answer, no_baseline
from trueness.judge.languages import (
    Compared,
    draws_of,
    recorded_scores,
    recorded_slices,
)
from trueness.judge.languages_verdict import verdicts_of
from trueness.judge.languages_words import Words, methods_verdict, words_of
from trueness.judge.settings import own_settings, settings_in_words
from trueness.store import AnyStore, Problem, Run

SHOWN = 3
"""Methods whose groups are shown one by one: the leader, the best baseline, the reference."""


@dataclass(frozen=True)
class ClassGroup:
    """Runs of K classes on the same units, as methods: the seeds of one candidate together.

    Attributes
    ----------
    part : str
    target : str
        Estimate that ranks and compares.
    runs : dict of str to Run
        By key; those whose predictions can be read.
    names : dict of str to str
        Key of a run -> name of its method.
    words : Words
        What units and groups are called.
    comparison : MethodComparison or None
        None with a single method.
    leader : str or None
        The best candidate; None if only baselines are there.
    best_baseline : str or None
    n_candidates : int
        Methods that are no baselines.
    verdicts : dict of str to Answer
        ``better_than_chance``, ``better_than_siblings``, ``better_than_best_baseline``; empty
        without a candidate.
    against_baseline : dict of str to Contrast
        Candidate -> target minus that of the best baseline, simultaneous over the candidates.
    whole_against_baseline : dict of str to Contrast
        The same of the mean over groups, or of macro-F1 where there are none.
    problems : list of Problem
        Runs that are left out because their predictions cannot be read.
    order : tuple of str
        Names, the best first.
    pending : str
        Reference that is not trained yet, so that nothing is compared; empty without.
    """

    part: str
    target: str
    runs: dict[str, Run[Any]]
    names: dict[str, str]
    words: Words
    comparison: MethodComparison | None
    leader: str | None
    best_baseline: str | None
    n_candidates: int
    verdicts: dict[str, Answer]
    against_baseline: dict[str, Contrast]
    whole_against_baseline: dict[str, Contrast]
    problems: list[Problem] = field(default_factory=list)
    order: tuple[str, ...] = ()
    pending: str = ""

    @property
    def methods(self) -> dict[str, list[Run[Any]]]:
        """Name -> runs of its seeds, the best method first."""
        some: dict[str, list[Run[Any]]] = {}
        for key, run in self.runs.items():
            some.setdefault(self.names[key], []).append(run)
        return {name: some[name] for name in self.order}

    @property
    def ranked(self) -> list[str]:
        """Keys of the runs, those of the best method first."""
        return [run.key for some in self.methods.values() for run in some]

    @property
    def shown(self) -> dict[str, Run[Any]]:
        """Name -> first seed of the methods that are shown group by group."""
        reference = self.comparison.reference if self.comparison else None
        first = [name for name in (self.leader, self.best_baseline, reference) if name]
        names = list(dict.fromkeys([*first, *self.methods]))[: max(SHOWN, len(set(first)))]
        return {name: self.methods[name][0] for name in names}

    @property
    def n(self) -> int:
        """Units of the part."""
        return self.slices(next(iter(self.runs))).overall.rows

    @property
    def title(self) -> str:
        """Classes and groups."""
        result = self.slices(next(iter(self.runs)))
        classes = numbers.plural(len(result.classes), "class", "classes")
        own = len(result.own)
        return f"{classes}, {numbers.plural(own, self.words.group)}" if own else classes

    @property
    def verdict_text(self) -> str:
        """Which methods lift the target without degrading the majority group."""
        if self.pending:
            return f"Nothing is compared yet: {self.pending}, the reference, is not trained."
        return "" if self.comparison is None else methods_verdict(self.comparison, self.words)

    @property
    def answer(self) -> str:
        """The same in few words."""
        if self.comparison is None:
            return self.verdict_text
        who = numbers.listed(self.comparison.answer) or "no method is shown to"
        verb = "lifts" if len(self.comparison.answer) == 1 else "lift"
        goal = self.words.goal(self.target)
        text = f"{who} {verb} {goal} against {self.comparison.reference}."
        return text if self.comparison.answer else numbers.capital(text)

    def slices(self, key: str) -> Slices:
        """What the record of a run says per group and class."""
        return recorded_slices(self.runs[key], self.part)

    def estimates(self, key: str) -> dict[str, Estimate]:
        """Estimates of a run on the part; of a candidate, chosen among all of them."""
        run = self.runs[key]
        many = 1 if run.spec.is_baseline else self.n_candidates
        return {n: e.with_candidates(many) for n, e in recorded_scores(run, self.part).items()}

    def difference(self, key: str) -> Estimate | None:
        """Target of the method of a run minus that of the best baseline."""
        result = self.against_baseline.get(self.names[key])
        return None if result is None else result.simultaneous

    def whole_difference(self, key: str) -> Estimate | None:
        """The same of the mean over groups, by itself: what checks of one run compare."""
        result = self.whole_against_baseline.get(self.names[key])
        return None if result is None else result.pointwise

    def sections(self) -> list[Section]:
        """Everything to show besides the table of runs."""
        from trueness.judge.languages_tables import group_sections

        return group_sections(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        compared = None if self.comparison is None else self.comparison.to_dict()
        return {
            "part": self.part,
            "target": self.target,
            "leader": self.leader,
            "best_baseline": self.best_baseline,
            "methods": {name: [run.key for run in some] for name, some in self.methods.items()},
            "text": self.verdict_text,
            "comparison": compared,
            "top_k": {key: self._tops(key) for key in self.ranked},
        }

    def _tops(self, key: str) -> dict[str, Any]:
        """Top-k accuracy of a run over all units, and in each group."""
        result = self.slices(key)
        every = {ALL: result.overall, **result.groups}
        return {n: {k: e.to_dict() for k, e in one.top_k.items()} for n, one in every.items()}


def class_group(
    store: AnyStore | None, runs: Sequence[Run[Any]], ids: Mapping[str, Sequence[str]], *,
    part: str | None = None, target: str | None = None, reference: str | None = None,
    pending: bool = False,
) -> ClassGroup:  # fmt: skip
    """Judge runs of one comparison group of K classes.

    Parameters
    ----------
    store : Store or MemoryStore, optional
        Its index keeps draws.
    runs : sequence of Run
    ids : mapping of str to sequence of str
        Key -> ids.
    part : str, optional
        The one they are measured on by default.
    target : str, optional
        Estimate that ranks and compares; the headline by default, macro-F1 where that is not known.
    reference : str, optional
        Name, id or key of the method that others are compared with; by default the best baseline,
        without one the best method.
    pending : bool
        Whether that is not trained yet; nothing is compared then.

    Raises
    ------
    TruenessError
        With the codes ``other_units``, ``no_estimate``, ``no_reference``, ``no_part``.
    """
    part = part or runs[0].estimands.measured_on
    known = [list(recorded_scores(run, part)) for run in runs]
    common = [name for name in known[0] if all(name in one for one in known)]
    headline = runs[0].estimands.headline
    target = target or (headline if headline in common else "macro_f1")
    check_target(target, common)
    result = draws_of(runs, part, store)
    kept = {run.key: run for run in runs if run.key in result.draws}
    names = _names(list(kept.values()), ids)
    seeds = _seeds(result, names)
    means = {name: ClassDraws.mean(some) for name, some in seeds.items()}
    values = {name: one.summaries[target] for name, one in means.items()}
    candidates, baselines = _sorted_out(kept, names, values)
    best = baselines[0] if baselines else None
    comparison = None
    if len(means) > 1 and not pending:
        comparison = compare_draws(
            seeds, reference=_reference(reference, names, ids, best), target=target,
            confidence=result.units.rule.confidence,
        )  # fmt: skip
    sizes = result.units.sizes
    words = words_of(result.units.rule, sizes.majority, [sizes.names[i] for i in sizes.evaluated])
    confidence = result.units.rule.confidence
    against = _against(candidates, best, values, confidence)
    whole = "mean_group" if "mean_group" in common else "macro_f1"
    means_of_groups = {name: one.summaries[whole] for name, one in means.items()}
    verdicts = verdicts_of(result.units, means, candidates, best, against, target, words,
                            no_baseline(runs[0]))  # fmt: skip
    return ClassGroup(
        part, target, kept, names, words, comparison,
        candidates[0] if candidates else None, best, len(candidates), verdicts, against,
        _against(candidates, best, means_of_groups, confidence), result.problems,
        tuple(sorted(values, key=lambda name: -values[name].value)), (pending and reference) or "",
    )  # fmt: skip


def _names(runs: Sequence[Run[Any]], ids: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Key -> name of its method: the id without the replicate, and the key where two are alike.

    Candidates without an id are named by their key and the settings in which they differ.
    """
    candidates = {run.key: run.candidate for run in runs}
    settings = map(settings_in_words, own_settings([run.spec for run in runs]))
    names: dict[str, str] = {}
    used: set[str] = set()
    for run, own in zip(runs, settings, strict=True):
        candidate = candidates[run.key]
        if candidate in names:
            continue
        unnamed = run.spec.label() if run.spec.is_baseline else f"{run.key} {own}".strip()
        known = next(iter(ids.get(run.key, ())), unnamed)
        name = known.rpartition("@")[0] or known
        names[candidate] = f"{name} {run.key}" if name in used else name
        used.add(names[candidate])
    return {key: names[candidate] for key, candidate in candidates.items()}


def _seeds(result: Compared, names: Mapping[str, str]) -> dict[str, list[ClassDraws]]:
    """Draws of the seeds of each method."""
    seeds: dict[str, list[ClassDraws]] = {}
    for key, name in names.items():
        seeds.setdefault(name, []).append(result.draws[key])
    return seeds


def _sorted_out(
    runs: Mapping[str, Run[Any]], names: Mapping[str, str], values: Mapping[str, Resampled]
) -> tuple[list[str], list[str]]:
    """Candidates and baselines, each the best first."""
    baselines = {names[key] for key, run in runs.items() if run.spec.is_baseline}
    ranked = sorted(values, key=lambda name: -values[name].value)
    return (
        [name for name in ranked if name not in baselines],
        [name for name in ranked if name in baselines],
    )


def _reference(
    wanted: str | None, names: Mapping[str, str], ids: Mapping[str, Sequence[str]],
    best: str | None,
) -> str:  # fmt: skip
    """Name of the method that others are compared with."""
    if wanted is None:
        return best or next(iter(names.values()))
    known = {**{name: name for name in names.values()}, **names}
    known |= {id_: names[key] for key, some in ids.items() if key in names for id_ in some}
    if wanted not in known and any(wanted in (key, *some) for key, some in ids.items()):
        return _reference(None, names, ids, best)  # it was measured on other units
    if wanted not in known:
        raise StoreError(
            f"no method {wanted!r} among these runs; choose from "
            f"{numbers.listed(sorted(set(names.values())), 20)}", "no_reference",
        )  # fmt: skip
    return known[wanted]


def _against(
    candidates: Sequence[str], best: str | None, values: Mapping[str, Resampled], confidence: float
) -> dict[str, Contrast]:
    """Each candidate minus the best baseline, simultaneous over the candidates."""
    if best is None or not candidates:
        return {}
    differences = [mean_difference([values[name]], [values[best]]) for name in candidates]
    return dict(zip(candidates, simultaneous_contrasts(differences, confidence), strict=True))
