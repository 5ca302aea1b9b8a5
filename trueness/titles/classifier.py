"""A stored encoder, ready to classify texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from trueness.errors import StoreError
from trueness.fit.device import Device
from trueness.fit.titles.scoring import logits_of
from trueness.models.encoder import TitleClassifier, build_titles
from trueness.spec.titles import Encoder, TitlesSpec
from trueness.store import Run
from trueness.text.tokens import encode, load_tokenizer, vocabulary_of

TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Classifier:
    """Network, tokenizer and classes of a stored run, on a device."""

    run: Run[TitlesSpec]
    network: TitleClassifier
    tokenizer: Tokenizer
    classes: tuple[str, ...]
    device: Device

    def logits(
        self, texts: Sequence[str] | pl.Series, cache: Path | None = None
    ) -> NDArray[np.float32]:
        """Logits (n, K) of texts."""
        series = texts if isinstance(texts, pl.Series) else pl.Series(list(texts), dtype=pl.String)
        most = self.run.spec.task.max_tokens
        tokens = encode(series, self.tokenizer, max_tokens=most, cache=cache)
        precision = self.run.record["precision"]
        return logits_of(self.network, tokens, len(self.classes), self.device, precision)


def load_classifier(run: Run[TitlesSpec], device: Device) -> Classifier:
    """Build the network of a stored run and load its weights.

    Raises
    ------
    StoreError
        If the run is a baseline, or its tokenizer does not fit its weights.
    """
    model = run.spec.model
    if not isinstance(model, Encoder):
        raise StoreError(f"{run.key} is the baseline {model.kind}; only encoders keep weights",
                         "no_weights")  # fmt: skip
    if TOKENIZER not in run.record["files"]:
        raise StoreError(f"{run.key} stores no tokenizer; run it again", "no_weights")
    tokenizer = load_tokenizer(run.file(TOKENIZER))
    classes = tuple(run.record["classes"])
    weights = {name: torch.from_numpy(w) for name, w in run.parameters().items()}
    vocabulary = vocabulary_of(tokenizer)
    with torch.device("meta"):
        network = build_titles(model, vocabulary, len(classes), torch.Generator("cpu"))
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError:
        raise StoreError(
            f"{run.key}: the weights do not fit a tokenizer of {vocabulary:,} entries and "
            f"{len(classes)} classes; the run folder was changed"
        ) from None
    return Classifier(run, network.to(device.name).eval(), tokenizer, classes, device)
