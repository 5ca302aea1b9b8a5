"""Vectors of texts by a frozen encoder, made once and kept by content."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from trueness.fit.device import Device
from trueness.fit.titles.data import Vectorise
from trueness.fit.titles.scoring import logits_of
from trueness.models.pretrained import PretrainedClassifier, build_pretrained
from trueness.spec.titles import TitlesSpec
from trueness.text.encodings import kept_vectors
from trueness.text.pretrained import PretrainedFolder
from trueness.text.tokens import encode

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def frozen_vectors(
    spec: TitlesSpec, folder: PretrainedFolder, tokenizer: Tokenizer, device: Device,
    place: Path | None = None,
) -> Vectorise:  # fmt: skip
    """What gives texts their vectors; the encoder is loaded for those that are not kept.

    Parameters
    ----------
    spec : TitlesSpec
        Of a pretrained encoder.
    folder : PretrainedFolder
    tokenizer : Tokenizer
    device : Device
    place : Path, optional
        Where vectors are kept, in place of the cache of the user.
    """
    model: Any = spec.model
    most = spec.task.max_tokens

    @cache
    def network() -> PretrainedClassifier:
        made = build_pretrained(model, folder.path, 1, torch.Generator())
        return made.to(device.name).eval()

    def vectors(texts: list[str]) -> NDArray[np.float32]:
        tokens = encode(pl.Series(texts, dtype=pl.String), tokenizer, max_tokens=most)
        return logits_of(network().pooled, tokens, folder.width, device, "float32")

    depends = f"{folder.digest} {model.pooler} {most} {_release('transformers')}"
    return lambda texts: kept_vectors(depends, texts, vectors, folder.width, place)


def _release(package: str) -> str:
    """Version of a package without its last number; empty if it is not installed."""
    try:
        return version(package).rpartition(".")[0]
    except PackageNotFoundError:
        return ""
