"""What is shown of certificates."""

from __future__ import annotations

from dataclasses import replace

from trueness.document import Cell, Column, Document, Items, Section, Sentence, Table
from trueness.document.numbers import count, decimal, level, lower_bound, plural
from trueness.evaluation.dependence import INDEPENDENT
from trueness.evaluation.guarantee import FEWEST_ALARMS, ThresholdBound
from trueness.evaluation.intervals import Estimate
from trueness.judge.certificates import Certificates, RunCertificate
from trueness.judge.parts import cautions, run_title, units_in_words
from trueness.judge.settings import full_labels

RUNS_IN_DETAIL = 6
"""Runs whose tested thresholds a page lists."""


def document(result: Certificates) -> Document:
    """Answers, a row per run, what the error was shared among, and every threshold tested."""
    first = result.runs[0]
    one = first.certificate
    claim = f"Precision above {level(one.precision)} at {level(one.confidence)} confidence"
    if result.campaign:
        of = f"campaign {result.campaign}"
    elif len(result.runs) == 1:
        of = run_title(first.name, first.run)
    else:
        of = plural(len(result.runs), "run")
    subtitle = units_in_words(first.run.estimands, result.part)
    if len(result.runs) == 1 and first.run.key not in of:
        subtitle = f"{first.run.key} · {subtitle}"
    tested = [_tested(run) for run in sorted(result.runs, key=_order)[:RUNS_IN_DETAIL]]
    return Document(
        f"{claim}: {of}",
        [
            Sentence(_answer(result), "verdict"),
            *cautions(each.run.estimands for each in result.runs),
            _table(result),
            Items(_notes(result)),
            Section("Bounds of all thresholds", tested, folded=True),
        ],
        subtitle,
    )


def _answer(result: Certificates) -> str:
    """Whether it is certified; for one run from where on, or what is missing."""
    if len(result.runs) > 1:
        n = sum(one.certificate.threshold is not None for one in result.runs)
        return f"Certified for {count(n)} of {plural(len(result.runs), 'run')}."
    (one,) = result.runs
    shown, more = one.shown, one.certificate.more_alarms
    if shown is None:
        return f"Not certified: no threshold raises {FEWEST_ALARMS} alarms."
    bound = lower_bound(shown.precision)
    facts = f"{_from(one, shown)}: {_observed(shown)}, adjusted bound {bound}"
    if one.certificate.threshold is not None:
        return f"Certified from {facts}."
    needs = (
        "no number of further alarms would be enough at the observed precision"
        if more is None
        else f"it needs about {plural(more, 'more alarm')} if the observed precision is the true "
        "one" + _wait(one.years_needed)
    )
    return f"Not certified: {needs}. Closest from {facts}."


def _wait(years: float | None) -> str:
    return (
        ""
        if years is None
        else f", about {decimal(years, 0 if years >= 10 else 1)} years of such alarms"
    )


def _observed(row: ThresholdBound) -> Estimate:
    """Precision without its interval, whose lower end stands beside it and upper end is none."""
    return replace(row.precision, low=None, high=None)


def _from(one: RunCertificate, row: ThresholdBound) -> str:
    if one.run.estimands.probabilities:
        return f"probability {decimal(row.probability)} on"
    return f"score {decimal(row.cut)} on"


def _columns(ranks: bool) -> list[Column]:
    """Of a threshold: where it lies and what it showed."""
    return [
        Column(f"from\n{'score' if ranks else 'probability'}", "number", 7),
        Column("adjusted\nbound", "bound", 9,
               help="Every precision below it is certified; all bounds hold at once."),
        Column("precision", "share", 8, help="Observed."),
        Column("effective\nsample size", "number", 5, digits=1,
               help="Independent alarms that say as much as these, whose hits come in runs."),
    ]  # fmt: skip


def _cells(one: RunCertificate, row: ThresholdBound | None) -> list[Cell]:
    if row is None:
        return [None] * 4
    place = row.probability if one.run.estimands.probabilities else row.cut
    return [place, row.precision, _observed(row), row.effective]


def _table(result: Certificates) -> Table:
    """A row per run: the certified threshold, or the closest one and what is missing."""
    ranks = any(not one.run.estimands.probabilities for one in result.runs)
    columns = [
        Column("run", weight=9), Column("model", weight=2), Column("certified", weight=9),
        *_columns(ranks),
        Column("more alarms\nneeded", "count", 8,
               help="Until it would be certified, if the observed precision is the true one."),
        Column("years", "number", 3, digits=1, help="Until it has them at its present rate."),
    ]  # fmt: skip
    rows, runs = [], sorted(result.runs, key=_order)
    for one, label in zip(runs, full_labels([one.run.spec for one in runs]), strict=True):
        certified = one.certificate.threshold is not None
        more: Cell = one.certificate.more_alarms
        if one.shown is not None and more is None:
            more = "no number"
        rows.append([
            one.name, label, "yes" if certified else "no",
            *_cells(one, one.shown), None if certified else more, one.years_needed,
        ])  # fmt: skip
    kept = [i for i in range(len(columns)) if any(row[i] is not None for row in rows)]
    return Table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows])


def _order(one: RunCertificate) -> tuple[bool, float]:
    """Certified ones first, then those that are nearest to it."""
    shown = one.shown
    return one.certificate.threshold is None, 0.0 if shown is None else -shown.bound


def _notes(result: Certificates) -> list[str]:
    """What is spent, what is adjusted for and assumed, what the ledger says."""
    bounds = sum({one.batch: one.certificate.hypotheses for one in result.runs}.values())
    notes = [
        str(result.spending),
        f"adjusted for all {count(bounds)} thresholds that were tried at fixed alarm rates "
        f"({'; '.join(result.counted)})",
    ]
    notes += [f"adjusted for {what}" for what in _dependence(result)]
    return [*notes, "valid only if future data resemble this sample", *result.ledger]


def _dependence(result: Certificates) -> list[str]:
    """What hits depend on, as far as it is known."""
    one = result.runs[0].certificate
    if one.block > 1:
        noun = result.runs[0].run.estimands.nouns[0]
        return [f"serial dependence over {plural(one.block, noun if noun == 'day' else 'time')}"]
    clustered = any(row.depends != INDEPENDENT for row in one.tested)
    return ["clusters of units that depend on each other"] if clustered else []


def _tested(one: RunCertificate) -> Table:
    """Every threshold of a run."""
    ranks = not one.run.estimands.probabilities
    columns = [*_columns(ranks), Column("certified", weight=8)]
    rows = [
        [*_cells(one, row), "yes" if row.bound > one.certificate.precision else "no"]
        for row in one.certificate.tested
    ]
    return Table(columns, rows, title=one.name)
