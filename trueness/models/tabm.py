"""TabM: many multilayer perceptrons that share most of their weights.

After Gorishniy, Kotelnikov and Babenko, "TabM: Advancing Tabular Deep Learning with
Parameter-Efficient Ensembling" (2025), whose linear layers are those of Wen, Tran and Ba,
"BatchEnsemble: An Alternative Approach to Efficient Ensemble and Lifelong Learning" (2020). Of k
perceptrons each has its own scales, biases and head, and its own loss in training; in evaluation
their probabilities are averaged.

NOTE[DIFF]: columns are standardised by the training windows, not brought to normal quantiles, and
have no embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueness.models.layers import Standardised, full_precision, linear, standardisation
from trueness.models.measuring import NetworkRow
from trueness.models.noise import DropoutSource, NoNoise
from trueness.spec import model as shapes


class SharedLinear(nn.Module):
    """``s_i * W (r_i * x_i) + b_i`` for perceptrons i of k: (B, k, D) -> (B, k, E).

    W is shared; scales start at 1, and all biases alike.
    """

    def __init__(self, n_in: int, n_out: int, k: int, generator: torch.Generator) -> None:
        super().__init__()
        start = linear(n_in, n_out, generator)
        self.weight = start.weight
        self.scale_in = nn.Parameter(torch.ones(k, n_in))
        self.scale_out = nn.Parameter(torch.ones(k, n_out))
        self.bias = nn.Parameter(start.bias.detach().expand(k, -1).clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map of each perceptron."""
        return F.linear(x * self.scale_in, self.weight) * self.scale_out + self.bias


class TabM(nn.Module):
    """Windows (B, L, C) to logits: (B, k) in training, (B,) in evaluation."""

    def __init__(
        self, model: shapes.TabM, n_features: int, context: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.inputs, self.rates, self.samples = model.inputs, (model.dropout,), False
        width, d, k = columns_of(model.inputs, n_features, context), model.d_block, model.k
        self.columns = Standardised(width)
        widths = [width, *[d] * (model.n_blocks - 1)]
        blocks = [SharedLinear(n, d, k, generator) for n in widths]
        _random_signs(blocks[0].scale_in, generator)
        self.blocks = nn.ModuleList(blocks)
        self.heads = nn.Parameter(_uniform(k, d, width=d, generator=generator))
        self.bias = nn.Parameter(_uniform(k, width=d, generator=generator))

    def forward(self, x: Tensor, noise: DropoutSource | None = None) -> Tensor:
        """Logits of a batch; `noise` switches dropout on."""
        noise = noise or NoNoise()
        x = noise.augment(self.columns(flattened(x, self.inputs)))
        h = x[:, None].expand(-1, len(self.heads), -1)
        for block in self.blocks:
            h = noise.drop(F.relu(block(h)))
        with full_precision(h):  # a bf16 logit has 8 bits: examples would tie
            logits = (h.to(self.heads.dtype) * self.heads).sum(-1) + self.bias
        return logits if self.training else pooled(logits)


def pooled(logits: Tensor) -> Tensor:
    """Logit of the mean probability: (B, k) -> (B,), without overflow.

    Examples
    --------
    >>> pooled(torch.tensor([[0.0, 0.0], [80.0, -80.0]]))
    tensor([0., 0.])
    """
    low, high = -F.softplus(logits), -F.softplus(-logits)  # graphs have no stable logsigmoid
    return high.logsumexp(-1) - low.logsumexp(-1)


def flattened(x: Tensor, inputs: str) -> Tensor:
    """Columns (B, D) of windows (B, L, C): the last row; that and the means; or all rows.

    Of one row, as in a table, all three are the row.
    """
    if inputs == "last" or x.shape[1] == 1:
        return x[:, -1]
    return x.flatten(1) if inputs == "window" else torch.cat([x[:, -1], x.mean(1)], 1)


def columns_of(inputs: str, n_features: int, context: int) -> int:
    """Columns that a window becomes, D."""
    return n_features * {"last": 1, "summary": min(2, context), "window": context}[inputs]


def statistics(
    model: shapes.TabM, windows: Iterable[Tensor], names: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Mean and deviation of every column of the training windows, in pieces (b, L, C)."""
    del names
    return standardisation(flattened(piece, model.inputs) for piece in windows)


def _uniform(*size: int, width: int, generator: torch.Generator) -> Tensor:
    """Numbers as torch's linear maps of that width start with."""
    bound = 1 / math.sqrt(width)
    return torch.empty(size).uniform_(-bound, bound, generator=generator)


def _random_signs(scale: nn.Parameter, generator: torch.Generator) -> None:
    """What tells the perceptrons apart at the start: each sees columns with signs of its own."""
    if not scale.is_meta:  # there it would do nothing but import for a second
        with torch.no_grad():
            scale.bernoulli_(0.5, generator=generator).mul_(2).sub_(1)


ROW = NetworkRow(TabM, statistics=statistics)
