"""Certificates of stored runs: which part may certify, and everything that was looked at there.

On the test part of a mission run the order of the thresholds is fixed on validation, and the error
is shared among the runs and questions that the ledger has seen there. On the part that a run is
measured on anyway, all thresholds of all its siblings count, and where that part chose the weights
too, so does every epoch it chose among.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trueness.errors import TruenessError
from trueness.evaluation.guarantee import Certificate, Method, certify_many, sequence, spent
from trueness.evaluation.intervals import FEWEST_BLOCKS
from trueness.evaluation.power import between
from trueness.evaluation.thresholds import ALARM_RATES_PCT, DAYS_PER_YEAR, Array, rate_cuts
from trueness.store.ledger import SEALED, Ledger, data_of, ledger_lines
from trueness.judge.parts import IN_WORDS, Part, check_part, chosen_on, measured_on, part_of
from trueness.spec import Spec, bootstrap_block
from trueness.store import Run, Store

CHOICES = {"logit": 4, "boosting": 200}
"""Penalties and numbers of trees that a baseline chose among on validation."""


@dataclass(frozen=True)
class Certified:
    """Certificates of some runs on one part, by key, and how everything was counted.

    Attributes
    ----------
    part : str
    certificates : dict of str to Certificate
    counted : str
        Among what the error is shared, in words.
    ledger : list of str
    years : float
        Calendar time of the part.
    """

    part: str
    certificates: dict[str, Certificate]
    counted: str
    ledger: list[str]
    years: float

    @property
    def certified(self) -> bool:
        """Whether any run has a certified threshold."""
        return any(one.threshold is not None for one in self.certificates.values())

    def years_needed(self, key: str) -> float | None:
        """Years until a run has the further alarms it needs, at its rate on this part."""
        one = self.certificates[key]
        if one.closest is None or one.more_alarms is None:
            return None
        return one.more_alarms / (one.closest.alarms / self.years)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        runs = {
            key: {**one.to_dict(), "years_needed": self.years_needed(key)}
            for key, one in self.certificates.items()
        }
        return {
            "measured_on": self.part,
            "certified": self.certified,
            "counted": self.counted,
            "runs": runs,
            "ledger": self.ledger,
        }


def certify_runs(
    store: Store, runs: Sequence[Run], precision: float, confidence: float = 0.95, *,
    on: str | None = None, method: Method | None = None, opened: bool = False,
) -> Certified:  # fmt: skip
    """Certify a precision for some runs of a store; the ledger is written first.

    Parameters
    ----------
    store : Store
    runs : sequence of Run
        On the same data, with the same question and protocol.
    precision, confidence : float
    on : {"validation", "oof", "test"}, optional
        The part they are measured on by default.
    method : {"fixed_sequence", "holm"}, optional
        A fixed sequence on the test part, Holm elsewhere.
    opened : bool
        Whether the test part was asked for on purpose.

    Raises
    ------
    TruenessError
        If the runs do not belong together, the part is sealed or not theirs, or the method would
        certify on labels that have chosen before.
    """
    between("precision", precision)
    between("confidence", confidence, 0.5)
    _check_together(runs)
    part = on or measured_on(runs[0])
    block = max(bootstrap_block(run.spec) for run in runs)
    for run in runs:
        check_part(run, part)
        _check_enough(run, part, block)
    method = method or ("fixed_sequence" if part == SEALED else "holm")
    if method == "fixed_sequence" and part != SEALED:
        raise TruenessError(_why_not(part))
    ledger = Ledger(store)
    question = f"precision {precision!r} by {method}"
    ledger.look(runs, part, "certify", question, opened and part == SEALED)
    call = _call(ledger, runs, part, question)
    if part == SEALED:
        looks, counted = _looks_at_test(ledger, runs)
    else:
        looks, counted = _looks_of_siblings(store, ledger, runs, part)
    candidates, years = {}, 0.0
    for run in runs:
        days = part_of(run, part)
        cuts = _fixed_cuts(days)
        if method == "fixed_sequence":
            before = part_of(run, "validation")
            cuts = sequence(before.y, before.score, _fixed_cuts(before), precision)
        candidates[run.key] = (days.y, days.score, cuts)
        years = (int((days.when[-1] - days.when[0]).astype(int)) + 1) / DAYS_PER_YEAR
    found = certify_many(
        candidates, precision, confidence, method=method, looks=looks, block=block, call=call,
        unseen_thresholds=len(ALARM_RATES_PCT),
    )  # fmt: skip
    counted += f"; call {call} on these days, which spends {spent(1, call):.1%} of the error"
    return Certified(part, found, counted, ledger_lines(store, data_of(runs[0])), years)


def _fixed_cuts(days: Part) -> Array:
    """Thresholds at fixed alarm rates; for scores that are all tied, an alarm every day."""
    cuts = rate_cuts(days.score)
    return cuts if len(cuts) else days.score[:1]


def _check_enough(run: Run, part: str, block: int) -> None:
    """Refuse a part that is too short for its blocks, before the ledger is written."""
    days, positives = np.sum([fold[part] for fold in run.record["folds"] if part in fold], axis=0)
    if days < FEWEST_BLOCKS * block or positives < 2:
        raise TruenessError(
            f"{run.key}: {days} {IN_WORDS[part]} with {positives} positives; a certificate needs "
            f"{FEWEST_BLOCKS} blocks of {block} days and 2 positives at least: take longer data"
        )


def _why_not(part: str) -> str:
    if part == "oof":
        return (
            "a fixed sequence needs an order from other days, and the inner validation days of "
            "later folds lie among the out-of-fold days of earlier ones; leave --method away, and "
            "everything looked at is counted"
        )
    return (
        "the validation part chose the model and the order of the thresholds: certifying there as "
        "if it were new guarantees nothing; leave --method away, and everything looked at is "
        "counted, or certify --on test"
    )


def _question(spec: Spec) -> tuple[object, ...]:
    """What makes runs siblings: the same event on the same data under the same protocol."""
    task, rule = spec.task, spec.evaluation
    return (
        task.bars, task.horizon_days, task.threshold_pct, task.price, task.mirror, rule.protocol
    )  # fmt: skip


def _check_together(runs: Sequence[Run]) -> None:
    if not runs:
        raise TruenessError("no runs to certify; give a key or --campaign")
    first = runs[0]
    for run in runs[1:]:
        if _question(run.spec) != _question(first.spec):
            raise TruenessError(
                f"{first.key} and {run.key} differ in data, event or protocol; certify those that "
                "answer the same question"
            )


def _looks_at_test(ledger: Ledger, runs: Sequence[Run]) -> tuple[int, str]:
    """Runs and questions that anybody has ever looked at on the test part, these included."""
    seen = ledger.seen(data_of(runs[0]), SEALED)
    looks = len(seen) + _lost(ledger)
    return looks, (
        f"{_plural(looks, 'sequence')}: runs and questions ever looked at on the test part"
    )


def _lost(ledger: Ledger) -> int:
    """Runs behind ledger lines that cannot be read: each may have held as many as any other."""
    return ledger.damaged() * max([len(look.keys) for look in ledger.looks()] or [1])


def _call(ledger: Ledger, runs: Sequence[Run], part: str, question: str) -> int:
    """Which certificate on this part of these data it is; the same one asked again keeps its place.

    Lines that cannot be read count as calls.
    """
    asked = [
        (look.keys, look.question)
        for look in ledger.looks(data_of(runs[0]), part)
        if look.verb == "certify"
    ]
    places = list(dict.fromkeys(asked))
    return places.index((tuple(sorted(r.key for r in runs)), question)) + 1 + ledger.damaged()


def _looks_of_siblings(
    store: Store, ledger: Ledger, runs: Sequence[Run], part: str
) -> tuple[int, str]:
    """Every stored run of the same question, once for each epoch it was chosen among there."""
    question, every = _question(runs[0].spec), store.all_runs()[0]
    siblings = [run for run in every if _question(run.spec) == question]
    gone = {key for key, _ in ledger.seen(data_of(runs[0]), part)} - {run.key for run in every}
    most = max(_versions(run, part) for run in siblings)
    looks = sum(_versions(run, part) for run in siblings) + len(gone) * most
    epochs = f", {looks:,} with the epochs chosen among" * (looks > len(siblings) + len(gone))
    total = len(siblings) + len(gone)
    return looks, (
        f"thresholds at fixed alarm rates times {_plural(total, 'run')} of the same question, "
        f"seeds and baselines included{epochs}"
    )


def _versions(run: Run, part: str) -> int:
    """Versions of a run that a part chose among: its epochs, where that part stopped it."""
    if chosen_on(run) != part:
        return 1
    if run.spec.is_baseline:
        return CHOICES.get(run.spec.model.kind, 1)
    return max(1, sum(run.record.get("last_epochs", [1])))


def _plural(n: int, what: str) -> str:
    return f"{n:,} {what}" + "s" * (n != 1)


def certificate_lines(found: Certified, names: dict[str, str]) -> list[str]:
    """What to print: one line per run, then how it was counted."""
    lines = []
    for key, one in found.certificates.items():
        years = found.years_needed(key)
        wait = f"; about {years:.1f} years of such alarms" if years else ""
        lines.append(f"{names.get(key, key)}: {one}{wait}")
    one = next(iter(found.certificates.values()))
    error, how = 100 * (1 - one.confidence), one.method.replace("_", " ")
    lines += [
        f"on {IN_WORDS[found.part]}; error of {error:.3g} % shared by {how} among "
        f"{one.hypotheses:,}: {found.counted}",
        f"hits may depend on each other over {_plural(one.block, 'day')}; the guarantee speaks "
        "about days like these",
    ]
    return lines + found.ledger
