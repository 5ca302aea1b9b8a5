"""Execute the notebooks of docs/notebooks and store what their cells show.

python tools/notebooks.py [NAME ...]
"""

from __future__ import annotations

import html
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "notebooks"
SHOWN = ("text/html", "text/plain")
"""Forms of an output, the one that a page takes first."""
PATIENCE_S = 600


def executed(path: Path, folder: Path) -> dict[str, Any]:
    """A notebook with the outputs that its cells have now, in an empty folder.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises.
    """
    import nbformat
    from nbclient import NotebookClient

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=PATIENCE_S, kernel_name="python3", record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute()  # fmt: skip
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
        for output in cell.get("outputs", ()):
            if "data" in output:
                output["data"] = {k: v for k, v in output["data"].items() if k in SHOWN}
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    return json.loads(nbformat.writes(notebook))


def page(path: Path) -> str:
    """A notebook as a page in Markdown, its outputs as they are stored."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    head, *rest = ("".join(cell["source"]) for cell in cells[:1])
    lines = [head, "", f"[This notebook]({path.name}), to run it yourself.", *rest]
    for cell in cells[1:]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines += ["", source]
            continue
        lines += ["", "```python", source, "```"]
        for output in cell["outputs"]:
            lines += ["", *_shown(output)]
    return "\n".join(lines) + "\n"


def _shown(output: dict[str, Any]) -> list[str]:
    """An output: what is HTML as it is, on one line; what is text as a block."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "text/html" in data:
        content = "".join(data["text/html"])
        return ['<div style="overflow: auto">', *filter(str.strip, content.splitlines()), "</div>"]
    return ["```text", "".join(data["text/plain"]).rstrip(), "```"]


def visible(output: dict[str, Any]) -> str:
    """Words of an output that somebody reads, without style, scripts and data of figures."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "text/html" not in data:
        return "".join(data["text/plain"])
    content = "".join(data["text/html"])
    if (frame := re.search(r'srcdoc="([^"]*)"', content)) is not None:
        content = html.unescape(frame[1])
    content = re.sub(r"(?s)<(script|style|svg|template|footer)\b.*?</\1>", " ", content)
    return html.unescape(re.sub(r"(?s)<!--.*?-->|<[^>]*>", " ", content))


def main() -> None:
    """Execute those that are named, all without names."""
    names = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    for name in names:
        path = FOLDER / f"{name}.ipynb"
        with tempfile.TemporaryDirectory() as folder:
            content = executed(path, Path(folder))
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}, {path.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    main()
