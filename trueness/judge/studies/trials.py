"""A table of trials, wherever it comes from, checked row by row."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from trueness.errors import DataError

Value: TypeAlias = int | float | str | bool
ARCHITECTURE = ("d_model", "n_layers", "n_heads")
TRAINING = ("learning_rate", "dropout", "weight_decay")
PUBLISHED = (*ARCHITECTURE, "d_ff_ratio", *TRAINING)
"""Parameters of a published study, in its own order."""
COMPLETE, NO_VALUE = "complete", "no value"
STATES = ("running", COMPLETE, "pruned", "fail", "waiting")
"""Of a trial, in the order in which Optuna numbers them."""
UNIT_MEASURES = (
    "AUC", "lower bound of precision", "recall", "macro-F1", "mean macro-F1 of languages",
    "macro-F1 of the worst language",
)  # fmt: skip
"""Measures that lie in [0, 1]."""
SUFFIX = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}


@dataclass(frozen=True)
class Range:
    """A parameter that may take any value between two ends, on a linear or logarithmic scale."""

    low: float
    high: float
    log: bool = False


Levels: TypeAlias = Mapping[str, tuple[Value, ...] | Range]
"""What each parameter of a search could be."""


@dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes
    ----------
    number : int
    value : float or None
        What was maximised; None if the trial did not finish.
    params : mapping
        What was carried out, forced values included.
    state : str
        One of `STATES`, or "no value" for what finished without a number.
    forced : str or None
        Why its values were not sampled, such as "min_d_model".
    key : str or None
        Run in the store.
    parameters : int or None
        True number of weights.
    scores : (float, float) or None
        Least and largest probability on the validation set.
    recall, seconds : float or None
    """

    number: int
    value: float | None
    params: Mapping[str, Value]
    state: str = COMPLETE
    forced: str | None = None
    key: str | None = None
    parameters: int | None = None
    scores: tuple[float, float] | None = None
    recall: float | None = None
    seconds: float | None = None

    @cached_property
    def configuration(self) -> tuple[tuple[str, Value], ...]:
        """All parameters, sorted by name: equal for trials that did the same."""
        return tuple(sorted(self.params.items()))


@dataclass(frozen=True)
class Study:
    """Trials of one search, checked by `from_rows`.

    `space` holds the levels of each parameter that could be chosen. `positives` of `examples`
    validation windows decide how sure an AUC is; None if unknown. `chosen` says on which part of
    the data values were measured and the best one was picked. `shapes` are the (d_model, n_layers)
    that a budget allows; None if all are.
    """

    name: str
    trials: tuple[Trial, ...]
    space: Levels
    budget: str = "?"
    tier: str = "?"
    kind: str = "?"
    measure: str = "AUC"
    positives: int | None = None
    examples: int | None = None
    chosen: str = "validation"
    notes: tuple[str, ...] = field(default=())
    shapes: frozenset[tuple[int, int]] | None = None

    @cached_property
    def completed(self) -> tuple[Trial, ...]:
        """Trials that count."""
        return tuple(t for t in self.trials if t.state == COMPLETE)

    @cached_property
    def configurations(self) -> tuple[tuple[Trial, float, int], ...]:
        """First trial of each configuration, the mean value of its trials, and how many it has."""
        groups: dict[Any, list[Trial]] = {}
        for trial in self.completed:
            groups.setdefault(trial.configuration, []).append(trial)
        return tuple((g[0], mean([values(g)]), len(g)) for g in groups.values())

    @property
    def is_share(self) -> bool:
        """Whether values lie in [0, 1]."""
        return self.measure in UNIT_MEASURES

    @property
    def uncounted(self) -> dict[str, int]:
        """State -> how many trials are left out."""
        states = Counter(t.state for t in self.trials if t.state != COMPLETE)
        return {state: states[state] for state in sorted(states)}

    @property
    def budget_size(self) -> float:
        """Number that the budget's name stands for; infinity if it is no number."""
        result = re.fullmatch(r"(?:label:)?(\d+(?:\.\d+)?)([KMB]?)", self.budget.upper())
        return math.inf if result is None else float(result[1]) * SUFFIX[result[2]]

    def names(self, wanted: Sequence[str]) -> list[str]:
        """Those of the names that are parameters here."""
        return [name for name in wanted if name in self.space]


def values(trials: Iterable[Trial]) -> list[float]:
    """What completed trials reached."""
    return [t.value for t in trials if t.value is not None]


def mean(groups: Iterable[Sequence[float]]) -> float:
    """Mean over all numbers of some groups.

    Examples
    --------
    >>> mean([[1.0, 2.0], [3.0]])
    2.0
    """
    numbers = [x for group in groups for x in group]
    return math.fsum(numbers) / len(numbers)


def order(level: Value) -> tuple[bool, float, str]:
    """Sorting key of levels: numbers by size, then words."""
    is_word = isinstance(level, str)
    return is_word, 0.0 if isinstance(level, str) else float(level), str(level)


