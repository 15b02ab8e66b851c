"""Finds cookies of one name in `Cookie` fields, and takes them out of a field (RFC 6265 §4.2, §5.4).

A name may stand several times, in one field or in several. Servers differ in which one counts, so all of them are found
and all of them are taken out. Names are case-sensitive. Blanks around a name or a value do not belong to it.
"""

from __future__ import annotations

from collections.abc import Iterable

_BLANKS = b" \t"
_COOKIE = b"cookie"


def cookie_values(lines: Iterable[bytes], wanted: bytes) -> list[bytes]:
    """The values of the cookies with this name, in the order in which they came, without the quotes around them."""
    found = []
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == _COOKIE:
            found += [content for cookie, content in map(_pair, value.split(b";")) if cookie == wanted]
    return found


def without_cookies(line: bytes, unwanted: frozenset[bytes]) -> bytes | None:
    """A line of a head without these cookies; `None` where nothing is left of it. Other lines stay as they are."""
    name, colon, value = line.partition(b":")
    if name.lower() != _COOKIE:
        return line
    pairs = value.split(b";")
    kept = [pair for pair in pairs if _pair(pair)[0] not in unwanted]
    if len(kept) == len(pairs):
        return line
    rest = b";".join(kept).strip(_BLANKS)
    return name + colon + b" " + rest if rest else None


def _pair(text: bytes) -> tuple[bytes, bytes]:
    """Name and value; the name is empty where there is no pair."""
    name, found, value = text.partition(b"=")
    if not found:
        return b"", b""
    value = value.strip(_BLANKS)
    # The grammar allows quotes, and clients put them around characters such as `/`.
    is_quoted = len(value) > 1 and value.startswith(b'"') and value.endswith(b'"')
    return name.strip(_BLANKS), value[1:-1] if is_quoted else value
