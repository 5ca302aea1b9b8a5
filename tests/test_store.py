import json
import os
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trueness.errors import StoreError
from trueness.files import read_json, temporary, write_json
from trueness.store import Store

PREDICTIONS = pl.DataFrame(
    {"split": ["oof"], "fold": [0], "id": ["2020-01-02"], "y": [1], "score": [0.5]}
)
HISTORY = pl.DataFrame({"fold": [0], "epoch": [1]})
WEIGHTS = {"fold0.head.weight": np.arange(3, dtype=np.float32)}


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "store")
    made.prepare()
    return made


RECORD = {
    "created": "2026-01-01", "label": "x", "parameters": 1, "features": [], "notes": [], "folds": [], "comparison_group": "a", "units": {"n": 1},
    "estimates": {"auc": {"value": 0.5}, "precision@30": {"value": 0.5}}, "scores": {}, "findings": [], "seconds": 0.1, "device": "cpu",
    "precision": "float32", "data": {},
}  # fmt: skip


def _write(store, spec, record=None):
    return store.write(spec, {**RECORD, **(record or {})}, PREDICTIONS, HISTORY, WEIGHTS)


def test_opening_and_reading_create_nothing(tmp_path):
    store = Store(tmp_path / "nowhere")
    assert store.all_runs() == ([], [])
    assert store.failures() == {}
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "name",
    ["spec.json", "record.json", "predictions.parquet", "history.parquet", "model.safetensors"],
)
@pytest.mark.parametrize("damage", ["truncated", "missing", "garbage"])
def test_damage_is_reported_by_name_skipped_and_kept(store, make_spec, name, damage):
    good, bad = make_spec(seed=1), make_spec(seed=2)
    _write(store, good)
    _write(store, bad)
    path = store.kept.runs / bad.key / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"\xff" * 7)
    runs, problems = store.all_runs()
    assert [run.key for run in runs] == [good.key]
    assert [problem.name for problem in problems] == [bad.key]
    assert bad.key not in store
    with pytest.raises(StoreError, match=bad.key):
        store.run(bad.key)
    assert (store.kept.runs / bad.key).is_dir()


def test_a_damaged_run_is_moved_aside_when_it_is_made_again(store, make_spec):
    spec = make_spec()
    _write(store, spec, {"label": "old"})
    (store.kept.runs / spec.key / "record.json").write_text("{")
    assert _write(store, spec, {"label": "new"})
    assert store.run(spec.key).record["label"] == "new"
    (kept,) = (store.root / "damaged").iterdir()
    assert (kept / "record.json").read_text() == "{"


def test_changed_content_of_the_same_length_is_noticed_on_reading(store, make_spec):
    spec = make_spec()
    _write(store, spec)
    path = store.kept.runs / spec.key / "predictions.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="content differs"):
        store.run(spec.key).predictions()


def test_temporary_folders_of_dead_processes_are_swept(store):
    for folder in (
        "",
        "runs",
        "campaigns",
        "failures",
        "leases",
        "index",
        "status/c",
        "checkpoints/k",
    ):
        (store.root / folder).mkdir(parents=True, exist_ok=True)
        mine = temporary(store.root / folder / "x")
        machine, pid, started, _ = mine.name.removeprefix(".tmp-").split("-")
        dead, reused, foreign, old = (mine.with_name(f".tmp-{words}") for words in (
            f"{machine}-{2**22 + 1}-{started}-aa", f"{machine}-{pid}-1-bb",
            f"{'0' * 12}-1-1-cc", f"{'0' * 12}-1-1-dd",
        ))  # fmt: skip
        for path in (mine, dead, reused, foreign, old):
            path.mkdir()
            (path / "part").write_text("x")
        os.utime(old, (time.time() - 90_000,) * 2)
        store.prepare()
        assert [p.exists() for p in (mine, foreign, dead, reused, old)] == [True] * 2 + [False] * 3


