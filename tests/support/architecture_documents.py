"""What the documents say of the layers. Run this file to write it anew, the drawing included; a test compares."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from support.architecture_drawing import DRAWING, drawn
from support.layers import LAYERS, Layer

_PROJECT = Path(__file__).parents[2]


def documents() -> dict[Path, str]:
    """The text of each document as it should be now."""
    table, order = _PROJECT / "docs" / "architecture.md", _PROJECT / "CONTRIBUTING.md"
    return {
        DRAWING: drawn(),
        table: _with_paragraph(table.read_text(), "| `http` |", "\n".join(map(_row, LAYERS))),
        order: _with_paragraph(order.read_text(), "`http` <", _order()),
    }


def _row(layer: Layer) -> str:
    return f"| {_names(layer)} | {layer.does} | {'pure ' if layer.is_pure else ''}|"


def _order() -> str:
    return "\n".join(textwrap.wrap(" < ".join(map(_names, LAYERS)), 118, break_long_words=False))


def _names(layer: Layer) -> str:
    return ", ".join(f"`{name}`" for name in layer.rooms)


def _with_paragraph(text: str, begin: str, paragraph: str) -> str:
    """`text` with the lines from `begin` to the next empty one replaced."""
    start = text.index(begin)
    return text[:start] + paragraph + text[text.index("\n\n", start) :]


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text)
