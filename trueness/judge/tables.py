"""Scores that were made elsewhere, read from files and frames: models on the same units."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.document.numbers import count, listed, plural
from trueness.errors import DataError, nearest
from trueness.frames import as_series, check_distinct
from trueness.judge.scores import (
    SCALES,
    Array,
    GivenScale,
    check_index,
    check_present,
    check_scale,
    converted,
    floats,
    frame_of,
    matrix,
    scores_by_name,
)
from trueness.judge.units import ROLES, Units, units_of
from trueness.predictions import Predictions
from trueness.reading import as_numbers, as_texts, read_table
from trueness.reading.values import odd_content


@dataclass(frozen=True)
class Columns:
    """Which column of a table plays which role.

    Attributes
    ----------
    label : str
        0 or 1; class where there are `prefixes`.
    score : tuple of str
        Wide tables: a column per model; all that are left without it. With `model`: the one
        column of scores.
    prefixes : tuple of str
        K classes: columns that begin with it, then the name of the class; wide tables have one
        prefix per model, long ones have one.
    model : str, optional
        Long tables: the name of the model.
    id, time, group, cluster, fold, split : str, optional
    drop : tuple of str
        Columns to leave out.
    """

    label: str
    score: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    model: str | None = None
    id: str | None = None
    time: str | None = None
    group: str | None = None
    cluster: str | None = None
    fold: str | None = None
    split: str | None = None
    drop: tuple[str, ...] = ()

    @property
    def roles(self) -> dict[str, str]:
        """Role of a unit -> column, those that are named."""
        named = {role: self.label if role == "y" else getattr(self, role) for role in ROLES}
        return {role: column for role, column in named.items() if column is not None}

    def check(self, known: Sequence[str]) -> None:
        """Refuse columns that are not there, and one column in two roles.

        Raises
        ------
        DataError
        """
        check_distinct(known)
        model = [self.model] if self.model is not None else []
        used = [*self.roles.values(), *model, *self.score, *dict.fromkeys(self.drop)]
        for name in used:
            if name not in known:
                raise DataError(f"no column {name!r}; {nearest(name, list(known))}",
                                "unknown_column")  # fmt: skip
        doubled = [name for i, name in enumerate(used) if name in used[:i]]
        if doubled:
            raise DataError(f"column {doubled[0]!r} is named for two roles; one each is needed",
                            "doubled_column")  # fmt: skip
        if self.score and self.prefixes:
            raise DataError("score names a column of scores and scores_prefix those of classes; "
                            "give one of the two", "which_scores")  # fmt: skip
        if self.model is not None and len(self.score) + len(self.prefixes) != 1:
            raise DataError(
                "a table with a row per model and unit needs the column of the scores (score), or "
                "the prefix of those of the classes", "which_scores",
            )  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """How values are understood.

    Attributes
    ----------
    scale : {"probability", "logit", "rank"}
    missing : {"refuse", "drop"}
        Units without a score of some model: refused, or left out for all models.
    pair_common : bool
        Long tables: keep the units that every model has, where models have different ones.
    on : str, optional
        Part that is judged; needed where the split has several.
    """

    scale: GivenScale = "probability"
    missing: Literal["refuse", "drop"] = "refuse"
    pair_common: bool = False
    on: str | None = None


@dataclass(frozen=True)
class ScoreTable:
    """Scores of some models on the same units.

    Attributes
    ----------
    models : dict of str to Predictions
    part : str
        That is judged.
    notes : tuple of str
        What was left out.
    """

    models: dict[str, Predictions]
    part: str
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Predictions:
        """Predictions of one of the models: the units are those of all."""
        return next(iter(self.models.values()))


def score_table(
    table: object, columns: Columns, reading: Reading = Reading(), separator: str | None = None
) -> ScoreTable:
    """Models in a file or frame, wide (a column per model) or long (a row per model and unit).

    Raises
    ------
    DataError
        For everything that cannot be judged as it is; nothing is guessed silently.

    Examples
    --------
    >>> table = {"y": [0, 1, 0, 1], "svm": [0.2, 0.9, 0.1, 0.6]}
    >>> list(score_table(table, Columns("y")).models)
    ['svm']
    """
    notes: tuple[str, ...] = ()
    if isinstance(table, str | Path):
        portion = read_table(table, separator=separator)
        frame, notes = portion.frame, portion.all_notes(str(table))
    else:
        frame = frame_of(table)
    if not len(frame):
        raise DataError("a table without rows", "empty")
    columns.check(frame.columns)
    long = columns.model is not None
    rest = frame.drop(columns.drop)
    result = _long(rest, columns, reading) if long else _wide(rest, columns, reading)
    return replace(result, notes=(*notes, *result.notes))


def score_arrays(
    y: object, scores: object, roles: Mapping[str, object], *, classes: Sequence[str] | None = None,
    reading: Reading = Reading(),
) -> ScoreTable:  # fmt: skip
    """Models from columns of any library.

    Parameters
    ----------
    y : (n,)
    scores : see `scores_by_name`; for K classes a mapping of model to (n, K), or (n, K) alone
    roles : mapping of str to (n,)
        ``id, time, group, cluster, fold, split``; None for those that are not known.
    classes : sequence of str, optional
        Names of K classes, in the order of their scores.
    reading : Reading

    Raises
    ------
    DataError

    Examples
    --------
    >>> table = score_arrays([0, 1, 0, 1], {"svm": [0.2, 0.9, 0.1, 0.6]}, {})
    >>> table.first.y
    array([0, 1, 0, 1], dtype=uint8)
    """
    present = {role: values for role, values in roles.items() if values is not None}
    several = scores.values() if isinstance(scores, Mapping) else [scores]
    check_index([y, *several, *present.values()])
    columns = {role: as_series(role, values) for role, values in {**present, "y": y}.items()}
    names: tuple[str, ...] = ()
    if classes is None:
        by_name = {name: _numbers(name, one) for name, one in scores_by_name(scores).items()}
    else:
        several = scores if isinstance(scores, Mapping) else {"model": scores}
        check_distinct([str(name) for name in several])
        names = _class_names(classes)
        by_name = {str(name): matrix(str(name), one, names) for name, one in several.items()}
    return assembled(units_of(columns, names), by_name, reading)


def _class_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Names of classes as text, none of them twice."""
    names = () if isinstance(classes, str | int) else tuple(map(str, classes))
    if len(set(names)) < max(len(names), 2):
        raise DataError("classes: at least two different names are needed, in the order of their "
                        "scores", "doubled_class")  # fmt: skip
    return names


