"""What was predicted against what came: whether the promise is kept, and what drifts."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import polars as pl

from trueness.bundle.class_promise import ClassPromise
from trueness.bundle.classifying import TitlesPredictor
from trueness.bundle.log import OUTCOME, Line, append, read_log
from trueness.bundle.oddities import of_data
from trueness.bundle.opened import own_measures
from trueness.bundle.predicting import Predictor
from trueness.bundle.promise import Promise
from trueness.bundle.watching import Monitored, monitored, nothing_logged
from trueness.document.numbers import plural
from trueness.errors import DataError, TruenessError, nearest
from trueness.examples import Examples
from trueness.market.labels import UNDEFINED
from trueness.reading import as_texts
from trueness.tasks import task_of
from trueness.text.sources import clean_label


def monitor(
    predictor: Predictor | TitlesPredictor, data: Any = None, labels: pl.DataFrame | None = None,  # noqa: ANN401
    name: str = "labels",
) -> Monitored:  # fmt: skip
    """Write down what came of logged predictions, and hold it against the promise.

    Parameters
    ----------
    predictor : Predictor or TitlesPredictor
        Of a bundle that has predicted.
    data : Data, optional
        Bars that go on after the predictions, from which labels follow.
    labels : polars.DataFrame, optional
        Columns ``id`` and ``y``: 0 or 1, of texts the name of the class.
    name : str
        What errors call the labels.

    Raises
    ------
    TruenessError
        With code ``nothing_logged``, ``no_labels``, ``unknown_ids``, ``contradiction``,
        ``other_series``, ``other_spacing``, ``old_data``, or those of the log.
    """
    bundle = predictor.bundle
    log = read_log(bundle)
    if not log.predictions:
        raise nothing_logged(bundle)
    known: dict[str, int | str] = {}
    notes: tuple[str, ...] = ()
    examples: Examples | None = None
    if data is not None:
        if not isinstance(predictor, Predictor):
            raise TruenessError("labels of texts come from --labels FILE", "no_labels")
        examples, notes = _from_bars(predictor, data)
        _check_later(data, log.predictions)
        known.update(_labels(examples))
    if labels is not None:
        with _named(name):
            note, of_labels = _from_table(labels, log.predictions, predictor.promise)
        apart = next((i for i, y in note.items() if known.get(i, y) != y), None)
        if apart is not None:
            raise DataError(f"{name}: {apart} is {note[apart]}, the bars say {known[apart]}",
                            "contradiction")  # fmt: skip
        known, notes = {**known, **note}, (*notes, *of_labels)
    append(bundle, OUTCOME, [{"id": i, "y": y} for i, y in known.items() if i in log.predictions])
    result = monitored(bundle, examples)
    return replace(result, notes=(*notes, *result.notes))


@contextmanager
def _named(name: str) -> Generator[None]:
    """Say of refusals in the block which labels they are about."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{name}: {error}", error.code) from None


def _from_bars(predictor: Predictor, data: Any) -> tuple[Examples, tuple[str, ...]]:  # noqa: ANN401
    """Rows of the data as the first member reads them; what is odd about the data."""
    bundle = predictor.bundle
    if bundle.task != "market":
        raise TruenessError(f"labels of a {bundle.task} come from --labels FILE", "no_labels")
    notes = of_data(bundle, data)
    one = predictor.opened[0]
    task = task_of(bundle.task)
    with own_measures(bundle):
        return task.unseen(one.member.spec, data, one.member.prepared, one.files), notes


def _check_later(data: Any, logged: Mapping[str, Line]) -> None:  # noqa: ANN401 - MarketData
    """Refuse bars that end before anything was predicted."""
    first = min(str(line.get("time")) for line in logged.values())
    if str(data.panel.last) < first:
        raise TruenessError(f"the bars end {data.panel.last}, before the first answer of {first}, "
                            "so nothing follows from them", "old_data")  # fmt: skip


def _labels(examples: Examples) -> dict[str, int]:
    """Labels of the units whose future is in the data, by id."""
    known = examples.y != UNDEFINED
    ids = examples.columns()["id"][known].tolist()
    return dict(zip(ids, examples.y[known].astype(int).tolist(), strict=True))


def _from_table(
    labels: pl.DataFrame, logged: Mapping[str, Any], promise: Promise | ClassPromise
) -> tuple[dict[str, int | str], tuple[str, ...]]:
    """Labels by id; notes on ids that were never predicted, and on classes that are none."""
    lacking = [name for name in ("id", "y") if name not in labels.columns]
    if lacking:
        raise DataError(f"no column {lacking[0]!r}; id and y are needed", "missing_column")
    if not len(labels):
        raise DataError("no rows", "labels")
    of_classes = isinstance(promise, ClassPromise)
    y = _class_names(labels["y"]) if of_classes else _zeros_and_ones(labels["y"])
    ids = as_texts(labels["id"])
    if ids is None or ids.null_count():
        raise DataError("id is no text, number or date in every row", "labels")
    table = pl.DataFrame({"id": ids, "y": y}).unique(maintain_order=True)
    twice = table.filter(pl.col("id").is_duplicated())
    if len(twice):
        raise DataError(f"{twice['id'][0]} has two labels", "contradiction")
    if isinstance(promise, ClassPromise):
        _check_spelling(sorted(set(table["y"])), promise.classes)
    unknown = table.filter(~pl.col("id").is_in(list(logged)))
    if len(unknown) == len(table):
        raise DataError(f"{unknown['id'][0]} and all others were never predicted by this "
                        "bundle", "unknown_ids")  # fmt: skip
    note = f"{plural(len(unknown), 'label')} of rows that were never predicted by this bundle"
    notes = (note,) * bool(len(unknown))
    if isinstance(promise, ClassPromise):
        other = sorted(set(table["y"]) - set(promise.classes))
        notes += (f"no class of the model: {', '.join(other)}; such texts are never right",) * bool(
            other
        )
    return dict(table.iter_rows()), notes


def _check_spelling(names: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse names that are those of a class but for case and blanks, or no class at all."""
    other = [name for name in names if name not in classes]
    plain = {"".join(name.split()).casefold(): name for name in classes}
    for name in other:
        if (match := plain.get("".join(name.split()).casefold())) is not None:
            raise DataError(f"{name!r} is no class of the model, {match!r} is", "labels")
    if len(other) == len(names):
        raise DataError(f"none is a class of the model, the first is {other[0]!r}; "
                        f"{nearest(other[0], list(classes))}", "labels")  # fmt: skip


def _zeros_and_ones(labels: pl.Series) -> pl.Series:
    y = labels
    if y.dtype == pl.String:
        y = y.str.strip_chars().str.to_lowercase().replace({"false": "0", "true": "1"})
    y = y.cast(pl.Float64, strict=False)
    if y.null_count() or not y.is_in([0.0, 1.0]).all():
        raise DataError("y is not 0 or 1 in every row", "labels")
    return y.cast(pl.Int64)


def _class_names(labels: pl.Series) -> pl.Series:
    y = as_texts(labels)
    if y is None or y.null_count() or (y.str.strip_chars() == "").any():
        raise DataError("y is not the name of a class in every row", "labels")
    return y.to_frame("y").select(clean_label("y")).to_series()
