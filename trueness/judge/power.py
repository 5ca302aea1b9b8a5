"""What so many units can show, told before anything is trained on them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
from scipy.special import ndtri

from trueness.document import Column, Document, Items, Table
from trueness.document.numbers import count, decimal, percent, plain, plural
from trueness.errors import TruenessError, at_least
from trueness.evaluation.inputs import between
from trueness.evaluation.power import (
    MOST,
    POWER,
    alarms_needed,
    auc_standard_error,
    detectable_auc_difference,
    detectable_precision,
    lucky_hits,
)
from trueness.judge.judgement import SCHEMA

LIFTS = (0.05, 0.1, 0.15, 0.2, 0.3)
"""True precisions above the one to certify, for which the alarms are counted."""


@dataclass(frozen=True)
class Question:
    """What is planned.

    Attributes
    ----------
    positives, samples : int
        Of the part that will judge.
    candidates : int
        Models that will be compared there.
    alarms : int
        Budget at which precisions are compared.
    precision : float
        To be certified.
    auc : float
        Where the models are expected to lie.
    correlation : float
        Of the AUCs of two models on the same units.
    confidence, power : float

    Raises
    ------
    TruenessError
        With code ``plan``, if the numbers do not go together.
    """

    positives: int
    samples: int
    candidates: int = 1
    alarms: int = 30
    precision: float = 0.6
    auc: float = 0.7
    correlation: float = 0.5
    confidence: float = 0.95
    power: float = POWER

    def __post_init__(self) -> None:
        for name, least in (("positives", 2), ("samples", 2), ("candidates", 1), ("alarms", 1)):
            at_least(f"--{name}", getattr(self, name), least, MOST)
        if self.positives >= self.samples:
            raise TruenessError(
                f"{self.positives} positives among {self.samples} samples: fewer are needed", "plan"
            )
        if self.alarms > self.samples:
            raise TruenessError(
                f"{self.alarms} alarms on {self.samples} samples: one each at most", "plan"
            )
        for name in ("precision", "auc", "confidence", "power"):
            between(f"--{name}", getattr(self, name))
        between("--correlation", self.correlation, -1.0)


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
            [Items(plan_sentences(self.numbers)), *table],
            f"{plural(asked.samples, 'unit')}, {plural(asked.positives, 'positive')}; "
            f"{plural(asked.candidates, 'model')}",
        )


def plan_power(asked: Question) -> PowerPlan:
    """What so many units can show.

    Examples
    --------
    >>> found = plan_power(Question(76, 422, 183)).numbers
    >>> [round(found["auc_difference"][who], 2) for who in ("one", "all")]
    [0.1, 0.16]
    """
    return PowerPlan(asked, numbers_of(asked))


def numbers_of(asked: Question) -> dict[str, Any]:
    """All numbers of a plan, with the question itself.

    Returns
    -------
    dict
        ``base_rate``; ``auc_standard_error, auc_half_width`` of one AUC; ``auc_difference`` and
        ``precision_above_base_rate``, the smallest that are detectable, for ``one`` model and
        adjusted for ``all``; ``alarms_to_certify`` by true precision; ``maximum_under_null``, hits
        that the best of all models reaches by chance half of the time (``median``) and rarely
        (``upper``), by true precision.
    """
    base, error = asked.positives / asked.samples, 1 - asked.confidence
    levels = {"one": error, "all": error / asked.candidates}
    negatives = asked.samples - asked.positives
    spread = auc_standard_error(asked.auc, asked.positives, negatives)
    truths = [asked.precision + lift for lift in LIFTS if asked.precision + lift < 1]
    return {
        **asdict(asked),
        "base_rate": base,
        "auc_standard_error": spread,
        "auc_half_width": float(-ndtri(error / 2) * spread),
        "auc_difference": {
            who: detectable_auc_difference(
                asked.auc, asked.positives, negatives, correlation=asked.correlation, candidates=m,
                confidence=asked.confidence, power=asked.power,
            )
            for who, m in (("one", 1), ("all", asked.candidates))
        },
        "precision_above_base_rate": {
            who: detectable_precision(asked.alarms, base, level=level, power=asked.power)
            for who, level in levels.items()
        },
        "alarms_to_certify": [_needed(asked, truth, levels) for truth in truths],
        "maximum_under_null": [
            _maximum(asked, truth) for truth in sorted({base, asked.precision})
        ],
    }  # fmt: skip


def _needed(asked: Question, truth: float, levels: dict[str, float]) -> dict[str, Any]:
    needed = {
        who: alarms_needed(asked.precision, truth, level=level, power=asked.power)
        for who, level in levels.items()
    }
    return {"truth": round(truth, 6), **needed}


def _maximum(asked: Question, truth: float) -> dict[str, Any]:
    """Hits of the best of all models that chance alone brings half of the time, and rarely."""
    hits = {
        name: lucky_hits(asked.alarms, truth, models=asked.candidates, probability=probability)
        for name, probability in (("median", 0.5), ("upper", 1 - asked.confidence))
    }
    return {"truth": truth, **hits}


def power_of(
    positives: int, n: int, candidates: int, alarms: int, confidence: float
) -> dict[str, Any] | None:
    """`numbers_of` for known units; None if nothing can be compared on them."""
    if not 2 <= positives < n or candidates < 1:
        return None
    return numbers_of(Question(positives, n, candidates, min(alarms, n), confidence=confidence))


# ---------------------------------------------------------------------------------------- in words


def power_sentences(found: dict[str, Any], unit: str = "unit") -> list[str]:
    """What units can show, in three short sentences.

    Examples
    --------
    >>> for line in power_sentences(power_of(620, 3019, 6, 30, 0.95), "day"):
    ...     print(line)
    Power: minimum detectable AUC difference 0.035 (6 models: 0.044), on 3,019 days with 620 positives.
    Minimum detectable precision@30: 43 % (6 models: 49 %), base rate 21 %.
    By chance alone, the best of 6 models reaches 9/30 half the time, 12/30 in 5 % of cases.
    """  # noqa: E501
    difference, lift = found["auc_difference"], found["precision_above_base_rate"]
    n, m = found["alarms"], found["candidates"]
    at_base = min(
        found["maximum_under_null"], key=lambda one: abs(one["truth"] - found["base_rate"])
    )
    what = f"the best of {plural(m, 'model')}" if m > 1 else "one model"
    return [
        f"Power: minimum detectable AUC difference {decimal(difference['one'])}"
        + _adjusted(found, decimal(difference["all"]))
        + f", on {plural(found['samples'], unit)} with {plural(found['positives'], 'positive')}.",
        f"Minimum detectable precision@{n}: {_share(lift['one'])}"
        + _adjusted(found, _share(lift["all"]))
        + f", base rate {percent(found['base_rate'])} %.",
        f"By chance alone, {what} reaches {at_base['median']}/{n} half the time, "
        f"{at_base['upper']}/{n} in {_error(found)} of cases.",
    ]


def plan_sentences(found: dict[str, Any]) -> list[str]:
    """A plan in sentences."""
    m, n = found["candidates"], found["alarms"]
    difference, lift = found["auc_difference"], found["precision_above_base_rate"]
    lines = [
        f"base rate {percent(found['base_rate'])} % · {count(found['positives'])}/"
        f"{count(found['samples'])}; confidence {_percent(found['confidence'])}, power "
        f"{_percent(found['power'])}, units taken as independent",
        f"an AUC of {plain(found['auc'])} has a standard error of "
        f"{decimal(found['auc_standard_error'])}, a confidence interval of "
        f"±{decimal(found['auc_half_width'])}",
        "minimum detectable AUC difference of two models on the same units (correlation "
        f"{plain(found['correlation'])}): {decimal(difference['one'])}"
        + _adjusted(found, decimal(difference["all"])),
        f"minimum detectable precision above the base rate at {plural(n, 'alarm')}: "
        f"{_share(lift['one'])}" + _adjusted(found, _share(lift["all"])),
    ]
    for one in found["maximum_under_null"]:
        who = f"the best of {plural(m, 'model')}" if m > 1 else "one model"
        lines.append(
            f"by chance alone, at a true precision of {percent(one['truth'])} %, {who} reaches "
            f"{one['median']}/{n} half the time, {one['upper']}/{n} in {_error(found)} of cases"
        )
    return lines


def _adjusted(found: dict[str, Any], shown: str) -> str:
    """The same adjusted for the number of models, in brackets."""
    return f" ({plural(found['candidates'], 'model')}: {shown})" if found["candidates"] > 1 else ""


def _share(share: float | None) -> str:
    return "none" if share is None else f"{percent(share)} %"


def _percent(share: float) -> str:
    return f"{plain(round(100 * share, 6))} %"


def _error(found: dict[str, Any]) -> str:
    return _percent(1 - found["confidence"])


def _certification(asked: Question, found: dict[str, Any]) -> Table:
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
        for one in found["alarms_to_certify"]
    ]
    title = f"To certify a precision above {percent(asked.precision)} %"
    return Table(columns, rows, title, f"With a power of {_percent(asked.power)}.")
