"""The tutorials, from the first block to the last, against the output that they show."""

import contextlib
import io
import math
import re
import shlex
from pathlib import Path

import pytest

from trueness.cli import main

ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
FAST = "market"
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


def _blocks(page):
    """Language and text of each block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def _run(block):
    """What the commands of a block print."""
    out = io.StringIO()
    for line in block.splitlines():
        _, *words = shlex.split(line.removeprefix("$ "), comments=True)
        words += ["--workers", "0"] if words[0] == "run" else []
        with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
            main(words)
        assert not ended.value.code, line
    return out.getvalue()


def _alike(shown, printed):
    """The same word, and numbers that rounding on another processor may move a little."""
    if NUMBER.sub("0", shown) != NUMBER.sub("0", printed):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    numbers = [[float(x.replace(",", "")) for x in pair] for pair in pairs]
    return all(math.isclose(*pair, rel_tol=0.1, abs_tol=0.02) for pair in numbers)


def _stands_in(shown, printed):
    """Whether words stand in a text one after the other, wherever its lines break."""
    return any(
        all(map(_alike, shown, printed[start:])) for start in range(len(printed) - len(shown) + 1)
    )


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.long] * (page.stem != FAST), id=page.stem)
        for page in TUTORIALS
    ],
)
def test_a_tutorial_prints_what_it_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "cache"))
    printed, compared = [], 0
    for language, block in _blocks(page):
        if language == "python":
            exec(compile(block, page.name, "exec"), {})
        elif language == "yaml":
            name = re.match(r"# (\S+\.yaml)\n", block)[1]
            Path(name).write_text(block)
        elif language == "console":
            printed = _run(block).split()
        elif language == "text":
            for line in re.split(r"\n(?!  )", block):  # what is indented continues a line
                if line.strip() not in ("", "…"):
                    assert _stands_in(line.split(), printed), line
                    compared += 1
    assert compared >= 10
