"""The workbench, in process: pages of runs on titles."""

import json
import re
import shutil
from html import unescape

import numpy as np
import polars as pl
import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

from markupsafe import escape

from tests.golden import named
from tests.test_cli import call
from tests.test_serve import HOSTILE, _client, _whole, command_of
from trueness.campaign import load_campaign
from trueness.judge.errors import Asked
from trueness.runner import run
from trueness.serve.workbench import Workbench
from trueness.store import Store
from trueness.text.building import Plan, build
from trueness.text.tables import Columns, Table

HEAD = """\
campaign: words
data: corpus
defaults:
  task: {kind: titles, tokenizer: {kind: bpe, vocabulary: 300}, max_tokens: 16}
  evaluation: {min_rows: 20, draws: 100}
experiments: [{id: A, model: {kind: tfidf_logit}}]
"""


def test_pages_of_titles_follow_the_leaderboard(golden_titles, tmp_path):
    shutil.copytree(golden_titles.root, tmp_path / "store")
    with _client(Workbench.of(tmp_path / "store")) as client:
        board, page = (_whole(client, place).text for place in ("/leaderboard", "/titles"))
        marks = re.compile(r"[+−]\d+\.\d [▲▼]")
        assert marks.findall(board)
        assert marks.findall(board) == marks.findall(page)
        keys = list(named(golden_titles, "golden-titles"))
        run_ = Store(tmp_path / "store").run(keys[0])
        every = _whole(client, f"/titles?run={keys[0]}").text
        assert "Predictions in percent of each class" in every
        language = next(iter(run_.record["slices"]["validation"]["groups"]))
        assert language in _whole(client, f"/titles?run={keys[0]}&language={language}").text
        for wrong in (f"run={HOSTILE}", "language=zz", "group=none", f"run={'x' * 300}"):
            answer = client.get(f"/titles?{wrong}")
            assert answer.status_code == 400
            assert "<script>alert" not in answer.text
        texts = _whole(client, f"/run/{keys[0]}/texts").text
        assert 'class="warning"' in texts, "its corpus is nowhere"


def test_a_store_without_titles_says_so(tmp_path):
    with _client(Workbench.of(tmp_path / "store")) as client:
        assert "text-demo" in client.get("/titles").text
        assert client.get("/run/0123456789ab/texts").status_code == 404


FRAME = pl.DataFrame({
    "text": ["Red wine", "White wine", "Shoes", "Boots"], "language": ["en", "en", "de", "de"],
    "given": ["a", "a", "b", "b"], "predicted": ["a", "b", "b", "a"],
    "probability": [0.9, 0.6, 0.5, 0.8], "near_similarity": [None, 0.7, 0.9, None],
})  # fmt: skip


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        ({}, ["Boots", "White wine"]), ({"show": "right"}, ["Red wine", "Shoes"]),
        ({"show": "unsure"}, ["Shoes", "White wine", "Boots", "Red wine"]),
        ({"show": "near"}, ["Shoes", "White wine"]), ({"language": "de"}, ["Boots"]),
        ({"show": "all", "either": "a"}, ["Red wine", "Boots", "White wine"]),
        ({"show": "all", "search": "WINE"}, ["Red wine", "White wine"]),
        ({"show": "all", "search": ".*"}, []),
    ],
)  # fmt: skip
def test_texts_are_filtered(words, texts):
    assert Asked(**words).listed(FRAME)["text"].to_list() == texts


def _ids(page):
    """Ids of the texts of a page, in its order."""
    body = page.partition("<tbody")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr[^>]*><th.*?</tr>", body, re.DOTALL)
    return [unescape(re.sub(r"<[^>]+>", "", one.rpartition("<td")[2].partition(">")[2]))
            for one in rows]  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Folder with a store of a baseline on texts, ids and labels that are markup."""
    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    kinds = ("wine", "shoe", f"{HOSTILE}hat")
    label = rng.integers(0, 3, 600)
    word = np.where(rng.random(600) < 0.8, label, rng.integers(0, 3, 600))
    pl.DataFrame({
        "id": [f"{HOSTILE}{i}" for i in range(600)],
        "text": [f"{HOSTILE} a {kinds[k]} of colour {i} number {i * i}" for i, k in enumerate(word)],
        "label": [kinds[k] for k in label], "language": rng.choice(["en", "de"], 600),
    }).write_csv(folder / "rows.csv")  # fmt: skip
    columns = Columns(id="id", text=("text",), label="label", language="language")
    build(Table(folder / "rows.csv", columns), folder / "corpus", Plan(0.3, 0.2))
    (folder / "words.yaml").write_text(HEAD)
    assert not run(load_campaign(folder / "words.yaml"), Store(folder / "store"), workers=0).failed
    return folder


def test_texts_are_those_that_errors_lists_and_no_markup(hostile, capsys):
    store = Store(hostile / "store")
    (key,) = store.campaigns()["words"]["A"]
    with _client(Workbench.of(hostile / "store")) as client:
        page = _whole(client, f"/run/{key}/texts").text
        _, out, _ = call(capsys, "errors", key, "--store", store.root, "--json")
        actual = json.loads(out)
        assert f"{actual['wrong']['k']} texts of {actual['wrong']['n']}" in page
        for words in ("", "?show=right", "?show=unsure&language=de", "?show=near", "?show=all",
                      "?show=all&search=COLOUR+1&class=wine"):  # fmt: skip
            some = _whole(client, f"/run/{key}/texts{words}").text
            code, out, _ = call(capsys, *command_of(some), "--json")
            assert code == 0
            listed = json.loads(out)["errors"]
            assert _ids(some) == [one["id"] for one in listed[:50]], words
            assert listed or "near" in words
        numbers = re.findall(rf"/run/{key}/text\?n=(\d+)", page)
        assert len(numbers) == min(50, len(actual["errors"]))
        assert f"trueness errors {key}" in page
        one = _whole(client, f"/run/{key}/text?n={numbers[0]}").text
        assert escape(actual["errors"][0]["text"]) in one
        assert "keeps no weights" in one
        places = [f"/run/{key}/texts?show={show}" for show in ("unsure", "near", "right", "all")]
        for place in (*places, f"/titles?run={key}", f"/titles?run={key}&language=de",
                      f"/run/{key}/texts?search=<script>", f"/run/{key}/text?n=0"):  # fmt: skip
            text = _whole(client, place).text
            assert "&lt;script&gt;" in text, place
            assert "<script>alert" not in text, place
            assert "<img" not in text, place
        for wrong in ("show=x", "language=zz", "class=zz", "page=0", f"search={'x' * 300}"):
            assert client.get(f"/run/{key}/texts?{wrong}").status_code == 400
        for number in ("", "-1", "600", "x", "9" * 30, "../1"):
            assert client.get(f"/run/{key}/text?n={number}").status_code == 404
