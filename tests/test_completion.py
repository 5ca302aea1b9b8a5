"""Shell completion: scripts that know the verbs, written into a home folder of the test."""

import shutil
import subprocess

import pytest

from tests.test_cli import call
from tests.test_docs import _verbs
from trueness.cli import main
from trueness.errors import TruenessError

STARTUP = {"bash": ".bashrc", "zsh": ".zshrc", "fish": None}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("ZSH", "ZSH_CUSTOM", "BASH_VERSION", "ZSH_VERSION", "FISH_VERSION"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.mark.parametrize("shell", STARTUP)
def test_a_script_knows_every_verb_and_is_loaded_once(home, capsys, shell):
    for _ in range(2):
        status, out, _ = call(capsys, "--install-completion", "--shell", shell)
        assert status == 0
    files = [path for path in home.rglob("*") if path.is_file()]
    (script,) = [path for path in files if path.name != STARTUP[shell]]
    assert str(script) in out
    text = script.read_text()
    for verb, options in _verbs():
        assert all(word in text for word in verb.split())
        assert all(names[0].removeprefix("--") in text for names in options)
    if STARTUP[shell]:
        assert (home / STARTUP[shell]).read_text().count(str(script.parent)) in (1, 2)
        assert f"~/{STARTUP[shell]}" in out
    else:
        assert files == [script]


def test_a_file_of_choice_is_all_that_is_written(home, tmp_path, capsys):
    path = tmp_path / "completion.sh"
    status, _, _ = call(capsys, "--install-completion", "--shell", "bash", "--output", path)
    assert (status, list(home.iterdir())) == (0, [])
    assert "complete" in path.read_text()


def test_what_a_user_has_in_a_startup_file_stays(home, capsys):
    (home / ".bashrc").write_text("alias x=y\n")
    call(capsys, "--install-completion", "--shell", "bash")
    assert (home / ".bashrc").read_text().startswith("alias x=y\n")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("lea", {"leaderboard"}),
        ("search an", {"analyze"}),
        ("run text --prot", {"--protocol"}),  # `text` is a group of verbs, not here
        ("run demo --protocol w", {"walk_forward"}),
        ("text build --row", {"--rows"}),
        ("runs ", {"delete", "list", "tag", "note"}),
    ],
)
def test_bash_completes(tmp_path, capsys, typed, offered):
    path = tmp_path / "completion.sh"
    call(capsys, "--install-completion", "--shell", "bash", "--output", path)
    words = typed.split(" ")
    line = " ".join(f"'{word}'" for word in ("trueness", *words))
    script = f'. "{path}"; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _trueness; echo "${{COMPREPLY[@]}}"'
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run([bash, "--norc", "-c", script], capture_output=True, text=True)
    assert (set(done.stdout.split()), done.stderr) == (offered, "")


@pytest.mark.parametrize("shell", ["/bin/bash", "/usr/bin/fish", "/bin/tcsh", ""])
def test_the_calling_shell_is_found_or_asked_for(home, monkeypatch, capsys, shell):
    monkeypatch.setenv("SHELL", shell)
    monkeypatch.setenv("PATH", "")  # no ps, which would name the parent process
    name = shell.rpartition("/")[2]
    if name in STARTUP:
        assert call(capsys, "--install-completion")[0] == 0
        assert list(home.iterdir())
        return
    with pytest.raises(TruenessError) as error:
        main(["--install-completion", "--trace"])
    assert error.value.code == "shell"
    assert list(home.iterdir()) == []


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(TruenessError) as error:
        main(
            [
                "--install-completion",
                "--shell",
                "bash",
                "--output",
                str(tmp_path / "a" / "b"),
                "--trace",
            ]
        )
    assert error.value.code == "output_path"
