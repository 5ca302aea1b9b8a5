"""Commands that a verb suggests can be pasted: they repeat what the verb was given."""

import ast
import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_cli import call
from tests.test_docs import _verbs
from trueness.cli import app, suggestions
from trueness.cli.suggestions import (
    NEW_DATA,
    REPEATED,
    command,
    completed,
    completed_document,
)
from trueness.document import (
    Column,
    Document,
    Figure,
    HConcat,
    Items,
    Later,
    Section,
    Sentence,
    Table,
)

PACKAGE = Path(suggestions.__file__).parents[1]


@pytest.fixture(autouse=True)
def forgotten():
    yield
    suggestions.remember({})


def parse(*words):
    """Parse as `main` does, which is what is remembered."""
    app.parse_args(list(words), exit_on_error=False, print_error=False)


def test_only_what_was_given_is_repeated():
    parse("leaderboard")
    assert completed("`trueness show X`") == "`trueness show X`"
    parse("leaderboard", "--store", "spy")
    assert completed("see `trueness show X` there") == "see `trueness show X --store spy` there"
    assert command("show", "a b") == "trueness show 'a b' --store spy"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("`trueness leaderboard`", "`trueness leaderboard --store 'my store'`"),
        ("`trueness search promote`", "`trueness search promote --store 'my store'`"),
        ("`trueness mute --list`", "`trueness mute --list --store 'my store'`"),
        ("`trueness show A --store b`", "`trueness show A --store b`"),
        ("`trueness show A --store=b`", "`trueness show A --store=b`"),
        (
            "`trueness run`",
            "`trueness run`",
        ),  # names a verb: it cannot be called without a campaign
        ("`trueness list`", "`trueness list`"),  # takes no store
        ("`trueness finalize --precision`", "`trueness finalize --precision`"),
        ("`trueness no such verb`", "`trueness no such verb`"),
        ("`trueness 'unclosed`", "`trueness 'unclosed`"),
        ("trueness show A", "trueness show A"),
    ],
)
def test_what_can_be_called_is_completed(text, full):
    parse("leaderboard", "--store", "my store")
    assert completed(text) == full


def test_data_and_storage_are_repeated_where_a_verb_takes_them():
    parse("search", "run", "--data", "b.csv", "--store", "s", "--storage", "postgresql://me:word@host/db")  # fmt: skip
    text = completed("`trueness search promote`, `trueness run demo`, `trueness show A`")
    assert text == (
        "`trueness search promote --store s --storage 'postgresql://me:***@host/db'`, "
        "`trueness run demo --store s --data b.csv`, `trueness show A --store s`"
    )


@pytest.mark.parametrize("verb", sorted(NEW_DATA))
def test_new_data_are_not_suggested_to_verbs_about_runs(verb):
    """A model is never refitted on the rows that it was asked about."""
    words = ("out.onnx",) if verb == "export" else ()
    parse(verb, "bundle", *words, "--data", "new.csv", "--vix", "vix.csv")
    text = "`trueness finalize RUN --out bundle`, `trueness run demo`"
    assert completed(text) == text


def test_data_of_runs_are_suggested_to_verbs_about_runs():
    parse("run", "demo", "--data", "bars.csv")
    assert completed("`trueness finalize A --out b`") == "`trueness finalize A --out b --data bars.csv`"  # fmt: skip


def test_a_suggestion_does_not_change_what_was_given():
    parse("leaderboard", "--store", "spy")
    completed("`trueness show A --store other`")
    assert command("leaderboard") == "trueness leaderboard --store spy"


@given(st.dictionaries(st.sampled_from(REPEATED), st.text(st.characters(exclude_categories=["C"]), min_size=1)))  # fmt: skip
def test_what_is_repeated_can_be_pasted(options):
    """A shell gives the words back, and completing twice changes nothing."""
    suggestions.remember(options)
    made = command("search", "run")
    words = shlex.split(made)
    for name, value in options.items():
        if name != "--storage":
            assert words[words.index(name) + 1] == value
    if "`" not in made:
        assert completed(f"`{made}`") == f"`{made}`"


def test_every_text_of_a_document_is_completed():
    text, full = "`trueness show A`", "`trueness show A --store s`"
    folded = Section("x", Later(lambda: [Sentence(text)]), folded=True)
    parts = [
        Sentence(text), Items([text]), Table([Column("a")], [["`x`"]], note=text),
        HConcat([Figure([], caption=text)]), folded,
    ]  # fmt: skip
    parse("leaderboard", "--store", "s")
    shown = completed_document(Document("title", parts))
    sentence, items, table, concat, section = shown.parts
    assert [sentence.text, *items.lines, table.note, concat.parts[0].caption] == [full] * 4
    assert section.parts[0].text == full
    assert (section.folded, table.rows, shown.title) == (True, [["`x`"]], "title")


def _texts(node):
    """Constant texts below a node; of an f-string the whole, with X for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(str(getattr(one, "value", "X")) if isinstance(one, ast.Constant) else "X" for one in node.values)  # fmt: skip
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)


def test_commands_in_the_sentences_of_the_package_exist():
    verbs = {words for words, _ in _verbs()}
    texts = [t for file in PACKAGE.rglob("*.py") for t in _texts(ast.parse(file.read_text()))]
    actual = re.findall(r"`trueness ([a-z][^`]+)`", "\n".join(texts))
    assert len(actual) > 15
    for one in actual:
        words = one.split()
        assert any(" ".join(words[:n]) in verbs for n in (1, 2)), one


def test_refusals_and_answers_repeat_the_store(golden_market, capsys, tmp_path):
    status, _, err = call(capsys, "show", "NONE", "--store", golden_market.root)
    assert status == 2
    assert f"`trueness leaderboard --store {golden_market.root}`" in err
    _, out, _ = call(capsys, "leaderboard", "--store", tmp_path / "empty")
    assert f"trueness run demo --store {tmp_path / 'empty'}" in " ".join(out.split())
    page = tmp_path / "page.md"
    call(capsys, "leaderboard", "--store", tmp_path / "empty", "--markdown", page)
    assert f"trueness run demo --store {tmp_path / 'empty'}" in page.read_text()
