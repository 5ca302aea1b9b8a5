"""Options set once: the command line, then the environment, then a file, then the default."""

import json
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trueness.cli import app, configuration, main
from trueness.cli.campaigns import Experiments
from trueness.cli.configuration import SETTINGS, find_file, read_file
from trueness.errors import TruenessError
from trueness.market import synthetic_bars

VARIABLES = {"store": "TRUENESS_STORE", "data": "TRUENESS_DATA", "vix": "TRUENESS_VIX"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A repository of its own, without variables."""
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parsed(*words):
    """Values that a verb would be called with."""
    _, bound, *_ = app.parse_args(map(str, words), exit_on_error=False, print_error=False)
    whole = [vars(v) if isinstance(v, Experiments) else {n: v} for n, v in bound.arguments.items()]
    return {n: str(v) for some in whole for n, v in some.items() if v is not None}


def code_of(*words):
    with pytest.raises(TruenessError) as error:
        parsed(*words)
    return error.value.code


SOURCES = ("typed", "variable", "file")


@given(
    levels=st.dictionaries(st.sampled_from(["store", "data"]), st.sets(st.sampled_from(SOURCES)))
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_strongest_source_wins(folder, levels):
    words = ["status", "demo"]
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        for name, sources in levels.items():
            words += [f"--{name}", "typed"] if "typed" in sources else []
            lines += [f'{name} = "file"'] if "file" in sources else []
            if "variable" in sources:
                patch.setenv(VARIABLES[name], "variable")
        (folder / "trueness.toml").write_text("\n".join(lines))
        actual = parsed(*words)
    for name in ("store", "data"):
        strongest = next((s for s in SOURCES if s in levels.get(name, ())), None)
        assert actual.get(name) == strongest


@pytest.mark.parametrize("bars", SOURCES)
@pytest.mark.parametrize("index", SOURCES)
def test_an_index_never_goes_with_bars_that_replaced_its_own(folder, monkeypatch, bars, index):
    words, lines = ["status", "demo"], []
    for name, source in (("data", bars), ("vix", index)):
        words += [f"--{name}", f"{name}.csv"] if source == "typed" else []
        lines += [f'{name} = "{name}.csv"'] if source == "file" else []
        if source == "variable":
            monkeypatch.setenv(VARIABLES[name], f"{name}.csv")
    (folder / "trueness.toml").write_text("\n".join(lines))
    weaker = SOURCES.index(index) > SOURCES.index(bars)
    assert parsed(*words).get("vix") == (None if weaker else "vix.csv")


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("TRUENESS_STORE", "")
    assert "store" not in parsed("leaderboard")


def test_paths_of_a_file_are_relative_to_it(folder, monkeypatch):
    (folder / "trueness.toml").write_text(
        'store = "runs"\ndata = "bars.csv"\nvix = "/abs/vix.csv"\nworkers = 2\ndevice = "cpu"\n'
    )
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    actual = parsed("run", "demo")
    assert actual["store"] == "../../runs"
    assert (actual["data"], actual["vix"]) == ("../../bars.csv", "/abs/vix.csv")
    assert (actual["workers"], actual["device"]) == ("2", "cpu")


@pytest.mark.parametrize("name", ["sp500", "synthetic"])
def test_names_of_bars_are_no_paths(folder, monkeypatch, name):
    (folder / "a").mkdir()
    (folder / "trueness.toml").write_text(f'data = "{name}"')
    monkeypatch.chdir(folder / "a")
    assert parsed("status", "demo")["data"] == name


def test_where_files_are_looked_for(folder, monkeypatch):
    """The campaign's folder, then the current one, each upwards to the root of the repository."""
    above, project, here = folder, folder / "project", folder / "here"
    (project / "campaigns").mkdir(parents=True)
    here.mkdir()
    (project / "campaigns" / "c.yaml").write_text("campaign: c\n")
    monkeypatch.chdir(here)
    words = ("status", project / "campaigns" / "c.yaml")

    def store():
        return parsed(*words).get("store")

    assert store() is None
    (above / "pyproject.toml").write_text('[tool.trueness]\nstore = "above"\n')
    assert store() == "../above"
    (here / "pyproject.toml").write_text('[tool.trueness]\nstore = "here"\n')
    assert store() == "../above"  # above the campaign too, and the campaign comes first
    assert parsed("leaderboard")["store"] == "here"
    (project / "pyproject.toml").write_text("[project]\nname = 'p'\n")  # has no such table
    assert store() == "../above"
    (project / "pyproject.toml").write_text("[tool.trueness]\nstore = 'project'\n")
    assert store() == "../project/project"
    (project / "trueness.toml").write_text("store = 'own'\n")
    assert store() == "../project/own"
    (project / ".git").mkdir()
    (project / "trueness.toml").unlink()
    (project / "pyproject.toml").unlink()
    assert store() == "here"  # nothing above the root of the campaign's repository


def test_outside_of_a_repository_parents_are_not_searched(folder):
    (folder / ".git").rmdir()
    (folder / "a").mkdir()
    (folder / "trueness.toml").write_text("store = 'x'")
    assert find_file([folder / "a"]) is None
    assert find_file([folder]) == folder.resolve() / "trueness.toml"


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("trueness.toml", "stor = 'x'", "config_name"),
        ("trueness.toml", "[store]\npath = 'x'", "config_value"),
        ("trueness.toml", "store = 3", "config_value"),
        ("trueness.toml", "data = ''", "config_value"),
        ("trueness.toml", "workers = true", "config_value"),
        ("trueness.toml", "workers = -1", "config_value"),
        ("trueness.toml", "store = ", "config_file"),
        ("pyproject.toml", "[tool]\ntrueness = 3", "config_file"),
        ("pyproject.toml", "[tool.trueness]\nepochs = 3", "config_name"),
        ("pyproject.toml", "[tool.trueness\nstore = 'x'", "config_file"),
    ],
)
def test_mistakes_are_one_line_that_names_the_file(folder, capsys, name, text, code):
    (folder / name).write_text(text)
    assert code_of("run", "demo") == code
    with pytest.raises(SystemExit) as ended:
        main(["leaderboard"])
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    assert name in err


