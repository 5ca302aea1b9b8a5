"""Tables of a document as LaTeX, with the rules of booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from trueness.document import Cell, Column, Document, Style, Table
from trueness.report.cells import KINDS, clean, spans, stands_right, text_of

SPECIAL = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}", "−": "$-$", "–": "--", "—": "---", "≥": r"$\geq$", "≤": r"$\leq$",
    "×": r"$\times$", "·": r"$\cdot$", "•": r"\textbullet{}", "…": r"\dots{}", "→": r"$\to$",
    "▲": r"$\uparrow$", "▼": r"$\downarrow$", "\u00a0": "~", "’": "'", "[": "{[}", "]": "{]}",
    "*": "{*}",
})  # fmt: skip
STYLES: dict[Style, str] = {"leader": r"\textbf", "total": r"\textbf", "baseline": r"\textit"}
WIDE = 36
"""Characters of a text from which its column is a paragraph."""
PREAMBLE = "% needs \\usepackage[T1]{fontenc} and \\usepackage{booktabs}"


def to_latex(document: Document) -> str:
    r"""Every table of a document, each to be put in by ``\input``.

    Examples
    --------
    >>> table = Table([Column("loss"), Column("runs", "count")], [["50% & more", 3]], "Losses")
    >>> print(to_latex(Document("Runs", [table])))
    % needs \usepackage[T1]{fontenc} and \usepackage{booktabs}
    % Runs
    <BLANKLINE>
    \begin{table}[htbp]
    \centering
    \caption{Losses}
    \begin{tabular}{@{}lr@{}}
    \toprule
    loss & runs \\
    \midrule
    50\% \& more & 3 \\
    \bottomrule
    \end{tabular}
    \end{table}
    <BLANKLINE>
    """
    tables = [_table(table) for table in document.tables()]
    return "\n\n".join([f"{PREAMBLE}\n% {clean(document.title)}", *tables]) + "\n"


def escaped(text: str) -> str:
    """Text whose characters stand for themselves; what is in backticks is set as code."""
    pieces = [(piece.translate(SPECIAL), code) for piece, code in spans(text)]
    return "".join(rf"\texttt{{{piece}}}" if code else piece for piece, code in pieces)


def _table(table: Table) -> str:
    body = [
        _row(row, table.columns, STYLES.get(table.style(i), "")) for i, row in enumerate(table.rows)
    ]
    return "\n".join([
        r"\begin{table}[htbp]", r"\centering",
        *([rf"\caption{{{escaped(table.title)}}}"] if table.title else []),
        rf"\begin{{tabular}}{{@{{}}{''.join(_places(table))}@{{}}}}", r"\toprule",
        f"{' & '.join(_head(column) for column in table.columns)} \\\\", r"\midrule", *body,
        r"\bottomrule", r"\end{tabular}",
        *([rf"\par\smallskip{{\footnotesize {escaped(table.note)}\par}}"] if table.note else []),
        r"\end{table}",
    ])  # fmt: skip


def _places(table: Table) -> list[str]:
    """How each column stands: right, left, or as a paragraph where its texts are long."""
    places = []
    for i, column in enumerate(table.columns):
        longest = max((len(text_of(row[i], column)) for row in table.rows), default=0)
        paragraph = KINDS[column.kind].wraps and longest > WIDE
        places.append(r"p{0.3\linewidth}" if paragraph else "r" if stands_right(column) else "l")
    return places


def _head(column: Column) -> str:
    """Head of a column, its lines one over the other."""
    lines = [escaped(line) for line in column.title.split("\n")]
    if len(lines) == 1:
        return lines[0]
    place = "r" if stands_right(column) else "l"
    stacked = r" \\ ".join(lines)
    return rf"\begin{{tabular}}[b]{{@{{}}{place}@{{}}}}{stacked}\end{{tabular}}"


def _row(row: Sequence[Cell], columns: Sequence[Column], style: str) -> str:
    texts = [escaped(text_of(cell, column)) for cell, column in zip(row, columns, strict=True)]
    shown = [f"{style}{{{text}}}" if style and text else text for text in texts]
    return rf"{' & '.join(shown)} \\"
