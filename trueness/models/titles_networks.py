"""Networks on titles by the kind of their model: what a loop trains and scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueness.models.encoder import TitleClassifier, build_titles
from trueness.models.heads import projected
from trueness.models.layers import full_precision, linear
from trueness.models.pretrained import PretrainedClassifier, Source, build_heads, build_pretrained
from trueness.spec import titles


class VectorNetwork(nn.Module):
    """Vectors (B, D) to logits (B, K): linear, ReLU, dropout, linear.

    The head of the classifiers of model2vec; Tulkens and van Dongen, "Model2Vec: Fast
    State-of-the-Art Static Embeddings" (2024).
    """

    def __init__(
        self, model: titles.Vectors, width: int, n_classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        assert isinstance(model.head, titles.NetworkHead)
        self.dropout = model.head.dropout
        self.up = linear(width, model.head.hidden, generator)
        self.out = linear(model.head.hidden, n_classes, generator)

    def pooled(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """The vectors themselves."""
        del mask
        return vectors

    def classify(self, pooled: Tensor) -> Tensor:
        """Logits (B, K) of vectors (B, D), in full precision."""
        with full_precision(pooled):
            return self.out(F.dropout(F.relu(self.up(pooled)), self.dropout, self.training))

    def project(self, pooled: Tensor) -> Tensor:
        """Refuse: there is no projection.

        Raises
        ------
        SpecError
        """
        return projected(None, pooled)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, K) float32."""
        return self.classify(self.pooled(vectors, mask))

    def rates(self) -> dict[str, float]:
        """Fraction of the learning rate by name, where it is not 1: none."""
        return {}


def _pretrained(
    model: titles.Pretrained, read: Source | int, n_classes: int, generator: torch.Generator
) -> PretrainedClassifier:
    if isinstance(read, int):
        return build_heads(model, read, n_classes, generator)
    return build_pretrained(model, read, n_classes, generator)


TitleNetwork: TypeAlias = TitleClassifier | PretrainedClassifier | VectorNetwork
"""Tokens (B, T), or vectors (B, D), and mask to logits (B, K), by way of one vector per text."""
TITLES_NETWORKS: dict[str, Callable[..., TitleNetwork]] = {
    "encoder": build_titles, "pretrained": _pretrained, "vectors": VectorNetwork,
}  # fmt: skip
"""Model, what it reads, classes and generator to a network with its initial weights.

What it reads is the number of ids of tokens or the width of vectors; of an encoder that was
trained elsewhere and reads tokens, its `trueness.models.pretrained.Source`.
"""


def build_network(
    model: titles.TitlesModel, read: Source | int, n_classes: int, generator: torch.Generator
) -> TitleNetwork:
    """Whole network with initial weights, on CPU.

    Parameters
    ----------
    model : trueness.spec.titles.TitlesModel
        Of a network.
    read : Source or int
        See `TITLES_NETWORKS`.
    n_classes : int
        K.
    generator : torch.Generator

    Examples
    --------
    >>> model = titles.Vectors.model_validate({"kind": "vectors", "head": "network"})
    >>> network = build_network(model, 8, 3, torch.Generator().manual_seed(0))
    >>> network(torch.zeros(2, 8), torch.ones(2, 1, dtype=torch.bool)).shape
    torch.Size([2, 3])
    """
    return TITLES_NETWORKS[model.kind](model, read, n_classes, generator)


def load_weights(network: TitleNetwork, weights: dict[str, Tensor], *, heads: bool = False) -> None:
    """Put weights in place of all that are trained, or of all that there are.

    With `heads`, weights of heads alone are enough.

    Raises
    ------
    RuntimeError
        If one is missing, too many, or of another shape.
    """
    lost, foreign = network.load_state_dict(weights, strict=False, assign=True)
    fixed = {name for name, p in network.named_parameters() if not p.requires_grad}
    fixed |= {name for name, _ in network.named_buffers()}
    if heads:
        fixed |= {name for name in lost if name.startswith("encoder.")}
    if foreign or (missing := set(lost) - fixed):
        raise RuntimeError(f"weights of another network: {sorted({*foreign, *missing})[0]}")
