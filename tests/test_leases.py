import ast
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.holders import alive, elsewhere, gone
from tests.stores import aged, named
from tests.test_cli import call
from trueness.errors import TruenessError
from trueness.store import Store
from trueness.store import leases as module
from trueness.store.leases import STALE_S, Leases

LEASE = "leases/abc"


def _held(store, owner, quiet=0.0):
    store.kept.write(LEASE, {**owner, "since": "2026-01-02T03:04:05+00:00"})
    aged(store, LEASE, quiet)


def _is_held(store):
    return store.kept.names("leases") == ["abc"]


def test_a_lease_is_its_own_and_released(store):
    leases = Leases(store)
    assert leases.acquire("abc")
    assert leases.acquire("abc")
    assert Leases(store).holder("abc").owner.pid == os.getpid()
    leases.release("abc")
    assert leases.holders() == []


@pytest.mark.parametrize(
    ("owner", "quiet", "free"),
    [
        (alive, 0, False),
        (alive, 10 * STALE_S, False),  # stopped or suspended: it goes on some day
        (gone, 0, True),
        (elsewhere, STALE_S / 2, False),
        (elsewhere, 2 * STALE_S, True),
    ],
)
def test_leases_end_with_their_process_or_its_heartbeats(store, owner, quiet, free):
    _held(store, owner(), quiet)
    assert Leases(store).acquire("abc") is free
    assert (Leases(store).holder("abc").owner.token == owner()["token"]) is not free


def test_a_lease_of_another_is_not_released(store):
    _held(store, alive())
    Leases(store).release("abc")
    assert _is_held(store)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1 host"])
def test_a_damaged_lease_is_held_by_somebody_until_it_is_old(tmp_path, content):
    store = Store(tmp_path)
    store.prepare()
    path = store.root / "leases" / "abc"
    path.write_bytes(content)
    assert not Leases(store).acquire("abc")
    assert "somebody" in Leases(store).holder("abc").text
    aged(store, LEASE, 2 * STALE_S)
    assert Leases(store).acquire("abc")


def test_what_is_held_gets_heartbeats_until_it_is_released(store, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    leases = Leases(store)
    assert leases.acquire("abc")
    aged(store, LEASE, 10 * STALE_S)
    until = time.monotonic() + 20
    while leases.holder("abc").quiet_s > STALE_S and time.monotonic() < until:
        time.sleep(0.01)
    assert leases.holder("abc").quiet_s < 60
    thread_over = leases._over
    leases.release("abc")
    assert thread_over.is_set()


def test_unlock_takes_what_nobody_is_behind_and_else_only_by_force(store):
    with pytest.raises(TruenessError) as error:
        Leases(store).unlock("abc")
    assert error.value.code == "not_held"
    _held(store, elsewhere(), 2 * STALE_S)
    assert Leases(store).unlock("abc").is_stale
    _held(store, alive())
    with pytest.raises(TruenessError) as error:
        Leases(store).unlock("abc")
    assert error.value.code == "held"
    assert _is_held(store)
    Leases(store).unlock("abc", force=True)
    assert not _is_held(store)


NOTE = {
    "began": "", "stage": "networks", "done": 1.0, "total": 2.0, "running": ["A"], "trained": 0,
    "failed": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "shown"),
    [
        ({"total": "x"}, 0),
        ({"running": None}, 0),
        ({"pid": 10**30}, 0),
        ({"pid": "1"}, 0),
        ({"host": None}, 0),
        ({"stage": None, "began": None}, 1),
    ],
)
def test_damaged_notes_of_status_are_left_out(store, damage, shown):
    Leases(store).write_status("c", NOTE)
    (own,) = store.kept.names("status/c")
    assert len(Leases(store).statuses("c")) == 1
    store.kept.write(f"status/c/{own}", {**store.kept.read(f"status/c/{own}"), **damage})
    assert len(Leases(store).statuses("c")) == shown


def test_processes_of_containers_with_one_name_have_a_note_each(store):
    leases = Leases(store)
    leases.write_status("c", NOTE)
    store.kept.write(f"status/c/{'0' * 12}-{os.getpid()}.json", {**NOTE, **elsewhere()})
    assert len(leases.statuses("c")) == 2
    leases.write_status("c", None)
    (other,) = leases.statuses("c")
    assert other["machine"] == "0" * 12


def test_a_run_is_unlocked_by_its_id_or_key(store, capsys):
    at = ("--store", named(store))
    assert call(capsys, "unlock", "abc", *at)[0] == 2
    _held(store, elsewhere(), 10)
    store.write_campaign("c", {"A": "abc", "B": "other"})
    code, out, err = call(capsys, "unlock", "A", *at)
    assert (code, out, err.count("\n")) == (2, "", 1)
    code, out, _ = call(capsys, "unlock", "A", "--force", *at)
    assert (code, _is_held(store)) == (0, False)
    assert elsewhere()["host"] in out
    for word in ("ab", "c/A"):
        _held(store, elsewhere(), 2 * STALE_S)
        assert call(capsys, "unlock", word, *at)[0] == 0
    assert call(capsys, "unlock", "", *at)[0] == 2


@dataclass(frozen=True)
class Step:
    key: str
    epoch: int


def test_epochs_are_read_back_while_their_process_is_at_work(store):
    leases = Leases(store)
    leases.write_status("c", NOTE)
    leases.add_epochs("c", [Step("abc", 1), Step("other", 1)])
    leases.add_epochs("c", [Step("abc", 2)])
    assert [row["epoch"] for row in Leases(store).epochs("abc")] == [1, 2]
    assert list(Leases(store).every_status()) == ["c"]
    leases.write_status("c", None)
    assert (leases.epochs("abc"), leases.every_status()) == ([], {})


def test_notes_and_leases_of_processes_that_are_gone_are_swept(store):
    _held(store, gone())
    for own, owner in (("a", gone()), ("b", alive())):
        store.kept.write(f"status/c/{own}.json", {**NOTE, **owner})
    Leases(store).sweep()
    assert store.kept.names("leases") == []
    assert store.kept.names("status/c") == ["b.json"]


RACE = """
import sys
from tests.servers import forget_connections
from trueness.store import Store
from trueness.store.leases import Leases
leases = Leases(Store(sys.argv[1]))
print([f"k{i}" for i in range(30) if leases.acquire(f"k{i}")], flush=True)
sys.stdin.read()
forget_connections()
"""


def test_of_three_processes_each_run_is_held_by_one(store):
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", RACE, named(store)]
    some = [
        subprocess.Popen(command, cwd=root, stdin=PIPE, stdout=PIPE, text=True) for _ in range(3)
    ]
    try:
        held = [key for one in some for key in ast.literal_eval(one.stdout.readline())]
        assert sorted(held) == sorted(f"k{i}" for i in range(30))
    finally:
        for one in some:
            one.communicate("")
