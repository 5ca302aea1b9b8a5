"""What so many units can show: before anything is trained on them, and once models are judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from trueness.document import Column, Document, Items, Table
from trueness.document.numbers import count, decimal, percent, plain, plural
from trueness.errors import TruenessError, at_least
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.influence import FEWEST
from trueness.evaluation.inputs import between
from trueness.evaluation.power import (
    MOST,
    POWER,
    alarms_needed,
    auc_standard_error,
    best_hits_by_chance,
    detectable_precision,
)
from trueness.evaluation.resolution import Resolution
from trueness.evaluation.simulated_models import Planned, simulated_resolution
from trueness.judge.judgement import SCHEMA

LIFTS = (0.05, 0.1, 0.15, 0.2, 0.3)
"""True precisions above the one to certify, for which the alarms are counted."""
MOST_SIMULATED = 6_000
"""Units that are simulated; of more, errors are scaled by the square root."""


@dataclass(frozen=True)
class Question:
    """What is planned.

    Attributes
    ----------
    positives, samples : int
        Of the part that will judge.
    candidates, baselines : int
        Models that will be compared there.
    alarms : int
        Budget at which precisions are compared.
    precision : float
        To be certified.
    auc : float
        Where the models are expected to lie.
    correlation : float
        Of the scores of two models on units with the same label, 0 or more.
    confidence, power : float

    Raises
    ------
    TruenessError
        With code ``plan``, if the numbers do not go together.
    """

    positives: int
    samples: int
    candidates: int = 1
    baselines: int = 5
    alarms: int = 30
    precision: float = 0.6
    auc: float = 0.7
    correlation: float = 0.5
    confidence: float = 0.95
    power: float = POWER

    def __post_init__(self) -> None:
        least = {"positives": FEWEST, "candidates": 1, "baselines": 0, "alarms": 1}
        for name, smallest in least.items():
            at_least(f"--{name}", getattr(self, name), smallest, MOST)
        at_least("--samples", self.samples, 1, MOST)
        if self.positives > self.samples - FEWEST:
            raise TruenessError(
                f"{self.positives} positives among {self.samples} samples: at least {FEWEST} of "
                "them must be negative", "plan",
            )  # fmt: skip
        if self.alarms > self.samples:
            raise TruenessError(
                f"{self.alarms} alarms on {self.samples} samples: one each at most", "plan"
            )
        for name in ("precision", "confidence", "power"):
            between(f"--{name}", getattr(self, name))
        between("--auc", self.auc, 0.5)
        if not 0 <= self.correlation < 1:
            raise TruenessError(f"--correlation {self.correlation:g}: give 0 up to 1", "range")


@dataclass(frozen=True)
class PowerPlan:
    """All numbers of a plan; see `numbers_of`."""

    question: Question
    numbers: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON: the question, and what follows from it."""
        return {"schema": SCHEMA, "kind": "plan", **self.numbers}

    def to_frame(self) -> pl.DataFrame:
        """Alarms needed to certify, a row per true precision."""
        schema = {"true_precision": pl.Float64, "alarms": pl.Int64, "alarms_adjusted": pl.Int64}
        rows = [
            {"true_precision": one["truth"], "alarms": one["one"], "alarms_adjusted": one["all"]}
            for one in self.numbers["alarms_to_certify"]
        ]
        return pl.DataFrame(rows, schema)

    def document(self) -> Document:
        """Sentences, and how many alarms certify a precision."""
        asked = self.question
        table = [_certification(asked, self.numbers)] if self.numbers["alarms_to_certify"] else []
        return Document(
            "Power analysis",
            [Items(plan_sentences(asked, self.numbers)), *table],
            f"{plural(asked.samples, 'unit')}, {plural(asked.positives, 'positive')}; "
            f"{plural(asked.candidates, 'model')}",
        )


def plan_power(asked: Question) -> PowerPlan:
    """What so many independent units can show.

    Examples
    --------
    >>> result = plan_power(Question(76, 422, 20)).numbers
    >>> round(result["auc_standard_error"], 3), result["alarms_to_certify"][0]["one"]
    (0.036, 585)
    """
    return PowerPlan(asked, numbers_of(asked))


