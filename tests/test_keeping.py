"""Runs deleted, tagged and annotated, through the command line and beneath it."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import signed
from tests.golden import titles_predictions
from tests.test_cli import call
from trueness.cli import main
from trueness.errors import StoreError, TruenessError
from trueness.judge.keeping import delete, note, plan_deletion, tag, tagged
from trueness.judge.leaderboard import leaderboard
from trueness.store import MemoryStore, Store
from trueness.store.annotations import (
    LONGEST_NOTE,
    LONGEST_TAG,
    Annotation,
    annotate,
    annotations_of,
)
from trueness.store.ledger import Ledger


@pytest.fixture
def store(golden_market, tmp_path):
    """A copy of the golden models on bars, to write into."""
    shutil.copytree(golden_market.root, tmp_path / "store")
    return Store(tmp_path / "store")


@pytest.fixture
def family(golden_titles, tmp_path):
    """Golden models on titles, with a run that starts from `plain`, and one that starts from that."""
    shutil.copytree(golden_titles.root, tmp_path / "titles")
    store = Store(tmp_path / "titles")
    source = store.run(store.campaigns()["golden-titles"]["plain"][-1])
    for name in ("child", "grandchild"):
        recipe = source.spec.recipe.model_copy(update={"start": source.key})
        spec = source.spec.model_copy(update={"recipe": recipe})
        store.write(spec, source.record, titles_predictions("plain").frame, source.history())
        store.write_campaign("family", {name: spec.key})
        source = store.run(spec.key)
    return store


def key_of(store, name, campaign="golden"):
    return store.campaigns()[campaign][name][-1]


def code_of(*words):
    with pytest.raises(TruenessError) as error:
        main([*map(str, words), "--trace"])
    return error.value.code


def names(board):
    return {name for group in board.groups for model in group.models for name in model.ids}


# -------------------------------------------------------------------------------------- deletion


def test_without_a_yes_nothing_goes_and_the_answer_says_what_would(store, capsys, monkeypatch):
    before = sorted(os.listdir(store.kept.runs))
    status, out, err = call(capsys, "runs", "delete", "deep16", "forest", "--store", store.root)
    assert (status, err.count("\n")) == (2, 1)
    assert key_of(store, "deep16") in out
    assert "Would be deleted: 2 runs" in out
    assert code_of("runs", "delete", "deep16", "--store", store.root) == "not_confirmed"
    assert sorted(os.listdir(store.kept.runs)) == before


def test_deleted_runs_are_gone_and_the_ledger_stays(store, capsys):
    leaderboard(store, access=("leaderboard", ""))
    ledger = (store.root / "ledger.jsonl").read_bytes()
    key = key_of(store, "deep16")
    tag(store, "deep16", ["x"])
    status, out, _ = call(capsys, "runs", "delete", "deep16", "--yes", "--json", "--store", store.root)  # fmt: skip
    answer = json.loads(out)
    assert (status, answer["deleted"]) == (0, True)
    assert [one["key"] for one in answer["runs"]] == [key]
    assert answer["runs"][0]["bytes"] > 0
    assert answer["runs"][0]["tags"] == ["x"]
    assert key not in store
    assert annotations_of(store) == {}
    assert (store.root / "ledger.jsonl").read_bytes() == ledger
    assert any(key in one.keys for one in Ledger(store).accesses(None))
    assert "deep16" not in names(leaderboard(store))
    assert code_of("runs", "delete", "deep16", "--store", store.root) == "no_run"
    assert [name for name in os.listdir(store.kept.runs) if name.startswith(".")] == []


def test_runs_that_start_from_a_deleted_one_go_with_it(family, capsys):
    plan = plan_deletion(family, ["plain"])
    assert [one.name for one in plan.runs] == ["plain", "child", "grandchild"]
    assert [one.depends_on for one in plan.runs] == [[], ["plain"], ["child"]]
    assert [one.name for one in plan_deletion(family, ["child"]).runs] == ["child", "grandchild"]
    assert [one.name for one in plan_deletion(family, ["grandchild"]).runs] == ["grandchild"]
    assert [one.depends_on for one in plan_deletion(family, ["child", "plain"]).runs][:2] == [
        [],
        [],
    ]
    _, out, _ = call(capsys, "runs", "delete", "plain", "--yes", "--store", family.root)
    assert "Deleted: 3 runs" in out
    left = names(leaderboard(family))
    assert left == {"adjusted_1", "adjusted_2", "dro", "tfidf"}
    assert len(family.all_runs()[0]) == 4


def test_a_run_named_twice_is_one(store):
    key = key_of(store, "deep16")
    plan = plan_deletion(store, ["deep16", key, "golden/deep16", key[:8]])
    assert [one.run.key for one in plan.runs] == [key]


@pytest.mark.parametrize("words", [[], ["nobody"], ["deep16", "nobody"]])
def test_wrong_names_delete_nothing(store, words):
    before = sorted(os.listdir(store.kept.runs))
    code = code_of("runs", "delete", *words, "--yes", "--store", store.root)
    assert code == ("no_run" if words else "which_runs")
    assert sorted(os.listdir(store.kept.runs)) == before


@pytest.mark.parametrize(("typed", "gone"), [("y\n", True), ("Yes\n", True), ("n\n", False), ("", False)])  # fmt: skip
def test_a_terminal_is_asked(store, typed, gone):
    pty = pytest.importorskip("pty")
    above, below = pty.openpty()
    code = "import sys; from trueness.cli import main; main()"
    arguments = ("runs", "delete", "deep16", "--store", str(store.root))
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdin=below, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    os.write(above, typed.encode() or b"\x04")  # Ctrl-D
    out, err = process.communicate(timeout=120)
    os.close(above)
    os.close(below)
    assert process.returncode == (0 if gone else 2)
    assert "Delete it? [y/N]" in err
    assert "deep16" in out
    assert (key_of(store, "deep16") not in store) == gone


def test_a_kill_leaves_no_half_of_a_run(store, tmp_path):
    """A run is renamed away in one step: what a killed process leaves is swept, never read."""
    key = key_of(store, "deep16")
    script = (
        "import os, shutil, signal, sys\n"
        "from trueness.store import Store\n"
        "shutil.rmtree = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Store(sys.argv[1]).remove(sys.argv[2])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(store.root), key])
    assert done.returncode == -signal.SIGKILL
    runs, problems = store.all_runs()
    assert problems == []
    assert key not in {run.key for run in runs}
    store.prepare()
    assert [name for name in os.listdir(store.kept.runs) if name.startswith(".")] == []


def test_what_was_deleted_can_be_stored_again(store):
    run = store.run(key_of(store, "deep16"))
    frame, history = run.table(), run.history()
    delete(store, plan_deletion(store, ["deep16"]))
    assert store.write(run.spec, run.record, frame, history)
    assert "deep16" in names(leaderboard(store))


# ------------------------------------------------------------------------------- tags and notes


def test_tags_and_notes_are_shown_where_runs_are(store, capsys, tmp_path):
    at = ("--store", store.root)
    _, before, _ = call(capsys, "leaderboard", *at)
    assert "tags" not in before
    assert call(capsys, "runs", "tag", "deep16", "keep", "paper", *at)[0] == 0
    assert call(capsys, "runs", "note", "deep16", "the one  of\nthe paper", *at)[0] == 0
    _, out, _ = call(capsys, "leaderboard", *at)
    assert "keep, paper" in out
    _, out, _ = call(capsys, "show", "deep16", *at)
    assert "Tags: keep, paper" in out
    assert "the one of the paper" in out
    _, out, _ = call(capsys, "leaderboard", "--json", *at, "--csv", tmp_path / "all.csv")
    (group,) = json.loads(out)["groups"]
    assert {
        m["name"]: (m["tags"], m["note"]) for m in group["models"] if m["tags"] or m["note"]
    } == {"deep16": (["keep", "paper"], "the one of the paper")}
    assert "keep paper" in (tmp_path / "all.csv").read_text()
    _, out, _ = call(capsys, "runs", "tag", "deep16", "keep", "--remove", "--json", *at)
    answer = json.loads(out)
    assert (answer["tags"], answer["note"], len(answer["date"])) == (["paper"], "the one of the paper", 10)  # fmt: skip
    call(capsys, "runs", "note", "deep16", "--remove", *at)
    call(capsys, "runs", "tag", "deep16", "paper", "--remove", *at)
    assert store.entries("annotations") == []
    assert call(capsys, "leaderboard", *at)[1].split("evaluated")[0] == before.split("evaluated")[0]


def test_runs_on_titles_show_them_too(family, capsys):
    tag(family, "plain", ["base"])
    note(family, "plain", "as published")
    _, out, _ = call(capsys, "leaderboard", "--store", family.root)
    assert "base" in out
    _, out, _ = call(capsys, "show", "plain", "--store", family.root)
    assert "Tags: base" in out
    assert "as published" in out


def test_runs_of_some_tags(store):
    tag(store, "deep16", ["a", "b"])
    tag(store, "forest", ["b"])
    assert tagged(store, []) == {key_of(store, "deep16"), key_of(store, "forest")}
    assert tagged(store, ["b"]) == {key_of(store, "deep16"), key_of(store, "forest")}
    assert tagged(store, ["b", "a"]) == {key_of(store, "deep16")}
    with pytest.raises(TruenessError) as error:
        tagged(store, ["c"])
    assert error.value.code == "no_tag"
    with pytest.raises(TruenessError) as error:
        tagged(MemoryStore(), ["c"])
    assert error.value.code == "no_tag"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["tag", "deep16"], "which_tag"),
        (["tag", "deep16", "--remove"], "which_tag"),
        (["tag", "nobody", "x"], "no_run"),
        (["tag", "deep16", "two words"], "tag"),
        (["tag", "deep16", "a,b"], "tag"),
        (["tag", "deep16", ""], "tag"),
        (["tag", "deep16", "x" * (LONGEST_TAG + 1)], "tag"),
        (["tag", "deep16", "fine", "not\tfine"], "tag"),
        (["tag", "deep16", "x", "--remove"], "not_tagged"),
        (["note", "deep16"], "which_note"),
        (["note", "deep16", "x", "--remove"], "which_note"),
        (["note", "deep16", " "], "note"),
        (["note", "deep16", "x" * (LONGEST_NOTE + 1)], "note"),
        (["note", "deep16", "--remove"], "no_note"),
        (["note", "nobody", "x"], "no_run"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is(store, words, code):
    assert code_of("runs", *words, "--store", store.root) == code
    assert not (store.root / "annotations.json").exists()


@pytest.mark.parametrize(
    "content",
    ["{", "5", '{"a": 1}', "[1]", '[{"run": "a"}]', '[{"run": "a", "tags": "b", "note": "", "date": ""}]',
     '[{"run": "a", "tags": [1], "note": "", "date": ""}]', '[{"run": "a", "tags": [], "note": null, "date": ""}]'],
)  # fmt: skip
def test_a_damaged_file_is_named_and_no_run_is_hidden(store, content, capsys):
    before = names(leaderboard(store))
    written = signed.entries(store.root / "annotations.json", content)
    board = leaderboard(store)
    assert names(board) == before
    assert [problem.name for problem in board.problems] == ["annotations.json"]
    assert code_of("runs", "tag", "deep16", "x", "--store", store.root) == "damaged"
    assert (store.root / "annotations.json").read_bytes() == written
    with pytest.raises(StoreError):
        annotations_of(store)


WORD = st.text("abcdé_1", min_size=1, max_size=4)


@given(st.lists(st.tuples(st.sampled_from(["tag", "untag", "note"]), WORD), max_size=12))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_what_a_list_would_hold(tmp_path_factory, steps):
    store = Store(tmp_path_factory.mktemp("notes") / "s")
    tags, text = [], ""
    for what, word in steps:
        if what == "note":
            annotate(store, "k", lambda one, word=word: one.with_note(word))
            text = word
        elif what == "tag":
            annotate(store, "k", lambda one, word=word: one.with_tags([word]))
            tags += [word] if word not in tags else []
        elif word in tags:
            annotate(store, "k", lambda one, word=word: one.without_tags([word]))
            tags.remove(word)
    kept = annotations_of(store).get("k", Annotation())
    assert (list(kept.tags), kept.note) == (tags, text)


def test_two_processes_lose_no_tag(store):
    """Each of two processes writes 20 tags at one run; all are there in the end."""
    script = (
        "import sys\n"
        "from trueness.judge.keeping import tag\n"
        "from trueness.store import Store\n"
        "for i in range(20):\n"
        "    tag(Store(sys.argv[1]), 'deep16', [f'{sys.argv[2]}{i}'])\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script, str(store.root), name]) for name in "ab"
    ]
    assert [one.wait(timeout=120) for one in both] == [0, 0]
    kept = annotations_of(store)[key_of(store, "deep16")]
    assert set(kept.tags) == {f"{name}{i}" for name in "ab" for i in range(20)}


def test_the_group_without_a_verb_prints_its_help(capsys):
    status, out, _ = call(capsys, "runs")
    assert status == 0
    assert all(word in out for word in ("delete", "tag", "note"))
