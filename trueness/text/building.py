"""From a source to a corpus: read, tell languages, join near-duplicates, split, write."""

from __future__ import annotations

import unicodedata
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness import interrupts
from trueness.callback import Callback
from trueness.errors import DataError, TruenessError, at_least
from trueness.files import (
    remove,
    replace_folder,
    restore_folder,
    sha256_of,
    sweep,
    temporary,
    write_json,
)
from trueness.reading.values import MISSING_NUMBERS
from trueness.text.corpus import (
    COLUMNS,
    DESCRIPTION,
    FULL,
    PARTS,
    VERSION,
    Corpus,
    PartWriter,
    corpus_digest,
    load_corpus,
)
from trueness.text.duplicates import DuplicateFinder
from trueness.text.fields import first_marker
from trueness.text.grouping import merge, near_duplicates
from trueness.text.languages import purity
from trueness.text.paths import check_paths, check_single
from trueness.text.shards import Reading, read_shards, rows_of_shards, shard_paths
from trueness.text.sizes import part_sizes
from trueness.text.sources import Source
from trueness.text.splits import grouped_split
from trueness.text.statistics import OUT, Rows, statistics


@dataclass(frozen=True)
class Plan:
    """How texts become a corpus.

    Attributes
    ----------
    validation, test : float, optional
        Fractions of the rows; None chooses, see `trueness.text.sizes.chosen_size`.
    seed : int
        Of the splits, the near-duplicates and the rows thinned out.
    detect : bool
        Tell the language of texts whose source gives none; they are ``und`` otherwise.
    gate : float
        Least confidence of a detected language; below it, it is ``und``.
    threshold : float or None
        Similarity from which two texts are near-duplicates; None looks for none.
    min_class_rows : int or None
        Classes with fewer rows are left out; None takes the number of the source.
    english_share : float or None
        Rows of the train part are left out at random until English has this proportion of them;
        validation and test keep all theirs.
    full : bool
        Also write the file ``full.parquet`` with the rows of all parts.
    workers : int
        Processes that read, 0 for this one; the rows do not depend on it.
    """

    validation: float | None = None
    test: float | None = None
    seed: int = 42
    detect: bool = True
    gate: float = 0.5
    threshold: float | None = 0.8
    min_class_rows: int | None = None
    english_share: float | None = None
    full: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("validation", "test", "gate", "threshold", "english_share"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise TruenessError(f"{name} {value}: a fraction from 0 to 1 is needed")
        if self.english_share in (0, 1):
            raise TruenessError(f"english_share {self.english_share:g}: give a fraction between 0 "
                                "and 1", "range")  # fmt: skip
        sizes = [one for one in (self.validation, self.test) if one is not None]
        if any(one == 0 for one in sizes) or sum(sizes) >= 1:
            raise TruenessError(
                f"validation {self.validation}, test {self.test}: two fractions above 0 that "
                "leave something to train on are needed"
            )
        at_least("seed", self.seed, 0)
        at_least("workers", self.workers, 0)
        if self.min_class_rows is not None:
            at_least("min_class_rows", self.min_class_rows, 1)


def build(
    source: Source, out: str | Path, plan: Plan | None = None, callback: Callback | None = None
) -> Corpus:
    """Make a corpus folder; it is there whole or not at all.

    Parameters
    ----------
    source : Source
        Such as `trueness.text.synthetic.Catalogue`.
    out : str or Path
        New or empty folder, or an older corpus, which is replaced.
    plan : Plan, optional
    callback : Callback, optional

    Raises
    ------
    DataError
        If `out` is something else, or the source cannot be read, has no usable text, a single
        class, or too few clusters to split.

    Examples
    --------
    >>> import tempfile
    >>> from trueness.text.synthetic import Catalogue
    >>> corpus = build(Catalogue(rows=600), Path(tempfile.mkdtemp()) / "titles")
    >>> sum(corpus.statistics["rows"].values())
    600
    """
    plan = plan or Plan()
    with whole_folder(out) as (scratch, written):
        _build(source, scratch, written, plan, callback or Callback())
    return load_corpus(out)


@contextmanager
def whole_folder(out: str | Path) -> Generator[tuple[Path, Path]]:
    """Folder for scratch and one for a corpus, which takes its place if the block succeeds.

    Raises
    ------
    DataError
        If something else than a corpus is there.
    """
    out = Path(out)
    place = out.resolve()
    restore_folder(place)
    _check_free(out)
    place.parent.mkdir(parents=True, exist_ok=True)
    sweep(place.parent)
    scratch = temporary(place)
    try:
        written = scratch / "corpus"
        written.mkdir(parents=True)
        yield scratch, written
        interrupts.check()
        replace_folder(written, place)
    finally:
        remove(scratch)


def _check_free(out: Path) -> None:
    """Refuse to replace anything but an older corpus."""
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"{out} is a file; give a folder for the corpus")
    if out.samefile(Path()):
        raise DataError(f"{out} is the folder you are in; give one inside it")
    if any(out.iterdir()) and not (out / DESCRIPTION).is_file():
        raise DataError(f"{out} is no corpus and not empty; give a new folder")


