"""Certificates of stored runs: every threshold of every run that was evaluated is counted.

See `guarantee` for the bounds and `multiplicity` for which runs share the error. Bounds of a run
are always computed within the batch that it was first certified in, so that asking again gives the
same answer, whatever was certified since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.document import Document
from trueness.document.numbers import count, plural
from trueness.errors import StoreError, TruenessError
from trueness.evaluation.blocks import FEWEST_BLOCKS
from trueness.evaluation.guarantee import (
    Candidate,
    Certificate,
    FamilyBounds,
    ThresholdBound,
    family_bounds,
)
from trueness.evaluation.influence import FEWEST
from trueness.evaluation.inputs import between
from trueness.evaluation.thresholds import ALARM_RATES_PCT, DAYS_PER_YEAR, rate_thresholds
from trueness.judge.access import record_access, versions
from trueness.judge.judgement import SCHEMA
from trueness.judge.multiplicity import (
    VERB,
    Batch,
    Spending,
    batches,
    check_together,
    family,
    next_batch,
    unseen_runs,
)
from trueness.judge.parts import check_binary, check_part, ledger_sentences, units_in_words
from trueness.predictions import Predictions
from trueness.store import AnyStore, Run
from trueness.store.ledger import Ledger, check_opened


@dataclass(frozen=True)
class RunCertificate:
    """The certificate of one run.

    Attributes
    ----------
    run : Run
    name : str
        Its ids, or its key.
    batch : int
        Batch of runs on the part that it was first certified in.
    certificate : Certificate
    years : float or None
        Calendar time of the part; None without times.
    """

    run: Run
    name: str
    batch: int
    certificate: Certificate
    years: float | None

    @property
    def shown(self) -> ThresholdBound | None:
        """The certified threshold, or the one closest to it."""
        return self.certificate.threshold or self.certificate.closest

    @property
    def years_needed(self) -> float | None:
        """Years until the run has the further alarms it needs, at its rate on this part."""
        one = self.certificate
        if one.closest is None or one.more_alarms is None or self.years is None:
            return None
        return one.more_alarms / (one.closest.alarms / self.years)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        content = self.certificate.to_dict()
        if not self.run.estimands.probabilities:
            for row in (*content["tested"], content["threshold"], content["closest"]):
                (row or {}).pop("probability", None)
        return {
            "key": self.run.key, "name": self.name, "label": self.run.record["label"],
            "batch": self.batch, **content, "years_needed": self.years_needed,
        }  # fmt: skip


@dataclass(frozen=True)
class Certificates:
    """Certificates of some runs on one part, and how everything was counted.

    Attributes
    ----------
    part : str
    runs : tuple of RunCertificate
    counted : tuple of str
        Runs whose bounds hold at once in each batch, in words.
    spending : Spending
        What this certification spent.
    campaign : str
        Whose runs were asked for; empty if they were named.
    ledger : tuple of str
    """

    part: str
    runs: tuple[RunCertificate, ...]
    counted: tuple[str, ...]
    spending: Spending
    campaign: str = ""
    ledger: tuple[str, ...] = ()

    @property
    def certified(self) -> bool:
        """Whether any run has a certified threshold."""
        return any(one.certificate.threshold is not None for one in self.runs)

    def to_dict(self) -> dict[str, Any]:
        """Plain types: ``runs``, each with ``threshold`` or ``closest``, and all ``tested``."""
        return {
            "schema": SCHEMA, "kind": "certificates", "measured_on": self.part,
            "certified": self.certified, "counted": list(self.counted),
            "batch": self.spending.batch, "error_spent": self.spending.share,
            "runs": [one.to_dict() for one in self.runs], "ledger": list(self.ledger),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """One row per run and threshold."""
        rows = [_flat(one, row) for one in self.runs for row in one.certificate.tested]
        return pl.from_dicts(rows, infer_schema_length=None) if rows else pl.DataFrame()

    def document(self) -> Document:
        """Which thresholds are certified, what is missing, what the error was shared among."""
        from trueness.judge.certificates_document import document

        return document(self)


def _flat(one: RunCertificate, row: ThresholdBound) -> dict[str, Any]:
    probability = row.probability if one.run.estimands.probabilities else None
    return {
        "key": one.run.key, "name": one.name, "batch": one.batch, "cut": row.cut,
        "probability": probability, "alarms": row.alarms, "hits": row.hits,
        "precision": row.precision.value, "bound": row.bound,
        "effective_sample_size": row.effective, "level": one.certificate.level,
        "certified": row.bound > one.certificate.precision,
    }  # fmt: skip


# ------------------------------------------------------------------------------------ the question


@dataclass(frozen=True)
class Request:
    """A certification that was checked and has recorded nothing yet; see `certification`.

    Attributes
    ----------
    store : Store or MemoryStore
    runs : mapping of str to Run
        By name.
    precision, confidence : float
    part : str
    opened : bool
        Whether a sealed part was opened on purpose.
    campaign : str
    sealed : bool
    family : mapping of str to Run
        Stored runs by key that are certified together with them.
    """

    store: AnyStore
    runs: Mapping[str, Run]
    precision: float
    confidence: float
    part: str
    opened: bool
    campaign: str
    sealed: bool
    family: Mapping[str, Run]

    @property
    def spending(self) -> Spending:
        """What the certification would spend; nothing is recorded."""
        ledger = Ledger(self.store)
        opening = self._opening(ledger)
        return Spending.of(opening, self._holding(ledger), self.part, self.confidence)

    def issue(self) -> Certificates:
        """Record what is spent, and certify.

        Raises
        ------
        StoreError
            With the code ``read_only`` if it cannot be recorded: nothing is certified then.
        """
        ledger, spending = Ledger(self.store), self.spending
        opening = self._opening(ledger)
        if opening is not None:
            self._record(opening)
        forgets = ledger.forgets and opening is not None
        held = [opening] if forgets else self._holding(ledger)
        answers = [_JudgedBatch.of(self, one, unseen_runs(ledger)) for one in held]
        return Certificates(
            self.part,
            tuple(_run_certificate(self, name, run, answers) for name, run in self.runs.items()),
            tuple(one.counted for one in answers), spending, self.campaign,
            tuple(ledger_sentences(self.store, list(self.runs.values()))),
        )  # fmt: skip

    def _holding(self, ledger: Ledger) -> list[Batch]:
        """Batches that hold the runs asked for."""
        keys = {run.key for run in self.runs.values()}
        every = batches(ledger, self.family.values(), self.part)
        return [one for one in every if keys & set(one.keys)]

    def _opening(self, ledger: Ledger) -> Batch | None:
        """Batch that is opened: all of the family that is new, if any run asked for is."""
        held = {key for one in self._holding(ledger) for key in one.keys}
        if held.issuperset(run.key for run in self.runs.values()):
            return None
        return next_batch(ledger, self.family, self.part)

    def _record(self, opening: Batch) -> None:
        new = [self.family[key] for key in opening.keys]
        why = record_access(
            self.store, new, VERB, f"batch {opening.number}", part=self.part, opened=self.opened
        )
        if why:
            raise StoreError(f"a certification that is not counted is none: {why}", "read_only")


def certification(
    store: AnyStore, runs: Mapping[str, Run], precision: float, confidence: float = 0.95, *,
    on: str | None = None, opened: bool = False, campaign: str = "",
) -> Request:  # fmt: skip
    """Check a certification of some runs of a store; its `spending` and `issue` come next.

    Parameters
    ----------
    store : Store or MemoryStore
    runs : mapping of str to Run
        By name; with the same question and protocol, or on the same units.
    precision, confidence : float
    on : str, optional
        Part; the one they are measured on by default.
    opened : bool
        Whether a sealed part was asked for on purpose.
    campaign : str
        Whose runs they are, for the heading.

    Raises
    ------
    TruenessError
        If the runs do not belong together, or the part is sealed, too short or not theirs.
    """
    between("precision", precision)
    between("confidence", confidence, 0.5)
    some = list(runs.values())
    check_together(some)
    part = on or some[0].estimands.measured_on
    sealed = check_opened(some, part, opened)
    for run in some:
        _check_enough(run, part, _part(run, part))
    together = family(store, Ledger(store), some, part, sealed=sealed)
    return Request(store, runs, precision, confidence, part, opened, campaign, sealed, together)


# -------------------------------------------------------------------------------------- the bounds


@dataclass(frozen=True)
class _JudgedBatch:
    """Bounds of the runs asked for that are in one batch, and what they are among, in words."""

    batch: Batch
    parts: Mapping[str, Predictions]
    bounds: Mapping[str, FamilyBounds]
    counted: str

    @classmethod
    def of(cls, asked: Request, batch: Batch, lost: int) -> _JudgedBatch:
        """Runs on the same units are judged jointly; all others are counted in full."""
        runs = {key: asked.family[key] for key in batch.keys if key in asked.family}
        parts = {key: part for key, run in runs.items()
                 if (part := _readable(run, asked.part)) is not None}  # fmt: skip
        tried = {key: versions(run, asked.part) for key, run in runs.items()}
        seen = [key for key in batch.seen if asked.sealed or key not in asked.store]
        gone = len(batch.keys) - len(runs) + len(seen)
        total = sum(tried.values()) + gone * max(tried.values(), default=1) + lost
        keys = [run.key for run in asked.runs.values() if run.key in parts]
        units = {key: part.units() for key, part in parts.items()}
        bounds: dict[str, FamilyBounds] = {}
        for shared in dict.fromkeys(units[key] for key in keys):
            some = [key for key in parts if units[key] == shared]
            result = family_bounds(
                {key: _candidate(runs[key], parts[key]) for key in some}, asked.confidence,
                batch=batch.number, input="score",
                further=(total - len(some)) * len(ALARM_RATES_PCT),
            )  # fmt: skip
            bounds |= dict.fromkeys(some, result)
        return cls(batch, parts, bounds, _in_words(batch.number, len(runs) + gone + lost, total))


def _in_words(number: int, runs: int, total: int) -> str:
    epochs = f" ({count(total)} with the epochs chosen among)" if total > runs else ""
    what = plural(runs, "run") + ", seeds and baselines included" * (runs > 1)
    return f"batch {count(number)}: {what}{epochs}"


def _run_certificate(
    asked: Request, name: str, run: Run, answers: Sequence[_JudgedBatch]
) -> RunCertificate:
    one = next(one for one in answers if run.key in one.bounds)
    certificate = one.bounds[run.key].certificate(run.key, asked.precision)
    return RunCertificate(run, name, one.batch.number, certificate, _years(one.parts[run.key]))


def _candidate(run: Run, part: Predictions) -> Candidate:
    """Thresholds at fixed alarm rates; for tied scores, an alarm for every unit."""
    thresholds = rate_thresholds(part.score)
    thresholds = thresholds if len(thresholds) else part.score[:1]
    return Candidate(part.y, part.score, thresholds, part.blocks(run.estimands.block))


# ---------------------------------------------------------------------------------------- the part


def _part(run: Run, name: str) -> Predictions:
    """The part that certifies."""
    check_binary(run, "certificates are")
    predictions = run.predictions()
    check_part(run, predictions, name)
    return predictions.part(name)


def _readable(run: Run, name: str) -> Predictions | None:
    """The part of a run that shares the error; None if it cannot be judged any more."""
    try:
        part = _part(run, name)
        _check_enough(run, name, part)
    except TruenessError:
        return None
    return part


def _years(part: Predictions) -> float | None:
    if part.time is None:
        return None
    days = part.time.astype("datetime64[D]")
    return (int((days.max() - days.min()).astype(int)) + 1) / DAYS_PER_YEAR


def _check_enough(run: Run, name: str, part: Predictions) -> None:
    """Refuse a part that is too short for its blocks, before the ledger is written."""
    rule, positives = run.estimands, int(part.y.sum())
    blocks = part.blocks(rule.block)
    if blocks.few or min(positives, len(part) - positives) < FEWEST:
        noun = rule.nouns[0] if blocks.items == len(part) else "cluster"
        noun = noun if part.time is None or noun == "day" else "time"
        raise TruenessError(
            f"{run.key}: {count(blocks.items)} {units_in_words(rule, name)} with {positives} "
            f"positives; a certificate needs {FEWEST_BLOCKS} blocks of "
            f"{plural(blocks.length, noun)}, {FEWEST} positives and {FEWEST} negatives at least: "
            "take longer data", "too_short",
        )  # fmt: skip
