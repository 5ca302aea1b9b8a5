"""Options that verbs share, and what shows their progress."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from cyclopts import Parameter, Token

from trueness.places import StoreLocation, place_of

DEFAULT_STORE = Path("store")
ROWS_SHOWN = 50


def _whole(annotation: Any, tokens: Sequence[Token]) -> int:  # noqa: ANN401 - as cyclopts calls it
    """Whole number of an option; 1.5 is a mistake, not 2."""
    del annotation
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'"{text[:40]}" is not a whole number') from None


def _number(annotation: Any, tokens: Sequence[Token]) -> float:  # noqa: ANN401 - the same
    """Number of an option; none is a mistake, not the default."""
    del annotation
    text = tokens[0].value
    try:
        return float(text)
    except ValueError:
        raise ValueError(f'"{text[:40]}" is not a number') from None


def _choice(annotation: Any, tokens: Sequence[Token]) -> str:  # noqa: ANN401 - the same
    """One of the words of a Literal; none is a mistake, not the default."""
    text, words = tokens[0].value, _words(annotation)
    if text not in words:
        raise ValueError(f'"{text[:40]}"; choose from {", ".join(words)}')
    return text


def _words(annotation: Any) -> list[str]:  # noqa: ANN401 - a type
    return [
        word for one in get_args(annotation)
        for word in ([one] if isinstance(one, str) else _words(one))
    ]  # fmt: skip


def folder_of(annotation: Any, tokens: Sequence[Token]) -> Path:  # noqa: ANN401 - the same
    """Path of a folder; an empty name is a mistake, not the current folder."""
    del annotation
    if not (text := tokens[0].value):
        raise ValueError("the name of the folder is empty")
    return Path(text)


def _place(annotation: Any, tokens: Sequence[Token]) -> StoreLocation:  # noqa: ANN401 - the same
    if "://" in tokens[0].value:
        return place_of(tokens[0].value)
    return folder_of(annotation, tokens)


StrictInt = Annotated[int, Parameter(converter=_whole)]
Number = Annotated[float, Parameter(converter=_number)]
CHOICE = Parameter(converter=_choice)
"""Of an option that may be left out and takes some words."""
Store_ = Annotated[
    StoreLocation,
    Parameter(
        name="--store",
        env_var="TRUENESS_STORE",
        converter=_place,
        accepts_keys=False,
        help="Folder of stored runs, or postgresql://USER@HOST/DATABASE.",
    ),
]
Data = Annotated[
    str | None,
    Parameter(
        name="--data",
        env_var="TRUENESS_DATA",
        help="sp500, synthetic, a CSV or Parquet file, or a folder of them.",
        allow_leading_hyphen=True,
    ),
]
Separator = Annotated[
    str | None,
    Parameter(
        name="--separator",
        help="Character between the cells of a text file; recognised without it.",
    ),
]
Vix = Annotated[
    str | None,
    Parameter(
        name="--vix", env_var="TRUENESS_VIX", help="CSV or Parquet file of a volatility index."
    ),
]
Features = Annotated[
    str | None,
    Parameter(
        name="--features",
        help="Own features of bars: a CSV or Parquet file, or file.py:function.",
    ),
]
Ids = Annotated[
    list[str] | None, Parameter(name="--id", negative=(), help="Only this experiment; repeatable.")
]
Priorities = Annotated[
    list[str] | None,
    Parameter(name="--priority", negative=(), help="Only this priority; repeatable."),
]
Tiers = Annotated[
    list[str] | None, Parameter(name="--tier", negative=(), help="Only this tier; repeatable.")
]
Protocol = Annotated[
    Literal["holdout", "walk_forward", "purged_kfold", "combinatorial", "kfold"] | None,
    Parameter(
        name="--protocol",
        converter=_choice,
        help="In place of the campaign's own; the first four for bars, walk_forward, holdout and "
        "kfold for tables.",
    ),
]
On = Annotated[
    str | None,
    Parameter(
        name="--on",
        help="ray: the Ray cluster of RAY_ADDRESS, else one on this machine; ray://HOST:PORT: that "
        "of the client server there. Workers are jobs at once then.",
    ),
]
OpenTest = Annotated[
    bool,
    Parameter(
        name="--open-test", negative=(), help="Show the sealed test part; the ledger records it."
    ),
]
Recipe = Annotated[
    Literal["published", "fair"] | None,
    Parameter(
        name="--recipe", converter=_choice, help="Training recipe in place of the campaign's own."
    ),
]
Seeds = Annotated[
    int | None,
    Parameter(
        name="--seeds",
        converter=_whole,
        help="Replicates of every experiment; the recipe's own by default.",
    ),
]


def progress(watch: bool = False) -> Any:  # noqa: ANN401 - a context manager that yields a Callback
    """What hears of a campaign's progress, as a context manager: a bar, or a live picture."""
    from trueness.cli.output import console
    from trueness.report.progress import ProgressCallback

    return ProgressCallback(console(err=True), watch)
