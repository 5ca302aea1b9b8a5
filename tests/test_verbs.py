"""Every verb of the command line: one contract, which takes new verbs by itself."""

import json
import shutil

import pytest

from tests.conftest import TINY
from tests.golden import named
from tests.test_cli import call
from trueness.campaign import load_campaign
from trueness.cli import VERBS, app
from trueness.market import synthetic_bars
from trueness.runner import run
from trueness.store import Store
from trueness.store.ledger import FILE


def _verbs(group=app, words=()):
    """Words of each verb -> what it takes."""
    if words and group.default_command is not None:
        yield " ".join(words), group.assemble_argument_collection()
    for word in group:
        if not word.startswith("-"):
            yield from _verbs(group[word], (*words, word))


TAKES = dict(_verbs())
"""Verb -> its arguments and options."""
POSITIONAL = {
    verb: [one.name for one in taken if not one.name.startswith(("-", "*"))]
    for verb, taken in TAKES.items()
}
OPTIONS = {
    "--y": "bad", "--precision": "0.3", "--positives": "20", "--samples": "400",
    "--corpus": "nobody", "--data": "nobody.csv", "--out": "out.parquet", "--start": "never",
    "--to": "tensorboard",
}  # fmt: skip
"""Required options, of whatever verb."""
MORE = {
    "certify": ["--yes"],
    "runs delete": ["--yes"],
    "runs tag": ["good"],
    "runs note": ["well"],
    "mute": ["--all", "--reason", "known"],
    "judge": ["--id", "id"],
}
"""What a verb needs to answer besides."""
NAMES = {"CAMPAIGN": "tiny.yaml", "RUN": "T-01", "RUNS": "T-01", "FIRST": "T-01", "SECOND": "T-02",
         "CODE": "TRU003", "FILE": "scores.csv"}  # fmt: skip
"""Arguments that name something of the folder."""
SILENT = {"list", "diff", "mute", "explain", "plan", "data check", "data fetch", "features",
          "runs delete", "runs tag", "runs note"}  # fmt: skip
"""Verbs that show no measure of held-out units, so that the ledger hears nothing of them."""
LONG = {"features audit", "features build", "features reduce", "search run", "text build"}
"""Verbs that compute for long without being given a name; see their own tests."""


def _required(verb):
    options = [one.name for one in TAKES[verb] if one.required and one.name.startswith("--")]
    lacking = [name for name in options if name not in OPTIONS]
    assert not lacking, f"give {verb} a value of {lacking} in OPTIONS of this file"
    return [word for name in options for word in (name, OPTIONS[name])]


def _has(verb, option):
    return any(option in one.names for one in TAKES[verb])


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    """Folder with a campaign of two networks on bars, its store, and scores made elsewhere."""
    folder = tmp_path_factory.mktemp("verbs")
    synthetic_bars(1200).frame().write_csv(folder / "bars.csv")
    (folder / "tiny.yaml").write_text(TINY + "data: bars.csv\n")
    summary = run(load_campaign(folder / "tiny.yaml"), Store(folder / "store"), device="cpu",
                  workers=0)  # fmt: skip
    assert not summary.failed
    rows = [f"{i},{int(i % 5 == 0)},{(i * 7 % 40) / 40},{(i * 3 % 40) / 40}" for i in range(200)]
    (folder / "scores.csv").write_text("\n".join(["id,bad,one,other", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def classes(tmp_path_factory, golden_titles):
    """Folder with runs of K classes under the names of the binary ones."""
    folder = tmp_path_factory.mktemp("verbs-classes")
    shutil.copytree(golden_titles.root, folder / "store")
    first, second, *_ = named(golden_titles, "golden-titles")
    for name, key in {"T-01": first, "T-02": second}.items():
        Store(folder / "store").write_campaign("tiny", {name: key})
    return folder


@pytest.fixture
def here(request, tmp_path, monkeypatch):
    """A copy of a folder, which is the current one."""
    folder = tmp_path / "here"
    shutil.copytree(request.getfixturevalue(request.param), folder)
    monkeypatch.chdir(folder)
    return folder


def _refused(code, out, err):
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    return code == 2 and not out and len(lines) == 1 and lines[0].startswith("trueness: ")


def _accesses():
    try:
        with open(f"store/{FILE}") as lines:
            return len(list(lines))
    except FileNotFoundError:
        return 0


def test_every_row_is_a_verb_or_a_group_of_verbs():
    assert {verb.split()[0] for verb in TAKES} == {word for word in VERBS if word[0] != "-"}
    assert all(app[word].default_command or list(app[word].subapps) for word in VERBS)
    assert {*SILENT, *LONG, *MORE} <= set(TAKES)


@pytest.mark.parametrize("here", ["binary"], indirect=True)
@pytest.mark.parametrize("verb", [verb for verb, names in POSITIONAL.items() if names])
def test_a_name_that_nobody_knows_is_refused_in_one_line(here, capsys, verb):
    names = ["nobody" for _ in POSITIONAL[verb]]
    actual = call(capsys, *verb.split(), *names, *_required(verb))
    assert _refused(*actual), actual
    assert _accesses() == 0


WITH_JSON = [verb for verb in TAKES if verb not in LONG and _has(verb, "--json")]


def _answer(capsys, verb):
    names = [NAMES[name] for name in POSITIONAL[verb] if name in NAMES]
    return call(capsys, *verb.split(), *names, *MORE.get(verb, []), *_required(verb), "--json")


@pytest.mark.parametrize("here", ["binary", "classes"], indirect=True)
@pytest.mark.parametrize("verb", WITH_JSON)
def test_a_verb_answers_in_json_or_refuses_in_one_line(here, capsys, verb):
    before = _accesses()
    code, out, err = _answer(capsys, verb)
    if code == 2:
        assert _refused(code, out, err), (out, err)
        assert _accesses() == before
        return
    assert code in (0, 1), err
    content = json.loads(out)
    assert (content["schema"], type(content["kind"])) == (1, str)
    assert _accesses() - before == (verb not in SILENT)


OF_RUNS = [v for v in WITH_JSON if {"RUN", "RUNS", "FIRST"} & {*POSITIONAL[v]} and v[:5] != "text "]


@pytest.mark.parametrize("here", ["binary"], indirect=True)
@pytest.mark.parametrize(
    "verb", [*OF_RUNS, "run", "status", "leaderboard", "top", "tracker", "judge"]
)
def test_a_binary_run_is_never_refused(here, capsys, verb):
    code, _, err = _answer(capsys, verb)
    assert code in (0, 1), err


@pytest.mark.parametrize("here", ["classes"], indirect=True)
@pytest.mark.parametrize("verb", ["thresholds", "certify", "calibrate", "top"])
def test_verbs_about_alarms_refuse_k_classes(here, capsys, verb):
    assert _refused(*_answer(capsys, verb))