def _roles(frame: pl.DataFrame, columns: Columns) -> dict[str, pl.Series]:
    return {role: frame[column].alias(role) for role, column in columns.roles.items()}


# -------------------------------------------------------------------------------------------- wide


def _wide(frame: pl.DataFrame, columns: Columns, reading: Reading) -> ScoreTable:
    rest = [name for name in frame.columns if name not in columns.roles.values()]
    if columns.prefixes:
        by_model, classes = _by_prefix(rest, columns.prefixes)
        used = {name for names in by_model.values() for name in names}
        scores = {
            model: matrix(model, np.stack([_floats(frame, name) for name in names], 1))
            for model, names in by_model.items()
        }
    else:
        classes, used = (), set(columns.score or rest)
        scores = {name: _floats(frame, name) for name in rest if name in used}
    if not scores:
        raise DataError("no columns of scores are left; name them with score", "no_models")
    notes = _idle(rest, used)
    return assembled(units_of(_roles(frame, columns), classes), scores, reading, notes)


def _idle(names: Sequence[str], used: Collection[str]) -> list[str]:
    """A note about columns that nothing reads, if there are some."""
    idle = [name for name in names if name not in used]
    return [f"columns that are not used: {listed(idle)}"] if idle else []


def _floats(frame: pl.DataFrame, name: str) -> Array:
    return _numbers(name, frame[name])


def _numbers(name: str, column: pl.Series) -> Array:
    numbers = as_numbers(column)
    if numbers is None:
        raise DataError(
            f"column {name!r} holds no scores ({odd_content(column)}); drop it, name the columns "
            "of scores, or say what it is (id, time, group, cluster, fold, split, model)",
            "not_numeric",
        )  # fmt: skip
    return floats(name, numbers)


