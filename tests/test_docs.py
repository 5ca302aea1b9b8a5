"""README and docs tell the truth: blocks run, commands parse, links lead somewhere."""

import contextlib
import importlib.util
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.conftest import BASELINES
from tests.tiny_pretrained import make_folder
from trueness.campaign import load_campaign
from trueness.cli import app, main
from trueness.market import synthetic_bars

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "LOG.md",
]


LONG = ("predict-every-day.md", "titles.md")
"""Pages whose blocks train for many seconds."""


def _blocks(language, long=()):
    """Blocks of all pages; those of tutorials and README run in order elsewhere."""
    return [
        pytest.param(
            block,
            marks=[pytest.mark.long] * (page.name in long),
            id=f"{page.name}: {block.strip().splitlines()[0][:40]}",
        )
        for page in PAGES
        if language == "console" or not ({"tutorials", "README.md"} & set(page.parts))
        for block in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
    ]


@pytest.mark.parametrize("block", _blocks("python", LONG))
def test_python_blocks_run(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(block, "page", "exec"), {})


def _commands(block):
    """Arguments of each call of trueness in a block, whatever starts it or feeds it."""
    lines = [shlex.split(x.removeprefix("$ "), comments=True) for x in block.splitlines()]
    return [line[line.index("trueness") + 1 :] for line in lines if "trueness" in line]


def _expanded(campaign):
    return load_campaign(campaign, needed=False)


@pytest.mark.parametrize("block", _blocks("console"))
def test_commands_parse(block):
    for words in _commands(block):
        command, bound, *_ = app.parse_args(words, exit_on_error=False, print_error=False)
        assert command is not None
        if bound.args and words[0] in ("run", "list", "tracker", "status"):
            name = bound.args[0]
            assert name.endswith(".yaml") or _expanded(name).experiments


@pytest.mark.parametrize("block", _blocks("yaml"))
def test_campaigns_in_the_docs_expand(tmp_path, monkeypatch, block):
    (tmp_path / "my_nets.py").write_text("class Net:\n    pass\n")  # read, not run
    if "models/mini" in block:
        (tmp_path / "models").mkdir()
        make_folder(tmp_path / "models" / "mini")
        monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "cache"))
    for i, name in enumerate(("SPY", "QQQ", "IWM")):
        synthetic_bars(700, seed=i).frame().write_csv(tmp_path / f"{name}.csv")
    (tmp_path / "c.yaml").write_text(block.replace("data: catalogue", "data: synthetic"))
    assert _expanded(tmp_path / "c.yaml").experiments


