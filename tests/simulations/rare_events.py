"""Networks on rare events whose scores are the exact log-odds of what they see.

The log-odds of an event are ``a + b L + c V``; a network sees L with an error, and V not at all. In
each kind of time other things persist for weeks: nothing, V (volatility that is not seen; labels
cluster as the real ones do), or L (scores follow volatility). Seeded.
"""

from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
import polars as pl
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from tests.simulations.generators import autoregressive
from trueness.checks import CheckInput
from trueness.evaluation.best_baseline import against_best
from trueness.evaluation.joint_draws import auc_draws
from trueness.fit.monitor import training_warnings
from trueness.judge.measured import estimates_of
from trueness.predictions import Predictions
from trueness.spec import Spec

FOLDS, TRAIN, INNER, OOF, GAP = 3, 2000, 300, 500, 5
"""Folds of a walk-forward test, and days of each part."""
DAYS = TRAIN + INNER + FOLDS * OOF + 2 * GAP
MEMORY = 0.98
"""Correlation of one day's volatility with the next: a half-life of 34 days."""
SEEN = 0.8
"""Correlation of what a network sees with L."""
OPTIMISM = 0.9
"""How much more the score of a training day follows its label: a training AUC of .93 at .71."""
EPOCHS, PATIENCE = 50, 10
BASELINES = 5
"""As good as the network, each with errors of its own."""
GRID, DENSITY = np.linspace(-8, 8, 1601), norm.pdf(np.linspace(-8, 8, 1601)) / 100
TIMES = {
    "independent days": (0.0, 0.0, 0.5),
    "clustered labels": (0.0, MEMORY, 1.0),
    "regimes": (MEMORY, 0.0, 0.5),
}
"""Memory of L and of V, and how much V counts."""


@dataclass(frozen=True)
class RareEvents:
    """A base rate, the AUC of scores that see L with `SEEN`, and a kind of time."""

    base_rate: float
    auc: float
    time: str

    @property
    def name(self):
        return f"base rate {100 * self.base_rate:g} %, AUC {self.auc:g}, {self.time}"

    def make(self, rng):
        """A healthy network."""
        return Network.draw(self, rng)


