"""From a stored run to a bundle: its spec refitted on all data, its promise beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trueness.bundle.class_promise import ClassPromise, class_promise_of
from trueness.bundle.drifting import kept
from trueness.bundle.format import LABELLED, Bundle, check_free, write_bundle
from trueness.bundle.learning import promise_of
from trueness.bundle.members import FitContext, Fitting, Trained, as_trained, trained
from trueness.bundle.oddities import unread
from trueness.bundle.promise import Promise
from trueness.document import Document, Items, Sentence
from trueness.document.numbers import count, percent, plural
from trueness.errors import StoreError, TruenessError
from trueness.examples import Examples
from trueness.judge.access import record_access
from trueness.judge.comparison import measured_part
from trueness.judge.finding import named_run
from trueness.judge.judgement import SCHEMA
from trueness.judge.parts import check_binary, unrecorded_notes
from trueness.market.indicators import CATALOGUE
from trueness.market.inputs import RAW_COLUMNS
from trueness.store import AnyStore, Run
from trueness.tasks import TASKS, Refit, task_of
from trueness.text.signatures import FILE

if TYPE_CHECKING:
    from trueness.execute import AnyPool

MOST_SEEDS = 100


@dataclass(frozen=True)
class Finalized:
    """A bundle that was just made.

    Attributes
    ----------
    bundle : Bundle
    promise : Promise or ClassPromise
    """

    bundle: Bundle
    promise: Promise | ClassPromise

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        kept = ("key", "name", "label", "data", "refit", "promise", "notes", "files")
        return {"schema": SCHEMA, "kind": "bundle", "folder": str(self.bundle.folder),
                **{name: self.bundle.description[name] for name in kept}}  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per file."""
        files = self.bundle.description["files"]
        return pl.DataFrame([{"file": name, **facts} for name, facts in files.items()])

    def document(self) -> Document:
        """What it promises, on what it was fitted, what comes next."""
        described, folder = self.bundle.description, self.bundle.folder
        refit = described["refit"]
        state = "abstains on every text" if self.promise.abstains else "is ready"
        ready = f"{folder} {state}: {described['label']}, {refit['fitted']}."
        first = f"{headline}. " if (headline := self.promise.headline) else ""
        return Document(f"Bundle of {described['name']}", [
            Sentence(f"{first}{ready}", "verdict"), Items([
            *self.promise.summary(),
            f"Promise that is watched: a precision of {percent(self.promise.promised)} % or more",
            *refit["chosen"], *described["notes"],
        ]), Sentence(f"Next: trueness predict {folder} --data FILE", "note")])  # fmt: skip


def finalize(
    store: AnyStore, run: Run, name: str, data: Any, out: Path, *,  # noqa: ANN401 - of the task
    seeds: int = 1, precision: float | None = None, refit: bool = True, device: str = "auto",
    base_folder: Path = Path(), report: Callable[[str], None] | None = None,
    pool: AnyPool | None = None,
) -> Finalized:  # fmt: skip
    """Refit the spec of a run up to the end of its data and write the bundle.

    Each fold of the run was trained on part of its past and stopped on the latest share of it; so
    is the refit, one more fold whose future is not there yet. Epochs, trees and penalties are
    chosen on that share.

    Parameters
    ----------
    store : Store or MemoryStore
    run : Run
        Of a binary label or on titles, with a model of its own or an ensemble of such runs.
    name : str
        What the run is called.
    data : Data
        Those of the run, or others that continue them.
    out : Path
        Folder of the bundle.
    seeds : int
        Models that are fitted and averaged, with the seed of the spec, the next, and so on.
    precision : float, optional
        See `promise_of` and `class_promise_of`.
    refit : bool
        Without it an encoder on titles is used with the weights that its run keeps.
    device : str
    base_folder : Path
        Folder of own files.
    report : callable, optional
        Takes a line about each fit.
    pool : AnyPool, optional
        Where models are fitted; in this process by default.

    Raises
    ------
    TruenessError
        With code ``no_model`` for scores that were made elsewhere, ``other_data`` for data that do
        not continue those of the run, ``untrusted`` for estimators that no file can keep,
        ``no_weights`` for a run that keeps none where it is not refitted.
    """
    check_has_model(run, name)
    if not 1 <= seeds <= (MOST_SEEDS if refit else 1):
        most = f"1 to {MOST_SEEDS}" if refit else "--seeds only where the model is refitted"
        raise TruenessError(f"{seeds} seeds; give {most}", "seeds")
    check_free(out)
    kind = run.spec.task.kind
    notes = _check_continues(run, name, data)
    promise = (class_promise_of(run, precision) if kind == "titles"
               else promise_of(store, run, name, precision))  # fmt: skip
    where = device if pool is None else pool.device(device).name
    context = FitContext(store, where, base_folder, report or (lambda text: None), pool)
    result, facts = _fitted(store, run, data, seeds, context) if refit else _unchanged(run)
    unrecorded = unrecorded_notes(record_access(store, [run], "finalize"))
    files = {name: content for one in result for name, content in one.files.items()}
    files |= _labelled(run) | data.kept_files(result[0].member.features)
    more = facts.pop("notes")
    bundle = write_bundle(out, {
        "key": run.key, "name": name, "label": run.record["label"], "task": kind,
        "data": _data(data), "horizon": run.estimands.horizon, "block": run.estimands.block,
        "members": [one.member.to_dict() for one in result], "promise": promise.to_dict(), **facts,
        "notes": [*notes, *more, *promise.notes, *unrecorded],
    }, files)  # fmt: skip
    return Finalized(bundle, promise)


