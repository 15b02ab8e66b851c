"""Curves as SVG, by hand: two panels that share their horizontal axis, which doubles from tick to tick."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 860, 400
_LEFTS = (64, 496)
_TOP, _PANEL_WIDTH, _PANEL_HEIGHT = 44, 340, 240
_COLOURS = ("#b3261e", "#1b5e9e", "#2e7d32", "#7b5ea7")
_DASHES = ("", "", "6 4", "2 4")


@dataclass(frozen=True)
class Panel:
    """`curves` are values by name, one for each size; `doubles` says that the vertical axis does, too."""

    title: str
    curves: Mapping[str, Sequence[float]]
    ticks: Sequence[float]
    doubles: bool

    def height(self, value: float) -> float:
        """From 0 at the bottom to 1 at the top."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.doubles:
            return (math.log2(max(value, low)) - math.log2(low)) / (math.log2(high) - math.log2(low))
        return (value - low) / (high - low)


def draw(sizes: Sequence[int], panels: tuple[Panel, Panel], below: str) -> str:
    """The whole drawing; `below` stands under the horizontal axes."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    size = (
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" font-size="12"'
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f"<title>{escape(' / '.join(panel.title for panel in panels))}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
    ]
    for left, panel in zip(_LEFTS, panels, strict=True):
        parts += _panel(left, panel, sizes, names)
        parts.append(_text(left + _PANEL_WIDTH / 2, _TOP + _PANEL_HEIGHT + 36, below, "middle"))
    for number, name in enumerate(names):
        x, y = _LEFTS[number % 2], _HEIGHT - 52 + 22 * (number // 2)
        parts.append(_line([(x, y), (x + 34, y)], number))
        parts.append(_text(x + 42, y + 4, name, "start"))
    return "\n".join([*parts, "</svg>", ""])


def _panel(left: float, panel: Panel, sizes: Sequence[int], names: list[str]) -> list[str]:
    bottom = _TOP + _PANEL_HEIGHT

    def x(size: float) -> float:
        return left + _PANEL_WIDTH * math.log2(size / sizes[0]) / math.log2(sizes[-1] / sizes[0])

    def y(value: float) -> float:
        return bottom - _PANEL_HEIGHT * panel.height(value)

    parts = [_text(left, _TOP - 18, panel.title, "start", bold=True)]
    for tick in panel.ticks:
        parts.append(f'<path d="M{left} {y(tick):.1f}h{_PANEL_WIDTH}" stroke="#ddd"/>')
        parts.append(_text(left - 8, y(tick) + 4, f"{tick:g}", "end"))
    parts += [_text(x(size), bottom + 18, str(size), "middle") for size in sizes]
    for name, values in panel.curves.items():
        points = [(x(size), y(value)) for size, value in zip(sizes, values, strict=True)]
        parts.append(_line(points, names.index(name)))
    return parts


def _line(points: Sequence[tuple[float, float]], number: int) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = f' stroke-dasharray="{_DASHES[number]}"' if _DASHES[number] else ""
    return f'<polyline points="{path}" fill="none" stroke="{_COLOURS[number]}" stroke-width="2.5"{dashes}/>'


def _text(x: float, y: float, words: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'