def test_files_that_are_not_text_are_refused(folder):
    (folder / "trueness.toml").write_bytes(b"\xff\xfe\x00")
    assert code_of("leaderboard") == "config_file"


@pytest.mark.parametrize("text", ["tool = [", "[tool.other]\nx = 1\n", "[project]\nname = 1"])
def test_a_project_file_that_does_not_name_us_is_let_alone(folder, text):
    (folder / "pyproject.toml").write_text(text)
    assert "store" not in parsed("leaderboard")


def test_help_and_verbs_without_such_options_read_no_file(folder, capsys):
    (folder / "trueness.toml").write_text("nonsense")
    for words in (["--help"], ["run", "--help"], ["--version"], ["explain", "TRU004"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert not ended.value.code


def test_every_verb_with_such_an_option_can_be_filled(folder):
    """All settings are options of some verb, and each names its variable in the help."""
    options = {}

    def walk(group):
        if group.default_command is not None:
            for one in group.assemble_argument_collection():
                options.setdefault(one.name.removeprefix("--"), []).append(one)
        for word in group:
            if not word.startswith("-"):
                walk(group[word])

    walk(app)
    assert set(SETTINGS) <= set(options)
    for name, variable in VARIABLES.items():
        assert {one.parameter.env_var for one in options[name]} == {(variable,)}


def test_which_bars_a_setting_gave_is_told_once_and_not_in_the_answer(folder, capsys, monkeypatch):
    synthetic_bars(400).frame().write_csv(folder / "bars.csv")
    monkeypatch.setenv("TRUENESS_DATA", "bars.csv")
    with pytest.raises(SystemExit):
        main(["list", "demo", "--json"])
    out, err = capsys.readouterr()
    assert "TRUENESS_DATA" in err
    assert "TRUENESS_DATA" not in out
    monkeypatch.delenv("TRUENESS_DATA")
    with pytest.raises(SystemExit):
        main(["list", "demo", "--data", "bars.csv"])
    assert capsys.readouterr().err == ""
    assert configuration.data_notes() == []


def test_a_run_goes_where_the_file_beside_the_campaign_says(tiny, monkeypatch, capsys):
    (tiny.parent / "trueness.toml").write_text('store = "runs"\nworkers = 0\n')
    (tiny.parent / "else").mkdir()
    (tiny.parent / ".git").rmdir()  # no verb without the campaign finds the file from there
    monkeypatch.chdir(tiny.parent / "else")
    with pytest.raises(SystemExit) as ended:
        main(["run", str(tiny), "--id", "T-01"])
    assert not ended.value.code
    assert (tiny.parent / "runs" / "store.json").is_file()
    assert not Path("store").exists()
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["status", "../tiny.yaml"])
    assert "trueness run ../tiny.yaml --store ../runs" in capsys.readouterr().out


PRINTABLE = st.characters(exclude_categories=["C"])


@given(
    st.dictionaries(
        st.sampled_from(sorted(SETTINGS)) | st.text(PRINTABLE, max_size=8),
        st.integers() | st.booleans() | st.text(PRINTABLE, max_size=5),
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_is_read_or_refused_with_a_code(folder, table):
    written = partial(json.dumps, ensure_ascii=False)
    lines = [f"{written(k)} = {written(v)}" for k, v in table.items()]
    (folder / "trueness.toml").write_text("\n".join(lines), encoding="utf-8")
    wrong = set(table) - set(SETTINGS)
    try:
        actual = read_file(folder / "trueness.toml")
    except TruenessError as error:
        code = error.code
        assert wrong or code == "config_value"
    else:
        assert not wrong
        assert set(actual) == set(table)
        assert all(isinstance(text, str) and text for text in actual.values())
