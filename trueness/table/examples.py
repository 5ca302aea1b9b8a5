"""From a table to Examples: windows, parts, preparation inside each fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trueness.document.numbers import count, plural
from trueness.errors import DataError
from trueness.examples import PARTS, Examples
from trueness.spec.table import TableTask
from trueness.table.parts import OOF, TEST, TRAIN, VALIDATION, Units, divided
from trueness.table.preparation import Name, Preparation, Prepared
from trueness.table.reading import Table
from trueness.table.roles import Roles, roles_of

Index = NDArray[np.int64]
Floats = NDArray[np.float32]


def table_examples(task: TableTask, evaluation: Any, table: Table) -> Examples:  # noqa: ANN401
    """Windows, labels and parts of a table, prepared anew in each fold.

    What a fold learns about the columns, it learns from its training rows. The `TableVectorizer`
    of skrub with its defaults makes numbers of them: few categories become a column each, many the
    30 main components of a TF-IDF of their letters, dates their year, month, day, hour and seconds.
    Then columns of numbers get median 0 and quartiles a fixed distance apart, and values beyond
    are squashed to at most 3 (`skrub.SquashingScaler`; Holzmüller et al., "Better by Default:
    Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data", 2024). A missing value becomes the
    median, and where training rows lack values, a further column says which. Columns of 0 and 1
    stay as they are. A category that training rows do not have is 0 in all columns, and a column
    that a fold does not have is 0.

    A window of a unit holds its row and the ``context - 1`` rows before it in its group; rows with
    too few before them are no units. One that reaches into rows which the fold must not know (those
    it predicts, and for training those it stops on) plays no part.

    Parameters
    ----------
    task : TableTask
    evaluation : RowsHoldout, KFold, RowsForward or Given
    table : Table
        T rows.

    Returns
    -------
    examples : Examples
        Their ids are the numbers of the rows in the table, from 1; with `offsets` where there are
        several folds.

    Raises
    ------
    DataError
        With the codes ``unknown_column``, ``missing_value``, ``not_binary``, ``one_class``,
        ``not_a_time``, ``no_inputs``, ``short_groups``, ``given_folds``, ``many_folds``,
        ``few_clusters``, ``no_folds``, ``empty_part`` and ``rare_class``.

    Examples
    --------
    >>> from trueness.spec.evaluation import KFold
    >>> from trueness.table.reading import table_of
    >>> rows = {"x": [float(i) for i in range(40)], "y": [0, 0, 0, 1] * 10}
    >>> task = TableTask(kind="table", rows="0", label="y")
    >>> examples = table_examples(task, KFold(protocol="kfold", n_folds=2), table_of(rows))
    >>> examples.n_folds, examples.features, examples.counts()[0]["oof"]
    (2, ('x',), (20, 5))
    """
    result = divide(task, evaluation, table)
    roles, unit = result.roles, result.unit
    check_parts(result, evaluation, table.name)
    inputs = roles.inputs[result.order]
    learnt = [Preparation.of(inputs, result.last[part == TRAIN]) for part in result.parts]
    prepared = [one.applied(inputs) for one in learnt]
    if not all(names for _, names in prepared):
        raise DataError(f"{table.name}: no input has a value among the training rows of a fold",
                        "no_inputs")  # fmt: skip
    series, made, offsets = _stacked(prepared)
    names = column_names(made, inputs.columns)
    return Examples(
        series=series, start=result.start, context=task.context, y=roles.y[unit],
        when=_taken(roles.time, unit), group=_taken(roles.group, unit), parts=result.parts,
        features=names, notes=(*table.notes, *_notes(result, evaluation)), offsets=offsets,
        ids=(unit + 1).astype(np.str_), cluster=_taken(roles.cluster, unit),
    )  # fmt: skip


@dataclass(frozen=True)
class Division:
    """Windows of a table and the part each plays.

    Attributes
    ----------
    roles : Roles
    order : (T,) int64
        Rows of the table by group (where windows have several rows), then time.
    start : (N,) int64
        First row of each window in that order.
    context : int
    parts : (F, N) int8
    """

    roles: Roles
    order: Index
    start: Index
    context: int
    parts: NDArray[np.int8]

    @property
    def last(self) -> Index:
        """Place of each unit in the order, the last row of its window (N,)."""
        return self.start + self.context - 1

    @property
    def unit(self) -> Index:
        """Row of each unit in the table (N,)."""
        return self.order[self.last]


def divide(
    task: TableTask, evaluation: Any, table: Table,  # noqa: ANN401
    by: Callable[[Any, Units], NDArray[np.int8]] = divided,
) -> Division:  # fmt: skip
    """Windows and parts of a table, by the protocol unless told otherwise; nothing is prepared.

    Raises
    ------
    DataError
        As `table_examples`, but for parts that lack rows or a class.
    """
    roles, context = roles_of(task, evaluation, table), task.context
    order, start = windows(roles, context, table.name)
    unit = order[start + context - 1]
    units = Units(
        roles.y[unit], _taken(roles.time, unit), _bundles(roles, context)[unit],
        _taken(roles.given, unit),
    )  # fmt: skip
    parts = _unspoilt(by(evaluation, units), start, context, len(order))
    return Division(roles, order, start, context, parts)


def _taken(values: NDArray[Any] | None, rows: Index) -> NDArray[Any] | None:
    return None if values is None else values[rows]


# ------------------------------------------------------------------------------- windows and parts


def windows(roles: Roles, context: int, name: str) -> tuple[Index, Index]:
    """Rows in order (T,), by group (if windows have several rows) and time; starts of windows."""
    n = len(roles.y)
    order, at = np.arange(n), np.zeros(n, np.int64)
    if roles.time is not None:
        order = np.argsort(roles.time, kind="stable")
    if context == 1:
        return order, np.arange(n)
    if roles.group is not None:
        at = np.unique(roles.group, return_inverse=True)[1]
        order = order[np.argsort(at[order], kind="stable")]
    inside = at[order]
    start = np.arange(n - context + 1) if n >= context else np.arange(0)
    start = start[inside[start] == inside[start + context - 1]]
    if not len(start):
        raise DataError(f"{name}: no group has {context} rows, as windows need; choose a smaller "
                        "task.context", "short_groups")  # fmt: skip
    return order, start


def _bundles(roles: Roles, context: int) -> Index:
    """Number (T,) of what stays together where rows are drawn: clusters; groups with windows."""
    n = len(roles.y)
    kinds = [roles.cluster] if context == 1 else [roles.cluster, roles.group]
    numbers = [np.unique(kind, return_inverse=True)[1] for kind in kinds if kind is not None]
    if not numbers:
        return np.arange(n)
    first, last = numbers[0], numbers[-1]
    if first is last:
        return first
    size = int(first.max()) + 1
    links = coo_array((np.ones(n), (first, size + last)), shape=(size + int(last.max()) + 1,) * 2)
    return connected_components(links, directed=False)[1][first].astype(np.int64)


def _unspoilt(parts: NDArray[np.int8], start: Index, context: int, n: int) -> NDArray[np.int8]:
    """Parts (F, N) without training that reaches into what is predicted or stopped on."""
    if context == 1:
        return parts
    kept = parts.copy()
    for part, own in zip(kept, parts, strict=True):
        rows = np.zeros(n, np.int8)
        rows[start + context - 1] = own
        for mine, others in ((TRAIN, (VALIDATION, TEST, OOF)), (VALIDATION, (TEST, OOF))):
            seen = np.append(0, np.cumsum(np.isin(rows, others)))
            part[(own == mine) & (seen[start + context] > seen[start])] = 0
    return kept


def check_parts(result: Division, rule: Any, name: str) -> None:  # noqa: ANN401
    """Refuse folds without rows to train on, to stop on or to predict, or without a class.

    Raises
    ------
    DataError
        With the codes ``no_folds``, ``empty_part`` and ``rare_class``.
    """
    parts, y = result.parts, result.roles.y[result.unit]
    if not len(parts):
        raise DataError(f"{name}: {rule.protocol}: no rows to predict; choose an earlier start",
                        "no_folds")  # fmt: skip
    needed = ("train", "validation", *(("oof",) * (rule.measured_on == "oof")))
    for fold, part in enumerate(parts):
        where = f"{name}: {rule.protocol}" + f": fold {fold + 1} of {len(parts)}" * (len(parts) > 1)
        for wanted in needed:
            _check_part(wanted, y[part == PARTS.index(wanted)], where, both=wanted != "oof")
    pooled = y[(parts == PARTS.index(rule.measured_on)).any(axis=0)]
    _check_part(rule.measured_on, pooled, f"{name}: {rule.protocol}: all folds", both=True)


def _check_part(part: str, y: NDArray[np.uint8], where: str, both: bool) -> None:
    n, positives = len(y), int(y.sum())
    if not n:
        raise DataError(f"{where}: {part} has no rows; move the dates, or choose other shares or a "
                        "shorter purge", "empty_part")  # fmt: skip
    if both and positives in (0, n):
        raise DataError(
            f"{where}: {part} has {plural(n, 'row')}, {count(positives)} of them positive; both "
            "classes are needed; choose fewer folds, larger parts or more rows", "rare_class",
        )  # fmt: skip


def short_notes(short: int, context: int) -> list[str]:
    """A note on rows that have too few before them."""
    return [f"{plural(short, 'row')} with fewer than {context - 1} before them in their group are "
            "no units"] * (short > 0)  # fmt: skip


def _notes(result: Division, rule: Any) -> list[str]:  # noqa: ANN401
    notes = short_notes(len(result.order) - len(result.start), result.context)
    idle = int((result.parts == 0).all(axis=0).sum())
    if idle and rule.measured_on != "oof":
        notes.append(f"{plural(idle, 'row')} play no part")
    if "test" in rule.where["judged_on"] and not (result.parts == TEST).any():
        notes.append("no test part: no row lies in it")
    return notes


# ------------------------------------------------------------------------------------- copies


def _stacked(folds: list[Prepared]) -> tuple[Floats, list[Name], Index | None]:
    """Copies of the F folds one below the other under all their columns; where each begins."""
    names = list(dict.fromkeys(name for _, own in folds for name in own))
    n, place = len(folds[0][0]), {name: i for i, name in enumerate(names)}
    series = np.zeros((len(folds) * n, len(names)), np.float32)
    for fold, (values, own) in enumerate(folds):
        series[fold * n : (fold + 1) * n, [place[name] for name in own]] = values
    return series, names, None if len(folds) == 1 else np.arange(len(folds)) * n


def column_names(made: list[Name], inputs: list[str]) -> tuple[str, ...]:
    """Names of prepared columns, with a number behind those that came before."""
    names, seen = [f"{inputs[at]}{more}" for at, more in made], dict[str, int]()
    for i, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        names[i] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return tuple(names)
