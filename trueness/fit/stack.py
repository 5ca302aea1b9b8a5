"""Training of a stack: K members of equal tensor shapes, one forward and one backward pass for all.

Members may differ in seed, fold, loss, rates, decay, dropout, schedule and stopping. Each has its
own batch order and its own epoch length, so folds of different size waste nothing: a member that
reaches the end of its epoch is validated while the others go on. Finished members leave the stack.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from trueness.examples import Examples
from trueness.fit.changes import Changes, Mixture
from trueness.fit.criterion import Answer, batch_loss
from trueness.fit.device import Device
from trueness.fit.graph import Graph
from trueness.fit.member import FoldFit, Member, MemberState, Prune, precision_of
from trueness.fit.objective import PADDING, Objective
from trueness.fit.optimizer import StackedAdam
from trueness.fit.policy import Mode
from trueness.fit.ranking import stacked_auc
from trueness.fit.weights import Layout, Weights, gathered
from trueness.models import Noise, NoNoise, build, noise_per_example, stacks, statistics
from trueness.models.augmentation import Augment

EVALUATION_ROWS = 512
"""Windows per member in one forward pass without gradients."""
NO_ORDERS: Mapping[Member, NDArray[np.int64]] = {}
IDLE_AT_MOST = 0.25
"""Share of members that a captured graph may drag along after they are over."""


class Stack:
    """State of the members still in training; row k of every tensor belongs to ``alive[k]``."""

    def __init__(
        self, examples: Examples, members: list[Member], device: Device, mode: Mode = "eager",
        prune: Prune | None = None, base_folder: Path = Path(),
        orders: Mapping[Member, NDArray[np.int64]] = NO_ORDERS,
    ) -> None:  # fmt: skip
        self.examples, self.device, self.prune = examples, device, prune
        first = members[0].spec
        self.precision = precision_of(first, device)
        self.states = [MemberState.begin(m, examples, device.name) for m in members]
        for state in self.states:
            state.order = orders.get(state.member)
        self.selection = first.recipe.selection.structure
        self.changes = Changes(self.states, device.name)
        self.alive = list(range(len(members)))
        self.series = torch.from_numpy(examples.series).to(device.name)
        self.start = torch.from_numpy(examples.start).to(device.name)
        self.shift = self._shift(self.states)
        self.window = torch.arange(examples.context, device=device.name)
        self.y = torch.from_numpy(examples.y.astype(np.float32)).to(device.name)
        self._initial_weights(base_folder)
        self._settings()
        forward = self._noisy if self.drops else self._dropless
        self.forward = cast(Callable[..., tuple[Tensor, Tensor, Tensor]], forward)
        self.stacked_forward = torch.vmap(self.forward)
        if mode == "compile":
            self.stacked_forward = torch.compile(self.stacked_forward, dynamic=False)
        self.graph = (
            Graph(self._advance, self._state) if mode != "eager" and device.is_cuda else None
        )

    # -------------------------------------------------------------------------------- construction

    def _initial_weights(self, base_folder: Path) -> None:
        model, context = self.states[0].member.spec.model, self.examples.context
        n_features, name = self.examples.series.shape[1], self.device.name
        self.alone = not stacks(model, n_features, context, base_folder)
        assert len(self.states) == 1 or not self.alone
        rows, rates = [], []
        for state, decided in zip(self.states, self._statistics(), strict=True):
            weights, model = state.streams.weights(), state.member.spec.model
            module = build(model, n_features, context, weights, base_folder)
            for buffer, value in decided.items():
                module.get_buffer(buffer).copy_(value)
            self.layout = Layout(module)
            rows.append(self.layout.row(module))
            rates.append(module.rates)
        self.weights, self.module = gathered(rows, name), module.to(name)
        level = (torch.tensor(rates) * 256).round()
        drops = bool((level > 0).any()) or bool(module.samples)
        self.drops = drops or bool(self.changes.structure)
        self.level, self.scale = level.to(torch.uint8).to(name), (256 / (256 - level)).to(name)
        windows = torch.zeros(2, context, n_features, device=name)
        with torch.random.fork_rng(devices=[]):
            module, counted = self._set(training=True), self.changes.counted(len(windows))
            self.noise_bytes = noise_per_example(module, windows, counted)

    def _statistics(self) -> Iterator[dict[str, Tensor]]:
        """For each member, the tensors that the training windows of its fold decide."""
        known: dict[int, dict[str, Tensor]] = {}
        for state in self.states:
            fold = state.member.fold
            if fold not in known:
                model, windows = state.member.spec.model, self._training_windows(state)
                known[fold] = statistics(model, windows, self.examples.features)
            yield known[fold]

    def _training_windows(self, state: MemberState) -> Iterator[Tensor]:
        """Windows of the training part, in pieces."""
        rows, shift = torch.from_numpy(state.train).to(self.device.name), self._shift([state])
        return (self._windows(piece[None], shift)[0] for piece in rows.split(EVALUATION_ROWS))

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device.name)[:, None]

    def _settings(self) -> None:
        recipes = [t.member.spec.recipe for t in self.states]
        self.adam = StackedAdam(
            self.weights.theta,
            l2=self._column([r.weight_decay * (r.optimizer == "adam") for r in recipes]),
            decay=self._column([r.weight_decay * (r.optimizer == "adamw") for r in recipes]),
            clip=self._column([r.clip_norm or float("inf") for r in recipes]),
        )
        longest = max(t.most_steps for t in self.states)
        shape = len(self.states), longest, recipes[0].batch_size
        self.batches = torch.full(shape, -1, device=self.device.name)
        self.cursor = np.zeros(len(self.states), np.int64)
        self.loss_sum = torch.zeros(len(self.states), device=self.device.name)
        self.choice = torch.zeros(len(self.states), 2, device=self.device.name)
        for row, state in enumerate(self.states):
            self._next_epoch(row, state)
        self.objective = self._objective(self.states)
        self.rates = self._rates()
        self.constant = all(r.schedule == "constant" and not r.warmup_pct for r in recipes)

    def _next_epoch(self, row: int, state: MemberState) -> None:
        self.batches[row, : state.steps] = torch.from_numpy(state.batches()).to(self.device.name)
        self.changes.begin_epoch(row, state)
        recipe = state.member.spec.recipe
        choice = recipe.selection.at(len(state.history), recipe.epochs)
        self.choice[row] = torch.tensor(choice, device=self.device.name)
        self.cursor[row] = 0
        self.loss_sum[row] = 0.0

    def _objective(self, states: list[MemberState]) -> Objective:
        rates = [float(self.examples.y[t.train].mean()) for t in states]
        return Objective([t.member.spec.loss for t in states], rates, self.device.name)

    def _living(self) -> list[MemberState]:
        return [self.states[i] for i in self.alive]

    # ------------------------------------------------------------------------------------- passes

    def _set(self, *, training: bool) -> nn.Module:
        """The network, told whether it is being trained."""
        if self.module.training != training:
            self.module.train(training)
        return self.module

    def _shift(self, states: list[MemberState]) -> Tensor:
        """Rows (K, 1) by which the copies of the series in the members' folds lie further down."""
        offsets = self.examples.offsets
        rows = [0 if offsets is None else int(offsets[t.member.fold]) for t in states]
        return torch.tensor(rows, device=self.device.name)[:, None]

    def _windows(self, rows: Tensor, shift: Tensor) -> Tensor:
        """Windows (K, B, L, C) of the resident series; flat indexing is the fast kernel."""
        days = (self.start[rows] + shift)[..., None] + self.window
        return self.series.index_select(0, days.flatten()).view(*days.shape, -1)

    def _quiet(self, tensors: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(self.module, tensors, (x, NoNoise()))

    def _dropless(self, tensors: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = self._quiet(tensors, x)
        return logits, logits.new_zeros(len(x)), logits.new_ones(len(x))

    def _noisy(
        self, tensors: dict[str, Tensor], x: Tensor, draws: Tensor, level: Tensor, scale: Tensor,
        *changes: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Logits, auxiliary costs and weights of a training pass."""
        change = Augment(self.changes.structure, *changes) if changes else None
        noise = Noise(draws, level, scale, change)
        logits = functional_call(self.module, tensors, (x, noise))
        return logits, noise.penalty, noise.weight

    def _answer(
        self, weights: Weights, rows: Tensor, draws: Tensor | None, mixture: Mixture | None
    ) -> Answer:
        """What networks say of windows `rows` (K, B) in training."""
        self._set(training=True)
        x, named = self._windows(rows, self.shift), self.layout.named(weights)
        inputs = () if draws is None else (draws, self.level, self.scale)
        if self.changes.structure:
            mixed = mixture or Mixture.none(rows)
            inputs = (*inputs, self.changes.dials, mixed.weight, mixed.partner)
        with self.device.autocast(self.precision), self._randomness():
            if len(rows) > 1:
                return Answer(*self.stacked_forward(named, x, *inputs))
            alone = {name: tensor[0] for name, tensor in named.items()}
            said = self.forward(alone, x[0], *(one[0] for one in inputs))
            return Answer(*(one[None] for one in said))

    @contextlib.contextmanager
    def _randomness(self) -> Generator[None]:
        """Torch's own generators, for a network that trains alone, seeded by its member."""
        devices = [self.device.name] if self.device.is_cuda else []
        with torch.random.fork_rng(devices, enabled=self.alone):
            if self.alone:
                torch.manual_seed(int(self._living()[0].streams.draw(8).cpu().view(torch.int64)))
            yield

    @torch.no_grad()
    def _score(self, weights: Weights, index: Tensor, shift: Tensor) -> Tensor:
        """Logits (k, n) of windows `index` (k, n) without dropout, in pieces."""
        self._set(training=False)
        named, pieces = self.layout.named(weights), index.split(EVALUATION_ROWS, dim=1)
        with self.device.autocast(self.precision):
            if len(index) == 1:
                alone = {name: tensor[0] for name, tensor in named.items()}
                made = [self._quiet(alone, self._windows(p, shift)[0])[None] for p in pieces]
            else:
                made = [torch.vmap(self._quiet)(named, self._windows(p, shift)) for p in pieces]
        return torch.cat(made, dim=1)

    def _draws(self, batch: int) -> Tensor | None:
        """Dropout bytes (K, batch, M); those of a whole batch are drawn, however short it is."""
        if not self.drops:
            return None
        shape = self.batches.shape[-1], self.noise_bytes
        size = shape[0] * shape[1]
        drawn = [t.streams.draw(size + -size % 8)[:size] for t in self._living()]
        return torch.stack(drawn).view(len(drawn), *shape)[:, :batch]

    def _state(self) -> list[Tensor]:
        """Everything that a step changes."""
        return [self.weights.theta, self.adam.mean, self.adam.square, self.loss_sum]

    def _rates(self) -> Tensor:
        """Learning rates (K, 1) of the step about to be taken."""
        return self._column([state.rate(self.adam.steps) for state in self._living()])

    # ------------------------------------------------------------------------------------ training

    def train(self, on_epoch: Callable[[int], None]) -> None:
        """Step all living members until none is left."""
        while self.alive:
            self.step()
            ended = [k for k, t in enumerate(self._living()) if self.cursor[k] == t.steps]
            if ended:
                self._end_epochs(ended, on_epoch)

    def step(self) -> None:
        """Take each member's next batch."""
        if not self.constant or len(self.rates) != len(self.alive):
            self.rates = self._rates()
        cursor = torch.from_numpy(self.cursor).to(self.device.name)
        index = self.batches[torch.arange(len(cursor), device=self.device.name), cursor]
        if len(index) == 1 and self.graph is None:
            (state,) = self._living()
            seen = state.count(len(state.history))
            index = index[:, : seen - int(self.cursor[0]) * index.shape[1]]
        draws, mixing = self._draws(index.shape[1]), self.changes.of_batch(cursor)
        inputs = (index, draws, mixing, *self.adam.begin(self.rates))
        if self.graph is None:
            self._advance(*inputs)
        else:
            self.graph(*inputs)
        self.cursor += 1

    def _advance(
        self, index: Tensor, draws: Tensor | None, mixing: Tensor | None, rates: Tensor,
        correction: Tensor,
    ) -> None:  # fmt: skip
        """Move weights, optimizer and `loss_sum` by a batch `index` (K, B), all in place."""
        real, index = index >= 0, index.clamp(min=0)
        mixture = None if mixing is None else Mixture.of(mixing, real)
        theta = self.weights.theta.detach().requires_grad_()
        answer = self._answer(Weights(theta, self.weights.fixed), index, draws, mixture)
        loss = batch_loss(
            self.objective, answer, self.y[index], real, mixture, self.selection, self.choice
        )
        (gradient,) = torch.autograd.grad(loss.sum(), theta)
        self.adam.step(self.weights.theta, gradient, rates, correction)
        self.loss_sum += loss.detach()

    def _end_epochs(self, ended: list[int], on_epoch: Callable[[int], None]) -> None:
        """Validate the members whose epoch is over; start their next one or let them go."""
        self.cursor[ended] = 0
        ended, leaving = [k for k in ended if not self.states[self.alive[k]].is_over], []
        for k, row in zip(ended, self._validate(ended) if ended else [], strict=True):
            state = self.states[self.alive[k]]
            state.judge(row, self.weights, k)
            if state.ends(self.prune):
                leaving.append(k)
            else:
                self._next_epoch(k, state)
            recipe, epoch = state.member.spec.recipe, len(state.history)
            on_epoch(recipe.epochs - epoch + 1 if k in leaving else 1)
        self._release(leaving)

    @torch.no_grad()
    def _validate(self, ended: list[int]) -> list[dict[str, float]]:
        """Losses, AUC and range of the probabilities on each member's validation part."""
        states = [self.states[self.alive[k]] for k in ended]
        longest = max(len(t.validation) for t in states)
        rows = np.full((len(states), longest), -1, np.int64)
        for row, state in zip(rows, states, strict=True):
            row[: len(state.validation)] = state.validation
        index = torch.from_numpy(rows).to(self.device.name)
        real, index = index >= 0, index.clamp(min=0)
        logits, y = self._score(self.weights[ended], index, self.shift[ended]), self.y[index]
        n, prob = real.sum(1), logits.sigmoid()
        each = self._objective(states)(logits, torch.where(real, y, PADDING))
        cost = (each * real).sum(1) / n
        columns = {
            "train_loss": self.loss_sum[ended] / torch.tensor([t.steps for t in states]).to(cost),
            "val_loss": cost,
            "val_auc": stacked_auc(logits, y, real),
            "val_low": prob.where(real, torch.inf).amin(1),
            "val_high": prob.where(real, -torch.inf).amax(1),
            "val_alarm_share": ((logits >= 0) & real).sum(1) / n,
        }
        lists = {name: column.tolist() for name, column in columns.items()}
        return [
            dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)
        ]

    # ------------------------------------------------------------------------------------ leaving

    def _release(self, leaving: list[int]) -> None:
        """Score and store the members at rows `leaving`, then compact the stack.

        A captured graph knows its shapes, so it drags members that are over along until a quarter
        of the stack is idle.
        """
        for k in leaving:
            state = self.states[self.alive[k]]
            if state.failure is None and not state.pruned:
                state.result = self._result(state, self.weights[k : k + 1])
            state.best_weights = None
        over = [state.is_over for state in self._living()]
        idle = sum(over) / len(over)
        if idle and (self.graph is None or idle >= IDLE_AT_MOST):
            self._keep([k for k, is_over in enumerate(over) if not is_over])

    def _keep(self, rows: list[int]) -> None:
        """Forget all other rows."""
        index = torch.tensor(rows, dtype=torch.long, device=self.device.name)
        self.alive = [self.alive[k] for k in rows]
        self.weights, self.loss_sum = self.weights[index], self.loss_sum[index]
        self.shift = self.shift[index]
        self.level, self.scale = self.level[index], self.scale[index]
        self.batches, self.cursor = self.batches[index], self.cursor[rows]
        self.choice = self.choice[index]
        self.changes.keep(index)
        self.adam.keep(index)
        if rows:
            self.objective = self._objective(self._living())

    def _result(self, state: MemberState, last: Weights) -> FoldFit:
        best = state.best_weights
        assert best is not None
        scores = [self._scores_of(state, best)]
        scores.append(
            scores[0] if state.best_epoch == len(state.history) else self._scores_of(state, last)
        )
        result = state.warnings()
        return FoldFit(
            state.member.fold, self.layout.arrays(best), state.history, result, state.best_epoch,
            *scores,
        )  # fmt: skip

    def _scores_of(self, state: MemberState, weights: Weights) -> NDArray[np.float32]:
        """Scores (N,) of one network, NaN for examples without a part in the fold."""
        rows = np.flatnonzero(self.examples.parts[state.member.fold])
        scores = np.full(len(self.examples.y), np.nan, np.float32)
        scores[rows] = self._scores_at(state, weights, rows)
        return scores

    def _scores_at(
        self, state: MemberState, weights: Weights, rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        index = torch.from_numpy(rows).to(self.device.name)[None]
        return self._score(weights, index, self._shift([state]))[0].float().cpu().numpy()

    def scored(
        self, parameters: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Scores of examples `rows` (n,) by stored weights of the only member."""
        (state,) = self.states
        return self._scores_at(state, self.layout.loaded(parameters, self.weights), rows)
