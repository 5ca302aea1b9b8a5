"""Categories of the product-corpus archive, and the file that gives every cluster one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.text.sources import opened, readable

CATEGORIES = (
    "Automotive", "Baby", "Books", "CDs_and_Vinyl", "Camera_and_Photo",
    "Cell_Phones_and_Accessories", "Clothing", "Computers_and_Accessories",
    "Grocery_and_Gourmet_Food", "Health_and_Beauty", "Home_and_Garden", "Jewelry",
    "Luggage_and_Travel_Gear", "Movies_and_TV", "Musical_Instruments", "Office_Products",
    "Other_Electronics", "Pet_Supplies", "Shoes", "Sports_and_Outdoors",
    "Tools_and_Home_Improvement", "Toys_and_Games", "Video_Games", "others",
)  # fmt: skip
"""Names of the product-corpus scheme; labels of the rows are spelled like this."""

_BLOCK_BYTES = 16 << 20
_NAMES_KEPT = 50
_NO_CATEGORY = -1
_CONFLICT = -2
_FIRST_UNKNOWN = -3


def plain_name(name: str) -> str:
    """Spelling of a category in which all its spellings agree.

    Examples
    --------
    >>> plain_name("Home_and_Garden") == plain_name(" home & GARDEN ")
    True
    """
    return " ".join(name.casefold().replace("&", " and ").replace("_", " ").split())


_CODE = {plain_name(name): code for code, name in enumerate(CATEGORIES)}


@dataclass(frozen=True)
class Mapping:
    """Category of every cluster.

    Attributes
    ----------
    clusters : (n,) int64
        Sorted ids; may be a memory-mapped file.
    codes : (n,) int16
        Index into `CATEGORIES`; negative for clusters with two categories, and for names that are
        no category.
    unknown : tuple of str
        Those names, the first 50 as they came and one for all others.
    report : dict
        Counts of lines, broken lines, conflicts and clusters per unknown name.
    """

    clusters: NDArray[np.int64]
    codes: NDArray[np.int16]
    unknown: tuple[str, ...]
    report: dict[str, int]

    def labels(self, clusters: NDArray[np.int64]) -> tuple[list[str | None], Counter[str]]:
        """Category of each cluster, None where there is none, and counts of the reasons why."""
        if not len(self.clusters):
            return [None] * len(clusters), Counter({"cluster not in the mapping": len(clusters)})
        position = np.searchsorted(self.clusters, clusters).clip(max=len(self.clusters) - 1)
        codes = np.where(self.clusters[position] == clusters, self.codes[position], _NO_CATEGORY)
        values, counts = np.unique(codes[codes < 0], return_counts=True)
        why = Counter({self._reason(int(v)): int(n) for v, n in zip(values, counts, strict=True)})
        return [CATEGORIES[code] if code >= 0 else None for code in codes.tolist()], why

    def _reason(self, code: int) -> str:
        if code == _NO_CATEGORY:
            return "cluster not in the mapping"
        if code == _CONFLICT:
            return "cluster with two categories in the mapping"
        return f"unknown category {self.unknown[_FIRST_UNKNOWN - code]!r}"

    def save(self, folder: Path) -> None:
        """Keep the arrays as files, for `kept_mapping`."""
        np.save(folder / "clusters.npy", self.clusters)
        np.save(folder / "codes.npy", self.codes)
        pl.DataFrame({"name": self.unknown}, schema={"name": pl.String}).write_parquet(
            folder / "unknown.parquet"
        )


def kept_mapping(folder: Path) -> Mapping:
    """Mapping that `Mapping.save` kept; processes that open it share its memory."""
    return Mapping(
        np.load(folder / "clusters.npy", mmap_mode="r"),
        np.load(folder / "codes.npy", mmap_mode="r"),
        tuple(pl.read_parquet(folder / "unknown.parquet", glob=False)["name"]),
        {},
    )


def read_mapping(path: Path) -> Mapping:
    """Mapping from a file of lines ``cluster <tab> category``, without a header.

    Categories may be spelled with underscores, spaces, ``&`` or ``and``, in any case. Memory is
    about 40 bytes per cluster while sorting, 10 after.

    Raises
    ------
    DataError
        If the file cannot be read, or gives no cluster a known category.
    """
    readable(path, "a mapping of lines with a cluster, a tab and a category")
    codes: dict[str, int] = {}
    report, ids, of = Counter(lines=0), [], []
    for table in _tables(path):
        report["lines"] += len(table)
        whole = table.filter(pl.col("cluster").is_not_null() & pl.col("category").is_not_null())
        report["broken lines"] += len(table) - len(whole)
        names = whole["category"].unique(maintain_order=True)
        for name in names:
            codes.setdefault(name, _code(name, codes))
        ids.append(whole["cluster"].to_numpy())
        of.append(
            whole["category"].replace_strict(codes, return_dtype=pl.Int16).to_numpy()
            if len(whole) else np.empty(0, np.int16)
        )  # fmt: skip
    mapping = _sorted(
        np.concatenate([*ids, np.empty(0, np.int64)]),
        np.concatenate([*of, np.empty(0, np.int16)]),
        _unknown(codes),
        report,
    )
    if not (mapping.codes >= 0).any():
        names = ", ".join(map(repr, mapping.unknown[:3])) or "none at all"
        raise DataError(
            f"{path}: no cluster with a known category in {report['lines']:,} lines (categories: "
            f"{names}); lines of a cluster, a tab and one of {', '.join(CATEGORIES[:3])}, ... "
            "are expected"
        )
    return mapping


def _code(name: str, codes: dict[str, int]) -> int:
    """Code of a spelling; the 51st unknown name and all after it share one."""
    known = _CODE.get(plain_name(name))
    if known is not None:
        return known
    lowest = min([*codes.values(), _CONFLICT])
    return max(lowest - 1, _FIRST_UNKNOWN - _NAMES_KEPT)


def _unknown(codes: dict[str, int]) -> tuple[str, ...]:
    names = {code: name for name, code in reversed(codes.items()) if code <= _FIRST_UNKNOWN}
    names[_FIRST_UNKNOWN - _NAMES_KEPT] = "(others)"
    return tuple(names[code] for code in sorted(names, reverse=True))


def _tables(path: Path) -> Iterator[pl.DataFrame]:
    """Columns cluster (Int64) and category (String), block by block; null where unreadable."""
    carry = b""
    try:
        with opened(path) as file:
            while block := file.read(_BLOCK_BYTES):
                cut = (carry + block).rpartition(b"\n")
                carry = cut[2]
                yield _table(cut[0])
    except (EOFError, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error}); give a whole file") from None
    yield _table(carry)


def _table(block: bytes) -> pl.DataFrame:
    lines = pl.Series("line", block.decode(errors="replace").split("\n"), dtype=pl.String)
    table = lines.to_frame().filter(pl.col("line").str.strip_chars() != "")
    halves = pl.col("line").str.split_exact("\t", 1).struct
    return table.select(
        cluster=halves.field("field_0").str.strip_chars().cast(pl.Int64, strict=False),
        category=halves.field("field_1").str.strip_chars(),
    )


def _sorted(
    clusters: NDArray[np.int64],
    codes: NDArray[np.int16],
    unknown: tuple[str, ...],
    report: Counter[str],
) -> Mapping:
    """Mapping with one entry per cluster; a cluster with two categories has none."""
    order = np.argsort(clusters, kind="stable")
    clusters, codes = clusters[order], codes[order]
    first = np.append(True, clusters[1:] != clusters[:-1])[: len(clusters)]
    start = np.flatnonzero(first)
    if len(start):
        low, high = np.minimum.reduceat(codes, start), np.maximum.reduceat(codes, start)
        codes = np.where(low == high, low, np.int16(_CONFLICT))
    clusters = clusters[start]
    report["clusters"] = len(clusters)
    report["clusters with two categories"] = int((codes == _CONFLICT).sum())
    for code in np.unique(codes[codes <= _FIRST_UNKNOWN]):
        name = unknown[_FIRST_UNKNOWN - code]
        report[f"clusters of unknown category {name!r}"] = int((codes == code).sum())
    return Mapping(clusters, codes, unknown, dict(report))
