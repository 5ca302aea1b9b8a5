"""Where a campaign stands: the tracker, its status, on a store of tiny runs."""

import json
import re
import shutil
import time

import pytest

from tests.conftest import BASELINES
from tests.test_cli import call, start
from trueness.campaign import load_campaign
from trueness.errors import TruenessError
from trueness.judge.contrasts import contrasts
from trueness.judge.status import status
from trueness.judge.tracker import tracker
from trueness.report import to_markdown
from trueness.store import Store
from trueness.store.leases import Leases


@pytest.fixture(scope="module")
def store(campaign_folder):
    return Store(campaign_folder / "store")


@pytest.fixture
def copy(campaign_folder, tmp_path):
    shutil.copytree(campaign_folder / "store", tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "index", ignore_errors=True)
    return Store(tmp_path / "store")


@pytest.fixture(scope="module")
def declared(campaign_folder):
    return load_campaign(campaign_folder / "judged.yaml", seeds=2)


def _runs(store):
    ids = {keys[-1]: id_ for id_, keys in store.campaigns()["judged"].items()}
    return {ids[run.key]: run for run in store.all_runs()[0] if run.key in ids}


def _lose(store, failed, pending):
    runs = _runs(store)
    for id_ in (failed, pending):
        shutil.rmtree(runs[id_].folder)
    store.write_failure(runs[failed].spec, "Traceback\nValueError: not finite")


def _tracked(declared, store):
    return tracker(
        declared.name, declared.title, "bars", declared.experiments, declared.baselines, store,
        "trueness run judged",
    )  # fmt: skip


def _section(page, title):
    return page.split(f"## {title}\n\n")[1].split("\n\n## ")[0]


def test_the_tracker_counts_states_and_names_what_is_left(campaign_folder, copy, capsys, tmp_path):
    _lose(copy, failed="LF-3", pending="FE-9")
    arguments = ("tracker", campaign_folder / "judged.yaml", "--store", copy.root)
    code, out, err = call(capsys, *arguments, "--markdown", tmp_path / "t.md")
    assert (code, err) == (0, f"wrote {tmp_path / 't.md'}\n")
    page = re.sub(r" +", " ", (tmp_path / "t.md").read_text())
    assert "| FE | 9 | 8 | 0 | 1 |" in page
    assert "| LF | 4 | 3 | 1 | 0 |" in page
    assert [line.split()[1] for line in page.splitlines() if re.match(r"\| P\d", line)] == [
        "P1", "P2", "P10"]  # fmt: skip
    of = 2 * len(BASELINES)
    assert f"13 experiments: 11 done, 1 failed, 1 pending; {of} of {of} baselines done." in page
    assert "LF-3 failed: ValueError: not finite" in page
    pending = re.findall(r"`trueness run \S+ --store \S+ --priority (.+)`", page)
    assert pending == ["P1 --retry", "P10"]
    assert "Better than chance?" in page
    assert "failed: ValueError" in out
    _, content, _ = call(capsys, *arguments, "--json")
    actual = json.loads(content)
    assert (actual["schema"], actual["kind"]) == (1, "tracker")
    assert actual["priorities"]["P1"] == {"declared": 4, "done": 3, "failed": 1, "pending": 0}
    assert len(actual["best"][0]["models"]) == 10


def test_the_tracker_says_that_nothing_holds_or_has_run(declared, store, tmp_path, capsys):
    actual = _tracked(declared, store)
    page = to_markdown(actual.document())
    section = _section(page, "What holds after correction")
    if actual.effects:
        assert all(effect.variant in section for effect in actual.effects)
    else:
        assert section.startswith("None: no difference to a reference remains along ")
    assert "Nothing: every experiment is done." in page
    empty = to_markdown(_tracked(declared, Store(tmp_path / "none")).document())
    assert "No runs yet." in empty
    assert "None: nothing has run." in empty
    assert "trueness run judged --priority P2" in empty
    code, _, err = call(capsys, "tracker", "nothing")
    assert code == 2
    assert "unknown campaign 'nothing'" in err


