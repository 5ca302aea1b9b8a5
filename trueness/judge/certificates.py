"""Certificates of stored runs: which part may certify, and everything that was tested there.

On a sealed part the order of the thresholds is fixed on validation, and the error is shared among
the runs and questions that the ledger has seen there. On the part that a run is measured on anyway,
all thresholds of all its siblings count, and where that part chose the weights too, so does every
epoch it chose among.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from trueness.document import Document
from trueness.document.numbers import count, plural
from trueness.errors import StoreError, TruenessError
from trueness.evaluation.blocks import FEWEST_BLOCKS
from trueness.evaluation.guarantee import (
    Candidate,
    Certificate,
    Method,
    ThresholdTest,
    certify_many,
    sequence,
    spent,
)
from trueness.evaluation.inputs import between
from trueness.evaluation.thresholds import ALARM_RATES_PCT, DAYS_PER_YEAR, Array, rate_cuts
from trueness.judge.access import record_access
from trueness.judge.judgement import SCHEMA
from trueness.judge.multiplicity import VERB, certification, check_together, tested_before
from trueness.judge.parts import (
    check_binary,
    check_part,
    earlier_part,
    ledger_sentences,
    units_in_words,
)
from trueness.predictions import Predictions
from trueness.store import AnyStore, Run
from trueness.store.ledger import Ledger


@dataclass(frozen=True)
class RunCertificate:
    """The certificate of one run.

    Attributes
    ----------
    run : Run
    name : str
        Its ids, or its key.
    certificate : Certificate
    years : float or None
        Calendar time of the part; None without times.
    """

    run: Run
    name: str
    certificate: Certificate
    years: float | None

    @property
    def shown(self) -> ThresholdTest | None:
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
        for row in (*content["tested"], content["threshold"], content["closest"]):
            if row and not math.isfinite(row["depends"]["blocks"]):
                row["depends"] = row["depends"] | {"blocks": None}  # of independent units
        if not self.run.spec.estimands.probabilities:
            for row in (*content["tested"], content["threshold"], content["closest"]):
                (row or {}).pop("probability", None)
        return {
            "key": self.run.key, "name": self.name, "label": self.run.record["label"], **content,
            "years_needed": self.years_needed,
        }  # fmt: skip


@dataclass(frozen=True)
class Certificates:
    """Certificates of some runs on one part, and how everything was counted.

    Attributes
    ----------
    part : str
    runs : tuple of RunCertificate
    counted : str
        Among what the error is shared, in words.
    call : int
        Which certification on these units it is.
    campaign : str
        Whose runs were asked for; empty if they were named.
    ledger : tuple of str
    """

    part: str
    runs: tuple[RunCertificate, ...]
    counted: str
    call: int
    campaign: str = ""
    ledger: tuple[str, ...] = ()

    @property
    def certified(self) -> bool:
        """Whether any run has a certified threshold."""
        return any(one.certificate.threshold is not None for one in self.runs)

    @property
    def error_spent(self) -> float:
        """Share of the error that this certification uses."""
        return spent(1.0, self.call)

    def to_dict(self) -> dict[str, Any]:
        """Plain types: ``runs``, each with ``threshold`` or ``closest``, and all ``tested``."""
        return {
            "schema": SCHEMA, "kind": "certificates", "measured_on": self.part,
            "certified": self.certified, "counted": self.counted, "certification": self.call,
            "error_spent": self.error_spent, "runs": [one.to_dict() for one in self.runs],
            "ledger": list(self.ledger),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """One row per run and threshold that was tested."""
        return pl.from_dicts(
            [_flat(one, row) for one in self.runs for row in one.certificate.tested],
            infer_schema_length=None,
        )

    def document(self) -> Document:
        """Which thresholds are certified, what is missing, what the error was shared among."""
        from trueness.judge.certificates_document import document

        return document(self)


def _flat(one: RunCertificate, row: ThresholdTest) -> dict[str, Any]:
    share = {"precision": row.share.value, "low": row.share.low, "high": row.share.high}
    probability = row.probability if one.run.spec.estimands.probabilities else None
    return {
        "key": one.run.key, "name": one.name, "cut": row.cut, "probability": probability,
        "alarms": row.alarms, "hits": row.hits, **share, "effective_sample_size": row.effective,
        "p_value": row.p_value, "level": row.level, "certified": row.certified,
    }  # fmt: skip


def certify_runs(
    store: AnyStore, runs: Mapping[str, Run], precision: float, confidence: float = 0.95, *,
    on: str | None = None, method: Method | None = None, opened: bool = False, campaign: str = "",
) -> Certificates:  # fmt: skip
    """Certify a precision for some runs of a store; the ledger is written first.

    Parameters
    ----------
    store : Store or MemoryStore
    runs : mapping of str to Run
        By name; with the same question and protocol, or on the same units.
    precision, confidence : float
    on : str, optional
        Part; the one they are measured on by default.
    method : {"fixed_sequence", "holm"}, optional
        A fixed sequence on a sealed part, Holm elsewhere.
    opened : bool
        Whether a sealed part was asked for on purpose.
    campaign : str
        Whose runs they are, for the heading.

    Raises
    ------
    TruenessError
        If the runs do not belong together, the part is sealed, too short or not theirs, or the
        method would certify on labels that have chosen before.
    """
    between("precision", precision)
    between("confidence", confidence, 0.5)
    some = list(runs.values())
    check_together(some)
    part = on or some[0].spec.estimands.measured_on
    sealed = any(part in run.spec.estimands.sealed for run in some)
    parts = {run.key: _parts(run, part) for run in some}
    for run in some:
        _check_enough(run, part, parts[run.key][0])
    method = method or ("fixed_sequence" if sealed else "holm")
    if method == "fixed_sequence" and not sealed:
        _check_order(some, part, parts)
    question = f"precision {precision!r} by {method}"
    if unrecorded := record_access(store, some, VERB, question, part=part, opened=opened):
        raise StoreError(f"a certification that is not counted is none: {unrecorded}", "read_only")
    ledger = Ledger(store)
    call = certification(ledger, some, part, question)
    looks, counted = tested_before(store, ledger, some, part, method, sealed)
    found = certify_many(
        {run.key: _candidate(run, *parts[run.key], precision, method) for run in some},
        precision, confidence, method=method, looks=looks, call=call, input="score",
        unseen_thresholds=len(ALARM_RATES_PCT),
    )  # fmt: skip
    return Certificates(
        part,
        tuple(RunCertificate(run, name, found[run.key], _years(parts[run.key][0]))
              for name, run in runs.items()),
        counted, call, campaign, tuple(ledger_sentences(store, some)),
    )  # fmt: skip


# ---------------------------------------------------------------------------------------- the part


def _parts(run: Run, part: str) -> tuple[Predictions, Predictions | None]:
    """The part that certifies, and the one that may order its thresholds."""
    check_binary(run, "certificates are")
    predictions = run.predictions()
    check_part(run, predictions, part)
    return predictions.part(part), earlier_part(predictions, part)


def _candidate(
    run: Run, now: Predictions, before: Predictions | None, precision: float, method: Method
) -> Candidate:
    """Thresholds, in their order for a fixed sequence, and what their hits depend on."""
    cuts = _fixed_cuts(now)
    if method == "fixed_sequence":
        assert before is not None
        cuts = sequence(before.y, before.score, _fixed_cuts(before), precision, input="score")
    return Candidate(now.y, now.score, cuts, now.blocks(run.spec.estimands.block))


def _fixed_cuts(part: Predictions) -> Array:
    """Thresholds at fixed alarm rates; for scores that are all tied, an alarm for every unit."""
    cuts = rate_cuts(part.score)
    return cuts if len(cuts) else part.score[:1]


def _years(part: Predictions) -> float | None:
    if part.time is None:
        return None
    days = part.time.astype("datetime64[D]")
    return (int((days.max() - days.min()).astype(int)) + 1) / DAYS_PER_YEAR


def _check_enough(run: Run, name: str, part: Predictions) -> None:
    """Refuse a part that is too short for its blocks, before the ledger is written."""
    rule, positives = run.spec.estimands, int(part.y.sum())
    blocks = part.blocks(rule.block)
    if blocks.few or positives < 2:
        noun = rule.nouns[0] if blocks.items == len(part) else "cluster"
        noun = noun if part.time is None or noun == "day" else "time"
        raise TruenessError(
            f"{run.key}: {count(blocks.items)} {units_in_words(rule, name)} with {positives} "
            f"positives; a certificate needs {FEWEST_BLOCKS} blocks of "
            f"{plural(blocks.length, noun)} and 2 positives at least: take longer data",
            "too_short",
        )


def _check_order(
    runs: Sequence[Run], name: str, parts: Mapping[str, tuple[Predictions, Predictions | None]]
) -> None:
    """Refuse an order of thresholds that has seen the labels it would be tested on.

    It needs a part that chose nothing, and another one whose units all lie elsewhere.
    """
    for run in runs:
        now, before = parts[run.key]
        if before is None:
            raise TruenessError(
                "the validation part chose the model and the order of the thresholds: certifying "
                "there as if it were new guarantees nothing; leave --method away, and everything "
                "tested is counted, or certify a part that is kept for it", "order",
            )  # fmt: skip
        if name == "oof" or len(np.unique(now.fold)) > 1:
            raise TruenessError(
                "a fixed sequence needs an order from other units, and the inner validation part "
                "of later folds lies among the out-of-fold units of earlier ones; leave --method "
                "away, and everything tested is counted", "order",
            )  # fmt: skip
