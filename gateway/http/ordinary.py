"""Recognizes and reads bytes that begin with exactly one plain request, complete or but for the end of its body.

It is strict by construction: a request that is not accepted here takes the general lane and loses nothing. An accepted
one means the same to every parser: one line ending, one blank, one framing (RFC 9112 §3, §5, §6).
"""

from __future__ import annotations

import re
from typing import Final

from gateway.http.fates import FieldFates
from gateway.http.plain_chunks import behind_whole_chunks, without_chunks
from gateway.http.request_fields import Fields, read_fields
from gateway.http.syntax import CONTENT_LENGTH, FIELD_TEXT_CHARS, chars_of
from gateway.http.unfinished import HeadLimits, has_far_too_much

BODY_MAX_BYTES: Final = 64 * 2**10
_METHODS: Final = {
    b"GET": "GET",
    b"POST": "POST",
    b"PUT": "PUT",
    b"DELETE": "DELETE",
    b"PATCH": "PATCH",
    b"HEAD": "HEAD",
    b"OPTIONS": "OPTIONS",
}
_HTTP11: Final = b"HTTP/1.1"
_HTTP10: Final = b"HTTP/1.0"
_LINE_END: Final = b"\r\n"
_EMPTY_LINE: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_CHUNKED: Final = "chunked"
# Every byte that a line may have; without them nothing is left of a head but its line ends (RFC 9110 §5.5).
_TEXT: Final = chars_of(FIELD_TEXT_CHARS)
# RFC 9112 §3.2.2, where no parser can read the authority in another way.
_ABSOLUTE: Final = re.compile(rb"http://[A-Za-z0-9][A-Za-z0-9.-]*+(?::[0-9]{1,4})?/[!-~]*+")
_START_LINE_PARTS: Final = 3
_SLASH: Final = 0x2F
_TAB: Final = 0x09


class Manner:
    """Says in what a request differs from most: its version, its framing, and what it wants of its connection.

    `is_last`: nothing behind it is read. `behind` is what came behind it, if that is read.
    """

    __slots__ = ("behind", "is_chunked", "is_http10", "is_last")

    def __init__(self, *, is_http10: bool, is_last: bool, is_chunked: bool, behind: bytes) -> None:
        self.is_http10 = is_http10
        self.is_last = is_last
        self.is_chunked = is_chunked
        self.behind = behind


USUAL: Final = Manner(is_http10=False, is_last=False, is_chunked=False, behind=b"")


class Ordinary:
    """Holds an ordinary request. `manner` is `USUAL` itself for most.

    `body` is complete but for `missing_bytes`; `None` where none was declared.
    """

    __slots__ = ("body", "fields", "manner", "method", "missing_bytes", "target")

    def __init__(
        self, method: str, target: str, fields: Fields, body: bytes | None, missing_bytes: int, manner: Manner
    ) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.body = body
        self.missing_bytes = missing_bytes
        self.manner = manner


def read_ordinary(fates: FieldFates, limits: HeadLimits, data: bytes) -> Ordinary | None:
    """The request that `data` begins with, if it is an ordinary one. What is far beyond `limits` is not."""
    end = data.find(_EMPTY_LINE)
    if end < 0:
        return None
    head = data[:end]
    lines = head.split(_LINE_END)
    if has_far_too_much(limits, end, len(lines) - 1) or head.translate(None, _TEXT) != _LINE_END * (len(lines) - 1):
        return None
    parts = lines.pop(0).split(b" ")
    if len(parts) != _START_LINE_PARTS:
        return None
    method, target, version = _METHODS.get(parts[0]), parts[1], parts[2]
    if method is None or not target or _TAB in target or not target.isascii():
        return None
    if target[0] != _SLASH and _ABSOLUTE.fullmatch(target) is None:
        return None
    fields = read_fields(fates, lines)
    if fields.is_odd or len(fields.hosts) != 1:
        return None
    if version != _HTTP11 or fields.ends or fields.encodings:
        return _unusual(method, target, version, fields, data, end + 4)
    body_bytes = _body_bytes(fields)
    missing_bytes = end + 4 + body_bytes - len(data)
    if missing_bytes < 0:
        return _unusual(method, target, version, fields, data, end + 4)
    if body_bytes > BODY_MAX_BYTES:
        return None
    body = data[end + 4 :] if fields.lengths else None
    return Ordinary(method, target.decode(), fields, body, missing_bytes, USUAL)


def _body_bytes(fields: Fields) -> int:
    """The length that was declared; one that no body has, where it is not a number."""
    if not fields.lengths:
        return 0
    length = fields.lengths[0]
    return int(length) if CONTENT_LENGTH.fullmatch(length) else BODY_MAX_BYTES + 1


def _unusual(method: str, target: bytes, version: bytes, fields: Fields, data: bytes, start: int) -> Ordinary | None:
    """The same for a request whose version, connection or framing is not that of most; its body begins at `start`."""
    is_http10, is_chunked, body, end = version == _HTTP10, bool(fields.encodings), None, start
    if (version != _HTTP11 and not is_http10) or (fields.ends and fields.stays):
        return None
    missing_bytes = 0
    if is_chunked:
        end = _chunked_end(fields, data, start)
        if is_http10 or end - start <= len(_LAST_CHUNK) or end - start > BODY_MAX_BYTES:
            return None
        body = without_chunks(data[start : end - len(_LAST_CHUNK)])
    elif fields.lengths:
        end = start + _body_bytes(fields)
        if end - start > BODY_MAX_BYTES:
            return None
        body, missing_bytes = data[start:end], max(0, end - len(data))
    is_last = fields.ends or (is_http10 and not fields.stays)
    behind = b"" if is_last else data[end:]
    manner = Manner(is_http10=is_http10, is_last=is_last, is_chunked=is_chunked, behind=behind)
    return Ordinary(method, target.decode(), fields, body, missing_bytes, manner)


def _chunked_end(fields: Fields, data: bytes, start: int) -> int:
    """The position behind a chunked body that has come whole, without extensions and trailers; else 0."""
    if len(fields.encodings) != 1 or fields.encodings[0].lower() != _CHUNKED or fields.lengths:
        return 0
    end = behind_whole_chunks(data, start)
    return end + len(_LAST_CHUNK) if data.startswith(_LAST_CHUNK, end) else 0
