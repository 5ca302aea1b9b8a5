"""What is known of a run on texts before it is used: temperatures, thresholds, their precision.

All of it was learnt on the validation part, whose texts the run was not trained on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from trueness.document.numbers import listed, percent, share
from trueness.errors import StoreError
from trueness.evaluation.backing_off import (
    answered_level,
    backing_off_thresholds,
    hits_and_tops,
    largest_certified,
)
from trueness.evaluation.clusters import clustered_shares
from trueness.evaluation.group_calibration import AbstentionThreshold, GroupTemperatures
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.levels import Level, levels_of
from trueness.spec.titles import TitlesSpec
from trueness.store import Run

Array = NDArray[np.float64]
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ClassPromise:
    """What a bundle on texts promises.

    Attributes
    ----------
    measured_on : str
        Part on which it was learnt.
    n : int
        Its texts.
    classes : tuple of str
        In the order of the logits.
    precision : float or None
        That answers of each language with a certified threshold keep; None where all texts are
        answered.
    base_rate : Estimate
        Share of all texts whose label is right, also those that would be abstained on.
    temperatures : GroupTemperatures
    thresholds : dict of str to AbstentionThreshold
        By language; empty without a precision.
    joiner : str or None
        Between the levels of classes that are paths.
    parents : tuple of dict of str to AbstentionThreshold
        Of each level above the leaves, the nearest first: the cut of texts that the cuts below
        leave open.
    languages : dict of str to int
        Texts of each in that part.
    certifiable : dict of str to float
        Languages that abstain -> the largest precision that would have been certified, in whole
        percent; without those that have none. Optimistic, as the best of many.
    notes : tuple of str
    """

    measured_on: str
    n: int
    classes: tuple[str, ...]
    precision: float | None
    base_rate: Estimate
    temperatures: GroupTemperatures
    thresholds: dict[str, AbstentionThreshold]
    languages: dict[str, int]
    joiner: str | None = None
    parents: tuple[dict[str, AbstentionThreshold], ...] = ()
    certifiable: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def levels(self) -> tuple[Level, ...]:
        """Levels above the leaves."""
        return levels_of(self.classes, self.joiner)

    @property
    def promised(self) -> float:
        """Precision below which the promise is broken: the certified one, else the lower bound."""
        return self.precision if self.precision is not None else self.base_rate.low or 0.0

    @property
    def expected(self) -> Estimate:
        """Precision of the answers on the validation part."""
        every = [t for thresholds in (self.thresholds, *self.parents) for t in thresholds.values()]
        kept = [t.precision for t in every if t.threshold is not None]
        if self.precision is None:
            return self.base_rate
        return Estimate.proportion(sum(one.k or 0 for one in kept), sum(one.n for one in kept))

    @property
    def expectation(self) -> str:
        """The same in words."""
        return share(self.expected) if self.expected.n else "unknown, as all texts abstained there"

    @property
    def abstaining(self) -> list[str]:
        """Languages of which no text would be answered."""
        if self.precision is None:
            return []
        thresholds = (self.thresholds, *self.parents)
        return [n for n in self.thresholds if all(one[n].threshold is None for one in thresholds)]

    @property
    def abstains(self) -> bool:
        """Whether no text of any language would be answered."""
        return self.precision is not None and len(self.abstaining) == len(self.thresholds)

    @property
    def headline(self) -> str:
        """Who abstains, and what precision could be certified; empty where nobody does."""
        lost = [self._with_certifiable(name) for name in self.abstaining]
        if self.precision is None or not (lost or self.abstains):
            return ""
        asked = f"{percent(self.precision)} %"
        if not self.abstains:
            return f"{asked} is certified for none of {listed(lost, 20)}, which abstain"
        where = f": {listed(lost, 20)}" if self.certifiable else ", nor is any lower precision"
        return f"{asked} is certified for no language{where}"

    @property
    def caution(self) -> str:
        """That nothing is certified; empty where something is."""
        return "not certified" if self.precision is None else ""

    def _with_certifiable(self, name: str) -> str:
        """A language, with the largest precision that it could have."""
        most = self.certifiable.get(name)
        note = _named(name, self.thresholds[name])
        return note if most is None else f"{note} (at most {percent(most)} %)"

    def probabilities(self, logits: Array, languages: NDArray[np.str_]) -> Array:
        """Calibrated probabilities (n, K)."""
        return self.temperatures.probabilities(logits, languages)

    def backed_off(
        self, probabilities: Array, languages: NDArray[np.str_]
    ) -> tuple[NDArray[np.int64], NDArray[np.str_], Array]:
        """What is answered: level (n,), 0 for leaves and -1 for none; name, and its probability.

        Where nothing is, name and probability are those of the likeliest leaf.
        """
        levels, every = self.levels, np.arange(len(probabilities))
        places = probabilities.argmax(axis=1)
        _, tops = hits_and_tops(places, probabilities, levels)
        level = answered_level(tops, languages, (self.thresholds, *self.parents))
        names = np.array(self.classes, object)[places]
        top = probabilities[every, places]
        for depth, one in enumerate(levels, 1):
            here = level == depth
            names[here] = np.array(one.classes, object)[
                one.summed(probabilities[here]).argmax(axis=1)
            ]
            top = np.where(here, tops[depth], top)
        return level, names.astype(np.str_), top

    def is_right(self, label: object, y: object) -> bool:
        """Whether an answer, a class or a parent of classes, holds for a text of a class."""
        return y == label or (
            self.joiner is not None and str(y).startswith(f"{label}{self.joiner}")
        )

    def summary(self) -> list[str]:
        """What it promises, in sentences."""
        if self.precision is None:
            return [f"Every text is answered; {share(self.base_rate)} are right on the "
                    f"{self.measured_on} part"]  # fmt: skip
        certified = f"certified for {percent(self.precision)} %"
        result = [
            f"{_named(name, one)}: answers from a probability of {one.threshold:.3f} on, which "
            f"takes {share(one.accepted)}; {_certificate(one, certified)}"
            for name, one in self.thresholds.items() if one.threshold is not None
        ]  # fmt: skip
        lost = [self._with_certifiable(name) for name, one in self.thresholds.items()
                if one.threshold is None]  # fmt: skip
        abstain = "; these abstain" if not self.parents else ""
        if lost:
            result.append(f"No threshold is {certified} in {', '.join(lost)}{abstain}")
        if self.certifiable:
            result.append(
                "The largest precisions are the best of many on these texts, so optimistic"
            )
        return [*result, *self._summary_of_parents(certified)]

    def _summary_of_parents(self, certified: str) -> list[str]:
        """Cuts of texts that are left open below."""
        result = []
        for level, thresholds in zip(self.levels, self.parents, strict=True):
            some = {name: one for name, one in thresholds.items() if one.threshold is not None}
            for name, one in some.items():
                result.append(
                    f"{_named(name, one)}: else the class of level {level.depth}, from "
                    f"{one.threshold:.3f} on, which takes {share(one.accepted)} more; "
                    f"{_certificate(one, certified)}"
                )
            if lost := [_named(*item) for item in thresholds.items() if item[0] not in some]:
                result.append(f"No threshold of level {level.depth} is {certified} in "
                             f"{', '.join(lost)}")  # fmt: skip
        return result

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "measured_on": self.measured_on, "n": self.n, "classes": list(self.classes),
            "precision": self.precision, "promised": self.promised,
            "base_rate": self.base_rate.to_dict(), "temperatures": self.temperatures.to_dict(),
            "thresholds": {name: one.to_dict() for name, one in self.thresholds.items()},
            "joiner": self.joiner,
            "parents": [
                {"depth": level.depth, "classes": list(level.classes), "of": level.of.tolist(),
                 "thresholds": {name: one.to_dict() for name, one in thresholds.items()}}
                for level, thresholds in zip(self.levels, self.parents, strict=False)
            ],
            "languages": self.languages, "certifiable": dict(self.certifiable),
            "notes": list(self.notes),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain types."""
        read = AbstentionThreshold.from_dict
        return cls(
            content["measured_on"], content["n"], tuple(content["classes"]), content["precision"],
            Estimate.from_dict(content["base_rate"]),
            GroupTemperatures.from_dict(content["temperatures"]),
            {name: read(one) for name, one in content["thresholds"].items()},
            dict(content["languages"]), content["joiner"],
            tuple({name: read(one) for name, one in level["thresholds"].items()}
                  for level in content["parents"]),
            dict(content["certifiable"]), tuple(content["notes"]),
        )  # fmt: skip


