"""Passes over complete plain chunks at once, or takes out what they carry (RFC 9112 §7.1).

A body may consist of chunks of one byte, 43,000 in one read. Looked at one by one in Python they would hold up every
other connection for tens of milliseconds. So one match of a regular expression passes over all that are short.
"""

from __future__ import annotations

import re
from typing import Final

_PLAIN_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_BASE: Final = 16


def behind_whole_chunks(data: bytes, start: int) -> int:
    """The position behind all complete plain chunks from here."""
    while True:
        short = _SHORT_CHUNKS.match(data, start)
        if short is not None:
            start = short.end()
        found = _PLAIN_CHUNK.match(data, start)
        if found is None:
            return start
        end = found.end() + int(found[1], 16)
        if not data.startswith(b"\r\n", end) or end == found.end():
            return start
        start = end + 2


def without_chunks(data: bytes) -> bytes:
    """What complete plain chunks, and nothing else, carry."""
    pieces, start = list[bytes](), 0
    while found := _PLAIN_CHUNK.match(data, start):
        end = found.end() + int(found[1], 16)
        pieces.append(data[found.end() : end])
        start = end + 2
    return b"".join(pieces)


def _short_chunks() -> bytes:
    """Any number of chunks with a size of one or two digits that count. Each size is a branch with so many bytes."""
    ones = b"|".join(_digit(size) + _carried(size) for size in range(1, _BASE))
    twos = b"|".join(_digit(first) + b"(?:" + _seconds(first * _BASE) + b")" for first in range(1, _BASE))
    return b"(?s:0{0,6}+(?:" + ones + b"|" + twos + b"))*+"


def _seconds(size: int) -> bytes:
    return b"|".join(_digit(second) + _carried(size + second) for second in range(_BASE))


def _carried(size: int) -> bytes:
    return b"\r\n.{%d}\r\n" % size


def _digit(value: int) -> bytes:
    lower = b"%x" % value
    return lower if lower.isdigit() else b"[" + lower + lower.upper() + b"]"


_SHORT_CHUNKS: Final = re.compile(_short_chunks())
