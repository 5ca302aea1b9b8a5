"""Pages of the numbered checks."""

from __future__ import annotations

from pathlib import Path

from trueness.errors import TruenessError, nearest

_PACKAGE = Path(__file__).parent.parent
FOLDERS = (_PACKAGE / "docs" / "checks", _PACKAGE.parent / "docs" / "checks")
"""In an installed wheel, and in a checkout."""


def _pages() -> dict[str, Path]:
    folder = next((f for f in FOLDERS if f.is_dir()), FOLDERS[0])
    return {path.stem: path for path in sorted(folder.glob("TRU*.md"))}


def check_page(code: str) -> str:
    """Markdown page of a check.

    Raises
    ------
    TruenessError
        If there is no such check.
    """
    pages = _pages()
    if code not in pages:
        raise TruenessError(f"unknown check {code!r}; {nearest(code, list(pages))}")
    return pages[code].read_text(encoding="utf-8")


def next_move(code: str) -> str:
    """What the page of a check advises, in one line; nothing if there is no page."""
    if code not in _pages():
        return ""
    advice = check_page(code).partition("**Next move.**")[2].partition("\n\n")[0]
    return " ".join(advice.split())


def check_titles() -> dict[str, str]:
    """Code -> title of every check."""
    return {
        code: path.read_text(encoding="utf-8").splitlines()[0].split(": ", 1)[1]
        for code, path in _pages().items()
    }
