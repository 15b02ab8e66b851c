"""Reads the header fields of a request once. Fields that decide something become text; lines that go on stay bytes.

Both lanes use this. Each line has one form: the name, a colon, a blank, and the value without blanks around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from gateway.http.fates import (
    ASKED_HEADERS,
    ASKED_METHOD,
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
    TRACE_PARENT,
    TRACE_STATE,
    TRANSFER_ENCODING,
    VIA,
    FieldFates,
)
from gateway.http.syntax import FIELD_TEXT_CHARS, chars_of

T = TypeVar("T")
Pairs = Sequence[tuple[str, str]]

# All bytes that a line may have: a sound line is empty without them.
_TEXT: Final = chars_of(FIELD_TEXT_CHARS)

# Clients send one of these in Connection. A Keep-Alive field never goes on anyway.
_USUAL_OPTION: Final = b"keep-alive"
_LAST_OPTION: Final = b"close"
_BLANK: Final = 0x20  # and what is below it: of field text only the tab


class Fields:
    """Holds the fields of a request. `lines` are all of them, `kept` those that may go on to the backend.

    `depends` says that some of the kept ones go on only on some routes. `of_proxies` has names and values of fields
    that trusted proxies may send. `is_odd` says that the request is not an ordinary one because of a field. `ends` and
    `stays` say what `Connection` wants of the connection, in so many words. `size` is that of the fields on the wire.
    `trace_parent` is empty where the field came twice. The other attributes hold all values of the field of that name.

    The class is not slotted: attributes that most requests do not set stay in the class.
    """

    hosts: Sequence[str] = ()
    authorizations: Sequence[str] = ()
    lengths: Sequence[str] = ()
    encodings: Sequence[str] = ()
    options: Sequence[str] = ()  # of Connection, if the value is not the usual one
    vias: Sequence[str] = ()
    origins: Sequence[str] = ()
    asked_methods: Sequence[str] = ()  # of Access-Control-Request-Method
    asked_headers: Sequence[str] = ()  # of Access-Control-Request-Headers
    of_proxies: Pairs = ()
    trace_parent: bytes | None = None
    trace_states: Sequence[str] = ()
    depends: bool = False
    is_odd: bool = False
    ends: bool = False
    stays: bool = False

    def __init__(self, lines: list[bytes], kept: list[bytes], size: int) -> None:
        self.lines = lines
        self.kept = kept
        self.size = size

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names and values as text; bytes that are not UTF-8 survive as surrogates."""
        return [_pair(line) for line in self.lines]


def is_field_text(data: bytes) -> bool:
    """Whether `text` has only characters that a field may hold (RFC 9110 §5.5), and so no line end."""
    return not data.translate(None, _TEXT)


def read_fields(fates: FieldFates, lines: list[bytes]) -> Fields:
    """Read lines of field text without their ends. A line that is not a field makes the request odd and is dropped."""
    known = fates.known
    kept: list[bytes] = []
    fields = Fields(lines, kept, 0)
    size = seen = place = 0
    for line in lines:
        colon = line.find(b": ")
        name, begin = line[:colon], colon + 2
        fate = known.get(name, -1)
        # Not in the one form: no colon, no value, or a blank at an end of it.
        if fate < 0 or colon < 0 or begin >= len(line) or line[begin] <= _BLANK or line[-1] <= _BLANK:
            name, line = _as_one_form(line)  # noqa: PLW2901 - from here on it is the one that counts
            lines[place] = line
            begin = len(name) + 2
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
            _read(fields, fate & READ, name, line[begin:])
    fields.size = size
    return fields


def fields_of(fates: FieldFates, pairs: Sequence[tuple[bytes, bytes]]) -> Fields:
    """Do the same with names and values from a parser. Raises `ValueError` where one has a control character."""
    lines = [name + b": " + value for name, value in pairs]
    if not is_field_text(b"".join(lines)):
        raise ValueError("a field of a request has a control character")  # cannot happen; it would become a line
    return read_fields(fates, lines)


def fields_of_text(fates: FieldFates, pairs: Pairs) -> Fields:
    """Do the same with names and values as text."""
    return fields_of(fates, [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in pairs])


def _as_one_form(line: bytes) -> tuple[bytes, bytes]:
    """The name, and the line in that one form; no name where it is not a field."""
    name, colon, value = line.partition(b":")
    return (name, name + b": " + value.strip(b" \t")) if colon else (b"", line)


def _read(fields: Fields, what: int, name: bytes, value: bytes) -> None:
    if what == TRACE_PARENT:
        fields.trace_parent = value if fields.trace_parent is None else b""
        return
    text = value.decode("utf-8", "surrogateescape")
    if what == HOST:
        fields.hosts = _with(fields.hosts, text)
    elif what == AUTHORIZATION:
        fields.authorizations = _with(fields.authorizations, text)
    elif what == CONTENT_LENGTH:
        fields.lengths = _with(fields.lengths, text)
    elif what == ORIGIN:
        fields.origins = _with(fields.origins, text)
    elif what == OF_PROXIES:
        fields.of_proxies = _with(fields.of_proxies, (name.decode("ascii"), text))
    elif what == CONNECTION:
        _read_option(fields, value.lower(), text)
    else:
        _read_rare(fields, what, text)


def _read_rare(fields: Fields, what: int, text: str) -> None:
    if what == TRANSFER_ENCODING:
        fields.encodings = _with(fields.encodings, text)
    elif what == VIA:
        fields.vias = _with(fields.vias, text)
    elif what == ASKED_METHOD:
        fields.asked_methods = _with(fields.asked_methods, text)
    elif what == ASKED_HEADERS:
        fields.asked_headers = _with(fields.asked_headers, text)
    elif what == TRACE_STATE:
        fields.trace_states = _with(fields.trace_states, text)


def _read_option(fields: Fields, option: bytes, text: str) -> None:
    if option == _USUAL_OPTION:
        fields.stays = True
        return
    fields.options = _with(fields.options, text)
    if option == _LAST_OPTION:
        fields.ends = True
    else:
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
