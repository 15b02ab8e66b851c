"""Passes over complete plain chunks at once, or takes out what they carry (RFC 9112 §7.1)."""

from __future__ import annotations

import re

_PLAIN_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")


def behind_whole_chunks(data: bytes, start: int) -> int:
    """The position behind all complete plain chunks from here: a body may consist of one-byte chunks only."""
    while found := _PLAIN_CHUNK.match(data, start):
        end = found.end() + int(found[1], 16)
        if not data.startswith(b"\r\n", end) or end == found.end():
            break
        start = end + 2
    return start


def without_chunks(data: bytes) -> bytes:
    """What complete plain chunks, and nothing else, carry."""
    pieces, start = list[bytes](), 0
    while found := _PLAIN_CHUNK.match(data, start):
        end = found.end() + int(found[1], 16)
        pieces.append(data[found.end() : end])
        start = end + 2
    return b"".join(pieces)
