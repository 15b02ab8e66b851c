"""The `Forwarded` field, read strictly (RFC 7239 §4): what each proxy says of the one that called it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from gateway.http.syntax import TCHAR

# A pair and what ends it. Addresses with colons and brackets are taken without quotes too, as some proxies write them.
_PIECE = re.compile(rf"""[ \t]*+(?:([{TCHAR}]++)=(?:"((?:[^"\\]|\\.)*+)"|([^"\\,;\s]++))[ \t]*+)?+([,;]|\Z)""")
_ESCAPED = re.compile(r"\\(.)")
# Of one field, separators with nothing between them among them: each costs as much as a pair, and a client can send
# as many as its head has bytes, through a proxy that passes them on.
_PIECES_MAX = 256


def read_forwarded(values: Sequence[str], most: int) -> list[Mapping[str, str]]:
    """The elements in order, by parameter in lower case; `most` at most, the last ones.

    Reading goes from the last field back and stops at an element that is broken: what stands behind it was added
    later, by a proxy that did not write the broken one. So nobody hides from a proxy behind a quote that does not end.
    """
    elements: list[Mapping[str, str]] = []
    for value in reversed(values):
        read = _read(value)
        elements[:0] = _behind_what_is_broken(value, most) if read is None else read
        if read is None:
            break
    return elements[-most:]


def _behind_what_is_broken(value: str, most: int) -> list[Mapping[str, str]]:
    """What was appended to a field that is no list of elements: from the end to the first that is none."""
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
