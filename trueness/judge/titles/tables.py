"""Tables about titles, as texts for the terminal, Markdown and pages."""

from __future__ import annotations

from collections.abc import Mapping

from trueness.evaluation import Contrast, Estimate, MethodComparison, Slice, SliceComparison, Slices
from trueness.judge.studies.text import Section, Table
from trueness.judge.titles.words import (
    SCORES,
    comparison_verdict,
    gain,
    methods_verdict,
    pooled_note,
    score,
    seeds_note,
    slices_verdict,
    verdict_word,
)
from trueness.judge.words import share_text

LANGUAGE_HEADER = (
    "language", "texts", "clusters", "classes", "macro-F1", "over those present",
    "calibration error", "Brier", "log loss",
)  # fmt: skip
CLASS_HEADER = ("class", "texts", "precision, %", "recall, %", "F1")


def slices_sections(name: str, found: Slices) -> list[Section]:
    """A run: its verdict, its languages, its classes over all texts."""
    level = 100 * found.confidence
    notes = [
        slices_verdict(name, found),
        f"macro-F1 is the mean over all {len(found.classes)} classes, absent ones count 0; "
        f"{level:g} % intervals, clusters of texts kept together",
        *([note] if (note := pooled_note(found)) else []),
    ]
    scores = [(SCORES[what], score(e)) for what, e in found.scores.items()]
    languages = Table(LANGUAGE_HEADER, language_rows(found))
    classes = Table(CLASS_HEADER, class_rows(found.overall))
    return [
        Section(name, notes, [Table(("macro-F1 of", "value"), scores)]),
        Section("Languages", [], [languages]),
        Section("Classes, all texts", [], [classes]),
    ]


def language_rows(found: Slices) -> list[tuple[str, ...]]:
    """Cells of each language, all texts last."""
    return [
        _language_row(name, one, len(found.classes))
        for name, one in (*found.languages.items(), ("all", found.overall))
    ]


def _language_row(name: str, one: Slice, classes: int) -> tuple[str, ...]:
    calibration = one.calibration
    return (
        name, f"{one.rows:,}", f"{one.clusters:,}", f"{one.present} of {classes}",
        score(one.macro_f1), score(one.macro_f1_present), score(calibration["calibration_error"]),
        score(calibration["brier"]), score(calibration["log_loss"]),
    )  # fmt: skip


def class_rows(one: Slice) -> list[tuple[str, ...]]:
    """Cells of each class of a slice."""
    return [
        (name, f"{c.recall.n:,}", _share(c.precision, "none predicted"), _share(c.recall, "none"),
         "–" if c.f1.n == 0 else score(c.f1))
        for name, c in one.by_class.items()
    ]  # fmt: skip


def _share(estimate: Estimate, without: str) -> str:
    return share_text(estimate) if estimate.n else without


def comparison_sections(first: str, second: str, found: SliceComparison) -> list[Section]:
    """Two runs: the verdict, then differences per language and in summaries."""
    notes = [
        comparison_verdict(first, second, found),
        f"differences of macro-F1, {first} minus {second}; the same {found.clusters:,} clusters "
        "resampled for both; corrected intervals hold for all rows of a table together",
    ]
    languages = [_contrast_row(name, one) for name, one in found.languages.items()]
    summaries = [
        (SCORES[n], f"{found.first[n]:.3f}", f"{found.second[n]:.3f}", *_contrast_row(n, one)[1:])
        for n, one in found.summaries.items()
    ]
    header = ("difference", "corrected", "verdict")
    return [
        Section(f"{first} against {second}", notes, [
            Table(("macro-F1 of", first, second, *header), summaries),
            Table(("language", *header), languages),
        ]),
    ]  # fmt: skip


def _contrast_row(name: str, one: Contrast) -> tuple[str, str, str, str]:
    return name, gain(one.pointwise), _ends(one), verdict_word(one)


def _ends(one: Contrast) -> str:
    """Ends of the simultaneous interval."""
    low, high = one.simultaneous.low, one.simultaneous.high
    return "–" if low is None or high is None else f"[{low:+.3f}, {high:+.3f}]"


def methods_sections(
    found: MethodComparison, labels: Mapping[str, str] | None = None
) -> list[Section]:
    """A campaign: the answer, each method against the reference, the best first, and its label."""
    target = SCORES[found.target]
    notes = [
        methods_verdict(found),
        f"differences against {found.reference} with intervals that hold for all methods together "
        f"({100 * found.confidence:g} %); English is unhurt if its interval lies above "
        f"−{found.allowed_drop:g}",
        seeds_note(found.methods, found.target),
    ]
    header = (
        "method", "seeds", target, "minus reference", "verdict", "leader minus it",
        "mean of languages", "English", "English hurt",
    )  # fmt: skip
    table = Table(header, [_method_row(found, name) for name in found.ranked])
    told = [(name, labels[name]) for name in found.ranked if labels and labels[name] != name]
    legend = [Table(("method", "what it is"), told)] if told else []
    return [Section(f"Methods against {found.reference}", notes, [table, *legend])]


def _method_row(found: MethodComparison, name: str) -> tuple[str, ...]:
    one = found.methods[name]

    def against(summary: str) -> str:
        contrast = one.against.get(summary)
        return "–" if contrast is None else gain(contrast.simultaneous)

    own = one.against.get(found.target)
    return (
        name, str(len(one.per_seed[found.target])), f"{one.values[found.target]:.3f}",
        against(found.target), "reference" if own is None else verdict_word(own),
        "leads" if one.behind is None else gain(one.behind.simultaneous),
        against("mean_language"), against("english"), "–" if own is None else one.hurts_english,
    )  # fmt: skip
