"""The workbench, in process: stores and addresses that are wrong; a page says it."""

import shutil
import time

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

from tests.golden import named
from tests.test_serve import _client, _whole, served  # noqa: F401 - a fixture
from trueness.serve.app import PAGES
from trueness.serve.workbench import Workbench
from trueness.store import Store

LOOK_S = 1.1
"""Seconds after which the server looks at the store again."""


def _places(key):
    return [place.replace("{key}", key).replace("{number}", "1") for place in PAGES]


@pytest.mark.parametrize("prepare", [False, True])
def test_every_page_of_an_empty_store_says_so(tmp_path, prepare):
    if prepare:
        Store(tmp_path).prepare()
    with _client(Workbench.of(tmp_path)) as client:
        actual = {place: _whole(client, place) for place in _places("0123456789ab")}
    refused = {place for place, answer in actual.items() if answer.status_code != 200}
    assert refused == {place for place in actual if place.startswith(("/run/", "/compare",
                                                                     "/bundles/"))}  # fmt: skip
    for place, answer in actual.items():
        assert "<main" in answer.text, place
        assert answer.status_code in (200, 400, 404), place


def test_what_is_among_runs_and_is_none_is_told(served):  # noqa: F811
    bench, client = served
    key = next(iter(named(Store(bench.root))))
    before = len(bench.shelf.current_view().runs)
    (bench.root / "runs" / "unfinished").mkdir()
    (bench.root / "runs" / "a-file").write_text("x")
    (bench.root / "runs" / key / "record.json").write_text('{"')
    time.sleep(LOOK_S)
    page = client.get("/").text
    for name in ("unfinished", "a-file", key):
        assert f">{name}<" in page
    assert len(bench.shelf.current_view().runs) == before - 1
    answer = client.get(f"/run/{key}")
    assert answer.status_code == 500
    assert "unreadable record" in answer.text


def test_a_run_that_is_being_written_comes_when_it_is_whole(served):  # noqa: F811
    bench, client = served
    key = next(iter(named(Store(bench.root))))
    folder = bench.root / "runs" / key
    kept = (folder / "record.json").read_bytes()
    (folder / "record.json").unlink()
    time.sleep(LOOK_S)
    assert client.get(f"/run/{key}").status_code == 500
    (folder / "record.json").write_bytes(kept)
    time.sleep(LOOK_S)
    assert client.get(f"/run/{key}").status_code == 200


def test_damaged_predictions_leave_what_is_recorded(served):  # noqa: F811
    bench, client = served
    key = next(iter(named(Store(bench.root))))
    path = bench.root / "runs" / key / "predictions.parquet"
    path.write_bytes(b"x" * path.stat().st_size)
    for place in ("", "/thresholds"):
        page = _whole(client, f"/run/{key}{place}")
        assert page.status_code == 200
        assert "content differs" in page.text


def test_a_newer_store_in_place_of_an_open_one_is_said(served):  # noqa: F811
    bench, client = served
    assert client.get("/").status_code == 200
    (bench.root / "store.json").write_text('{"version": 999}')
    time.sleep(LOOK_S)
    answer = client.get("/leaderboard")
    assert answer.status_code == 500
    assert "a newer trueness" in answer.text


def test_studies_that_are_no_database_are_told(served):  # noqa: F811
    bench, client = served
    (bench.root / "search.sqlite3").write_bytes(b"not a database")
    page = _whole(client, "/studies")
    assert "warning" in page.text
    assert "Traceback" not in page.text


@pytest.mark.parametrize(
    "place",
    ["/leaderboard?kind=models", "/leaderboard?order=up", "/leaderboard?nonsense=1",
     "/leaderboard?sort=difference", "/leaderboard?by=checks", "/leaderboard?where=bound>0.1",
     "/titles?page=2", "/features?sort=x", "/compare?run=x", "/compare?runs=x&run=y"],
)  # fmt: skip
def test_what_an_address_cannot_mean_is_refused(served, golden_titles, tmp_path, place):  # noqa: F811
    client = served[1]
    if place.startswith("/titles"):
        shutil.copytree(golden_titles.root, tmp_path / "titles")
        with _client(Workbench.of(tmp_path / "titles")) as other:
            answer = other.get(place)
    else:
        answer = client.get(place)
    assert answer.status_code == 400
    assert "<main" in answer.text


@pytest.mark.parametrize("column", ["difference", "checks"])
def test_what_is_judged_may_be_a_column(served, column):  # noqa: F811
    assert served[1].get(f"/leaderboard?columns={column}").status_code == 200
