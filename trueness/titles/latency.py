"""How long a stored encoder takes for a request, tokenisation included."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
import torch

from trueness.errors import TruenessError, at_least
from trueness.titles.classifier import Classifier

QUANTILES = (50, 95, 99)
MOST_TEXTS = 65_536
"""Of a request."""


@dataclass(frozen=True)
class Latency:
    """Times of requests of one size.

    Attributes
    ----------
    batch_size : int
        Texts of a request.
    requests : int
    p50_ms, p95_ms, p99_ms, mean_ms : float
        Of a whole request: strings in, probabilities out.
    texts_per_s : float
    """

    batch_size: int
    requests: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    texts_per_s: float

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


def measure_latency(
    classifier: Classifier, texts: Sequence[str], batch_sizes: Sequence[int] = (1, 8, 32), *,
    requests: int = 200, warmup: int = 20,
) -> list[Latency]:  # fmt: skip
    """Time requests one after another, as one client would send them.

    A request is tokenised, padded to its longest text, classified and read back. All its texts are
    real ones of the given list, in turn; every request is full. The first `warmup` requests of each
    size are not counted.

    Parameters
    ----------
    classifier : Classifier
    texts : sequence of str
    batch_sizes : sequence of int
    requests, warmup : int

    Returns
    -------
    list of Latency

    Raises
    ------
    TruenessError
        Without texts, or for sizes that are no such numbers.
    """
    texts = list(texts)
    if not texts:
        raise TruenessError("no texts to time; give a file with at least one")
    requests, warmup = at_least("requests", requests, 1), at_least("warmup", warmup, 0)
    result = []
    for size in batch_sizes:
        size = at_least("batch size", size, 1, MOST_TEXTS)
        times = [_timed(classifier, texts, size, turn) for turn in range(warmup + requests)]
        counted = 1000 * np.array(times[warmup:])
        quantiles = [float(q) for q in np.percentile(counted, QUANTILES)]
        rate = size * requests / (counted.sum() / 1000)
        result.append(Latency(size, requests, *quantiles, float(counted.mean()), float(rate)))
    return result


def _timed(classifier: Classifier, texts: list[str], size: int, turn: int) -> float:
    """Seconds of one request."""
    places = [(turn * size + i) % len(texts) for i in range(size)]
    request = pl.Series([texts[place] for place in places])
    began = time.perf_counter()
    torch.from_numpy(classifier.logits(request)).softmax(1)
    return time.perf_counter() - began
