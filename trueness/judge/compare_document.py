"""What is shown of two to six runs on the same units."""

from __future__ import annotations

from typing import Any

from trueness.document import (
    Cell,
    Column,
    Document,
    Figure,
    HConcat,
    Part,
    Section,
    Sentence,
    Shaded,
    Table,
    numbers,
)
from trueness.evaluation.selection import Contrast
from trueness.judge.access import counted_in_part, part_in_words
from trueness.judge.compare import ClassComparison, Comparison, Measure, SliceDifference
from trueness.judge.compare_several import Agreement, SeveralCompared, pairs_section
from trueness.judge.curves import alarm_curve
from trueness.judge.leaderboard_document import further_parts, main_table, verdict_parts
from trueness.judge.parts import cautions
from trueness.judge.settings import full_labels

VERDICTS = {"better": "better", "worse": "worse", "tied": "indistinguishable", "unknown": "too few"}
"""Verdict about the first run -> how it is called in a table."""
ROWS_SHOWN, ALARMS_SHOWN = 30, 15
NAMES_DRAWN = 24
"""Slices of a kind beyond which a picture would be a blur."""


def comparison_document(result: Comparison) -> Document:
    """Who is better, where they differ, which alarms only one raised."""
    unit = result.first.run.estimands.nouns[0]
    parts: list[Part] = [
        *(Sentence(sentence(result, one), "verdict") for one in result.measures),
        *cautions(one.run.estimands for one in (result.first, result.second)),
        _measures(result),
        Section("Alarms", [_raised(result), _units(result)]),
    ]
    if result.slices:
        kinds = dict.fromkeys(one.of for one in result.slices)
        parts.append(Section("Where they differ", [p for of in kinds for p in _kind(result, of)]))
    parts.append(Sentence(
        f"{numbers.level(result.confidence)} confidence intervals; differences are paired: both "
        f"runs are measured on the same resamples of the {unit}s, which keep their dependence.",
        "note",
    ))  # fmt: skip
    return Document(
        f"{result.first.name} minus {result.second.name}", parts,
        f"{_labels(result)} · {counted_in_part(result.n, unit, result.part)}, "
        f"{numbers.plural(result.positives, 'positive')}",
    )  # fmt: skip


def _labels(result: Comparison | ClassComparison) -> str:
    both = (result.first, result.second)
    labels = full_labels([named.run.spec for named in both])
    return " against ".join(
        named.name if label == named.name else f"{named.name} ({label})"
        for named, label in zip(both, labels, strict=True)
    )


def sentence(result: Comparison, one: Measure) -> str:
    """One measure of both, and whether they differ."""
    c = one.contrast
    shown = _difference(one)
    first, second = result.first.name, result.second.name
    title = title_of(one)
    if c.verdict == "unknown":
        return f"{title}: too few units to compare {first} with {second}; difference {shown}."
    if c.verdict == "tied":
        return (
            f"{title}: no difference between {first} and {second} is shown; difference {shown}"
            f"{_p(c)}."
        )
    return f"{title}: {first} is {c.verdict} than {second}; difference {shown}{_p(c)}."


def title_of(one: Measure) -> str:
    """What a measure is called in a sentence."""
    return "AUC" if one.name == "auc" else one.name


def _difference(one: Measure) -> str:
    e = one.contrast.simultaneous
    is_share = one.name.startswith("precision")
    return numbers.points(e) if is_share else numbers.estimate(e, signed=True)


def _p(contrast: Contrast) -> str:
    return "" if contrast.p is None else f", {numbers.p_value(contrast.p)}"


def _measures(result: Comparison) -> Table:
    columns = [
        Column("measure", "text", 9), Column(result.first.name, "code", 8),
        Column(result.second.name, "code", 8), Column("difference", "code", 9),
        Column("p", "p", 5), Column("verdict", "text", 7),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [title_of(one), _value(one, one.first), _value(one, one.second), _difference(one),
         one.contrast.p, VERDICTS[one.contrast.verdict]]
        for one in result.measures
    ]  # fmt: skip
    return Table(columns, rows)


def _value(one: Measure, e: Any) -> str:  # noqa: ANN401 - an estimate
    return numbers.share(e) if one.name.startswith("precision") else numbers.estimate(e)


def _raised(result: Comparison) -> Table:
    """Alarms that both raise, and that only one of them raises."""
    only = [f"only {named.name}" for named in (result.first, result.second)]
    rows = [
        [name, result.hits[who].n, result.hits[who]]
        for name, who in zip(["both", *only], ("both", "first", "second"), strict=True)
    ]
    columns = [Column("raised by", "text", 9), Column("alarms", "count", 8),
               Column("precision", "share", 9)]  # fmt: skip
    return Table(columns, rows, title=f"The {result.budget} highest scores of each")


