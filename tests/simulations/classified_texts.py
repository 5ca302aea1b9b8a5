"""Encoders of texts whose logits are calibrated, on languages of several sizes; seeded."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from tests.evaluation.cases import compare_slices
from trueness.checks import CheckInput
from trueness.predictions import Predictions
from trueness.spec.titles import TitlesSpec

PARTS = ("validation", "test")


@dataclass(frozen=True)
class Texts:
    """A classifier whose logits are calibrated, on languages of these sizes."""

    classes: int
    languages: tuple[int, ...]
    absent: bool = False
    skill: float = 2.8

    @property
    def name(self):
        rows = sum(self.languages)
        kind = "long tail" if self.absent else "all large"
        return f"{self.classes} classes, {len(self.languages)} languages, {rows:,} texts, {kind}"

    def make(self, rng):
        """A healthy encoder."""
        return Encoder.draw(self, rng)


@cache
def spec_of_encoders():
    """Spec of the simulated encoders."""
    return TitlesSpec.model_validate({
        "task": {"kind": "titles", "corpus": "simulated"},
        "model": {"kind": "encoder"}, "recipe": {"epochs": 10},
    })  # fmt: skip


@dataclass
class Encoder:
    """All that is known of one run, before it is judged; a fault changes some of it.

    Attributes
    ----------
    rng : Generator
    frame : DataFrame
        Predictions of both parts.
    scores, linear : (n, K)
        Logits of the encoder, and of a linear baseline that is as good.
    counts : (K,)
        Training texts of each class.
    shared : int
        Measured texts that stand in the training part as well.
    best : int
    history : dict of str to (epochs,)
    """

    rng: np.random.Generator
    frame: pl.DataFrame
    scores: Any
    linear: Any
    counts: Any
    shared: int
    best: int
    history: dict

    @classmethod
    def draw(cls, setting, rng):
        """A healthy one."""
        k, sizes = setting.classes, setting.languages
        common = 1 / np.arange(1, k + 1) ** 0.7
        shares = [_share(common, size, setting.absent, rng) for size in sizes]
        drawn = [
            _of_language(split, f"l{i}", size, share, setting.skill, rng)
            for split in PARTS
            for i, (size, share) in enumerate(zip(sizes, shares, strict=True))
        ]
        frames, scores, linear = zip(*drawn, strict=True)
        counts = sum(rng.multinomial(10 * n, s) for n, s in zip(sizes, shares, strict=True))
        best, history = _history(rng)
        frame = pl.concat(frames).with_columns(pl.col("cluster").rank("dense").cast(pl.Int64))
        shared = int(rng.poisson(0.001 * len(frame)))
        return cls(rng, frame, np.concatenate(scores), np.concatenate(linear), counts, shared,
                   best, history)  # fmt: skip

    def as_input(self, *, compared=True):
        """As the checks see it; without differences to baselines if none of them asks."""
        k, spec = self.scores.shape[1], spec_of_encoders()
        predictions = Predictions(
            self.frame.with_columns(scores=_column(self.scores)),
            classes=tuple(f"c{i}" for i in range(k)),
        )
        nothing = {"ids": 0, "clusters": 0, "texts": self.shared}
        record = {
            "estimates": {}, "best_epoch": self.best,
            "training": {"classes": self.counts.tolist(), "shared": dict.fromkeys(PARTS, nothing)},
        }  # fmt: skip
        differences = self._differences(predictions, spec.estimands) if compared else {}
        return CheckInput.of(spec, record, predictions, pl.DataFrame(self.history),
                             differences=differences)  # fmt: skip

    def _differences(self, predictions, rule):
        one = predictions.part(rule.measured_on)
        linear = Predictions(
            self.frame.with_columns(scores=_column(self.linear)), classes=predictions.classes
        ).part(rule.measured_on)
        actual = compare_slices(
            one.y, one.scores.argmax(axis=1), linear.scores.argmax(axis=1), one.group,
            one.blocks(rule.block), n_classes=len(one.classes), min_rows=rule.min_rows,
        ).summaries["mean_group"].pointwise  # fmt: skip
        return {"best": actual}


def _column(scores):
    return pl.Series(scores.astype(np.float32), dtype=pl.Array(pl.Float32, scores.shape[1]))


def _share(common, size, absent, rng):
    """Shares of the classes in a language; small ones lack some in a long tail."""
    share = common * rng.gamma(5, size=len(common))
    if absent and size < 300:
        share[rng.random(len(common)) < 0.25] = 0
    return share / share.sum()


def _of_language(split, name, size, share, skill, rng):
    """Texts in clusters of one to three of the same class, which are hard or easy together."""
    cluster = np.repeat(np.arange(size), rng.integers(1, 4, size))[:size]
    y = rng.choice(len(share), size, p=share)[cluster]
    together = rng.standard_normal((size, len(share)))[cluster]

    def scores():
        noise = np.sqrt(0.5) * (together + rng.standard_normal((size, len(share))))
        seen = skill * np.eye(len(share))[y] + noise
        return np.log(np.maximum(share, 1e-4)) + skill * seen - skill**2 / 2

    sure = np.where(rng.random(size) < 0.5, 1.0, rng.beta(12, 1, size))
    frame = pl.DataFrame({
        "split": [split] * size, "fold": np.zeros(size, np.int16),
        "id": [f"{split}-{name}-{i}" for i in range(size)], "group": [name] * size,
        "group_confidence": sure.astype(np.float32),
        "cluster": [f"{split}-{name}-{i}" for i in cluster], "y": y.astype(np.int16),
    })  # fmt: skip
    return frame, scores(), scores()


def _history(rng):
    """Ten epochs: the training loss falls, the validation loss falls and rises a little."""
    epoch = np.arange(1, 11)
    score = 0.8 - 0.4 * np.exp(-epoch / 2) + 0.005 * rng.standard_normal(10)
    val = 0.6 + 0.8 * np.exp(-epoch) + 0.008 * epoch + 0.01 * rng.standard_normal(10)
    return int(score.argmax()) + 1, {
        "epoch": epoch, "updates": 500 * epoch, "skipped": np.cumsum(rng.poisson(1, 10)),
        "train_loss": 0.2 + 1.2 * np.exp(-epoch / 3) + 0.01 * rng.standard_normal(10),
        "val_loss": val, "macro_f1": score,
    }  # fmt: skip
