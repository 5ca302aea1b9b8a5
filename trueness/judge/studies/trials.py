"""A table of trials, wherever it comes from: a published folder, or the runs of a search here."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from trueness.errors import DataError

Value: TypeAlias = int | float | str | bool
ARCHITECTURE = ("d_model", "n_layers", "n_heads")
TRAINING = ("learning_rate", "dropout", "weight_decay")
PUBLISHED = (*ARCHITECTURE, "d_ff_ratio", *TRAINING)
"""Parameters of a published study, in its own order."""
PUBLISHED_POSITIVES, PUBLISHED_EXAMPLES = 76, 422
"""Positives of the published validation part, and all of its windows."""
COMPLETE, NO_VALUE = "complete", "no value"
STATES = ("running", COMPLETE, "pruned", "fail", "waiting")
"""Of a trial, in the order in which Optuna numbers them."""
UNIT_MEASURES = ("AUC", "lower bound of precision", "recall")
"""Measures that lie in [0, 1]."""
FILES = ("all_trials.json", "study.json", "trial_metrics.csv")
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
        found = re.fullmatch(r"(?:label:)?(\d+(?:\.\d+)?)([KMB]?)", self.budget.upper())
        return math.inf if found is None else float(found[1]) * SUFFIX[found[2]]

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
        raise DataError(f"{name}: two trials have the number {twice}")
    completed = [t for t in trials if t.state == COMPLETE]
    if not completed:
        raise DataError(f"{name}: no completed trials among {len(trials)}; nothing to analyse")
    _check_counts(name, positives, examples)
    odd = next((t for t in completed if measure == "AUC" and not 0 <= (t.value or 0) <= 1), None)
    if odd is not None:
        raise DataError(f"{name}: trial {odd.number}: an AUC of {odd.value} is not in [0, 1]")
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
        raise DataError(f"{name}: {positives} positives of {examples} examples cannot be")


def _trial(name: str, row: dict[str, Any]) -> Trial:
    """A row as a trial."""
    number = row.get("number")
    if isinstance(number, bool) or not isinstance(number, int):
        raise DataError(f"{name}: trial number {number!r} is not a whole number")
    where = f"{name}: trial {number}"
    state, value = _outcome(where, row)
    params = row.get("params")
    if not isinstance(params, Mapping):
        raise DataError(f"{where} has no params; a mapping of names to values is needed")
    fields = {k: row[k] for k in ("forced", "key") if row.get(k) is not None}
    for known in ("recall", "seconds"):
        if row.get(known) is not None:
            fields[known] = _finite(where, known, row[known])
    if row.get("scores") is not None:
        low, high = (_finite(where, "scores", s) for s in row["scores"])
        fields["scores"] = (low, high)
    if row.get("parameters") is not None:
        fields["parameters"] = int(_finite(where, "parameters", row["parameters"]))
    if state == COMPLETE and not params:
        raise DataError(f"{where} is complete and has no parameters")
    checked = {str(k): _level(where, str(k), v) for k, v in params.items()}
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
    return state, _finite(where, "value", value)


def _state(where: str, state: object) -> str:
    """A state by its name, as Optuna writes it or its number."""
    if isinstance(state, int) and not isinstance(state, bool):
        if not 0 <= state < len(STATES):
            raise DataError(f"{where}: there is no state {state}", "trial_state")
        return STATES[state]
    return str(state or COMPLETE).rpartition(".")[2].lower()


def _finite(where: str, what: str, value: Any) -> float:  # noqa: ANN401 - whatever a file held
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise DataError(f"{where}: {what} {value!r} is not a finite number")
    return float(value)


def _level(where: str, what: str, value: Any) -> Value:  # noqa: ANN401
    if value is None:
        return str(None)
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{where}: {what} {value!r} is not a finite number")
    if not isinstance(value, int | float | str):
        raise DataError(f"{where}: {what} {value!r} is neither a number nor a word")
    return value


# -------------------------------------------------------------------------------- published folders


def study_folders(folder: Path) -> list[Path]:
    """Subfolders that hold a published study, by name."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give a folder with {FILES[0]}")
    return sorted(one for one in folder.iterdir() if (one / FILES[0]).is_file())


