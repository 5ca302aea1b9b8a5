"""Commands that an answer or a refusal suggests: they repeat the options that were given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from cyclopts import CycloptsError

from trueness.document import Document, with_texts
from trueness.errors import TruenessError

REPEATED = ("--store", "--storage", "--data", "--vix")
"""Options without which a suggested command would speak of other runs or other data."""
NEW_DATA = {"predict", "monitor", "export", "payoff", "importance"}
"""Verbs that may be given data which no run was made on: suggestions do not repeat these."""
DATA = {"--data", "--vix"}
COMMAND = re.compile(r"`trueness ([^`]+)`")
_typed: dict[str, str] = {}


def remember(options: Mapping[str, str], verb: str = "") -> None:
    """Keep what this call was given, of the options that suggestions repeat."""
    repeated = [name for name in REPEATED if not (verb in NEW_DATA and name in DATA)]
    _typed.clear()
    _typed.update({name: options[name] for name in repeated if name in options})


def command(*words: str) -> str:
    """What can be pasted into a shell: a verb with its words, and what this call was given.

    Examples
    --------
    >>> command("run", "my campaign.yaml", "--seeds", "3")
    "trueness run 'my campaign.yaml' --seeds 3"
    """
    return shlex.join(["trueness", *words, *_repeated(words)])


def completed(text: str) -> str:
    """A text whose commands in backticks repeat what this call was given.

    Names of verbs that could not be called as they stand are left alone.
    """
    return COMMAND.sub(_completed, text) if _typed else text


def completed_document(document: Document) -> Document:
    """A document with every text `completed`."""
    return with_texts(document, completed) if _typed else document


def _completed(match: re.Match[str]) -> str:
    try:
        words = shlex.split(match[1])
    except ValueError:
        return match[0]
    more = _repeated(words)
    return f"`trueness {match[1]} {shlex.join(more)}`" if more else match[0]


def _repeated(words: Sequence[str]) -> list[str]:
    """Options that a command takes, that this call was given and that the command lacks."""
    if not _typed:
        return []
    said = {word.partition("=")[0] for word in words}
    takes = _options(words)
    return [
        part
        for name, value in _typed.items()
        if name in takes and name not in said
        for part in (name, _printable(name, value))
    ]


def _options(words: Sequence[str]) -> set[str]:
    """Names of the options of a verb; none if it cannot be called with these words."""
    from trueness.cli import app

    kept = dict(_typed)
    try:
        app.parse_args(list(words), exit_on_error=False, print_error=False)
        *_, verb = app.parse_commands(list(words))[1]
        return {name for one in verb.assemble_argument_collection() for name in one.names}
    except (CycloptsError, TruenessError):
        return set()
    finally:
        remember(kept)


def _printable(name: str, value: str) -> str:
    """The value; of the address of a database without its password."""
    if name not in ("--storage", "--store"):
        return value
    from trueness.places import shown_url

    return shown_url(value)