def test_what_stored_runs_need_no_more_is_swept(store, make_spec):
    spec = make_spec()
    _write(store, spec)
    kept = [store.root / name / "other" for name in ("checkpoints", "leases")]
    useless = [store.root / "checkpoints" / f"{spec.key}.pt", store.root / "leases" / spec.key]
    for path in kept + useless:
        path.write_text("x")
    (store.root / "checkpoints" / spec.key).mkdir()
    store.prepare()
    assert [path.exists() for path in kept + useless] == [True, True, False, False]
    assert not (store.root / "checkpoints" / spec.key).exists()


def test_refusals(tmp_path, store, make_spec):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        Store(tmp_path / "file")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(Path("/proc/nowhere")).prepare()
    with pytest.raises(StoreError, match="no run has the id or key 'abc'"):
        store.run("abc")
    _write(store, make_spec(seed=1))
    _write(store, make_spec(seed=2))
    with pytest.raises(StoreError, match="2 runs begin with"):
        store.run("")
    (store.root / "store.json").write_text(json.dumps({"version": 99}))
    with pytest.raises(StoreError, match="written by a newer trueness"):
        Store(store.root)
    for content in ("[]", "null", '{"version": "1"}', '{"version": true}', "x"):
        (store.root / "store.json").write_text(content)
        with pytest.raises(StoreError, match="damaged"):
            Store(store.root)


def test_a_full_disk_leaves_nothing_behind(store, make_spec, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trueness.store.runs.write_tensors", refuse)
    with pytest.raises(StoreError, match="No space left"):
        _write(store, make_spec())
    assert os.listdir(store.kept.runs) == []


def test_a_run_that_somebody_swept_while_it_was_written_is_not_stored(
    store, make_spec, monkeypatch
):
    def swept(path, content):
        write_json(path, content)
        (path.parent / "predictions.parquet").unlink()

    monkeypatch.setattr("trueness.store.folder.write_json", swept)
    with pytest.raises(StoreError):
        _write(store, make_spec())
    assert os.listdir(store.kept.runs) == []


def test_weights_can_be_read_by_whoever_can_read_the_rest(store, make_spec):
    _write(store, make_spec())
    modes = {p.stat().st_mode for p in (store.kept.runs / make_spec().key).iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize("name", ["spec.json", "record.json"])
def test_every_flipped_bit_of_spec_and_record_is_a_problem(store, make_spec, name):
    _write(store, make_spec())
    path = store.kept.runs / make_spec().key / name
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        runs, (problem,) = store.all_runs()
        assert (runs, problem.name) == ([], make_spec().key)


@pytest.mark.parametrize(
    "content", ["{", "[]", "null", "5", '"x"', '{"ids": {"A": 5}, "title": ""}', ""]
)
def test_a_damaged_list_of_names_harms_nobody(store, make_spec, content):
    _write(store, make_spec())
    (store.root / "campaigns" / "zz.json").write_text(content)
    (store.root / "failures" / "abc.json").write_text(content)
    runs, (problem,) = store.all_runs()
    assert (len(runs), problem.name) == (1, "campaigns/zz.json")
    assert store.campaigns() == {}
    assert "damaged" in store.failures()["abc"]
    aside = store.write_campaign("zz", {"A": "1"})
    assert aside.read_text() == content
    assert store.campaigns() == {"zz": {"A": ["1"]}}
    assert store.all_runs()[1] == []


@pytest.mark.parametrize("field", ["estimates", "comparison_group", "label", "data", "notes"])
def test_a_record_without_a_field_is_a_problem(store, make_spec, field):
    _write(store, make_spec())
    path = store.kept.runs / make_spec().key / "record.json"
    record = read_json(path)
    del record[field]
    write_json(path, record)
    runs, (problem,) = store.all_runs()
    assert runs == []
    assert f"no field {field}" in problem.reason


def test_an_exact_key_wins_over_foreign_folders(store, make_spec):
    _write(store, make_spec())
    (store.kept.runs / f"{make_spec().key}.bak").mkdir()
    (store.kept.runs / ".tmp-99999999999999999999-a").mkdir()
    store.prepare()
    assert store.run(make_spec().key).key == make_spec().key
