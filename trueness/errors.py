"""Errors that a user can act on: one line saying what came, what was expected, what to do next."""

from collections.abc import Generator
from contextlib import contextmanager


class TruenessError(Exception):
    """Base of all refusals; the command line prints its message and exits with status 2.

    Attributes
    ----------
    code : str
        What kind of refusal it is, a stable word such as ``"one_class"``; tests and programs ask
        for it, the sentence may change. Each class has one of its own for whatever is not named.
    source : str
        Key of a campaign that gave the data it is about, such as ``"features"``; empty if none did.
    """

    code = "refused"
    source = ""

    def __init__(self, message: str = "", code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class SpecError(TruenessError):
    """A description of a run that cannot be carried out."""

    code = "spec"


class DataError(TruenessError):
    """Bars, titles or labels that cannot be used as they are."""

    code = "data"


class CampaignError(TruenessError):
    """A campaign file that cannot be read or expanded."""

    code = "campaign"


class StoreError(TruenessError):
    """A store that cannot be read, written or understood."""

    code = "store"


@contextmanager
def about(source: str) -> Generator[None]:
    """Refusals in the block are about what a key of a campaign gave."""
    try:
        yield
    except TruenessError as error:
        error.source = source
        raise


def first_line(error: BaseException) -> str:
    """First line of what an error says; of a refusal by the system, its words without the path.

    Examples
    --------
    >>> first_line(FileNotFoundError(2, "No such file or directory", "a.csv"))
    'No such file or directory'
    """
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def at_least(name: str, value: object, least: int, most: int = 10**15) -> int:
    """Whole number within bounds; 8.0 is one, and 8.5, NaN, true and "8" are not.

    Examples
    --------
    >>> at_least("alarms", 30.0, 1)
    30
    """
    try:
        whole = int(value)  # ty: ignore[invalid-argument-type] - what has no number is refused
        fits = not isinstance(value, bool) and bool(value == whole)
    except (TypeError, ValueError, OverflowError):
        whole, fits = 0, False
    if not fits or whole < least:
        text = repr(value) if isinstance(value, str) else "" if whole < -most else str(value)
        raise TruenessError(
            f"{name} {text[:60]}: a whole number of at least {least} is needed", "number"
        )
    if whole > most:
        raise TruenessError(f"{name}: a whole number of {least} to {most:,} is needed", "number")
    return whole


def nearest(name: str, choices: list[str]) -> str:
    """Close valid names for a refused one, and all of them if few.

    Examples
    --------
    >>> nearest("a5O", ["a20", "a50"]), nearest("x", ["a20", "a50"])
    ('did you mean a50? choose from a20, a50', 'choose from a20, a50')
    >>> nearest("dema_8", [f"dema_{n}" for n in range(9, 40)])
    'did you mean dema_38, dema_28, dema_18?'
    """
    from difflib import get_close_matches

    if len(choices) <= 25:
        likely = "".join(get_close_matches(name, choices, n=1, cutoff=0.6))
        return f"did you mean {likely}? " * bool(likely) + "choose from " + ", ".join(choices)
    close = get_close_matches(name, choices, n=3, cutoff=0.4)
    return f"did you mean {', '.join(close)}?" if close else f"{len(choices)} names are known"
