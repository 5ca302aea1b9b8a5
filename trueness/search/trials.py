"""Trials of a search: ask the sampler for parameters, carry out the spec, tell what came of it.

Forced extremes are ordinary trials. A suggestion that was run before, or that cannot be built, is
replaced by the nearest architecture that was not, and the sampler is told the parameters that were
really run. Several processes may work on one study: no two run one spec.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from trueness.errors import SpecError
from trueness.search.definition import TRIED, Search
from trueness.search.space import Choice, Leaf
from trueness.search.studies import (
    Opened,
    heartbeat,
    queue_again,
    requeue_orphans,
    translate_errors,
)
from trueness.spec import Spec

Duplicates = Literal["architecture", "seed"]

ATTEMPTS = 200
"""Suggestions in a row that may turn out to be nothing new."""
POLL_S = 2.0
"""Seconds between two looks at trials of other machines."""


@dataclass(frozen=True)
class Proposal:
    """A trial with the spec that it will run."""

    trial: optuna.trial.Trial
    parameters: dict[str, Any]
    spec: Spec

    @property
    def number(self) -> int:
        """Number of the trial in its study."""
        return self.trial.number


@dataclass(frozen=True)
class Result:
    """What came of a proposal: values to maximise, or why there are none.

    `violation` is above 0 where a constraint is broken. `facts` are kept with the trial. `pruned`
    was given up for its epochs, which its trial knows. With none of these, it was not carried out
    and returns to the queue. `interrupted` ends the search, whatever came of it.
    """

    values: tuple[float, ...] | None = None
    violation: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    failure: str | None = None
    interrupted: bool = False
    pruned: bool = False


Evaluate: TypeAlias = Callable[[Sequence[Proposal]], Sequence[Result]]
"""Carries proposals out together; answers one result each."""


@dataclass
class Outcome:
    """What a call of `search_trials` did.

    `saved` counts suggestions that would have repeated a run, `invalid` those that no network has,
    `lost` trials that were given to another process because this one was silent for too long.
    """

    done: int = 0
    failed: int = 0
    pruned: int = 0
    lost: int = 0
    saved: int = 0
    invalid: int = 0
    interrupted: bool = False
    exhausted: bool = False
    flat: bool = False


def search_trials(
    search: Search, opened: Opened, evaluate: Evaluate, *, trials: int, batch: int = 1,
    seeds: int = 1, duplicates: Duplicates = "architecture", flat_after: int | None = None,
) -> Outcome:  # fmt: skip
    """Carry out trials until the study has so many.

    Parameters
    ----------
    search : Search
    opened : Opened
        From `open_study`.
    evaluate : callable
        Carries out a list of `Proposal`, answers as many `Result`.
    trials : int
        Trials in the study, those of earlier calls and of other processes included; failed and
        pruned ones count.
    batch : int
        Trials asked for at once; those of equal tensor shape train as one stack.
    seeds : int
        Replicates of each trial.
    duplicates : {"architecture", "seed"}
        What takes the place of a repeated suggestion: the nearest untested architecture, or the
        same spec with new seeds.
    flat_after : int, optional
        Stop when so many trials in a row did not beat the best by more than its standard error.

    Returns
    -------
    Outcome
    """
    asker = _Asker(search, opened, trials, duplicates, seeds, Outcome())
    with translate_errors(search.name):
        return _searched(asker, evaluate, batch, flat_after)


def _searched(asker: _Asker, evaluate: Evaluate, batch: int, flat_after: int | None) -> Outcome:
    opened, outcome = asker.opened, asker.outcome
    while not (outcome.interrupted or outcome.exhausted):
        elsewhere = requeue_orphans(opened)
        outcome.flat = flat_after is not None and _is_flat(opened, flat_after)
        left = asker.trials - asker.refresh()
        if outcome.flat or (left <= 0 and not elsewhere):
            break
        if left <= 0:
            time.sleep(POLL_S)  # a machine may die before it tells
            continue
        proposals = asker.propose(min(batch, left))
        with heartbeat(opened, [one.number for one in proposals]):
            results = evaluate(proposals) if proposals else []
        for one, result in zip(proposals, results, strict=True):
            _tell(opened.study, one, result, outcome)
    return outcome


# ------------------------------------------------------------------------------------ asking


@dataclass
class _Asker:
    """Asks a study for trials whose specs were not run in it."""

    search: Search
    opened: Opened
    trials: int
    duplicates: Duplicates
    seeds: int
    outcome: Outcome
    seen: list[FrozenTrial] = field(default_factory=list)

    def refresh(self) -> int:
        """Look at the study again, and say how many trials count."""
        self.seen = self.opened.counted()
        return len(self.seen)

    def propose(self, count: int) -> list[Proposal]:
        """So many trials, or fewer if there are no more."""
        proposals: list[Proposal] = []
        for _ in range(ATTEMPTS):
            if len(proposals) == count or self.outcome.exhausted:
                return proposals
            result = self._ask()
            if result is not None and self._is_surplus(result):
                self._close(result.trial, "other processes have begun enough trials")
                queue_again(self.opened.study, result.trial)
                return proposals
            if result is not None:
                proposals.append(result)
        self.outcome.exhausted |= not proposals
        return proposals

    def _is_surplus(self, one: Proposal) -> bool:
        """Whether the trials before this one are enough: another process asked meanwhile."""
        return sum(t.number < one.number for t in self.seen) >= self.trials

    def _ask(self) -> Proposal | None:
        """Next suggestion if it is new; else what takes its place waits in the queue."""
        study = self.opened.study
        trial = self.opened.ask()
        with np.errstate(invalid="ignore"):  # gp, as long as every trial breaks the constraint
            _, parameters = self.search.space.fill(lambda leaf: _suggest(trial, leaf))
        taken = self._taken(trial.number)
        try:
            spec = _seeded(self.search.spec(parameters), int(trial.user_attrs.get("seed", 0)))
        except SpecError as error:
            self.outcome.invalid += 1
            self._close(trial, str(error))
            self._replace(trial.number, parameters, taken, "architecture")
            return None
        if spec.key not in taken:
            trial.set_user_attr("key", spec.key)
            self.refresh()  # another process may have had the same idea
            taken = self._taken(trial.number)
        if spec.key not in taken:
            return Proposal(trial, parameters, spec)
        self.outcome.saved += 1
        self._close(trial, f"trial {taken[spec.key]} has this spec")
        if "key" in trial.user_attrs and trial.number < taken[spec.key]:
            queue_again(study, trial)  # both may have stepped back
        else:
            self._replace(trial.number, parameters, taken, self.duplicates)
        return None

    def _taken(self, number: int) -> dict[str, int]:
        """Key -> trial that ran or runs it, this one apart."""
        return {
            t.user_attrs["key"]: t.number
            for t in self.seen
            if t.number != number and "key" in t.user_attrs
        }

    def _close(self, trial: optuna.trial.Trial, reason: str) -> None:
        trial.set_user_attr("not_run", reason)
        self.opened.study.tell(trial, state=TrialState.FAIL)

    def _replace(
        self, number: int, parameters: dict[str, Any], taken: dict[str, int], policy: Duplicates
    ) -> None:
        """Queue what runs in the place of a suggestion."""
        attributes: dict[str, Any] = {"instead_of": number}
        if policy == "seed":
            attributes["seed"] = self._new_seed(parameters, taken)
            self.opened.study.enqueue_trial(parameters, user_attrs=attributes)
            return
        result = next(self._untested(parameters, taken), None)
        if result is not None:
            self.opened.study.enqueue_trial(result, user_attrs=attributes)
        elif self.duplicates == "architecture":
            self.outcome.exhausted = True

    def _untested(
        self, parameters: dict[str, Any], taken: dict[str, int]
    ) -> Iterator[dict[str, Any]]:
        """New architectures with these training values, then anything new."""
        others = itertools.islice(self.search.space.points(), TRIED)
        for candidate in itertools.chain(self.search.triples(parameters), others):
            try:
                if self.search.spec(candidate).key not in taken:
                    yield candidate
            except SpecError:
                continue

    def _new_seed(self, parameters: dict[str, Any], taken: dict[str, int]) -> int:
        base = self.search.spec(parameters)
        offsets = (n * self.seeds for n in itertools.count(1))
        return next(n for n in offsets if _seeded(base, n).key not in taken)


def _suggest(trial: optuna.trial.Trial, leaf: Leaf) -> Any:  # noqa: ANN401
    if isinstance(leaf, Choice):
        return trial.suggest_categorical(leaf.name, leaf.labels)
    if leaf.whole:
        step = 1 if leaf.step is None else int(leaf.step)
        return trial.suggest_int(leaf.name, int(leaf.low), int(leaf.high), log=leaf.log, step=step)
    return trial.suggest_float(leaf.name, leaf.low, leaf.high, log=leaf.log, step=leaf.step)


def _seeded(spec: Spec, offset: int) -> Spec:
    return spec.model_copy(update={"seed": spec.seed + offset}) if offset else spec


# ------------------------------------------------------------------------------------ telling


def _tell(study: optuna.Study, one: Proposal, result: Result, outcome: Outcome) -> None:
    """Tell what a trial gave; what an interruption left undone returns to the queue.

    A process that slept through its heartbeats finds its trial given away: the process that has it
    finds the run in the store.
    """
    outcome.interrupted |= result.interrupted
    try:
        _tell_own(study, one, result, outcome)
    except optuna.exceptions.UpdateFinishedTrialError:
        outcome.lost += 1


def _tell_own(study: optuna.Study, one: Proposal, result: Result, outcome: Outcome) -> None:
    if result.facts:
        one.trial.set_user_attr("run", result.facts)
    if result.values is not None:
        if result.violation is not None:
            one.trial.set_constraint("precision", result.violation)
        note = study.tell(one.trial, list(result.values), skip_if_finished=True)
        outcome.done += note.state == TrialState.COMPLETE
        outcome.lost += note.state != TrialState.COMPLETE
    elif result.pruned:
        note = study.tell(one.trial, state=TrialState.PRUNED, skip_if_finished=True)
        outcome.pruned += note.state == TrialState.PRUNED
        outcome.lost += note.state != TrialState.PRUNED
    elif result.failure is not None:
        one.trial.set_user_attr("failure", result.failure)
        study.tell(one.trial, state=TrialState.FAIL)
        outcome.failed += 1
    else:
        outcome.interrupted = True
        study.tell(one.trial, state=TrialState.FAIL)
        queue_again(study, one.trial)


def _is_flat(opened: Opened, patience: int) -> bool:
    """Whether the last trials did not beat the best before them by its standard error."""
    done = opened.completed()
    if len(done) <= patience or len(opened.study.directions) > 1:
        return False
    before, after = done[:-patience], done[-patience:]
    best = max(before, key=_first_value)
    error = best.user_attrs.get("run", {}).get("error") or 0.0
    return max(map(_first_value, after)) <= _first_value(best) + error


def _first_value(trial: FrozenTrial) -> float:
    return trial.values[0] if trial.values else float("-inf")
