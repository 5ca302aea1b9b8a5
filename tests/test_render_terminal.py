"""Documents in a terminal: widths, what is left out, nothing that a terminal would obey."""

import datetime as dt
import io
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tests.sample_document import HOSTILE, document, leaderboard_table
from trueness.document import (
    Column,
    Document,
    Figure,
    Items,
    Link,
    Section,
    Sentence,
    Shaded,
    Table,
)
from trueness.errors import TruenessError
from trueness.evaluation import Estimate
from trueness.report import show
from trueness.report.cells import KINDS, clean, text_of, visible
from trueness.report.grid import fit, wrapped
from trueness.report.terminal import LONG, Screened


def shown(content, width=80, limit=None, **options):
    """What a console of some width shows; `content` is a document or its parts."""
    if not isinstance(content, Document):
        content = Document("Title", content)
    file = io.StringIO()
    console = Console(file=file, width=width, markup=False, emoji=False, **options)
    show(content, console, limit)
    return file.getvalue()


def flat(text):
    return " ".join(text.split())


# ------------------------------------------------------------------------------------------- cells


@pytest.mark.parametrize(("kind", "cell", "text"), [
    ("text", "a b", "a b"),
    ("code", "D-01", "D-01"),
    ("count", 7257, "7,257"),
    ("short", 1306351, "1.31M"),
    ("share", Estimate.proportion(13, 30), "43 % (25–63) · 13/30"),
    ("share", 0.43, "43 %"),
    ("share_only", Estimate.proportion(13, 30), "43 % (25–63)"),
    ("percent", Estimate.proportion(13, 30), "43 %"),
    ("percent", None, ""),
    ("percent", math.nan, "–"),
    ("bound", Estimate(0.6, 0.41, 1.0, 30), "≥ 41 %"),
    ("estimate", Estimate(0.7104, 0.68, 0.7382, 422), "0.710 (0.680–0.738)"),
    ("estimate", 0.7104, "0.710"),
    ("difference", Estimate(-0.0131, -0.08, 0.04, 422), "−0.013 (−0.080 to +0.040)"),
    ("points", Estimate(0.031, -0.012, 0.074, 422), "+3.1 (−1.2 to +7.4)"),
    ("points", 0.031, "+3.1"),
    ("number", 0.00123, "0.001"),
    ("number", 12, "12"),
    ("p", 0.00002, "< 0.001"),
    ("date", dt.datetime(2026, 11, 28, 12), "2026-11-28"),
    ("link", [Link("TRU001"), Link("TRU002")], "TRU001 TRU002"),
    ("count", Shaded("+3 ▲", 3.0), "+3 ▲"),
    ("share", "infeasible", "infeasible"),
    ("text", True, "yes"),
])  # fmt: skip
def test_a_cell_is_written_by_its_kind(kind, cell, text):
    assert text_of(cell, Column("x", kind)).replace("\u00a0", " ") == text


def test_unknown_kinds_shades_and_traces_are_refused():
    for make, code in (
        (lambda: Column("x", "hat"), "column_kind"),
        (lambda: Column("x", shade="red"), "column_shade"),
        (lambda: Figure([{"type": "heatmap", "z": [[1]]}]), "figure_type"),
    ):
        with pytest.raises(TruenessError) as refused:
            make()
        assert refused.value.code == code


@given(st.text())
def test_what_is_clean_holds_nothing_that_a_terminal_obeys(text):
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", clean(text))


# ---------------------------------------------------------------------------------------- wrapping


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z", "M"]) | st.just(" ")),
       st.integers(2, 40))  # fmt: skip