def from_rows(
    name: str, rows: Iterable[Mapping[str, Any]], space: Levels | None = None, *,
    budget: str = "?", tier: str = "?", kind: str = "?", measure: str = "AUC",
    positives: int | None = None, examples: int | None = None, chosen: str = "validation",
    notes: Sequence[str] = (), shapes: Iterable[tuple[int, int]] | None = None,
) -> Study:  # fmt: skip
    """Study from rows with the fields of `Trial`, numbers and states checked.

    Parameters
    ----------
    name : str
    rows : iterable of mapping
        ``number, value, params`` and any other field of `Trial`.
    space : mapping of str to tuple or Range, optional
        Levels of each parameter; those that were tried if not given.
    budget, tier, kind, measure, positives, examples, chosen, notes, shapes
        See `Study`.

    Raises
    ------
    DataError
        If no trial is complete, or one of them cannot be right; the message names it.

    Examples
    --------
    >>> rows = [{"number": i, "value": v, "params": {"dropout": d}}
    ...         for i, (v, d) in enumerate([(0.70, 0.1), (0.72, 0.3), (0.72, 0.3)])]
    >>> study = from_rows("tiny", rows)
    >>> len(study.completed), len(study.configurations), study.space
    (3, 2, {'dropout': (0.1, 0.3)})
    """
    trials = tuple(_trial(name, dict(row)) for row in rows)
    numbers = Counter(t.number for t in trials)
    twice = next((n for n, count in numbers.items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{name}: two trials have the number {twice}", "duplicate_trial")
    completed = [t for t in trials if t.state == COMPLETE]
    if not completed:
        raise DataError(
            f"{name}: no completed trials among {len(trials)}; nothing to analyse", "no_trials"
        )
    _check_counts(name, positives, examples)
    odd = next((t for t in completed if measure == "AUC" and not 0 <= (t.value or 0) <= 1), None)
    if odd is not None:
        raise DataError(
            f"{name}: trial {odd.number}: an AUC of {odd.value} is not in [0, 1]", "range"
        )
    known = dict(space or {})
    for key in dict.fromkeys(key for t in completed for key in t.params):
        tried = {t.params[key] for t in completed if key in t.params}
        known.setdefault(key, tuple(sorted(tried, key=order)))
    return Study(
        name, tuple(sorted(trials, key=lambda t: t.number)), known, budget, tier, kind, measure,
        positives, examples, chosen, tuple(notes), None if shapes is None else frozenset(shapes),
    )  # fmt: skip


def _check_counts(name: str, positives: object, examples: object) -> None:
    """Refuse positives that are no count of some of the examples."""
    if positives is None:
        return
    counts = (positives, examples)
    whole = [c for c in counts if isinstance(c, int) and not isinstance(c, bool)]
    if len(whole) < 2 or not 0 < whole[0] < whole[1]:
        raise DataError(f"{name}: {positives} positives of {examples} examples cannot be", "counts")


def _trial(name: str, row: dict[str, Any]) -> Trial:
    """A row as a trial."""
    number = row.get("number")
    if isinstance(number, bool) or not isinstance(number, int):
        raise DataError(f"{name}: trial number {number!r} is not a whole number", "trial_number")
    where = f"{name}: trial {number}"
    state, value = _outcome(where, row)
    params = row.get("params")
    if not isinstance(params, Mapping):
        raise DataError(f"{where} has no params; a mapping of names to values is needed", "params")
    fields = {k: row[k] for k in ("forced", "key") if row.get(k) is not None}
    for known in ("recall", "seconds"):
        if row.get(known) is not None:
            fields[known] = finite(where, known, row[known])
    if row.get("scores") is not None:
        low, high = (finite(where, "scores", s) for s in row["scores"])
        fields["scores"] = (low, high)
    if row.get("parameters") is not None:
        fields["parameters"] = int(finite(where, "parameters", row["parameters"]))
    if state == COMPLETE and not params:
        raise DataError(f"{where} is complete and has no parameters", "params")
    checked = {str(k): level_of(where, str(k), v) for k, v in params.items()}
    return Trial(number, value, checked, state, **fields)


def _outcome(where: str, row: Mapping[str, Any]) -> tuple[str, float | None]:
    """State and value of a trial; what finished without a finite number has none."""
    state, value = _state(where, row.get("state")), row.get("value")
    several = row.get("values")
    if isinstance(several, list) and value is None:
        if len(several) > 1:
            raise DataError(
                f"{where} has {len(several)} values: a multi-objective study has no best trial; "
                "give one with a single objective", "multi_objective",
            )  # fmt: skip
        value = several[0] if several else None
    if state != COMPLETE:
        return state, None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (is_number and not math.isfinite(value)):
        return NO_VALUE, None
    return state, finite(where, "value", value)


def _state(where: str, state: object) -> str:
    """A state by its name, as Optuna writes it or its number."""
    if isinstance(state, int) and not isinstance(state, bool):
        if not 0 <= state < len(STATES):
            raise DataError(f"{where}: there is no state {state}", "trial_state")
        return STATES[state]
    return str(state or COMPLETE).rpartition(".")[2].lower()


def finite(where: str, what: str, value: Any) -> float:  # noqa: ANN401 - whatever a file held
    """A number of a file.

    Raises
    ------
    DataError
        If it is none, or not finite.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise DataError(f"{where}: {what} {value!r} is not a finite number", "not_finite")
    return float(value)


def level_of(where: str, what: str, value: Any) -> Value:  # noqa: ANN401
    """A level of a parameter; None is one.

    Raises
    ------
    DataError
        If it is neither a finite number nor a word.
    """
    if value is None:
        return str(None)
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{where}: {what} {value!r} is not a finite number", "not_finite")
    if not isinstance(value, int | float | str):
        raise DataError(f"{where}: {what} {value!r} is neither a number nor a word", "level")
    return value
