"""README and docs tell the truth: blocks run, commands parse, links lead somewhere."""

import contextlib
import importlib.util
import io
import json
import re
import runpy
import shlex
import tomllib
from pathlib import Path

import pytest

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


def _blocks(language):
    return [
        pytest.param(block, id=f"{page.name}: {block.strip().splitlines()[0][:40]}")
        for page in PAGES
        for block in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
    ]


@pytest.mark.parametrize("block", _blocks("python"))
def test_python_blocks_run(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block, "README", "exec"), {})
    if "Estimate.proportion(6, 7)" in block:
        assert "86 % (42–100) · 6/7" in out.getvalue()


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
    (tmp_path / "my_net.py").write_text("class Gru:\n    pass\n")
    if "models/mini" in block:
        (tmp_path / "models").mkdir()
        make_folder(tmp_path / "models" / "mini")
        monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "cache"))
    for i, name in enumerate(("SPY", "QQQ", "IWM")):
        synthetic_bars(700, seed=i).frame().write_csv(tmp_path / f"{name}.csv")
    (tmp_path / "c.yaml").write_text(block.replace("data: catalogue", "data: synthetic"))
    assert _expanded(tmp_path / "c.yaml").experiments


def test_the_own_network_of_the_readme_runs_beside_the_others(tmp_path, monkeypatch, capsys):
    page = (ROOT / "README.md").read_text()
    (network,) = [
        b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class Gru" in b
    ]
    (campaign,) = [b for b in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "my_net.py" in b]
    boosted = importlib.util.find_spec("lightgbm") is not None
    lines = [line for line in campaign.splitlines() if boosted or "lightgbm" not in line]
    (tmp_path / "my_net.py").write_text(network)
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    assert _status(["run", "mine.yaml", "--workers", "0", "--epochs", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (group,) = found["groups"]
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
    page = (ROOT / "docs" / "commands.md").read_text()
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
    found = re.findall(
        f".{{0,30}}(?:{'|'.join(PRIVATE)}).{{0,30}}", page.read_text(), re.IGNORECASE
    )
    assert not found


def test_readme_begins_with_the_two_commands():
    text = (ROOT / "README.md").read_text()
    assert text.index("$ make run") < text.index("$ make test") < text.index("## Use it")


def test_the_reference_of_the_spec_is_up_to_date():
    tool = runpy.run_path(str(ROOT / "tools" / "spec_reference.py"))
    assert (ROOT / "docs" / "spec.md").read_text() == tool["page"](), "run tools/spec_reference.py"


def test_the_picture_of_the_architecture_is_up_to_date():
    tool = runpy.run_path(str(ROOT / "tools" / "architecture_picture.py"))
    assert tool["PICTURE"].read_text() == tool["picture"](), "run tools/architecture_picture.py"


def test_version_and_workflow_are_those_of_the_project():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert "- run: .ci/run\n" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


@pytest.fixture
def walk(tmp_path, monkeypatch):
    """The commands of the first walk through titles, in a folder with the files they need."""
    page = (ROOT / "docs" / "text.md").read_text()
    section = page.split("## From a corpus to an answer")[1].split("\n## ")[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "cache"))
    (campaign,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    Path("mine.yaml").write_text(campaign)
    Path("offers.csv").write_text("text,language,offer\nDamen Laufschuhe Gr. 39,de,7\n")
    Path("labels.csv").write_text("id,y\n7,Shoes\n")
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return [words for block in blocks for words in _commands(block)]


def _status(words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code or 0


def test_the_walk_begins_as_written(walk):
    for words in walk[:3]:
        assert {"build", "show", "list"} & set(words[:2])
        assert _status([x.replace("6000", "600") for x in words]) == 0


@pytest.mark.slow
def test_the_walk_from_a_corpus_to_an_answer(walk, monkeypatch):
    for words in walk:
        lines = io.BytesIO(b"Slim fit shirt, navy\n")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(lines))
        assert _status(words) == 0, words
    assert "answer" in Path("answers.csv").read_text().splitlines()[0]
    for made in ("mine.html", "one.html", "in-use/bundle.json", "model.onnx"):
        assert Path(made).is_file()
