"""What is shown of classifiers of K classes: one run, two runs, the methods of a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from trueness.document import (
    Cell,
    Column,
    Document,
    Items,
    Part,
    Section,
    Sentence,
    Style,
    Table,
)
from trueness.document.numbers import capital, count, decimal, level, listed, plural
from trueness.evaluation.selection import Contrast
from trueness.evaluation.slice_comparison import MethodComparison
from trueness.evaluation.slices import Slice, Slices
from trueness.judge.access import part_in_words
from trueness.judge.judgement import SCHEMA
from trueness.judge.languages import TwoCompared, recorded_slices
from trueness.judge.languages_figures import (
    calibration_dots,
    confusion_tables,
    difference_table,
    score_dots,
)
from trueness.judge.languages_tops import top_differences, top_table, tops_of
from trueness.judge.languages_words import (
    Words,
    comparison_verdict,
    left_out_note,
    methods_plan,
    methods_verdict,
    pooled_note,
    seeds_note,
    slices_note,
    slices_verdict,
    verdict_word,
    words_of,
)
from trueness.judge.leaks import leaks_sentence
from trueness.judge.levels import levels_section
from trueness.store import Run

if TYPE_CHECKING:
    from trueness.judge.languages_group import ClassGroup

MOST_GROUPS = 60
"""Groups whose classes have a table of their own."""
CALIBRATION = {
    "calibration_error": ("calibration\nerror", 5),
    "brier": ("Brier", 3),
    "log_loss": ("log loss", 2),
}


# ------------------------------------------------------------------------------------------ one run


@dataclass(frozen=True)
class ClassRun:
    """What one classifier of K classes is worth on one part: a judgement.

    Attributes
    ----------
    name, key, label : str
    part : str
    slices : Slices
    words : Words
    data : str
        What it was measured on, where that is not the data of the run.
    leaks : dict, optional
        Of another corpus: texts that the run was trained on, see `trueness.text.leaks.Leaks`, and
        whether they were ``kept``.
    """

    name: str
    key: str
    label: str
    part: str
    slices: Slices
    words: Words
    data: str = ""
    leaks: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "schema": SCHEMA, "kind": "class_run", "name": self.name, "key": self.key,
            "label": self.label, "part": self.part, "data": self.data, "leaks": self.leaks,
            **self.slices.to_dict(),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per estimate of each slice and class; the slice is empty for all units."""
        result = self.slices
        rows = [_row("", "", name, e) for name, e in result.scores.items()]
        for name, one in (("", result.overall), *result.groups.items()):
            measured = {"macro_f1": one.macro_f1} | one.calibration if name else {}
            rows += [_row(name, "", n, e) for n, e in (measured | one.top_k).items()]
            rows += [
                _row(name, label, what, getattr(scores, what))
                for label, scores in one.by_class.items()
                for what in ("precision", "recall", "f1")
            ]
        return pl.from_dicts(rows, infer_schema_length=None)

    def document(self) -> Document:
        """What to show."""
        title = f"{self.name} · {self.label}" if self.label != self.name else self.name
        about = [part_in_words(self.part), *([f"of {self.data}"] if self.data else [])]
        about += [f"· {plural(self.slices.overall.rows, self.words.unit)}"]
        parts = slices_parts(self.name, self.slices, self.words)
        if self.leaks is not None:
            parts.insert(1, leaks_sentence(self.leaks, self.words.unit))
        return Document(title, parts, " ".join(about))


def _row(group: str, label: str, what: str, e: Any) -> dict[str, Any]:  # noqa: ANN401 - an Estimate
    return {
        "group": group, "class": label, "estimate": what, "value": e.value, "low": e.low,
        "high": e.high, "n": e.n, "k": e.k,
    }  # fmt: skip


def class_run(name: str, run: Run[Any], part: str) -> ClassRun:
    """Judgement of a stored run on one part.

    Raises
    ------
    StoreError
        If it was not measured there.
    """
    result = recorded_slices(run, part)
    words = words_of(run.estimands, result.majority, result.judged)
    return ClassRun(name, run.key, run.record["label"], part, result, words)


def class_run_sections(name: str, run: Run[Any], part: str) -> list[Part]:
    """A stored run: its verdict, its groups, its classes, its confusions, how it was trained."""
    from trueness.judge.figures import learning_curves

    result = class_run(name, run, part)
    curves = learning_curves(run)
    trained = [] if curves is None else [Section("Training", [curves])]
    levels = levels_section({name: run}, part, result.words)
    return [*slices_parts(name, result.slices, result.words), *levels, *trained]


