"""What is shown of one study: its best trial, its trials, coverage, importance, levels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from trueness.document import Column, HConcat, Items, Section, Sentence, Shaded, Table
from trueness.document.numbers import (
    capital,
    count,
    decimal,
    estimate,
    listed,
    percent,
    plural,
    short,
)
from trueness.judge.studies.analysis import (
    COLLAPSED,
    Analysis,
    Pair,
    Point,
    pairs,
)
from trueness.judge.studies.coverage import Coverage
from trueness.judge.studies.figures import convergence, importance_figure, level_figures
from trueness.judge.studies.importance import FEWEST, Importance
from trueness.judge.studies.levels import FLAT, LevelRow
from trueness.judge.studies.parallel import parallel_coordinates
from trueness.judge.studies.trials import NO_VALUE, Value, order
from trueness.judge.studies.words import (
    configuration,
    fraction,
    gap_text,
    grid_text,
    level_text,
    levels_text,
    of,
    untested_text,
)

MILESTONES = (10, 20, 30, 40, 50, 100, 200, 500, 1000)
MOST_REPEATED = 3
IN_WORDS = {NO_VALUE: "without a value", "fail": "failed"}
"""State of a trial in a sentence."""


def study_title(analysis: Analysis) -> str:
    """Name, label and what the label is worth."""
    study, sizes = analysis.study, analysis.sizes
    true = f", true sizes {short(sizes[0])} to {short(sizes[-1])}" if sizes else ""
    label = "" if study.budget == "?" else f"label {study.budget}{true}"
    known = [text for text in (study.tier, study.kind, label) if text not in ("?", "")]
    return f"{study.name} ({', '.join(known)})" if known else study.name


def study_sections(analysis: Analysis) -> list[Section]:
    """Everything about one study."""
    some = (
        _best(analysis), _trials(analysis),
        coverage_section(analysis.coverage, pairs(analysis.study)), _importance(analysis),
        _levels(analysis), _shape(analysis), _score_ranges(analysis), _forced(analysis),
    )  # fmt: skip
    return [section for section in some if section is not None]


def _best(analysis: Analysis) -> Section:
    """The first best trial, with the error of its validation set."""
    best, value, study = analysis.best, analysis.best_value, analysis.study
    on = f" of {count(value.n)}" if value.n else ""
    weights = f"; {short(best.parameters)} weights" if best.parameters else ""
    facts = [f"{configuration(best)}{weights}."]
    if best.forced:
        facts.append(f"It was forced ({best.forced}), not sampled.")
    if best.key:
        facts.append(f"Run `{best.key}` in the store.")
    return Section("Best configuration", [
        Sentence(
            f"Trial {best.number}: {study.measure} {estimate(value)}, the best of "
            f"{plural(value.n_candidates, 'configuration')}, chosen and measured on the same "
            f"{study.chosen} set{on}: optimistically biased.", "verdict",
        ),
        Items(facts),
        *(Sentence(f"{capital(note)}.", "note") for note in study.notes),
    ])  # fmt: skip


def _trials(analysis: Analysis) -> Section:
    """How many trials, how many of them new, and when the best value came."""
    study, n, line = analysis.study, len(analysis.study.completed), analysis.convergence
    gain = line.index(line[-1]) + 1
    lines = [
        f"{plural(n, 'trial')} complete: mean {decimal(sum(analysis.values) / n)}, standard "
        f"deviation {decimal(analysis.std)}, "
        f"{plural(len(set(analysis.values)), 'distinct value')}.",
        _duplicates(analysis),
        f"The best value came with completed trial {count(gain)} of {count(n)}.",
    ]
    if study.uncounted:
        left_out = ", ".join(
            f"{count(k)} {IN_WORDS.get(state, state)}" for state, k in study.uncounted.items()
        )
        lines.insert(1, f"Not counted: {left_out}.")
    stops = sorted({m for m in MILESTONES if m < n} | {n})
    reached = Table(
        [Column("trials", "count", 9), Column(f"best {study.measure}\nso far", "number", 9)],
        [(m, line[m - 1]) for m in stops],
    )
    lines_of = parallel_coordinates(analysis)
    return Section(
        "Trials",
        [Items(lines), convergence(analysis), *([] if lines_of is None else [lines_of]), reached,
         *_most_repeated(analysis), Section("All trials", [_every(analysis)], folded=True)],
    )  # fmt: skip


def _every(analysis: Analysis) -> Table:
    """A row per completed trial, the best first, with its run in the store."""
    study = analysis.study
    names = list(dict.fromkeys(name for t in study.completed for name in t.params))
    columns = [Column("trial", "count", 9), Column(study.measure, "number", 9),
               *(Column(name, "code") for name in names), Column("run", "code", 8)]  # fmt: skip
    ranked = sorted(study.completed, key=lambda t: -(t.value or 0.0))
    return Table(columns, [
        (t.number, t.value, *(level_text(t.params[n]) if n in t.params else None for n in names),
         t.key)
        for t in ranked
    ])  # fmt: skip


def _duplicates(analysis: Analysis) -> str:
    once = plural(len(analysis.study.configurations), "configuration")
    if not analysis.wasted:
        return f"{once}, no duplicates."
    repeated = f"{count(len(analysis.repeats))} of them repeated"
    repeats = of(analysis.wasted, len(analysis.study.completed))
    return f"{once}, {repeated}: {repeats} trials are repeats."


def _most_repeated(analysis: Analysis) -> list[Table]:
    rows = [(configuration(t), k) for t, k in analysis.repeats[:MOST_REPEATED]]
    columns = [Column("configuration", weight=9), Column("times", "count", 9)]
    return [Table(columns, rows, "Most repeated")] if rows else []


# ----------------------------------------------------------------------------------------- coverage


def coverage_section(covered: Coverage, shaded: Sequence[Pair]) -> Section:
    """Levels, pairs and valid architectures that were tried; some pairs as shaded tables."""
    grids = [g for g in (covered.architectures, covered.training) if g is not None]
    parts = [Items([grid_text(grid) for grid in grids])] if grids else []
    by_pair = [_by_pair(covered)] if covered.pairs else []
    return Section("Coverage", [*parts, _by_parameter(covered), *by_pair, *map(_maps, shaded)])


def _by_parameter(covered: Coverage) -> Table:
    columns = (
        Column("parameter", "code", 9), Column("levels\ntested", "percent", 7),
        Column("trials per level", weight=5), Column("untested", weight=8),
        Column("largest gap", weight=6),
    )  # fmt: skip
    rows = [
        (
            p.name, fraction(len(p.counts) - len(p.untested), len(p.counts)),
            ", ".join(f"{level_text(k)}: {n}" for k, n in p.counts.items() if n),
            levels_text(p.untested), gap_text(p.gap),
        ) for p in covered.parameters
    ]  # fmt: skip
    return Table(columns, rows, "By parameter")


def _by_pair(covered: Coverage) -> Table:
    columns = (
        Column("pair", "code", 9), Column("tested", "share", 9), Column("untested", weight=5),
    )  # fmt: skip
    rows = [
        (" × ".join(g.names), fraction(g.tested, len(g.counts)), untested_text(g))
        for g in sorted(covered.pairs, key=lambda g: g.share)
    ]
    return Table(columns, rows, "By pair, least covered first")


def _maps(pair: Pair) -> HConcat:
    """Trials of each combination, and the mean of their values."""
    names, most = f"{pair.names[0]} (rows) × {pair.names[1]}", max([1, *pair.counts.values()])
    invalid = any((a, b) not in pair.counts for a in _side(pair, 0) for b in _side(pair, 1))
    notes = ["×, grey: invalid"] * invalid + ["empty, white: untested"] * (
        0 in pair.counts.values()
    )
    trials = _map(
        pair, f"Trials of {names}", lambda p: str(pair.counts[p]), pair.counts, (0, most),
        "; ".join(notes),
    )  # fmt: skip
    means = _map(
        pair, f"Mean of {names}", lambda p: decimal(pair.means[p]), pair.means,
        _limits(list(pair.means.values())),
    )  # fmt: skip
    return HConcat([trials, means])


def _side(pair: Pair, which: int) -> list[Value]:
    """Levels of one of the two parameters."""
    return sorted({point[which] for point in pair.counts}, key=order)


def _limits(values: Sequence[float]) -> tuple[float, float] | None:
    """No and full shade: the lowest values, if they are far off, do not pale all others."""
    middle, high = median(values), max(values)
    low = max(min(values), middle - 2 * (high - middle))
    return (low - (high - low) / 4, high) if high > low else None


def _map(
    pair: Pair, title: str, text: Callable[[Point], str], values: Mapping[Point, float],
    limits: tuple[float, float] | None, note: str = "",
) -> Table:  # fmt: skip
    """One row and one column per level."""

    def cell(point: Point) -> Shaded | None:
        if point not in pair.counts:
            return Shaded("×", None)
        return Shaded(text(point), values[point]) if pair.counts[point] else None

    columns = [
        Column(pair.names[0], "code", 9),
        *(
            Column(level_text(b), "number", 5, shade="share", limits=limits)
            for b in _side(pair, 1)
        ),
    ]  # fmt: skip
    rows = [(level_text(a), *(cell((a, b)) for b in _side(pair, 1))) for a in _side(pair, 0)]
    return Table(columns, rows, title, note)


# --------------------------------------------------------------------------------------- importance


MARGINAL = (
    Column("parameter", "code", 9),
    Column("marginal\n(published)", "number", 8, 2),
    Column("by\nchance", "number", 6, 2, help="Mean if the parameter does nothing."),
)
FITTED = (
    Column("additive share,\n95 % CI", "estimate", 9, 2),
    Column("by\nchance", "number", 6, 2, help="Mean with shuffled values."),
    Column("effect", "number", 5, 4, help="Standard deviation of fitted level effects."),
    Column("share among the\nbest fifth, 95 % CI", "estimate", 4, 2),
    Column("by\nchance", "number", 3, 2, help="Mean of a random fifth."),
)


def _importance(analysis: Analysis) -> Section:
    """Published importance beside the other two, each with what chance would give."""
    by, fitted = (
        sorted(analysis.importance, key=lambda i: -(i.published or 0.0)),
        analysis.surrogate,
    )
    rows = [(i.name, i.published, i.published_chance) for i in by]
    columns = MARGINAL
    if fitted is None:
        notes = [f"Fewer than {FEWEST} configurations, or nothing varies: no surrogate is fitted."]
    else:
        notes = _about_surrogate(analysis, fitted.explained, by)
        columns = MARGINAL + FITTED
        rows = [
            (*row, i.additive, i.additive_chance, i.effect, i.top, i.top_chance)
            for row, i in zip(rows, by, strict=True)
        ]
    marginal = (
        "Marginal importance: variance between level means over the variance of all trials, "
        "repeats included; values do not sum to 1, effects are confounded."
    )
    return Section(
        "Importance", [Items([marginal, *notes]), importance_figure(analysis), Table(columns, rows)]
    )


def _about_surrogate(analysis: Analysis, explained: float, by: Iterable[Importance]) -> list[str]:
    clear = [
        i.name for i in by
        if i.additive is not None and (i.additive.low or 0.0) > (i.additive_chance or 0.0)
    ]  # fmt: skip
    above = (
        f"Above chance with the whole interval of the additive share: {listed(clear)}."
        if clear else "No additive share lies above chance with its whole interval."
    )  # fmt: skip
    return [
        "Additive share: effects of all parameters fitted together on "
        f"{plural(len(analysis.study.configurations), 'configuration')}, over a full grid. Share "
        "among the best fifth: how its levels depart from those of all. Intervals: bootstrap over "
        "configurations.",
        f"In leave-one-out prediction the additive model explains {percent(explained)} % of the "
        "variance between configurations; interactions are not in it.",
        above,
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------- levels


LEVELS = (
    Column("level", "number", 9), Column("trials", "count", 7), Column("mean", "number", 8),
    Column("SD", "number", 4), Column("min", "number", 3), Column("max", "number", 3),
    Column("configu-\nrations", "count", 6), Column("mean of these,\n95 % CI", "estimate", 9),
)  # fmt: skip


def _levels(analysis: Analysis) -> Section:
    """A picture and a table per parameter, with its trend."""
    tables = [
        Table(LEVELS, [_level_row(row) for row in rows], f"{name}{_trend(analysis, name)}")
        for name, rows in analysis.by_value.items()
    ]
    about = Items([
        "Means of levels that were sampled together with others are confounded; intervals are "
        "Student's over configurations.",
        f"Trend as published: flat where the means of the last and the first level differ by less "
        f"than {FLAT}; supported where the whole interval of that difference over configurations "
        "agrees.",
    ])  # fmt: skip
    return Section("Levels", [about, HConcat(level_figures(analysis)), *tables])


def _level_row(row: LevelRow) -> tuple[object, ...]:
    return (
        level_text(row.level), row.count, row.mean, row.std, row.low, row.high, row.estimate.n,
        row.estimate,
    )  # fmt: skip


def _trend(analysis: Analysis, name: str) -> str:
    trend = analysis.trends.get(name)
    if trend is None:
        return ""
    supported = "supported" if trend.is_supported else "not supported"
    return (
        f": {trend.word}, {supported}, {estimate(trend.estimate, signed=True)}, "
        f"n = {count(trend.estimate.n)}; best {level_text(trend.best)}, "
        f"worst {level_text(trend.worst)}"
    )


# --------------------------------------------------------------------------------------------- rest


def _shape(analysis: Analysis) -> Section | None:
    """Correlation of the value with width, depth and their ratio."""
    rows = [
        (name.replace("_", " "), whole, each, each.n)
        for name, (whole, each) in analysis.correlations.items()
    ]
    if not rows:
        return None
    columns = (
        Column("measure", weight=9), Column("over trials", "number", 6, 2),
        Column("over configurations,\n95 % CI", "estimate", 9, 2), Column("n", "count", 7),
    )  # fmt: skip
    note = "Width is the inner width of the feed-forward blocks."
    return Section("Correlation with shape", [Table(columns, rows, note=note)])


def _score_ranges(analysis: Analysis) -> Section:
    """How wide scores were, where that was recorded."""
    ranges, n = analysis.ranges, len(analysis.study.completed)
    if not ranges.known:
        line = f"Not recorded for any of {plural(n, 'trial')}."
        return Section("Score ranges", [Sentence(line)])
    recall = f" Recall is 0 in {of(ranges.no_recall, ranges.recalls)}." if ranges.recalls else ""
    line = (
        f"Recorded for {of(ranges.known, n)} trials: mean width {decimal(ranges.mean_width, 2)}, "
        f"{of(ranges.collapsed, ranges.known)} narrower than {COLLAPSED}.{recall}"
    )
    return Section("Score ranges", [Sentence(line)])


def _forced(analysis: Analysis) -> Section | None:
    """Trials whose values were not sampled."""
    if not analysis.forced:
        return None
    names = list(dict.fromkeys(n for t in analysis.forced for n in t.params))
    columns = [
        Column("trial", "count", 9), Column("type", "code", 8), Column("value", "number", 8),
        *(Column(name, "number") for name in names),
    ]  # fmt: skip
    rows = [
        (t.number, t.forced, t.value, *(level_text(t.params.get(n)) for n in names))
        for t in analysis.forced
    ]
    note = "A sampler that is not told of them learns nothing from these trials."
    return Section("Forced trials", [Table(columns, rows, note=note)])
