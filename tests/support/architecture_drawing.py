"""Draws `docs/architecture.svg`: the rooms of `gateway/` and who imports from whom, read from the imports.

An arrow that follows from others is left out. `architecture_documents.py` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from support.imports import between_rooms, import_graph, without_detours
from support.layers import LAYERS, PURE_ROOMS, RANKS

DRAWING = Path(__file__).parents[2] / "docs" / "architecture.svg"
_BOX_WIDTH, _BOX_HEIGHT, _COLUMN, _ROW = 116, 28, 150, 56
_LEFT, _TOP, _LANE = 40, 24, 16
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>'
)
_PURE, _OTHER = "#d9ead3", "#fff"

Place = tuple[int, int]  # the middle of a box


def drawn() -> str:
    """The whole drawing as it is now."""
    arrows = without_detours(between_rooms(import_graph(with_types=True)))
    places = _places(arrows)
    bends = [(one, other) for one, other in _pairs(arrows) if places[other][1] - places[one][1] > _ROW]
    right = max(x for x, _ in places.values()) + _BOX_WIDTH // 2
    width, height = right + _LANE * (len(bends) + 2), max(y for _, y in places.values()) + 96
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">',
        "<title>The rooms of gateway/ and their imports</title>",
        _TIP,
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for one, other in _pairs(arrows):
        lane = right + _LANE * (bends.index((one, other)) + 1) if (one, other) in bends else None
        parts.append(_arrow(places[one], places[other], lane))
    parts += [_box(room, places[room]) for room in RANKS]
    parts += _legend(height)
    return "\n".join([*parts, "</svg>", ""])


def _pairs(arrows: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    return ((one, other) for one in RANKS for other in sorted(arrows.get(one, ()), key=list(RANKS).index))


def _places(arrows: Mapping[str, set[str]]) -> dict[str, Place]:
    """Each room stands in the row below the lowest of those that import from it."""
    rows: dict[str, int] = {}
    for room in reversed(list(RANKS)):  # those that import before what they import
        above = [rows[one] for one in rows if room in arrows.get(one, ())]
        rows[room] = max(above, default=-1) + 1
    most = max(list(rows.values()).count(row) for row in rows.values())
    places = {}
    for row in set(rows.values()):
        beside = sorted((room for room in rows if rows[room] == row), key=RANKS.__getitem__)
        start = _LEFT + _BOX_WIDTH // 2 + _COLUMN * (most - len(beside)) // 2
        y = _TOP + _BOX_HEIGHT // 2 + _ROW * row
        places.update({room: (start + _COLUMN * number, y) for number, room in enumerate(beside)})
    return places


def _arrow(start: Place, end: Place, lane: int | None) -> str:
    """From above to below; past the rows between by its own lane, at the right."""
    (x, y), (to_x, to_y) = start, end
    half = _BOX_HEIGHT // 2
    if lane is None:
        way = f"M{x} {y + half}L{to_x} {to_y - half}"
    else:
        way = f"M{x + 8} {y + half}v9H{lane}V{to_y - half - 11}H{to_x + 8}v11"
    return f'<path d="{way}" fill="none" stroke="#555" marker-end="url(#tip)"/>'


def _box(room: str, place: Place) -> str:
    x, y = place[0] - _BOX_WIDTH // 2, place[1] - _BOX_HEIGHT // 2
    does = next(layer.does for layer in LAYERS if room in layer.rooms)
    fill = _PURE if room in PURE_ROOMS else _OTHER
    return (
        f'<g><title>{escape(does)}</title><rect x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="4" '
        f'fill="{fill}" stroke="#333"/><text x="{place[0]}" y="{place[1] + 5}" text-anchor="middle">{room}</text></g>'
    )


def _legend(height: int) -> list[str]:
    lines = ("An arrow: imports from. One that follows from others is left out.", "Green: pure; it awaits nothing.")
    return [
        f'<text x="{_LEFT}" y="{height - 34 + 18 * number}" font-size="12" fill="#333">{line}</text>'
        for number, line in enumerate(lines)
    ]