def _named(name: str, one: AbstentionThreshold) -> str:
    """A language, or the languages that share a threshold."""
    return f"{name} ({listed(list(one.pooled))})" if one.pooled else name


def _certificate(one: AbstentionThreshold, certified: str) -> str:
    if not one.guaranteed:
        return "not certified, too few texts"
    return f"{certified}{' for these together, in these proportions' if one.pooled else ''}"


def class_promise_of(
    run: Run[TitlesSpec], precision: float | None = None, confidence: float = CONFIDENCE
) -> ClassPromise:
    """Learn from the scores of a run on its validation part.

    Its epoch was chosen there as well, which the promise does not know of.

    Parameters
    ----------
    run : Run
        On titles.
    precision : float, optional
        In (0, 1): answers of a language abstain below the probability at which the validation part
        certifies that precision; without it every text is answered.
    confidence : float
        Of the certificates.

    Raises
    ------
    StoreError
        If the record has no temperatures.
    InputError
        With code ``range`` for a precision outside (0, 1).
    """
    rule = run.spec.estimands
    part, temperatures = run.predictions().part(rule.measured_on), temperatures_of(run)
    group = part.group
    assert group is not None
    probabilities = temperatures.probabilities(part.scores, group)
    joiner = run.record.get("joiner")
    levels = levels_of(run.record["classes"], joiner)
    units = part.y, probabilities, group, levels, part.blocks()
    how = {"confidence": confidence, "min_rows": rule.min_rows}
    result, most = {}, {}
    if precision is not None:
        result = backing_off_thresholds(*units, precision=precision, **how)
        most = largest_certified(*units, below=precision, **how)
    thresholds = [
        {name: chain[d] for name, chain in result.items()} for d in range(1 + len(levels))
    ]
    right, every = probabilities.argmax(axis=1) == part.y, np.zeros(len(part), np.int64)
    (k,), (n,), (low,), (high,) = clustered_shares(right, every, part.blocks().item, 1)
    return ClassPromise(
        rule.measured_on, len(part), tuple(run.record["classes"]), precision,
        Estimate(float(k / n), float(low), float(high), int(n), int(k)), temperatures,
        thresholds[0], dict(sorted(Counter(group.tolist()).items())), joiner,
        () if precision is None else tuple(thresholds[1:]), most,
    )  # fmt: skip


def temperatures_of(run: Run[TitlesSpec]) -> GroupTemperatures:
    """Temperatures that a run fitted on its validation part.

    Raises
    ------
    StoreError
        If the record does not have them.
    """
    try:
        return GroupTemperatures.from_dict(run.record["temperatures"])
    except (KeyError, TypeError):
        raise StoreError(f"{run.key}: the record has no temperatures; run it again") from None
