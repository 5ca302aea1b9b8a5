"""What a leaderboard shows: the verdict, the table, and what stands behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from trueness.checks import next_move
from trueness.document import (
    Column,
    Document,
    HConcat,
    Items,
    Kind,
    Later,
    Link,
    Part,
    Section,
    Sentence,
    Style,
    Table,
    numbers,
)
from trueness.errors import TruenessError
from trueness.evaluation import Estimate
from trueness.judge.captions import caption, headline, selection_lines
from trueness.judge.figures import forest_plot
from trueness.judge.group import Group, Model
from trueness.judge.leaderboard import Leaderboard
from trueness.judge.power import power_sentences
from trueness.judge.run_sections import finding_parts, run_parts
from trueness.judge.settings import short_name

if TYPE_CHECKING:
    from trueness.judge.languages_group import ClassGroup

RUNS_IN_DETAIL = 6
ROWS_ON_A_PAGE = 30
"""Candidates of the first table; the table of all estimates has every one."""
NAMES_SHOWN = 60
ACCESSES_SHOWN = 12
Cells = tuple[Column, Callable[[Model], Any]]
TAGS: Cells = Column("tags", "text", 6), lambda m: ", ".join(m.annotation.tags) or None
"""Left out where no run has any."""
BOUND, DIFFERENCE = "adjusted\nlower bound", "AUC − best baseline\n(pointwise)"


def leaderboard_document(board: Leaderboard) -> Document:
    """Every comparison group, then what could not be read and what failed."""
    parts: list[Part] = [
        Section(group.title, group_parts(group), anchor=f"group-{i}")
        for i, group in enumerate(board.groups, 1)
    ]
    if not parts:
        parts.append(Sentence("No runs yet; `trueness run demo` makes some."))
    parts += [Sentence(f"skipped {p.name}: {p.reason}", "warning") for p in board.problems]
    parts += [Sentence(f"failed {key}: {why}", "error") for key, why in board.failures.items()]
    return Document(board.title, parts, answer=_answer(board.groups))


def _answer(groups: list[Group]) -> str:
    """The verdict in few words; of several comparison groups who leads each."""
    pending = next((str(group.pending) for group in groups if group.pending), "")
    if len(groups) != 1:
        leaders = [group.candidates[0].name for group in groups if group.verdict.leader]
        said = f"{numbers.plural(len(groups), 'comparison group')}, led by " \
               f"{numbers.listed(leaders)}." if leaders else ""  # fmt: skip
        return " ".join(filter(None, [pending, said]))
    (group,) = groups
    methods = group.classes.answer if group.classes is not None else ""
    return " ".join(filter(None, [pending, group.verdict.short, methods]))


def group_parts(group: Group) -> list[Part]:
    """Everything about a comparison group: the verdict, the table, what stands behind them."""
    return [*verdict_parts(group), *_rows(group), *further_parts(group), *detail_parts(group)]


def _rows(group: Group) -> list[Part]:
    """The table, and how many runs it shows where some were chosen."""
    note: list[Part] = [] if group.shown is None else [Sentence(str(group.shown))]
    if not group.rows:
        return note
    table = main_table(group) if group.classes is None else _class_table(group, group.classes)
    return [*note, table]


def verdict_parts(group: Group) -> list[Part]:
    """Who leads, three answers about the leader, and how the table is sorted."""
    parts: list[Part] = [Sentence(headline(group), "verdict")]
    if group.verdict.leader:
        parts += [Items(group.verdict.lines)]
    if group.candidates:
        parts += [Sentence(text, "note") for text in group.notes]
    return parts + ([Sentence(caption(group))] if group.classes is None else [])


def further_parts(group: Group) -> list[Part]:
    """What stands under the table: the choice among many, power, checks, accesses."""
    if group.classes is not None:
        parts: list[Part] = list(group.classes.sections())
    else:
        parts = [*map(Sentence, selection_lines(group)), *_power(group)]
    return [*parts, *_checks(group), *_access_line(group)]


def detail_parts(group: Group) -> list[Part]:
    """All estimates, figures, run by run, and the log of accesses."""
    return [*(_details(group) if group.classes is None else []), *_access(group)]


# ------------------------------------------------------------------------------------------- tables


def main_table(group: Group) -> Table:
    """Candidates above baselines, with what decides."""
    budget, level = group.rule.budget, numbers.level(group.rule.confidence)
    columns: list[Cells] = [
        (Column("id", "text", 9), lambda m: m.name),
        (Column("model", "text", 7), lambda m: m.label or None),
        TAGS,
        (Column(f"precision@{budget}", "share", 9), lambda m: m.estimates[f"precision@{budget}"]),
        (Column("shrunk", "share_only", 3, help="shrunk towards the pooled precision"),
         lambda m: m.selected and m.selected.shrunk),
        (Column(BOUND, "bound", 5,
                help=f"of the precision: one-sided, {level} for all candidates at once"),
         lambda m: m.selected and m.selected.bound),
        (Column("AUC", "estimate", 8), lambda m: m.estimates["auc"]),
        (Column(DIFFERENCE, "difference", 7), difference_cell),
        (Column("vs leader", "text", 6), lambda m: against_leader(m)),
        *_sorted(group, (f"precision@{budget}", "auc")),
        *_if_there(group, "precision@0.5", "share", 4),
        *_if_there(group, "recall@0.5", "share", 4),
        *_asked(group, (f"precision@{budget}", "auc", "precision@0.5", "recall@0.5", group.sort)),
        (Column("checks", "link", 6), check_links),
    ]  # fmt: skip
    notes = {
        BOUND: f"Adjusted lower bound: one-sided, {level} for all candidates at once.",
        DIFFERENCE: "AUC − best baseline: the interval of each candidate alone; those of the "
        "verdict are adjusted.",
    }
    table = _table(group, columns, shown=ROWS_ON_A_PAGE)
    some = [notes[column.title] for column in table.columns if column.title in notes]
    return replace(table, note=" ".join(some))


def difference_cell(model: Model) -> Estimate | str | None:
    """Difference to the best baseline; of a model that ranks as it does, only that."""
    return f"identical to {model.identical}" if model.identical else model.difference


def _sorted(group: Group, shown: tuple[str, ...]) -> list[Cells]:
    """The estimate that sorts, where the table would lack it."""
    if group.sort in (*shown, "precision@0.5", "recall@0.5"):
        return []
    return _if_there(group, group.sort, None, 8)


def _asked(group: Group, there: Sequence[str]) -> list[Cells]:
    """Fields that were asked for and that the table would lack."""
    if group.shown is None:
        return []
    known = group.models[0].estimates
    estimates = [name for name in group.shown.choice.shown if name in known and name not in there]
    cells = [_field(group, name, values) for name, values in group.shown.fields.items()]
    return [*(one for name in estimates for one in _if_there(group, name, None, 8)), *cells]


def _field(group: Group, name: str, values: Mapping[str, Any]) -> Cells:
    kind = field_kind(name, [values[model.key] for model in group.models])
    return Column(short_name(name), kind, 8, digits=4, help=name), lambda m: values[m.key]


FIELD_KINDS: dict[str, Kind] = {"parameters": "short", "seconds": "number", "created": "date"}


def field_kind(name: str, values: Sequence[Any]) -> Kind:
    """How the values of a field are written."""
    numeric = all(isinstance(value, int | float | None) for value in values)
    return FIELD_KINDS.get(name, "number" if numeric else "text")


def _if_there(group: Group, name: str, kind: str | None, weight: int) -> list[Cells]:
    result = group.models[0].estimates.get(name)
    if result is None:
        return []
    kind = kind or ("estimate" if result.k is None else "share")
    title = name.replace("_", " ")
    return [(Column(title, kind, weight), lambda m: m.estimates.get(name))]  # ty: ignore[invalid-argument-type]


def all_estimates_table(group: Group) -> Table:
    """Every estimate of every run."""
    columns: list[Cells] = [
        (Column("id", "text", 9), lambda m: m.name),
        (Column("model", "text", 6), lambda m: m.label or None),
        (Column("weights", "short", 2), lambda m: m.run.record["parameters"] or None),
    ]
    for name in group.models[0].estimates:
        if name != "base_rate":
            columns += _if_there(group, name, None, 5)
    if group.models[0].run.record.get("scores"):
        columns.append((Column("scores", "text", 2), _range))
    return _table(group, columns)


def _range(model: Model) -> str:
    scores = model.run.record["scores"]
    return f"{numbers.decimal(scores['min'], 2)} to {numbers.decimal(scores['max'], 2)}"


def _table(group: Group, columns: list[Cells], shown: int | None = None) -> Table:
    filled = [
        (column, cell)
        for column, cell in columns
        if column.weight == 9 or any(cell(model) is not None for model in group.rows)
    ]
    rows = [[cell(model) for _, cell in filled] for model in group.rows]
    styles = [_style(group, model) for model in group.rows]
    return Table([column for column, _ in filled], rows, styles=styles, shown=shown)


def _style(group: Group, model: Model) -> Style:
    if model.is_baseline:
        return "baseline"
    leads = group.verdict.leader and model.key == group.candidates[0].key
    return "leader" if leads else ""


def _class_table(group: Group, result: ClassGroup) -> Table:
    """Macro-F1 of every run over all units and over groups; what ranks comes first."""
    names = sorted(group.models[0].estimates, key=lambda name: name != group.sort)
    names = result.words.distinct(names)

    def estimate(name: str, weight: int) -> Cells:
        column = Column(result.words.score(name), "estimate", weight)
        return column, lambda m: m.estimates.get(name)

    columns: list[Cells] = [
        (Column("id", "text", 9), lambda m: m.name),
        (Column("model", "text", 6), lambda m: m.label or None),
        TAGS,
        estimate(names[0], 9),
        (Column("minus best\nbaseline", "difference", 8), difference_cell),
        *(estimate(name, 3 if name == "low_group" else 5) for name in names[1:]),
        *_asked(group, names),
        (Column("checks", "link", 7), check_links),
    ]
    table = _table(group, columns, shown=ROWS_ON_A_PAGE)
    return replace(table, title="Macro-F1")


def against_leader(model: Model) -> str | None:
    """Where a candidate stands, in a word or two."""
    if model.selected is None:
        return "best baseline" if _is_best(model) else None
    return model.selected.against_leader


def _is_best(model: Model) -> bool:
    return model.is_baseline and model.reference is not None and model.reference.key == model.key


def check_links(model: Model) -> list[Link]:
    """Codes of the checks that failed, notes apart, then those that are muted."""
    fired = [
        Link(f.code, f"#{f.code}", f"{f.title}: {f.evidence}")
        for f in model.findings
        if f.severity != "note"
    ]
    muted = [
        Link(f"({m.finding.code})", f"#{m.finding.code}", f"muted: {m.mute.reason}")
        for m in model.muted
    ]
    return [*fired, *muted]


# ----------------------------------------------------------------------------------------- sections


def _power(group: Group) -> list[Part]:
    if group.power is None:
        why = "no candidates" if not group.candidates else "no candidate can be ranked"
        why = "too few positives to compare anything" if group.verdict.leader else why
        return [Sentence(f"Power: {why}.", "note")]
    return [Items(power_sentences(group.power, group.rule.nouns[0]))]


def _checks(group: Group) -> list[Part]:
    """Every check that failed, with how many candidates it concerns, the gravest first."""
    fired = {f.code: f for m in group.models for f in m.findings}
    if not fired:
        return []
    checked = [m for m in group.models if m.findings or not m.is_baseline]
    counts = Counter(f.code for m in checked for f in m.findings)
    of = len(checked)
    codes = sorted(fired, key=lambda code: fired[code].rank)
    rows = [[Link(c), fired[c].severity, fired[c].title, f"{counts[c]} of {of}"] for c in codes]
    columns = [Column("check", "link", 9), Column("severity"), Column("title", weight=8),
               Column("models", "code", 7)]  # fmt: skip
    pages = [
        Section(f"{c} {fired[c].title}", [Sentence(next_move(c))], anchor=c, folded=True)
        for c in codes
    ]
    leader = group.models[0]
    own: list[Part] = []
    if leader.findings:
        own = [Section(f"Of {leader.name}", finding_parts(leader.findings, leader.muted),
                       folded=True)]  # fmt: skip
    return [Section("Checks", [Table(columns, rows), *own, *pages])]


def _access_line(group: Group) -> list[Part]:
    if group.access is None:
        return []
    text = str(group.access)
    return [Sentence(f"{numbers.capital(text)}.", "note")]


def _details(group: Group) -> list[Part]:
    """Folded: what stands behind the table of a rare event."""
    parts: list[Part] = [
        *_every_estimate(group),
        *_siblings(group),
        *([Section("AUC with intervals", [forest_plot(group.rows)])] if group.rows else []),
        Section(f"{group.models[0].name} in detail", Later(lambda: _leader_parts(group)),
                detail=True),
    ]  # fmt: skip
    leaders = group.candidates[:RUNS_IN_DETAIL]
    best = [m for m in group.baselines if _is_best(m)]
    detail = [
        Section(f"{m.title} · {m.key}", Later(partial(run_parts, m)), folded=True)
        for m in (*leaders, *best)
    ]
    return [*parts, Section("Run by run", detail)] if detail else parts


def _every_estimate(group: Group) -> list[Part]:
    if not group.rows:
        return []
    many = numbers.plural(len(group.rows), "run")
    return [Section(f"All estimates of {many}", Later(lambda: [all_estimates_table(group)]),
                    folded=True)]  # fmt: skip


def _leader_parts(group: Group) -> list[Part]:
    """Curves, calibration and slices of the leader, the best baseline beside it."""
    from trueness.judge.calibration import calibration_section
    from trueness.judge.curves import alarm_curve
    from trueness.judge.slices import slice_sections

    leader = group.models[0]
    runs = [(leader.name, leader.run)]
    if group.candidates and group.reference is not None:
        names = {m.key: m.name for m in group.baselines}
        best = group.reference
        runs.append((names.get(best.key, best.record["label"]), best))
    try:
        curves = [alarm_curve(runs, what) for what in ("precision", "recall")]
        return [
            Section("Precision and recall over the alarm rate", [HConcat(curves)]),
            *calibration_section(leader.name, leader.run),
            *slice_sections(runs),
        ]
    except TruenessError as error:
        return [Sentence(f"No curves of {leader.name}: {error}", "warning")]


def _siblings(group: Group) -> list[Part]:
    """Candidates that the leader cannot be told from in precision, and those it can."""
    sets: dict[str, list[str]] = {}
    seen: set[str] = set()
    for model in group.candidates:
        candidate = model.run.candidate
        if model.selected is not None and candidate not in seen:
            sets.setdefault(model.selected.precision, []).append(_with_counts(group, model))
        seen.add(candidate)
    sets.pop("leader", None)
    if not sets:
        return []
    titles = {"tied": "indistinguishable from the leader", "worse": "worse than the leader",
              "better": "better than the leader", "unknown": "not comparable"}  # fmt: skip
    lines = [
        f"{titles[name]} ({len(some)}): {numbers.listed(some, NAMES_SHOWN)}"
        for name, some in sets.items()
    ]
    return [Section(f"Candidates against the leader in precision@{group.rule.budget}",
                    [Items(lines)], folded=True)]  # fmt: skip


def _with_counts(group: Group, model: Model) -> str:
    top = model.estimates[f"precision@{group.rule.budget}"]
    also = model.selected.against_leader if model.selected else ""
    return f"{model.name} {top.k}/{top.n}" + (f" ({also})" if also.startswith("AUC") else "")


def _access(group: Group) -> list[Part]:
    """The latest accesses first, and how many more there are."""
    if group.access is None or not group.access.every:
        return []
    latest = list(reversed(group.access.every))
    rows = [
        [one.when.replace("T", " ")[:16], one.part, one.verb, one.question or None, len(one.keys)]
        for one in latest[:ACCESSES_SHOWN]
    ]
    columns = [Column("when, UTC", "code", 9), Column("part"), Column("verb"),
               Column("question", weight=3), Column("runs", "count")]  # fmt: skip
    styles = ["warning" if one.opened else "" for one in latest[:ACCESSES_SHOWN]]
    more = len(latest) - len(rows)
    note = f"{numbers.plural(more, 'earlier access', 'earlier accesses')}." if more else ""
    return [Section("Access log", [Table(columns, rows, note=note, styles=styles)], folded=True)]  # ty: ignore[invalid-argument-type]