def slices_parts(name: str, result: Slices, words: Words, *, figures: bool = True) -> list[Part]:
    """A run: its verdict, its groups, its classes, its confusions."""
    parts: list[Part] = [
        Sentence(slices_verdict(name, result, words), "verdict"),
        Sentence(slices_note(result, words)),
        *_noted(left_out_note(result, words)),
        *_noted(pooled_note(result, words)),
        group_table(result, words),
        top_table(result, words),
    ]
    if figures and result.groups:
        dots = [score_dots({name: result}, words), calibration_dots({name: result}, words)]
        parts += [figure for figure in dots if figure is not None]
    parts += [
        Section(f"Classes, all {words.units}", [class_table(result.overall, words)]),
        Section("Confusions", confusion_tables(result, words), folded=True),
    ]
    return [*parts, *_classes_by_group(result, words)]


def _classes_by_group(result: Slices, words: Words) -> list[Section]:
    some = list(result.groups.items())[:MOST_GROUPS]
    inside = [Section(name, [class_table(one, words)]) for name, one in some]
    return [Section(f"Classes in each {words.group}", inside, folded=True)] if inside else []


def _noted(text: str) -> list[Part]:
    return [Sentence(text, "note")] if text else []


Cells = tuple[Column, Callable[[str, Slice], Cell]]


def group_table(result: Slices, words: Words) -> Table:
    """A row per group, all units last; then the summaries over groups."""
    k, every = len(result.classes), [*result.groups.values(), result.overall]
    blocks = {"clusters": "clusters", "blocks": "blocks", "units": ""}[result.resampled]
    columns: list[Cells] = [
        (Column(words.group, "text", 9), lambda name, _: name),
        (Column(words.units, "count", 8), lambda _, one: one.rows),
    ]
    if blocks:
        columns.append((Column(blocks, "count", 4), lambda _, one: one.blocks))
    if any(one.counted < k for one in every):
        columns.append((Column("classes", "code", 4), lambda _, one: f"{one.counted} of {k}"))
    columns.append((Column("macro-F1", "estimate", 9), lambda _, one: one.macro_f1))
    for what, (title, weight) in CALIBRATION.items():
        if what in result.overall.calibration:
            columns.append((Column(title, "estimate", weight), _calibration(what)))
    named = [*result.groups.items(), (f"all {words.units}", result.overall)]
    rows = [[cell(name, one) for _, cell in columns] for name, one in named]
    styles: list[Style] = [*("" for _ in result.groups), "total"]
    return Table([column for column, _ in columns], rows, styles=styles)


def _calibration(what: str) -> Callable[[str, Slice], Cell]:
    return lambda _, one: one.calibration[what]


def class_table(one: Slice, words: Words) -> Table:
    """Precision, recall and F1 of each class of a slice."""
    columns = [
        Column("class", "text", 9), Column(words.units, "count", 6),
        Column("precision", "share", 8), Column("recall", "share", 8), Column("F1", "estimate", 7),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [name, c.recall.n, c.precision if c.precision.n else "none predicted",
         c.recall if c.recall.n else "none", c.f1 if c.f1.n else None]
        for name, c in one.by_class.items()
    ]  # fmt: skip
    return Table(columns, rows)


# ----------------------------------------------------------------------------------------- two runs


def compare_sections(
    first: str, second: str, compared: TwoCompared, words: Words | None = None
) -> list[Section]:
    """Two runs: the verdict, then differences in summaries and per group, then top-k accuracy."""
    words, result = words or Words(), compared.macro_f1
    summaries = [
        [words.score(n), result.first[n], result.second[n], *_difference(result.summaries[n])]
        for n in words.distinct(result.summaries)
    ]
    parts: list[Part] = [
        Sentence(comparison_verdict(first, second, result, words), "verdict"),
        Sentence(
            f"Differences of macro-F1, {first} minus {second}, on the same resamples of "
            f"{count(result.rows)} {words.units}. Adjusted intervals hold for all rows of a table "
            "together."
        ),
        Table([Column("macro-F1 of", "text", 9), Column(first, "number", 6),
               Column(second, "number", 6), *DIFFERENCE], summaries),
    ]  # fmt: skip
    if result.groups:
        rows = [[name, *_difference(one)] for name, one in result.groups.items()]
        parts.append(Table([Column(words.group, "text", 9), *DIFFERENCE], rows))
    parts += top_differences(first, second, compared.top_k, words)
    return [Section(f"{first} against {second}", parts)]


DIFFERENCE = (
    Column("difference", "difference", 8), Column("adjusted", "difference", 7),
    Column("verdict", "text", 9),
)  # fmt: skip


