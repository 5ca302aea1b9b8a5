"""Markdown and LaTeX are escaped and whole; the one writer writes whole or not at all."""

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sample_document import HOSTILE, document
from trueness.document import Column, Document, Figure, Items, Link, Section, Sentence, Table
from trueness.errors import TruenessError
from trueness.report import to_latex, to_markdown, write
from trueness.report.latex import escaped as latex
from trueness.report.markdown import escaped as markdown


def table_of(cell, title="Title"):
    columns = [Column("a|b"), Column("n", "count"), Column("more\nlines", "share")]
    return Document("Document", [Table(columns, [[cell, 3, 0.5], ["x", None, 0.25]], title)])


# ----------------------------------------------------------------------------------------- Markdown


def rows_of(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def cells_of(line):
    return re.split(r"(?<!\\)\|", line)[1:-1]


def test_tables_of_markdown_have_as_many_cells_as_columns():
    text = to_markdown(document())
    groups = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(groups) == len(document().tables())
    for group, table in zip(groups, document().tables(), strict=True):
        lines = group.splitlines()
        assert len(lines) == 2 + len(table.rows)
        assert {len(cells_of(line)) for line in lines} == {len(table.columns)}


@given(st.text())
def test_no_text_breaks_a_table_of_markdown(cell):
    lines = rows_of(to_markdown(table_of(cell, title="")))
    assert [len(cells_of(line)) for line in lines] == [3] * 4


def test_numbers_stand_right_in_markdown():
    assert rows_of(to_markdown(table_of("x")))[1] == "| --- | ---: | ---: |"


@pytest.mark.parametrize(("text", "written"), [
    ("a*b [c](d) <e>", r"a\*b \[c\](d) \<e\>".replace(r"\](d)", r"\](d)")),
    ("average_precision and _this_", r"average_precision and \_this\_"),
    ("`a|b` c|d", r"`a\|b` c\|d"),
    ("# no heading", r"\# no heading"),
    ("1. no list", r"1\. no list"),
    ("- no list", r"\- no list"),
    ("−3 &amp; 4 & 5", r"−3 \&amp; 4 & 5"),
    ("line\nbreak", "line break"),
])  # fmt: skip
def test_letters_of_markdown_stand_for_themselves(text, written):
    assert markdown(text) == written


def test_markdown_shows_every_kind_of_part():
    table = Table([Column("x", "link")], [[[Link("TRU008"), Link("TRU009")]]], "Table", "Note.")
    inside = [Items(["one", "two"]), Figure([{"x": [1], "y": [1]}], caption="A curve.")]
    text = to_markdown(Document("T", [
        Sentence("Verdict.", "verdict"), Sentence("Careful.", "warning"), table,
        Section("S", [Section("Drift", inside, "TRU008"), Section("F", [], folded=True)]),
    ], "Subtitle"))  # fmt: skip
    assert text.startswith(
        "# T\n\nSubtitle\n\n**Verdict.**\n\n**Warning:** Careful.\n\n**Table**\n"
    )
    assert "[TRU008](#TRU008) TRU009" in text
    assert '## S\n\n<a id="TRU008"></a>\n\n### Drift\n\n- one\n- two\n\n*Figure: A curve.*' in text
    assert "<details>\n<summary>F</summary>\n\n</details>" in text


# -------------------------------------------------------------------------------------------- LaTeX


def balanced(text):
    """Whether braces and environments close in the order in which they open."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text.replace(r"\\", "")):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    places = []
    for which, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if which == "begin":
            places.append(name)
        elif not places or places.pop() != name:
            return False
    return depth == 0 and not places


def test_every_table_is_a_table_of_latex():
    text = to_latex(document())
    assert balanced(text)
    assert text.count(r"\begin{table}") == len(document().tables())
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == len(document().tables())
    assert "".join(re.findall("^[^%].*", text, re.MULTILINE)).isascii()
    assert "alert" in text


@given(st.text())
def test_no_text_of_latex_is_a_command(text):
    written = latex(text)
    assert balanced(written)
    assert not re.search(r"(?<!\\)[&%#_$](?<!\$)", re.sub(r"\$[^$]*\$", "", written))


@given(st.text())
def test_rows_of_latex_have_as_many_cells_as_columns(cell):
    lines = [line for line in to_latex(table_of(cell)).splitlines() if line.endswith(r" \\")]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in lines] == [2] * 3


def test_hostile_texts_are_escaped_in_latex():
    written = latex(HOSTILE)
    assert r"\$x\$ \{\textbackslash{}cmd\} 50\% \#1 \&" in written
    assert r"\texttt{c\textbar{}d}" in written


def test_latex_sets_numbers_right_and_long_texts_as_paragraphs():
    text = to_latex(table_of("word " * 20))
    assert r"\begin{tabular}{@{}p{0.3\linewidth}rr@{}}" in text
    assert r"\begin{tabular}[b]{@{}r@{}}more \\ lines\end{tabular}" in text
    assert r"25 \%" in text


# ------------------------------------------------------------------------------------------- writer


def test_the_writer_goes_by_the_end_of_the_name(tmp_path):
    for name, begin in (("a.md", "# "), ("a.html", "<!doctype html>"), ("a.tex", "% needs")):
        write(document(), tmp_path / name)
        assert (tmp_path / name).read_text().startswith(begin)
    write(pl.DataFrame({"a": [1, None], "b": ["x,y", "z"]}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == 'a,b\n1,"x,y"\n,z\n'


@pytest.mark.parametrize(("content", "name", "code"), [
    (Document("T", []), "a.csv", "output_suffix"),
    (Document("T", []), "a", "output_suffix"),
    (pl.DataFrame({"a": [1]}), "a.html", "output_suffix"),
    (Document("T", []), "nowhere/a.html", "store"),
    (pl.DataFrame({"a": [[1, 2]]}), "a.csv", "store"),
])  # fmt: skip
def test_what_cannot_be_written_is_refused_in_one_line(tmp_path, content, name, code):
    with pytest.raises(TruenessError) as refused:
        write(content, tmp_path / name)
    assert refused.value.code == code
    assert "\n" not in str(refused.value)


def test_a_file_is_replaced_whole_or_kept(tmp_path, monkeypatch):
    path = tmp_path / "a.md"
    path.write_text("before")

    def full(self, text, **options):
        self.write_bytes(text[:3].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(TruenessError):
        write(Document("T", []), path)
    monkeypatch.undo()
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["a.md"]
