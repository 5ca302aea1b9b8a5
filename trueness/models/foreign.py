"""Networks of others: any `torch.nn.Module` from windows (B, L, C) to logits (B,) or (B, 1).

It is tried once on a few random windows before anything trains, and refused in one line if it
cannot be trained or its scores would mean nothing. Its layers of type `torch.nn.Dropout` are given
the random bytes of the run, so that its result does not depend on what is trained beside it.

`torch.func` takes most networks, which then train in a stack. Those it does not take (recurrent
layers, random functions), and those in which the windows of a batch see each other or that change
a buffer in training (batch normalisation), train alone, by the same steps.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from trueness.errors import SpecError
from trueness.models.layers import Standardised, standardisation
from trueness.models.measuring import (
    NetworkRow,
    measured_activation_bytes,
    measured_multiply_adds,
    weights,
)
from trueness.models.noise import DropoutSource, NoNoise
from trueness.own import check_pinned, load, translate_errors
from trueness.spec import model as shapes

TRIED = 4
"""Windows on which a network is tried."""
RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Differences that rounding explains."""


class Foreign(nn.Module):
    """A network of others in the form of ours.

    Parameters
    ----------
    net : nn.Module
    taps : bool
        Whether its dropout layers draw from the noise of the forward pass.
    columns : int
        Columns that are standardised before it sees them, or 0.
    """

    samples = False

    def __init__(self, net: nn.Module, taps: bool, columns: int = 0) -> None:
        super().__init__()
        self.net, self.tap = net, _Tap()
        self.columns = Standardised(columns) if columns else nn.Identity()
        self.rates = tuple(_tapped(net, self.tap) if taps else ())

    def forward(self, x: Tensor, noise: DropoutSource | None = None) -> Tensor:
        """Logits (B,) in float32."""
        self.tap.source = noise or NoNoise()
        return self.net(self.tap.source.augment(self.columns(x))).reshape(x.shape[0]).float()


class _Tap:
    """Where dropout layers find the noise of the pass that is under way."""

    source: DropoutSource = NoNoise()


class _Dropout(nn.Dropout):
    """Dropout that spends the bytes of the run; what it is handed in evaluation drops nothing."""

    def __init__(self, p: float, tap: _Tap, position: int) -> None:
        super().__init__(p)
        self.tap, self.position = tap, position

    def forward(self, input: Tensor) -> Tensor:
        return self.tap.source.drop(input, self.position)


def _tapped(net: nn.Module, tap: _Tap) -> Iterator[float]:
    """Replace dropout layers; the rate of each, in the order of their positions."""
    position = 0
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Dropout and 0 < round(256 * child.p) < 256:
                setattr(parent, name, _Dropout(child.p, tap, position))
                yield child.p
                position += 1


@dataclass(frozen=True)
class Trial:
    """What trying a network told.

    Attributes
    ----------
    taps : bool
        Whether its dropout layers can draw from the bytes of the run.
    stacks : bool
        Whether it trains in a stack.
    parameters, multiply_adds, activation_bytes : int
    """

    taps: bool
    stacks: bool
    parameters: int
    multiply_adds: int
    activation_bytes: int


@lru_cache(maxsize=256)
def trial(model: shapes.Module, n_features: int, context: int, base_folder: Path) -> Trial:
    """Try a network on random windows.

    Raises
    ------
    SpecError
        With a code of `trueness.own` if it cannot be loaded or is another version than the key
        holds, ``module_build`` if its class raises, ``module_class`` if it makes no `nn.Module`,
        ``module_weights`` if it has no weights in float32, ``module_forward`` if the forward pass
        raises, ``module_shape`` if it returns no logit per window, ``module_nan`` if that is not
        finite, ``module_random`` if it differs between two passes in evaluation, ``module_rows``
        if it depends on the other windows of the batch, ``module_modifies`` if it changes its
        windows, ``module_gradient`` if the logits do not depend on its weights, and
        ``module_buffer`` if training puts another tensor in the place of a buffer.
    """
    check_pinned(model, base_folder)
    x = torch.randn(TRIED, context, n_features, generator=torch.Generator().manual_seed(0))
    make = partial(_made, model, n_features, context, base_folder)
    with _aside(0), translate_errors(f"{model.of} on windows {tuple(x.shape)}", "module_forward"):
        net = Foreign(make(), taps=False).eval()
        _check_weights(model, net)
        _check_scores(model, net, x)
        taps = _can_be_tapped(Foreign(make(), taps=True), x)
        net = Foreign(make(), taps).eval()
        return Trial(
            taps, _can_be_stacked(net, x), weights(net),
            measured_multiply_adds(net, n_features, context),
            measured_activation_bytes(net, n_features, context),
        )  # fmt: skip


