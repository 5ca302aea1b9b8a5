"""Tables after the judgement: all rows with a label to refit on, and rows without one to score."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from trueness.document.numbers import plural
from trueness.errors import DataError
from trueness.examples import Examples
from trueness.spec.table import TableTask
from trueness.table.examples import column_names, divide, short_notes, windows
from trueness.table.parts import TRAIN, held_back
from trueness.table.preparation import Preparation
from trueness.table.reading import Table
from trueness.table.roles import row_ids, unlabelled_roles


def refit_examples(
    task: TableTask, evaluation: Any, table: Table, share_pct: float  # noqa: ANN401
) -> tuple[Examples, Preparation, dict[str, str]]:  # fmt: skip
    """All rows in one fold that predicts nothing, and what its training rows taught.

    Parameters
    ----------
    task : TableTask
    evaluation : shape
        The latest rows stop the training where it divides by time; else rows drawn at random.
    table : Table
    share_pct : float
        Of the rows, those of the inner validation part.

    Returns
    -------
    Examples, Preparation, dict of str to str
        The last are inputs and their kinds.

    Raises
    ------
    DataError
        As `table_examples` does; ``one_class`` if a part lacks positives or negatives.
    """
    by = partial(held_back, share_pct=share_pct)
    result = divide(task, evaluation, table, by)
    roles, unit = result.roles, result.unit
    inputs = roles.inputs[result.order]
    learnt = Preparation.of(inputs, result.last[result.parts[0] == TRAIN])
    series, names = learnt.applied(inputs)
    examples = Examples(
        series=series, start=result.start, context=task.context, y=roles.y[unit],
        when=None if roles.time is None else roles.time[unit],
        group=None if roles.group is None else roles.group[unit], parts=result.parts,
        features=column_names(names, inputs.columns), notes=table.notes,
        ids=(unit + 1).astype(np.str_),
    )  # fmt: skip
    for part in ("train", "validation"):
        n, positives = examples.counts()[0].get(part, (0, 0))
        if positives in (0, n):
            raise DataError(f"{part} has {plural(n, 'row')}, {positives} of them positive; both "
                            "classes are needed", "one_class")  # fmt: skip
    return examples, learnt, {name: str(table.frame.schema[name]) for name in inputs.columns}


def unseen_examples(
    task: TableTask, table: Table, learnt: Preparation, kinds: Mapping[str, str],
    id_column: str | None = None,
) -> Examples:  # fmt: skip
    """Rows as a fitted model reads them, in no part; their labels need not be known.

    Their ids are those of a column, or their numbers in the table.

    Raises
    ------
    DataError
        With the codes ``missing_column``, ``other_kind``, ``missing_value``, ``not_a_time``,
        ``short_groups``, ``unknown_column``, ``column_type`` and ``doubled_id``.
    """
    roles = unlabelled_roles(task, table, kinds)
    order, start = windows(roles, task.context, table.name)
    unit = order[start + task.context - 1]
    ids = row_ids(table, id_column)[unit]
    series, names = learnt.applied(roles.inputs[order])
    return Examples(
        series=series, start=start, context=task.context, y=roles.y[unit],
        when=None if roles.time is None else roles.time[unit],
        group=None if roles.group is None else roles.group[unit],
        parts=np.zeros((1, len(unit)), np.int8),
        features=column_names(names, roles.inputs.columns),
        notes=(*table.notes, *short_notes(len(order) - len(start), task.context)), ids=ids,
    )  # fmt: skip
