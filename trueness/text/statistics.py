"""Counts of a corpus: per part, class and language, of clusters, and of lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.text.corpus import PARTS

OUT = -1
"""Part of a row that is left out."""


@dataclass
class Rows:
    """What the builder keeps of every text: 29 bytes.

    Attributes
    ----------
    classes, languages : tuple of str
        Sorted names that the codes stand for.
    label, language : (n,) int16
    confidence : (n,) float32
        Of the language.
    given : (n,) bool
        Whether the source gave the language.
    cluster : (n,) int64
    characters : (n,) int32
    part : (n,) int8
        Index into `PARTS`; -1 for rows left out.
    """

    classes: tuple[str, ...]
    languages: tuple[str, ...]
    label: NDArray[np.int16]
    language: NDArray[np.int16]
    confidence: NDArray[np.float32]
    given: NDArray[np.bool_]
    cluster: NDArray[np.int64]
    characters: NDArray[np.int32]
    part: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.label)


def statistics(rows: Rows) -> dict[str, Any]:
    """Counts of the rows that are in a part.

    `cells` holds, per part and language, the rows of each class in the order of the classes.
    """
    kept = rows.part != OUT
    cells = _cells(rows)
    return {
        "rows": dict(zip(PARTS, cells.sum(axis=(1, 2)).tolist(), strict=True)),
        "classes": _named(rows.classes, cells.sum(axis=1).T),
        "languages": _named(rows.languages, cells.sum(axis=2).T),
        "cells": {
            part: {
                code: cells[p, k].tolist()
                for k, code in enumerate(rows.languages) if cells[p, k].any()
            }
            for p, part in enumerate(PARTS)
        },
        "clusters": _clusters(rows.cluster[kept], rows.label[kept], rows.part[kept]),
        "characters": _lengths(rows.characters[kept]),
    }  # fmt: skip


def _cells(rows: Rows) -> NDArray[np.int64]:
    """Rows per part, language and class, (3, languages, classes)."""
    shape = len(PARTS), len(rows.languages), len(rows.classes)
    kept = rows.part != OUT
    codes = tuple(a[kept].astype(np.intp) for a in (rows.part, rows.language, rows.label))
    flat = np.ravel_multi_index(codes, shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)


def _named(names: tuple[str, ...], counts: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    """Name -> part -> rows, the most frequent first; names without rows are left out."""
    order = np.argsort(-counts.sum(axis=1), kind="stable")
    return {
        names[i]: dict(zip(PARTS, counts[i].tolist(), strict=True))
        for i in order if counts[i].any()
    }  # fmt: skip


def _clusters(
    cluster: NDArray[np.int64], label: NDArray[np.int16], part: NDArray[np.int8]
) -> dict[str, Any]:
    """Numbers and sizes of clusters; one whose texts disagree on the class shows label noise."""
    seen, first, of, sizes = np.unique(
        cluster, return_index=True, return_inverse=True, return_counts=True
    )
    mixed = np.zeros(len(seen), bool)
    mixed[of[label != label[first][of]]] = True
    each = np.bincount(part[first], minlength=len(PARTS))
    return {
        "number": dict(zip(PARTS, each.tolist(), strict=True)),
        "largest": int(sizes.max(initial=0)),
        "of_one_text": int((sizes == 1).sum()),
        "of_several_classes": int(mixed.sum()),
    }


def _lengths(characters: NDArray[np.int32]) -> dict[str, float]:
    """Mean and quantiles of the lengths of texts."""
    if not len(characters):
        return {}
    middle, high = np.quantile(characters, [0.5, 0.95])
    return {
        "mean": round(float(characters.mean()), 1), "median": float(middle), "p95": float(high),
        "longest": int(characters.max()),
    }  # fmt: skip