def build(
    model: shapes.Module,
    n_features: int,
    context: int,
    generator: torch.Generator,
    *,
    base_folder: Path,
) -> Foreign:
    """Network with the weights that its class draws from torch's generator, seeded here."""
    taps, columns = (
        trial(model, n_features, context, base_folder).taps,
        n_features * model.standardise,
    )
    with _aside(generator.initial_seed()):
        return Foreign(_made(model, n_features, context, base_folder), taps, columns)


def statistics(
    model: shapes.Module, windows: Iterable[Tensor], names: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Mean and deviation of every column over all rows of the training windows, if asked for."""
    del names
    if not model.standardise:
        return {}
    return standardisation(piece.flatten(0, 1) for piece in windows)


def _row(base_folder: Path) -> NetworkRow:
    def property_of(name: str, model: shapes.Module, n_features: int, context: int) -> Any:  # noqa: ANN401
        return getattr(trial(model, n_features, context, base_folder), name)

    return NetworkRow(
        partial(build, base_folder=base_folder), partial(property_of, "parameters"),
        partial(property_of, "multiply_adds"), partial(property_of, "activation_bytes"),
        partial(property_of, "stacks"),
    )  # fmt: skip


ROW = NetworkRow(partial(build, base_folder=Path()), statistics=statistics, at=_row)


@contextmanager
def _aside(seed: int) -> Generator[None]:
    """Torch's generator of the CPU seeded, and afterwards as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        yield


def _made(model: shapes.Module, n_features: int, context: int, base_folder: Path) -> nn.Module:
    """What the class makes of its arguments."""
    maker = load(model.of, base_folder)
    with translate_errors(model.of, "module_build"):
        wanted = inspect.signature(maker).parameters
        sizes = {"n_features": n_features, "context": context}
        net = maker(**{k: v for k, v in sizes.items() if k in wanted} | model.params)
    if not isinstance(net, nn.Module):
        raise SpecError(
            f"{model.of} makes a {type(net).__name__}, not a torch.nn.Module", "module_class"
        )
    return net


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, RELATIVE, ABSOLUTE)


# ----------------------------------------------------------------------------------------- refusing


def _check_weights(model: shapes.Module, net: nn.Module) -> None:
    types = {p.dtype for p in net.parameters() if p.requires_grad}
    if types != {torch.float32}:
        names = ", ".join(sorted(str(one).removeprefix("torch.") for one in types)) or "none"
        raise SpecError(f"{model.of} needs weights in float32; it has {names}", "module_weights")


def _check_scores(model: shapes.Module, net: Foreign, x: Tensor) -> None:
    """One finite logit per window, by the window alone, twice the same."""
    with torch.no_grad():
        raw = net.net(inputs := x.clone())
        if not torch.equal(inputs, x):
            raise SpecError(
                f"{model.of} modifies its input; let it work on a copy", "module_modifies"
            )
        if not isinstance(raw, Tensor) or raw.shape not in {(TRIED,), (TRIED, 1)}:
            what = f"shape {tuple(raw.shape)}" if isinstance(raw, Tensor) else type(raw).__name__
            raise SpecError(
                f"{model.of} maps windows {tuple(x.shape)} to {what}; ({TRIED},) or ({TRIED}, 1) "
                "is needed, a logit per window", "module_shape",
            )  # fmt: skip
        logits = net(x)
        if not logits.isfinite().all():
            raise SpecError(f"{model.of}: logits of normal numbers are not finite", "module_nan")
        if not _close(net(x), logits):
            raise SpecError(
                f"{model.of} is random in evaluation; draw only `if self.training`", "module_random"
            )
        if not _close(torch.cat([net(x[:1]), net(x[1:])]), logits):
            raise SpecError(
                f"{model.of}: the logit of a window depends on the others of its batch",
                "module_rows",
            )
    _check_training(model, net, x)


