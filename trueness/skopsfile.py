"""Estimators in files without pickle: skops builds known types only."""

from __future__ import annotations

from typing import Any

from trueness.errors import StoreError
from trueness.own import translate_errors

TRUSTED = ("sklearn.", "skrub.", "numpy.", "scipy.", "polars.datatypes.", "builtins.")
"""Packages whose types may be built from a file."""


def skops_bytes(model: object, what: str) -> bytes:
    """An estimator in the format of skops.

    Raises
    ------
    StoreError
        With code ``untrusted`` for types of other packages, which a bundle would not open.
    """
    import skops.io

    written = skops.io.dumps(model)
    _trusted(written, what)
    return written


def from_skops(written: bytes, what: str) -> Any:  # noqa: ANN401 - whatever was fitted
    """The estimator that `skops_bytes` wrote; no type of another package is built.

    Raises
    ------
    StoreError
        With code ``untrusted``.
    SpecError
        With code ``damaged`` if it is something else.
    """
    import skops.io

    with translate_errors(f"{what}: cannot be opened", "damaged"):
        return skops.io.loads(written, trusted=_trusted(written, what))


def _trusted(written: bytes, what: str) -> list[str]:
    """Types in a file that skops does not know, all of packages that are trusted."""
    import skops.io

    result = skops.io.get_untrusted_types(data=written)
    foreign = [one for one in result if not one.startswith(TRUSTED)]
    if foreign:
        raise StoreError(
            f"{what} holds {foreign[0]}; only types of scikit-learn, skrub, NumPy and SciPy are "
            "kept in files", "untrusted",
        )  # fmt: skip
    return result