def mean_probability(seen, a, b, c, share=SEEN):
    """P(event | what is seen): what is not seen of L and V is integrated out."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    rest = np.sqrt(b**2 * (1 - share**2) + c**2) * nodes
    return expit(a + b * share * seen[..., None] + rest) @ (weights / weights.sum())


@cache
def curve(setting):
    """Intercept and slopes of the log-odds that give the base rate and the AUC."""
    c, rate = TIMES[setting.time][2], setting.base_rate

    def intercept(b):
        return brentq(lambda a: DENSITY @ mean_probability(GRID, a, b, c) - rate, -20, 5)

    def auc(b):
        p = mean_probability(GRID, intercept(b), b, c)
        positive, negative = DENSITY * p / rate, DENSITY * (1 - p) / (1 - rate)
        return float(positive @ (np.cumsum(negative) - negative / 2))

    b = brentq(lambda b: auc(b) - setting.auc, 0.05, 8)
    return intercept(b), b, c


@cache
def spec_of_networks():
    """Spec of the simulated networks."""
    return Spec.model_validate({
        "task": {"kind": "market", "bars": "simulated"},
        "model": {"kind": "patchtst"},
        "recipe": {"epochs": EPOCHS, "patience": PATIENCE},
        "evaluation": {"protocol": "walk_forward", "start": "2010-01-04"},
    })  # fmt: skip


def rows_of_fold(fold):
    """Days of each part: the training grows, the rest moves on."""
    end = TRAIN + fold * OOF
    inner = end + GAP
    first = inner + INNER + GAP
    spans = {"train": (0, end), "validation": (inner, inner + INNER), "oof": (first, first + OOF)}
    return {part: np.arange(*span) for part, span in spans.items()}


@dataclass
class Network:
    """All that is known of one run, before it is judged; a fault changes some of it.

    Attributes
    ----------
    setting : RareEvents
    rng : Generator
    latent, unseen : (DAYS,)
        L and V.
    y, mirror : (DAYS,) uint8
    score, trained : (DAYS,)
        Logits, and those of training days.
    others : list of (DAYS,)
        Scores of the baselines, the first one that of one feature.
    rows : list of dict
        Days of each part, by fold.
    history : list of list of dict
        Rows of the epochs of each fold.
    best, last : list of int
    """

    setting: RareEvents
    rng: np.random.Generator
    latent: Any
    unseen: Any
    y: Any
    mirror: Any
    score: Any
    trained: Any
    others: list
    rows: list
    history: list = field(default_factory=list)
    best: list = field(default_factory=list)
    last: list = field(default_factory=list)

    @classmethod
    def draw(cls, setting, rng):
        """A healthy one, with baselines that are as good."""
        of_latent, of_unseen, _ = TIMES[setting.time]
        latent, unseen = (autoregressive(rng, DAYS, m) for m in (of_latent, of_unseen))
        a, b, c = curve(setting)
        y = (rng.random(DAYS) < expit(a + b * latent + c * unseen)).astype(np.uint8)
        mirror = expit(logit(setting.base_rate) + 0.5 * autoregressive(rng, DAYS, of_latent))
        made = cls(setting, rng, latent, unseen, y, (rng.random(DAYS) < mirror).astype(np.uint8),
                   y, y, [], [rows_of_fold(fold) for fold in range(FOLDS)])  # fmt: skip
        made.score = made.sees(SEEN)
        made.trained = made.score + OPTIMISM * (y - expit(made.score))
        made.others = [made.sees(SEEN) for _ in range(BASELINES)]
        for fold in made.rows:
            made._train(fold["validation"])
        return made

    def sees(self, share):
        """Calibrated scores of a model that sees L with this correlation."""
        seen = share * self.latent + np.sqrt(1 - share**2) * self.rng.standard_normal(DAYS)
        return logit(mean_probability(seen, *curve(self.setting), share))

    @property
    def spec(self):
        """What was trained."""
        return spec_of_networks()

    @property
    def measured(self):
        """Measured days of all folds."""
        return np.concatenate([fold["oof"] for fold in self.rows])

    def _train(self, inner):
        """Epochs whose scores spread, slowly or fast, to what they are in the end."""
        best, slow = int(self.rng.integers(6, 30)), self.rng.uniform(1, 6)
        score, noise = self.score[inner], self.rng.standard_normal((best + PATIENCE, 3))
        actual = []
        for epoch, (of_train, of_val, of_width) in enumerate(noise, 1):
            grown = 1 - np.exp(-epoch / slow)
            prob = expit(score.mean() + grown * (1 + 0.1 * of_width) * (score - score.mean()))
            actual.append({
                "train_loss": 0.5 - 0.1 * grown + 0.002 * of_train,
                "val_loss": 0.5 - 0.08 * grown + 0.004 * of_val,
                "val_auc": 0.5 + 0.2 * grown, "val_low": float(prob.min()),
                "val_high": float(prob.max()), "val_alarm_share": float((prob >= 0.5).mean()),
            })  # fmt: skip
        self.history.append(actual)
        self.best.append(best)
        self.last.append(min(best + PATIENCE, EPOCHS))

    # ------------------------------------------------------------------------- as the checks see it

    @cached_property
    def predictions(self):
        """All parts of all folds."""
        return Predictions(pl.concat([
            self._days(part, fold, rows, self.trained if part == "train" else self.score)
            for fold, parts in enumerate(self.rows) for part, rows in parts.items()
        ]))  # fmt: skip

    def _days(self, part, fold, rows, score):
        when = np.busday_offset("2000-01-03", rows, roll="forward").astype("datetime64[D]")
        return pl.DataFrame({
            "split": [part] * len(rows), "fold": np.full(len(rows), fold, np.int16),
            "id": when.astype(str), "time": when, "y": self.y[rows], "y_mirror": self.mirror[rows],
            "score": score[rows].astype(np.float32),
        })  # fmt: skip

    def _warnings(self):
        spec = spec_of_networks()
        return [
            {"fold": fold, **one.to_dict()}
            for fold, history in enumerate(self.history)
            for one in training_warnings(
                history, spec, float(self.y[self.rows[fold]["validation"]].mean())
            )
        ]

    def _differences(self):
        """To the best of the baselines, and to the one of one feature."""
        part, rule = self.predictions.part("oof"), spec_of_networks().estimands
        scores = [part.score, *(one[self.measured] for one in self.others)]
        own, *others = auc_draws(part.y, scores, blocks=part.blocks(rule.block))
        known = {"best": others, "one_feature": others[:1]}
        return {n: against_best([own], some)[0].pointwise for n, some in known.items()}

    def as_input(self, *, compared=True):
        """As the checks see it; without differences to baselines if none of them asks."""
        spec, part = spec_of_networks(), self.predictions.part("oof")
        record = {
            "estimates": {n: e.to_dict() for n, e in estimates_of(part, spec.estimands).items()},
            "best_epochs": self.best, "last_epochs": self.last, "incidents": self._warnings(),
        }  # fmt: skip
        differences = self._differences() if compared else {}
        return CheckInput.of(spec, record, self.predictions, differences=differences)