def _difference(one: Contrast) -> list[Cell]:
    return [one.pointwise, one.simultaneous, verdict_word(one)]


# ------------------------------------------------------------------------------------------ methods


def group_sections(group: ClassGroup) -> list[Section]:
    """Methods against the reference, their groups, then run by run."""
    words, shown = group.words, {n: group.slices(run.key) for n, run in group.shown.items()}
    sections = [] if group.comparison is None else [_methods_section(group.comparison, words)]
    if group.pending:
        sections.append(Section(f"Methods against {group.pending}",
                                [Sentence(group.verdict_text, "note")]))  # fmt: skip
    first = next(iter(shown.values()))
    notes = [Sentence(slices_note(first, words)), *_noted(left_out_note(first, words)),
             *_noted(pooled_note(first, words))]  # fmt: skip
    if left := [name for name in group.methods if name not in shown]:
        notes.append(
            Sentence(f"Left out here, one by one in `trueness show`: {listed(left)}.", "note")
        )
    if first.groups:
        figures = [score_dots(shown, words), calibration_dots(shown, words)]
        sections.append(Section(
            capital(words.groups),
            [*notes, _scores_table(shown, words), tops_of(shown, words),
             *(one for one in figures if one is not None)],
        ))  # fmt: skip
    else:
        sections.append(Section("How it is measured", [*notes, tops_of(shown, words)]))
    return [
        *sections,
        *levels_section(group.shown, group.part, words),
        *(Section(f"{name} in detail", slices_parts(name, result, words, figures=False),
                  folded=True)
          for name, result in shown.items()),
    ]  # fmt: skip


def _methods_section(result: MethodComparison, words: Words) -> Section:
    drop = decimal(result.allowed_drop)
    unhurt = f"; {words.majority} is not degraded if its one-sided bound lies above −{drop}"
    note = (
        f"Differences from {result.reference} with {level(result.confidence)} confidence intervals "
        "that hold for all methods together"
        f"{unhurt * result.majority_counts}."
    )
    plan = methods_plan(result, words)
    parts: list[Part] = [
        Sentence(methods_verdict(result, words), "verdict"),
        Items([note, *([plan] if plan else []), seeds_note(result.methods, result.target, words)]),
        _methods_table(result, words),
    ]
    differences = difference_table(result, words)
    return Section(
        f"Methods against {result.reference}", [*parts, *([differences] if differences else [])]
    )


def _methods_table(result: MethodComparison, words: Words) -> Table:
    first = result.methods[result.reference]
    several = any(len(one.per_seed[result.target]) > 1 for one in result.methods.values())
    others = [
        n for n in ("mean_group", "majority_group")
        if n in first.values and words.score(n) != words.score(result.target)
    ]  # fmt: skip
    columns = [
        Column("method", "text", 9), *([Column("seeds", "count", 3)] if several else []),
        Column(words.score(result.target), "number", 8),
        Column("minus\nreference", "difference", 8), Column("verdict", "text", 7),
        Column("best of all\nminus it", "difference", 4),
        *(Column(f"{words.score(n)}\nminus reference", "difference", 5) for n in others),
        *([Column(f"{words.majority}\ndegraded", "text", 6)] if result.majority_counts else []),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    styles: list[Style] = []
    for name in result.ranked:
        one = result.methods[name]
        own = one.against.get(result.target)
        rows.append([
            name, *([len(one.per_seed[result.target])] if several else []),
            one.values[result.target], own and own.simultaneous,
            "reference" if own is None else verdict_word(own),
            "best" if one.behind is None else one.behind.simultaneous,
            *(one.against[n].simultaneous if n in one.against else None for n in others),
            *([None if own is None else one.majority_degraded] if result.majority_counts else []),
        ])  # fmt: skip
        styles.append("reference" if name == result.reference else "")
    return Table(columns, rows, styles=styles)


def _scores_table(shown: Mapping[str, Slices], words: Words) -> Table:
    """Macro-F1 per group, the methods that are shown side by side."""
    first = next(iter(shown.values()))
    columns = [
        Column(words.group, "text", 9), Column(words.units, "count", 7),
        *(Column(name, "estimate", 8 - i) for i, name in enumerate(shown)),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [name, one.rows, *(s.groups[name].macro_f1 if name in s.groups else None
                           for s in shown.values())]
        for name, one in first.groups.items()
    ]  # fmt: skip
    rows.append([f"all {words.units}", first.overall.rows,
                 *(s.overall.macro_f1 for s in shown.values())])  # fmt: skip
    styles: list[Style] = [*("" for _ in first.groups), "total"]
    return Table(columns, rows, f"Macro-F1 per {words.group}", styles=styles)
