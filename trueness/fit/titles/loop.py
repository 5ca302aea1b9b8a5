"""Train one encoder on titles: epochs of updates, the best epoch's weights, checkpoints."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from trueness import interrupts
from trueness.errors import SpecError, TruenessError
from trueness.evaluation.macro_f1 import selection_scores
from trueness.fit.device import Device
from trueness.fit.parallel import Ranks
from trueness.fit.titles.batches import Rows, count_updates, epoch_updates, padded_share
from trueness.fit.titles.checkpoint import (
    load_checkpoint,
    random_state,
    save_checkpoint,
    set_random_state,
)
from trueness.fit.titles.data import TitlesData
from trueness.fit.titles.objective import Batch, Objective, TeacherTargets
from trueness.fit.titles.optimizing import Average, make_optimizer, rate_factor
from trueness.fit.titles.progress import Report
from trueness.fit.titles.scoring import logits_of
from trueness.models.layers import trained
from trueness.models.titles_networks import TitleNetwork, build_network, load_weights
from trueness.spec.titles import TitlesSpec

REPORT_EVERY_S = 1.0
"""Seconds between two words to the callback; reading the loss waits for the device."""


@dataclass(frozen=True)
class Saving:
    """Where checkpoints go and how often: every so many epochs, and minutes in between.

    `asked` tells that somebody named the file, so that a damaged one is refused, not replaced.
    """

    path: Path
    every_epochs: int = 1
    every_minutes: float = 10.0
    resume: bool = True
    asked: bool = True


@dataclass(frozen=True)
class Setting:
    """Where a run trains: device, precision, whether compiled, and its share of the processes."""

    device: Device
    compiled: bool = False
    ranks: Ranks = field(default_factory=Ranks)


@dataclass
class TitlesFitted:
    """What training left behind: weights, history, and logits (n, K) of the best epoch."""

    spec: TitlesSpec
    parameters: dict[str, NDArray[np.float32]]
    history: list[dict[str, float]]
    best_epoch: int
    logits: dict[str, NDArray[np.float32]]
    precision: str
    device: str
    seconds: float


@dataclass
class TrainState:
    """How far a run has come; plain values, so that a checkpoint can hold it."""

    epoch: int = 0
    update: int = 0
    made: int = 0
    seconds: float = 0.0
    texts: int = 0
    skipped: int = 0
    stale: int = 0


class _Training:
    """All that changes while a run trains."""

    def __init__(
        self, spec: TitlesSpec, data: TitlesData, setting: Setting, teacher: TeacherTargets | None,
        start: dict[str, Tensor] | None,
    ) -> None:  # fmt: skip
        train, projection = data.parts["train"], spec.model.projection
        self.spec, self.data, self.setting = spec, data, setting
        self.name = setting.device.name
        self.precision = precision_on(setting.device, spec)
        generator = torch.Generator().manual_seed(spec.seed)
        torch.manual_seed(spec.seed + setting.ranks.rank)
        read = data.width if data.folder is None else data.folder
        network = build_network(spec.model, read, len(data.classes), generator)
        if start is not None:
            load_weights(network, start, heads=spec.model.is_pretrained)
        self.model: TitleNetwork = network.to(self.name)
        pooled = self.model.pooled
        self.pooled = torch.compile(pooled, dynamic=True) if setting.compiled else pooled
        self.optimizer = make_optimizer(self.model, spec.recipe)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.scaler = torch.GradScaler(self.name.split(":")[0], enabled=self.precision == "fp16")
        ema = spec.recipe.ema
        self.average = None if ema is None else Average(self.model, ema)
        self.objective = Objective(
            spec.loss, train.y, data.code, data.counts,
            None if projection is None else projection.width, teacher, self.name,
        )  # fmt: skip
        self.place, self.history = TrainState(), []
        self.best: dict[str, Any] = {}
        self.loss = torch.zeros((), device=self.name)
        self.counts = count_updates(train.tokens.lengths, data.code, spec.recipe, spec.seed)

    # --------------------------------------------------------------------------------- updates

    def updates(self) -> list[list[Rows]]:
        """Updates of the current epoch."""
        lengths = self.data.parts["train"].tokens.lengths
        return epoch_updates(
            lengths, self.data.code, self.spec.recipe, self.spec.seed, self.place.epoch
        )

    def batch(self, rows: Rows) -> Batch:
        """Tensors of some rows, on the device."""
        train = self.data.parts["train"]
        tokens, mask = train.tokens.batch(rows)
        arrays = (tokens, mask, train.y[rows], self.data.code[rows], rows)
        tensors = [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
        if self.setting.device.is_cuda:
            tensors = [t.pin_memory() for t in tensors]
        return Batch(*(t.to(self.name, non_blocking=True) for t in tensors))

    def make(self, update: list[Rows]) -> None:
        """One update of the weights."""
        totals = self.objective.totals(update)
        self.optimizer.zero_grad(set_to_none=True)
        for rows in self.setting.ranks.share(update):
            batch = self.batch(rows)
            with self.setting.device.autocast(self.precision):
                pooled = self.pooled(batch.tokens, batch.mask)
                value = self.objective(self.model, pooled, batch, totals)
            self.scaler.scale(value).backward()
            self.loss += value.detach() * totals.texts
        self.step()
        self.place.texts += totals.texts
        self.place.update += 1

    def step(self) -> None:
        """Clip, set the rate, step; an update whose gradient overflowed is not counted."""
        recipe, place = self.spec.recipe, self.place
        self._share_gradients()
        self.scaler.unscale_(self.optimizer)
        if recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip_norm)
        factor = rate_factor(place.made, sum(self.counts), recipe)
        for rate, group in zip(self.rates, self.optimizer.param_groups, strict=True):
            group["lr"] = rate * factor
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.get_scale() < before:
            place.skipped += 1
            return
        place.made += 1
        if self.average is not None:
            self.average.follow(self.model)

    def _share_gradients(self) -> None:
        if self.setting.ranks.world == 1:
            return
        parameters = list(trained(self.model).values())
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.setting.ranks.all_reduce_([p.grad for p in parameters if p.grad is not None])

    # ------------------------------------------------------------------------------ evaluation

    def weights(self) -> dict[str, Tensor]:
        """Weights that are evaluated, by name: the averaged ones where there are."""
        if self.average is not None:
            return self.average.current()
        return dict(trained(self.model))

    def score(self, part: str, weights: dict[str, Tensor]) -> NDArray[np.float32]:
        """Logits (n, K) of a part of the data under some weights."""
        self.model.eval()

        def forward(tokens: Tensor, mask: Tensor) -> Tensor:
            return functional_call(self.model, weights, (tokens, mask))

        try:
            return logits_of(
                forward, self.data.parts[part].tokens, len(self.data.classes),
                self.setting.device, self.precision, self.setting.ranks,
            )  # fmt: skip
        finally:
            self.model.train()

    def end_epoch(self, seconds: float, padded: float) -> dict[str, float]:
        """Score the validation part, keep the weights if they are the best, count on."""
        place, rule = self.place, self.spec.evaluation
        part, weights = self.data.parts["validation"], self.weights()
        logits = self.score("validation", weights)
        if not np.isfinite(logits).all():
            raise TruenessError(f"scores are not finite after epoch {place.epoch + 1}")
        scores = selection_scores(
            part.y, logits.argmax(1), part.language, len(self.data.classes), rule.min_rows
        )
        row = {
            "epoch": place.epoch + 1, "updates": place.made, "skipped": place.skipped,
            "train_loss": self.mean_loss(together=True), "val_loss": _cross_entropy(logits, part.y),
            **scores, "padded": padded, "seconds": seconds,
        }  # fmt: skip
        self.history.append(row)
        if not self.best or scores[rule.select_on] > self.best["score"]:
            kept = {name: w.detach().cpu().clone() for name, w in weights.items()}
            self.best = {"epoch": place.epoch + 1, "score": scores[rule.select_on], "weights": kept}
            place.stale = 0
        else:
            place.stale += 1
        place.epoch, place.update, place.texts = place.epoch + 1, 0, 0
        self.loss.zero_()
        return row

    def mean_loss(self, together: bool = False) -> float:
        """Mean loss of the texts of this epoch so far; waits for the device.

        `together` adds up what all processes saw, and all of them must then ask at the same time.
        """
        total, ranks = self.loss.clone(), self.setting.ranks
        if together:
            ranks.all_reduce_([total])
        seen = self.place.texts / (1 if together else ranks.world)
        value = float(total) / max(seen, 1)
        if not math.isfinite(value):
            raise TruenessError(f"the loss is not finite in epoch {self.place.epoch + 1}")
        return value

    @property
    def over(self) -> bool:
        """Whether all epochs are done, or enough of them without a better score."""
        recipe = self.spec.recipe
        tired = recipe.patience is not None and self.place.stale >= recipe.patience
        return self.place.epoch >= recipe.epochs or tired

    # ----------------------------------------------------------------------------- checkpoints

    def state(self) -> dict[str, Any]:
        """Everything that a checkpoint holds beside spec and digests."""
        average = self.average
        return {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(), "objective": self.objective.state(),
            "average": {} if average is None else vars(average), "place": vars(self.place),
            "history": self.history, "best": self.best, "loss": self.loss,
            "random": random_state(), "precision": self.precision,
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Take `state` back."""
        if state["precision"] != self.precision:
            raise SpecError(
                f"the checkpoint trained in {state['precision']}, this device in {self.precision}"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.objective.load_state(state["objective"])
        if self.average is not None:
            self.average.updates = state["average"]["updates"]
            for name, weight in state["average"]["weights"].items():
                self.average.weights[name].copy_(weight)
        self.place, self.history = TrainState(**state["place"]), state["history"]
        self.best = state["best"]
        self.loss.copy_(state["loss"])
        if self.setting.ranks.is_main:
            set_random_state(state["random"])
        else:
            torch.manual_seed(self.spec.seed + self.setting.ranks.rank + 1009 * self.place.made)


def fit_titles(
    spec: TitlesSpec, data: TitlesData, setting: Setting, *, saving: Saving | None = None,
    report: Report | None = None, teacher: TeacherTargets | None = None,
    start: dict[str, Tensor] | None = None,
) -> TitlesFitted:  # fmt: skip
    """Train an encoder; the best epoch's weights are the ones that score.

    Parameters
    ----------
    spec : TitlesSpec
        Of a network.
    data : TitlesData
    setting : Setting
    saving : Saving, optional
        A checkpoint of the same spec and data there is resumed, bit for bit on a CPU.
    report : callable, optional
        Hears of events; see `trueness.fit.titles.progress`.
    teacher : TeacherTargets, optional
        What the teacher says of the train part.
    start : dict of Tensor, optional
        Weights to begin with.

    Returns
    -------
    TitlesFitted

    Raises
    ------
    TruenessError
        If the loss or the scores cease to be finite, or several processes would each remember
        something else.
    KeyboardInterrupt
        After a wish to stop; the checkpoint is written.
    """
    tell = report or (lambda event: None)
    if setting.ranks.world > 1:
        _refuse_what_remembers(spec)
    training = _Training(spec, data, setting, teacher, start)
    if saving is not None and saving.resume and saving.path.exists():
        tell(("note", _resumed(training, saving)))
    for note in _warnings(spec, sum(training.counts), setting.ranks):
        tell(("note", note))
    tell(("begin", spec.label(), sum(training.counts), training.place.made))
    with interrupts.patiently():
        while not training.over:
            _epoch(training, saving, tell)
    best = training.best
    weights = {name: w.to(training.name) for name, w in best["weights"].items()}
    logits = {part: training.score(part, weights) for part in ("validation", "test")}
    return TitlesFitted(
        spec, {name: w.numpy() for name, w in best["weights"].items()}, training.history,
        best["epoch"], logits, training.precision, training.name, training.place.seconds,
    )  # fmt: skip


def _resumed(training: _Training, saving: Saving) -> str:
    """Take the state of a checkpoint; a damaged one that nobody asked for is left alone."""
    try:
        training.load(load_checkpoint(saving.path, training.spec, training.data.digests))
    except TruenessError as error:
        if saving.asked or error.code != "damaged":
            raise
        return f"begins anew; {error}"
    return f"goes on after epoch {training.place.epoch}, update {training.place.made}"


def _refuse_what_remembers(spec: TitlesSpec) -> None:
    """Losses whose state every process would move by its own batches alone."""
    contrast = spec.loss.contrastive
    if spec.loss.groups is not None and spec.loss.groups.kind == "dro":
        raise SpecError("loss.groups dro trains in one process; start it without torchrun")
    if contrast is not None and contrast.memory:
        raise SpecError("loss.contrastive.memory is of one process; start it without torchrun")


def _warnings(spec: TitlesSpec, updates: int, ranks: Ranks) -> list[str]:
    """What of a recipe does not fit the number of updates or of processes."""
    recipe, result = spec.recipe, []
    if 2 * recipe.warmup_steps > updates:
        result.append(
            f"the rate rises for {recipe.warmup_steps:,} of {updates:,} updates, most of the run; "
            "fewer recipe.warmup_steps (--lr-warmup-steps) or more epochs would train it"
        )
    if recipe.grad_accum % ranks.world:
        result.append(
            f"{recipe.grad_accum} batches of an update are dealt out to {ranks.world} processes, "
            "some of which wait; give a multiple as recipe.grad_accum (--grad-accum)"
        )
    return result


def _epoch(training: _Training, saving: Saving | None, tell: Report) -> None:
    """The rest of an epoch, from where the run stands."""
    began = reported = saved = time.monotonic()
    earlier, place = training.place.seconds, training.place
    training.model.train()
    updates, unheard = training.updates(), 0
    for update in updates[place.update :]:
        training.make(update)
        unheard, now = unheard + 1, time.monotonic()
        place.seconds = earlier + now - began
        if now - reported > REPORT_EVERY_S:
            tell(("advance", unheard, place.texts, training.mean_loss()))
            reported, unheard = now, 0
        if saving is not None and now - saved > 60 * saving.every_minutes:
            _save(training, saving)
            saved = now
        if interrupts.is_asked():
            _save(training, saving)
            interrupts.check()
    tell(("advance", unheard, place.texts, training.mean_loss()))
    tell(("epoch", training.end_epoch(time.monotonic() - began, _padding(training, updates))))
    place.seconds = earlier + time.monotonic() - began
    if saving is not None and place.epoch % saving.every_epochs == 0:
        _save(training, saving)


def _padding(training: _Training, updates: list[list[Rows]]) -> float:
    return padded_share(updates, training.data.parts["train"].tokens.lengths)


def _save(training: _Training, saving: Saving | None) -> None:
    if saving is not None and training.setting.ranks.is_main:
        save_checkpoint(saving.path, training.spec, training.data.digests, training.state())


def precision_on(device: Device, spec: TitlesSpec) -> str:
    """Precision of a run; heads on vectors are always in full precision.

    Raises
    ------
    SpecError
        For half precision on a device that has none.
    """
    if spec.model.encodes_once:
        return "float32"
    wanted = spec.recipe.precision
    if wanted == "fp16":
        if not device.is_cuda:
            raise SpecError("recipe.precision fp16 needs a CUDA device; take bf16 or float32")
        return wanted
    return "float32" if spec.model.encodes_once else device.precision(wanted)


def _cross_entropy(logits: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    return float(cross_entropy(torch.tensor(logits), torch.tensor(y)))
