"""Near-duplicates of different clusters: how many there are, and one cluster for those alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.callback import Callback
from trueness.text.corpus import PARTS
from trueness.text.duplicates import DuplicateFinder, join
from trueness.text.fields import titles_only
from trueness.text.shards import shard_paths
from trueness.text.statistics import OUT, Rows

EXAMPLES = 5
"""Pairs of texts that a report shows."""
_CHARACTERS = 160


def near_duplicates(
    finder: DuplicateFinder, folder: Path, callback: Callback, mark: str | None = None
) -> NDArray[np.int64]:
    """Cluster of near-duplicates of every text of the shards, up to a mark, (n,)."""
    paths = shard_paths(folder)
    callback.on_stage_start("near-duplicates", len(paths))
    for path in paths:
        texts = pl.read_parquet(path, columns=["text"], glob=False)["text"]
        finder.add(titles_only(texts, mark))
        callback.on_progress(1)
    return finder.clusters()


def merge(
    rows: Rows,
    alike: NDArray[np.int64],
    folder: Path,
    split: Callable[[Rows], NDArray[np.int8]],
) -> dict[str, Any]:
    """Give near-duplicates one cluster, and tell what that changed.

    Parameters
    ----------
    rows : Rows
        Their clusters are replaced.
    alike : (n,) int64
        Cluster of near-duplicates of every row.
    folder : Path
        Shards, for the texts of examples.
    split : function
        Parts of rows, to tell what would have leaked without the merger.

    Returns
    -------
    dict
        `clusters_before` and `clusters_after`; `joined`, those of the first that were not left
        alone; `leaks`, texts of validation and test that would have had a near-duplicate in train;
        `largest`, texts of the largest cluster; `examples`, pairs of texts.
    """
    kept = rows.part != OUT
    before, leaks = rows.cluster, _leaks(split(rows), alike)
    rows.cluster = join(before, alike)
    after = np.bincount(rows.cluster[kept])
    old, first = np.unique(before[kept], return_index=True)
    members = np.bincount(rows.cluster[kept][first])
    return {
        "clusters_before": len(old),
        "clusters_after": int((after > 0).sum()),
        "joined": int(members[members > 1].sum()),
        "leaks": leaks,
        "largest": int(after.max(initial=0)),
        "examples": _texts(folder, _pairs(before, np.where(kept, alike, -1))),
    }


def _leaks(part: NDArray[np.int8], alike: NDArray[np.int64]) -> dict[str, int]:
    """Texts outside train with a near-duplicate in it."""
    trained = np.zeros(int(alike.max(initial=0)) + 1, bool)
    trained[alike[part == 0]] = True
    return {PARTS[p]: int(trained[alike[part == p]].sum()) for p in (1, 2)}


def _pairs(before: NDArray[np.int64], alike: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First pairs of rows that are alike and stood in different clusters."""
    order = np.lexsort((before, alike))
    one, other = order[:-1], order[1:]
    apart = (alike[one] == alike[other]) & (alike[one] >= 0) & (before[one] != before[other])
    _, first = np.unique(alike[one[apart]], return_index=True)
    result = zip(one[apart][first].tolist(), other[apart][first].tolist(), strict=True)
    return sorted(tuple(sorted(pair)) for pair in result)[:EXAMPLES]


def _texts(folder: Path, pairs: list[tuple[int, int]]) -> list[list[dict[str, str]]]:
    """Id, label and beginning of the text of the rows."""
    wanted = sorted({row for pair in pairs for row in pair})
    note: dict[int, dict[str, str]] = {}
    begin = 0
    for path in shard_paths(folder):
        here = [row - begin for row in wanted if row not in note]
        frame = pl.read_parquet(path, columns=["id", "text", "label"], glob=False)
        here = [row for row in here if row < len(frame)]
        for row, values in zip(here, frame[here].iter_rows(named=True), strict=True):
            note[begin + row] = values | {"text": values["text"][:_CHARACTERS]}
        begin += len(frame)
        if len(note) == len(wanted):
            break
    return [[note[row] for row in pair] for pair in pairs]
