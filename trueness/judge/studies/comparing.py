"""Studies beside each other, in words and tables."""

from __future__ import annotations

from trueness.judge.studies.across import Across, Group, agree
from trueness.judge.studies.analysis import Analysis
from trueness.judge.studies.text import Section, Table, interval, number, share, size


def across_sections(found: Across) -> list[Section]:
    """Summary of all studies, scaling by true size, agreement, score ranges."""
    scaling = [_scaling(group) for group in found.groups]
    return [
        _summary(found),
        *scaling,
        *([_agreement(found)] if found.groups else []),
        _ranges(found),
    ]


def _summary(found: Across) -> Section:
    header = ("study", "label", "true sizes", "best", "weights of the best", "d_model", "layers",
              "heads", "learning rate", "dropout", "repeats", "architectures tried")  # fmt: skip
    return Section(
        "All studies",
        [found.sentence(), *found.about_means()],
        [Table(header, [_row(a) for a in found.analyses])],
    )


def _row(one: Analysis) -> tuple[str, ...]:
    study, best, sizes = one.study, one.best, one.sizes
    names = ("d_model", "n_layers", "n_heads", "learning_rate", "dropout")
    grid = one.coverage.architectures
    return (
        study.name, study.budget,
        f"{size(sizes[0])} to {size(sizes[-1])}" if sizes else "–", interval(one.best_value, 3),
        size(best.parameters), *(str(best.params.get(n, "–")) for n in names),
        share(one.wasted, len(study.completed)),
        "–" if grid is None else share(grid.tested, len(grid.counts)),
    )  # fmt: skip


def _scaling(group: Group) -> Section:
    order = ", ".join(
        f"{m.study.budget} {number(m.best.value)} ({size(m.best.parameters)} weights)"
        for m in group.members
    )
    lines = [f"Best by label: {order}."]
    if group.verdict is not None:
        lines.append(f"Published verdict on scaling: {group.verdict}; {_support(group)}.")
    if group.sizes_rise is False:
        lines.append("The winners' true sizes do not rise with their labels.")
    if group.slope.value is not None:
        lines.append(_slope(group))
    header = ("budgets", "best − best, 95 %, as if independent", "exceeds its error",
              "correlation it would need", "mean − mean of configurations, 95 %", "n")  # fmt: skip
    rows = [
        (
            f"{d.one} − {d.two}", interval(d.best, signed=True), "yes" if d.is_clear else "no",
            number(d.correlation_needed), interval(d.mean, signed=True), str(d.mean.n),
        ) for d in group.differences
    ]  # fmt: skip
    return Section(f"Scaling: {group.name}", lines, [Table(header, rows)])


def _support(group: Group) -> str:
    if all(d.best.low is None for d in group.differences):
        return "whether the differences exceed their error is unknown, as positives are not known"
    if not group.is_supported:
        return "not supported, no difference between the best values exceeds its error"
    return "at least one difference between the best values exceeds its error"


def _slope(group: Group) -> str:
    slope, r = group.slope, group.correlation
    clear = slope.low is not None and slope.high is not None and slope.low * slope.high > 0
    meaning = "leaves zero out" if clear else "holds zero"
    return (
        f"By true size: {interval(slope, signed=True)} per factor of ten over {slope.n} "
        f"configurations, whose interval {meaning}; correlation with the logarithm "
        f"{interval(r, 2)}. It rests on the spread between configurations as this search sampled "
        "them, with its training values, on one set of days."
    )


def _agreement(found: Across) -> Section:
    names = list(dict.fromkeys(n for g in found.groups for n in g.agreement))
    rows = [
        (g.name, *(_levels(g, name) for name in names)) for g in found.groups
    ]  # fmt: skip
    counts = [
        f"{name} {sum(agree(g.agreement[name]) for g in found.groups if name in g.agreement)}"
        for name in names
    ]
    line = (
        f"Best level by budget, smallest label first. Groups of {len(found.groups)} whose budgets "
        f"agree: {', '.join(counts)}."
    )
    return Section("Agreement of the best", [line], [Table(("group", *names), rows)])


def _levels(group: Group, name: str) -> str:
    levels = group.agreement.get(name)
    if levels is None:
        return "–"
    return " / ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in levels)


def _ranges(found: Across) -> Section:
    known = [a for a in found.analyses if a.ranges.known]
    if not known:
        return Section("Collapse", ["Score ranges were not recorded in any of these studies."])
    rows = [
        (
            a.study.name, share(a.ranges.collapsed, a.ranges.known),
            number(a.ranges.mean_width, 2), share(a.ranges.no_recall, a.ranges.recalls),
        ) for a in known
    ]  # fmt: skip
    header = ("study", "narrower than 0.2", "mean width", "recall 0")
    return Section("Collapse", [], [Table(header, rows)])