def _labelled(run: Run) -> dict[str, bytes]:
    """Signatures of the texts of a run, which tell what need not be labelled again."""
    return (
        {f"{LABELLED}/{FILE}": run.file(FILE).read_bytes()} if FILE in run.record["files"] else {}
    )


def _fitted(
    store: AnyStore, run: Run, data: Any, seeds: int, context: FitContext  # noqa: ANN401
) -> tuple[list[Trained], dict[str, Any]]:  # fmt: skip
    """Members fitted on all data, and what the description says of it."""
    fittings: list[Fitting] = []
    refits: dict[str, Refit] = {}
    task = task_of(run.spec.task.kind)
    for one in _members(store, run):
        key = task.examples_key(one.spec)
        if key not in refits:
            refits[key] = task.refit(one.spec, data, _share_pct(run))
        replicates = [one.spec.model_copy(update={"seed": one.spec.seed + i}) for i in range(seeds)]
        replicates = replicates[: seeds if one.spec.model.seeded else 1]
        fittings += [Fitting.of(spec, one, refits[key], context) for spec in replicates]
    result = trained(fittings, context)
    first = next(iter(refits.values())).examples
    tabular = hasattr(first, "features")
    ranges = _ranges(first, task.kind) if tabular else {}
    drift = {"drift": kept(first, ranges, measured_part(run))} if tabular else {}
    return result, {
        "refit": _fit_record(first, result),
        "ranges": ranges,
        **drift,
        "notes": first.notes,
    }


def _unchanged(run: Run) -> tuple[list[Trained], dict[str, Any]]:
    """The same of a model that is used as it was trained."""
    one, validation = as_trained(run), len(run.predictions().part("validation"))
    rows = run.record["training"]["rows"]
    record = {"train": [rows], "validation": [validation], "until": None,
              "fitted": f"as it was judged, fitted on {plural(rows, 'example')}",
              "chosen": [_chosen(one)]}  # fmt: skip
    return [one], {"refit": record, "ranges": {}, "notes": ()}


def finalize_named(
    store: AnyStore,
    wanted: str,
    sources: Mapping[str, Any],
    out: Path,
    **how: Any,  # noqa: ANN401
) -> Finalized:
    """The same of a run by its name, with the data that are given or that its record names.

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : str
        Id, key or the beginning of a key.
    sources : mapping
        Sources of the task by option, None where the record's own are meant.
    out : Path
    how
        See `finalize`.
    """
    check_free(out)
    name, run = named_run(store, wanted)
    check_has_model(run, name)
    data = data_of_run(run, name, sources, how.get("base_folder", Path()))
    for text in unread([run.spec.task], sources) if how.get("report") else ():
        how["report"](text)
    return finalize(store, run, name, data, out, **how)


def data_of_run(run: Run, name: str, inputs: Mapping[str, Any], base_folder: Path = Path()) -> Any:  # noqa: ANN401
    """Data that are given, or that the record of a run names.

    Parameters
    ----------
    run : Run
    name : str
        What the run is called.
    inputs : mapping
        Sources of the task by option, None where the record's own are meant.
    base_folder : Path
        Folder of own files.

    Raises
    ------
    TruenessError
        With code ``no_source`` for an option that the task does not take, ``no_data`` if the
        recorded data cannot be read again.
    """
    task, recorded = task_of(run.spec.task.kind), run.record["data"]
    own = {"data": recorded.get("source"), "vix": recorded.get("volatility"),
           "features": recorded.get("features")}  # fmt: skip
    asked = {option: value for option, value in inputs.items() if value is not None}
    if other := sorted(set(asked) - set(task.sources.values())):
        raise TruenessError(f"{name} takes no --{other[0]}", "no_source")
    target = getattr(run.spec.task, "target", None)
    sources = {option: asked.get(option, own[option]) for option in task.sources.values()}
    if sources["data"] is None:
        raise TruenessError(f"{name} was run on data that no file holds ({recorded.get('name')}); "
                            "give them as --data", "no_data")  # fmt: skip
    try:
        return task.load({
            **{option: value for option, value in sources.items() if value is not None},
            "labels": {column} if (column := getattr(target, "column", None)) else set(),
            "base_folder": base_folder,
        })  # fmt: skip
    except TruenessError as error:
        unasked = {option for option, value in sources.items() if value and option not in asked}
        if (error.source and error.source not in unasked) or "data" in asked:
            raise
        lost = error.source or "data"
        raise TruenessError(f"{name} was run on {own[lost]}, which cannot be read again ({error}); "
                            f"give --{lost}", "no_data") from None  # fmt: skip