def _units(result: Comparison) -> Table:
    """Each unit that one of them raises an alarm on, and the other does not."""
    table = result.alarms.filter(result.alarms["raised"] != "both")
    names = {"first": result.first.name, "second": result.second.name}
    known = [name for name in ("id", "time", "group") if name in table.columns]
    if "group" in known and result.alarms["group"].n_unique() == 1:
        known.remove("group")
    if "time" in known and all(
        name.startswith(str(time)) for name, time in table.select("id", "time").iter_rows()
    ):
        known.remove("id")  # units are called by their time
    columns = [
        *(Column(name, "date" if name == "time" else "text", 8) for name in known),
        Column("label", "count", 8),
        Column("raised by", "text", 9), Column(f"rank under\n{names['first']}", "count", 6),
        Column(f"rank under\n{names['second']}", "count", 6),
    ]  # fmt: skip
    rows = [
        [*(row[name] for name in known), row["y"], names[row["raised"]],
         row["rank_first"], row["rank_second"]]
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    return Table(columns, rows, title="Alarms that only one raises", shown=ALARMS_SHOWN)


# ------------------------------------------------------------------------------- where they differ


def _kind(result: Comparison, of: str) -> list[Part]:
    """Table and picture of the slices of one kind."""
    slices = [one for one in result.slices if one.of == of]
    unit = result.first.run.estimands.nouns[0]
    names = [result.first.name, result.second.name]
    columns = [
        Column(of, "text", 9), Column(f"{unit}s", "count", 6), Column("base rate", "share", 4),
        *(Column(f"AUC\n{name}", "number", 7) for name in names),
        Column("AUC\ndifference", "difference", 9, help="adjusted for the rows of the table"),
        *(Column(f"hits of alarms\n{name}", "code", 8) for name in names),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [one.name, one.base_rate.n, one.base_rate, one.first, one.second,
         one.contrast and one.contrast.simultaneous,
         *(f"{numbers.count(e.k or 0)}/{numbers.count(e.n)}" for e in one.alarms)]
        for one in slices
    ]  # fmt: skip
    compared = sum(one.contrast is not None for one in slices)
    note = (
        f"Differences adjusted for {numbers.plural(compared, 'row')} (Bonferroni); without enough "
        f"{unit}s of both classes there is no AUC. Alarms are the {result.budget} highest scores "
        f"of all {unit}s."
    )
    table = Table(columns, rows, title=f"By {of}", note=note, shown=ROWS_SHOWN)
    return [table, *_picture(result, of, slices)]


def _picture(result: Comparison, of: str, slices: list[SliceDifference]) -> list[Figure]:
    drawn = [
        (one.name, one.contrast.simultaneous)
        for one in slices
        if one.contrast is not None and one.contrast.simultaneous.low is not None
    ]
    if not 2 <= len(drawn) <= NAMES_DRAWN:
        return []
    values = [e.value for _, e in drawn]
    trace = {
        "x": [name for name, _ in drawn], "y": values, "mode": "markers",
        "marker": {"color": "series-0"}, "showlegend": False,
        "error_y": {
            "type": "data", "symmetric": False, "color": "series-0",
            "array": [(e.high or 0) - (e.value or 0) for _, e in drawn],
            "arrayminus": [(e.value or 0) - (e.low or 0) for _, e in drawn],
        },
    }  # fmt: skip
    layout = {
        "xaxis": {"title": of, "type": "category"},
        "yaxis": {
            "title": f"AUC: {result.first.name} minus {result.second.name}",
            "zeroline": True,
        },
    }
    level = numbers.level(result.confidence)
    return [Figure([trace], layout, f"Difference of AUC by {of}, with simultaneous {level} "
                   "intervals; above 0 the first is better.")]  # fmt: skip


def class_comparison_document(result: ClassComparison) -> Document:
    """Differences of macro-F1 per group."""
    from trueness.judge.languages_tables import compare_sections
    from trueness.judge.languages_words import words_of

    run = result.first.run
    known = run.record["slices"].get(result.part, {})
    sections = compare_sections(
        result.first.name, result.second.name, result.differences,
        words_of(run.estimands, known.get("majority") or "", known.get("judged") or ()),
    )  # fmt: skip
    title = f"{result.first.name} minus {result.second.name}"
    return Document(title, sections, f"{_labels(result)} · {part_in_words(result.part)}")


# ---------------------------------------------------------------------------------- more than two


def several_document(result: SeveralCompared) -> Document:
    """The leaderboard of some runs, every pair of them, their curves, what their alarms share."""
    group = result.group
    pairs = pairs_section(result.pairs, group.rule.confidence)
    parts: list[Part] = [*verdict_parts(group)]
    if group.classes is None:
        named = [(one.name, one.run) for one in result.runs]
        curves = HConcat([alarm_curve(named, what) for what in ("precision", "recall")])
        parts += [main_table(group), pairs, *further_parts(group),
                  Section("Precision and recall over the alarm rate", [curves]),
                  _agreement(result)]  # fmt: skip
    else:
        parts += [pairs, *further_parts(group)]
    return Document(" and ".join(one.name for one in result.runs), parts, group.title)


def _agreement(result: SeveralCompared) -> Section:
    """How many of their alarms every two of them have in common."""
    common = {(one.first.run.key, one.second.run.key): one for one in result.agreement}
    rows: list[list[Cell]] = [
        [one.name, *(_common(common[one.run.key, other.run.key]) for other in result.runs)]
        for one in result.runs
    ]
    columns = [Column("alarms of", "text", 9),
               *(Column(one.name, "text", shade="share") for one in result.runs)]  # fmt: skip
    note = (
        f"Alarms that both raise, of those that either does; each may raise "
        f"{numbers.count(result.budget)}. "
        "Runs that agree on nearly all alarms are one candidate, not two."
    )
    return Section("Agreement of alarms", [Table(columns, rows, note=note)])


def _common(one: Agreement) -> Shaded:
    share = one.both / one.either if one.either else None
    return Shaded(f"{numbers.count(one.both)}/{numbers.count(one.either)}", share)
