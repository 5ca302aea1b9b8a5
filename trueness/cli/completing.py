"""The option that installs the completion of a shell: --install-completion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from cyclopts import Parameter

from trueness.cli.output import check_path, console
from trueness.errors import TruenessError
from trueness.files import write_text

if TYPE_CHECKING:
    from cyclopts import App

Shell = Literal["bash", "zsh", "fish"]
STARTUP: dict[Shell, str] = {"bash": ".bashrc", "zsh": ".zshrc"}
"""File of the home folder that gets a line which loads the script; fish needs none."""
VERB_TESTS: dict[Shell, tuple[str, str]] = {
    "bash": (
        '[[ " $all_commands " =~ " $word " ]]',
        '[[ "|PATHS|" == *"|${cmd_path[*]:+${cmd_path[*]} }$word|"* ]]',
    ),
    "fish": (
        'string match -q -- "* $word *" " $all_commands "',
        'string match -q -- "*|"(string join " " $subcommands $word)"|*" "|PATHS|"',
    ),
}
"""Where a script of cyclopts asks whether a word is a verb, and what asks whether it is one there.

Without it any word that is a verb somewhere is taken for one: `trueness run text` would complete
nothing, because of `trueness text build`.
"""


def install_completion(
    *, shell: Shell | None = None, output: Annotated[Path | None, Parameter(name="--output")] = None
) -> int:
    """Install shell completion: Tab completes verbs, options and their choices.

    Example: trueness --install-completion --shell zsh

    Parameters
    ----------
    shell
        The shell that calls this by default.
    output
        Write the script to this file, and nothing else; by default it goes where the shell looks,
        and ~/.bashrc or ~/.zshrc gets a line that loads it.
    """
    from trueness.cli import app

    if output is not None:
        check_path(output)
    chosen = shell or _calling_shell()
    written = app.install_completion(shell=chosen, output=output, add_to_startup=output is None)
    if chosen in VERB_TESTS:
        asked, asks = VERB_TESTS[chosen]
        paths = "|".join(" ".join(path) for path in _paths(app))
        script = written.read_text(encoding="utf-8")
        write_text(written, script.replace(asked, asks.replace("PATHS", paths)))
    startup = f", loaded by ~/{STARTUP[chosen]}" if output is None and chosen in STARTUP else ""
    console().print(f"wrote {written}{startup}", highlight=False, soft_wrap=True)
    if output is None:
        console().print(f"Start a new {chosen}, or run `exec {chosen}`.", highlight=False)
    return 0


def _paths(group: App, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Words of every verb and group of verbs."""
    for word in group:
        if not word.startswith("-"):
            yield (*words, word)
            yield from _paths(group[word], (*words, word))


def _calling_shell() -> Shell:
    from cyclopts.completion import ShellDetectionError, detect_shell

    try:
        result = detect_shell()
    except ShellDetectionError:
        result = None
    for shell in get_args(Shell):
        if shell == result:
            return shell
    raise TruenessError(
        f"the calling shell is {result or 'unknown'}; give --shell {', '.join(get_args(Shell))}",
        "shell",
    )
