"""Prints the demo's lines for people: with colour on a terminal, and plain text anywhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TextIO

from gateway.demo.guide import addresses, pastes
from gateway.demo.places import Places

_BOLD, _DIM, _GREEN, _RED = "1", "2", "32", "31"
_INDENT = "   "


class Transcript:
    """Writes to `stream`, line by line. `environ` may turn off colour (https://no-color.org)."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str] = os.environ) -> None:
        self._stream = stream
        self._has_colour = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        self._encoding = stream.encoding or "ascii"
        self._yes, self._no = ("✓", "✗") if _can_write("✓✗", self._encoding) else ("ok:", "FAILED:")

    def guide(self, places: Places) -> None:
        """Print all that one needs to try the demo by hand."""
        beside = "" if places.proxy is None else f", and {places.proxy} before them"
        self._line(self._in(f"A gateway, a provider and a backend in one process{beside}, only on loopback.", _BOLD))
        self._line()
        for name, url, meaning in addresses(places):
            self._line(f"  {name:<9} {url:<24} {meaning}")
        self._line()
        self._line("Paste into another terminal:")
        for number, paste in enumerate(pastes(places), 1):
            self._line()
            self._line(self._in(paste.says(number), _DIM))
            self._line(paste.command)
        self._line()
        self._line("`gateway demo --check` does all of this itself. Ctrl-C stops this one.")

    def opening(self, places: Places) -> None:
        self._line(self._in("The demo's walk-through, over real connections.", _BOLD))
        for name, url, _ in addresses(places):
            self._line(f"  {name:<9} {url}")

    def step(self, number: int, title: str) -> None:
        self._line()
        self._line(self._in(f"{number}. {title}", _BOLD))

    def did(self, *lines: str) -> None:
        """Print what was sent: the first line, and below it other lines worth a look."""
        self._exchange(">", lines)

    def came(self, *lines: str) -> None:
        """Print what came back, in the same form."""
        self._exchange("<", lines)

    def passed(self, words: str) -> None:
        self._line(f"{_INDENT}{self._in(self._yes, _GREEN)} {words}")

    def failed(self, expected: str, came: str) -> None:
        self._line(f"{_INDENT}{self._in(self._no, _RED)} expected: {expected}")
        self._line(f"{_INDENT}  came: {came}")

    def closing(self, words: str, *, is_good: bool) -> None:
        self._line()
        self._line(self._in(words, _GREEN if is_good else _RED))

    def stopped(self) -> None:
        self._line()
        self._line("Stopped.")

    def _exchange(self, sign: str, lines: Sequence[str]) -> None:
        self._line(f"{_INDENT}{sign} {lines[0]}")
        for line in lines[1:]:
            self._line(f"{_INDENT}    {self._in(line, _DIM)}")

    def _in(self, words: str, style: str) -> str:
        return f"\x1b[{style}m{words}\x1b[0m" if self._has_colour else words

    def _line(self, text: str = "") -> None:
        # A response may hold any character; one that cannot be shown must not stop the demo.
        self._stream.write(text.encode(self._encoding, "replace").decode(self._encoding) + "\n")
        self._stream.flush()  # a step that hangs must be seen in a pipe, too


def _can_write(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
