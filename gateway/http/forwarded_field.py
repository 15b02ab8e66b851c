"""Reads the `Forwarded` field strictly (RFC 7239 §4): the statement of each proxy about its own caller."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from gateway.http.syntax import TCHAR

# A pair and what ends it. Addresses with colons and brackets are taken without quotes too, as some proxies write them.
_PIECE = re.compile(rf"""[ \t]*+(?:([{TCHAR}]++)=(?:"((?:[^"\\]|\\.)*+)"|([^"\\,;\s]++))[ \t]*+)?+([,;]|\Z)""")
_ESCAPED = re.compile(r"\\(.)")
# The most pairs of one field. Empty ones count, too: each costs as much as a pair, and a client can send as many as its
# head has bytes, through a proxy that passes them on.
_PIECES_MAX = 256


def read_forwarded(values: Sequence[str], most: int) -> list[Mapping[str, str]]:
    """The last elements in order, at most `most`, each by its parameters in lower case.

    Reading goes from the last field back and stops at a broken element. The elements behind it were added later, by a
    proxy that did not write the broken one. So a client cannot hide behind a quote that does not end.
    """
    elements: list[Mapping[str, str]] = []
    for value in reversed(values):
        read = _read(value)
        elements[:0] = _behind_what_is_broken(value, most) if read is None else read
        if read is None:
            break
    return elements[-most:]


def _behind_what_is_broken(value: str, most: int) -> list[Mapping[str, str]]:
    """The elements that were appended to a broken field: from the end back to the broken element."""
    elements: list[Mapping[str, str]] = []
    for text in reversed(value.rsplit(",", most)[-most:]):
        read = _read(text)
        if read is None:
            break
        elements[:0] = read
    return elements


def _read(value: str) -> Iterable[Mapping[str, str]] | None:
    elements: list[dict[str, str]] = [{}]
    position = 0
    for _ in range(_PIECES_MAX):
        found = _PIECE.match(value, position)
        if found is None:
            return None
        name, in_quotes, bare, end = found.groups()
        if name is not None:
            parameter = name.lower()
            if parameter in elements[-1]:
                return None
            elements[-1][parameter] = bare if in_quotes is None else _ESCAPED.sub(r"\1", in_quotes)
        if end == "":
            return [element for element in elements if element]
        if end == ",":
            elements.append({})
        position = found.end()
    return None
