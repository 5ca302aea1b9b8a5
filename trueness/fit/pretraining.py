"""Members of a stack learn from their training windows, before they learn the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from trueness.errors import SpecError
from trueness.fit.member import Member, MemberState
from trueness.fit.optimizer import StackedAdam
from trueness.fit.stack import Stack
from trueness.fit.streams import Streams
from trueness.fit.weights import Layout, Weights, gathered
from trueness.losses.views import byol, ntxent, ntxent_in_time
from trueness.models import Noise, NoNoise, noise_per_example
from trueness.models.augmentation import Augment
from trueness.models.learner import Learner, Points
from trueness.spec.training import TRANSFORMS

PHASE = 1
"""Its random streams are others than those of the training that follows."""
VIEWS = 2
NOISE = ("jitter",)


Starts = Mapping[Member, Mapping[str, NDArray[Any]]]
"""Weights with which members begin, as a run stores them."""


def pretrain(stack: Stack, on_epoch: Callable[[int], None], starts: Starts) -> None:
    """Put what members learnt before, or learn from their windows, in the place of random weights.

    Parameters
    ----------
    stack : Stack
        Before its first step; its members agree in `recipe.pretraining`.
    on_epoch : callable
        Told two passes for every epoch of a member, one for each view.
    starts : mapping of Member to mapping of str to array
        Of members that begin with the weights of a stored run.

    Raises
    ------
    SpecError
        With code ``no_source_run`` if such weights are not there.
    """
    how = stack.states[0].member.spec.recipe.pretraining
    if how.depends_on:
        for row, state in enumerate(stack.states):
            if state.member not in starts:
                raise SpecError(
                    f"{state.member.spec.label()} begins with the weights of a stored run, which "
                    "is known where its campaign runs, and not here", "no_source_run",
                )  # fmt: skip
            own = stack.weights[row : row + 1]
            stack.weights.theta[row] = stack.layout.loaded(starts[state.member], own).theta[0]
    elif how.passes:
        Pretraining(stack).train(on_epoch)


class _Learning:
    """One member: its streams, batches and how many steps it takes."""

    def __init__(self, state: MemberState, device: str) -> None:
        member, recipe = state.member, state.member.spec.recipe
        self.streams = Streams(member.spec.seed, member.fold, device, PHASE)
        self.steps = state.most_steps
        self.total = recipe.pretraining.passes // VIEWS * self.steps
        self.train, self.size = torch.from_numpy(state.train), recipe.batch_size

    def begin_epoch(self) -> None:
        """Shuffle."""
        order = torch.from_numpy(self.streams.permutation(self.train.numpy()))
        padded = torch.full((self.steps * self.size,), -1)
        padded[: len(order)] = order
        self.batches = padded.view(self.steps, self.size)

    def batch(self, step: int) -> Tensor:
        """Rows (B,) of a step; -1 is padding."""
        if step % self.steps == 0:
            self.begin_epoch()
        return self.batches[step % self.steps]


class Pretraining:
    """State of the members that are still learning; row k of every tensor is ``alive[k]``."""

    def __init__(self, stack: Stack) -> None:
        self.stack, spec = stack, stack.states[0].member.spec
        self.how: Any = spec.recipe.pretraining
        self.device = stack.device.name
        self.members = [_Learning(state, self.device) for state in stack.states]
        self.alive = list(range(len(self.members)))
        module, width = stack.module, cast(Any, spec.model).d_model
        rows = []
        for one in self.members:
            learner = Learner(module.cpu(), width, self.how, one.streams.weights()).train()
            self.layout = Layout(learner)
            rows.append(self.layout.row(learner))
        self.learner = learner.to(self.device)
        weights = gathered(rows, self.device)
        self.known = stack.weights.theta.shape[1]
        weights.theta[:, : self.known] = stack.weights.theta
        fixed = {f"encoder.{name}": t for name, t in stack.weights.fixed.items()}
        self.weights = Weights(weights.theta, {**weights.fixed, **fixed})
        self.slow = self.weights.theta.clone()
        self.level, self.scale, self.shift = stack.level, stack.scale, stack.shift
        none = torch.zeros(len(rows), 1, device=self.device)
        self.adam = StackedAdam(self.weights.theta, none, none, none + torch.inf)
        self._count_noise()
        self.stacked_loss = torch.vmap(self._loss)

    def _count_noise(self) -> None:
        """Bytes that one view of a window costs."""
        examples = self.stack.examples
        x = torch.zeros(2, examples.context, examples.series.shape[1], device=self.device)
        changes = self._views(torch.zeros(()), 2)
        with torch.random.fork_rng(devices=[]):
            count = noise_per_example(_Ear(self.learner), x, changes)
        self.bytes = count

    def _views(self, noise: Tensor, n: int) -> Augment | None:
        """Noise of its own for each of n views."""
        if not self.how.noise:
            return None
        places = torch.arange(n, device=self.device)
        dials = torch.zeros(len(TRANSFORMS) + 1, device=self.device)
        dials[TRANSFORMS.index("jitter")], dials[-1] = noise, 2.0
        return Augment(NOISE, dials, torch.ones(n, device=self.device), places)

    # ------------------------------------------------------------------------------------- training

    def train(self, on_epoch: Callable[[int], None]) -> None:
        """Step all members to their end."""
        rates = torch.tensor(
            [[t.member.spec.recipe.learning_rate] for t in self.stack.states], device=self.device
        )
        for step in range(max(one.total for one in self.members)):
            self._step(step, rates[self.alive])
            living = [self.members[k] for k in self.alive]
            on_epoch(VIEWS * sum((step + 1) % one.steps == 0 for one in living))
            over = [k for k, one in enumerate(living) if step + 1 == one.total]
            if over:
                self._release(over)

    def _release(self, over: list[int]) -> None:
        """Hand weights over to the stack, and forget those members."""
        for k in over:
            self.stack.weights.theta[self.alive[k]] = self.weights.theta[k, : self.known]
        rows = [k for k in range(len(self.alive)) if k not in over]
        index = torch.tensor(rows, dtype=torch.long, device=self.device)
        self.alive = [self.alive[k] for k in rows]
        self.weights, self.slow = self.weights[index], self.slow[index]
        self.level, self.scale = self.level[index], self.scale[index]
        self.shift = self.shift[index]
        self.adam.keep(index)

    def _step(self, step: int, rates: Tensor) -> None:
        living = [self.members[k] for k in self.alive]
        index = torch.stack([one.batch(step) for one in living]).to(self.device)
        real, index = index >= 0, index.clamp(min=0)
        x = self.stack._windows(index, self.shift)
        first = self.stack.start[index]
        near = (first[:, :, None] - first[:, None]).abs() < self.stack.examples.context
        views = VIEWS * index.shape[1]
        size = views * self.bytes
        drawn = [one.streams.draw(size + -size % 8)[:size] for one in living]
        draws = torch.stack(drawn).view(len(living), views, self.bytes)
        theta = self.weights.theta.detach().requires_grad_()
        named = self.layout.named(Weights(theta, self.weights.fixed))
        slow = self.layout.named(Weights(self.slow, self.weights.fixed))
        batch = (x, near, real, draws, self.level, self.scale)
        with self.stack.device.autocast(self.stack.precision):
            loss = self.stacked_loss(named, slow, *batch)
        (gradient,) = torch.autograd.grad(loss.sum(), theta, materialize_grads=True)
        rate, correction = self.adam.begin(rates)
        self.adam.step(self.weights.theta, gradient, rate, correction)
        if self.how.kind == "byol":
            self.slow.lerp_(self.weights.theta, 1 - self.how.momentum)

    def _loss(
        self, named: dict[str, Tensor], slow: dict[str, Tensor], x: Tensor, near: Tensor,
        real: Tensor, draws: Tensor, level: Tensor, scale: Tensor,
    ) -> Tensor:  # fmt: skip
        """Loss () of one member's batch (B, L, C)."""
        both = torch.cat([x, x])
        noise = torch.tensor(float(self.how.noise), device=x.device)

        def points(tensors: dict[str, Tensor]) -> Points:
            source = Noise(draws, level, scale, self._views(noise, len(both)))
            known = torch.cat([real, real]).float()
            return functional_call(self.learner, tensors, (both, source, known))

        said = points(named)
        with torch.autocast(x.device.type, enabled=False):
            if self.how.kind == "byol":
                return byol(said.predicted, points(slow).mean, real)
            loss = ntxent(said.mean, near, real, self.how.temperature)
            if self.learner.in_time:
                timed = ntxent_in_time(said.tokens, near, real, self.how.temperature)
                loss = loss + self.how.lambda_temporal * timed
            return loss


class _Ear(torch.nn.Module):
    """A learner as `noise_per_example` calls it."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, x: Tensor, noise: Any = None) -> Tensor:  # noqa: ANN401
        real = torch.ones(len(x), device=x.device)
        return self.learner(x, noise or NoNoise(), real).mean
