"""Healthy runs, simulated: calibrated scores of rare events, and calibrated classifiers of texts.

Nothing is wrong with any of them, so every finding about one is a false alarm. Seeded: the same
seed gives the same run.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from tests.evaluation.cases import compare_slices
from trueness.checks import CheckInput
from trueness.evaluation.joint_draws import auc_draws
from trueness.evaluation.resampling import mean_difference
from trueness.fit.guard import incidents
from trueness.judge.measured import estimates_of
from trueness.predictions import Predictions
from trueness.spec import Spec
from trueness.spec.titles import TitlesSpec

FOLDS, TRAIN, INNER, OOF, GAP = 3, 2000, 300, 500, 5
"""Folds of a walk-forward test, and days of each part."""
MEMORY = 0.97
"""Correlation of one day's regime with the next: a half-life of a month."""
EPOCHS, PATIENCE = 50, 10
GRID = np.linspace(-8, 8, 1601)


@dataclass(frozen=True)
class RareEvents:
    """Scores that are the exact log-odds of an event, given what the model sees.

    With regimes, the log-odds and what the model sees of them persist for weeks.
    """

    base_rate: float
    auc: float
    regimes: bool

    @property
    def name(self):
        how = "regimes" if self.regimes else "independent days"
        return f"base rate {100 * self.base_rate:g} %, AUC {self.auc:g}, {how}"


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


SETTINGS = (
    *(
        RareEvents(rate, auc, r)
        for rate in (0.05, 0.2)
        for auc in (0.65, 0.75)
        for r in (False, True)
    ),
    Texts(5, (600, 300, 200, 150)),
    Texts(20, (1500, 700, 400, 250, 150, 110, 80, 60, 40, 25), absent=True),
)
SEEN = 0.8
"""Correlation of what the model sees with what decides."""


def healthy_run(setting, seed):
    """One run as the checks see it."""
    rng = np.random.default_rng([seed, SETTINGS.index(setting)])
    return (_event if isinstance(setting, RareEvents) else _texts)(setting, rng)


# ---------------------------------------------------------------------------------------- rare events


