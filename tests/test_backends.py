"""What holds for a store of each kind; see test_store for files, test_database for servers."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.stores import named
from tests.test_store import HISTORY, PREDICTIONS, RECORD, _write
from trueness.errors import StoreError
from trueness.store import Store
from trueness.store.annotations import annotate, annotations_of, forget
from trueness.store.facts import SCHEMA
from trueness.store.leases import Leases
from trueness.store.ledger import Ledger


def test_round_trip(store, make_spec):
    spec = make_spec()
    assert spec.key not in store
    assert _write(store, spec)
    run = store.run(spec.key[:5])
    assert run.spec == spec
    assert run.record["label"] == "x"
    assert run.table().equals(PREDICTIONS)
    assert run.predictions().part("oof").score.tolist() == [0.5]
    assert run.history().equals(HISTORY)
    np.testing.assert_array_equal(run.parameters()["fold0.head.weight"], [0, 1, 2])
    assert spec.key in store


def test_the_second_writer_of_a_key_loses_gracefully(store, make_spec):
    assert _write(store, make_spec(), {"label": "first"})
    assert not _write(store, make_spec(), {"label": "second"})
    assert store.run(make_spec().key).record["label"] == "first"
    assert store.kept.keys() == [make_spec().key]
    assert store.kept.names("uploads") == []


WRITER = """
import sys
from tests.servers import forget_connections
from tests.test_store import HISTORY, PREDICTIONS, RECORD
from trueness.spec import Spec
from trueness.store import Store
store = Store(sys.argv[1])
for seed in range(20):
    spec = Spec.model_validate({"task": {"kind": "market", "bars": "x"}, "evaluation": {"protocol": "holdout"}, "seed": seed})
    print(store.write(spec, {**RECORD, "label": sys.argv[2]}, PREDICTIONS, HISTORY))
forget_connections()
"""


def test_two_processes_writing_the_same_keys(store):
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", WRITER, named(store)]
    both = [
        subprocess.Popen([*command, n], cwd=root, stdout=subprocess.PIPE, text=True) for n in "ab"
    ]
    outputs = [process.communicate()[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [sorted(pair) for pair in zip(*outputs, strict=True)] == [["False", "True"]] * 20
    runs, problems = store.all_runs()
    assert (len(runs), problems) == (20, [])


def test_a_failure_is_kept_until_the_run_succeeds(store, make_spec):
    spec = make_spec()
    store.write_failure(spec, "Traceback ...\nValueError: no luck\n")
    assert store.failures() == {spec.key: "ValueError: no luck"}
    assert spec.key not in store
    _write(store, spec)
    assert store.failures() == {}


def test_whatever_code_of_others_says_is_kept(store, make_spec):
    reason = "Traceback ...\nValueError: a NUL \0, half a pair \ud800, a quote ' and %s"
    store.write_failure(make_spec(), reason)
    last = "ValueError: a NUL \0, half a pair \\ud800, a quote ' and %s"
    assert store.failures() == {make_spec().key: last}
    status = {"done": 0.5, "total": 1.0, "trained": 0, "failed": 0, "running": ["%_'\0"],
              "stage": "x", "began": "y"}  # fmt: skip
    Leases(store).write_status("c", status)
    (actual,) = Leases(store).statuses("c")
    assert actual["running"] == ["%_'\0"]
    Leases(store).write_status("c", None)


def test_campaigns_keep_all_keys_of_their_ids_and_the_latest_reference(store):
    store.write_campaign("c", {"A": "1"})
    store.write_campaign("c", {"B": "2"})
    store.write_campaign("c", {"A": "3"})
    store.write_campaign("c", {}, "Title", "A")
    declared = store.declared("c")
    assert declared.ids == store.campaigns()["c"] == {"A": ["1", "3"], "B": ["2"]}
    assert (declared.title, declared.reference) == ("Title", "A")
    assert store.declared("d").ids == {}


NAMER = """
import sys
from trueness.store import Store
for i in range(30):
    Store(sys.argv[1]).write_campaign("c", {f"{sys.argv[2]}{i}": "k"})
