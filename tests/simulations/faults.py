"""What can be wrong with a run, planted into healthy ones: what each check should find."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from tests.simulations.generators import autoregressive
from tests.simulations.rare_events import (
    DAYS,
    DENSITY,
    FOLDS,
    GAP,
    GRID,
    PATIENCE,
    SEEN,
    TIMES,
    curve,
)

WORSE = 0.05
"""How much lower the AUC of a network is that is worse than its baselines."""
DRIFT = 0.17
"""How much higher the base rate of measured days is after a drift."""


def _scores(change):
    """A fault of the scores, on training days as well."""

    def fault(made):
        made.score, made.trained = change(made.score), change(made.trained)

    return fault


def _blind(made):
    made.score = autoregressive(made.rng, DAYS, TIMES[made.setting.time][0])


def _weaker(made):
    now, then = (norm.ppf(auc) for auc in (made.setting.auc - WORSE, made.setting.auc))
    made.score = made.sees(SEEN * now / then)


def _drift(made):
    a, b, c = curve(made.setting)
    odds, first = b * made.latent + c * made.unseen, made.measured[0]
    spread, rate = np.sqrt(b**2 + c**2), made.setting.base_rate + DRIFT
    a = brentq(lambda a: DENSITY @ expit(a + spread * GRID) - rate, -20, 5)
    later = (made.rng.random(DAYS) < expit(a + odds)).astype(np.uint8)
    made.y = np.where(np.arange(DAYS) >= first, later, made.y)


def _volatility(made):
    a, b, c = curve(made.setting)
    mirrored = expit(a + b * made.latent + c * made.unseen)
    made.mirror = (made.rng.random(DAYS) < mirrored).astype(np.uint8)


def _first_epoch(made):
    made.best, made.last = [1] * FOLDS, [1 + PATIENCE] * FOLDS


def _diverged(made):
    for history in made.history:
        history += [{**history[-1], "train_loss": 1.5 + 0.1 * k} for k in range(15)]


def _memorised(made):
    made.score = made.score + made.rng.standard_normal(DAYS)
    made.trained = made.trained + 3 * (made.y - made.setting.base_rate)


def _overlap(made):
    for fold in made.rows:
        first = fold["oof"][0]
        fold["train"] = np.concatenate([fold["train"], np.arange(first - GAP, first)])


def _narrow(score):
    return score.mean() + (score - score.mean()) / 10


# ---------------------------------------------------------------------------------------------- texts


def _duplicates(made):
    made.shared = int(made.rng.poisson(0.05 * len(made.frame) / 2))


def _one_answer(made):
    made.scores[:, 0] += 40


def _noisy(made):
    made.scores = made.scores + 3 * made.rng.standard_normal(made.scores.shape)


def _shuffled(made):
    made.scores = made.scores[made.rng.permutation(len(made.scores))]


def _shuffled_and_wide(made):
    _shuffled(made)
    made.scores = 2 * made.scores


def _dialects(made):
    number = (pl.int_range(pl.len()).over("split", "group") // 30).cast(pl.String)
    made.frame = made.frame.with_columns(group=pl.col("group") + "-" + number)


def _lacking(made):
    rarest = int(np.bincount(made.frame["y"]).argmin())
    kept = ~((made.frame["group"] == "l0") & (made.frame["y"] == rarest)).to_numpy()
    made.frame, made.scores, made.linear = (
        one.filter(kept) if isinstance(one, pl.DataFrame) else one[kept]
        for one in (made.frame, made.scores, made.linear)
    )


def _rising(made):
    made.history["val_loss"] = made.history["val_loss"] + 0.1 * np.maximum(np.arange(10) - 3, 0)
    made.best = 10


def _broken_off(made):
    made.history["train_loss"] = made.history["train_loss"] * np.repeat([1, 5], [8, 2])


def _doubtful(made):
    language, sure = made.frame["group"].to_numpy(), made.frame["group_confidence"].to_numpy()
    low = made.rng.beta(6, 4, len(sure)).astype(np.float32)
    made.frame = made.frame.with_columns(
        group_confidence=pl.Series(np.where(language == "l0", low, sure))
    )


@dataclass(frozen=True)
class Fault:
    """What is wrong with a run that was healthy, in words and as a change of it."""

    says: str
    plant: Callable[[Any], object]


FAULTS = {
    "TRU001": Fault("logits a tenth as wide as calibrated ones", _scores(_narrow)),
    "TRU002": Fault("probabilities taken for logits", _scores(expit)),
    "TRU003": Fault("scores that know nothing", _blind),
    "TRU004": Fault(f"an AUC {WORSE} below that of five equal baselines", _weaker),
    "TRU006": Fault("probabilities taken for logits", _scores(expit)),
    "TRU007": Fault("the same score for every day", _scores(lambda score: 0 * score - 1)),
    "TRU008": Fault(f"a base rate that is {100 * DRIFT:g} points higher on measured days", _drift),
    "TRU009": Fault(f"an AUC {WORSE} below that of one feature", _weaker),
    "TRU010": Fault("a mirror target that is as probable each day as the target", _volatility),
    "TRU011": Fault("log-odds that are 2 too high", _scores(lambda score: score + 2)),
    "TRU013": Fault("the first epoch the best in all folds", _first_epoch),
    "TRU014": Fault("a training loss that triples for 15 epochs", _diverged),
    "TRU015": Fault("noise of standard deviation 1 in the logits of new days, and training labels "
                    "that are known", _memorised),
    "TRU017": Fault("training days up to the measured ones", _overlap),
    "TRU101": Fault("5 % of the measured texts among the training ones", _duplicates),
    "TRU102": Fault("one class that is always predicted", _one_answer),
    "TRU103": Fault("noise in the logits that the baseline does not have", _noisy),
    "TRU104": Fault("the logits of other texts", _shuffled),
    "TRU105": Fault("each language cut into dialects of 30 texts", _dialects),
    "TRU106": Fault("the largest language without its rarest class", _lacking),
    "TRU107": Fault("the logits of other texts, twice as wide", _shuffled_and_wide),
    "TRU108": Fault("a validation loss that rises by 0.1 an epoch from the fifth one", _rising),
    "TRU109": Fault("a training loss that is five times as high in the last two epochs",
                    _broken_off),
    "TRU110": Fault("a detector that is sure to .6 in the mean in one language", _doubtful),
}  # fmt: skip
"""By the check that should find it."""
