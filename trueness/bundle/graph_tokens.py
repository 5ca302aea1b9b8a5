"""The graph of encoders and of vectors: tokens of one tokenizer in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from trueness.baselines.vectors import VectorClassifier
from trueness.bundle.titles_graph import BATCH, OUTPUTS, TEMPERATURE, Batch, TitlesGraph
from trueness.errors import TruenessError
from trueness.onnxfile import network_graph
from trueness.text.inputs import EXAMPLES
from trueness.text.tokens import Tokens, encode, length_batches, pad_token
from trueness.titles.classifier import Classifier

INPUTS = {
    "tokens": "ids of the tokenizer (B, T), int64",
    "mask": "where there is a token (B, T), bool",
}


def tokens_graph(models: Sequence[Classifier | VectorClassifier], what: str) -> TitlesGraph:
    """The mean of models that read tokens.

    Parameters
    ----------
    models : sequence of Classifier or VectorClassifier
    what : str
        What they are called in an error.

    Raises
    ------
    TruenessError
        With code ``no_converter`` if they have several tokenizers.
    """
    parts = [_of_vectors(one) if isinstance(one, VectorClassifier) else _of_encoder(one)
             for one in models]  # fmt: skip
    if len({one.tokenizer.to_str() for one in parts}) > 1:
        raise TruenessError(f"{what}: its models have several tokenizers, one graph has one",
                            "no_converter")  # fmt: skip
    first = parts[0]
    ensemble = _Ensemble([one.network for one in parts]).eval()
    axes = {0: "batch", 1: "length"}
    model = network_graph(
        ensemble, _example(first), [*INPUTS, TEMPERATURE], list(OUTPUTS),
        (axes, axes, {0: "batch"}), what,
    )  # fmt: skip
    preparation = {"max_tokens": first.max_tokens, "pad": first.pad,
                   "tokenizer": first.tokenizer.to_str()}  # fmt: skip
    return TitlesGraph(
        model, INPUTS, preparation, lambda texts: _batches(first.tokens(texts)),
        lambda texts: _logits(ensemble, first.tokens(texts)),
        {one.precision for one in parts} != {"float32"},
    )  # fmt: skip


class _Ensemble(nn.Module):
    """Mean logits of several models, and both probabilities."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(
        self, tokens: Tensor, mask: Tensor, temperature: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, K), probabilities, calibrated ones."""
        logits = self.logits(tokens, mask)
        return logits, logits.softmax(1), (logits / temperature[:, None]).softmax(1)

    def logits(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Mean logits (B, K)."""
        total = self.networks[0](tokens, mask)
        for one in self.networks[1:]:
            total = total + one(tokens, mask)
        return total / len(self.networks)


@dataclass(frozen=True)
class _Part:
    """A model as a network on tokens, and how it makes them."""

    network: nn.Module
    tokenizer: Tokenizer
    max_tokens: int
    pad: int
    precision: str
    tokens: Callable[[pl.Series], Tokens]


def _of_encoder(one: Classifier) -> _Part:
    words, most = one.tokenizer, one.spec.task.max_tokens
    return _Part(one.network.to("cpu"), words, most, pad_token(words)[0], one.precision,
                 lambda texts: encode(texts, words, max_tokens=most))  # fmt: skip


def _of_vectors(one: VectorClassifier) -> _Part:
    vectors, most = one.vectors, one.max_tokens
    return _Part(_VectorGraph(one), vectors.tokenizer, most, vectors.pad, "float32",
                 lambda texts: vectors.ids(texts.to_list(), most))  # fmt: skip


class _VectorGraph(nn.Module):
    """Tokens (B, T) to logits (B, K): the mean of their vectors, then the head."""

    def __init__(self, one: VectorClassifier) -> None:
        super().__init__()
        self.rows = nn.Buffer(torch.from_numpy(one.vectors.matrix))
        self.counted = nn.Buffer(torch.from_numpy(one.vectors.counted.astype(np.float32)))
        self.normalize, self.temperature = one.vectors.normalize, one.temperature
        flat = [torch.from_numpy(np.ascontiguousarray(a)) for layer in one.layers for a in layer]
        self.layers = nn.ParameterList([nn.Parameter(a, requires_grad=False) for a in flat])

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, K)."""
        seen = mask.to(torch.float32)
        total = (self.rows[tokens].to(torch.float32) * seen[:, :, None]).sum(1)
        x = total / (self.counted[tokens] * seen).sum(1, keepdim=True).clamp(min=1)
        x = nn.functional.normalize(x, eps=1e-32) if self.normalize else x
        for i in range(0, len(self.layers), 2):
            x = (x.relu() if i else x) @ self.layers[i] + self.layers[i + 1]
        return x / self.temperature


def _example(part: _Part) -> tuple[Tensor, Tensor, Tensor]:
    """Two texts; a size of 1 would be taken for a constant."""
    ids, mask = part.tokens(pl.Series(EXAMPLES[:2])).batch([0, 1])
    if ids.shape[1] < 2:
        ids, mask = (np.repeat(one, 2, axis=1) for one in (ids, mask))
    return torch.from_numpy(ids), torch.from_numpy(mask), torch.ones(2)


def _batches(tokens: Tokens) -> Iterator[Batch]:
    """Texts of similar length side by side."""
    for rows in length_batches(tokens.lengths, BATCH):
        yield rows, dict(zip(INPUTS, tokens.batch(rows), strict=True))


@torch.no_grad()
def _logits(ensemble: _Ensemble, tokens: Tokens) -> NDArray[np.float64]:
    """Logits (n, K) of the models in float32."""
    made: list[Any] = [
        (rows, ensemble.logits(*(torch.from_numpy(one) for one in inputs.values())).numpy())
        for rows, inputs in _batches(tokens)
    ]
    order = np.argsort(np.concatenate([rows for rows, _ in made]))
    return np.concatenate([logits for _, logits in made]).astype(np.float64)[order]
