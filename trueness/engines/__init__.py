"""Engines: specs and what a task made of its data in, judged runs out.

An engine groups specs into jobs, and fits a job in whatever process it is sent to. Adding one: a
module here with a class like `Engine`, its row in `ENGINES`; models name theirs (``engine``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.fit.device import Device
from trueness.fit.parallel import Ranks
from trueness.places import StoreLocation


@dataclass(frozen=True)
class EncoderOptions:
    """How encoders are trained; nothing here changes what is measured.

    Attributes
    ----------
    compiled : bool
        Minutes at the start, faster updates on a GPU.
    tokenizer : Path or None
        File of the tokenizer, where specs name one.
    restart : bool
        Whether checkpoints are ignored.
    every_epochs, every_minutes
        How often a checkpoint is written.
    checkpoint : Path or None
        In place of the store's own.
    """

    compiled: bool = False
    tokenizer: Path | None = None
    restart: bool = False
    every_epochs: int = 1
    every_minutes: float = 5.0
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Setting:
    """Where jobs are carried out.

    Attributes
    ----------
    device : Device
    store : Path or Address
        Of runs that others begin with, and of checkpoints.
    encoders : EncoderOptions
    ranks : Ranks
        Processes of torchrun.
    asks : bool
        Whether jobs ask after every epoch if a network is to be pruned.
    folder : Path
        Of own files, beside the campaign.
    continues : mapping of str to Continued
        Runs to be made, by key, and the stored run that each continues; see
        `trueness.engines.continued`.
    shared : bool
        Whether all processes see the store; checkpoints of folds are kept there.
    """

    device: Device
    store: StoreLocation
    encoders: EncoderOptions = EncoderOptions()
    ranks: Ranks = field(default_factory=Ranks)
    asks: bool = False
    folder: Path = Path()
    continues: Mapping[str, Any] = field(default_factory=dict)
    shared: bool = True


@dataclass(frozen=True)
class Job:
    """What one process does at a time: specs that are fitted together; pickles.

    Attributes
    ----------
    engine : str
    specs : tuple
    content : Any
        What the engine needs to fit them.
    work : float
        GFLOP at most, or another measure of work that jobs of an engine share.
    expected : float or None
        GFLOP, where they can be told better than at most.
    fits : int
        Folds of all specs.
    width : int
        Of them trained in one pass.
    bytes : int
        Estimated memory.
    mode : str
        How steps are carried out.
    reads : tuple of Path
        Files and folders it reads besides what it carries.
    here : bool
        Whether it belongs beside the store, because nothing is trained.
    """

    engine: str
    specs: tuple[Any, ...]
    content: Any
    work: float = 1.0
    fits: int = 1
    width: int = 1
    bytes: int = 0
    mode: str = ""
    expected: float | None = None
    reads: tuple[Path, ...] = ()
    here: bool = False


@dataclass(frozen=True)
class Epoch:
    """Losses of one network in one fold after an epoch, counted from 1."""

    key: str
    fold: int
    epoch: int
    train_loss: float
    val_loss: float


@dataclass(frozen=True)
class Step:
    """Work that came nearer to the end, in the measure of the job, and a word about it.

    `epoch` is there if it was the end of one.
    """

    work: float
    text: str = ""
    epoch: Epoch | None = None


@dataclass(frozen=True)
class Cost:
    """Trainable parameters, input columns, and work at most; None where it is not known.

    `weights` are those in all, where others stay as they are; `bytes` is memory, 0 where it is not
    known.
    """

    parameters: int | None
    features: int | None
    gflop: float | None
    weights: int | None = None
    bytes: int = 0


@dataclass(frozen=True)
class Outcome:
    """A judged run, ready to be stored, or the reason why there is none; it may be pruned."""

    spec: Any
    record: dict[str, Any] = field(default_factory=dict)
    predictions: pl.DataFrame = field(default_factory=pl.DataFrame)
    history: pl.DataFrame = field(default_factory=pl.DataFrame)
    parameters: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    failure: str | None = None
    pruned: bool = False


Report = Callable[[Any], Any]
"""Takes a `Step`, a note, or a `trueness.execute.Question`, whose answer it gives."""
Inputs = Callable[[Any], Any]
"""Spec -> what its task made of its data."""


class Engine(Protocol):
    """One way of fitting.

    Attributes
    ----------
    stage : str
        What its jobs are called while they run.
    alone : bool
        Whether a single job takes this process and all its threads, or a worker with one.
    ranked : bool
        Whether processes of torchrun share a job.
    """

    stage: ClassVar[str]
    alone: ClassVar[bool]
    ranked: ClassVar[bool]

    def check(self, specs: Sequence[Any], inputs: Inputs, setting: Setting, store: Any) -> None:  # noqa: ANN401
        """Refuse what could only fail later, before anything is written."""
        ...

    def cost(self, spec: Any, inputs: Any, folder: Path) -> Cost:  # noqa: ANN401
        """What a run costs at most; `folder` is that of own files."""
        ...

    def jobs(self, specs: Sequence[Any], inputs: Inputs, setting: Setting) -> list[Job]:
        """Specs grouped into what one process does at a time."""
        ...

    def rates(self, jobs: Sequence[Job], setting: Setting) -> list[float] | None:
        """GFLOP per second of one worker in each of its jobs, tried here in a second or so.

        None if only stored runs can tell.
        """
        ...

    def fit(self, job: Job, report: Report) -> list[Outcome]:
        """Fit, then judge."""
        ...


ENGINES: Mapping[str, str] = {
    "stack": "trueness.engines.stack:Stack",
    "estimators": "trueness.engines.estimators:Estimators",
    "ensemble": "trueness.engines.ensemble:Average",
    "encoder": "trueness.engines.encoder:OneEncoder",
    "linear": "trueness.engines.linear:Linear",
    "vectors": "trueness.engines.vectors:OnVectors",
}
"""Name -> where its class is."""


@cache
def engine_of(name: str) -> Engine:
    """The engine of a name; it loads what it trains with."""
    module, _, kind = ENGINES[name].partition(":")
    return getattr(import_module(module), kind)()


def carry_out(job: Job, report: Report) -> list[Outcome]:
    """What a process does with a job."""
    return engine_of(job.engine).fit(job, report)
