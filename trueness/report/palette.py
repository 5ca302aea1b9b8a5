"""Colours by name: light and dark, for pages and the figures in them."""

from __future__ import annotations

import re

LIGHT = {
    "ink": "#1d2129", "soft": "#5c6370", "line": "#dfe3e8", "paper": "#ffffff", "wash": "#f5f7f9",
    "accent": "#0b6e99", "error": "#a3263b", "warning": "#8a5a00", "grey": "#8a8f98",
    "positive": "#c2571a", "negative": "#0b6e99",
    "series-0": "#0b6e99", "series-1": "#c2571a", "series-2": "#5b8c2a", "series-3": "#8a4fa3",
    "series-4": "#b8860b", "series-5": "#2f4b7c", "series-6": "#a33b52", "series-7": "#3b7d7d",
}  # fmt: skip
DARK = {
    "ink": "#e4e7ec", "soft": "#a4acb9", "line": "#363d48", "paper": "#15181d", "wash": "#1d2229",
    "accent": "#56b6dc", "error": "#f0899a", "warning": "#e3b35a", "grey": "#8d949f",
    "positive": "#f0915a", "negative": "#56b6dc",
    "series-0": "#56b6dc", "series-1": "#f0915a", "series-2": "#95c75d", "series-3": "#c596dd",
    "series-4": "#e0b94f", "series-5": "#8fa9e0", "series-6": "#e58095", "series-7": "#74c0bf",
}  # fmt: skip
NAMED = re.compile(rf"({'|'.join(LIGHT)})(?:/([\d.]+))?")


def rgba(colour: str, dark: bool = False) -> str:
    """Colour of a name, with its opacity after a slash; any other colour is left as it is.

    Examples
    --------
    >>> rgba("series-0/0.15"), rgba("#444")
    ('rgba(11,110,153,0.15)', '#444')
    """
    match = NAMED.fullmatch(colour)
    if match is None:
        return colour
    return f"rgba({_triple((DARK if dark else LIGHT)[match[1]])},{match[2] or 1})"


def _triple(colour: str) -> str:
    return ",".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))


def dark_of_light() -> dict[str, str]:
    """Red, green and blue of each light colour -> those of the dark one; they differ by name.

    Examples
    --------
    >>> dark_of_light()["11,110,153"]
    '86,182,220'
    """
    return {_triple(colour): _triple(DARK[name]) for name, colour in LIGHT.items()}


def css_variables(dark: bool = False) -> str:
    """Declarations of a style sheet: ``--ink: #1d2129; …``."""
    return " ".join(f"--{name}: {colour};" for name, colour in (DARK if dark else LIGHT).items())
