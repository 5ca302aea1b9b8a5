"""What mkdocs asks: whether generated pages are up to date, and for the pages of the notebooks.

`mkdocs build --strict` ends with an error after a warning.
"""

from __future__ import annotations

import logging
import runpy
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).resolve().parent
_LOG = logging.getLogger("mkdocs.plugins.trueness")


def on_pre_build(config: object) -> None:
    """Warn of each page that is not what its tool would write now."""
    for file in sorted(TOOLS.glob("*_reference.py")):
        tool = runpy.run_path(str(file))
        if not tool["PAGE"].is_file() or tool["PAGE"].read_text(encoding="utf-8") != tool["page"]():
            _LOG.warning("a generated page is stale: run python tools/%s", file.name)


def on_files(files: Any, config: Any) -> Any:  # noqa: ANN401 - of mkdocs
    """Add a page for each notebook, beside the notebook itself."""
    from mkdocs.structure.files import File

    tool = runpy.run_path(str(TOOLS / "notebooks.py"))
    for path in sorted(tool["FOLDER"].glob("*.ipynb")):
        name = f"{tool['FOLDER'].name}/{path.stem}.md"
        files.append(File.generated(config, name, content=tool["page"](path)))
    return files
