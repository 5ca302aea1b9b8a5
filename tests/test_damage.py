"""Flipped bits, wrong types and torn files anywhere in a store: named, never another answer."""

import copy as copies
import json
import shutil

import numpy as np
import pytest

from tests.holders import alive
from trueness.errors import TruenessError
from trueness.files import foreign_json, write_json
from trueness.judge.finding import find_run
from trueness.judge.leaderboard import leaderboard
from trueness.judge.status import status
from trueness.store import Store
from trueness.store.annotations import annotate
from trueness.store.leases import Leases
from trueness.store.ledger import Ledger

pytestmark = pytest.mark.processes

BY_HAND = ("checks.yaml",)
WRONG = (None, True, -1, 0.5, 10**30, "x", "", [], [1], {}, {"a": 1}, ["a", None], "\u202e\x1b[2J")


@pytest.fixture
def store(campaign_folder, tmp_path):
    """A store with a file of every kind."""
    shutil.copytree(campaign_folder / "store", tmp_path / "store")
    store = Store(tmp_path / "store")
    store.prepare()
    (run, *_), _ = store.all_runs()
    annotate(store, run.key, lambda one: one.with_tags(["paper"]).with_note("of the paper"))
    store.write_failure(run.spec.model_copy(update={"seed": 99}), "Traceback\nValueError: no luck")
    note = {"began": "", "stage": "networks", "done": 1.0, "total": 2.0, "running": ["A"],
            "trained": 0, "failed": 0}  # fmt: skip
    Leases(store).write_status("judged", note)
    write_json(store.root / "leases" / "abc", {**alive(), "since": ""})
    return store


def _said(store):
    """Everything that a reader is told of a store, and what is said to be damaged."""
    opened = Store(store.root)
    board = leaderboard(opened, "judged").to_dict()
    ledger, named = Ledger(opened), [problem["name"] for problem in board.pop("problems")]
    named += [f"failures of {key}" for key, why in opened.failures().items() if "damaged" in why]
    named += [f"{ledger.damaged()} accesses"] * bool(ledger.damaged())
    status("judged", [], opened)
    notes = [{**n, "quiet_seconds": 0} for n in Leases(opened).statuses("judged")]
    held = [one.owner for one in Leases(opened).holders()]
    for key in [run.key for run in opened.all_runs()[0]]:
        find_run(opened, key)[0].table()
    return json.dumps([board["groups"], board["failures"]], default=str), notes, held, named


def _check(store, path, expected):
    """What is said of a damaged file is what was said before, or its damage."""
    try:
        answer, notes, held, named = _said(store)
    except TruenessError as error:
        refused = (error.code, str(store.root) in str(error))
    else:
        refused = None
    if refused is not None:
        assert refused in [(code, True) for code in ("damaged", "store", "store_version")], path
        return
    if named or (notes, held) != expected[1:3]:
        assert "status" in path.parts or "leases" in path.parts or named, path
        return
    assert answer == expected[0], path


def _files(store):
    return sorted(
        path
        for path in store.root.rglob("*")
        if path.is_file() and path.stat().st_size and not path.name.endswith(".lock")
        and path.name not in BY_HAND
    )  # fmt: skip


def _flips(store, n, seed):
    rng, expected = np.random.default_rng(seed), _said(store)
    files = _files(store)
    for turn in range(n):
        path = files[turn % len(files)]
        if not path.exists():  # a damaged index is dropped
            continue
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        if turn % 3 == 0:
            for kept in (store.root / "index").glob("*"):
                if kept != path:
                    kept.unlink()
        _check(store, path, expected)
        if "damaged" not in path.parts:
            path.write_bytes(whole)


def test_flipped_bits_are_named_or_change_nothing(store):
    _flips(store, 60, 0)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_thousand_flipped_bits_are_named_or_change_nothing(store):
    _flips(store, 1000, 1)


def _somewhere(content, rng):
    """A copy with another type at a random place."""
    changed = copies.deepcopy(content)
    where, key = None, None
    at = changed
    while isinstance(at, dict | list) and len(at):
        names = list(at) if isinstance(at, dict) else range(len(at))
        where, key = at, names[int(rng.integers(len(names)))]
        at = at[key]
        if rng.random() < 0.3:
            break
    if where is None:
        return {"x": WRONG[int(rng.integers(len(WRONG)))]}
    where[key] = WRONG[int(rng.integers(len(WRONG)))]
    return changed


def _types(store, n, seed):
    rng, expected = np.random.default_rng(seed), _said(store)
    files = [path for path in _files(store) if path.read_bytes().startswith(b'{\n "sha256"')]
    for turn in range(n):
        path = files[turn % len(files)]
        whole = path.read_bytes()
        path.write_text(json.dumps(_somewhere(json.loads(whole), rng)))
        _check(store, path, expected)
        path.write_bytes(whole)


def test_wrong_types_are_named(store):
    _types(store, 40, 0)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_thousand_wrong_types_are_named(store):
    _types(store, 1000, 1)


@pytest.mark.parametrize(
    "text",
    ['{"a": NaN}', '{"a": 1e400}', '{"a": -Infinity}', "1" + "0" * 400, "1" + "0" * 9000,
     "[" * 100_000, '{"a":' * 5000, '"\\ud800"', b"\xff\xfe", "", "{", '{"a": 1} x', '{"a": 1e999}'],
)  # fmt: skip
def test_foreign_json_that_is_none_is_a_value_error(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"."):
        foreign_json(path)
