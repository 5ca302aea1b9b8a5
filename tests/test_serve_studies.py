"""The workbench, in process: pages of studies."""

import re

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

from tests.test_cli import call
from tests.test_serve import _client, _whole
from trueness.market import synthetic_bars
from trueness.serve.workbench import Workbench
from trueness.store import Store


def test_a_store_without_studies_says_so(tmp_path):
    with _client(Workbench.of(tmp_path / "store")) as client:
        assert "trueness search run" in client.get("/studies").text


@pytest.mark.slow
def test_studies_are_shown_as_the_command_line_shows_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    synthetic_bars(1200).frame().write_csv("bars.csv")
    words = ("search", "run", "logit", "--trials", 4, "--seeds", 1, "--data", "bars.csv")
    assert call(capsys, *words, "--name", "one")[0] == 0
    with _client(Workbench.of(tmp_path / "store")) as client:
        every = _whole(client, "/studies").text
        assert 'href="/studies?name=one"' in every
        page = _whole(client, "/studies?name=one").text
        assert "Best configuration" in page
        runs = set(re.findall(r'"/run/([0-9a-f]{12})"', page))  # of rows, and of marks in pictures
        assert runs == {run.key for run in Store(tmp_path / "store").all_runs()[0]} & runs
        assert len(runs) >= 2
        assert '"customdata":["/run/' in page
        assert "lines over their parameters" in page
        assert "no study" in _whole(client, "/studies?name=other").text
