"""Top-k accuracy as tables: of a run per group, of several runs, of two runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueness.document import Cell, Column, Style, Table
from trueness.evaluation.slices import Slice, Slices
from trueness.evaluation.top_k import ALL, TopDifference
from trueness.judge.languages_words import Words, verdict_word

TITLE = "Top-k accuracy: how often the class is among the k likeliest"
WEIGHTS = (9, 8, 7)
"""Of the columns of the first, second and third k."""


def top_table(result: Slices, words: Words) -> Table:
    """A row per group, all units last."""
    named = [*result.groups.items(), (f"all {words.units}", result.overall)]
    rows = [[name, *one.top_k.values()] for name, one in named]
    styles: list[Style] = [*("" for _ in result.groups), "total"]
    return Table([Column(words.group, "text", 9), *_columns(result.overall)], rows, TITLE,
                 styles=styles)  # fmt: skip


def tops_of(runs: Mapping[str, Slices], words: Words) -> Table:
    """A row per run, over all units."""
    rows: list[list[Cell]] = [[name, *one.overall.top_k.values()] for name, one in runs.items()]
    first = next(iter(runs.values())).overall
    title = f"{TITLE}, all {words.units}"
    return Table([Column("method", "text", 9), *_columns(first)], rows, title)


def _columns(one: Slice) -> list[Column]:
    return [Column(short(name), "share", weight)
            for name, weight in zip(one.top_k, WEIGHTS, strict=False)]  # fmt: skip


def short(name: str) -> str:
    """Name of an estimate in a table.

    Examples
    --------
    >>> short("top_3")
    'top-3'
    """
    return name.replace("_", "-")


def top_differences(
    first: str, second: str, tops: Mapping[str, Mapping[str, TopDifference]], words: Words
) -> list[Table]:
    """Two runs over all units; then, where there are groups, the differences in each."""
    names = {name: f"all {words.units}" if name == ALL else name for name in tops}
    whole = tops[ALL]
    columns = [
        Column("accuracy", "text", 9), Column(first, "number", 6), Column(second, "number", 6),
        Column("adjusted difference", "difference", 8), Column("verdict", "text", 9),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [short(k), d.first, d.second, d.difference.simultaneous, verdict_word(d.difference)]
        for k, d in whole.items()
    ]
    note = "Adjusted intervals hold for all k and all slices together."
    tables = [Table(columns, rows, f"{TITLE}, all {words.units}", note)]
    if len(tops) > 1:
        heads = [Column(words.group, "text", 9), *(Column(short(k), "difference") for k in whole)]
        inside: list[list[Any]] = [
            [names[name], *(d.difference.simultaneous for d in one.values())]
            for name, one in tops.items() if name != ALL
        ]  # fmt: skip
        title = f"Top-k accuracy per {words.group}, {first} minus {second}"
        tables.append(Table(heads, inside, title))
    return tables