def test_wrapping_keeps_every_letter_and_the_width(text, width):
    lines = wrapped(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_numbers_of_a_sentence_hold_together():
    text = shown([Sentence("precision of the model is now 43 % (25–63) · 13/30 of the alarms")], 42)
    assert "43 % (25–63) · 13/30" in text


# ------------------------------------------------------------------------------------------ widths


VALUES = {
    "code": st.from_regex(r"[a-f0-9]{4,12}", fullmatch=True),
    "text": st.from_regex(r"[a-z]{1,9}( [a-z]{1,9}){0,6}", fullmatch=True),
    "count": st.integers(0, 10**9),
    "share": st.builds(lambda k, n: Estimate.proportion(min(k, n), n), st.integers(0, 900),
                       st.integers(1, 900)),
    "difference": st.floats(-0.5, 0.5).map(lambda x: Estimate(x, x - 0.1, x + 0.1, 9)),
    "p": st.floats(0, 1),
    "link": st.lists(st.sampled_from([Link("TRU001"), Link("(TRU016 muted)")]), max_size=4),
}  # fmt: skip
TITLES = st.from_regex(r"[a-z]{2,8}([ \n][a-z]{2,8}){0,3}", fullmatch=True)


@st.composite
def tables(draw):
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=11))
    columns = [Column("id", "code", 9)]
    columns += [
        Column(f"{draw(TITLES)} x{i}", kind, draw(st.integers(0, 9)))
        for i, kind in enumerate(kinds)
    ]
    rows = draw(st.lists(st.tuples(*(VALUES[c.kind] for c in columns)), min_size=1, max_size=6))
    return Table(columns, rows)


@given(tables(), st.integers(60, 200))
def test_a_table_fits_without_splitting_a_number_and_tells_what_left(table, width):
    text = shown([table], width)
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert not any(line != line.rstrip() for line in lines)
    cells = [[text_of(row[i], c) for row in table.rows] for i, c in enumerate(table.columns)]
    grid = fit(table.columns, cells, width)
    for i in grid.columns:
        if not KINDS[table.columns[i].kind].wraps:
            assert all(cell.replace("\u00a0", " ") in text for cell in cells[i])
    left_out = [flat(table.columns[i].title) for i in grid.left_out]
    assert all(name in flat(text) for name in left_out)
    assert ("Not shown at this width" in text) == bool(left_out)


@given(tables(), st.integers(60, 200))
def test_columns_of_the_least_weight_leave_first(table, width):
    cells = [[text_of(row[i], c) for row in table.rows] for i, c in enumerate(table.columns)]
    grid = fit(table.columns, cells, width)
    assert grid.columns[0] == 0
    gone = [table.columns[i].weight for i in grid.left_out]
    kept = [table.columns[i].weight for i in grid.columns[1:]]
    assert not gone or not kept or max(gone) <= min(kept)


