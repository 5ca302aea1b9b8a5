"""What training rows teach about columns: how each becomes numbers, and how these are scaled."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.own import translate_errors
from trueness.skopsfile import from_skops, skops_bytes

Index = NDArray[np.int64]
Floats = NDArray[np.float32]
Name = tuple[int, str]
"""Input that a column is made of, and what is added to its name."""
Prepared = tuple[Floats, list[Name]]
"""Columns (T, C) and their names."""


@dataclass(frozen=True)
class Preparation:
    """How inputs become the columns of a network, learnt from training rows; see `table_examples`.

    Attributes
    ----------
    centres : dict of str to (float, float)
        Number of an input -> median and spread of its training rows, where it is a number.
    maker : skrub.TableVectorizer
    known : tuple of int
        Columns of the maker that have a value among the training rows.
    binary : tuple of bool
        Which of these hold 0 and 1 alone.
    scaler : skrub.SquashingScaler or None
        Of the others; None without any.
    lacking : tuple of int
        Those that lack values among the training rows, each of which gets a further column.
    """

    centres: dict[str, tuple[float, float]]
    maker: Any
    known: tuple[int, ...]
    binary: tuple[bool, ...]
    scaler: Any
    lacking: tuple[int, ...]

    @classmethod
    def of(cls, inputs: pl.DataFrame, train: Index) -> Preparation:
        """Learn from some rows (n,) of the inputs."""
        from skrub import SquashingScaler, StringEncoder, TableVectorizer  # a second to import

        plain = inputs.rename({name: str(i) for i, name in enumerate(inputs.columns)})
        centres = {column.name: result for column in plain
                   if (result := _centre(column, train)) is not None}  # fmt: skip
        made = _centred(plain, centres)[train]
        maker = TableVectorizer(high_cardinality=StringEncoder(random_state=0))  # else it is random
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            values = _numbers(maker.fit(made).transform(made))
        known = np.flatnonzero(np.isfinite(values).any(axis=0))
        here = values[:, known]
        gaps = np.isnan(here)
        binary = (np.isin(here, (0, 1)) | gaps).all(axis=0)
        scaler = None if binary.all() else SquashingScaler().fit(here[:, ~binary])
        lacking = np.flatnonzero(gaps.any(axis=0))
        return cls(centres, maker, tuple(known.tolist()), tuple(binary.tolist()), scaler,
                   tuple(lacking.tolist()))  # fmt: skip

    def applied(self, inputs: pl.DataFrame) -> Prepared:
        """Numbers squashed, gaps filled, and a column for each that had gaps in training rows."""
        plain = inputs.rename({name: str(i) for i, name in enumerate(inputs.columns)})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of categories that training rows lack
            made = self.maker.transform(_centred(plain, self.centres))
        parted = [made.columns[i].partition("_") for i in self.known]  # such as 3_month
        names = [(int(at), line + more) for at, line, more in parted]
        values, binary = _numbers(made)[:, list(self.known)], np.array(self.binary, bool)
        gaps, scaled = np.isnan(values), values.copy()
        if self.scaler is not None:
            scaled[:, ~binary] = self.scaler.transform(values[:, ~binary])
        scaled[gaps] = 0  # of squashed numbers the median
        flags = gaps[:, list(self.lacking)].astype(np.float32)
        flagged = [(at, f"{more} missing") for at, more in (names[i] for i in self.lacking)]
        return np.hstack([scaled, flags]), [*names, *flagged]

    def kept(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Plain settings and files that `opened` makes it from again."""
        settings = {
            "centres": {name: list(pair) for name, pair in self.centres.items()},
            "known": list(self.known), "binary": list(self.binary), "lacking": list(self.lacking),
        }  # fmt: skip
        return settings, {"preparation.skops": skops_bytes([self.maker, self.scaler], "columns")}

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Preparation:
        """From what `kept` gave."""
        with translate_errors("preparation.skops cannot be opened", "damaged"):
            maker, scaler = from_skops(files["preparation.skops"], "preparation.skops")
            centres = {name: (pair[0], pair[1]) for name, pair in settings["centres"].items()}
            known, binary, lacking = (tuple(settings[n]) for n in ("known", "binary", "lacking"))
        return cls(centres, maker, known, binary, scaler, lacking)


def _numbers(made: pl.DataFrame) -> Floats:
    return made.to_numpy().astype(np.float32).reshape(made.shape)


def _centred(inputs: pl.DataFrame, centres: dict[str, tuple[float, float]]) -> pl.DataFrame:
    """Numbers less their median in training rows, in units of their spread there.

    Later steps have 32 bits, in which 1,700,000,000 and the number after it are one.
    """
    numbers = [c for c in inputs if c.dtype.is_numeric() and not c.dtype.is_decimal()]
    return inputs.with_columns(
        (column - centres[c.name][0]) / centres[c.name][1] if c.name in centres else column
        for c in numbers
        for column in [c.cast(pl.Float64)]
    )


def _centre(column: pl.Series, train: Index) -> tuple[float, float] | None:
    """Median and spread of a column of numbers; None for others, and for 0 and 1."""
    if not column.dtype.is_numeric() or column.dtype.is_decimal():
        return None
    values = column.cast(pl.Float64).to_numpy()[train]
    here = values[np.isfinite(values)]
    if not len(here) or np.isin(here, (0, 1)).all():
        return None
    largest = max(1.0, float(np.abs(here).max()))
    spread = float(np.std(here / largest)) * largest
    return float(np.median(here)), spread if spread > 0 and np.isfinite(spread) else 1.0
