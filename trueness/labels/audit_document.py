"""How an audit of labels is shown: how many are wrong, which rows, which clusters disagree."""

from __future__ import annotations

from collections.abc import Mapping

from trueness.document import Cell, Column, Document, Items, Part, Section, Sentence, Table
from trueness.document.numbers import count, percent, plural, share
from trueness.evaluation.intervals import Estimate
from trueness.judge.errors_document import cut
from trueness.labels.audit import Contradiction, LabelAudit

SLICES = 30
"""Classes and languages that a terminal shows."""
MEANT = (
    "A suspect is confidently of another class, for a model that saw neither it nor its cluster. "
    "Texts that read like another class are suspects too, and so are errors of the model, which "
    "prevail in classes and languages of few texts: intervals are about further texts under this "
    "model, not about what it is wrong about."
)


def document_of(result: LabelAudit) -> Document:
    """The verdict, suspects, clusters, classes and languages."""
    total = sum(result.rows.values())
    verdict = (
        f"{count(len(result.frame))} of {plural(total, 'label is', 'labels are')} suspect. Of the "
        f"texts that are confidently of a class {share(result.suspicion)} have another label; of "
        f"all texts about {count(result.number)}."
    )
    parts: list[Part] = [
        Sentence(verdict, "verdict"),
        Items([f"{', '.join(f'{count(n)} {name}' for name, n in result.rows.items())} texts, "
               f"{result.model} fitted in {result.folds} folds of clusters", *result.notes]),
        Sentence(_in_clusters(result)), Sentence(MEANT),
    ]  # fmt: skip
    if len(result.frame):
        parts.append(Section("Suspects, the surest first", [_suspects(result)]))
    if result.contradictions:
        parts.append(Section("Clusters that contradict themselves", [_clusters(result)]))
    parts += [Section("Suspects of each class and language", [_shares("class", result.by_class),
                                          _shares("language", result.by_language)])]  # fmt: skip
    return Document(f"Labels of {result.name}", parts, f"corpus {result.corpus}")


def _in_clusters(result: LabelAudit) -> str:
    """What labels inside clusters say of each other."""
    one = result.in_clusters
    if not one.pairs:
        return "No cluster has several texts, so that no two labels can contradict each other."
    low, high = (percent(end) for end in (one.noise.low, one.noise.high))
    return (
        f"Inside clusters {count(one.disagreeing)} of {plural(one.pairs, 'pair')} of labels differ,"
        f" as they would with {percent(one.noise.value)} % ({low}–{high}) wrong labels; those that "
        "are wrong for a whole cluster are not seen there."
    )


def _suspects(result: LabelAudit) -> Table:
    shown = result.frame.head(result.top)
    mixed = (shown["cluster_labels"] != "").any()
    columns = [
        Column("text", weight=9), Column("language", "code", 5), Column("given", weight=9),
        Column("suggested", weight=9), Column("margin", "number", 8, 2), Column("reason", weight=6),
        *([Column("labels of its cluster", weight=4)] if mixed else []), Column("part", "code", 3),
        Column("id", "code", 3),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [cut(row["text"]), row["language"], row["given"], row["suggested"], row["margin"],
         row["reason"], *([row["cluster_labels"] or None] if mixed else []), row["part"], row["id"]]
        for row in shown.iter_rows(named=True)
    ]  # fmt: skip
    more = len(result.frame) - len(shown)
    note = (f"{count(more)} more; --csv FILE writes all, to be marked with yes in its column "
            "accept and given to --accept.") * (more > 0)  # fmt: skip
    return Table(columns, rows, note=note)


def _clusters(result: LabelAudit) -> Table:
    columns = [Column("labels", weight=9), Column("texts", weight=8), Column("ids", weight=3),
               Column("cluster", "code", 2)]  # fmt: skip
    shown = result.contradictions[: result.top]
    rows: list[list[Cell]] = [
        [one.label_counts, _texts(one), ", ".join(one.ids), str(one.cluster)] for one in shown
    ]
    n = len(result.contradictions)
    note = (
        f"The largest {count(len(shown))} of {count(n)}; --json has all." if n > len(shown) else ""
    )
    return Table(columns, rows, note=note)


def _texts(one: Contradiction) -> str:
    pairs = zip(one.labels, one.texts, strict=True)
    return " · ".join(f"{label}: {cut(text)}" for label, text in pairs)


def _shares(what: str, shares: Mapping[str, Estimate]) -> Table:
    rows: list[list[Cell]] = [
        [name, one if one.n else "none judged"]
        for name, one in sorted(shares.items(), key=lambda item: -(item[1].value or 0.0))
    ]
    return Table([Column(what, "code", 9), Column("suspects", "share", 9)], rows,
                 shown=SLICES)  # fmt: skip
