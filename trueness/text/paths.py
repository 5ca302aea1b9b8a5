"""Classes that are paths, such as ``Electronics > Phones``; and cells that hold several classes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from trueness.errors import DataError, TruenessError

JOINER = " > "
"""Between the levels of a class in a corpus, whatever stood there in the source."""
MARK = JOINER.strip()
SEVERAL = ("|", ";")
"""What joins several labels in a cell."""
PERHAPS_SEVERAL = (",", "/")
"""What joins several labels, or stands inside the name of one."""


def path_of(columns: Sequence[str], separator: str | None) -> pl.Expr:
    """Path of each row, the outermost level first; null where a level is missing or empty.

    Parameters
    ----------
    columns : sequence of str
        One level each, or several where they are split at the separator.
    separator : str or None

    Examples
    --------
    >>> rows = pl.DataFrame({"label": ["Home/ Garden", "Home//Garden"]})
    >>> rows.select(path_of(["label"], "/"))["label"].to_list()
    ['Home > Garden', None]
    """
    result = pl.concat_str([pl.col(name).cast(pl.String) for name in columns],
                          separator=separator or JOINER)  # fmt: skip
    levels = result.str.split(separator or JOINER).list.eval(pl.element().str.strip_chars())
    whole = ~levels.list.contains("")
    return pl.when(whole).then(levels.list.join(JOINER)).otherwise(None).alias("label")


def check_separator(separator: str | None) -> None:
    """Refuse a separator of nothing but blanks.

    Raises
    ------
    TruenessError
        With code ``hierarchy``.
    """
    if separator is not None and not separator.strip():
        raise TruenessError("--hierarchy is blank; give what stands between the levels of a "
                            "class, such as '>'", "hierarchy")  # fmt: skip


def check_levels(frame: pl.DataFrame, columns: Sequence[str], separator: str | None) -> None:
    """Refuse the mark between levels where something else was said to stand there.

    Raises
    ------
    DataError
        With code ``hierarchy``.
    """
    if separator is not None and MARK in separator:
        return
    for name in columns:
        values = frame[name].cast(pl.String)
        odd = values.filter(values.str.contains(MARK, literal=True))
        if len(odd):
            raise DataError(f"column {name!r}: {odd[0]!r} has {MARK!r}, which stands between the "
                            "levels of a class here; replace it there", "hierarchy")  # fmt: skip


def are_paths(columns: Mapping[str, Any]) -> bool:
    """Whether a source was told that its classes are paths."""
    return bool(columns.get("hierarchy") or columns.get("parents"))


def check_paths(classes: Sequence[str], columns: Mapping[str, Any]) -> None:
    """Refuse classes that are no leaves of one tree.

    Raises
    ------
    DataError
        With code ``hierarchy`` if no class is a path, a level holds the mark between levels, or a
        class is the parent of another.
    """
    if not are_paths(columns):
        return
    if not any(JOINER in name for name in classes):
        raise DataError(
            f"no class has {columns['hierarchy']!r} in it; leave out --hierarchy, or give what "
            "stands between the levels", "hierarchy",
        )  # fmt: skip
    odd = next((n for n in classes if any(MARK in level for level in n.split(JOINER))), None)
    if odd is not None:
        raise DataError(f"class {odd!r}: {MARK!r} stands inside a level; replace it there",
                        "hierarchy")  # fmt: skip
    inner = {parent: name for name in classes for parent in parents_of(name)}
    both = next((name for name in classes if name in inner), None)
    if both is not None:
        raise DataError(
            f"{both!r} is a class of its own and the parent of {inner[both]!r}; give its texts a "
            f"leaf, such as {both + JOINER + 'other'!r}", "hierarchy",
        )  # fmt: skip


def parents_of(name: str) -> list[str]:
    """Every node above a class, the root's child first.

    Examples
    --------
    >>> parents_of("Home > Garden > Tools")
    ['Home', 'Home > Garden']
    """
    levels = name.split(JOINER)
    return [JOINER.join(levels[:depth]) for depth in range(1, len(levels))]


def check_single(counts: Mapping[str, int]) -> None:
    """Refuse labels that are several: lists, and names that are joined from those of others.

    ``A|B`` names two classes if both stand in other labels too; alone it may be a name. ``A, B``
    and ``A/B`` do if both are labels by themselves, and most labels with this mark are joined so.

    Parameters
    ----------
    counts : mapping of str to int
        Texts of each label.

    Raises
    ------
    DataError
        With code ``several_labels``.

    Examples
    --------
    >>> check_single({"Audio|Video": 3, "Books": 2})
    >>> check_single({"Audio|Books": 3, "Audio": 1, "Books": 2})
    Traceback (most recent call last):
    trueness.errors.DataError: label 'Audio|Books' (3 texts) names several classes, 'Audio' and \
'Books'; a text has one class here: keep one of them, or a row for each
    """
    known = {mark: _standing(counts, mark) for mark in SEVERAL}
    mixed = {label: some for mark in PERHAPS_SEVERAL for label, some in _mixed(counts, mark)}
    for label, n in counts.items():
        several = _listed(label) or _joined(label, known) or mixed.get(label, [])
        if several:
            names = " and ".join(map(repr, several[:2])) + (" and more" if len(several) > 2 else "")
            levels = ", or name the levels by --hierarchy '/'" if "/" in label else ""
            raise DataError(
                f"label {label!r} ({n} texts) names several classes, {names}; a text has one class "
                f"here: keep one of them, or a row for each{levels}", "several_labels",
            )  # fmt: skip


def _listed(label: str) -> list[str]:
    """Entries of a label that is a list written out."""
    if not (label.startswith("[") and label.endswith("]")):
        return []
    try:
        result = json.loads(label.replace("'", '"'))
    except ValueError:
        return []
    return [str(one) for one in result]


def _standing(labels: Iterable[str], mark: str) -> Counter[str]:
    """Labels that each name stands in, alone or joined with others."""
    return Counter(name for label in labels for name in {n.strip() for n in label.split(mark)})


def _joined(label: str, known: Mapping[str, Counter[str]]) -> list[str]:
    """Names in a label that all stand in other labels as well."""
    for mark, standing in known.items():
        names = [one.strip() for one in label.split(mark)]
        if len(names) > 1 and all(name and standing[name] > 1 for name in names):
            return names
    return []


def _mixed(labels: Iterable[str], mark: str) -> list[tuple[str, list[str]]]:
    """Labels with the labels they are joined from, if most that have the mark are joined so."""
    alone = {label.strip() for label in labels if mark not in label}
    parts = {label: [one.strip() for one in label.split(mark)] for label in labels if mark in label}
    result = [(label, names) for label, names in parts.items() if alone.issuperset(names)]
    return result if 2 * len(result) > len(parts) else []