def _mean_odds(seen, a, b):
    """P(event | what is seen): the unseen rest of a standard normal is integrated out."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    rest = np.sqrt(1 - SEEN**2) * nodes
    return expit(a + b * (SEEN * seen[..., None] + rest)) @ (weights / weights.sum())


@cache
def curve(base_rate, auc):
    """Intercept and slope of the log-odds that give this base rate, and this AUC of the score."""
    density = norm.pdf(GRID) / norm.pdf(GRID).sum()

    def intercept(b):
        return brentq(lambda a: density @ _mean_odds(GRID, a, b) - base_rate, -20, 5)

    def found_auc(b):
        p = _mean_odds(GRID, intercept(b), b)
        positive, negative = density * p / base_rate, density * (1 - p) / (1 - base_rate)
        return float(positive @ (np.cumsum(negative) - negative / 2))

    b = brentq(lambda b: found_auc(b) - auc, 0.05, 8)
    return intercept(b), b


def _series(rng, n, regimes):
    """Standard normals, (n,); persistent with regimes."""
    steps = rng.standard_normal(n)
    if not regimes:
        return steps
    out = np.empty(n)
    out[0] = steps[0]
    for i in range(1, n):
        out[i] = MEMORY * out[i - 1] + np.sqrt(1 - MEMORY**2) * steps[i]
    return out


@cache
def event_spec():
    """Spec of the simulated networks."""
    return Spec.model_validate({
        "task": {"kind": "market", "bars": "simulated"},
        "model": {"kind": "patchtst"},
        "recipe": {"epochs": EPOCHS, "patience": PATIENCE},
        "evaluation": {"protocol": "walk_forward", "start": "2010-01-04"},
    })  # fmt: skip


def _event(setting, rng):
    a, b = curve(setting.base_rate, setting.auc)
    n = TRAIN + INNER + FOLDS * OOF + 3 * GAP
    decides = _series(rng, n, setting.regimes)
    seen = SEEN * decides + np.sqrt(1 - SEEN**2) * _series(rng, n, setting.regimes)
    y = (rng.random(n) < expit(a + b * decides)).astype(np.uint8)
    mirror = rng.random(n) < expit(
        logit(setting.base_rate) + 0.5 * _series(rng, n, setting.regimes)
    )
    score = logit(_mean_odds(seen, a, b))
    frames, warnings, best, last = [], [], [], []
    for fold in range(FOLDS):
        rows = _rows_of_fold(fold)
        optimism = 0.12 * (y - expit(score))
        frames += [
            _days(part, fold, span, y, mirror, score + optimism * (part == "train"))
            for part, span in rows.items()
        ]
        kept, found = _trained(score[rows["validation"]], rng, fold)
        best.append(kept)
        last.append(min(kept + PATIENCE, EPOCHS))
        warnings += found
    predictions, spec = Predictions(pl.concat(frames)), event_spec()
    part = predictions.part("oof")
    estimates = {n: e.to_dict() for n, e in estimates_of(part, spec.estimands).items()}
    record = {
        "estimates": estimates,
        "best_epochs": best,
        "last_epochs": last,
        "incidents": warnings,
    }
    known = {
        name: _weaker(seen, share, rng) for name, share in (("best", 0.8), ("one_feature", 0.6))
    }
    oof = np.concatenate([_rows_of_fold(fold)["oof"] for fold in range(FOLDS)])
    return CheckInput.of(
        spec, record, predictions, differences=_differences(part, known, oof, spec.estimands)
    )


def _rows_of_fold(fold):
    """Days of each part: the training grows, the rest moves on."""
    end = TRAIN + fold * OOF
    inner = end + GAP
    first = inner + INNER + GAP
    spans = {"train": (0, end), "validation": (inner, inner + INNER), "oof": (first, first + OOF)}
    return {part: np.arange(*span) for part, span in spans.items()}


def _days(part, fold, rows, y, mirror, score):
    when = np.busday_offset("2000-01-03", rows, roll="forward").astype("datetime64[D]")
    return pl.DataFrame({
        "split": [part] * len(rows), "fold": np.full(len(rows), fold, np.int16),
        "id": when.astype(str), "time": when, "y": y[rows],
        "y_mirror": mirror[rows].astype(np.uint8), "score": score[rows].astype(np.float32),
    })  # fmt: skip


def _trained(score, rng, fold):
    """Best epoch of a training whose scores spread to what they are, and the monitor's warnings."""
    best = int(rng.integers(6, 30))
    rows = []
    for epoch in range(1, best + PATIENCE + 1):
        grown = 1 - np.exp(-epoch / 2)
        prob = expit(score.mean() + grown * (score - score.mean()))
        rows.append({
            "train_loss": 0.5 - 0.1 * grown + 0.002 * rng.standard_normal(),
            "val_loss": 0.5 - 0.08 * grown + 0.004 * rng.standard_normal(),
            "val_auc": 0.5 + 0.2 * grown, "val_low": float(prob.min()),
            "val_high": float(prob.max()), "val_alarm_share": float((prob >= 0.5).mean()),
        })  # fmt: skip
    return best, [{"fold": fold, **one.to_dict()} for one in incidents(rows, event_spec())]


def _weaker(seen, share, rng):
    """Scores of a baseline that sees part of what the network sees."""
    return share * seen + np.sqrt(1 - share**2) * rng.standard_normal(len(seen))


def _differences(part, baselines, rows, rule):
    blocks = part.blocks(rule.block)
    own, *others = auc_draws(
        part.y, [part.score, *(one[rows] for one in baselines.values())], blocks=blocks
    )
    return {
        name: mean_difference([own], [other]).estimate(rule.confidence)
        for name, other in zip(baselines, others, strict=True)
    }


# ---------------------------------------------------------------------------------------------- texts


@cache
def texts_spec():
    """Spec of the simulated encoders."""
    return TitlesSpec.model_validate({
        "task": {"kind": "titles", "corpus": "simulated"},
        "model": {"kind": "encoder"}, "recipe": {"epochs": 10},
    })  # fmt: skip


