"""How errors are shown: how many, which classes are mixed, then texts one by one."""

from __future__ import annotations

from trueness.document import Cell, Column, Document, Items, Part, Section, Sentence, Table
from trueness.document.numbers import count, decimal, plural, share
from trueness.judge.access import part_in_words
from trueness.judge.errors import LISTED, Errors

CHARACTERS = 140
"""Of a text in a table."""


def document_of(result: Errors) -> Document:
    """The verdict, pairs of classes, texts."""
    asked = f" ({result.asked})" if str(result.asked) else ""
    where = part_in_words(result.part)
    k, n = result.wrong.k or 0, result.wrong.n
    wrong = plural(n, "text is", "texts are")
    verdict = (
        f"{count(k)} of {wrong} wrong on the {where}{asked}: {share(result.wrong, counts=False)}."
    )
    if not n:
        verdict = f"There is no such text on the {where}{asked}."
    parts: list[Part] = [Sentence(verdict, "verdict")]
    if result.notes:
        parts.append(Items(result.notes))
    if result.pairs:
        parts.append(_pairs(result))
    if len(result.frame):
        parts.append(Section(LISTED[result.asked.show], [_table(result)]))
    return Document(f"Errors of {result.name}", parts, result.label)


def _pairs(result: Errors) -> Table:
    columns = [Column("given", weight=9), Column("predicted", weight=9),
               Column("of the given class", "share", 8)]  # fmt: skip
    rows: list[list[Cell]] = [[one.given, one.predicted, one.share] for one in result.pairs]
    note = "95 % intervals over clusters of texts, not adjusted for the choice of the largest."
    return Table(columns, rows, "Pairs of classes that are mixed most often", note)


def _table(result: Errors) -> Table:
    shown = result.frame.head(result.top)
    near = "near_similarity" in shown.columns and shown["near_similarity"].null_count() < len(shown)
    words = "words" in shown.columns
    columns = [
        Column("text", weight=9), Column("language", "code", 5), Column("given", weight=9),
        Column("predicted", weight=9), Column("probability", "number", 8),
        Column("of the\ngiven class", "number", 4),
        *([Column("words that decided", weight=7)] if words else []),
        *([Column("nearest training text", weight=6)] if near else []), Column("id", "code", 3),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for row in shown.iter_rows(named=True):
        rows.append([
            cut(row["text"]), row["language"], row["given"], row["predicted"],
            row["probability"], row["probability_given"],
            *([row["words"]] if words else []), *([_near(row)] if near else []), row["id"],
        ])  # fmt: skip
    more = len(result.frame) - len(shown)
    noun = "further error" if result.asked.show == "wrong" else "further text"
    note = f"{plural(more, noun)}; --top {count(len(result.frame))} shows all, --csv "
    return Table(columns, rows, note=f"{note}writes all." if more > 0 else "")


def cut(text: str | None) -> str:
    """Beginning of a text."""
    return "" if text is None else text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]} …"


def _near(row: dict[str, Cell]) -> str | None:
    if row["near_similarity"] is None:
        return None
    return f"{decimal(row['near_similarity'], 2)} {row['near_label']}: {cut(row['near_text'])}"