def numbers_of(asked: Question) -> dict[str, Any]:
    """All numbers of a plan, with the question itself.

    Returns
    -------
    dict
        ``base_rate``; ``auc_standard_error, auc_half_width`` of one AUC; those of `Resolution`, of
        simulated models on independent labels; ``alarms_to_certify`` by true precision, for ``one``
        model and adjusted for ``all``.
    """
    error = 1 - asked.confidence
    levels = {"one": error, "all": error / asked.candidates}
    spread = auc_standard_error(asked.auc, asked.positives, asked.samples - asked.positives)
    truths = [asked.precision + lift for lift in LIFTS if asked.precision + lift < 1]
    return {
        **asdict(asked),
        "base_rate": asked.positives / asked.samples,
        "auc_standard_error": spread,
        "auc_half_width": float(-ndtri(error / 2) * spread),
        "minimum_detectable": _of_independent(asked).to_dict(),
        "alarms_to_certify": [_needed(asked, truth, levels) for truth in truths],
    }


def _of_independent(asked: Question) -> Resolution:
    """Of simulated models on labels that do not depend on each other.

    What is about alarms is the exact binomial test, which many units cost nothing.
    """
    positives = min(asked.positives, MOST_SIMULATED // 2)
    negatives = min(asked.samples - asked.positives, MOST_SIMULATED - positives)
    y = np.random.default_rng(0).permutation(np.repeat([1, 0], [positives, negatives]))
    planned = Planned(
        asked.candidates, asked.baselines, min(asked.alarms, len(y)), asked.auc,
        asked.correlation, asked.confidence, asked.power,
    )  # fmt: skip
    result = simulated_resolution(y.astype(np.uint8), Blocks.of(len(y)), planned)
    whole = auc_standard_error(asked.auc, asked.positives, asked.samples - asked.positives)
    scaled = result.scaled(whole / auc_standard_error(asked.auc, positives, negatives))
    base, error = asked.positives / asked.samples, 1 - asked.confidence
    hits = [
        best_hits_by_chance(asked.alarms, base, models=asked.candidates, probability=probability)
        for probability in (0.5, error)
    ]
    precision = detectable_precision(
        asked.alarms, base, level=error / asked.candidates, power=asked.power
    )
    return replace(scaled, precision=precision, median_hits=hits[0], upper_hits=hits[1])


def _needed(asked: Question, truth: float, levels: dict[str, float]) -> dict[str, Any]:
    needed = {
        who: alarms_needed(asked.precision, truth, level=level, power=asked.power)
        for who, level in levels.items()
    }
    return {"truth": round(truth, 6), **needed}


def power_of_labels(
    y: NDArray[np.uint8],
    blocks: Blocks,
    candidates: int,
    alarms: int,
    confidence: float,
    group: object = None,
) -> dict[str, Any] | None:
    """What labels at hand can show about models that are not there yet; None if they are too few.

    Parameters
    ----------
    y : (n,)
        Labels 0 and 1, in the order of time.
    blocks : Blocks
    candidates, alarms : int
    confidence : float
    group : (n,), optional
        Series of a panel.
    """
    positives, n = int(np.count_nonzero(y)), len(y)
    if min(positives, n - positives) < FEWEST or blocks.few:
        return None
    planned = Planned(candidates, alarms=min(alarms, n), confidence=confidence)
    return power_dict(
        n, positives, candidates, planned.baselines, planned.alarms, confidence,
        simulated_resolution(y, blocks, planned, group),
    )  # fmt: skip


def power_dict(
    n: int, positives: int, candidates: int, baselines: int, alarms: int, confidence: float,
    result: Resolution,
) -> dict[str, Any]:  # fmt: skip
    """What units can show, as a leaderboard and a dry run keep it."""
    return {
        "samples": n, "positives": positives, "base_rate": positives / n, "candidates": candidates,
        "baselines": baselines, "alarms": alarms, "confidence": confidence,
        "minimum_detectable": result.to_dict(),
    }  # fmt: skip


# ---------------------------------------------------------------------------------------- in words


def power_sentences(result: dict[str, Any], unit: str = "unit") -> list[str]:
    """What units can show, in a few short sentences.

    Examples
    --------
    >>> resolution = Resolution(0.43, 0.541, 0.045, 0.06, 9, 12)
    >>> for line in power_sentences(power_dict(3019, 620, 6, 5, 30, 0.95, resolution), "day"):
    ...     print(line)
    Minimum detectable with 80 % power, on 3,019 days with 620 positives, for one of 6 models:
    against chance: precision@30 43 % or AUC 0.541 (permuted labels), base rate 21 %.
    against the best of 5 baselines: AUC difference 0.045; against all other candidates: 0.060.
    By chance alone, the best of 6 models reaches 9/30 in half of all cases; 12/30 or more in 5 %.
    """
    best, n, m = result["minimum_detectable"], result["alarms"], result["candidates"]
    lines = [
        f"Minimum detectable with {_percent(best['power'])} power, on "
        f"{plural(result['samples'], unit)} with {plural(result['positives'], 'positive')}"
        + (f", for one of {plural(m, 'model')}:" if m > 1 else ":"),
        f"against chance: precision@{n} {_share(best['precision'])} or AUC "
        f"{_number(best['auc'])} (permuted labels), base rate {percent(result['base_rate'])} %.",
    ]
    others = []
    if best["baseline"]:  # 0 of a leader that ranks as the best baseline does
        of = f"the best of {plural(result['baselines'], 'baseline')}"
        others.append(f"against {of}: AUC difference {decimal(best['baseline'])}")
    if best["siblings"] is not None:
        what = "" if others else "AUC difference "
        others.append(f"against all other candidates: {what}{decimal(best['siblings'])}")
    if others:
        lines.append("; ".join(others) + ".")
    return [*lines, *_lucky(result)]


def _lucky(result: dict[str, Any]) -> list[str]:
    best, n, m = result["minimum_detectable"], result["alarms"], result["candidates"]
    if best["median_hits"] is None or not best["upper_hits"]:  # no alarms, no hits
        return []
    what = f"the best of {plural(m, 'model')}" if m > 1 else "one model"
    return [
        f"By chance alone, {what} reaches {best['median_hits']}/{n} in half of all cases; "
        f"{best['upper_hits']}/{n} or more in {_percent(1 - result['confidence'])}."
    ]


def plan_sentences(asked: Question, result: dict[str, Any]) -> list[str]:
    """A plan in sentences."""
    return [
        f"base rate {percent(result['base_rate'])} % · {count(asked.positives)}/"
        f"{count(asked.samples)}; confidence {_percent(asked.confidence)}, units taken as "
        "independent",
        f"an AUC of {plain(asked.auc)} has a standard error of "
        f"{decimal(result['auc_standard_error'])}, a confidence interval of "
        f"±{decimal(result['auc_half_width'])}",
        *power_sentences(result),
    ]


def _number(value: float | None) -> str:
    return "none" if value is None else decimal(value)


def _share(share: float | None) -> str:
    return "none" if share is None else f"{percent(share)} %"


def _percent(share: float) -> str:
    return f"{plain(round(100 * share, 6))} %"


def _certification(asked: Question, result: dict[str, Any]) -> Table:
    """Alarms needed to certify, by true precision."""
    columns = [
        Column("true\nprecision", "percent", 9),
        Column("alarms needed,\none model", "count", 9),
    ]
    whose = ["one"]
    if asked.candidates > 1:
        title = f"alarms needed,\n{plural(asked.candidates, 'model')}"
        columns.append(Column(title, "count", 9, help="Adjusted for their number."))
        whose.append("all")
    rows = [
        [one["truth"], *("too many" if one[who] is None else one[who] for who in whose)]
        for one in result["alarms_to_certify"]
    ]
    title = f"To certify a precision above {percent(asked.precision)} %"
    return Table(columns, rows, title, f"With a power of {_percent(asked.power)}.")