@pytest.mark.parametrize("width", [60, 80, 100, 160, 200])
def test_every_part_keeps_the_width(width):
    lines = shown(document(), width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert not any(line != line.rstrip() for line in lines)


def test_a_wide_terminal_shows_every_column():
    table = leaderboard_table()
    text = shown([table], 400)
    assert "Not shown" not in text
    assert "PatchTST d288×2, emb 16" in text


def test_heads_break_where_they_may_and_only_if_they_must():
    wide = [Column("id", "code"), Column("precision\n@0.5", "share")]
    assert "precision @0.5" in shown([Table(wide, [["a", Estimate.proportion(3, 9)]])])
    narrow = [Column("id", "code"), Column("precision\n@0.5", "count")]
    assert "precision @0.5" not in shown([Table(narrow, [["a", 3]])])


# ------------------------------------------------------------------------- rows and folded sections


def _years(n, **options):
    return Table([Column("year", "code"), Column("n", "count")], [[f"y{i}", i] for i in range(n)],
                 **options)  # fmt: skip


def test_a_limit_leaves_rows_of_note():
    table = _years(30, styles=[""] * 28 + ["baseline", "total"])
    text = shown([table], limit=5)
    assert re.findall(r"y\d+", text) == ["y0", "y1", "y2", "y3", "y4", "y28", "y29"]
    assert "23 more rows" in text
    assert visible(table, None) == list(range(30))


def test_the_smaller_of_limit_and_shown_rules():
    assert "… 27 more rows: --report" in shown([_years(30, shown=3)], limit=5)
    assert "… 28 more rows: --limit or --report" in shown([_years(30, shown=3)], limit=2)


def test_folded_sections_and_figures_are_told_in_one_line():
    figure = Figure([{"x": [1], "y": [1]}], caption="A curve.")
    text = shown([
        Section("Open", [Sentence("seen"), Section("Inside", [Sentence("hidden")], folded=True)]),
        Section("Only a picture", [figure]), Section("Details", [Sentence("hidden")], folded=True),
    ], 160)  # fmt: skip
    assert "hidden" not in text
    assert "A curve." not in text
    assert "Only a picture" not in text
    assert text.splitlines()[-1] == (
        "Left out here: 2 details (Inside and Details) and 1 figure; --report FILE.html shows them."
    )


def test_many_folded_sections_are_counted_and_not_named():
    folded = [Section("A long name of a detail" * 2, [Sentence("x")], folded=True)] * 5
    assert shown(folded, 160).splitlines()[-1] == (
        "Left out here: 5 details; --report FILE.html shows them."
    )


def test_tables_stand_side_by_side_only_where_there_is_room():
    text = shown(document(), 100)
    assert re.search(r"^By year +By regime$", text, re.MULTILINE)
    assert not re.search(r"^By year +By regime$", shown(document(), 34), re.MULTILINE)


# --------------------------------------------------------------------------------- where it goes to


def test_piped_output_has_no_codes_and_no_trailing_blanks():
    text = shown(document(), 160)
    assert "\x1b" not in text
    assert not re.search(r"[ \t]+$", text, re.MULTILINE)


def test_a_terminal_sees_the_verdict_in_bold_and_nothing_from_data():
    parts = [Sentence("No model is better.", "verdict"), Sentence(HOSTILE)]
    text = shown(parts, 100, force_terminal=True, color_system="standard", legacy_windows=False)
    assert "\x1b[1mNo model is better.\x1b[0m" in text
    assert "\x1b[31m" not in text


def test_a_terminal_that_knows_ascii_only_gets_ascii():
    class Ascii(io.StringIO):
        encoding = "ascii"

    file = Ascii()
    parts = [leaderboard_table(), Items(["≥ 21 % · −0.3"])]
    show(Document("Title", parts), Console(file=file, width=100))
    assert file.getvalue().isascii()
    assert max(map(len, file.getvalue().splitlines())) <= 100


def test_backticks_vanish_and_tones_have_words():
    text = shown([Sentence("run `trueness list`", "warning"), Sentence("lost", "error")])
    assert "Warning: run trueness list" in text
    assert "Error: lost" in text


def test_empty_documents_and_tables_are_shown():
    assert shown(Document("Nothing", [])) == "Nothing\n"
    assert "year" in shown([_years(0)])
    assert shown(Document("", [Sentence("alone")])) == "alone\n"


def test_a_console_prints_nothing_that_a_terminal_would_obey():
    stream = io.StringIO()
    console = Screened(file=stream, width=80, markup=False, color_system=None, force_terminal=True)
    console.print("a\x1b[31mb\x9b2J\u202ec\x07")
    console.print(Text("d\x1b]0;title\x07e"))
    assert stream.getvalue() == "a[31mb2Jc\nd]0;titlee\n"


@pytest.mark.parametrize("rows", [2, 60])
def test_the_answer_is_the_first_line_and_of_a_long_output_the_last(rows):
    table = Table([Column("id")], [[f"D-{i}"] for i in range(rows)])
    document = Document("Runs", [table, Section("more", [table], folded=True)], answer="D-1 leads.")
    console = Console(file=io.StringIO(), width=80)
    show(document, console)
    lines = console.file.getvalue().strip().splitlines()
    assert lines[0].strip() == "D-1 leads."
    assert (lines[-1].strip() == "D-1 leads.") == (rows > LONG)
