"""A table with one row per unit: from a file, a frame of some library, or the bundled one."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trueness.document.numbers import listed
from trueness.errors import DataError
from trueness.frames import as_frame
from trueness.reading import read_table
from trueness.reading.values import MISSING_NUMBERS

BUNDLED = "randhie"
"""Name of the bundled table."""
MOST_ODD = 0.1
"""Share of texts that are no numbers in a column that was probably meant to hold numbers."""
SHOWN = 5
"""Names of columns in a note."""
HEALTH = {"hlthg": "good", "hlthf": "fair", "hlthp": "poor"}
MEANINGS = {
    "zper": "person", "site": "site", "year": "year", "plan": "plan", "coins": "coinsurance",
    "idp": "individual_deductible", "mdeoff": "maximum_expenditure", "pioff": "incentive",
    "xage": "age", "female": "female", "child": "child", "educdec": "education",
    "income": "income", "num": "family_size", "mhi": "mental_health",
    "ghindx": "general_health", "disea": "chronic_diseases", "physlm": "physical_limitation",
    "totadm": "admissions", "mdvis": "doctor_visits", "notmdvis": "other_visits",
    "mentvis": "therapy_visits", "outpdol": "outpatient_cost", "drugdol": "drug_cost",
    "suppdol": "supply_cost", "inpdol": "inpatient_cost",
}  # fmt: skip
"""Column of the source -> its name here."""


@dataclass(frozen=True)
class Table:
    """A table, one row per unit.

    Attributes
    ----------
    name : str
        Where it came from, for people; it changes no number.
    frame : polars.DataFrame
        Columns of single values: numbers, truth values, texts, categories, dates and times.
    notes : tuple of str
        What a reader of results must know.
    """

    name: str
    frame: pl.DataFrame
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def digest(self) -> str:
        """12 hexadecimal digits of the SHA-256 of names, kinds and values, in their order.

        Numbers and times count by their value, not by their width: a file that holds the same in
        fewer bytes has the same digest.
        """
        sha = hashlib.sha256()
        for column in self.frame:
            kind, values = _plain(column)
            sha.update(f"{column.name}\0{kind}\0{len(column)}\0".encode())
            sha.update(np.packbits(column.is_null().to_numpy()).tobytes())
            sha.update(values)
        return sha.hexdigest()[:12]

    def origin(self, time: str | None = None) -> dict[str, Any]:
        """Name, digest and rows, and the first and last day of the column `time`."""
        days = (None, None) if time is None else (self.frame[time].min(), self.frame[time].max())
        first, last = (None if day is None else str(day)[:10] for day in days)
        return {"name": self.name, "digest": self.digest, "rows": len(self), "first": first,
                "as_of": last}  # fmt: skip


def _plain(column: pl.Series) -> tuple[str, bytes]:
    """Kind of a column, and its values as bytes in one spelling."""
    dtype = column.dtype
    if dtype.is_integer() and dtype not in (pl.UInt64, pl.Int128, pl.UInt128):
        return "integer", column.cast(pl.Int64).fill_null(0).to_numpy().tobytes()
    if dtype.is_float():
        return "number", column.cast(pl.Float64).fill_null(0.0).to_numpy().tobytes()
    if isinstance(dtype, pl.Datetime):
        column = column.cast(pl.Datetime("us", dtype.time_zone))
    if dtype.is_temporal():
        numbers = column.to_physical().cast(pl.Int64).fill_null(0).to_numpy()
        return str(column.dtype), numbers.tobytes()
    categories = dtype in (pl.Categorical, pl.Enum)
    texts = column.cast(pl.String).fill_null("")
    sizes = texts.str.len_bytes().cast(pl.Int64).to_numpy().tobytes()
    return "category" if categories else str(dtype), sizes + "".join(texts).encode()


def table_of(frame: object, name: str = "table") -> Table:
    """Table from a frame of polars, pandas or Arrow, or a mapping of columns.

    Columns of lists, structures, bytes or objects are left out, with a note.

    Raises
    ------
    DataError
        If it is no table (code ``table``) or has no rows (``empty``).

    Examples
    --------
    >>> table = table_of({"amount": [3.5, 120.0], "is_fraud": [0, 1]})
    >>> len(table), table.digest
    (2, '88d655d4328a')
    """
    rows = as_frame(frame)
    if not len(rows):
        raise DataError(f"{name}: no rows; one per unit is expected", "empty")
    odd = [c.name for c in rows if c.dtype.is_nested() or c.dtype in (pl.Object, pl.Binary)]
    note = f"{name}: no single values, so left out: {listed(odd, SHOWN)}"
    return Table(name, rows.drop(odd), (note,) * bool(odd))


def load_table(source: str | Path, base_folder: Path | None = None) -> Table:
    """Table by name or from a file.

    Parameters
    ----------
    source : str or Path
        ``"randhie"`` (see `bundled`), or a file: CSV, TSV, Parquet, Arrow or JSON lines.
    base_folder : Path, optional
        Folder that a relative path is looked for in first.

    Raises
    ------
    DataError
        If the file is missing (code ``no_file``), empty or unreadable.
    """
    if str(source) == BUNDLED:
        return table_of(bundled(), BUNDLED)
    near = None if base_folder is None else base_folder / source
    path = near if near is not None and near.is_file() else Path(source)
    portion = read_table(path, types=True)
    table = table_of(portion.frame, str(source))
    return replace(table, notes=(*portion.all_notes(str(source)), *_doubtful(table), *table.notes))


def _doubtful(table: Table) -> list[str]:
    """Notes on columns of text whose values are numbers, or nearly all of them."""
    notes = []
    for column in table.frame.select(pl.col(pl.String)):
        texts = column.drop_nulls().str.strip_chars()
        odd = texts.filter(texts.cast(pl.Float64, strict=False).is_null())
        odd = odd.filter(~odd.str.to_lowercase().is_in(MISSING_NUMBERS))
        if texts.str.contains(r"^0\d").any() and not len(odd):
            why = "a number begins with 0"
        elif len(odd) and odd.str.contains(r"^[+-]?\d+,\d+$").all():
            why = f"{odd[0]!r} has a decimal comma"
        elif 0 < len(odd) <= MOST_ODD * len(texts):
            why = f"{odd[0][:40]!r} is no number"
        else:
            continue
        notes.append(f"{table.name}: {column.name} is text, not numbers, because {why}")
    return notes


def bundled() -> pl.DataFrame:
    """Who is admitted to a hospital in the next year: 14,266 years of 5,639 persons, 9 % are.

    The RAND Health Insurance Experiment: families were given insurance plans at random in 1974 to
    1982, and what they used was written down. Of each person and year of the study that a further
    year follows: age, plan, health, visits, costs, and whether an admission follows in the next
    year. Newhouse et al., "Free for All? Lessons from the RAND Health Insurance Experiment" (1993);
    the rows are those of Cameron and Trivedi, "Microeconometrics" (2005), in the public domain,
    which come with the package statsmodels.

    Examples
    --------
    >>> frame = bundled()
    >>> len(frame), int(frame["admitted_next_year"].sum())
    (14266, 1294)
    """
    package = importlib.util.find_spec("statsmodels")  # located, not imported
    if package is None or not package.submodule_search_locations:
        raise DataError(f"{BUNDLED}: the package statsmodels, which carries it, is missing; "
                        "install trueness again", "no_bundled_data")  # fmt: skip
    path = Path(package.submodule_search_locations[0]) / "datasets/randhie/src/randhie.csv"
    rows = pl.read_csv(path, infer_schema_length=None).sort("zper", "year")
    health = pl.coalesce(
        pl.when(pl.col(name) == 1).then(pl.lit(text)) for name, text in HEALTH.items()
    ).fill_null("excellent")
    follows = pl.col("year").shift(-1).over("zper") == pl.col("year") + 1
    admitted = (pl.col("totadm").shift(-1).over("zper") > 0).alias("admitted_next_year")
    named = [pl.col(old).alias(new) for old, new in MEANINGS.items()]
    return rows.select(*named, health.alias("health"), admitted, kept=follows).filter(
        pl.col("kept").fill_null(False)
    ).drop("kept")  # fmt: skip
