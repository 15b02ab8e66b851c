"""Reads the head of a backend's response strictly, and makes the head for the client from it.

A head that two parsers could read differently is an error (RFC 9112 §2.2, §4, §5, §6). The responses of a backend have
much the same lines, so the results for a few hundred lines are remembered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from gateway.http.bounded_memo import BoundedMemo
from gateway.http.fates import ByName
from gateway.http.header_names import fold_header_name as fold
from gateway.http.header_names import folded
from gateway.http.headers import ResponseRules, nominated, response_field_passes
from gateway.http.location import leads_somewhere
from gateway.http.private_caching import made_private
from gateway.http.syntax import CONTENT_LENGTH, FIELD_TEXT_CHARS, TOKEN

HEAD_LIMIT_BYTES = 64 * 2**10
FIELDS_MAX = 128
CONTINUE: Final = 100
SWITCHING_PROTOCOLS: Final = 101
UNAUTHORIZED: Final = 401
_BODYLESS_STATUSES: Final = frozenset({204, 304})
_LENGTHLESS_STATUSES: Final = frozenset({204})
_REMEMBERED_LINES_MAX = 256
_REMEMBERED_LINE_BYTES = 256
_REMEMBERED_HEADS_MAX = 256
_REMEMBERED_HEAD_BYTES = 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([%b]*))?" % FIELD_TEXT_CHARS.encode())
_FIELD = re.compile(rb"(%b):([%b]*)" % (TOKEN.encode(), FIELD_TEXT_CHARS.encode()))
# A field that goes on in the next line (RFC 9112 §5.2); the status line has none.
_FOLD = re.compile(rb"(?<=\n)([^\r\n: ]+:[^\r\n]*)\r\n[ \t]+")
_BLANKS: Final = b" \t"
_EVENT_STREAM = re.compile(rb"content-type:[ \t]*text/event-stream[ \t]*(?:;|$)", re.IGNORECASE)
# What a server says of its own connection; they name no field.
_USUAL_OPTIONS = folded(["close", "keep-alive", "upgrade"])
_NOBODY_GONE: Final[frozenset[str]] = frozenset()


class _Role(Enum):
    """Says what a field does to the framing of its response."""

    LENGTH = "content-length"
    ENCODING = "transfer-encoding"
    CONNECTION = "connection"
    UPGRADE = "upgrade"


class _Special(NamedTuple):
    """Holds what a field says about the framing."""

    role: _Role
    value: str


_ROLE_OF_NAME = {role.value.encode(): role for role in _Role}
# These are not remembered: they differ in each response, or may be secret.
_UNIQUE_NAMES = frozenset({b"set-cookie", b"etag"})


@dataclass(slots=True, eq=False)
class ResponseHead:
    """Holds a valid head, which equal responses share. `lines` are the fields as they came, without their ends.

    Heads with a URL that the gateway rewrites are not shared, because their fields differ for each client. `begun`
    keeps the result of `ResponseHeaderRules.begin`, with its rules.
    """

    status: int
    status_line: bytes  # to a client, with its end
    lines: list[bytes]
    length: int | None = None
    is_chunked: bool = False
    ends_connection: bool = False
    nominated: frozenset[str] = frozenset()  # folded
    upgrades_to: tuple[str, ...] = ()
    leads: Sequence[int] = ()  # which of the lines are for `gateway.http.location`
    is_usual: bool = False  # final, and its length is all it says of framing and connection
    begun: tuple[ResponseHeaderRules, bytes, bool] | None = None

    @property
    def is_ended_by_connection(self) -> bool:
        """Whether only the end of the connection ends its body, which HEAD leaves out (RFC 9112 §6.3)."""
        return self.length is None and not self.is_chunked and may_have_body("GET", self.status)

    @property
    def is_event_stream(self) -> bool:
        """Whether it begins `text/event-stream`, which stays open as long as events may come."""
        return any(_EVENT_STREAM.match(line) for line in self.lines)

    @property
    def is_interim(self) -> bool:
        """Whether another head follows (RFC 9110 §15.2). A 101 is final: another protocol follows it."""
        return self.status < 200 and self.status != SWITCHING_PROTOCOLS  # noqa: PLR2004


def read_response_head(raw: bytes) -> ResponseHead | str:
    """Read a head from its bytes, without the empty line; or say what is wrong with it, for the log."""
    if (known := _known_heads.get(raw)) is not None:
        return known
    head = _read_head(raw)
    # Remember a head only if each of its lines may be remembered.
    if (
        isinstance(head, ResponseHead)
        and not head.leads
        and len(raw) <= _REMEMBERED_HEAD_BYTES
        and all(map(_known_fields.__contains__, head.lines))
    ):
        _HEADS.keep(raw, head)
    return head


def _read_head(raw: bytes) -> ResponseHead | str:
    if len(raw) > HEAD_LIMIT_BYTES:
        return "the head is too large"
    lines = raw.split(b"\r\n")
    started = _known_starts.get(lines[0]) or _read_status_line(lines[0])
    if started is None:
        return "the status line is none of HTTP/1.1"
    del lines[0]
    if len(lines) > FIELDS_MAX:
        return "the head has too many fields"
    version, status, status_line = started
    leads: list[int] = []
    special = _special(lines, version, leads)
    if special is None:
        unfolded = _FOLD.sub(rb"\1 ", raw)
        if unfolded == raw:
            return "a header field has a name or a character that none may have"
        return _read_head(unfolded)
    if version == 1 and not special:
        return ResponseHead(status, status_line, lines, leads=leads)
    if version == 1 and len(special) == 1 and special[0][0] is _Role.LENGTH and special[0][1] != _NONE:
        # By far the most common.
        is_usual = may_have_body("GET", status)
        return ResponseHead(status, status_line, lines, int(special[0][1]), leads=leads, is_usual=is_usual)
    return _framed(
        ResponseHead(status, status_line, lines, ends_connection=version == 0, leads=leads), version, special
    )


def _special(lines: list[bytes], version: int, leads: list[int]) -> list[_Special] | None:
    """What the fields say about the framing; `None` where a line is not a field. `leads` gets the fields with a URL."""
    special: list[_Special] = []
    for place, line in enumerate(lines):
        found = _known_fields.get(line, _UNKNOWN)
        if found is _UNKNOWN:
            found = _read_field(line)
            if found is _UNKNOWN:
                return None
        if found is _LEADS:
            leads.append(place)
        elif found is not None and (found is not _KEEPS_ALIVE or version != 1):
            special.append(found)  # the others do not concern the framing
    return special


def may_have_body(method: str, status: int) -> bool:
    """RFC 9110 §6.4.1: no body answers HEAD, nor comes with 1xx, 204 or 304."""
    return method != "HEAD" and status >= 200 and status not in _BODYLESS_STATUSES  # noqa: PLR2004


def may_have_length(status: int) -> bool:
    """RFC 9110 §8.6."""
    return status >= 200 and status not in _LENGTHLESS_STATUSES  # noqa: PLR2004


class ResponseHeaderRules:
    """Makes the fields for the client by one set of rules."""

    def __init__(self, rules: ResponseRules) -> None:
        self._rules = rules
        self._replaced = folded(name for name, _ in rules.set)
        self._set = b"".join(field_line(name, value) for name, value in rules.set)
        self._kept: BoundedMemo[bytes, bytes] = BoundedMemo(_REMEMBERED_LINES_MAX)
        self._spelled = ByName(self._spelled_to_client)

    def begin(self, head: ResponseHead) -> tuple[ResponseHeaderRules, bytes, bool]:
        """Return these rules; the status line, the fields, and the length if any; and whether `Date` is among them."""
        fields = made_private(self.of(head)) if self._rules.is_private else self.of(head)
        length = b""
        if head.length is not None and may_have_length(head.status):
            length = b"Content-Length: %d\r\n" % head.length
        has_date = "date" in self._replaced or b"\nDate: " in fields or fields.startswith(b"Date: ")
        begun = head.begun = self, head.status_line + fields + length, has_date
        return begun

    def of(self, head: ResponseHead) -> bytes:
        """The fields for the client, each with its end, without the framing and `X-Request-Id`."""
        lines, gone = head.lines, head.nominated
        if gone:
            return b"".join([self._passed(line, gone) for line in lines]) + self._set
        kept = self._kept.known
        try:
            return b"".join([kept[line] for line in lines]) + self._set
        except KeyError:  # a line that is seen for the first time
            return b"".join([kept[line] if line in kept else self._seen(line) for line in lines]) + self._set

    def _seen(self, line: bytes) -> bytes:
        passed = self._passed(line, _NOBODY_GONE)
        if line in _known_fields:  # it may be remembered
            self._kept.keep(line, passed)
        return passed

    def _passed(self, line: bytes, gone: frozenset[str]) -> bytes:
        name, _, value = line.partition(b":")
        text = name.decode("ascii")
        spelled = self._spelled[text]
        if not spelled or (gone and fold(text) in gone):
            return b""
        return b"%b: %b\r\n" % (spelled, value.strip(_BLANKS))

    def _spelled_to_client(self, name: str) -> bytes:
        """A name as it goes to the client; empty where its field stays behind."""
        if fold(name) in self._replaced or not response_field_passes(name, self._rules):
            return b""
        return b"Date" if name.lower() == "date" else name.encode()  # one spelling, by which it is found again


def field_line(name: str, value: str) -> bytes:
    """A field on the wire. Bytes that are not UTF-8 go out as they came (RFC 9110 §5.5)."""
    return f"{name}: {value}\r\n".encode("utf-8", "surrogateescape")


def _framed(head: ResponseHead, version: int, special: list[_Special]) -> ResponseHead | str:
    lengths = [value for role, value in special if role is _Role.LENGTH]
    encodings = [value for role, value in special if role is _Role.ENCODING]
    if lengths and encodings:
        return "Content-Length together with Transfer-Encoding"
    if len(lengths) > 1 or (lengths and not CONTENT_LENGTH.fullmatch(lengths[0])):
        return "Content-Length is not one number"
    if encodings and (version == 0 or encodings != ["chunked"]):
        return "Transfer-Encoding is not exactly chunked"
    head.length = int(lengths[0]) if lengths else None
    head.is_chunked = bool(encodings)
    connection = ",".join(value for role, value in special if role is _Role.CONNECTION)
    if connection:
        options = frozenset(option.strip(" \t") for option in connection.split(","))
        head.ends_connection = "close" in options or (version == 0 and "keep-alive" not in options)
        if "upgrade" in options:
            head.upgrades_to = tuple(value for role, value in special if role is _Role.UPGRADE)
        head.nominated = nominated([("connection", connection)]) - _USUAL_OPTIONS
    return head


_Start = tuple[int, int, bytes]  # the minor version, the status, the status line for a client
_STARTS: BoundedMemo[bytes, _Start] = BoundedMemo(_REMEMBERED_LINES_MAX)
_FIELDS: BoundedMemo[bytes, _Special | None] = BoundedMemo(_REMEMBERED_LINES_MAX)
_HEADS: BoundedMemo[bytes, ResponseHead] = BoundedMemo(_REMEMBERED_HEADS_MAX)
_known_starts: Final = _STARTS.known
_known_fields: Final = _FIELDS.known
_known_heads: Final = _HEADS.known
# Finds the head of an earlier response by its bytes; `None` where none is known.
known_response_head: Final = _known_heads.get
_UNKNOWN = _Special(_Role.UPGRADE, "")
_LEADS = _Special(_Role.UPGRADE, "")
_KEEPS_ALIVE = _Special(_Role.CONNECTION, "keep-alive")
_NONE = "none"


def _read_status_line(line: bytes) -> _Start | None:
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        return None
    status = int(found[2])
    started = int(found[1]), status, b"HTTP/1.1 %d %b\r\n" % (status, found[3] or b"")
    if len(line) <= _REMEMBERED_LINE_BYTES:
        _STARTS.keep(line, started)
    return started


def _read_field(line: bytes) -> _Special | None:
    """What the field says about the framing, if anything; `_UNKNOWN` where it is not a field."""
    found = _FIELD.fullmatch(line)
    if found is None:
        return _UNKNOWN
    name = found[1].lower()
    if leads_somewhere(name):
        return _LEADS
    role = _ROLE_OF_NAME.get(name)
    special = None if role is None else _Special(role, found[2].strip(_BLANKS).decode("latin-1").lower())
    if role is _Role.LENGTH and not CONTENT_LENGTH.fullmatch(special[1] if special else ""):
        special = _Special(_Role.LENGTH, _NONE)
    elif special == _KEEPS_ALIVE:
        special = _KEEPS_ALIVE
    if _is_worth_remembering(name, line):
        _FIELDS.keep(line, special)
    return special


def _is_worth_remembering(lower_name: bytes, line: bytes) -> bool:
    is_shared = lower_name not in _UNIQUE_NAMES and not leads_somewhere(lower_name)
    return len(line) <= _REMEMBERED_LINE_BYTES and is_shared
