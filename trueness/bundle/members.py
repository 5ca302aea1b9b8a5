"""Fitting the models of a bundle on all data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueness.bundle.format import ENCODER, NETWORK, WEIGHTS, Member
from trueness.errors import StoreError, TruenessError
from trueness.own import own_files
from trueness.store import AnyStore, Run
from trueness.tasks import Refit
from trueness.tasks.titles import AllTexts
from trueness.text.pretrained import TOKENIZER

if TYPE_CHECKING:
    from trueness.execute import AnyPool

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """A member with its files, and what was chosen in its fit, in words."""

    member: Member
    files: dict[str, bytes]
    chosen: str


@dataclass(frozen=True)
class FitContext:
    """Where models are fitted.

    Attributes
    ----------
    store : AnyStore
        Of runs that others begin with.
    device : str
    base_folder : Path
        Folder of own files.
    report : callable
        Takes a line about each fit.
    pool : AnyPool or None
        None stays in this process.
    """

    store: AnyStore
    device: str
    base_folder: Path
    report: Callable[[str], None]
    pool: AnyPool | None = None


@dataclass(frozen=True)
class Fitting:
    """A spec to be fitted on one fold of all data; an item of a pool.

    Attributes
    ----------
    spec : Spec
    run : Run
        Of the spec, or of one that differs in its seed alone.
    refit : Refit
    root : Path or None
        Of the store, None in memory.
    device : str
    base_folder : Path
        Folder of own files.
    reads : tuple of Path
        Files and folders besides what it carries.
    """

    spec: Any
    run: Run
    refit: Refit
    root: Path | None
    device: str
    base_folder: Path
    reads: tuple[Path, ...]

    @classmethod
    def of(cls, spec: Any, run: Run, refit: Refit, context: FitContext) -> Fitting:  # noqa: ANN401
        """The fitting of a spec in a place."""
        root, examples = getattr(context.store, "root", None), refit.examples
        reads = own_files(spec.model, context.base_folder)
        if isinstance(examples, AllTexts):
            reads += (examples.corpus.folder, *([root] if root is not None else []))
        return cls(spec, run, refit, root, context.device, context.base_folder, reads)


def trained(fittings: Sequence[Fitting], context: FitContext) -> list[Trained]:
    """Specs, each fitted on one fold of all data, in their order.

    Parameters
    ----------
    fittings : sequence of Fitting
    context : FitContext

    Raises
    ------
    StoreError
        With code ``untrusted`` for an estimator that files cannot keep, ``failed`` if a network
        cannot be fitted.
    """
    from trueness.execute import Failure, Pool

    pool = Pool(0) if context.pool is None else context.pool
    pool.check(lambda: fittings)
    result: dict[int, Trained] = {}

    def on_event(position: int, line: str) -> None:
        del position
        context.report(line)

    for position, answer in pool.map(_fitted, fittings, on_event, alone=len(fittings) == 1):
        one = fittings[position]
        if isinstance(answer, Failure):
            raise StoreError(f"{one.spec.label()}: {answer.reason.splitlines()[-1]}", "failed")
        if isinstance(answer, TruenessError):
            raise answer
        result[position] = _as_member(answer, one, position)
        context.report(f"{one.spec.label()}, seed {one.spec.seed}: {result[position].chosen}")
    return [result[position] for position in range(len(fittings))]


def _fitted(item: Fitting, report: Callable[[str], None]) -> Fit | TruenessError:
    """What a process does with a fitting; a refusal is its answer, so that its code is kept."""
    try:
        return FITS[item.spec.model.engine](item, report)
    except TruenessError as error:
        return error


def _as_member(fit: Fit, item: Fitting, number: int) -> Trained:
    form, settings, files, chosen = fit
    folder = f"members/{number}"
    features = getattr(item.refit.examples, "features", ())
    member = Member(item.spec, form, settings, item.refit.prepared, folder, features)
    every = {**files, **item.refit.files}
    own = {f"{folder}/{name}": content for name, content in every.items()}
    return Trained(member, own, chosen)


def as_trained(run: Run) -> Trained:
    """The encoder of a run on titles, with the weights that the run keeps.

    Raises
    ------
    StoreError
        With code ``no_weights`` for other runs.
    """
    if run.spec.model.engine != "encoder":
        raise StoreError(f"{run.key} keeps no weights; leave out --no-refit", "no_weights")
    from trueness.titles.classifier import complete_run

    files = complete_run(run)
    member = Member(run.spec, ENCODER, {"precision": run.record["precision"]}, {}, "members/0", ())
    own = {f"{member.folder}/{name}": content for name, content in files.items()}
    return Trained(member, own, f"weights of the run itself, epoch {run.record['best_epoch']}")


Fit = tuple[str, dict[str, Any], dict[str, bytes], str]


def _encoder(item: Fitting, report: Callable[[str], None]) -> Fit:
    """An encoder, with the tokenizer of the run, from a checkpoint if one was interrupted."""
    from trueness.engines.encoder import refitted_encoder
    from trueness.engines.encoder_costs import folder_of
    from trueness.fit.device import choose_device
    from trueness.titles.classifier import complete_files

    spec, corpus = item.spec, item.refit.examples
    if item.root is None:
        raise StoreError("encoders are refitted from a store on disk; save this one", "no_weights")
    folder = folder_of(spec, item.base_folder)
    tokenizer = item.run.file(TOKENIZER) if folder is None else folder.tokenizer
    where = choose_device(item.device)
    fitted = refitted_encoder(spec, corpus, item.root, tokenizer, where, report, folder)
    source = None if folder is None else folder.path
    files = complete_files(spec, fitted.parameters, source, tokenizer, tuple(corpus.classes))
    chosen = f"epoch {fitted.best_epoch} of {len(fitted.history)}"
    return ENCODER, {"precision": fitted.precision}, files, chosen


def _linear(item: Fitting, report: Callable[[str], None]) -> Fit:
    from trueness.baselines import fit_titles_baseline
    from trueness.engines.linear import selection_of

    del report
    spec, corpus = item.spec, item.refit.examples
    fit = fit_titles_baseline(spec, corpus, selection_of(spec, len(corpus.classes)))
    fitted = fit.fitted()
    return (fitted.form, *fitted.kept(), fit.chosen)


def _network(item: Fitting, report: Callable[[str], None]) -> Fit:
    from safetensors.numpy import save

    from trueness.fit import choose_device, fit_stack

    del report
    spec, where = item.spec, choose_device(item.device)
    (fitted,) = fit_stack(item.refit.examples, [spec], where, base_folder=item.base_folder)
    if fitted.failure is not None:
        raise StoreError(f"{spec.label()}: {fitted.failure}", "failed")
    (fold,) = fitted.folds
    weights = {name: np.ascontiguousarray(a) for name, a in fold.parameters.items()}
    chosen = f"epoch {fold.best_epoch} of {len(fold.history)}"
    return NETWORK, {"precision": fitted.precision}, {WEIGHTS: save(weights)}, chosen


def _estimator(item: Fitting, report: Callable[[str], None]) -> Fit:
    from trueness.baselines.estimators import refitted

    del report
    fitted, chosen = refitted(item.refit.examples, item.spec, item.base_folder)
    return (fitted.form, *fitted.kept(), chosen or "fitted")


def _vectors(item: Fitting, report: Callable[[str], None]) -> Fit:
    from trueness.engines.vectors import refitted_head
    from trueness.fit.device import choose_device

    del report
    spec, corpus, where = item.spec, item.refit.examples, choose_device(item.device)
    fitted, chosen = refitted_head(spec, corpus, item.root, item.base_folder, where)
    return (fitted.form, *fitted.kept(), chosen)


FITS: dict[str, Callable[[Fitting, Callable[[str], None]], Fit]] = {
    "stack": _network, "estimators": _estimator, "encoder": _encoder, "linear": _linear,
    "vectors": _vectors,
}  # fmt: skip
"""By the engine of a model."""
