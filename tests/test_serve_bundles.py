"""The workbench, in process: bundles that the command line names."""

import json
import shutil
import time

import numpy as np
import polars as pl
import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

import trueness
from tests.test_cli import call
from tests.test_serve import HOSTILE, PLACES, _client, _whole
from trueness.bundle.format import open_bundle
from trueness.bundle.log import OUTCOME, PREDICTION, append
from trueness.files import read_json, write_json
from trueness.serve.pages.bundles import bundle_places
from trueness.serve.workbench import Workbench

NAME = f"shop {HOSTILE}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder with a store of one small campaign, and the bundle of a run of it."""
    folder = tmp_path_factory.mktemp("deployed")
    rng = np.random.default_rng(1)
    x = rng.normal(size=400)
    day = pl.Series(np.datetime64("2020-01-01") + np.arange(400))
    frame = pl.DataFrame({"x": x, "day": day, "y": (x + rng.normal(size=400) > 0.8).astype(int)})
    frame.write_csv(folder / "rows.csv")
    (folder / "one.yaml").write_text(
        f"campaign: one\ndata: {folder}/rows.csv\n"
        "defaults:\n  task: {kind: table, label: y, time: day, context: 1}\n"
        "experiments: [{id: one, model: logit}]\n"
    )
    trueness.run(folder / "one.yaml", store=folder / "store", workers=0, progress=False)
    trueness.finalize("one", folder / "bundle", store=folder / "store")
    return folder


@pytest.fixture
def deployed(made, tmp_path):
    """Workbench with a copy of the bundle, a client, and the bundle."""
    shutil.copytree(made / "bundle", tmp_path / "bundle")
    bench = Workbench.of(made / "store", bundles=[tmp_path / "bundle"])
    with _client(bench) as client:
        yield bench, client, open_bundle(tmp_path / "bundle")


def _log(bundle, n=30, answer="alarm"):
    ids = [f"2031-01-{i:02}" if i < 31 else f"x{i}" for i in range(1, n + 1)]
    append(bundle, PREDICTION, [
        {"id": i, "time": i, "score": 2.0, "calibrated": 0.9, "answer": answer} for i in ids
    ])  # fmt: skip
    return ids


def test_a_bundle_says_what_the_monitor_says(deployed, capsys):
    _, client, bundle = deployed
    ids = _log(bundle)
    append(bundle, OUTCOME, [{"id": i, "y": int(n % 3 == 0)} for n, i in enumerate(ids)])
    before = bundle.log.read_bytes()
    page = _whole(client, "/bundles/1").text
    _, out, _ = call(capsys, "monitor", bundle.folder, "--json")
    actual = json.loads(out)
    assert f"{actual['precision']['k']}/{actual['precision']['n']}" in page
    assert "Precision so far, its bounds" in page
    assert f"trueness monitor {bundle.folder}" in page
    assert bundle.log.read_bytes() == before
    every = _whole(client, "/bundles").text
    assert 'href="/bundles/1"' in every
    key = bundle.description["key"]
    assert f'href="/run/{key}"' in every
    assert client.get(f"/run/{key}").status_code == 200


def test_the_sequence_is_drawn_again_when_the_log_grows(deployed):
    bench, client, bundle = deployed
    page = _whole(client, "/bundles/1").text
    assert "nothing was predicted yet" in page
    assert 'data-events="/events/bundles/1"' in page
    ids = _log(bundle, 3)
    _until(bench, "no prediction has a known label yet")
    append(bundle, OUTCOME, [{"id": ids[0], "y": 1}])
    _until(bench, "1/1")


def _until(bench, text):
    for _ in range(100):
        if text in bundle_places(bench, "1").get("sequence", ""):
            return
        time.sleep(0.05)
    raise AssertionError(text)


def test_a_server_without_bundles_says_so(tmp_path):
    with _client(Workbench.of(tmp_path / "store")) as client:
        assert "--bundles" in client.get("/bundles").text
        assert client.get("/bundles/1").status_code == 404


@pytest.mark.parametrize("number", ["0", "2", "-1", "1e1", "x", "٢", "9" * 400, *PLACES])
def test_only_bundles_of_the_command_line_are_shown(deployed, number):
    bench, client, _ = deployed
    answer = client.get(f"/bundles/{number}")
    assert answer.status_code == 404
    assert "root:" not in answer.text
    assert bundle_places(bench, number) == {}


def test_damage_is_told_and_what_can_be_read_stays(deployed):
    _, client, bundle = deployed
    _log(bundle, 3)
    bundle.log.write_bytes(bundle.log.read_bytes()[:-9])
    page = _whole(client, "/bundles/1").text
    assert "was changed or cut" in page
    assert "Promise that is watched" in page
    assert "its log is damaged" in _whole(client, "/bundles").text
    (bundle.folder / "bundle.json").write_text("{")
    page = _whole(client, "/bundles/1").text
    assert "make the bundle again" in page
    shutil.rmtree(bundle.folder)
    assert "no bundle is there" in _whole(client, "/bundles").text


def test_names_in_a_bundle_are_no_markup(deployed):
    _, client, bundle = deployed
    path = bundle.folder / "bundle.json"
    write_json(path, {**read_json(path), "name": NAME, "label": NAME})
    append(bundle, PREDICTION, [{"id": HOSTILE, "score": 2.0, "answer": "alarm"}])
    append(bundle, OUTCOME, [{"id": HOSTILE, "y": 1}])
    for address in ("/bundles", "/bundles/1"):
        page = _whole(client, address).text
        assert "&lt;script&gt;" in page
        assert "<script>alert" not in page
        assert "<img" not in page


def test_a_folder_that_is_no_bundle_is_refused(tmp_path, capsys):
    code, _, err = call(capsys, "serve", "--store", tmp_path, "--port", 0, "--bundles", tmp_path)
    assert code == 2
    assert "no bundle is there" in err