def test_effects_are_the_differences_that_contrasts_name(declared, store):
    """Every setting in which the runs differ is looked at, a follower with its leader only."""
    actual = _tracked(declared, store)
    assert {"loss", "task.tier", "model.embedding", "model.n_layers"} <= set(actual.settings)
    assert not {"task.columns", "recipe.stop_on"} & set(actual.settings)
    named = {
        (by, row.variant, row.verdict)
        for by in actual.settings
        for table in contrasts(store, "judged", by).tables
        for row in table.significant
    }
    assert {(e.setting, e.variant, e.verdict) for e in actual.effects} == named


def test_tracker_and_status_are_the_same_for_the_same_store(declared, store):
    one, other = (to_markdown(_tracked(declared, store).document()) for _ in range(2))
    assert one == other
    frame = _tracked(declared, store).to_frame()
    assert frame.filter(by="priority", name="P1").row(0, named=True)["done"] == 8


# ------------------------------------------------------------------------------------------- status


def test_status_counts_by_priority_and_names_the_best(campaign_folder, tmp_path, capsys):
    arguments = ("status", campaign_folder / "judged.yaml", "--seeds", 2)
    code, out, _ = call(capsys, *arguments, "--store", campaign_folder / "store", "--json")
    content = json.loads(out)
    assert (code, content["schema"], content["kind"]) == (0, 1, "status")
    assert content["priorities"]["P1"] == {"declared": 8, "done": 8, "failed": 0, "pending": 0}
    assert content["processes"] == []
    assert content["best"][0]["model"]["estimates"]["precision@30"]["n"] == 30
    code, out, _ = call(capsys, *arguments, "--store", campaign_folder / "store")
    assert "precision@30" in out
    assert "To carry on" not in out
    code, out, _ = call(capsys, *arguments, "--store", tmp_path / "none")
    assert code == 0
    assert "Nothing runs now." in out
    assert "trueness run" in out


def test_status_names_failures_and_retries_them(declared, copy):
    _lose(copy, failed="LF-3", pending="FE-9")
    actual = status("judged", declared.experiments, copy, "trueness run judged")
    assert actual.failures == {"LF-3": "ValueError: not finite"}
    assert actual.command == "trueness run judged --retry"
    assert actual.to_frame()["pending"].to_list() == [0, 0, 1]
    assert "LF-3 failed: ValueError: not finite" in to_markdown(actual.document())


def test_status_shows_what_processes_noted(declared, copy):
    note = {"stage": "networks", "done": 3.0, "total": 12.0, "trained": 2, "failed": 1,
            "running": ["LF-1", "LF-2"], "began": "2026-01-01T10:00:00"}  # fmt: skip
    Leases(copy).write_status("judged", note)
    actual = status("judged", declared.experiments, copy)
    (process,) = actual.processes
    assert (process["percent"], process["trained"]) == (25.0, 2)
    page = re.sub(r" +", " ", to_markdown(actual.document()))
    assert "| networks | 25 % | 2 | 1 | LF-1, LF-2 |" in page
    Leases(copy).write_status("judged", None)
    assert status("judged", declared.experiments, copy).processes == []


@pytest.mark.processes
def test_status_sees_a_run_at_work(tiny, tmp_path, capsys):
    tiny.write_text(tiny.read_text().replace("epochs: 2", "epochs: 100000, patience: 100000"))
    process = start("run", tiny, "--store", tmp_path / "store", "--workers", 1)
    try:
        for _ in range(120):
            time.sleep(0.5)
            _, out, _ = call(capsys, "status", tiny, "--store", tmp_path / "store", "--json")
            (actual,) = json.loads(out)["processes"] or [{"stage": "nothing yet"}]
            if actual["stage"] == "networks" and actual["running"] and actual["done"]:
                break
        assert (actual["running"], actual["stage"]) == (["T-01"], "networks")
        assert 0 < actual["done"] < actual["total"]
    finally:
        process.kill()
        process.communicate()
    _, out, _ = call(capsys, "status", tiny, "--store", tmp_path / "store", "--json")
    assert json.loads(out)["processes"] == []  # killed: its note is not believed


def test_an_unknown_priority_is_refused(campaign_folder, capsys):
    with pytest.raises(TruenessError):
        load_campaign(campaign_folder / "judged.yaml").select([], ["P99"], [])
    code, out, err = call(capsys, "status", campaign_folder / "judged.yaml", "--priority", "P99")
    assert (code, out, err.count("\n")) == (2, "", 1)