def read_study(folder: str | Path) -> Study:
    """Read a published study: ``all_trials.json``, and beside it any of the files of `FILES`.

    Forced trials have empty parameters; theirs stand in ``user_attrs.forced_*`` and are put in
    their place. Without ``study.json`` the space is what was tried; without
    ``trial_metrics.csv`` true sizes and score ranges are unknown.

    Raises
    ------
    DataError
        If the folder is no study, or its files cannot be read.
    """
    folder = Path(folder)
    if not (folder / FILES[0]).is_file():
        inside = len(study_folders(folder))
        hint = f"; it holds {inside} studies, --all reads them" if inside else ""
        raise DataError(f"{folder}: not a study, {FILES[0]} is missing{hint}")
    rows = _json(folder / FILES[0])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{folder / FILES[0]}: a list of trials is expected")
    about = _json(folder / FILES[1]) if (folder / FILES[1]).is_file() else {}
    if not isinstance(about, dict):
        raise DataError(f"{folder / FILES[1]}: an object with tier, budget_label, ... is expected")
    _check_direction(folder / FILES[1], about)
    measured = _measured(folder / FILES[2])
    budget, tier = _named(folder.name, about)
    positives = about.get("n_positives", PUBLISHED_POSITIVES)
    examples = about.get("n_examples", PUBLISHED_EXAMPLES)
    notes = [
        f"intervals of single values suppose {examples} validation windows with {positives} "
        "positives" + ("" if "n_positives" in about else ", as published")
    ]
    if about.get("published_best_params") == {}:
        notes.append("the source names no best parameters, as a forced trial won; resolved here")
    return from_rows(
        folder.name, [_published_row(row, measured) for row in rows], _space(folder, about),
        budget=budget, tier=tier, kind=str(about.get("kind", "?")), positives=positives,
        examples=examples, notes=notes,
    )  # fmt: skip


def _check_direction(path: Path, about: Mapping[str, Any]) -> None:
    """Refuse a study whose lowest value is the best one.

    Raises
    ------
    DataError
    """
    told = about.get("direction", about.get("directions"))
    several = told if isinstance(told, list) else [told]
    if any(str(one).rpartition(".")[2].upper() in ("MINIMIZE", "1") for one in several):
        raise DataError(
            f"{path}: the study minimises its value; here the highest is the best, so give one "
            "that maximises", "minimised",
        )  # fmt: skip


def _json(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file ({error})") from None


def _named(name: str, about: Mapping[str, Any]) -> tuple[str, str]:
    """Budget and tier by the description, else by the folder's name, such as a50_2m_forced."""
    budget = re.search(r"(?:^|_)(\d+(?:\.\d+)?[kmb])(?:_|$)", name, re.IGNORECASE)
    tier = re.search(r"(?:^|_)(a\d+)(?:_|$)", name)
    return (
        str(about.get("budget_label", budget[1].upper() if budget else "?")),
        str(about.get("tier", tier[1] if tier else "?")),
    )


def _space(folder: Path, about: Mapping[str, Any]) -> Levels | None:
    space = about.get("search_space")
    if space is None:
        return None
    if not isinstance(space, dict) or not all(isinstance(v, list) and v for v in space.values()):
        raise DataError(f"{folder / FILES[1]}: search_space must be names with lists of levels")
    where = str(folder / FILES[1])
    return {k: tuple(sorted((_level(where, k, v) for v in space[k]), key=order)) for k in space}


def _measured(path: Path) -> dict[str, dict[str, str]]:
    """Trial number -> its line in the table of measures, empty if there is none."""
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {row.get("trial") or "": row for row in csv.DictReader(file)}
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file ({error})") from None


def _published_row(
    row: Mapping[str, Any], measured: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """A published trial with its forced parameters resolved."""
    attributes, params, forced = row.get("user_attrs") or {}, row.get("params") or {}, None
    for what, found in (("user_attrs", attributes), ("params", params)):
        if not isinstance(found, dict):
            raise DataError(f"trial {row.get('number')}: {what} {found!r} are not names and values")
    if attributes.get("forced_extreme"):
        forced = str(attributes.get("extreme_type", "forced"))
        params = {k: attributes[f"forced_{k}"] for k in PUBLISHED if f"forced_{k}" in attributes}
    line = measured.get(str(row.get("number")), {})
    low, high = (_cell(line, attributes, f"{side}") for side in ("pred_min", "pred_max"))
    return {
        **{name: row.get(name) for name in ("number", "value", "values", "state")},
        "params": params, "forced": forced, "parameters": _cell(line, {}, "param_count"),
        "scores": None if low is None or high is None else (low, high),
        "recall": _cell(line, attributes, "recall"),
        "seconds": _cell(line, attributes, "duration_sec"),
    }  # fmt: skip


def _cell(line: Mapping[str, Any], attributes: Mapping[str, Any], name: str) -> float | None:
    """A measure by the table, else by the trial's attributes; None if neither has it."""
    for found in (line.get(name), attributes.get(name), attributes.get(f"val_{name}")):
        if found not in (None, ""):
            try:
                return float(found)
            except (TypeError, ValueError):
                raise DataError(f"{name} {found!r} is not a number") from None
    return None
