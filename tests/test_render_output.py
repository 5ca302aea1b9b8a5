"""Options of output: refused before anything is computed, written whole, told on stderr."""

import io
import json
import math
import os
import subprocess
import sys

import polars as pl
import pytest
from cyclopts import App

from trueness.cli.output import DEFAULT, Output, check, present
from trueness.document import Column, Document, Sentence, Table
from trueness.errors import TruenessError
from trueness.report import write


class Runs:
    """A judgement with three rows."""

    computed = 0

    def to_dict(self):
        return {"schema": 1, "runs": [1, 2, 3]}

    def to_frame(self):
        return pl.DataFrame({"run": [1, 2, 3]})

    def document(self):
        Runs.computed += 1
        table = Table([Column("run", "code")], [[f"run{i}"] for i in range(3)])
        return Document("Runs", [Sentence("Three."), table])


app = App(name="demo")


@app.command
def runs(name: str, /, *, output: Output = DEFAULT) -> int:
    """List the runs of a name."""
    check(output)
    present(Runs(), output)
    return 0


def call(*arguments):
    return app(
        ["runs", "x", *map(str, arguments)], exit_on_error=False, print_error=False,
        result_action="return_value",
    )  # fmt: skip


def test_a_judgement_is_printed(capsys):
    call()
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == "Runs"
    assert "run2" in shown.out
    assert not shown.err


def test_files_are_written_and_told_on_stderr(tmp_path, capsys):
    names = {"markdown": "a.md", "report": "a.html", "csv": "a.csv", "latex": "a.tex"}
    call(*(word for option, name in names.items() for word in (f"--{option}", tmp_path / name)))
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [f"wrote {tmp_path / name}" for name in names.values()]
    assert "wrote" not in shown.out
    assert (tmp_path / "a.csv").read_text() == "run\n1\n2\n3\n"
    assert "run2" in (tmp_path / "a.html").read_text()


def test_json_is_all_that_is_printed_and_needs_no_document(tmp_path, capsys):
    before = Runs.computed
    call("--json", "--csv", tmp_path / "a.csv")
    assert json.loads(capsys.readouterr().out) == Runs().to_dict()
    assert Runs.computed == before


class Closed(io.StringIO):
    """What `| head` leaves: nobody reads on."""

    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise BrokenPipeError


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_files_are_written_although_nobody_reads_what_is_printed(
    tmp_path, capsys, monkeypatch, words
):
    names = {"markdown": "a.md", "csv": "a.csv", "report": "a.html"}
    options = [w for option, name in names.items() for w in (f"--{option}", tmp_path / name)]
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        call(*words, *options)
    assert {one.name for one in tmp_path.iterdir()} == set(names.values())
    assert capsys.readouterr().err.count("wrote") == len(names)


def test_what_cannot_be_written_is_shown_all_the_same(tmp_path, capsys, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trueness.report.writing.write_text", full)
    with pytest.raises(OSError, match="space"):
        call("--markdown", tmp_path / "a.md")
    shown = capsys.readouterr()
    assert "run2" in shown.out
    assert "wrote" not in shown.err


def test_a_limit_cuts_what_is_printed_and_not_what_is_written(tmp_path, capsys):
    call("--limit", 1, "--markdown", tmp_path / "a.md")
    assert "2 more rows" in capsys.readouterr().out
    assert "run2" in (tmp_path / "a.md").read_text()


def test_json_has_no_numbers_that_are_none(capsys):
    class Broken(Runs):
        def to_dict(self):
            return {"value": math.nan}

    with pytest.raises(ValueError, match="JSON"):
        present(Broken(), Output(as_json=True))
    assert not capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "code"), [
    (["--limit", 0], "limit"),
    (["--report", "a.md"], "output_suffix"),
    (["--csv", "a"], "output_suffix"),
    (["--report", "nowhere/a.html"], "output_path"),
    (["--report", "folder.html"], "output_path"),
    (["--report", "a.html", "--markdown", "link.md"], "output_twice"),
])  # fmt: skip
def test_what_cannot_be_written_is_refused_first(tmp_path, monkeypatch, arguments, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "a.html").write_text("before")
    (tmp_path / "link.md").symlink_to("a.html")
    before = Runs.computed
    with pytest.raises(TruenessError) as refused:
        call(*arguments)
    assert refused.value.code == code
    assert Runs.computed == before
    assert (tmp_path / "a.html").read_text() == "before"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(TruenessError) as refused:
        check(Output(report=tmp_path / "a.html"))
    assert refused.value.code == "output_path"


def test_options_load_no_renderer():
    heavy = "{'trueness.report', 'jinja2', 'polars', 'plotly', 'torch'}"
    program = f"import sys, trueness.cli.output; print(sorted(sys.modules.keys() & {heavy}))"
    note = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert note.stdout.strip() == "[]", note.stderr


@pytest.mark.parametrize("raw", [False, True])
def test_texts_that_begin_like_a_formula_are_inert_in_csv_and_numbers_stay(tmp_path, raw):
    texts = ["=1+1", "+a", "-b", "@c", "\td", "\re", "f=1", "", None]
    frame = pl.DataFrame({"text": texts, "number": [-1.5 * i for i in range(len(texts))]})
    write(frame, tmp_path / "a.csv", raw=raw)
    back = pl.read_csv(tmp_path / "a.csv", schema_overrides={"text": pl.String})
    assert back["number"].to_list() == frame["number"].to_list()
    marked = ["" if raw else "'"] * 6 + [""] * 2
    actual = [one or "" for one in back["text"].to_list()]
    assert actual == [a + (b or "") for a, b in zip([*marked, ""], texts, strict=True)]
