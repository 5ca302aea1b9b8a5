"""What mkdocs asks before it builds the site: whether generated pages are up to date.

`mkdocs build --strict` ends with an error after a warning.
"""

from __future__ import annotations

import logging
import runpy
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
_LOG = logging.getLogger("mkdocs.plugins.trueness")


def on_pre_build(config: object) -> None:
    """Warn of each page that is not what its tool would write now."""
    for file in sorted(TOOLS.glob("*_reference.py")):
        tool = runpy.run_path(str(file))
        if not tool["PAGE"].is_file() or tool["PAGE"].read_text(encoding="utf-8") != tool["page"]():
            _LOG.warning("a generated page is stale: run python tools/%s", file.name)
