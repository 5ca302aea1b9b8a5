"""Stored runs sent to trackers, read back with the tracker's own library or format."""

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import urllib.request
import warnings
from pathlib import Path

import pytest

from tests.servers import free_port, wait_for
from tests.test_cli import call
from trueness import api
from trueness.campaign import load_campaign
from trueness.errors import TruenessError
from trueness.files import sha256_of
from trueness.judge.finding import find_run
from trueness.report import to_html
from trueness.runner import run as run_campaign
from trueness.store import Store
from trueness.store.ledger import Ledger, data_of
from trueness.trackers import TRACKERS, entry_of, send
from trueness.trackers.entry import metric_name

pytestmark = pytest.mark.filterwarnings("default")  # their libraries deprecate each other
PACKAGES = {kind: package for kind, (package, _) in TRACKERS.items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with the two networks of the tiny campaign and their baselines."""
    from tests.conftest import TINY
    from trueness.market import synthetic_bars

    folder = tmp_path_factory.mktemp("trained")
    synthetic_bars(1200).frame().write_csv(folder / "bars.csv")
    (folder / "tiny.yaml").write_text(TINY + "data: bars.csv\n")
    store = Store(folder / "store")
    summary = run_campaign(load_campaign(folder / "tiny.yaml"), store, device="cpu", workers=0)
    assert summary.failed == []
    return store


@pytest.fixture
def store(trained, tmp_path, monkeypatch):
    """A copy of it, to write into its ledger; the current folder is empty beside it."""
    shutil.copytree(trained.root, tmp_path / "store")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("WANDB_MODE", "offline")
    return Store(tmp_path / "store")


def code_of(*arguments, **options):
    with pytest.raises(TruenessError) as error:
        send(*arguments, page=to_html, **options)
    assert "\n" not in str(error.value)
    return error.value.code


# ------------------------------------------------------------------------------------- the entry


def test_an_entry_has_every_number_that_show_has(store):
    run, _ = find_run(store, "T-01")
    entry = entry_of(store, run, "T-01", to_html)
    shown = api.show("T-01", store=store).to_dict()["estimates"]
    for name, estimate in shown.items():
        called = metric_name(name)
        for end, field in {"": "value", "_low": "low", "_high": "high"}.items():
            assert entry.metrics.get(called + end) == estimate[field]
        if estimate["k"] is not None:
            assert entry.metrics[f"{called}_k"] == estimate["k"]
            assert entry.metrics[f"{called}_n"] == estimate["n"]
    assert {"precision_at_30", "precision_at_5pct_low", "auc_high", "recall_at_30",
            "average_precision"} <= set(entry.metrics)  # fmt: skip
    assert entry.parameters["recipe.batch_size"] == 64
    assert entry.parameters["model.kind"] == "patchtst"
    assert not any(isinstance(value, dict) for value in entry.parameters.values())
    assert set(entry.files) == {"run.html", "spec.json"}
    assert json.loads(entry.files["spec.json"])["recipe"]["batch_size"] == 64


def test_curves_are_the_history(store):
    run, _ = find_run(store, "T-02")
    curves = dict(entry_of(store, run, "T-02", to_html).curves)
    rows = list(run.history().iter_rows(named=True))
    assert sorted(curves) == sorted({row["epoch"] for row in rows})
    for row in rows:
        for name in ("train_loss", "val_loss", "val_auc"):
            assert curves[row["epoch"]][f"fold{row['fold']}/{name}"] == row[name]


def test_names_of_metrics_stay_apart(golden_titles, golden_market):
    """MLflow takes these letters only, and two estimates must not become one."""
    for store in (golden_titles, golden_market):
        for run in store.all_runs()[0]:
            entry = entry_of(store, run, "x", to_html)
            assert all(re.fullmatch(r"[\w .\-/]+", name, re.ASCII) for name in entry.metrics)
            names = [metric_name(name) for name in run.record["estimates"]]
            assert len(set(names)) == len(names)
            findings = run.record["findings"]
            assert {f"check.{one['code']}" for one in findings} <= set(entry.tags)


# ------------------------------------------------------------------------------- what is sent once


@pytest.fixture(params=PACKAGES)
def kind(request):
    pytest.importorskip(PACKAGES[request.param])
    return request.param


def uri_of(kind, folder):
    return f"sqlite:///{folder}/mlflow.db" if kind == "mlflow" else str(folder / kind)


@pytest.mark.long
def test_a_run_is_sent_once(kind, store, tmp_path):
    uri = uri_of(kind, tmp_path)
    first = send(store, ["T-01"], kind, page=to_html, uri=uri)
    assert [(one.name, one.experiment, one.sent) for one in first.runs] == [("T-01", "tiny", True)]
    every = send(store, [], kind, page=to_html, campaign="tiny", uri=uri)
    assert {one.name: one.sent for one in every.runs}["T-01"] is False
    assert sum(one.sent for one in every.runs) == len(every.runs) - 1 >= 2
    again = send(store, [], kind, page=to_html, campaign="tiny", uri=uri)
    assert [one.address for one in again.runs] == [one.address for one in every.runs]
    assert not any(one.sent for one in again.runs)
    other = send(store, ["T-01"], kind, page=to_html, uri=uri, experiment="another")
    assert [one.sent for one in other.runs] == [True]


@pytest.mark.long
def test_the_ledger_knows_what_was_sent(store, tmp_path):
    pytest.importorskip("tensorboardX")
    run, _ = find_run(store, "T-01")

    def accesses():
        return [one for one in Ledger(store).accesses(data_of(run)) if one.verb == "log"]

    assert accesses() == []
    send(store, ["T-01"], "tensorboard", page=to_html, uri=str(tmp_path / "t"))
    send(store, ["T-01"], "tensorboard", page=to_html, uri=str(tmp_path / "t"))
    (access,) = accesses()
    assert access.keys == (run.key,)
    assert access.question == "tensorboard"


# ---------------------------------------------------------------------------------------- MLflow


def _checked_in_mlflow(uri, store, number):
    """Everything of T-01 as MLflow gives it back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        run, _ = find_run(store, "T-01")
        entry = entry_of(store, run, "T-01", to_html)
        back = client.get_run(number)
        assert back.info.run_name == "T-01"
        assert back.info.status == "FINISHED"
        assert back.data.params == {name: str(v) for name, v in entry.parameters.items()}
        assert entry.metrics.items() <= back.data.metrics.items()
        assert entry.tags.items() <= back.data.tags.items()
        assert back.data.tags["trueness.key"] == run.key
        epochs = [
            (one.step, one.value) for one in client.get_metric_history(number, "fold0/val_loss")
        ]
        fold = run.history().filter(fold=0)
        assert epochs == list(zip(fold["epoch"], fold["val_loss"], strict=True))
        spec = client.download_artifacts(number, "spec.json")
        assert sha256_of(Path(spec)) == run.record["files"]["spec.json"]["sha256"]
        page = Path(client.download_artifacts(number, "run.html")).read_text()
        assert page.startswith("<!doctype html>") or page.startswith("<!DOCTYPE html>")


@pytest.mark.long
def test_mlflow_gives_a_run_back(store, tmp_path):
    pytest.importorskip("mlflow")
    uri = uri_of("mlflow", tmp_path)
    (sent,) = send(store, ["T-01"], "mlflow", page=to_html, uri=uri).runs
    _checked_in_mlflow(uri, store, sent.address)


@pytest.mark.long
def test_a_run_that_did_not_arrive_whole_is_sent_anew(store, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    uri = uri_of("mlflow", tmp_path)
    client = mlflow.MlflowClient(uri)
    (tmp_path / "files").write_text("a file where the folder of artefacts would be")
    number = client.create_experiment("tiny", artifact_location=f"file://{tmp_path}/files")
    assert code_of(store, ["T-01"], "mlflow", uri=uri) == "tracker"
    assert [one.info.status for one in client.search_runs([number])] == ["FAILED"]
    (tmp_path / "files").unlink()
    (sent,) = send(store, ["T-01"], "mlflow", page=to_html, uri=uri).runs
    assert sent.sent
    assert sorted(one.info.status for one in client.search_runs([number])) == ["FAILED", "FINISHED"]


@pytest.mark.long
@pytest.mark.services
def test_a_server_of_mlflow_gives_a_run_back(store, tmp_path):
    pytest.importorskip("mlflow")
    pytest.importorskip("flask")
    uri = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port,
               "--workers", 1, "--backend-store-uri", f"sqlite:///{tmp_path}/server.db",
               "--artifacts-destination", tmp_path / "artefacts"]  # fmt: skip
    server = subprocess.Popen([*map(str, command)], cwd=tmp_path, start_new_session=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        wait_for(lambda: urllib_ok(f"{uri}/health"))
        (sent,) = send(store, ["T-01"], "mlflow", page=to_html, uri=uri).runs
        _checked_in_mlflow(uri, store, sent.address)
        (again,) = send(store, ["T-01"], "mlflow", page=to_html, uri=uri).runs
        assert (again.sent, again.address) == (False, sent.address)
    finally:
        end_group(server)
    assert code_of(store, ["T-01"], "mlflow", uri=uri) == "tracker"


def urllib_ok(address):
    with urllib.request.urlopen(address, timeout=5) as answer:
        assert answer.status == 200


def end_group(process):
    """End a server with the workers that it started."""
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=60)


# ------------------------------------------------------------------------- Weights & Biases, offline


HEADER, BLOCK = 7, 32768
FULL, FIRST, LAST = 1, 2, 4


def _records(path):
    """Records of a file of Weights & Biases, which has the format of a log of LevelDB.

    A block of 32 KiB holds pieces: checksum, length, kind, content. A record is one or several.
    """
    from wandb.proto import wandb_internal_pb2

    data, at, whole = path.read_bytes(), HEADER, b""
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:  # no head fits into the rest of the block
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        piece = data[at + 7 : at + 7 + length]
        whole = piece if kind in (FULL, FIRST) else whole + piece
        at += 7 + length
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record


def _items(some):
    return {".".join(one.nested_key) or one.key: json.loads(one.value_json) for one in some}


@pytest.mark.long
def test_weights_and_biases_keeps_a_run(store, tmp_path):
    pytest.importorskip("wandb")
    (sent,) = send(store, ["T-01"], "wandb", page=to_html, uri=str(tmp_path / "w")).runs
    run, _ = find_run(store, "T-01")
    entry = entry_of(store, run, "T-01", to_html)
    (file,) = Path(sent.address).glob("*.wandb")
    config, summary, epochs, about, files = {}, {}, [], None, set()
    for record in _records(file):
        which = record.WhichOneof("record_type")
        if which == "run":
            about = record.run
            config |= _items(record.run.config.update)
        elif which == "config":
            config |= _items(record.config.update)
        elif which == "summary":
            summary |= _items(record.summary.update)
        elif which == "history":
            epochs.append(_items(record.history.item))
        elif which == "files":
            files |= {one.path for one in record.files.files}
    assert (about.run_id, about.display_name, about.project) == (run.key, "T-01", "tiny")
    assert {name.removeprefix("check.") for name in entry.tags if "check." in name} <= {*about.tags}
    assert entry.parameters.items() <= config.items()
    assert entry.metrics.items() <= summary.items()
    fold = run.history().filter(fold=0)
    assert [one["fold0/val_loss"] for one in epochs] == fold["val_loss"].to_list()
    assert [one["epoch"] for one in epochs] == fold["epoch"].to_list()
    assert {"run.html", "spec.json"} <= files
    written = Path(sent.address) / "files" / "spec.json"
    assert sha256_of(written) == run.record["files"]["spec.json"]["sha256"]


def test_weights_and_biases_is_asked_for_with_its_own_mode(store, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert code_of(store, ["T-01"], "wandb") == "tracker"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert code_of(store, ["T-01"], "wandb", uri="https://wandb.example") == "tracker"
    assert list(Path().iterdir()) == []


# ------------------------------------------------------------------------------------- TensorBoard


def _events(path):
    """Events of a file, by its format: length, checksum, protocol buffer, checksum."""
    from tensorboardX.proto import event_pb2

    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        event = event_pb2.Event()
        event.ParseFromString(data[at + 12 : at + 12 + length])
        yield event
        at += 12 + length + 4


def test_tensorboard_keeps_a_run(store, tmp_path):
    pytest.importorskip("tensorboardX")
    (sent,) = send(store, ["T-01"], "tensorboard", page=to_html, uri=str(tmp_path / "t")).runs
    run, _ = find_run(store, "T-01")
    entry, place = entry_of(store, run, "T-01", to_html), Path(sent.address)
    assert place == tmp_path / "t" / "tiny" / f"T-01-{run.key}"
    (file,) = place.glob("events.out.tfevents.*")
    scalars, others = {}, set()
    for event in _events(file):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                scalars[value.tag, event.step] = value.simple_value
            else:
                others.add(value.tag.partition("/")[0])
    for name, value in entry.metrics.items():
        assert scalars[name, 0] == pytest.approx(value, rel=1e-6)
    for row in run.history().filter(fold=0).iter_rows(named=True):
        assert scalars["fold0/val_auc", row["epoch"]] == pytest.approx(row["val_auc"], rel=1e-6)
    assert {"tags", "spec", "_hparams_"} <= others
    assert sha256_of(place / "spec.json") == run.record["files"]["spec.json"]["sha256"]
    assert sorted(one.name for one in place.parent.iterdir()) == [place.name]


# ---------------------------------------------------------------------------------------- refusals


def test_an_unknown_run_reaches_no_tracker(kind, store, tmp_path):
    with pytest.raises(TruenessError) as unknown:
        find_run(store, "T-99")
    assert code_of(store, ["T-99"], kind, uri=uri_of(kind, tmp_path)) == unknown.value.code
    assert code_of(store, [], kind, uri=uri_of(kind, tmp_path)) == "which_runs"
    assert code_of(store, ["T-01"], "aim") == "which_tracker"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["here", "store"]


def test_a_package_that_is_missing_is_named(kind, store, monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGES[kind], None)  # what Python says of no such module
    assert code_of(store, ["T-01"], kind) == "own_missing"


def test_a_server_that_does_not_answer_costs_one_line(store, capsys):
    pytest.importorskip("mlflow")
    uri = f"http://me:secret@127.0.0.1:{free_port()}"
    status, out, err = call(
        capsys, "log", "T-01", "--to", "mlflow", "--uri", uri, "--store", store.root
    )
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "secret" not in err


@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
def test_a_folder_that_is_a_file_costs_one_line(kind, store, tmp_path):
    pytest.importorskip(PACKAGES[kind])
    (tmp_path / "taken").write_text("")
    assert code_of(store, ["T-01"], kind, uri=str(tmp_path / "taken")) == "tracker"


# ------------------------------------------------------------------------------------------ doors


def test_the_verb_and_the_function_say_the_same(store, tmp_path, capsys):
    pytest.importorskip("tensorboardX")
    uri = str(tmp_path / "t")
    answer = api.log("T-01", "T-02", to="tensorboard", uri=uri, store=store)
    assert [one["sent"] for one in answer.to_dict()["runs"]] == [True, True]
    assert answer.to_frame().height == 2
    words = ("log", "T-01", "T-02", "--to", "tensorboard", "--uri", uri, "--store", store.root)
    status, out, _ = call(capsys, *words, "--json")
    note = json.loads(out)
    assert (status, note["kind"], note["tracker"], note["uri"]) == (0, "log", "tensorboard", uri)
    for now, before in zip(note["runs"], answer.to_dict()["runs"], strict=True):
        assert now == {**before, "sent": False}
    status, out, _ = call(capsys, *words)
    assert status == 0
    assert "TensorBoard: 0 runs sent, 2 there already." in out.splitlines()
