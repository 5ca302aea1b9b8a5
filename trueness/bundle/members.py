"""Fitting the models of a bundle on all data, and opening them again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.bundle.format import Bundle, Member
from trueness.errors import StoreError
from trueness.examples import Examples
from trueness.own import answering
from trueness.store import AnyStore, Run
from trueness.tasks import Refit
from trueness.tasks.titles import AllTexts
from trueness.text.pretrained import TOKENIZER, WEIGHTS

Array = NDArray[np.float64]
NETWORK, ENCODER = "network", "encoder"


@dataclass(frozen=True)
class Trained:
    """A member with its files, and what was chosen in its fit, in words."""

    member: Member
    files: dict[str, bytes]
    chosen: str


@dataclass(frozen=True)
class Place:
    """Where models are fitted.

    Attributes
    ----------
    store : AnyStore
        Of runs that others begin with.
    device : str
    beside : Path
        Folder of own files.
    told : callable
        Takes a line about each fit.
    """

    store: AnyStore
    device: str
    beside: Path
    told: Callable[[str], None]


def trained(
    run: Run, specs: Iterable[Any], refit: Refit, number: int, place: Place
) -> list[Trained]:
    """Specs that differ in their seed alone, each fitted on one fold of all data.

    Parameters
    ----------
    run : Run
        Of the spec.
    specs : iterable of Spec
    refit : Refit
    number : int
        Of the first member.
    place : Place

    Raises
    ------
    StoreError
        With code ``untrusted`` for an estimator that files cannot keep, ``failed`` if a network
        cannot be fitted.
    """
    found = []
    for spec in specs:
        form, settings, files, chosen = FITS[spec.model.engine](run, spec, refit.examples, place)
        folder = f"members/{number + len(found)}"
        features = getattr(refit.examples, "features", ())
        member = Member(spec, form, settings, refit.prepared, folder, features)
        own = {f"{folder}/{name}": content for name, content in {**files, **refit.files}.items()}
        found.append(Trained(member, own, chosen))
        place.told(f"{spec.label()}, seed {spec.seed}: {chosen}")
    return found


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


def _encoder(run: Run, spec: Any, corpus: AllTexts, place: Place) -> Fit:  # noqa: ANN401
    """An encoder, with the tokenizer of the run, from a checkpoint if one was interrupted."""
    from trueness.engines.encoder import refitted_encoder
    from trueness.engines.encoder_costs import folder_of
    from trueness.fit.device import choose_device
    from trueness.titles.classifier import complete_files

    root = getattr(place.store, "root", None)
    if root is None:
        raise StoreError("encoders are refitted from a store on disk; save this one", "no_weights")
    folder = folder_of(spec, place.beside)
    tokenizer = run.file(TOKENIZER) if folder is None else folder.tokenizer
    where = choose_device(place.device)
    fitted = refitted_encoder(spec, corpus, root, tokenizer, where, place.told, folder)
    source = None if folder is None else folder.path
    files = complete_files(spec, fitted.parameters, source, tokenizer, tuple(corpus.classes))
    chosen = f"epoch {fitted.best_epoch} of {len(fitted.history)}"
    return ENCODER, {"precision": fitted.precision}, files, chosen


def _linear(run: Run, spec: Any, corpus: AllTexts, place: Place) -> Fit:  # noqa: ANN401
    from trueness.baselines import fit_titles_baseline
    from trueness.engines.linear import selection_of

    del run, place
    fit = fit_titles_baseline(spec, corpus, selection_of(spec, len(corpus.classes)))
    fitted = fit.fitted()
    return (fitted.form, *fitted.kept(), fit.chosen)


def _network(run: Run, spec: Any, examples: Examples, place: Place) -> Fit:  # noqa: ANN401
    from safetensors.numpy import save

    from trueness.fit import choose_device, fit_stack

    del run
    (fitted,) = fit_stack(examples, [spec], choose_device(place.device), beside=place.beside)
    if fitted.failure is not None:
        raise StoreError(f"{spec.label()}: {fitted.failure}", "failed")
    (fold,) = fitted.folds
    weights = {name: np.ascontiguousarray(a) for name, a in fold.parameters.items()}
    chosen = f"epoch {fold.best_epoch} of {len(fold.history)}"
    return NETWORK, {"precision": fitted.precision}, {WEIGHTS: save(weights)}, chosen


def _estimator(run: Run, spec: Any, examples: Examples, place: Place) -> Fit:  # noqa: ANN401
    from trueness.baselines.estimators import refitted

    del run
    fitted, chosen = refitted(examples, spec, place.beside)
    return (fitted.form, *fitted.kept(), chosen or "fitted")


def _vectors(run: Run, spec: Any, corpus: AllTexts, place: Place) -> Fit:  # noqa: ANN401
    from trueness.engines.vectors import refitted_head
    from trueness.fit.device import choose_device

    del run
    root, where = getattr(place.store, "root", None), choose_device(place.device)
    fitted, chosen = refitted_head(spec, corpus, root, place.beside, where)
    return (fitted.form, *fitted.kept(), chosen)


FITS: dict[str, Callable[[Run, Any, Any, Place], Fit]] = {
    "stack": _network, "estimators": _estimator, "encoder": _encoder, "linear": _linear,
    "vectors": _vectors,
}  # fmt: skip
"""By the engine of a model."""


# ----------------------------------------------------------------------------------------- opening


@dataclass(frozen=True)
class Opened:
    """A member whose files were read and verified."""

    member: Member
    files: dict[str, bytes]
    fitted: Any

    @classmethod
    def of(cls, bundle: Bundle, member: Member) -> Opened:
        """Read and verify its files; torch is loaded for networks alone."""
        files = bundle.files(member.folder)
        with answering(f"{bundle.folder}: {member.folder} cannot be opened", "damaged"):
            if member.form == NETWORK:
                from safetensors.numpy import load

                return cls(member, files, load(files[WEIGHTS]))
            from trueness.baselines.column_forms import FORMS

            return cls(member, files, FORMS[member.form].opened(member.settings, files))

    def logits(self, examples: Examples, beside: Path = Path()) -> Array:
        """Logits (N,) of some examples.

        Raises
        ------
        SpecError
            With code ``damaged`` if the files hold a model that does not read them.
        """
        with answering(f"{self.member.folder} cannot score", "damaged"):
            found = np.asarray(self._logits(examples, beside), np.float64)
            if found.shape != examples.start.shape or not np.isfinite(found).all():
                raise ValueError("a finite score per row is needed")
        return found

    def _logits(self, examples: Examples, beside: Path) -> NDArray[Any]:
        spec = self.member.spec
        if self.member.form != NETWORK:
            from trueness.baselines.fitted import logits_of
            from trueness.baselines.inputs import columns_of

            x, _ = columns_of(examples, spec.model.inputs, examples.starts(0))
            return logits_of(self.fitted, x, spec.model.kind)
        from trueness.fit import choose_device
        from trueness.fit.scoring import network_logits

        precision = self.member.settings["precision"]
        where = choose_device("cpu")
        return network_logits(spec, self.fitted, examples, where, precision, beside)
