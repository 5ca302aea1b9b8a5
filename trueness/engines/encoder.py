"""One large encoder at a time: accumulation, checkpoints, torchrun, teachers, warm starts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trueness.engines import Cost, Epoch, Inputs, Job, Outcome, Report, Setting, Step
from trueness.engines.encoder_costs import (
    check_folder,
    cost_of,
    encoding_gflop,
    folder_of,
    step_flops,
    training_bytes,
)
from trueness.engines.linear import HISTORY, Linear, titles_outcome
from trueness.errors import SpecError, at_least
from trueness.execute import Question
from trueness.files import cache_folder, sha256_of, written_whole
from trueness.fit.device import Device
from trueness.fit.titles import (
    Event,
    Sampled,
    Saving,
    TeacherTargets,
    TitlesData,
    TitlesFitted,
    expected_gflop,
    fit_titles,
    gflop_of,
    load_data,
    precision_on,
    tokenizer_of,
)
from trueness.fit.titles import Setting as FitSetting
from trueness.fit.titles.checkpoint import load_checkpoint
from trueness.fit.titles.encoding import frozen_vectors
from trueness.places import StoreLocation
from trueness.spec.titles import TitlesSpec, TitlesTask
from trueness.store import Run, Store
from trueness.tasks.titles import AllTexts, predictions_of
from trueness.text.corpus import Corpus, Parts, load_corpus
from trueness.text.pretrained import PretrainedFolder
from trueness.text.tokens import encode, load_tokenizer, vocabulary_of
from trueness.titles.classifier import kept_files, load_classifier

FOLDER = "titles"
"""Folder of what belongs to texts in the cache."""
SAMPLE = 4_000
"""Texts whose tokens tell what training costs."""


@dataclass(frozen=True)
class EncoderContent:
    """Where everything is that a run reads and writes; whether it asks after every epoch."""

    corpus: Path
    store: StoreLocation
    tokenizer: Path
    cache: Path
    setting: FitSetting
    saving: Saving | None
    asks: bool = False
    folder: PretrainedFolder | None = None


class OneEncoder:
    """See `trueness.engines.Engine`; a job is one spec."""

    stage: ClassVar[str] = "encoders"
    alone: ClassVar[bool] = True
    ranked: ClassVar[bool] = True

    def check(
        self, specs: Sequence[TitlesSpec], inputs: Inputs, setting: Setting, store: Store
    ) -> None:
        """Refuse what could only fail later, when baselines are stored or hours are gone."""
        how = setting.encoders
        at_least("save_every", how.every_epochs, 1)
        if not how.every_minutes > 0:
            raise SpecError(f"save_minutes {how.every_minutes}: a number above 0 is needed")
        Linear().check(specs, inputs, setting, store)
        own = {spec.key for spec in specs}
        for spec in specs:
            precision_on(setting.device, spec)
            check_folder(spec, setting.folder)
            for key in sorted(spec.depends_on - own):
                check_source_run(spec, store.run(key), inputs(spec).classes)
            if how.checkpoint is not None:
                load_checkpoint(how.checkpoint, spec, {"corpus": inputs(spec).digest})

    def cost(self, spec: TitlesSpec, inputs: Corpus, folder: Path) -> Cost:
        """Parameters and work, where the size of the vocabulary is known before it is trained."""
        return cost_of(spec, inputs, folder)

    def jobs(self, specs: Sequence[TitlesSpec], inputs: Inputs, setting: Setting) -> list[Job]:
        """One for each spec."""
        return [
            _job(spec, inputs(spec), self.cost(spec, inputs(spec), setting.folder), setting)
            for spec in specs
        ]

    def rates(self, jobs: Sequence[Job], setting: Setting) -> None:
        """Not tried."""

    def fit(self, job: Job, report: Report) -> list[Outcome]:
        """Train, then judge."""
        (spec,), how = job.specs, job.content
        corpus = load_corpus(how.corpus)
        try:
            fitted, data = fitted_encoder(
                spec, corpus, how, event_handler(report, job.work, spec.key, asks=how.asks)
            )
        except _GivenUp:
            return [Outcome(spec, pruned=True)]
        return [_outcome(fitted, corpus, data, how)]


def fitted_encoder(
    spec: TitlesSpec, corpus: Parts, how: EncoderContent, report: Any = None  # noqa: ANN401
) -> tuple[TitlesFitted, TitlesData]:  # fmt: skip
    """Train an encoder; what training left behind, and the tokens it read.

    Parameters
    ----------
    spec : TitlesSpec
    corpus : Parts
    how : EncoderContent
    report : Report of the loop, optional
    """
    tokenizer, vectors, folder = load_tokenizer(how.tokenizer), None, how.folder
    if folder is not None and spec.model.encodes_once:
        vectors = frozen_vectors(spec, folder, tokenizer, how.setting.device)
    data = load_data(
        spec.task, corpus, tokenizer=tokenizer, cache=how.cache,
        folder=None if folder is None else folder.path, vectors=vectors,
    )  # fmt: skip
    fitted = fit_titles(
        spec, data, how.setting, saving=how.saving, report=report,
        teacher=_teacher_targets(spec, how, corpus.part("train").texts, data),
        start=_warm_start(spec, how.store, data),
    )  # fmt: skip
    return fitted, data


def _job(spec: TitlesSpec, corpus: Corpus, cost: Cost, setting: Setting) -> Job:
    how = setting.encoders
    path = how.checkpoint or Store(setting.store).checkpoints / f"{spec.key}.pt"
    saving = Saving(
        path, how.every_epochs, how.every_minutes, not how.restart, how.checkpoint is not None
    )
    folder = folder_of(spec, setting.folder)
    content = EncoderContent(
        corpus.folder, setting.store,
        tokenizer_file(spec.task, corpus, how.tokenizer) if folder is None else folder.tokenizer,
        cache_folder() / FOLDER, FitSetting(setting.device, how.compiled, setting.ranks),
        None if setting.asks else saving, setting.asks, folder,
    )  # fmt: skip
    work = (
        float(len(corpus.part("train")) * spec.recipe.epochs) if cost.gflop is None else cost.gflop
    )
    reads = (
        *Store(setting.store).folders,
        corpus.folder,
        content.tokenizer,
        *([] if folder is None else [folder.path]),
    )
    if cost.gflop is None:
        return Job("encoder", (spec,), content, work, reads=reads)
    some, vocabulary = _sampled(
        corpus.folder, corpus.digest, content.tokenizer, spec.task.max_tokens
    )
    sizes = len(corpus.classes), vocabulary, folder
    held = training_bytes(spec, *sizes, total=some.total, longest=int(some.lengths.max()))
    read = replace(some, lengths=np.ones_like(some.lengths)) if spec.model.encodes_once else some
    expected = expected_gflop(spec, read, step_flops(spec, *sizes))
    expected += encoding_gflop(spec, corpus, folder, some.lengths)
    return Job("encoder", (spec,), content, work, bytes=held, expected=min(work, expected),
               reads=reads)  # fmt: skip


@lru_cache(maxsize=16)
def _sampled(
    folder: Path, digest: str, tokenizer: Path, max_tokens: int
) -> tuple[Sampled, int]:  # fmt: skip
    """Tokens of evenly spaced texts of the train part, and the vocabulary."""
    del digest  # another one is another corpus, whatever folder it lies in
    train, coder = load_corpus(folder).part("train"), load_tokenizer(tokenizer)
    rows = np.unique(np.linspace(0, len(train) - 1, SAMPLE).astype(np.int64))
    lengths = encode(train.texts[rows], coder, max_tokens=max_tokens).lengths
    language = np.unique(train.language[rows], return_inverse=True)[1].astype(np.int64)
    return Sampled(lengths, language, len(train)), vocabulary_of(coder)


class _GivenUp(Exception):
    """A pruner ends the run."""


def event_handler(
    report: Report, work: float, key: str, *, asks: bool = False
) -> Callable[[Event], None]:
    """Events of the loop as steps and notes of a run; epochs are questions too, if it asks."""
    updates = 1

    def on_event(event: Event) -> None:
        nonlocal updates
        if event[0] == "note":
            report(event[1])
        elif event[0] == "epoch":
            row = event[1]
            report(_epoch_text(row))
            last = Epoch(key, 0, int(row["epoch"]), row["train_loss"], row["val_loss"])
            report(Step(0.0, epoch=last))
            if asks and report(Question((key, row))):
                raise _GivenUp
        elif event[0] == "begin":
            updates = max(1, event[2])
            report(Step(work * event[3] / updates))
        else:
            report(Step(work * event[1] / updates, f"loss {event[3]:.4f}"))

    return on_event


def _epoch_text(row: dict[str, float]) -> str:
    """Losses and scores of an epoch in one line."""
    return (
        f"epoch {row['epoch']:.0f}  loss {row['train_loss']:.4f}, validation "
        f"{row['val_loss']:.4f}  macro-F1 {row['macro_f1']:.3f}, mean of languages "
        f"{row['mean_group']:.3f}, worst {row['worst_group']:.3f}"
    )


def refitted_encoder(
    spec: TitlesSpec, corpus: AllTexts, store: StoreLocation, tokenizer: Path, device: Device,
    report: Callable[[str], None], folder: PretrainedFolder | None = None,
) -> TitlesFitted:  # fmt: skip
    """Train an encoder for use, on all texts; an interrupted call is continued by the next one.

    Parameters
    ----------
    spec : TitlesSpec
    corpus : AllTexts
    store : Path or Address
        Of runs that it begins with, and of the checkpoint.
    tokenizer : Path
    device : Device
    report : callable
        Takes a line about each epoch.
    folder : PretrainedFolder, optional
        What it begins with.
    """
    kept = Saving(Store(store).checkpoints / f"{spec.key}-refit.pt", asked=False)
    how = EncoderContent(corpus.corpus.folder, store, tokenizer, cache_folder() / FOLDER,
                         FitSetting(device), kept, folder=folder)  # fmt: skip
    fitted, _ = fitted_encoder(
        spec, corpus, how, lambda e: report(_epoch_text(e[1])) if e[0] == "epoch" else None
    )
    kept.path.unlink(missing_ok=True)
    return fitted


def _outcome(
    fitted: TitlesFitted, corpus: Corpus, data: TitlesData, how: EncoderContent
) -> Outcome:  # fmt: skip
    folder, lengths = how.folder, data.parts["train"].tokens.lengths
    step = step_flops(fitted.spec, len(data.classes), data.width, folder)
    origin = (
        {} if folder is None else {"pretrained": {"name": folder.path.name, "kind": folder.kind}}
    )
    facts = {
        "parameters": sum(w.size for w in fitted.parameters.values()),
        "best_epoch": fitted.best_epoch, "epochs": len(fitted.history),
        "seconds": fitted.seconds, "device": fitted.device, "precision": fitted.precision,
        "gflop": round(gflop_of(fitted.spec, lengths, data.code, step, len(fitted.history)), 3),
        "padded": float(np.mean([epoch["padded"] for epoch in fitted.history])),
        "data": {"tokenizer": data.digests["tokenizer"], **origin},
    }  # fmt: skip
    history = pl.DataFrame(fitted.history, schema=HISTORY)
    made = titles_outcome(
        fitted.spec, corpus, predictions_of(corpus, fitted.logits), facts, history
    )
    files = {**made.files, **kept_files(fitted.spec.model, how.tokenizer)}
    return replace(made, parameters=fitted.parameters, files=files)


# --------------------------------------------------------------------- runs that others begin with


def check_source_run(spec: TitlesSpec, other: Run[TitlesSpec], classes: tuple[str, ...]) -> None:
    """Refuse a stored run that cannot do what a spec wants of it: teach, or lend its weights.

    Raises
    ------
    SpecError
    """
    if not other.spec.model.is_network or other.spec.model.engine != spec.model.engine:
        raise SpecError(f"run {other.key} is {other.spec.label()}, which can neither teach nor "
                        f"lend weights to {spec.label()}")  # fmt: skip
    if tuple(other.record["classes"]) != classes:
        raise SpecError(
            f"run {other.key} knows other classes; it can neither teach nor lend weights"
        )
    if other.key == spec.recipe.start and not spec.model.takes(other.spec.model):
        raise SpecError(f"run {other.key} has another model; its weights do not fit")


def _source(
    spec: TitlesSpec, store: StoreLocation, key: str, classes: tuple[str, ...]
) -> Run[TitlesSpec]:
    """Another run, checked."""
    other = Store(store).run(key)
    check_source_run(spec, other, classes)
    return other


def _warm_start(
    spec: TitlesSpec, store: StoreLocation, data: TitlesData
) -> dict[str, Tensor] | None:
    """Weights of the run that this one starts from."""
    if spec.recipe.start is None:
        return None
    other = _source(spec, store, spec.recipe.start, data.classes)
    if other.record["data"]["tokenizer"] != data.digests["tokenizer"]:
        raise SpecError(f"run {other.key} has another tokenizer; its weights do not fit")
    return {name: torch.from_numpy(w) for name, w in other.parameters().items()}


def _teacher_targets(
    spec: TitlesSpec, how: EncoderContent, texts: pl.Series, data: TitlesData
) -> TeacherTargets | None:
    """Logits of the teacher for the texts of its languages."""
    teacher = spec.loss.teacher
    if teacher is None:
        return None
    rows = np.flatnonzero(np.isin(data.parts["train"].language, teacher.languages))
    if not len(rows):
        raise SpecError(f"no training text is in {', '.join(teacher.languages)}; nothing to teach")
    run = _source(spec, how.store, teacher.run, data.classes)
    other = load_classifier(run, how.setting.device, how.folder)
    place = np.full(len(texts), -1, np.int64)
    place[rows] = np.arange(len(rows))
    name = how.setting.device.name
    logits = torch.from_numpy(other.logits(texts[rows], how.cache)).half()
    return TeacherTargets(logits.to(name), torch.from_numpy(place).to(name))


def tokenizer_file(task: TitlesTask, corpus: Corpus, chosen: Path | None) -> Path:
    """File of a task's tokenizer; one that is trained is kept in the cache of the user.

    Its digest lies beside it: one that was cut or changed is trained again.
    """
    if task.tokenizer.kind == "file":
        tokenizer_of(task, corpus, chosen)  # refuses another one
        assert chosen is not None
        return chosen
    setting = task.tokenizer.model_dump_json()
    path = cache_folder() / FOLDER / f"tokenizer-{corpus.digest}-{_digest(setting)}.json"
    digest = path.with_suffix(".sha256")
    if not _is_whole(path, digest):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as unfinished:
            tokenizer_of(task, corpus, None).save(str(unfinished))
        with written_whole(digest) as unfinished:
            unfinished.write_text(sha256_of(path))
    return path


def _is_whole(path: Path, digest: Path) -> bool:
    """Whether a file is as it was written."""
    try:
        return sha256_of(path) == digest.read_text()
    except (OSError, UnicodeDecodeError):
        return False


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