@pytest.mark.long
def test_the_own_network_of_the_page_runs_beside_the_others(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "how-to" / "own-network.md").read_text()
    network, *_ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (campaign,) = [b for b in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "M-5" in b]
    boosted = importlib.util.find_spec("lightgbm") is not None
    lines = [line for line in campaign.splitlines() if boosted or "lightgbm" not in line]
    (tmp_path / "my_nets.py").write_text(network)
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    assert _status(["run", "mine.yaml", "--workers", "0", "--epochs", "1", "--json"]) == 0
    actual = json.loads(capsys.readouterr().out)
    (group,) = actual["groups"]
    candidates = {m["name"]: m for m in group["models"] if not m["baseline"]}
    wanted = {"M-1", "M-2", "M-2@43", "M-2@44", "M-3", "M-5", *(["M-4"] if boosted else [])}
    assert (set(candidates), group["n_candidates"]) == (wanted, 4 + boosted)
    assert sum(m["baseline"] for m in group["models"]) == len(BASELINES)
    assert all(m["estimates"]["auc"]["value"] is not None for m in candidates.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def _verbs(group=app, words=()):
    """Words of each verb -> the names of each of its options."""
    if group.default_command is not None:
        names = [argument.names for argument in group.assemble_argument_collection()]
        yield " ".join(words), [some for some in names if some and some[0].startswith("--")]
    for word in group:
        if not word.startswith("-"):
            yield from _verbs(group[word], (*words, word))


SAID_ONCE = {
    *("--json", "--markdown", "--report", "--csv", "--parquet", "--raw", "--latex", "--limit"),
    "--store",
}
OF_CAMPAIGNS = {
    "--id", "--priority", "--tier", "--seeds", "--protocol", "--recipe", "--epochs", "--set",
    "--data", "--vix", "--features",
}  # fmt: skip
"""Options of many verbs, described above the table of verbs."""


@pytest.mark.parametrize(("verb", "options"), [pytest.param(*v, id=v[0]) for v in _verbs()])
def test_commands_md_names_every_verb_and_its_options(verb, options):
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    rows = "\n".join(re.findall(rf"^\| `{verb}(?:`| [A-Z[]).*$", page, re.MULTILINE))
    assert rows, verb
    described = page if verb == "text train" else rows
    once = SAID_ONCE | (OF_CAMPAIGNS if verb in ("run", "list", "status", "tracker") else set())
    assert not [name for name in once if f"`{name}" not in page.split("## Verbs")[0]]
    missing = [names[0] for names in options if names[0] not in once]
    assert not [name for name in missing if not re.search(rf"[` ]{name}\b(?!-)", described)]
    gone = set(re.findall(r"[` ](--[a-z0-9-]+)", rows)) - {
        name for names in options for name in names
    }
    assert not gone


PRIVATE = (
    "told apart", "not told", r"\bluck", "looked at", "unfavourable", "astray", "flattered", r"\bworth\b", r"\bladder\b",
    r"\brungs?\b", r"\barenas?\b", r"\breplay\b", "can resolve", r"\bhurts?\b", "memorised", r"precision_(?:half|rate|top)",
    r"\btied (?:with|in)\b", "share of", r"goes? on (?:where|from)",
)  # fmt: skip
"""Phrases of ours for which the field has words of its own."""


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "LOG.md"], ids=lambda p: p.name
)
def test_pages_use_the_words_of_the_field(page):
    actual = re.findall(
        f".{{0,30}}(?:{'|'.join(PRIVATE)}).{{0,30}}", page.read_text(), re.IGNORECASE
    )
    assert not actual


@pytest.mark.parametrize("name", sorted(x.name for x in (ROOT / "tools").glob("*_reference.py")))
def test_generated_pages_are_up_to_date(name):
    tool = runpy.run_path(str(ROOT / "tools" / name))
    assert tool["PAGE"].read_text() == tool["page"](), f"run python tools/{name}"


def _build(folder, to):
    """Status and messages of mkdocs, called as `make docs` calls it."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", to],
        cwd=folder, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    status, messages = _build(ROOT, folder)
    assert status == 0, messages
    return folder


@pytest.mark.parametrize(
    ("line", "missing"), [("[a](b.md)", "b.md"), ("[a](#b)", "'#b'"), ("[a](/b)", "absolute")]
)
def test_the_site_is_refused_with_dead_links(tmp_path, line, missing):
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    kept = {name: settings[name] for name in ("site_name", "markdown_extensions", "validation")}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(kept))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(line)
    status, messages = _build(tmp_path, tmp_path / "site")
    assert status == 1
    assert missing in messages


@pytest.mark.long
def test_the_site_loads_nothing_from_the_network(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        text = page.read_text()
        assert not re.findall(
            r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"?(?:https?:)?//", text
        )
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"url\(\"?(?:https?:)?//", sheet.read_text())


def test_the_picture_of_the_architecture_is_up_to_date():
    tool = runpy.run_path(str(ROOT / "tools" / "architecture_picture.py"))
    assert tool["PICTURE"].read_text() == tool["picture"](), "run tools/architecture_picture.py"


def test_version_and_workflow_are_those_of_the_project():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert "- run: .ci/run\n" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def _status(words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code or 0
