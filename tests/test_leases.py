import os
import time

import pytest

from tests.holders import alive, elsewhere, gone
from tests.test_cli import call
from trueness.errors import TruenessError
from trueness.files import read_json, write_json
from trueness.store import Store
from trueness.store import leases as module
from trueness.store.leases import STALE_S, Leases


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def _held(store, owner, quiet=0.0):
    path = store.root / "leases" / "abc"
    write_json(path, {**owner, "since": "2026-01-02T03:04:05+00:00"})
    os.utime(path, (time.time() - quiet,) * 2)
    return path


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
    path = _held(store, alive())
    Leases(store).release("abc")
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1 host"])
def test_a_damaged_lease_is_held_by_somebody_until_it_is_old(store, content):
    path = store.root / "leases" / "abc"
    path.write_bytes(content)
    assert not Leases(store).acquire("abc")
    assert "somebody" in Leases(store).holder("abc").text
    os.utime(path, (time.time() - 2 * STALE_S,) * 2)
    assert Leases(store).acquire("abc")


def test_what_is_held_gets_heartbeats_until_it_is_released(store, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    leases = Leases(store)
    assert leases.acquire("abc")
    path = store.root / "leases" / "abc"
    os.utime(path, (1, 1))
    until = time.monotonic() + 20
    while path.stat().st_mtime == 1 and time.monotonic() < until:
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
    path = _held(store, alive())
    with pytest.raises(TruenessError) as error:
        Leases(store).unlock("abc")
    assert error.value.code == "held"
    assert path.exists()
    Leases(store).unlock("abc", force=True)
    assert not path.exists()


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
    path = next((store.root / "status" / "c").glob("*.json"))
    assert len(Leases(store).statuses("c")) == 1
    write_json(path, {**read_json(path), **damage})
    assert len(Leases(store).statuses("c")) == shown


def test_processes_of_containers_with_one_name_have_a_note_each(store):
    leases = Leases(store)
    leases.write_status("c", NOTE)
    folder = store.root / "status" / "c"
    write_json(folder / f"{'0' * 12}-{os.getpid()}.json", {**NOTE, **elsewhere()})
    assert len(leases.statuses("c")) == 2
    leases.write_status("c", None)
    (other,) = leases.statuses("c")
    assert other["machine"] == "0" * 12


def test_a_run_is_unlocked_by_its_id_or_key(store, capsys):
    at = ("--store", store.root)
    assert call(capsys, "unlock", "abc", *at)[0] == 2
    path = _held(store, elsewhere(), 10)
    store.write_campaign("c", {"A": "abc", "B": "other"})
    code, out, err = call(capsys, "unlock", "A", *at)
    assert (code, out, err.count("\n")) == (2, "", 1)
    code, out, _ = call(capsys, "unlock", "A", "--force", *at)
    assert (code, path.exists()) == (0, False)
    assert elsewhere()["host"] in out
    for word in ("ab", "c/A"):
        _held(store, elsewhere(), 2 * STALE_S)
        assert call(capsys, "unlock", word, *at)[0] == 0
    assert call(capsys, "unlock", "", *at)[0] == 2
