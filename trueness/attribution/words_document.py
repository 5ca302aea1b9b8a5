"""How words that move a class are shown."""

from __future__ import annotations

from collections.abc import Sequence

from trueness.attribution.word_effects import TextEffect, WordEffect, WordImportance
from trueness.document import (
    Column,
    Document,
    Figure,
    HConcat,
    Items,
    Part,
    Section,
    Sentence,
    Table,
)
from trueness.document.numbers import count, decimal, level, listed, percent, plural

TOP = 10
"""Words of a class that are shown."""
CLASSES = 5
"""Classes of one text that have a column."""
MEANT = (
    "An effect is the log-probability of the class with the word minus without it: +0.69 doubles "
    "the probability. It says what this model reads, in texts that a shorter one still resembles."
)


def document_of(result: WordImportance) -> Document:
    """Of one text its words in order, else the words of each class."""
    title = f"Words that move {result.name}"
    if result.text is not None:
        return Document(title, _of_text(result, result.text), result.label)
    moved = {label: result.of_class(label) for label in result.classes}
    some = [label for label, words in moved.items() if words]
    verdict = (
        f"{count(sum(map(len, moved.values())))} of "
        f"{plural(result.judged * len(result.classes), 'pair')} of a word and a class: leaving the "
        "word out moves the probability of the class."
    )
    parts: list[Part] = [Sentence(verdict, "verdict"), Items([*_facts(result), *result.notes]),
                         Sentence(MEANT)]  # fmt: skip
    parts += [Section(label, [_words(moved[label]), _bars(label, moved[label])]) for label in some]
    if lacking := [label for label in result.classes if label not in some]:
        parts.append(Sentence(f"No word is shown to move {listed(lacking)}.", "note"))
    return Document(title, parts, result.label)


def _facts(result: WordImportance) -> list[str]:
    return [
        f"{count(result.n)} of {count(result.of)} {result.part} texts (seed {result.seed}), "
        f"{plural(result.words, 'distinct word')}, {count(result.judged)} of them in enough "
        "clusters of texts to be judged",
        f"{level(result.confidence)} intervals over clusters of texts, adjusted for "
        f"{plural(result.judged * len(result.classes), 'pair')} of a word and a class",
    ]  # fmt: skip


def _words(some: Sequence[WordEffect]) -> Table:
    shown = some[:TOP]
    columns = [Column("word", "code", 9), Column("texts", "count", 5),
               Column("effect, log-probability", "difference", 9, 2)]  # fmt: skip
    rows = [[one.word, one.effect.n, one.effect] for one in shown]
    note = f"The {TOP} surest of {count(len(some))}." if len(some) > TOP else ""
    return Table(columns, rows, note=note)


def _bars(label: str, some: Sequence[WordEffect]) -> Figure:
    shown = some[:TOP][::-1]
    values = [one.effect.value or 0.0 for one in shown]
    trace = {
        "type": "bar", "orientation": "h", "x": values, "y": [one.word for one in shown],
        "marker": {"color": "series-0"}, "showlegend": False,
        "error_x": {
            "array": [(one.effect.high or v) - v for one, v in zip(shown, values, strict=True)],
            "arrayminus": [v - (one.effect.low or v)
                           for one, v in zip(shown, values, strict=True)],
            "thickness": 1.4, "color": "ink",
        },
    }  # fmt: skip
    layout = {"height": 110 + 24 * len(shown), "yaxis": {"automargin": True, "type": "category"},
              "xaxis": {"title": {"text": "effect, log-probability"}}}  # fmt: skip
    return Figure([trace], layout, f"Words that move {label} most surely, with their intervals.")


def _of_text(result: WordImportance, one: TextEffect) -> list[Part]:
    labels = list(one.probability)[:CLASSES]
    said = ", ".join(f"{label} {percent(one.probability[label])} %" for label in labels[:3])
    of_classes = [Column(label, "difference", 8 - i, 2) for i, label in enumerate(labels)]
    columns = [Column("word", "code", 9), *of_classes]
    rows = [[word, *(effect[label] for label in labels)] for word, effect in one.words]
    return [
        Sentence(f"“{one.text}” is {one.label}.", "verdict"), Items([said, *result.notes]),
        Sentence(MEANT), Table(columns, rows, "Effect of each word, log-probability"),
        HConcat([_of_words(one)]),
    ]  # fmt: skip


def _of_words(one: TextEffect) -> Figure:
    places = list(range(len(one.words)))[::-1]
    trace = {
        "type": "bar", "orientation": "h", "x": [effect[one.label] for _, effect in one.words],
        "y": places, "marker": {"color": "series-0"}, "showlegend": False, "hoverinfo": "text",
        "text": [f"{word}: {decimal(effect[one.label], 2, signed=True)}"
                 for word, effect in one.words], "textposition": "none",
    }  # fmt: skip
    layout = {"height": 110 + 24 * len(places),
              "yaxis": {"automargin": True, "tickvals": places,
                        "ticktext": [word for word, _ in one.words]},
              "xaxis": {"title": {"text": "effect, log-probability"}}}  # fmt: skip
    return Figure([trace], layout, f"What each word, in order, adds to {one.label}.")