def _build(source: Source, folder: Path, written: Path, plan: Plan, callback: Callback) -> None:
    for name in ("source", "rows", "duplicates"):
        (folder / name).mkdir()
    source = source.prepared(folder / "source")
    reading = read_shards(source, folder / "rows", plan.detect, plan.gate, plan.workers, callback)
    rows = rows_of_shards(folder / "rows")
    _check_labels(rows, source)
    least = source.min_class_rows if plan.min_class_rows is None else plan.min_class_rows
    reports: dict[str, Any] = {
        "read": reading.read,
        "skipped": dict(reading.skipped.most_common()),
        "languages": _purity(rows),
        "small_classes": _drop_small_classes(rows, least),
        "near_duplicates": None,
        "suspicious_names": _suspicious(rows),
    }
    _check_enough(rows, reading, source)
    _check_english(rows, rows.part != OUT, plan.english_share)
    plan, reports["chosen_sizes"] = _sized(plan, rows)
    if plan.threshold is not None:
        finder = DuplicateFinder(folder / "duplicates", threshold=plan.threshold, seed=plan.seed)
        mark = first_marker(source.provenance().get("columns", {}))
        result = near_duplicates(finder, folder / "rows", callback, mark)
        reports["near_duplicates"] = merge(
            rows, result, folder / "rows", partial(_split, plan=plan)
        )
    rows.part = _split(rows, plan)
    reports["thinned_out"] = _thin(rows, plan.english_share, plan.seed)
    _check_parts(rows)
    _write(rows, folder / "rows", written, {
        "provenance": {"source": source.provenance(), "plan": _settings_of(plan, least)},
        "reports": reports,
    }, plan.full, callback)  # fmt: skip


def _settings_of(plan: Plan, least: int) -> dict[str, Any]:
    """Options that decide what the corpus holds."""
    note = asdict(plan) | {"min_class_rows": least}
    del note["workers"]
    return note


# ------------------------------------------------------------------------------------------- rows


def _purity(rows: Rows) -> list[dict[str, Any]]:
    """What the detector says about its own slices; nothing where every language was given."""
    result = ~rows.given
    if not result.any():
        return []
    codes = np.array(rows.languages)[rows.language[result]]
    return purity(codes, rows.confidence[result]).to_dicts()


def _suspicious(rows: Rows) -> list[str]:
    """Classes that look the same, and classes and languages named like a missing value."""
    alike: dict[str, list[str]] = {}
    for name in rows.classes:
        alike.setdefault(unicodedata.normalize("NFKC", name).casefold(), []).append(name)
    result = [f"classes that look the same: {', '.join(map(repr, some))}"
             for some in alike.values() if len(some) > 1]  # fmt: skip
    named = [("class", name) for name in rows.classes] + [("language", n) for n in rows.languages]
    return result + [f"a {what} is called {name!r}, like a missing value"
                    for what, name in named if name.casefold() in MISSING_NUMBERS]  # fmt: skip


def _drop_small_classes(rows: Rows, least: int) -> dict[str, int]:
    """Take classes with fewer rows out; their names and rows."""
    counts = np.bincount(rows.label, minlength=len(rows.classes))
    small = counts < least
    if not small.any():
        return {}
    rows.part[small[rows.label]] = OUT
    kept = tuple(name for name, gone in zip(rows.classes, small, strict=True) if not gone)
    renumbered = np.cumsum(~small) - 1
    renumbered[small] = 0  # of rows that are out
    dropped = {rows.classes[i]: int(counts[i]) for i in np.flatnonzero(small)}
    rows.label = renumbered[rows.label].astype(np.int16)
    rows.classes = kept
    return dropped


def _check_labels(rows: Rows, source: Source) -> None:
    """Refuse labels that are several, and paths that make no tree."""
    counts = np.bincount(rows.label, minlength=len(rows.classes)).tolist()
    check_single(dict(zip(rows.classes, counts, strict=True)))
    if rows.classes:
        check_paths(rows.classes, source.provenance().get("columns", {}))


def _check_enough(rows: Rows, reading: Reading, source: Source) -> None:
    where = source.provenance()["kind"]
    if not (rows.part != OUT).any():
        why = "; ".join(f"{reason}: {n:,}" for reason, n in reading.skipped.most_common(3))
        raise DataError(
            f"{where}: no text with a class among {reading.read:,} records ({why or 'none'}); "
            "check the source, its columns and --min-class-rows"
        )
    if len(rows.classes) < 2:
        raise DataError(
            f"{where}: a single class, {rows.classes[0]!r}; at least two are needed "
            "(--min-class-rows leaves small ones out)"
        )


