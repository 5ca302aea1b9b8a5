"""What the graph of a bundle on texts is, whatever its models read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import ModelProto

BATCH = 16_384
"""Padded tokens, or n-grams, of the texts that a graph is asked about at once."""
TEMPERATURE = "temperature"
"""Input that every graph has: of the language of each text."""
OUTPUTS = {
    "logits": "mean of the models (B, K)",
    "probability": "softmax of the logits (B, K)",
    "calibrated": "softmax of the logits over the temperature (B, K)",
}
Batch = tuple[NDArray[np.int64], dict[str, NDArray[Any]]]
"""Some rows of the texts, and what the graph is given of them."""


@dataclass(frozen=True)
class TitlesGraph:
    """The graph of a bundle on texts, and what it is to say.

    Attributes
    ----------
    model : onnx.ModelProto
        It gives `OUTPUTS`.
    inputs : dict of str to str
        What it reads beside the temperature: name -> words.
    preparation : dict of str to Any
        What makes texts into its inputs, in plain types.
    batches : callable
        Texts (n,) to inputs, batch by batch, in whatever order of the rows.
    logits : callable
        Texts (n,) to the logits (n, K) that the graph is held against.
    narrow : bool
        Whether the bundle answers in 16 bits; the graph never does.
    """

    model: ModelProto
    inputs: dict[str, str]
    preparation: dict[str, Any]
    batches: Callable[[pl.Series], Iterator[Batch]]
    logits: Callable[[pl.Series], NDArray[np.float64]]
    narrow: bool = False
