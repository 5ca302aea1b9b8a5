"""The analysis of studies in words and tables, written once for terminal, Markdown and page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from trueness.evaluation import Estimate
from trueness.judge.studies.analysis import FLAT, Analysis, LevelRow, matrices
from trueness.judge.studies.coverage import Coverage, Gap, GridCoverage
from trueness.judge.studies.importance import FEWEST, Importance
from trueness.judge.studies.trials import PUBLISHED, Trial, Value, order

UNTESTED_SHOWN = 8
MILESTONES = (10, 20, 30, 40, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class Table:
    """Texts of a table; every row is as long as the header."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A heading with sentences and tables under it."""

    title: str
    lines: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def number(value: float | None, digits: int = 4) -> str:
    """Fixed number of digits; a dash if unknown."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(estimate: Estimate, digits: int = 4, signed: bool = False) -> str:
    """``0.7315 [0.6634, 0.7996]``; no brackets where there is no interval.

    Examples
    --------
    >>> interval(Estimate(0.02, -0.01, 0.05, 9), 2, signed=True)
    '+0.02 [-0.01, +0.05]'
    """
    plus = "+" if signed else ""
    if estimate.value is None:
        return "–"
    value = f"{estimate.value:{plus}.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{estimate.low:{plus}.{digits}f}, {estimate.high:{plus}.{digits}f}]"


def size(parameters: int | None) -> str:
    """``1.31M``; a dash if unknown.

    Examples
    --------
    >>> size(1306351), size(46351), size(750), size(2_016_000_000)
    ('1.31M', '46.4k', '750', '2.02B')
    """
    if parameters is None:
        return "–"
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if parameters >= unit:
            return f"{parameters / unit:.3g}{name}"
    return str(parameters)


def share(part: int, whole: int) -> str:
    """``22 of 75, 29 %``."""
    return f"{part} of {whole}" + (f", {100 * part / whole:.0f} %" if whole else "")


def plural(count: int, what: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def configuration(trial: Trial) -> str:
    """Parameters in one line, the published ones first."""
    names = [*(n for n in PUBLISHED if n in trial.params), *trial.params]
    return ", ".join(f"{name} {trial.params[name]}" for name in dict.fromkeys(names))


def sections(found: Analysis) -> list[Section]:
    """Everything about one study."""
    some = (
        best_section, trials_section, lambda one: coverage_section(one.coverage),
        importance_section, levels_section, shape_section, ranges_section, forced_section,
        counts_section,
    )  # fmt: skip
    return [section for make in some if (section := make(found)) is not None]


def title(found: Analysis) -> str:
    """Name, label and what the label is worth."""
    study, sizes = found.study, found.sizes
    true = f", true sizes {size(sizes[0])} to {size(sizes[-1])}" if sizes else ""
    known = [text for text in (study.tier, study.kind) if text != "?"]
    label = "" if study.budget == "?" else f"label {study.budget}{true}"
    about = ", ".join([*known, *([label] if label else [])])
    return f"{study.name} ({about})" if about else study.name


# ------------------------------------------------------------------------------- one study, by part


def best_section(found: Analysis) -> Section:
    """The first best trial, with the error of its validation set."""
    best, value, study = found.best, found.best_value, found.study
    error = interval(value)
    lines = [
        f"Trial {best.number}: {study.measure} {error}, the best of "
        f"{plural(value.n_candidates, 'configuration')}, chosen and measured on the same "
        f"{study.chosen} set{f' of {value.n}' if value.n else ''}: optimistic.",
        f"{configuration(best)}; {size(best.parameters)} weights.",
    ]
    if best.forced:
        lines.append(f"It was forced ({best.forced}), not sampled.")
    if best.key:
        lines.append(f"Run {best.key} in the store.")
    return Section("Best configuration", [*lines, *(f"Note: {n}." for n in study.notes)])


def trials_section(found: Analysis) -> Section:
    """How many trials, how many of them new, and when the best value came."""
    study, n = found.study, len(found.study.completed)
    once = len(study.configurations)
    lines = [
        f"{plural(n, 'trial')} complete; mean {number(sum(found.values) / n)}, standard deviation "
        f"{number(found.std)}, {plural(len(set(found.values)), 'distinct value')}.",
        f"{plural(once, 'configuration')}; {len(found.repeats)} of them repeated, "
        f"{share(found.wasted, n)} of the trials are repeats.",
    ]
    other = [f"{t.state}" for t in study.trials if t.state != "complete"]
    if other:
        counts = ", ".join(f"{other.count(state)} {state}" for state in sorted(set(other)))
        lines.append(f"Not counted: {counts}.")
    line = found.convergence
    stops = sorted({m for m in MILESTONES if m < n} | {n})
    rows = [tuple(number(line[m - 1]) for m in stops)]
    gain = line.index(line[-1]) + 1
    lines.append(f"The best value came with completed trial {gain} of {n}.")
    tables = [Table(tuple(f"after {m}" for m in stops), rows, "Best value so far")]
    if found.repeats:
        repeats = [(configuration(t), str(k)) for t, k in found.repeats[:3]]
        tables.append(Table(("configuration", "times"), repeats, "Most repeated"))
    return Section("Trials", lines, tables)


def coverage_section(found: Coverage) -> Section:
    """Levels, pairs and valid architectures that were tried."""
    rows = [
        (
            p.name, " ".join(f"{k}:{n}" for k, n in p.counts.items() if n),
            " ".join(map(str, p.untested)) or "none", gap_text(p.gap),
        ) for p in found.parameters
    ]  # fmt: skip
    header = ("parameter", "level:trials", "untested", "largest gap")
    grids = [g for g in (found.architectures, found.training) if g is not None]
    lines = [grid_text(grid) for grid in grids]
    pairs = [(" × ".join(g.names), share(g.tested, len(g.counts)), untested_text(g))
             for g in sorted(found.pairs, key=lambda g: g.share)]  # fmt: skip
    tables = [Table(header, rows, "By parameter")]
    if pairs:
        tables.append(Table(("pair", "tested", "untested"), pairs, "By pair, least covered first"))
    return Section("Coverage", lines, tables)


def grid_text(grid: GridCoverage) -> str:
    """One sentence on how much of a grid was tried."""
    names = ", ".join(grid.names)
    rest = untested_text(grid)
    return f"({names}): {share(grid.tested, len(grid.counts))} valid combinations tried" + (
        "." if rest == "none" else f"; not tried: {rest}."
    )


def untested_text(grid: GridCoverage) -> str:
    """The first few combinations that were not tried, and how many more."""
    points = ["/".join(map(str, point)) for point in grid.untested]
    more = f" … {len(points) - UNTESTED_SHOWN} more" if len(points) > UNTESTED_SHOWN else ""
    return ", ".join(points[:UNTESTED_SHOWN]) + more if points else "none"


def gap_text(gap: Gap | None) -> str:
    """Between which values nothing was tried."""
    if gap is None:
        return "none"
    scale = "" if gap.scale == "linear" else f", {gap.scale} scale"
    return f"{gap.low:g} to {gap.high:g}, {100 * gap.share:.0f} %{scale}"


IMPORTANCE: dict[str, Callable[[Importance], str]] = {
    "parameter": lambda i: i.name,
    "published": lambda i: number(i.published, 2),
    "by chance": lambda i: number(i.published_chance, 2),
}
SURROGATES: dict[str, Callable[[Importance], str]] = {
    "additive share": lambda i: "–" if i.additive is None else interval(i.additive, 2),
    "by chance ": lambda i: number(i.additive_chance, 2),
    "effect": lambda i: number(i.effect),
    "top share": lambda i: "–" if i.top is None else interval(i.top, 2),
    "by chance  ": lambda i: number(i.top_chance, 2),
}


def importance_section(found: Analysis) -> Section:
    """Published importance beside the other two, each with what chance would give."""
    by, fitted = sorted(found.importance, key=lambda i: -(i.published or 0.0)), found.surrogate
    cells = IMPORTANCE if fitted is None else {**IMPORTANCE, **SURROGATES}
    lines = [
        "Published: variance between level means over variance of all trials; it counts repeats, "
        "does not add up, and gives a parameter the credit of its companions."
    ]
    if fitted is None:
        lines.append(
            f"Fewer than {FEWEST} configurations, or nothing varies: no surrogate is fitted."
        )
    else:
        lines += [
            "Additive share: effects of all parameters fitted together on "
            f"{len(found.study.configurations)} configurations, over a full grid. Top share: how "
            "the best fifth departs from all. Effect: standard deviation of fitted level effects. "
            "Intervals: bootstrap over configurations, 95 %. By chance: with shuffled values.",
            f"Left out one by one, the additive model explains {100 * fitted.explained:.0f} % of "
            "the variance between configurations; interactions are not in it.",
            _above_chance(by),
        ]
    rows = [tuple(text(i) for text in cells.values()) for i in by]
    return Section("Importance", lines, [Table(tuple(h.strip() for h in cells), rows)])


def _above_chance(rows: Iterable[Importance]) -> str:
    clear = [
        i.name for i in rows
        if i.additive is not None and (i.additive.low or 0.0) > (i.additive_chance or 0.0)
    ]  # fmt: skip
    if not clear:
        return "No additive share lies above chance with its whole interval."
    return f"Above chance with the whole interval of the additive share: {', '.join(clear)}."


def levels_section(found: Analysis) -> Section:
    """A table per parameter, and its trend."""
    header = (
        "level",
        "trials",
        "mean",
        "sd",
        "min",
        "max",
        "configurations",
        "mean of these, 95 %",
    )
    tables, lines = [], []
    for name, rows in found.by_value.items():
        tables.append(
            Table(header, [_level_row(row) for row in rows], f"{name}{_trend(found, name)}")
        )
    lines.append(
        "Means of levels that were sampled together with others are confounded; intervals are "
        f"Student's over configurations. Trend as published: flat below {FLAT} between the means "
        "of the last and the first level; it is supported if the whole interval of that difference "
        "over configurations agrees."
    )
    return Section("Levels", lines, tables)


def _level_row(row: LevelRow) -> tuple[str, ...]:
    return (
        str(row.level), str(row.count), number(row.mean), number(row.std), number(row.low),
        number(row.high), str(row.estimate.n), interval(row.estimate),
    )  # fmt: skip


def _trend(found: Analysis, name: str) -> str:
    trend = found.trends.get(name)
    if trend is None:
        return ""
    supported = "supported" if trend.is_supported else "not supported"
    return (
        f": {trend.word}, {supported}, {interval(trend.estimate, signed=True)} "
        f"(n = {trend.estimate.n}); best {trend.best}, worst {trend.worst}"
    )


def shape_section(found: Analysis) -> Section | None:
    """Correlation of the value with width, depth and their ratio."""
    rows = [
        (name.replace("_", " "), number(whole, 2), interval(each, 2), str(each.n))
        for name, (whole, each) in found.correlations.items()
    ]
    if not rows:
        return None
    line = "Width is the inner width of the feed-forward blocks."
    header = ("measure", "over trials", "over configurations, 95 %", "n")
    return Section("Correlation with shape", [line], [Table(header, rows)])


def ranges_section(found: Analysis) -> Section:
    """How wide scores were, where that was recorded."""
    ranges, n = found.ranges, len(found.study.completed)
    if not ranges.known:
        return Section("Score ranges", [f"Not recorded for any of {plural(n, 'trial')}."])
    recall = f" Recall is 0 in {share(ranges.no_recall, ranges.recalls)}." if ranges.recalls else ""
    line = (
        f"Recorded for {share(ranges.known, n)}: mean width {number(ranges.mean_width, 2)}, "
        f"{share(ranges.collapsed, ranges.known)} narrower than 0.2.{recall}"
    )
    return Section("Score ranges", [line])


def forced_section(found: Analysis) -> Section | None:
    """Trials whose values were not sampled."""
    if not found.forced:
        return None
    names = list(dict.fromkeys(n for t in found.forced for n in t.params))
    rows = [
        (
            str(t.number),
            t.forced or "",
            number(t.value),
            *(str(t.params.get(n, "–")) for n in names),
        )
        for t in found.forced
    ]
    line = "A sampler that is not told of them learns nothing from these trials."
    return Section("Forced trials", [line], [Table(("trial", "type", "value", *names), rows)])


def counts_section(found: Analysis) -> Section | None:
    """Trials of each pair of levels, with their mean value."""
    tables = []
    for (one, two), counts, means in matrices(found.study):
        columns = sorted({point[1] for point in counts}, key=order)
        down = sorted({point[0] for point in counts}, key=order)
        rows = [(str(a), *(_cell(counts, means, (a, b)) for b in columns)) for a in down]
        tables.append(Table((f"{one} \\ {two}", *map(str, columns)), rows, f"{one} × {two}"))
    if not tables:
        return None
    line = "Trials of each pair and their mean; a cross where heads do not divide the width."
    return Section("Pairs", [line], tables)


def _cell(
    counts: dict[tuple[Value, ...], int], means: dict[tuple[Value, ...], float],
    point: tuple[Value, ...],
) -> str:  # fmt: skip
    if point not in counts:
        return "×"
    return f"{counts[point]} ({number(means[point], 3)})" if counts[point] else "0"


# ----------------------------------------------------------------------------------------- Markdown


def markdown(heading: str, parts: Sequence[tuple[str, Sequence[Section]]]) -> str:
    """A page: a heading, and for each part its title and sections."""
    lines = [f"# {heading}", ""]
    for name, inside in parts:
        lines += [f"## {name}", ""]
        for section in inside:
            lines += [f"### {section.title}", "", *_paragraphs(section.lines)]
            for table in section.tables:
                lines += _markdown_table(table)
    return "\n".join(lines).rstrip() + "\n"


def _paragraphs(lines: Iterable[str]) -> list[str]:
    return [text for line in lines for text in (line, "")]


def _markdown_table(table: Table) -> list[str]:
    def row(cells: Iterable[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |"

    head = [f"**{table.title}**", ""] if table.title else []
    rule = "|" + " --- |" * len(table.header)
    return [*head, row(table.header), rule, *map(row, table.rows), ""]
