"""Draw docs/images/architecture.svg: the rooms in their layers, and who imports whom.

Rooms and layers are those of pyproject.toml, arrows are the imports in the code. An import that
follows from others (judge imports store, store imports spec) is left out, and so are those of the
two lowest layers, which everybody imports.

python tools/architecture_picture.py
"""

from __future__ import annotations

import tomllib
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
WIDTH, ROW, HEIGHT = 1180, 62, 28
PER_LETTER, PADDING, STAGGER = 7.4, 20, 90
FOUNDATION = 2
STYLE = """
text{font:13px ui-sans-serif,system-ui,sans-serif;text-anchor:middle;fill:#1b2733}
text{dominant-baseline:central}
rect{fill:#e8eef5;stroke:#5b7490;stroke-width:1;rx:5}
path{fill:none;stroke:#5b7490;stroke-width:1.1;opacity:.55}
.low rect{fill:#f3f3f0;stroke:#9a988f}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}rect{fill:#22303d;stroke:#7f9bb8}path{stroke:#7f9bb8}
.low rect{fill:#2b2b28;stroke:#85837a}}
"""


def layers() -> list[list[str]]:
    """Rooms of each layer, the highest first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    result = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return [[room.strip() for room in layer.split("|")] for layer in result]


def imports(rooms: set[str]) -> dict[str, set[str]]:
    """Room -> rooms that its modules import."""
    graph = grimp.build_graph("trueness", cache_dir=None)
    result: dict[str, set[str]] = {room: set() for room in rooms}
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            one, two = (name.split(".")[1:2] for name in (module, other))
            if one and two and one != two:
                result[one[0]].add(two[0])
    return result


def reduced(edges: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Edges of an acyclic graph that do not follow from others."""
    reached: dict[str, set[str]] = {}

    def reach(room: str) -> set[str]:
        if room not in reached:
            reached[room] = set().union(*({other} | reach(other) for other in edges[room]))
        return reached[room]

    return [
        (room, other)
        for room, others in sorted(edges.items())
        for other in sorted(others)
        if not any(other in reach(between) for between in others - {other})
    ]


def placed(rows: list[list[str]]) -> dict[str, tuple[float, float, float]]:
    """Room -> middle of its box and width; rooms of a layer are spread, single ones staggered."""
    result = {}
    for number, rooms in enumerate(rows):
        widths = [len(room) * PER_LETTER + PADDING for room in rooms]
        gap = (WIDTH - sum(widths)) / (len(rooms) + 1)
        x = gap + (STAGGER * (-1) ** number if len(rooms) == 1 else 0)
        for room, width in zip(rooms, widths, strict=True):
            result[room] = (x + width / 2, 30 + number * ROW, width)
            x += width + gap
    return result


def picture() -> str:
    """The drawing."""
    rows = [[room for room in layer if room != "__main__"] for layer in layers()]
    rows = [row for row in rows if row]
    low = {room for row in rows[-FOUNDATION:] for room in row}
    edges = imports({room for layer in layers() for room in layer})
    shown = {room: others - low for room, others in edges.items() if room not in low}
    del shown["__main__"]
    at, parts = placed(rows), []
    for one, two in reduced(shown):
        (x1, y1, _), (x2, y2, _) = at[one], at[two]
        y1, y2 = y1 + HEIGHT / 2, y2 - HEIGHT / 2 - 2
        half = max(20, (y2 - y1) / 2)
        controls = f"{x1:.0f} {y1 + half:.0f} {x2:.0f} {y2 - half:.0f}"
        curve = f"M{x1:.0f} {y1:.0f}C{controls} {x2:.0f} {y2:.0f}"
        parts.append(f'<path d="{curve}" marker-end="url(#tip)"/>')
    for room, (x, y, width) in at.items():
        group = ' class="low"' if room in low else ""
        parts.append(
            f'<g{group}><rect x="{x - width / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{width:.0f}" '
            f'height="{HEIGHT}"/><text x="{x:.0f}" y="{y:.0f}">{escape(room)}</text></g>'
        )
    tip = (
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
        'orient="auto"><path d="M0 0L8 4L0 8" style="opacity:.9"/></marker>'
    )
    size = f"{WIDTH} {30 + len(rows) * ROW}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" '
        'aria-label="Rooms of the package in layers; arrows are imports">\n'
        f"<style>{STYLE}</style>\n<defs>{tip}</defs>\n" + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    PICTURE.write_text(picture())
