"""The network of a model of titles, whatever makes it."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch

from trueness.models.encoder import TitleClassifier, build_titles
from trueness.models.pretrained import PretrainedClassifier, Source, build_heads, build_pretrained

TitleNetwork: TypeAlias = TitleClassifier | PretrainedClassifier
"""Tokens (B, T) and mask (B, T) to logits (B, K), by way of one vector per text."""


def build_network(
    model: Any, n_classes: int, generator: torch.Generator, *,  # noqa: ANN401 - of titles
    vocabulary: int, source: Source | None = None, width: int | None = None,
) -> TitleNetwork:  # fmt: skip
    """Whole network with initial weights.

    Parameters
    ----------
    model : trueness.spec.titles.Encoder or Pretrained
    n_classes : int
        K.
    generator : torch.Generator
    vocabulary : int
        Token ids, V.
    source : Path or mapping, optional
        Of a pretrained encoder; see `build_pretrained`.
    width : int, optional
        Of vectors that were made before: the network is a head on them.
    """
    if model.begins_with is None:
        return build_titles(model, vocabulary, n_classes, generator)
    if width is not None:
        return build_heads(model, width, n_classes, generator)
    assert source is not None
    return build_pretrained(model, source, n_classes, generator)


def load_weights(
    network: TitleNetwork, weights: dict[str, torch.Tensor], *, heads: bool = False
) -> None:
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
