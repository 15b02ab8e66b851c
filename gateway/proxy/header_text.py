"""Fields between aiohttp's bytes and the rules' text."""

from __future__ import annotations


def pairs(raw_headers: tuple[tuple[bytes, bytes], ...]) -> list[tuple[str, str]]:
    """Fields as text; bytes that are no UTF-8 survive as surrogates."""
    return [(name.decode("ascii", "replace"), value.decode("utf-8", "surrogateescape")) for name, value in raw_headers]
