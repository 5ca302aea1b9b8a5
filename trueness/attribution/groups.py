"""Groups of inputs that are permuted together: families of indicators, columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.document.numbers import decimal, plural
from trueness.errors import TruenessError, nearest
from trueness.market.indicators import FAMILIES
from trueness.market.inputs import RAW_COLUMNS

By: TypeAlias = Literal["family", "column"]
OWN, RAW = "own features", "prices and volume"
"""Families of columns that are no indicators."""
ALIKE = 0.9
"""Absolute correlation from which two columns tell much the same."""
MISSING = " missing"
"""End of the name of a column that says where another one has no value."""


@dataclass(frozen=True)
class Group:
    """Inputs that are permuted together.

    Attributes
    ----------
    name : str
    columns : tuple of str
        Names of its inputs.
    """

    name: str
    columns: tuple[str, ...]

    def mask(self, features: Sequence[str]) -> NDArray[np.bool_]:
        """Which of some inputs belong to it, (C,)."""
        mine = set(self.columns)
        return np.array([name in mine for name in features], bool)


@cache
def family_of(column: str) -> str:
    """Family of a column of bars.

    Examples
    --------
    >>> family_of("rsi_daily"), family_of("close"), family_of("my_column")
    ('momentum', 'prices and volume', 'own features')
    """
    for name, family in FAMILIES.items():
        if any(row.name == column for row in family.ROWS):
            return name
    return RAW if column in RAW_COLUMNS else OWN


def groups_of(features: Sequence[str], by: By, inputs: Sequence[str] = ()) -> list[Group]:
    """Groups of the inputs of a model, in order of their first columns.

    Parameters
    ----------
    features : sequence of str
    by : {"family", "column"}
        Families are those of the catalogue of indicators.
    inputs : sequence of str
        Columns of the table that the inputs of a model on a table are made of: all that is made of
        a column stays together, such as the categories of a word.

    Examples
    --------
    >>> [(g.name, len(g.columns)) for g in groups_of(["a", "b_x", "b_y", "a missing"], "column",
    ...                                              ["a", "b"])]
    [('a', 2), ('b', 2)]
    """
    result: dict[str, list[str]] = {}
    for name in features:
        group = family_of(name) if by == "family" else _column_of(name, inputs)
        result.setdefault(group, []).append(name)
    return [Group(name, tuple(columns)) for name, columns in result.items()]


def _column_of(name: str, inputs: Sequence[str]) -> str:
    """Column of a table that an input is made of, the longest whose name begins it."""
    matches = [one for one in inputs if name == one or name.startswith((f"{one}_", f"{one} "))]
    return max(matches, key=len, default=name)


def chosen_groups(groups: Sequence[Group], wanted: Sequence[str]) -> list[Group]:
    """Those of the groups that are wanted; all of them without any.

    Raises
    ------
    TruenessError
        With code ``unknown_group`` for a name that is none.
    """
    known = {one.name: one for one in groups}
    for name in wanted:
        if name not in known:
            raise TruenessError(f"no group {name!r} among the inputs of the model; "
                                f"{nearest(name, list(known))}", "unknown_group")  # fmt: skip
    return [known[name] for name in dict.fromkeys(wanted)] if wanted else list(groups)


def alike(groups: Sequence[Group], features: Sequence[str], values: NDArray[np.floating]) -> list[
    tuple[str, str, float]
]:  # fmt: skip
    """Pairs of groups whose columns correlate strongly: either can do without the other.

    Parameters
    ----------
    groups : sequence of Group
    features : sequence of C str
    values : (n, C)
        Inputs of some units.

    Returns
    -------
    list of (group, group, correlation)
        The strongest of each pair from `ALIKE` on, the strongest first.
    """
    moving = np.ptp(values, axis=0) > 0 if len(values) > 1 else np.zeros(len(features), bool)
    if len(groups) < 2 or moving.sum() < 2:
        return []
    columns = np.flatnonzero(moving)
    r = np.abs(np.corrcoef(np.asarray(values[:, columns], np.float64), rowvar=False))
    masks = [one.mask(features)[columns] for one in groups]
    result = []
    for i, mine in enumerate(masks):
        for j in range(i):
            block = r[np.ix_(mine, masks[j])]
            if block.size and (most := float(np.nanmax(block))) >= ALIKE:
                result.append((groups[j].name, groups[i].name, most))
    return sorted(result, key=lambda one: -one[2])


def alike_note(pairs: Sequence[tuple[str, str, float]], most: int = 5) -> list[str]:
    """What a reader must know of groups that tell much the same."""
    if not pairs:
        return []
    named = ", ".join(f"{a} and {b} ({decimal(r, 2)})" for a, b, r in pairs[:most])
    more = f" and {plural(len(pairs) - most, 'more pair')}" if len(pairs) > most else ""
    return [f"columns of these groups correlate, so that each can stand in for the other and both "
            f"show less than they hold together: {named}{more}"]  # fmt: skip