from tests.servers import forget_connections
forget_connections()
"""


def test_processes_naming_ids_at_once_lose_none(store):
    both = [subprocess.Popen([sys.executable, "-c", NAMER, named(store), n]) for n in "ab"]
    assert [process.wait() for process in both] == [0, 0]
    assert len(store.campaigns()["c"]) == 60


def test_removed_runs_are_gone_and_can_be_made_again(store, make_spec):
    spec, other = make_spec(seed=1), make_spec(seed=2)
    _write(store, spec, {"label": "first"})
    _write(store, other)
    folder = store.run(spec.key).folder
    store.remove(spec.key)
    store.remove(spec.key)
    assert (spec.key in store, other.key in store, folder.exists()) == (False, True, False)
    with pytest.raises(StoreError) as error:
        store.run(spec.key)
    assert error.value.code == "no_run"
    assert _write(store, spec, {"label": "second"})
    assert store.run(spec.key).record["label"] == "second"


def test_further_files_of_a_run_are_as_they_were_written(store, make_spec):
    spec = make_spec()
    store.write(spec, RECORD, PREDICTIONS, HISTORY.clear(), files={"more.bin": b"abc"})
    assert store.run(spec.key).file("more.bin").read_bytes() == b"abc"
    assert store.run(spec.key).history().is_empty()


def test_a_record_that_is_no_json_stores_nothing(store, make_spec):
    with pytest.raises(ValueError):
        _write(store, make_spec(), {"seconds": float("nan")})
    assert (store.kept.keys(), store.all_runs()) == ([], ([], []))


def test_what_remembers_sees_new_changed_and_removed_runs(store, make_spec):
    seeing = Store(named(store), remembers=True)
    states = [seeing.state()]
    _write(store, make_spec(seed=1))
    states.append(seeing.state())
    (first,) = seeing.all_runs()[0]
    _write(store, make_spec(seed=2))
    states.append(seeing.state())
    again = seeing.all_runs()[0]
    assert (len(again), any(run is first for run in again)) == (2, True)
    store.remove(first.key)
    states.append(seeing.state())
    assert first.key not in {run.key for run in seeing.all_runs()[0]}
    store.write_campaign("c", {"A": "1"})
    states.append(seeing.state())
    assert len(set(states)) == len(states)
    assert seeing.state() == states[-1]


def test_facts_say_what_records_say(store, make_spec):
    assert store.facts().schema == SCHEMA
    for seed, value in enumerate((0.25, 0.5, None)):
        headline = {"value": value, "low": value, "high": 1.0, "k": 1, "n": 4 * seed}
        _write(store, make_spec(seed=seed), {"estimates": {"precision@30": headline}})
    for _ in range(2):
        facts = store.facts().sort("n")
        assert facts["value"].to_list() == [0.25, 0.5, None]
        assert facts["n"].to_list() == [0, 4, 8]
        assert set(facts["key"]) == {run.key for run in store.all_runs()[0]}
    store.remove(facts["key"][1])
    _write(store, make_spec(seed=7), {"label": "fresh"})
    assert sorted(store.facts()["label"]) == ["fresh", "x", "x"]


def test_what_people_write_is_changed_in_one_step(store):
    annotate(store, "k", lambda one: one.with_tags(["a", "b"]))
    annotate(store, "k", lambda one: replace(one, note="why"))
    assert annotations_of(store)["k"].tags == ("a", "b")
    assert annotations_of(store)["k"].note == "why"
    with pytest.raises(ZeroDivisionError):
        annotate(store, "k", lambda one: one.with_tags([str(1 / 0)]))
    assert annotations_of(store)["k"].note == "why"
    forget(store, ["k"])
    assert annotations_of(store) == {}


def test_the_ledger_only_grows(store, make_spec):
    _write(store, make_spec())
    run = store.run(make_spec().key)
    for question in ("a", "b", "a"):
        Ledger(store).record([run], "validation", "show", question)
    Ledger(store).record_data("other", "validation", "show")
    ledger = Ledger(Store(named(store)))
    assert [one.question for one in ledger.accesses(part="validation")] == ["a", "b", "a", ""]
    assert len(ledger.accesses("other")) == 1
    assert ledger.damaged() == 0
