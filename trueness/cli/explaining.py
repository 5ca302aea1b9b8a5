"""The verb that explains checks."""

from __future__ import annotations

from trueness.cli.output import DEFAULT, Output, check, present


def explain(code: str | None = None, /, *, output: Output = DEFAULT) -> int:
    """Print the page of a check, or the list of checks.

    Example: trueness explain TRU001

    Parameters
    ----------
    code
        Such as TRU001; without it, all checks are listed with severity and title.
    """
    from trueness.checks import explained

    check(output)
    present(explained(code), output)
    return 0