def _by_prefix(
    names: Sequence[str], prefixes: Sequence[str]
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Model -> its columns, one per class, and the classes; a column goes to its longest prefix."""
    own: dict[str, dict[str, str]] = {prefix: {} for prefix in dict.fromkeys(prefixes)}
    for name in names:
        matching = [p for p in own if name.startswith(p) and name != p]
        if matching:
            prefix = max(matching, key=len)
            own[prefix][name[len(prefix) :]] = name
    for prefix, columns in own.items():
        if len(columns) < 2:
            raise DataError(
                f"{plural(len(columns), 'column')} with the prefix {prefix!r}; one per class is "
                f"needed, at least two; {nearest(prefix, list(names))}", "unknown_column",
            )  # fmt: skip
    classes = tuple(own[prefixes[0]])
    for prefix, columns in own.items():
        if set(columns) != set(classes):
            odd = sorted(set(columns) ^ set(classes))
            raise DataError(
                f"the columns with the prefixes {prefixes[0]!r} and {prefix!r} have different "
                f"classes ({listed(odd)})", "different_classes",
            )  # fmt: skip
    names = [prefix.rstrip("_.-: ") or prefix for prefix in own]
    names = names if len(set(names)) == len(own) else list(own)
    models = [[columns[c] for c in classes] for columns in own.values()]
    return dict(zip(names, models, strict=True)), classes


# -------------------------------------------------------------------------------------------- long


def _long(frame: pl.DataFrame, columns: Columns, reading: Reading) -> ScoreTable:
    """Models of a table with a row per model and unit."""
    roles = _roles(frame, columns)
    if columns.id is None and columns.time is None:
        raise DataError("a table with a row per model and unit needs the column of the id or of "
                        "the time, which pairs the rows", "no_id")  # fmt: skip
    names = as_texts(frame[columns.model or ""])
    if names is None:
        kind = frame.schema[columns.model or ""]
        raise DataError(f"model: a column of {kind}; give the name of the model in every row",
                        "column_type")  # fmt: skip
    if names.null_count():
        raise DataError(f"{plural(names.null_count(), 'row')} without a model", "missing_value")
    classes: tuple[str, ...] = ()
    values = [columns.score[0]] if columns.score else []
    rest = [name for name in frame.columns if name not in (columns.model, *columns.roles.values())]
    if columns.prefixes:
        by_model, classes = _by_prefix(rest, columns.prefixes)
        values = next(iter(by_model.values()))
    stacked = np.stack([_floats(frame, name) for name in values], 1)
    units = units_of(roles, classes, paired=True)
    models = names.unique(maintain_order=True).to_list()
    position = names.replace_strict(models, range(len(models)), return_dtype=pl.Int64).to_numpy()
    cell = position * len(units.frame) + units.row
    _check_once(cell, models, units)
    filled = np.full((len(models) * len(units.frame), stacked.shape[1]), np.nan, stacked.dtype)
    there = np.zeros(len(filled), bool)
    filled[cell], there[cell] = stacked, True
    scores = filled.reshape(len(models), len(units.frame), -1)
    kept, notes = _common(there.reshape(len(models), -1), models, reading.pair_common)
    notes = _idle(rest, values) + notes
    units = replace(units, frame=units.frame.filter(pl.Series(kept)))
    by_model = {name: one[kept] for name, one in zip(models, scores, strict=True)}
    if not classes:
        by_model = {name: one[:, 0] for name, one in by_model.items()}
    return assembled(units, by_model, reading, notes)


def _check_once(cell: NDArray[np.int64], models: Sequence[str], units: Units) -> None:
    """Refuse two rows of one model on one unit."""
    order = np.sort(cell)
    again = order[1:][order[1:] == order[:-1]]
    if len(again):
        model, unit = divmod(int(again[0]), len(units.frame))
        raise DataError(
            f"{models[model]} has several rows for the unit {units.frame['id'][unit]!r}; one is "
            "needed", "duplicate_id",
        )  # fmt: skip


def _common(
    there: NDArray[np.bool_], models: Sequence[str], common: bool
) -> tuple[NDArray[np.bool_], list[str]]:
    """Units, (n,), that every model has."""
    kept = np.logical_and.reduce(there, 0)
    lost = int((~kept).sum())
    if lost and not common:
        few = there.sum(1)
        fewest = int(few.argmin())
        raise DataError(
            f"models have different units: {models[fewest]} {count(few[fewest])} of "
            f"{count(len(kept))}; give all of them, or ask for those that all models have "
            "(pair_common)", "different_units",
        )  # fmt: skip
    if not kept.any():
        raise DataError("no unit is there for every model; nothing can be paired",
                        "different_units")  # fmt: skip
    return kept, [f"{plural(lost, 'unit')} left out that some models do not have"] * bool(lost)


# --------------------------------------------------------------------------------------- assembling


def assembled(
    units: Units, scores: Mapping[str, Array], reading: Reading, notes: Sequence[str] = ()
) -> ScoreTable:
    """Predictions of models on some units, checked and on the scale that they are kept in.

    Parameters
    ----------
    units : Units
        n of them.
    scores : mapping of str to (n,) or (n, K)
    reading : Reading
    notes : sequence of str
        What was left out already.

    Raises
    ------
    DataError
    """
    classes = units.classes
    check_scale(reading.scale, classes)
    if not scores:
        raise DataError("no scores of any model; give at least one", "no_models")
    for name, values in scores.items():
        if len(values) != len(units.frame):
            raise DataError(f"{name}: {count(len(values))} scores for "
                            f"{count(len(units.frame))} labels", "lengths")  # fmt: skip
        if classes and values.shape[1:] != (len(classes),):
            raise DataError(f"{name}: scores of {values.shape[1]} classes, not {len(classes)}",
                            "different_classes")  # fmt: skip
    kept = check_present(scores, reading.missing == "drop")
    lost = int((~kept).sum())
    notes = [
        *notes,
        *[f"{plural(lost, 'unit')} left out without a score of some model"] * bool(lost),
    ]
    frame = units.frame.filter(pl.Series(kept)) if lost else units.frame
    part = _part(frame, reading.on)
    _check_classes(frame, part, {name: one[kept] for name, one in scores.items()}, units)
    sorting = [name for name in ("split", "fold", "time", "id") if name in frame.columns]
    order = frame.with_row_index("__row").sort(sorting)["__row"].to_numpy()
    frame = frame[order]
    column, kind = (
        ("scores", SCALES[reading.scale]) if classes else ("score", SCALES[reading.scale])
    )
    return ScoreTable({
        name: Predictions(
            frame.with_columns(_series(column, converted(name, one[kept], reading.scale)[order])),
            kind, classes,
        )
        for name, one in scores.items()
    }, part, tuple(notes))  # fmt: skip


def _series(name: str, values: Array) -> pl.Series:
    dtype = pl.Float32 if values.dtype == np.float32 else pl.Float64
    return pl.Series(name, values, pl.Array(dtype, values.shape[1]) if values.ndim == 2 else dtype)


def _part(frame: pl.DataFrame, on: str | None) -> str:
    parts = frame["split"].unique(maintain_order=True).to_list()
    if on is not None and on not in parts:
        raise DataError(f"no units of a part {on!r}; {nearest(on, parts)}", "no_part")
    if on is None and len(parts) > 1:
        raise DataError(f"the split has several parts ({listed(parts)}); say which one is judged "
                        "(on)", "which_part")  # fmt: skip
    return on or parts[0]


def _check_classes(
    frame: pl.DataFrame, part: str, scores: Mapping[str, Array], units: Units
) -> None:
    """Refuse one class only among the judged units."""
    labels = frame.filter(pl.col("split") == part)["y"]
    if labels.n_unique() < 2:
        only = units.classes[labels[0]] if units.classes else labels[0]
        raise DataError(f"all {count(len(labels))} labels of the {part} part are {only}; units of "
                        "two classes are needed", "one_class")  # fmt: skip


def constant_models(table: ScoreTable) -> list[str]:
    """Models whose scores are the same for every judged unit: they rank nothing."""
    inside = (table.first.frame["split"] == table.part).to_numpy()
    result = []
    for name, model in table.models.items():
        scores = (model.scores if model.classes else model.score)[inside]
        if (scores == scores[0]).all():
            result.append(name)
    return result
