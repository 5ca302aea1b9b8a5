"""Heads on static vectors of titles: a linear one without torch, or a small network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.baselines.dense import column_scales
from trueness.baselines.vectors import (
    PENALTIES,
    Layer,
    VectorClassifier,
    classifier_of,
    fit_linear_head,
    scores_of,
)
from trueness.engines import Cost, Inputs, Job, Outcome, Report, Setting, Step
from trueness.engines.linear import HISTORY, Linear, selection_of, titles_outcome
from trueness.errors import SpecError
from trueness.fit.device import Device
from trueness.places import StoreLocation
from trueness.spec.titles import NetworkHead, TitlesSpec, Vectors
from trueness.store import Run, Store
from trueness.tasks.titles import predictions_of
from trueness.text.corpus import Corpus, Parts, load_corpus
from trueness.text.foreign import pinned_digest
from trueness.text.static.opening import Vectors as StaticVectors
from trueness.text.static.opening import open_vectors

if TYPE_CHECKING:
    from trueness.fit.titles import TeacherTargets, TitlesData, TitlesFitted

Floats = NDArray[np.float32]
ITERATIONS = 50
"""Of a fit of a linear head, about; for estimates of time."""


@dataclass(frozen=True)
class VectorContent:
    """Where everything is that a run reads, and where it trains."""

    corpus: Path
    folder: Path
    store: StoreLocation
    device: Device


class OnVectors:
    """See `trueness.engines.Engine`; a job is one spec."""

    stage: ClassVar[str] = "vectors"
    alone: ClassVar[bool] = True
    ranked: ClassVar[bool] = False

    def check(
        self, specs: Sequence[TitlesSpec], inputs: Inputs, setting: Setting, store: Store
    ) -> None:
        """Refuse vectors that are damaged, others than in the key, or no use for the texts."""
        Linear().check(specs, inputs, setting, store)
        own = {spec.key for spec in specs}
        for spec in specs:
            _vectors(spec, setting.folder).check(inputs(spec), spec.task.max_tokens)
            for key in sorted(spec.depends_on - own):
                _source(spec, store, key, inputs(spec).classes)

    def cost(self, spec: TitlesSpec, inputs: Corpus, folder: Path) -> Cost:
        """Weights and work of the head; that of encoding is small beside it."""
        width, k = _vectors(spec, folder).width, len(inputs.classes)
        head, rows = _model(spec).head, len(inputs.part("train"))
        if isinstance(head, NetworkHead):
            weights = (width + 1) * head.hidden + (head.hidden + 1) * k
            return Cost(weights, width, 6e-9 * weights * rows * spec.recipe.epochs)
        return Cost((width + 1) * k, width, 4e-9 * width * k * rows * ITERATIONS * len(PENALTIES))

    def jobs(self, specs: Sequence[TitlesSpec], inputs: Inputs, setting: Setting) -> list[Job]:
        """One for each spec."""
        return [
            Job("vectors", (spec,),
                VectorContent(inputs(spec).folder, setting.folder, setting.store, setting.device),
                self.cost(spec, inputs(spec), setting.folder).gflop or 1.0,
                reads=_reads(spec, inputs(spec), setting))
            for spec in specs
        ]  # fmt: skip

    def rates(self, jobs: Sequence[Job], setting: Setting) -> None:
        """Not tried."""

    def fit(self, job: Job, report: Report) -> list[Outcome]:
        """Fit, then judge."""
        (spec,), how = job.specs, job.content
        corpus = load_corpus(how.corpus)
        fit = _network if _model(spec).is_network else _linear
        return [fit(spec, corpus, how, job.work, report)]


def refitted_head(
    spec: TitlesSpec, corpus: Parts, store: StoreLocation | None, folder: Path, device: Device
) -> tuple[VectorClassifier, str]:
    """A head fitted for use, on all texts, and what was chosen in words.

    Parameters
    ----------
    spec : TitlesSpec
    corpus : Parts
    store : Path or Address or None
        Of runs that it begins with.
    folder : Path
        Beside which the vectors lie.
    device : Device

    Raises
    ------
    StoreError
        With code ``no_encoder`` for vectors by the ids of texts.
    """
    vectors = _vectors(spec, folder)
    classifier_of(spec, vectors, ())
    if not _model(spec).is_network:
        fit = fit_linear_head(spec, corpus, vectors, selection_of(spec, len(corpus.classes)))
        fitted = fit.fitted()
        assert isinstance(fitted, VectorClassifier)
        return fitted, fit.chosen
    made, scales = _trained(spec, corpus, vectors, store, device)
    layers = _layers(made.parameters, *scales)
    return classifier_of(spec, vectors, layers), f"epoch {made.best_epoch} of {len(made.history)}"


def _model(spec: TitlesSpec) -> Vectors:
    assert isinstance(spec.model, Vectors)
    return spec.model


def _reads(spec: TitlesSpec, corpus: Corpus, setting: Setting) -> tuple[Path, ...]:
    """Corpus, vectors in files, and the store where it begins with a run of it."""
    file = setting.folder / _model(spec).of
    result = [corpus.folder, *([file] if file.exists() else [])]
    return (*result, *(Store(setting.store).folders if spec.depends_on else []))


def _vectors(spec: TitlesSpec, folder: Path) -> StaticVectors:
    """Vectors of a spec, whose key holds their digest."""
    model = _model(spec)
    return _opened(model.of, folder, pinned_digest(model))


def _notes(vectors: StaticVectors, spec: TitlesSpec, corpus: Corpus, report: Report) -> list[str]:
    """What is odd about the vectors for the corpus; it is reported as well."""
    notes = vectors.check(corpus, spec.task.max_tokens)
    for note in notes:
        report(note)
    return notes


@lru_cache(maxsize=1)
def _opened(of: str, folder: Path, digest: str) -> StaticVectors:
    return open_vectors(of, folder, digest)


# ----------------------------------------------------------------------------------- linear heads


def _linear(
    spec: TitlesSpec, corpus: Corpus, how: VectorContent, work: float, report: Report
) -> Outcome:
    vectors = _vectors(spec, how.folder)
    fit = fit_linear_head(spec, corpus, vectors, selection_of(spec, len(corpus.classes)))
    report(Step(work))
    facts = {
        "notes": _notes(vectors, spec, corpus, report),
        "parameters": (vectors.width + 1) * len(corpus.classes), "chosen": fit.chosen,
        "seconds": fit.seconds, "device": "cpu", "precision": "float64",
    }  # fmt: skip
    history = pl.DataFrame(schema=HISTORY)
    return titles_outcome(spec, corpus, predictions_of(corpus, fit.logits), facts, history)


# ------------------------------------------------------------------------------------ network heads


def _network(
    spec: TitlesSpec, corpus: Corpus, how: VectorContent, work: float, report: Report
) -> Outcome:
    from trueness.engines.encoder import event_handler

    vectors = _vectors(spec, how.folder)
    fitted, _ = _trained(
        spec, corpus, vectors, how.store, how.device, event_handler(report, work, spec.key)
    )
    facts = {
        "notes": _notes(vectors, spec, corpus, report),
        "parameters": sum(w.size for w in fitted.parameters.values()),
        "best_epoch": fitted.best_epoch, "epochs": len(fitted.history),
        "seconds": fitted.seconds, "device": fitted.device, "precision": fitted.precision,
        "data": {"vectors": vectors.digest},
    }  # fmt: skip
    history = pl.DataFrame(fitted.history, schema=HISTORY)
    made = titles_outcome(spec, corpus, predictions_of(corpus, fitted.logits), facts, history)
    return replace(made, parameters=fitted.parameters)


def _trained(
    spec: TitlesSpec, corpus: Parts, vectors: StaticVectors, store: StoreLocation | None,
    device: Device, report: Any = None,  # noqa: ANN401 - a Report of the loop
) -> tuple[TitlesFitted, tuple[Floats, Floats]]:  # fmt: skip
    """What training left behind, and means and deviations (D,) of the columns of the vectors."""
    import torch

    from trueness.fit.titles import Setting as FitSetting
    from trueness.fit.titles import fit_titles
    from trueness.fit.titles.data import PARTS, data_of
    from trueness.fit.titles.rows import VectorRows

    most = spec.task.max_tokens
    values = {name: vectors.of_titles(corpus.part(name), most) for name in PARTS}
    scales = column_scales(values["train"])
    rows = {name: VectorRows(some, *scales) for name, some in values.items()}
    data = data_of(corpus, rows, vectors.width, {"vectors": vectors.digest})
    start, teacher = None, None
    if spec.depends_on:
        sources = {key: _source(spec, _store(store), key, data.classes) for key in spec.depends_on}
        if spec.recipe.start is not None:
            first = sources[spec.recipe.start].parameters()
            start = {name: torch.from_numpy(w) for name, w in first.items()}
        teacher = _teacher(spec, data, sources, values["train"], scales, device)
    made = fit_titles(spec, data, FitSetting(device), report=report, teacher=teacher, start=start)
    return made, scales


def _layers(parameters: dict[str, Floats], mean: Floats, scale: Floats) -> tuple[Layer, ...]:
    """The trained head on vectors as they are."""
    first = parameters["up.weight"].T / scale[:, None]
    return ((first, parameters["up.bias"] - mean @ first),
            (parameters["out.weight"].T, parameters["out.bias"]))  # fmt: skip


def _teacher(
    spec: TitlesSpec, data: TitlesData, sources: dict[str, Run[TitlesSpec]], values: Floats,
    scales: tuple[Floats, Floats], device: Device,
) -> TeacherTargets | None:  # fmt: skip
    """Logits of the teacher for the texts of its languages."""
    import torch

    from trueness.fit.titles import TeacherTargets

    teacher = spec.loss.teacher
    if teacher is None:
        return None
    rows = np.flatnonzero(np.isin(data.parts["train"].language, teacher.languages))
    if not len(rows):
        raise SpecError(f"no training text is in {', '.join(teacher.languages)}; nothing to teach")
    place = np.full(len(values), -1, np.int64)
    place[rows] = np.arange(len(rows))
    logits = scores_of(_layers(dict(sources[teacher.run].parameters()), *scales), values[rows])
    targets, name = torch.from_numpy(logits).half(), device.name
    return TeacherTargets(targets.to(name), torch.from_numpy(place).to(name))


def _store(root: StoreLocation | None) -> Store:
    if root is None:
        raise SpecError("a head that begins with another run is fitted from a store on disk")
    return Store(root)


def _source(spec: TitlesSpec, store: Store, key: str, classes: tuple[str, ...]) -> Run[TitlesSpec]:
    """A run that teaches this one or lends it its weights.

    Raises
    ------
    SpecError
        If it cannot.
    """
    from trueness.engines.encoder import check_source_run

    other = store.run(key)
    check_source_run(spec, other, classes)
    if _model(other.spec).digest != _model(spec).digest:
        raise SpecError(f"run {key} is on the vectors {_model(other.spec).digest}, this one on "
                        f"{_model(spec).digest}", "other_vectors")  # fmt: skip
    return other
