"""The header fields of a request, read once: what is decided on becomes text, and lines that go on stay as they came.

Both lanes read by this, from lines in one form: the name, a colon, a blank, and the value without blanks around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from gateway.http.fates import (
    AUTHORIZATION,
    CONNECTION,
    CONTENT_LENGTH,
    DEPENDS,
    HOST,
    IS_ODD,
    OF_PROXIES,
    ONCE,
    ORIGIN,
    PASSES,
    READ,
    TRANSFER_ENCODING,
    VIA,
    FieldFates,
)
from gateway.http.syntax import FIELD_TEXT_CHARS, chars_of

T = TypeVar("T")
Pairs = Sequence[tuple[str, str]]

# Without these bytes nothing is left of a line.
_TEXT = chars_of(FIELD_TEXT_CHARS)

# What most clients say in Connection; the field of that name stays behind anyway.
_USUAL_OPTION = b"keep-alive"


class Fields:
    """`lines` are all of them, `kept` those that may go on, `depends` whether some of these do so on some routes only.

    The others are all values of the fields of these names; `of_proxies` has names and values of what trusted proxies
    may say. `is_odd`: with one of them it is no ordinary request. `size` is theirs on the wire.

    Not slotted: what most requests leave as it is stays in the class.
    """

    hosts: Sequence[str] = ()
    authorizations: Sequence[str] = ()
    lengths: Sequence[str] = ()
    encodings: Sequence[str] = ()
    options: Sequence[str] = ()  # of Connection, where that is not the usual one
    vias: Sequence[str] = ()
    origins: Sequence[str] = ()
    of_proxies: Pairs = ()
    depends: bool = False
    is_odd: bool = False

    def __init__(self, lines: list[bytes], kept: list[bytes], size: int) -> None:
        self.lines = lines
        self.kept = kept
        self.size = size

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names and values as text; bytes that are no UTF-8 survive as surrogates."""
        return [_pair(line) for line in self.lines]


def is_field_text(data: bytes) -> bool:
    """Whether there is nothing in it but what a field may hold (RFC 9110 §5.5), no line end among it."""
    return not data.translate(None, _TEXT)


def read_fields(fates: FieldFates, lines: list[bytes]) -> Fields:
    """What these lines say, which are field text without their ends; those that are no fields are odd, and dropped."""
    known = fates.known
    kept: list[bytes] = []
    fields = Fields(lines, kept, 0)
    size = seen = place = 0
    for line in lines:
        name, colon, value = line.partition(b": ")
        fate = known.get(name, -1)
        if fate < 0 or not colon or len(value.strip()) != len(value):
            line, name, value = _as_one_form(line)  # noqa: PLW2901 - from here on it is the one that counts
            lines[place] = line
            fate = known.get(name, -1)
            if fate < 0:
                fate = fates.find(name)
        place += 1
        size += len(line) + 2
        if fate == PASSES:
            kept.append(line)
            continue
        if fate & PASSES:
            kept.append(line)
        if fate & DEPENDS:
            fields.depends = True
        if fate & IS_ODD or seen & fate >= ONCE:
            fields.is_odd = True
        seen |= fate
        if fate & READ:
            _read(fields, fate & READ, name, value)
    fields.size = size
    return fields


def fields_of(fates: FieldFates, pairs: Sequence[tuple[bytes, bytes]]) -> Fields:
    """The same of names and values, which a parser has found sound. Raises `ValueError` where one has a control."""
    lines = [name + b": " + value for name, value in pairs]
    if not is_field_text(b"".join(lines)):
        raise ValueError("a field of a request has a control character")  # cannot happen; it would become a line
    return read_fields(fates, lines)


def fields_of_text(fates: FieldFates, pairs: Pairs) -> Fields:
    """The same of names and values as text."""
    return fields_of(fates, [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in pairs])


def _as_one_form(line: bytes) -> tuple[bytes, bytes, bytes]:
    """A line in the one form, with its name and its value."""
    name, colon, value = line.partition(b":")
    value = value.strip(b" \t")
    return (name + b": " + value, name, value) if colon else (line, b"", b"")


def _read(fields: Fields, what: int, name: bytes, value: bytes) -> None:
    text = value.decode("utf-8", "surrogateescape")
    if what == HOST:
        fields.hosts = _with(fields.hosts, text)
    elif what == AUTHORIZATION:
        fields.authorizations = _with(fields.authorizations, text)
    elif what == CONTENT_LENGTH:
        fields.lengths = _with(fields.lengths, text)
    elif what == TRANSFER_ENCODING:
        fields.encodings = _with(fields.encodings, text)
    elif what == VIA:
        fields.vias = _with(fields.vias, text)
    elif what == ORIGIN:
        fields.origins = _with(fields.origins, text)
    elif what == OF_PROXIES:
        fields.of_proxies = _with(fields.of_proxies, (name.decode("ascii"), text))
    elif what == CONNECTION and value.lower() != _USUAL_OPTION:
        fields.options = _with(fields.options, text)
        fields.is_odd = True


def _with(values: Sequence[T], value: T) -> Sequence[T]:
    """`values` and one more. A list grows in place: a copy for each value would make many of them quadratic."""
    if isinstance(values, list):
        values.append(value)
        return values
    return [value]


def _pair(line: bytes) -> tuple[str, str]:
    name, _, value = line.partition(b": ")
    return name.decode("ascii", "replace"), value.decode("utf-8", "surrogateescape")
