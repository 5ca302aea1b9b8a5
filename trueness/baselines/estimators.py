"""The engine of everything that is fitted to columns: a fit in every fold, logits out.

Which function carries a model out stands in `FITS`; all else that the engine asks of a model is a
trait of its shape (`trueness.spec.estimator`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.baselines import boosters, foreign, standard
from trueness.baselines.fitted import Fitted, logits_of
from trueness.baselines.inputs import Array, Fit, Job, Part, columns_of
from trueness.errors import DataError, SpecError
from trueness.examples import Examples
from trueness.own import check_pinned
from trueness.spec import Spec

FITS: dict[str, Fit] = {**standard.FITS, **boosters.FITS, **foreign.FITS}
"""Kind of a model -> what carries it out; each file has its rows at its end."""
PROBED = 400
"""Examples on which code that nobody here has seen is tried."""


@dataclass
class EstimatorFit:
    """What an estimator left behind.

    `logits` (F, N) are NaN where an example plays no part; `chosen` says what was chosen in each
    fold.
    """

    spec: Spec
    logits: NDArray[np.float32]
    chosen: list[str]
    seconds: float


@dataclass(frozen=True)
class FoldFitted:
    """What was fitted in one fold, and the columns (N, p) of all examples as it reads them.

    Column j is made of the input ``j % C`` of C, whichever rule made it; see `columns_of`.
    """

    fold: int
    fitted: Fitted
    x: Array
    chosen: str


def fit_estimator(examples: Examples, spec: Spec, base_folder: Path = Path()) -> EstimatorFit:
    """Fit a model in every fold, on the training part of the fold alone.

    Parameters
    ----------
    examples : Examples
        N windows, F folds.
    spec : Spec
        Its model has the engine ``estimators``; what it refers to is pinned (`own.pinned`).
    base_folder : Path
        Folder of own files, that of the campaign.

    Returns
    -------
    EstimatorFit

    Raises
    ------
    DataError
        With code ``one_class`` or ``no_validation`` if a fold cannot be fitted.
    SpecError
        With a code ``own_...`` if the code cannot be loaded or is another one than the key says;
        ``estimator_params``, ``estimator_methods``, ``estimator_fit``, ``estimator_shape``,
        ``estimator_nan``, ``estimator_probability``, ``estimator_modifies`` if it does not do what
        an estimator does.
    """
    began = time.perf_counter()
    logits = np.full((examples.n_folds, len(examples.y)), np.nan, np.float32)
    chosen = []
    for one in fitted_folds(examples, spec, base_folder):
        present = np.flatnonzero(examples.parts[one.fold])
        logits[one.fold, present] = logits_of(one.fitted, one.x[present], spec.model.kind)
        chosen.append(one.chosen)
    return EstimatorFit(spec, logits, chosen, time.perf_counter() - began)


def fitted_folds(
    examples: Examples, spec: Spec, base_folder: Path = Path()
) -> Iterator[FoldFitted]:
    """The model fitted in fold after fold, with the columns that it reads there.

    Raises
    ------
    DataError, SpecError
        As `fit_estimator` does.
    """
    _check(examples, spec, base_folder)
    model: Any = spec.model
    for fold, columns in enumerate(_columns(examples, model.inputs)):
        fitted, what = FITS[model.kind](_job(examples, spec, base_folder, fold, columns))
        yield FoldFitted(fold, fitted, columns[0], what)


def check_estimator(examples: Examples, spec: Spec, base_folder: Path = Path()) -> None:
    """Refuse what could only fail later, before anything trains: trains and writes nothing.

    Code that nobody here has seen is fitted to a few examples of the first fold, and to all of the
    fold if those may just have been too few.

    Raises
    ------
    DataError, SpecError
        As `fit_estimator` does.
    """
    _check(examples, spec, base_folder)
    model: Any = spec.model
    if not model.probed:
        return
    columns = next(_columns(examples, model.inputs))
    whole = _job(examples, spec, base_folder, 0, columns)
    rows = columns[0][np.flatnonzero(examples.parts[0])[:PROBED]]
    try:
        logits_of(FITS[model.kind](_few(whole))[0], rows, model.kind)
    except SpecError as error:
        if error.code != "estimator_fit" or len(whole.train.y) <= PROBED:
            raise
        logits_of(FITS[model.kind](whole)[0], rows, model.kind)


def refitted(examples: Examples, spec: Spec, base_folder: Path = Path()) -> tuple[Fitted, str]:
    """The model fitted in the only fold of some examples, and what was chosen, in words.

    Raises
    ------
    DataError, SpecError
        As `fit_estimator` does.
    """
    _check(examples, spec, base_folder)
    model: Any = spec.model
    columns = next(_columns(examples, model.inputs))
    return FITS[model.kind](_job(examples, spec, base_folder, 0, columns))


def _check(examples: Examples, spec: Spec, base_folder: Path) -> None:
    """Refuse code that is not here, and folds without both classes."""
    if spec.model.reference is not None:
        check_pinned(spec.model, base_folder)
    needed = ["train", *(["validation"] if spec.model.validates else [])]
    for fold, counts in enumerate(examples.counts(), 1):
        for part in needed:
            n, positives = counts.get(part, (0, 0))
            if positives in (0, n):
                why = "" if part == "train" else f", on which {spec.model.kind} chooses"
                raise DataError(
                    f"fold {fold}: {part}{why} has {n} examples, {positives} of them positive; "
                    "both classes are needed", "one_class" if n else f"no_{part}",
                )  # fmt: skip


def _columns(examples: Examples, rule: str) -> Any:  # noqa: ANN401 - an iterator of columns
    """Columns (N, p) of every fold; made once where all folds read the same series."""
    made: dict[int, Any] = {}
    for fold in range(examples.n_folds):
        start = examples.starts(fold)
        first = int(start[0]) if len(start) else 0
        if first not in made:
            made = {first: columns_of(examples, rule, start)}
        yield made[first]


def _job(
    examples: Examples, spec: Spec, base_folder: Path, fold: int,
    columns: tuple[Array, tuple[str, ...]],
) -> Job:  # fmt: skip
    """What is fitted in a fold."""
    x, names = columns
    rows = [examples.members(part, fold) for part in ("train", "validation")]
    train, validation = (Part(x[i], examples.y[i], names) for i in rows)
    return Job(spec.model, train, validation, spec.canonical().seed, base_folder)


def _few(job: Job) -> Job:
    """The same job on few examples, both classes among them."""
    train, validation = _some(job.train), _some(job.validation)
    return replace(job, train=train, validation=validation)


def _some(part: Part) -> Part:
    """At most `PROBED` examples of a part: of each class so many, evenly spread over time."""
    rows = [_spread(np.flatnonzero(part.y == label), PROBED // 2) for label in (0, 1)]
    kept = np.sort(np.concatenate(rows))
    return replace(part, x=part.x[kept], y=part.y[kept])


def _spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]