def _texts(setting, rng):
    k = setting.classes
    common = 1 / np.arange(1, k + 1) ** 0.7
    names = np.array([f"l{i}" for i in range(len(setting.languages))])
    frames, weaker, counts = [], {}, np.zeros(k)
    shares = [_share(common, size, setting.absent, rng) for size in setting.languages]
    for split in ("validation", "test"):
        parts, other = [], []
        for name, size, share in zip(names, setting.languages, shares, strict=True):
            parts.append(_of_language(split, name, size, share, setting.skill, rng))
            other.append(_predicted_by_linear(parts[-1], rng))
        frames += parts
        weaker[split] = np.concatenate(other)
    for size, share in zip(setting.languages, shares, strict=True):
        counts += rng.multinomial(10 * size, share)
    frame = pl.concat(frames)
    frame = frame.with_columns(pl.col("cluster").rank("dense").cast(pl.Int64))
    predictions = Predictions(frame, classes=tuple(f"c{i}" for i in range(k)))
    best, history = _history(rng)
    nothing = {"ids": 0, "clusters": 0, "texts": int(rng.poisson(0.001 * len(frame)))}
    record = {
        "estimates": {}, "best_epoch": best,
        "training": {"classes": counts.tolist(), "shared": dict.fromkeys(("validation", "test"), nothing)},
    }  # fmt: skip
    spec = texts_spec()
    differences = _difference_to_linear(predictions, weaker, spec.estimands)
    return CheckInput.of(spec, record, predictions, history, differences=differences)


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
    noise = np.sqrt(0.5) * (rng.standard_normal((size, len(share)))[cluster]
                            + rng.standard_normal((size, len(share))))  # fmt: skip
    seen = skill * np.eye(len(share))[y] + noise
    scores = np.log(np.maximum(share, 1e-4)) + skill * seen - skill**2 / 2
    sure = np.where(rng.random(size) < 0.5, 1.0, rng.beta(12, 1, size))
    return pl.DataFrame({
        "split": [split] * size, "fold": np.zeros(size, np.int16),
        "id": [f"{split}-{name}-{i}" for i in range(size)], "group": [name] * size,
        "group_confidence": sure.astype(np.float32),
        "cluster": [f"{split}-{name}-{i}" for i in cluster], "y": y.astype(np.int16),
        "scores": pl.Series(scores.astype(np.float32), dtype=pl.Array(pl.Float32, len(share))),
    })  # fmt: skip


def _predicted_by_linear(frame, rng):
    """Classes that a baseline predicts: the scores of the run with noise."""
    scores = frame["scores"].to_numpy().astype(np.float64)
    return (scores + 1.2 * rng.standard_normal(scores.shape)).argmax(axis=1)


def _history(rng):
    """Ten epochs: the training loss falls, the validation loss falls and rises a little."""
    epoch = np.arange(1, 11)
    score = 0.8 - 0.4 * np.exp(-epoch / 2) + 0.005 * rng.standard_normal(10)
    val = 0.6 + 0.8 * np.exp(-epoch) + 0.008 * epoch + 0.01 * rng.standard_normal(10)
    return int(score.argmax()) + 1, pl.DataFrame({
        "epoch": epoch, "updates": 500 * epoch, "skipped": np.cumsum(rng.poisson(1, 10)),
        "train_loss": 0.2 + 1.2 * np.exp(-epoch / 3) + 0.01 * rng.standard_normal(10),
        "val_loss": val, "macro_f1": score,
    })  # fmt: skip


def _difference_to_linear(predictions, weaker, rule):
    part = predictions.frame.filter(pl.col("split") == rule.measured_on)
    order = part.with_row_index("row").sort("id", maintain_order=True)["row"].to_numpy()
    one = predictions.part(rule.measured_on)
    found = compare_slices(
        one.y, one.scores.argmax(axis=1), weaker[rule.measured_on][order], one.group,
        one.blocks(rule.block), n_classes=len(one.classes), min_rows=rule.min_rows,
    ).summaries["mean_group"].pointwise  # fmt: skip
    return {"best": found, "tfidf_logit": found}
