"""README runs from top to bottom, in one folder with the files that its reader would bring."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trueness.campaign import load_campaign
from trueness.cli import main
from trueness.market import load_bars
from trueness.text.synthetic import Catalogue

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL))
LATER = 60


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Bars that end before others, scores of three models, offers."""
    monkeypatch.chdir(tmp_path)
    Path("trueness.toml").write_text("workers = 0\n")
    bars = load_bars("sp500")
    bars.head(len(bars) - LATER).frame().write_csv("SPY.csv")
    bars.frame().write_csv("longer.csv")
    rng, n = np.random.default_rng(0), 1500
    label = (rng.random(n) < 0.2).astype(int)
    scores = {
        name: 1 / (1 + np.exp(-(rng.standard_normal(n) + skill * label)))
        for name, skill in (("logit", 0.5), ("forest", 1.0), ("boosting", 1.0))
    }
    days = pl.date_range(pl.date(2010, 1, 1), pl.date(2020, 1, 1), eager=True)[:n]
    pl.DataFrame({"date": days, "label": label, **scores}).write_csv("scores.csv")
    offers = Catalogue(1500, seed=1)
    texts = pl.concat([batch.frame for one in offers.pieces() for batch in offers.batches(one)])
    texts.select(title="text", category="label").write_csv("offers.csv")
    return tmp_path


def _run(section):
    """Every block of a section, in order."""
    for kind, block in re.findall(r"```(\w+)\n(.*?)```", SECTIONS[section], re.DOTALL):
        if kind == "yaml":
            name, content = block.split("\n", 1)
            Path(name.removeprefix("# ")).write_text(content)
        elif kind == "python":
            exec(compile(block, "README", "exec"), {})
        else:
            assert kind == "console", kind
            for line in block.splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                assert words[0] == "trueness", line
                with pytest.raises(SystemExit) as ended:
                    main(words[1:])
                assert not ended.value.code, line


@pytest.mark.long
def test_own_models_own_bars_and_the_way_into_use(folder, capsys):
    _run("Judge your own models")
    assert (folder / "page.html").stat().st_size > 10_000
    _run("Your own data")
    campaign = load_campaign("mine.yaml")
    baselines = {entry.spec.key for entry in campaign.baselines}
    assert len({entry.spec.key for entry in campaign.experiments} - baselines) == 2
    assert all(entry.id in (folder / "mine.html").read_text() for entry in campaign.experiments)
    _run("From verdict to use")
    said = capsys.readouterr().out
    log = [json.loads(line) for line in (folder / "in-use" / "log.jsonl").read_text().splitlines()]
    assert len(log) >= LATER
    assert "certified" in said


@pytest.mark.long
def test_titles(folder):
    _run("Titles")
    assert (folder / "titles.html").is_file()
    assert (folder / "titles-in-use" / "bundle.json").is_file()


def test_what_the_demo_says_has_the_form_of_an_answer():
    (shown,) = re.findall(r"```text\n(.*?)```", SECTIONS["What it says"], re.DOTALL)
    assert len(README.splitlines()) <= 150
    interval = r"\d+ % \(\d+–\d+\) · (\d+)/30"
    assert len(re.findall(interval, shown)) >= 5
    for percent, hits in re.findall(r"(\d+) % \(\d+–\d+\) · (\d+)/30", shown):
        assert int(percent) == round(100 * int(hits) / 30)
