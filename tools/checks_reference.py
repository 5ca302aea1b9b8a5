"""Write docs/reference/checks.md: the page of every check, with its limits.

python tools/checks_reference.py
"""

from __future__ import annotations

import re
from pathlib import Path

from trueness.checks.pages import paragraphs
from trueness.checks.registry import CHECKS
from trueness.checks.results import Check

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "checks.md"
HEAD = """# Checks

A check looks at a stored run and says what may be wrong with it.
[Act on a check](../how-to/checks.md) says how to read, limit and mute them;
`trueness explain CODE` prints a page. Made by `tools/checks_reference.py`.

| check | severity | fires on | made for |
| --- | --- | --- | --- |"""


def page() -> str:
    """Whole page as Markdown."""
    rows = [_row(check) for check in CHECKS.values()]
    return "\n".join([HEAD, *rows, "", *(_section(check) for check in CHECKS.values())])


def _row(check: Check) -> str:
    made_for = ", ".join(f"`{kind}`" for kind in check.applies_to)
    anchor = re.sub(r"[^a-z0-9 -]", "", _title(check).lower()).replace(" ", "-")
    return f"| [{check.code}](#{anchor}) | {check.severity} | {check.title} | {made_for} |"


def _title(check: Check) -> str:
    return f"{check.code}: {check.title}"


def _section(check: Check) -> str:
    """Heading, paragraphs and limits of one check."""
    lines = [f"## {_title(check)}", ""]
    for name, text in paragraphs(check.code).items():
        lines += [f"**{name}.** {text}", ""]
    for limit in check.limits:
        lines.append(f"* Limit `{limit.name}`, {limit.default:g} by default: {limit.meaning}.")
    return "\n".join(lines + [""] * bool(check.limits))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
