"""What mkdocs asks before it builds the site: whether generated pages are up to date.

`mkdocs build --strict` ends with an error after a warning.
"""

from __future__ import annotations

import logging
import runpy
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
GENERATORS = ("spec_reference.py", "checks_reference.py", "api_reference.py")
_LOG = logging.getLogger("mkdocs.plugins.trueness")


def stale() -> list[str]:
    """Tools whose page is not what they would write now."""
    made = {name: runpy.run_path(str(TOOLS / name)) for name in GENERATORS}
    return [
        name
        for name, tool in made.items()
        if not tool["PAGE"].is_file() or tool["PAGE"].read_text(encoding="utf-8") != tool["page"]()
    ]


def on_pre_build(config: object) -> None:
    """Warn of each page that has to be made again."""
    for name in stale():
        _LOG.warning("a generated page is stale: run python tools/%s", name)
