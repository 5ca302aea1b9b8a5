"""An encoder with its weights, ready to classify texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

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
    """Network, tokenizer and classes, on a device.

    Attributes
    ----------
    spec : TitlesSpec
        Of an encoder.
    precision : str
        As in training.
    network : TitleClassifier
    tokenizer : Tokenizer
    classes : tuple of str
    device : Device
    """

    spec: TitlesSpec
    precision: str
    network: TitleClassifier
    tokenizer: Tokenizer
    classes: tuple[str, ...]
    device: Device

    @classmethod
    def of(
        cls, spec: TitlesSpec, precision: str, parameters: Mapping[str, NDArray[np.float32]],
        tokenizer: Tokenizer, classes: tuple[str, ...], device: Device,
    ) -> Self:  # fmt: skip
        """From weights by name.

        Raises
        ------
        StoreError
            If they do not fit tokenizer and classes.
        """
        vocabulary, model = vocabulary_of(tokenizer), spec.model
        assert isinstance(model, Encoder)
        weights = {name: torch.from_numpy(w) for name, w in parameters.items()}
        with torch.device("meta"):
            network = build_titles(model, vocabulary, len(classes), torch.Generator("cpu"))
        try:
            network.load_state_dict(weights, assign=True)
        except RuntimeError:
            raise StoreError(
                f"the weights do not fit a tokenizer of {vocabulary:,} entries and "
                f"{len(classes)} classes; the folder was changed", "damaged",
            ) from None  # fmt: skip
        return cls(spec, precision, network.to(device.name).eval(), tokenizer, classes, device)

    def logits(
        self, texts: Sequence[str] | pl.Series, cache: Path | None = None
    ) -> NDArray[np.float32]:
        """Logits (n, K) of texts."""
        series = texts if isinstance(texts, pl.Series) else pl.Series(list(texts), dtype=pl.String)
        most = self.spec.task.max_tokens
        tokens = encode(series, self.tokenizer, max_tokens=most, cache=cache)
        return logits_of(self.network, tokens, len(self.classes), self.device, self.precision)


def load_classifier(run: Run[TitlesSpec], device: Device) -> Classifier:
    """The network of a stored run with its weights.

    Raises
    ------
    StoreError
        If the run is a baseline, or its tokenizer does not fit its weights.
    """
    check_keeps_weights(run)
    tokenizer, classes = load_tokenizer(run.file(TOKENIZER)), tuple(run.record["classes"])
    precision = run.record["precision"]
    try:
        return Classifier.of(run.spec, precision, run.parameters(), tokenizer, classes, device)
    except StoreError as error:
        raise StoreError(f"{run.key}: {error}", error.code) from None


def check_keeps_weights(run: Run[TitlesSpec]) -> None:
    """Refuse a run that stores no weights.

    Raises
    ------
    StoreError
        With code ``no_weights``.
    """
    if not isinstance(run.spec.model, Encoder):
        raise StoreError(
            f"{run.key} is {run.spec.label()}, whose run keeps no weights; the bundle that "
            f"`trueness finalize {run.key} --out FOLDER` makes does", "no_weights",
        )  # fmt: skip
    if TOKENIZER not in run.record["files"]:
        raise StoreError(f"{run.key} stores no tokenizer; run it again", "no_weights")