def _sized(plan: Plan, rows: Rows) -> tuple[Plan, list[str]]:
    """The plan with a size for every part, and the parts whose size was chosen."""
    kept = np.bincount(rows.language[rows.part != OUT], minlength=len(rows.languages))
    counts = dict(zip(rows.languages, kept.tolist(), strict=True))
    sizes = {"validation": plan.validation, "test": plan.test}
    chosen = [part for part, size in sizes.items() if size is None]
    return replace(plan, **part_sizes(sizes, counts)), chosen


def _split(rows: Rows, plan: Plan) -> NDArray[np.int8]:
    """Part of every row, (n,); clusters stay whole, and rows left out stay out."""
    kept, part = rows.part != OUT, rows.part.copy()
    assert plan.validation is not None
    assert plan.test is not None
    part[kept] = grouped_split(
        rows.cluster[kept], rows.label[kept], rows.language[kept],
        validation=plan.validation, test=plan.test, seed=plan.seed,
    )  # fmt: skip
    return part


def _thin(rows: Rows, share: float | None, seed: int) -> dict[str, int] | None:
    """Take rows of the train part out until English has `share` of them; how many went."""
    if share is None:
        return None
    train = rows.part == PARTS.index("train")
    english = _check_english(rows, train, share)
    n, e = int(train.sum()), int(english.sum())
    others = train & ~english
    too_many, spare = (
        (others, n - e - round(e * (1 - share) / share))
        if e / n < share else (english, e - round((n - e) * share / (1 - share)))
    )  # fmt: skip
    rng = np.random.default_rng([seed, 1])
    gone = rng.choice(np.flatnonzero(too_many), max(spare, 0), replace=False)
    rows.part[gone] = OUT
    return {"rows": len(gone), "english": int(english[gone].sum())}


def _check_english(rows: Rows, some: NDArray[np.bool_], share: float | None) -> NDArray[np.bool_]:
    """Which of some rows are English, (n,); refused if a share is wanted and all or none are."""
    english = some & (np.array(rows.languages)[rows.language] == "en")
    n, e = int(some.sum()), int(english.sum())
    if share is not None and e in (0, n):
        raise DataError(
            f"english_share {share}: {e:,} of {n:,} texts to train on are English; a share between "
            "0 and 1 needs English and other texts", "english_share",
        )  # fmt: skip
    return english


def _check_parts(rows: Rows) -> None:
    for p, part in enumerate(PARTS):
        if not (rows.part == p).any():
            raise DataError(
                f"part {part} is empty: {len(np.unique(rows.cluster)):,} clusters are too few, or "
                "nearly all texts are in one; give more texts or other fractions"
            )
    missing = set(range(len(rows.classes))) - set(np.unique(rows.label[rows.part == 0]).tolist())
    if missing:
        name = rows.classes[min(missing)]
        raise DataError(f"class {name!r} has no training text; raise --min-class-rows")


# ------------------------------------------------------------------------------------------ writing


def _write(
    rows: Rows,
    shard_folder: Path,
    out: Path,
    header: dict[str, Any],
    full: bool,
    callback: Callback,
) -> None:
    """Write the parts and their description."""
    names = (*PARTS, FULL) if full else PARTS
    writers = {name: PartWriter(out / f"{name}.parquet") for name in names}
    callback.on_stage_start("writing", len(rows))
    end = 0
    for path in shard_paths(shard_folder):
        frame = pl.read_parquet(path, glob=False)
        begin, end = end, end + len(frame)
        part = rows.part[begin:end]
        frame = frame.with_columns(cluster=pl.Series(rows.cluster[begin:end])).select(*COLUMNS)
        for p, name in enumerate(PARTS):
            writers[name].write(frame.filter(part == p))
        if full:
            writers[FULL].write(frame.filter(part != OUT))
        callback.on_progress(len(frame))
    describe(writers, rows, header, out)


def describe(
    writers: Mapping[str, PartWriter], rows: Rows, header: Mapping[str, Any], out: Path
) -> None:
    """Close the files of the parts and write what is in them.

    Parameters
    ----------
    writers : mapping
        Name of a part -> its writer, to which every row was given.
    rows : Rows
    header : mapping
        ``provenance`` and ``reports``.
    out : Path
        Folder of the corpus.
    """
    hashes = {name: writer.close() for name, writer in writers.items()}
    files = {
        f"{name}.parquet": {
            "rows": w.rows,
            "bytes": w.path.stat().st_size,
            "sha256": sha256_of(w.path),
        }
        for name, w in writers.items()
    }
    content = {
        "version": VERSION, "digest": corpus_digest(rows.classes, hashes),
        "classes": list(rows.classes), "statistics": statistics(rows), **header, "files": files,
    }  # fmt: skip
    write_json(out / DESCRIPTION, content)
