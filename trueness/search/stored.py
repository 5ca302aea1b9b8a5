"""Studies as they were left: read back from their storage, and as tables of trials."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from trueness.document.numbers import plural
from trueness.errors import DataError, StoreError, nearest
from trueness.judge.studies import Range, Study, from_rows
from trueness.store import Run, Store

MEASURES = {
    "auc": "AUC", "precision": "lower bound of precision", "macro_f1": "macro-F1",
    "mean_group": "mean macro-F1 of languages", "worst_group": "macro-F1 of the worst language",
}  # fmt: skip


@dataclass(frozen=True)
class StoredStudy:
    """A study of a storage as it was left: what it is about, and its trials."""

    name: str
    about: dict[str, Any]
    objective: list[str]
    trials: list[FrozenTrial]
    sign: int = 1
    """-1 for values that were minimised, which are shown negated."""

    @property
    def is_foreign(self) -> bool:
        """Whether another program made it: its trials are no runs of trueness."""
        return "sources" not in self.about

    def short(self, name: str) -> str:
        """What a parameter is called; those of others by their whole names."""
        return name if self.is_foreign else short(name)

    @property
    def completed(self) -> list[FrozenTrial]:
        """Trials with a value."""
        return [t for t in self.trials if t.state == TrialState.COMPLETE]

    @property
    def pruned(self) -> int:
        """Trials that were given up for their first epochs."""
        return sum(t.state == TrialState.PRUNED for t in self.trials)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Trials that were carried out, as rows for `judge.studies.from_rows`."""
        for trial in self.completed:
            facts = {} if self.is_foreign else trial.user_attrs.get("run", {})
            yield {
                "number": trial.number, "value": self.sign * (trial.values or [math.nan])[0],
                "state": "complete",
                "params": {self.short(n): _word(v) for n, v in trial.params.items()},
                "forced": None if self.is_foreign else trial.user_attrs.get("forced"),
                "key": facts.get("keys", [None])[0],
                **{n: facts.get(n) for n in ("parameters", "scores", "recall", "seconds")},
            }  # fmt: skip


def short(name: str) -> str:
    """Last part of a leaf's name; below a choice, the choice stays in front.

    Examples
    --------
    >>> short("model.d_model"), short("model.embedding[linear].width")
    ('d_model', 'embedding:linear.width')
    """
    above, bracket, rest = name.partition("[")
    return above.rpartition(".")[2] + (":" if bracket else "") + rest.replace("]", "")


def _word(value: Any) -> Any:  # noqa: ANN401 - a level of a choice
    return str(value) if value is None or isinstance(value, bool) else value


def study_names(storage: RDBStorage, *, foreign: bool = False) -> list[str]:
    """Names of the studies that trueness made, in order of their making; of all with `foreign`."""
    studies = storage.get_all_studies()
    return [one.study_name for one in studies if foreign or "made" in one.user_attrs]


def find_study(storage: RDBStorage, name: str, *, foreign: bool = False) -> StoredStudy:
    """Study of a storage.

    Parameters
    ----------
    storage : RDBStorage
    name : str
    foreign : bool
        Whether it may be one that trueness did not make.

    Raises
    ------
    DataError
        If the storage has none of that name; ``foreign_study`` if another program made it.
    """
    names = study_names(storage, foreign=True)
    if name not in names:
        hint = nearest(name, names) if names else "it has none; `trueness search run` makes one"
        raise DataError(f"no study {name!r} in the storage; {hint}")
    study = optuna.load_study(study_name=name, storage=storage)
    attributes = study.user_attrs
    if "made" not in attributes:
        if not foreign:
            raise DataError(f"trueness did not make the study {name!r}; `trueness search analyze` "
                            "and `coverage` read it", "foreign_study")  # fmt: skip
        return _foreign(study)
    objective = str(attributes["made"]["objective"]).split()
    return StoredStudy(name, attributes["about"], objective, study.get_trials(deepcopy=False))


def _foreign(study: optuna.Study) -> StoredStudy:
    """A study of another program: its parameters as their distributions say."""
    trials = study.get_trials(deepcopy=False)
    leaves = {name: _leaf(one) for t in trials for name, one in t.distributions.items()}
    minimised = study.directions[0] == StudyDirection.MINIMIZE
    names = study.metric_names or [f"value {i}" for i, _ in enumerate(study.directions)]
    names = names if len(names) > 1 or study.metric_names else ["value"]
    about = {
        "title": study.study_name, "horizon": None, "leaves": leaves, "budget": None, "tier": None,
        "protocol": "an Optuna study that trueness did not make"
        + ("; minimised, so its values are negated here" if minimised else ""),
    }  # fmt: skip
    return StoredStudy(study.study_name, about, list(names), trials, -1 if minimised else 1)


def _leaf(one: BaseDistribution) -> dict[str, Any]:
    """A distribution as `trueness.search.space.described` writes a leaf."""
    if isinstance(one, CategoricalDistribution):
        return {"levels": list(one.choices)}
    if isinstance(one, IntDistribution | FloatDistribution):
        return {"low": one.low, "high": one.high, "log": one.log}
    raise DataError(f"a {type(one).__name__} is no distribution that is known", "foreign_study")


def study_of(stored: StoredStudy, store: Store) -> Study:
    """A study with its true sizes, and the days that decide how sure its values are.

    Raises
    ------
    DataError
        If no trial is complete.
    """
    about, rows = stored.about, list(stored.rows())
    run = _any_run(rows, store)
    positives, examples, chosen = (None, None, "validation") if run is None else _days(run)
    objective = stored.objective[0]
    days = [] if about["horizon"] is None else [f"horizon {about['horizon']} d"]
    notes = [f"{about['title']}; {', '.join([*days, about['protocol']])}"]
    if len(stored.objective) > 1:
        notes.append(f"searched for {' and '.join(stored.objective)}; judged by {objective} here")
    if stored.pruned:
        notes.append(f"{plural(stored.pruned, 'trial')} pruned, left out of everything here")
    return from_rows(
        stored.name, rows, {stored.short(n): _levels(leaf) for n, leaf in about["leaves"].items()},
        budget=about["budget"] or "?", tier=about["tier"] or "?",
        kind=f"h{about['horizon']} {about['protocol']}" if days else about["protocol"],
        measure=MEASURES.get(objective, objective), positives=positives, examples=examples,
        chosen=chosen, notes=notes,
        shapes=[(d, depth) for d, depth in about["shapes"]] if about.get("shapes") else None,
    )  # fmt: skip


def _levels(leaf: dict[str, Any]) -> tuple[Any, ...] | Range:
    if "levels" in leaf:
        words = (None, True, False)
        return tuple(str(v) if any(v is w for w in words) else v for v in leaf["levels"])
    return Range(leaf["low"], leaf["high"], leaf["log"])


def _any_run(rows: list[dict[str, Any]], store: Store) -> Run | None:
    """Some stored run of a study; all of them are measured on the same days."""
    for row in rows:
        try:
            return store.run(row["key"] or "")
        except StoreError:
            continue
    return None


def _days(run: Run) -> tuple[int | None, int | None, str]:
    """Positives, examples and name of the measured part."""
    part = run.spec.estimands.measured_on
    if run.spec.estimands.kind != "binary":
        return None, run.record["units"]["n"], part
    counts = [fold[part] for fold in run.record["folds"] if part in fold]
    examples, positives = (sum(c[i] for c in counts) for i in (0, 1))
    known = 0 < positives < examples
    return (positives if known else None), (examples if known else None), part
