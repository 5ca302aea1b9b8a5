"""Networks on titles by the kind of their model: what a loop trains and scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueness.errors import SpecError
from trueness.models.encoder import TitleClassifier, build_titles
from trueness.models.layers import full_precision, linear
from trueness.spec.titles import NetworkHead, Vectors


class VectorNetwork(nn.Module):
    """Vectors (B, D) to logits (B, K): linear, ReLU, dropout, linear.

    The head of the classifiers of model2vec; Tulkens and van Dongen, "Model2Vec: Fast
    State-of-the-Art Static Embeddings" (2024).
    """

    def __init__(
        self, model: Vectors, width: int, n_classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        assert isinstance(model.head, NetworkHead)
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
        raise SpecError("a head on vectors has no projection")

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, K) float32."""
        return self.classify(self.pooled(vectors, mask))


TextNetwork: TypeAlias = TitleClassifier | VectorNetwork
TITLES_NETWORKS: dict[str, Callable[..., TextNetwork]] = {
    "encoder": build_titles, "vectors": VectorNetwork,
}  # fmt: skip
"""Model, number of ids or width of vectors, classes, generator to a network with its weights."""
