"""What is shown of one run: its data, its estimates, its findings, its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trueness.checks import CHECKS, Finding, NotApplicable, next_move
from trueness.document import (
    Column,
    Figure,
    HConcat,
    Items,
    Part,
    Section,
    Sentence,
    Table,
    numbers,
)
from trueness.errors import TruenessError
from trueness.evaluation import Estimate
from trueness.judge.access import part_in_words
from trueness.judge.comparison import measured_part
from trueness.judge.findings import Muted
from trueness.judge.group import Model
from trueness.judge.parts import cautions

TONES = {"error": "error", "warning": "warning"}
"""Severity -> tone of its sentence."""


def facts(model: Model) -> list[str]:
    """Data, size and cost of a run, in sentences."""
    run, record = model.run, model.run.record
    data = record["data"]
    through = f" through {data['as_of']}" if data.get("as_of") else ""
    known = [
        f"Key {run.key}",
        f"{data.get('name') or data.get('digest', '')}{through}",
        numbers.plural(len(record["features"]), "feature") if record.get("features") else "",
        f"{numbers.short(record['parameters'])} weights" if record["parameters"] else "",
        f"{record['seconds']:.1f} s on {record['device']} in {record['precision']}{_speed(record)}"
        if record["device"] else "",
        f"made {record['created'][:16].replace('T', ' ')} UTC",
    ]  # fmt: skip
    lines = [" · ".join(one for one in known if one)]
    own = model.annotation
    lines += [f"Tags: {', '.join(own.tags)}"] if own.tags else []
    lines += [f"Noted {own.date}: {own.note}"] if own.note else []
    return [*lines, *(f"Note: {note}" for note in record["notes"])]


def _speed(record: Mapping[str, Any]) -> str:
    """Rate of a training whose operations were counted, and what part of its tokens was padding.

    The seconds are those of scoring too, whose operations are not counted.
    """
    gflop, padded = record.get("gflop"), record.get("padded")
    if not gflop or not record["seconds"]:
        return ""
    padding = "" if padded is None else f", {numbers.percent(padded)} % of the tokens padding"
    return f", {gflop / record['seconds']:,.0f} GFLOP/s{padding}"


def split_table(model: Model) -> list[Part]:
    """Units and positives of every part, fold by fold."""
    folds = model.run.record.get("folds")
    if not folds:
        return []
    parts = list(dict.fromkeys(name for fold in folds for name in fold))
    best = model.run.record.get("best_epochs")
    columns = [Column("fold", "count", 9), *(Column(f"{p}\n(positives)", "code") for p in parts)]
    columns += [Column("kept epoch", "code", 4)] if best else []
    rows = []
    for i, fold in enumerate(folds):
        sizes = [f"{fold[p][0]:,} ({fold[p][1]:,})" if p in fold else None for p in parts]
        last = model.run.record["last_epochs"][i] if best else 0
        rows.append([i + 1, *sizes, *([f"{best[i]} of {last}"] if best else [])])
    return [Table(columns, rows, title="Splits")]


def estimates_table(model: Model) -> Table:
    """Every estimate with its interval, and where it was chosen and measured."""
    columns = [
        Column("estimate", "code", 9), Column("value", "text", 9), Column("measured on", weight=4),
        Column("weights chosen on", weight=3),
    ]  # fmt: skip
    rows = [
        [name, str(e), part_in_words(e.measured_on), part_in_words(e.chosen_on) if e.chosen_on
         else None]
        for name, e in model.estimates.items()
    ]  # fmt: skip
    return Table(columns, rows, title="Estimates")


def difference_sentence(model: Model) -> list[Part]:
    """What the best baseline leaves."""
    if model.difference is None or model.reference is None:
        return []
    what = numbers.estimate(model.difference, signed=True)
    against = model.reference.record["label"]
    return [Sentence(f"AUC minus that of the best baseline ({against}): {what}.")]


def finding_parts(findings: Sequence[Finding], muted: Sequence[Muted] = ()) -> list[Part]:
    """Each finding with the next move of its page, then the muted ones with their reason."""
    parts: list[Part] = []
    for one in findings:
        text = f"{one.code} {one.title}: {one.evidence}. {next_move(one.code)}".strip()
        parts.append(Sentence(text, TONES.get(one.severity, "note")))  # ty: ignore[invalid-argument-type]
    for one in muted:
        parts.append(
            Sentence(
                f"{one.finding.code} muted for {one.mute.scope} ({one.mute.date}: "
                f"{one.mute.reason}): {one.finding.title}: {one.finding.evidence}", "note",
            )
        )  # fmt: skip
    return parts


def not_applicable_parts(unseen: Sequence[NotApplicable]) -> list[Part]:
    """Checks that could not look at a run, with the reason; folded."""
    lines = [f"{one.code} {CHECKS[one.code].title}: {one.why}" for one in unseen]
    return [Section("Checks that are not applicable", [Items(lines)], folded=True)] if lines else []


def warnings_of(model: Model) -> list[Part]:
    """What the monitor of the training saw."""
    lines = []
    for one in model.run.record.get("incidents", []):
        until = "the end" if one["until"] is None else f"epoch {one['until']}"
        fold = f"fold {one['fold'] + 1}: " if "fold" in one else ""
        lines.append(f"{fold}{one['what']} from epoch {one['epoch']} to {until}; {one['cause']}")
    return [Section("Training monitor", [Items(lines)])] if lines else []


def run_parts(model: Model) -> list[Part]:
    """Findings and pictures of a run of a binary label; why there are none if it is damaged."""
    from trueness.judge.curves import histogram, reliability
    from trueness.judge.figures import learning_curves

    parts = finding_parts(model.findings, model.muted)
    rule = model.run.estimands
    try:
        part = measured_part(model.run)
        drawn: list[Figure | None] = [histogram(part), learning_curves(model.run)]
        if rule.probabilities:
            drawn.insert(0, reliability(part, rule.block, rule.confidence))
    except TruenessError as error:
        return [*parts, Sentence(str(error), "warning")]
    return [*parts, HConcat([figure for figure in drawn if figure is not None])]


def run_sections(model: Model) -> list[Part]:
    """Everything that is known about a run of a binary label."""
    about: list[Part] = [Items(facts(model)), *split_table(model), estimates_table(model)]
    headline: Any = model.estimates[model.run.estimands.headline]
    first = Sentence(f"{model.name}: {model.run.estimands.headline} {_shown(headline)}.", "verdict")
    findings = run_parts(model)
    return [
        first, *cautions([model.run.estimands]), *about, *difference_sentence(model),
        *warnings_of(model), *_by_group(model), Section("Checks and pictures", findings),
    ]  # fmt: skip


def _by_group(model: Model) -> list[Part]:
    """Alarms on each series of a panel, or on each group of whatever else has some."""
    from trueness.judge.slices import slice_sections

    try:
        if measured_part(model.run).group is None:
            return []
        return [*slice_sections([(model.name, model.run)], only="group")]
    except TruenessError as error:
        return [Sentence(str(error), "warning")]


def _shown(e: Estimate) -> str:
    return numbers.estimate(e) if e.k is None else numbers.share(e)
