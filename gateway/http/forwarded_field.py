"""The `Forwarded` field, read strictly (RFC 7239 §4): what each proxy says of the one that called it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

# A pair and what ends it. Addresses with colons and brackets are taken without quotes too, as some proxies write them.
_PIECE = re.compile(
    r"""[ \t]*+(?:([!#$%&'*+.^_`|~0-9A-Za-z-]++)=(?:"((?:[^"\\]|\\.)*+)"|([^"\\,;\s]++))[ \t]*+)?+([,;]|\Z)"""
)
_ESCAPED = re.compile(r"\\(.)")


def read_forwarded(values: Sequence[str], most: int) -> list[Mapping[str, str]]:
    """The elements in order, by parameter in lower case; `most` at most, the last ones.

    Reading goes from the last field back and stops at one that is broken: what stands behind it was added later, by a
    proxy that did not write the broken one.
    """
    elements: list[Mapping[str, str]] = []
    for value in reversed(values):
        read = _read(value)
        if read is None:
            break
        elements[:0] = read
    return elements[-most:]


def _read(value: str) -> Iterable[Mapping[str, str]] | None:
    elements: list[dict[str, str]] = [{}]
    position = 0
    while True:
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
