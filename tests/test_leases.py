import json
import platform

import pytest

from trueness.store import Store
from trueness.store.leases import Leases


def test_leases_end_with_their_owner(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    store.prepare()
    assert Leases(store).acquire("abc")
    assert Leases(store).acquire("abc")  # its own
    path = store.root / "leases" / "abc"
    path.write_text(f"1 {platform.node()}")  # a process that lives
    assert not Leases(store).acquire("abc")
    path.write_text("1 another-machine")
    assert not Leases(store).acquire("abc")
    path.write_text(f"{2**22 + 1} {platform.node()}")  # one that is gone
    assert Leases(store).acquire("abc")
    path.write_text("")  # half-written by a killed process
    assert Leases(store).acquire("abc")
    Leases(store).release("abc")
    assert not path.exists()


@pytest.mark.parametrize(
    "damage",
    [
        {"total": "x"},
        {"running": None},
        {"pid": 1e30},
        {"done": float("nan")},
        {"stage": None, "began": None},
    ],
)
def test_damaged_notes_of_status_are_left_out(tmp_path, damage):
    store = Store(tmp_path / "store")
    store.prepare()
    note = {
        "began": "",
        "stage": "networks",
        "done": 1.0,
        "total": 2.0,
        "running": ["A"],
        "trained": 0,
        "failed": 0,
    }
    Leases(store).write_status("c", note)
    path = next((store.root / "status" / "c").glob("*.json"))
    assert len(Leases(store).statuses("c")) == 1
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    assert len(Leases(store).statuses("c")) == (1 if "stage" in damage else 0)
