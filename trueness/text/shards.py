"""Cleaned rows on the way into a corpus: Parquet files in a scratch folder, in order."""

from __future__ import annotations

import multiprocessing as mp
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness import interrupts
from trueness.callback import Callback
from trueness.errors import DataError
from trueness.text.corpus import COLUMNS, UNDETERMINED
from trueness.text.fields import first_marker, titles_only
from trueness.text.sources import Piece, Source
from trueness.text.statistics import Rows

MOST_CLASSES = 10_000
_SHARD = COLUMNS | {"given": pl.Boolean, "characters": pl.Int32}


@dataclass
class Reading:
    """What came of reading a source."""

    read: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    bytes: int = 0

    def add(self, other: Reading) -> None:
        """Count another piece in."""
        self.read += other.read
        self.skipped += other.skipped
        self.bytes += other.bytes


@dataclass(frozen=True)
class _Job:
    """A piece to read, and where its rows go."""

    source: Source
    piece: Piece
    number: int
    folder: Path
    detect: bool
    gate: float


def read_shards(
    source: Source, folder: Path, detect: bool, gate: float, workers: int, callback: Callback
) -> Reading:
    """Read all pieces of a source into shards, in processes of their own if there are several.

    Shards are named by piece and batch, so that their order is that of the source.
    """
    jobs = [
        _Job(source, piece, number, folder, detect, gate)
        for number, piece in enumerate(source.pieces())
    ]
    callback.on_stage_start("reading", sum(job.piece.size for job in jobs))
    whole = Reading()
    for job, reading in zip(jobs, _map(jobs, workers), strict=True):
        whole.add(reading)
        if source.max_bytes is not None and whole.bytes > source.max_bytes:
            raise DataError(
                f"{job.piece.name}: the archive inflates beyond {source.max_bytes:,} bytes so far; "
                "refused (--max-gb sets the limit)"
            )
        callback.on_progress(job.piece.size)
    return whole


def _map(jobs: list[_Job], workers: int) -> Iterator[Reading]:
    if workers < 2 or len(jobs) < 2:
        yield from map(_read_piece, jobs)
        return
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp.get_context("spawn"), interrupts.ignore
    ) as pool:
        try:
            with interrupts.held():
                readings = pool.map(_read_piece, jobs)
            for reading in readings:
                interrupts.check()
                yield reading
        except BrokenProcessPool:
            raise DataError(
                "a process that read the source was killed; give fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read_piece(job: _Job) -> Reading:
    reading = Reading()
    for number, batch in enumerate(job.source.batches(job.piece)):
        interrupts.check()
        reading.add(Reading(batch.read, batch.skipped, batch.size))
        mark = first_marker(job.source.provenance().get("columns", {}))
        frame = _described(batch.frame, job.detect, job.gate, mark)
        frame.write_parquet(job.folder / f"{job.number:06}-{number:06}.parquet", compression="lz4")
    return reading


def _described(frame: pl.DataFrame, detect: bool, gate: float, mark: str | None) -> pl.DataFrame:
    """Frame with a language for every text, the given one if any, and the length of the texts.

    Languages are told from what stands before a mark.
    """
    has_language = frame["language"].is_not_null()
    language = frame["language"].fill_null(UNDETERMINED)
    confidence = has_language.cast(pl.Float32)
    if detect and not has_language.all():
        from trueness.text.languages import detect as tell

        codes, sure = tell(titles_only(frame["text"].filter(~has_language), mark), gate=gate)
        where = (~has_language).arg_true()
        language = language.scatter(where, pl.Series(codes))
        confidence = confidence.scatter(where, pl.Series(sure))
    return frame.with_columns(
        language=language,
        language_confidence=confidence,
        given=has_language,
        characters=pl.col("text").str.len_chars().cast(pl.Int32),
    )


def shard_paths(folder: Path) -> list[Path]:
    """Shards in the order of their rows."""
    return sorted(folder.glob("*.parquet"))


def rows_of_shards(folder: Path) -> Rows:
    """What the builder keeps of every row; a row without a cluster is one of its own.

    Raises
    ------
    DataError
        If there are more classes than a corpus has room for.
    """
    paths = shard_paths(folder)
    scan = pl.scan_parquet(paths, glob=False) if paths else pl.LazyFrame(schema=_SHARD)
    classes, languages = (
        tuple(scan.select(pl.col(name).unique().sort()).collect(engine="streaming")[name])
        for name in ("label", "language")
    )
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"{len(classes):,} classes, {MOST_CLASSES:,} at most; is the label column right?"
        )
    table = scan.select(
        label=_codes("label", classes),
        language=_codes("language", languages),
        confidence="language_confidence",
        given="given",
        cluster="cluster",
        characters="characters",
    ).collect(engine="streaming")
    fixed = {name: table[name].to_numpy() for name in table.columns if name != "cluster"}
    part = np.zeros(len(table), np.int8)
    return Rows(classes, languages, cluster=_numbers(table["cluster"]), part=part, **fixed)


def _codes(name: str, names: tuple[str, ...]) -> pl.Expr:
    return pl.col(name).cast(pl.Enum(names)).to_physical().cast(pl.Int16)


def _numbers(cluster: pl.Series) -> NDArray[np.int64]:
    """Clusters as numbers from 0; those that are missing get one each."""
    missing = cluster.is_null().to_numpy()
    numbers = np.empty(len(cluster), np.int64)
    seen, numbers[~missing] = np.unique(cluster.drop_nulls().to_numpy(), return_inverse=True)
    numbers[missing] = len(seen) + np.arange(missing.sum())
    return numbers