def check_has_model(run: Run, name: str) -> None:
    """Refuse runs whose model is not made of columns, or was made elsewhere.

    Raises
    ------
    TruenessError
        With code ``no_model``.
    """
    if run.spec.task.kind not in TASKS:
        raise TruenessError(
            f"{name}: its scores were made elsewhere, so there is no model to refit", "no_model"
        )
    if run.spec.task.kind != "titles":
        check_binary(run, "bundles are")


def _check_continues(run: Run, name: str, data: Any) -> list[str]:  # noqa: ANN401
    """Refuse other data than those that were judged; what is different about them."""
    recorded = run.record["data"]
    if recorded["digest"] == data.digest and has_same_inputs(run, data):
        return []
    task = task_of(run.spec.task.kind)
    if task.kind == "titles":
        raise TruenessError(f"{name} was run on corpus {recorded['digest']}; these are "
                            f"{data.in_words()}", "other_corpus")  # fmt: skip
    if task.earlier is None:
        return [f"fitted on other rows ({data.in_words()}) than were judged ({recorded['rows']:,})"]
    (before,) = task.earlier([run])
    why = before.why_not(data)
    if why:
        raise TruenessError(
            f"{data.in_words()} do not continue the data of {name} ({recorded['name']} to "
            f"{recorded['as_of']}): {why}", "other_data",
        )  # fmt: skip
    return [f"judged on data up to {recorded['as_of']}"]


def has_same_inputs(run: Run, data: Any) -> bool:  # noqa: ANN401
    """Whether volatility index and own features, where the run reads some, are those it read."""
    for field, part in {"volatility": "volatility", "features": "own"}.items():
        wanted, actual = getattr(run.spec.task, field, None), getattr(data, part, None)
        if wanted is not None and (actual is None or actual.digest != wanted):
            return False
    return True


def _members(store: AnyStore, run: Run) -> list[Run]:
    """Whose specs are fitted: a run, or the members of an ensemble."""
    if run.spec.model.engine != "ensemble":
        return [run]
    result = []
    for key in sorted(run.spec.depends_on):
        if key not in store:
            raise StoreError(f"{run.key} averages {key}, which is not in the store", "missing_run")
        result += _members(store, store.run(key))
    return result


def _share_pct(run: Run) -> float:
    """Percent of what a fold knew that stopped its training, on average."""
    shares = [
        fold["validation"][0] / (fold["validation"][0] + fold["train"][0])
        for fold in run.record.get("folds", ()) if "validation" in fold and "train" in fold
    ]  # fmt: skip
    return 100 * float(np.mean(shares)) if shares else 15.0


def _data(data: Any) -> dict[str, Any]:  # noqa: ANN401
    """What a record says of the data, and of bars how each series is known again."""
    panel = getattr(data, "panel", None)
    return {**data.origin(), **({} if panel is None else {"lineages": panel.lineages})}


def _fit_record(examples: Any, result: Sequence[Trained]) -> dict[str, Any]:  # noqa: ANN401
    """On what was fitted and stopped, up to which time, in numbers and words."""
    (counts,) = examples.counts()
    until = None
    if examples.when is not None:
        until = str(examples.when[np.flatnonzero(examples.parts[0])].max())
    of_texts = not hasattr(examples, "parts")
    stopped = of_texts or any(one.member.spec.model.validates for one in result)
    held = count(counts["validation"][0])
    which = f"the {held} latest" if until is not None else f"{held} others at random"
    if of_texts:
        which = f"the {held} of the validation part"
    return {
        "train": list(counts["train"]), "validation": list(counts["validation"]), "until": until,
        "fitted": f"fitted on {plural(counts['train'][0], 'example')}"
        + (f", stopped on {which}" if stopped else f", {which} left out")
        + (f", up to {until}" if until is not None else ""),
        "chosen": [_chosen(one) for one in result],
    }  # fmt: skip


def _chosen(one: Trained) -> str:
    return f"{one.member.spec.label()}, seed {one.member.spec.seed}: {one.chosen}"


def _ranges(examples: Examples, task: str) -> dict[str, list[float]]:
    """Smallest and largest value of each column in training; prices and volumes have none."""
    rows = examples.starts(0)[examples.members("train")] + examples.context - 1
    values = examples.series[rows]
    low, high = values.min(axis=0).tolist(), values.max(axis=0).tolist()
    every = zip(examples.features, low, high, strict=True)
    return {name: [a, b] for name, a, b in every if task != "market" or not _is_level(name)}


def _is_level(column: str) -> bool:
    """Whether a column of bars grows with prices or volumes, so that no range holds for it."""
    if column in RAW_COLUMNS:
        return True
    return column in CATALOGUE and CATALOGUE[column].scale != "free"
