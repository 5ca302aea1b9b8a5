"""What is shown of several studies beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from trueness.document import Column, Document, HConcat, Items, Section, Sentence, Table
from trueness.document.numbers import count, decimal, estimate, plural, short
from trueness.judge.studies.across import Across, Group, agree
from trueness.judge.studies.analysis import COLLAPSED, Analysis, pairs
from trueness.judge.studies.coverage import Coverage, Coverages
from trueness.judge.studies.figures import size_figures
from trueness.judge.studies.sections import coverage_section, study_sections, study_title
from trueness.judge.studies.trials import Value
from trueness.judge.studies.words import fraction, level_text

SUBTITLE = (
    "Point estimates are taken over all trials; 95 % confidence intervals rest on "
    "configurations, each counted once. The best of many is optimistically biased: its value was "
    "chosen and measured on the same examples."
)


def analysis_document(studies: Across) -> Document:
    """One study whole, or several together, each of them folded."""
    if len(studies.analyses) == 1:
        (one,) = studies.analyses
        return Document(f"Search analysis: {study_title(one)}", study_sections(one), SUBTITLE)
    each = [Section(study_title(a), study_sections(a), folded=True) for a in studies.analyses]
    title = f"Search analysis: {count(len(each))} studies"
    return Document(title, [*_together(studies), Section("Study by study", each)], SUBTITLE)


def coverage_document(covered: Coverages) -> Document:
    """What each study has tried and what it has not."""
    sections = [coverage_section(one, pairs(one.study)) for one in covered.studies]
    if len(sections) == 1:
        title = f"Search coverage: {covered.studies[0].study.name}"
        return Document(title, sections[0].parts, _tried(covered.studies[0]))
    parts = [
        Section(one.study.name, [Sentence(_tried(one)), *section.parts])
        for one, section in zip(covered.studies, sections, strict=True)
    ]
    return Document(f"Search coverage: {count(len(parts))} studies", parts)


def _tried(one: Coverage) -> str:
    trials = plural(len(one.study.completed), "trial")
    return f"{trials}, {plural(len(one.study.configurations), 'configuration')}"


def _together(studies: Across) -> list[Section]:
    agreement = [_agreement(studies)] if studies.groups else []
    return [_summary(studies), *map(_scaling, studies.groups), *agreement, _collapse(studies)]


SUMMARY = (
    Column("study", "code", 9), Column("label", weight=8), Column("true sizes", "code", 6),
    Column("best, 95 % CI", "estimate", 9), Column("weights of\nthe best", "short", 7),
    Column("d_model", "number", 4), Column("layers", "number", 4), Column("heads", "number", 3),
    Column("learning\nrate", "number", 4), Column("dropout", "number", 4),
    Column("repeats", "share", 5), Column("architectures\ntested", "share", 5),
)  # fmt: skip
SETTINGS = ("d_model", "n_layers", "n_heads", "learning_rate", "dropout")


def _summary(studies: Across) -> Section:
    pictures = size_figures(studies.groups)
    return Section("All studies", [
        *(Sentence(text, "verdict") for text in studies.sentences()),
        Table(SUMMARY, [_summary_row(a) for a in studies.analyses]),
        *([HConcat(pictures)] if pictures else []),
    ])  # fmt: skip


def _summary_row(one: Analysis) -> tuple[object, ...]:
    study, best, sizes, grid = one.study, one.best, one.sizes, one.coverage.architectures
    return (
        study.name, study.budget, f"{short(sizes[0])} to {short(sizes[-1])}" if sizes else None,
        one.best_value, best.parameters, *(level_text(best.params.get(n)) for n in SETTINGS),
        fraction(one.wasted, len(study.completed)),
        None if grid is None else fraction(grid.tested, len(grid.counts)),
    )  # fmt: skip


SCALING = (
    Column("budgets", "code", 9),
    Column("best − best, 95 % CI,\nas if independent", "difference", 9),
    Column("exceeds\nits error", weight=8), Column("correlation\nneeded", "number", 5, 2),
    Column("mean − mean of\nconfigurations, 95 % CI", "difference", 7), Column("n", "count", 6),
)  # fmt: skip


def _scaling(group: Group) -> Section:
    best = ", ".join(
        f"{m.study.budget} {decimal(m.best.value)} ({short(m.best.parameters)} weights)"
        for m in group.members
    )
    lines = [f"Best by label: {best}."]
    if group.verdict is not None:
        lines.append(f"Published verdict on scaling: {group.verdict}; {_support(group)}.")
    if group.sizes_rise is False:
        lines.append("The winners' true sizes do not rise with their labels.")
    if group.slope.value is not None:
        lines.append(_slope(group))
    rows = [
        (f"{d.one} − {d.two}", d.best, "yes" if d.is_clear else "no", d.correlation_needed,
         d.mean, d.mean.n)
        for d in group.differences
    ]  # fmt: skip
    return Section(f"Scaling: {group.name}", [Items(lines), Table(SCALING, rows)])


def _support(group: Group) -> str:
    if all(d.best.low is None for d in group.differences):
        return "whether the differences exceed their error is unknown, as positives are not known"
    if not group.is_supported:
        return "not supported: no difference between the best values exceeds its error"
    return "at least one difference between the best values exceeds its error"


def _slope(group: Group) -> str:
    slope, r = group.slope, group.correlation
    clear = slope.low is not None and slope.high is not None and slope.low * slope.high > 0
    return (
        f"By true size: {estimate(slope, 4, signed=True)} per factor of ten over "
        f"{count(slope.n)} configurations, an interval that {'excludes' if clear else 'includes'} "
        f"zero; correlation with the logarithm {estimate(r, 2)}. It rests on the spread between "
        "configurations as this search sampled them, with its training values, on one evaluation "
        "set."
    )


def _agreement(studies: Across) -> Section:
    names = list(dict.fromkeys(n for g in studies.groups for n in g.agreement))
    counts = [
        f"{name} {sum(agree(g.agreement[name]) for g in studies.groups if name in g.agreement)}"
        for name in names
    ]
    line = (
        "Best level by budget, smallest label first. Groups whose budgets agree, of "
        f"{count(len(studies.groups))}: {', '.join(counts)}."
    )
    columns = [Column("group", weight=9), *(Column(name) for name in names)]
    rows = [(g.name, *(_levels(g.agreement.get(name)) for name in names)) for g in studies.groups]
    return Section("Agreement of the best", [Sentence(line), Table(columns, rows)])


def _levels(levels: Sequence[Value | None] | None) -> str | None:
    return None if levels is None else " / ".join(map(level_text, levels))


def _collapse(studies: Across) -> Section:
    known = [a for a in studies.analyses if a.ranges.known]
    if not known:
        line = "Score ranges were not recorded in any of these studies."
        return Section("Collapsed scores", [Sentence(line)])
    columns = (
        Column("study", "code", 9), Column(f"narrower\nthan {COLLAPSED}", "share", 9),
        Column("mean width", "number", 7, 2), Column("recall 0", "share", 6),
    )  # fmt: skip
    rows = [
        (a.study.name, fraction(a.ranges.collapsed, a.ranges.known), a.ranges.mean_width,
         fraction(a.ranges.no_recall, a.ranges.recalls) if a.ranges.recalls else None)
        for a in known
    ]  # fmt: skip
    return Section("Collapsed scores", [Table(columns, rows)])
