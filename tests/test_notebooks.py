"""The notebooks, executed in a kernel, against the outputs that are stored in them."""

import json
import re
import runpy
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from tests.test_tutorials import NUMBER, _alike

TOOL = runpy.run_path(str(Path(__file__).resolve().parents[1] / "tools" / "notebooks.py"))
NOTEBOOKS = sorted(TOOL["FOLDER"].glob("*.ipynb"))
MOST_CELLS = 12
PAGE_AGREEMENT = 0.95
"""Rounding on another processor changes which rows a page lists; the cells below it are exact."""
KEY = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,64}\b")
TODAY = re.compile(r"\b20(?:2[6-9]|[3-9]\d)-\d\d-\d\d\b")


def _words(output):
    """Words that are shown; keys, which hold every digit of a score, and today are left out."""
    return TODAY.sub("DAY", KEY.sub("KEY", TOOL["visible"](output))).split()


def _compare(stored, now):
    """How many words of the outputs were compared."""
    compared = 0
    for cell, again in zip(stored["cells"], now["cells"], strict=True):
        shown, printed = cell.get("outputs", []), again.get("outputs", [])
        assert len(shown) == len(printed), cell["source"]
        for one, other in zip(shown, printed, strict=True):
            before, after = _words(one), _words(other)
            compared += len(before)
            if _is_page(one):
                assert _agreement(before, after) >= PAGE_AGREEMENT
                continue
            words = list(zip(before, after, strict=True))
            assert [pair for pair in words if not _alike(*pair)] == []
    return compared


def _is_page(output):
    return "<iframe" in "".join(output.get("data", {}).get("text/html", ""))


def _agreement(before, after):
    """Share of the words of a page that stand in another one, in order, whatever their numbers."""
    before, after = ([NUMBER.sub("0", word) for word in words] for words in (before, after))
    return SequenceMatcher(None, before, after, autojunk=False).ratio()


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")  # of the kernel's own libraries
def test_a_notebook_shows_what_is_stored_in_it(path, tmp_path, monkeypatch):
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
    stored = json.loads(path.read_text())
    assert len(stored["cells"]) <= MOST_CELLS
    assert _compare(stored, TOOL["executed"](path, tmp_path)) >= 200


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_page_of_a_notebook_has_its_cells_and_an_answer_inline(path):
    page, cells = TOOL["page"](path), json.loads(path.read_text())["cells"]
    assert page.startswith("# ")
    for cell in cells:
        assert "".join(cell["source"]) in page
    assert page.count("<iframe") == 1
    assert f"({path.name})" in page


def test_another_number_and_another_word_are_seen():
    def notebook(text):
        return {"cells": [{"source": "x", "outputs": [{"output_type": "stream", "text": text}]}]}

    before = notebook("AUC 0.705 (0.677–0.732) 5c8a4c813983 2026-11-30")
    assert _compare(before, notebook("AUC 0.706 (0.677–0.732) 6c8a4c813983 2031-01-02")) == 5
    for other in ("AUC 0.905 (0.677–0.732) 5c8a4c813983 2026-11-30",
                  "AP 0.705 (0.677–0.732) 5c8a4c813983 2026-11-30"):  # fmt: skip
        with pytest.raises(AssertionError):
            _compare(before, notebook(other))
    with pytest.raises(ValueError, match="shorter"):
        _compare(before, notebook("AUC"))