def _check_training(model: shapes.Module, net: Foreign, x: Tensor) -> None:
    """A pass in training: gradients reach the weights, and buffers are changed in place.

    What is put in the place of a buffer would be lost.
    """
    before = dict(net.net.named_buffers())
    values = {name: buffer.clone() for name, buffer in before.items()}
    if not net.train()(inputs := x.clone()).requires_grad:
        raise SpecError(
            f"{model.of}: its logits do not depend on its weights in a way that can be trained; "
            "do not detach them", "module_gradient",
        )  # fmt: skip
    if not torch.equal(inputs, x):
        raise SpecError(f"{model.of} modifies its input in training", "module_modifies")
    for name, buffer in net.eval().net.named_buffers():
        if buffer is not before.get(name):
            raise SpecError(
                f"{model.of} puts a new tensor in the place of its buffer {name}; change it in "
                "place", "module_buffer",
            )  # fmt: skip
        buffer.copy_(values[name])


# ------------------------------------------------------------------------------------------- trying


class _Sites:
    """Counts what dropout layers ask for, and whether all ask per window."""

    def __init__(self, windows: int) -> None:
        self.windows, self.each, self.per_window = windows, 0, True

    def drop(self, h: Tensor, rate: int = 0) -> Tensor:
        del rate
        self.per_window &= h.dim() > 0 and len(h) == self.windows
        self.each += h[0].numel() if h.dim() else 0
        return h

    def normal(self, like: Tensor) -> Tensor:
        return torch.zeros_like(like)

    def charge(self, cost: Tensor) -> None:
        del cost

    weigh = charge

    def augment(self, x: Tensor) -> Tensor:
        return x


def _can_be_tapped(net: Foreign, x: Tensor) -> bool:
    """Whether every dropout layer sees a tensor with a row per window."""
    net.train()
    sites = [_Sites(len(part)) for part in (x, x[1:])]
    with torch.no_grad():
        for part, noise in zip((x, x[1:]), sites, strict=True):
            net(part, noise)
    return all(one.per_window for one in sites) and sites[0].each == sites[1].each


def _can_be_stacked(net: Foreign, x: Tensor) -> bool:
    """Whether `torch.func` takes it, and neither its windows nor its steps see each other."""
    try:
        with translate_errors("in a stack", "module_stack"), warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*performance drop.*")
            return _keeps_to_itself(net.train(), x) and _equals_itself_in_a_stack(net, x)
    except SpecError:
        return False
    finally:
        net.eval()


def _keeps_to_itself(net: Foreign, x: Tensor) -> bool:
    """Whether, in training, windows are mapped one by one and all buffers stay as they are."""
    before = [buffer.clone() for buffer in net.buffers()]
    with torch.no_grad():
        whole, parts = net(x), torch.cat([net(x[:2]), net(x[2:])])
    stayed = all(torch.equal(a, b) for a, b in zip(before, net.buffers(), strict=True))
    return stayed and _close(whole, parts)


def _equals_itself_in_a_stack(net: Foreign, x: Tensor) -> bool:
    """Whether two networks in one pass give what each gives alone, their gradients included."""
    tensors = {n: t.detach() for n, t in [*net.named_parameters(), *net.named_buffers()]}
    trained = [name for name, p in net.named_parameters() if p.requires_grad]
    stacked = {n: torch.stack([t, t]) for n, t in tensors.items()}
    windows = torch.stack([x, x.flip(0)])

    def scores(named: dict[str, Tensor], one: Tensor) -> Tensor:
        return functional_call(net, named, (one,))

    for name in trained:
        stacked[name][1] *= 1.1
        stacked[name].requires_grad_()
    together = torch.vmap(scores)(stacked, windows)
    leaves = [stacked[name] for name in trained]
    ours = torch.autograd.grad(together.sum(), leaves, allow_unused=True, materialize_grads=True)
    alone = [scores({n: t[k] for n, t in stacked.items()}, windows[k]) for k in (0, 1)]
    theirs = torch.autograd.grad(
        cast(Tensor, sum(a.sum() for a in alone)), leaves, allow_unused=True, materialize_grads=True
    )
    same = _close(together, torch.stack(alone))
    same = same and all(_close(a, b) for a, b in zip(ours, theirs, strict=True))
    with torch.no_grad():
        quiet = torch.vmap(scores)(stacked, windows)
        net.eval()
        scored = torch.vmap(scores)(stacked, windows)
        return same and quiet.shape == scored.shape
