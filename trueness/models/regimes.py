"""In which regime each window lies: from its own columns, by numbers decided before training.

All of it is buffers, which are stored with the weights, so that a network that is used later finds
its regimes by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trueness.errors import SpecError
from trueness.models.layers import full_precision, standardisation
from trueness.spec import regime as shapes

STARTS, SEED = 10, 42
"""Of k-means, as published."""


class Detector(nn.Module):
    """Windows (B, L, C) as they come, to which regime each is in (B, R), 1 or 0.

    Attributes
    ----------
    weight : (R,) float32
        What a window of each regime counts in the loss.
    """

    weight: Tensor

    def __init__(self, shape: shapes.Regime, n_features: int) -> None:
        super().__init__()
        self.shape, self.rows = shape, REGIMES[shape.kind]
        sizes = self.rows.buffers(shape, n_features)
        self.names = tuple(sizes)
        for name, size in sizes.items():
            self.register_buffer(name, torch.zeros(size))
        self.register_buffer("weight", torch.ones(shape.count))

    def forward(self, x: Tensor) -> Tensor:
        """One row of 0 and one 1 per window."""
        with full_precision(x):
            known = {name: self.get_buffer(name) for name in self.names}
            at = self.rows.assign(self.shape, x.float(), known)
        return (at[:, None] == torch.arange(self.shape.count, device=x.device)).float()


@dataclass(frozen=True)
class RegimeRow:
    """How a kind of regime is found.

    Attributes
    ----------
    buffers : callable
        Names and sizes of what is decided before training, of a shape and the number of columns.
    assign : callable
        Regime (B,) of windows (B, L, C): of a shape, the windows and the buffers.
    decide : callable
        Values of the buffers: of a shape, training windows in pieces, and the names of columns.
    """

    buffers: Callable[[Any, int], dict[str, tuple[int, ...]]]
    assign: Callable[[Any, Tensor, dict[str, Tensor]], Tensor]
    decide: Callable[[Any, list[Tensor], Sequence[str]], dict[str, Tensor]]


def _one_column(shape: shapes.ByReturns, n_features: int) -> dict[str, tuple[int, ...]]:
    del shape
    return {"chosen": (n_features,)}


def _chosen(
    shape: shapes.ByReturns, pieces: list[Tensor], names: Sequence[str]
) -> dict[str, Tensor]:
    """A 1 at the column with the returns."""
    del pieces
    if shape.returns not in names:
        raise SpecError(f"model.regime.returns: {shape.returns} is no input", "no_column")
    return {"chosen": torch.tensor([float(name == shape.returns) for name in names])}


def _volatility(shape: shapes.VolatilityRegime, x: Tensor, known: dict[str, Tensor]) -> Tensor:
    """Number of thresholds at or below the deviation of the returns."""
    deviation = (x @ known["chosen"]).std(1)
    return torch.stack([deviation >= bound for bound in shape.thresholds_pct]).sum(0)


def _trend(shape: shapes.TrendRegime, x: Tensor, known: dict[str, Tensor]) -> Tensor:
    """Of prices that the returns add up to; or of the sums of ups and downs."""
    returns = x @ known["chosen"]
    if shape.method == "adx":
        up, down = returns.clamp(min=0).sum(1), (-returns).clamp(min=0).sum(1)
        index = 100 * (up - down).abs() / (up + down).clamp(min=1e-12)
        return (index >= shape.adx_threshold).long()
    price = (1 + returns / 100).cumprod(1)
    ratio = price[:, -shape.short_window :].mean(1) / price[:, -shape.long_window :].mean(1)
    band = shape.band_pct / 100
    return (ratio > 1 - band).long() + (ratio > 1 + band).long()


def _cluster_buffers(shape: shapes.ClusterRegime, n_features: int) -> dict[str, tuple[int, ...]]:
    width = 3 * n_features
    return {"shift": (width,), "scale": (width,), "centres": (shape.n_clusters, width)}


def described(x: Tensor) -> Tensor:
    """Mean, deviation and slope per row of every column of windows: (B, L, C) -> (B, 3 C)."""
    rows = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)
    rows = rows - rows.mean()
    centred = x - x.mean(1, keepdim=True)
    slope = (centred * rows[:, None]).sum(1) / rows.square().sum().clamp(min=1)
    return torch.cat([x.mean(1), centred.square().mean(1).sqrt(), slope], 1)


def _nearest(shape: shapes.ClusterRegime, x: Tensor, known: dict[str, Tensor]) -> Tensor:
    del shape
    points = (described(x) - known["shift"]) / known["scale"].clamp(min=1e-12)
    return (points[:, None] - known["centres"]).square().sum(-1).argmin(1)


def _centres(
    shape: shapes.ClusterRegime, pieces: list[Tensor], names: Sequence[str]
) -> dict[str, Tensor]:
    """k-means on the training windows, whose numbers are brought to one scale first."""
    from sklearn.cluster import KMeans

    del names
    points = [described(piece.float()) for piece in pieces]
    result = standardisation(points)
    shift, scale = result["columns.shift"], result["columns.scale"]
    scaled = (torch.cat(points) - shift) / scale
    if len(scaled) < shape.n_clusters:
        raise SpecError(
            f"model.regime: {shape.n_clusters} clusters of {len(scaled)} training windows",
            "few_windows",
        )
    means = KMeans(shape.n_clusters, n_init=STARTS, random_state=SEED).fit(scaled.cpu().numpy())
    centres = torch.from_numpy(means.cluster_centers_).float()
    return {"shift": shift, "scale": scale, "centres": centres}


REGIMES = {
    "volatility": RegimeRow(_one_column, _volatility, _chosen),
    "trend": RegimeRow(_one_column, _trend, _chosen),
    "cluster": RegimeRow(_cluster_buffers, _nearest, _centres),
}
"""Every kind of regime in one table."""


@torch.no_grad()
def decided(
    shape: shapes.Regime, windows: Iterable[Tensor], names: Sequence[str]
) -> dict[str, Tensor]:
    """Buffers of the `Detector` that the training windows, in pieces (b, L, C), decide.

    Raises
    ------
    SpecError
        With code ``no_column`` if the column of returns is no input, ``few_windows`` if there are
        fewer windows than clusters.
    """
    pieces = list(windows)
    row = REGIMES[shape.kind]
    result = {name: value.cpu() for name, value in row.decide(shape, pieces, names).items()}
    detector = Detector(shape, pieces[0].shape[2])
    for name, value in result.items():
        detector.get_buffer(name).copy_(value)
    counts = torch.stack([detector(piece.cpu()).sum(0) for piece in pieces]).sum(0)
    return {**result, "weight": _weights(shape, counts)}


def _weights(shape: Any, counts: Tensor) -> Tensor:  # noqa: ANN401
    """Weights of the regimes; of mean 1 over the training windows where none are given."""
    if not shape.decides("loss_weight"):
        return torch.ones(len(counts))
    if shape.weights is not None:
        return torch.tensor(shape.weights)
    there = counts > 0
    weight = counts.sum() / (counts.clamp(min=1) * there.sum())
    return torch.where(there, weight, 1.0)
