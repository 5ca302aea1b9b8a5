"""Which runs of a comparison group are shown, and in which order; all of them are judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from trueness.document.numbers import count, plural
from trueness.errors import TruenessError, nearest
from trueness.judge.group import Group, Model, Recorded
from trueness.judge.ranks import rank_of
from trueness.judge.settings import MISSING, NEVER, content_of, flat, stored_value, words
from trueness.store import Run

CONDITION = re.compile(r"([\w.@%+-]{1,80}?)\s*(<=|>=|!=|=|<|>)\s*(.{1,100})")
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    ">": lambda a, b: a > b, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
}  # fmt: skip
CHOICES = {"order": ("ascending", "descending"), "kind": ("candidates", "baselines")}
"""Field of a choice -> what it may say."""
RECORDED = ("parameters", "seconds", "created", "device", "label")
"""Fields of a record that are columns."""
JUDGED = ("difference", "shrunk", "bound", "against", "checks")
"""Columns that are judged for the whole group, and neither sort nor filter it."""
SAMPLED = 200
"""Specs from which the names of settings are taken."""
Condition: TypeAlias = tuple[str, str, str]
"""Field, operator, value as it was written."""


@dataclass(frozen=True)
class Choice:
    """What is shown of a comparison group.

    Attributes
    ----------
    where : tuple of str
        Conditions such as ``recipe.learning_rate<=0.001``; all of them have to hold.
    search : str
        Part of an id, a key, a label or a tag.
    kind : str
        ``candidates`` or ``baselines``; both without.
    sort : str
        Field that sorts: an estimate by its worse end, the best first, any other by its value, the
        smallest first. By default the order in which the group is ranked.
    order : str
        ``ascending`` or ``descending``, of an estimate the best first.
    columns : tuple of str
        Further fields that are shown.

    Raises
    ------
    TruenessError
        With the code ``order``, ``kind`` or ``condition``.
    """

    where: tuple[str, ...] = ()
    search: str = ""
    kind: str = ""
    sort: str = ""
    order: str = ""
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if value and value not in known:
                raise TruenessError(f"no {name} {value!r}; {nearest(value, list(known))}", name)
        self.conditions()

    def conditions(self) -> list[Condition]:
        """Conditions, taken apart."""
        result = []
        for text in self.where:
            match = CONDITION.fullmatch(text.strip())
            if match is None:
                raise TruenessError(
                    f"condition {text!r}: a field, one of {' '.join(OPERATORS)} and a value are "
                    "needed, such as auc>0.6", "condition",
                )  # fmt: skip
            result.append((match[1], match[2], match[3].strip()))
        return result

    @property
    def decisive(self) -> list[str]:
        """Fields that sort or filter."""
        return [*filter(None, [self.sort]), *(name for name, _, _ in self.conditions())]

    @property
    def shown(self) -> list[str]:
        """Fields that are asked for as columns, that which sorts first."""
        return list(dict.fromkeys(filter(None, [self.sort, *self.columns])))

    def __str__(self) -> str:
        searched = [f"search {self.search!r}"] if self.search else []
        filters = ", ".join([*self.where, *filter(None, [self.kind]), *searched])
        ordered = ", ".join(filter(None, [self.sort and f"sorted by {self.sort}", self.order]))
        return "; ".join(filter(None, [filters, ordered]))

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"where": list(self.where), "search": self.search or None, "kind": self.kind or None,
                "sort": self.sort or None, "order": self.order or None}  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """Models of a judged group that a choice shows, in its order.

    `fields` has the values of the fields that are asked for, by key of a run.
    """

    choice: Choice
    models: list[Model]
    of: int
    fields: Mapping[str, Mapping[str, Any]]

    def __str__(self) -> str:
        note = str(self.choice)
        return f"{shown_of(len(self.models), self.of)}{': ' if note else ''}{note}."

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"n": len(self.models), "of": self.of, **self.choice.to_dict(),
                "columns": list(self.fields)}  # fmt: skip


def shown_of(n: int, of: int) -> str:
    """How many runs are shown of how many.

    Examples
    --------
    >>> shown_of(3, 12)
    '3 of 12 runs shown'
    """
    return f"{count(n)} of {plural(of, 'run')} shown"


# ------------------------------------------------------------------------------------------- fields


class Fields:
    """Every field of some runs of one comparison group.

    Parameters
    ----------
    models : sequence of Model
        They need not be judged.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = models
        self._values: dict[str, dict[str, Any]] = {}

    @classmethod
    def of_runs(cls, runs: Iterable[Run[Any]]) -> Fields:
        """Fields of runs that nobody named."""
        return cls([Model([], run, Recorded(run.record["estimates"], 1)) for run in runs])

    @cached_property
    def estimates(self) -> list[str]:
        """Names of estimates."""
        return list(self.models[0].run.record["estimates"])

    @cached_property
    def settings(self) -> list[str]:
        """Dotted names of settings that some specs have."""
        step = max(1, len(self.models) // SAMPLED)
        specs = [model.run.spec for model in self.models[::step]]
        known = dict.fromkeys(path for spec in specs for path in flat(content_of(spec)))
        return [*(path for path in known if path not in NEVER), "seed"]

    @property
    def names(self) -> list[str]:
        """Of every field that may sort or filter."""
        return ["id", *self.estimates, *RECORDED, *self.settings]

    @property
    def headline(self) -> str:
        """Estimate that sorts by default."""
        return self.models[0].run.estimands.headline

    def values(self, name: str) -> dict[str, Any]:
        """Value of a field of every run, by key."""
        if name not in self._values:
            self._values[name] = {model.key: field_of(model, name) for model in self.models}
        return self._values[name]

    def chosen(self, choice: Choice, places: Mapping[str, int]) -> list[Model]:
        """Models that a choice shows, in its order.

        Parameters
        ----------
        choice : Choice
        places : mapping of str to int
            Key -> place after judging, in which equal ones stay; where there is none, candidates
            come before baselines.
        """
        last = len(self.models)
        kept = [model for model in self.models if _meets(model, choice)]
        kept.sort(key=lambda m: places.get(m.key, last))
        for name, operator, wanted in choice.conditions():
            values = self.values(name)
            kept = [model for model in kept if matches(values[model.key], operator, wanted)]
        sort = choice.sort or self.headline
        if sort in self.estimates:
            kept.sort(key=lambda m: rank_of(m, sort), reverse=choice.order != "ascending")
        else:
            kept = self._by_value(kept, sort, falling=choice.order == "descending")
        if not (choice.sort or choice.order):
            kept.sort(key=lambda m: places.get(m.key, last) if places else m.is_baseline)
        return kept

    def _by_value(self, models: list[Model], name: str, *, falling: bool) -> list[Model]:
        """Numbers by size beside texts by their letters; what has no value comes last."""
        values = self.values(name)
        known = [model for model in models if values[model.key] is not None]
        known.sort(key=lambda m: _sortable(values[m.key]), reverse=falling)
        return [*known, *(model for model in models if values[model.key] is None)]


def _meets(model: Model, choice: Choice) -> bool:
    """Whether a model is of the kind that is asked for and holds the word that is searched."""
    if choice.kind and model.is_baseline != (choice.kind == "baselines"):
        return False
    if choice.search:
        texts = (*model.ids, model.key, str(model.run.record["label"]), *model.annotation.tags)
        return any(choice.search.lower() in text.lower() for text in texts)
    return True


def field_of(model: Model, name: str) -> Any:  # noqa: ANN401 - whatever a field holds
    """Value of a field of one model: estimate, field of the record, or setting; None without.

    A setting that has parts is told in words.
    """
    if name in model.estimates:
        return model.estimates[name].value
    if name in RECORDED:
        return model.run.record[name]
    if name == "id":
        return model.name
    value = stored_value(model.run.spec, name)
    if value is MISSING:
        return None
    return value if isinstance(value, int | float | str) else words(value)


def _sortable(value: Any) -> tuple[int, float, str]:  # noqa: ANN401 - whatever a field holds
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1, 0.0, str(value).lower()


def matches(value: Any, operator: str, wanted: str) -> bool:  # noqa: ANN401 - whatever a field holds
    """Whether a value meets a condition; texts by their letters, numbers by their size.

    Examples
    --------
    >>> matches(0.001, "<=", "1e-3"), matches("focal", "=", "focal"), matches(None, ">", "1")
    (True, True, False)
    >>> matches(None, "=", "none"), matches(0.1, "=", "none")
    (True, False)
    """
    if value is None:
        return OPERATORS[operator]("none", wanted.lower()) if operator in ("=", "!=") else False
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return OPERATORS[operator](float(value), float(wanted))
        except ValueError:
            return operator == "!="
    return OPERATORS[operator](str(value).lower(), wanted.lower())


# ------------------------------------------------------------------------------------ what is asked


def check_fields(choice: Choice, groups: Sequence[Fields], others: Sequence[str] = ()) -> None:
    """Refuse fields that no run of some groups has.

    Parameters
    ----------
    choice : Choice
    groups : sequence of Fields
    others : sequence of str
        Further columns that may be asked for.

    Raises
    ------
    TruenessError
        With the code ``no_field``, or ``judged_field`` for what is judged and so only a column.
    """
    known = list(dict.fromkeys(name for group in groups for name in group.names))
    for name in choice.decisive:
        if name in JUDGED:
            raise TruenessError(f"{name!r} is judged for the whole group; neither sort nor filter "
                                "by it", "judged_field")  # fmt: skip
    for name in (*choice.decisive, *choice.columns):
        if name not in known and name not in others:
            raise TruenessError(f"no field {name!r}; {nearest(name, known)}", "no_field")


def one_group(names: Sequence[str], wanted: str) -> str:
    """Name of a comparison group by its beginning.

    Raises
    ------
    TruenessError
        With the code ``no_group``, or ``ambiguous`` for the beginning of several.
    """
    result = [name for name in names if name.startswith(wanted)]
    if not result:
        known = nearest(wanted, list(names)) if names else "none is stored"
        raise TruenessError(f"no comparison group {wanted!r}; {known}", "no_group")
    if len(result) > 1:
        raise TruenessError(f"{wanted!r} begins {len(result)} comparison groups", "ambiguous")
    return result[0]


def shown_in(group: Group, choice: Choice) -> Shown:
    """What a choice shows of a judged group, whose models are in the order of the judgement."""
    fields = Fields(group.models)
    places = {model.key: i for i, model in enumerate(group.models)}
    models = fields.chosen(choice, places)
    asked = [name for name in choice.shown if name not in fields.estimates and name != "id"]
    return Shown(choice, models, len(group.models), {name: fields.values(name) for name in asked})
