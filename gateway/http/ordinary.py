"""Recognizes and reads bytes that are exactly one plain, complete request.

It is strict by construction: a request that is not accepted here takes the general lane and loses nothing. An accepted
one means the same to every parser: one line ending, one blank, one framing (RFC 9112 §3, §5, §6).
"""

from __future__ import annotations

from gateway.http.fates import FieldFates
from gateway.http.request_fields import Fields, read_fields
from gateway.http.syntax import CONTENT_LENGTH, FIELD_TEXT_CHARS, chars_of
from gateway.http.unfinished import HeadLimits, has_far_too_much

BODY_MAX_BYTES = 64 * 2**10
_METHODS = frozenset({b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD"})
_VERSION = b"HTTP/1.1"
_LINE_END = b"\r\n"
_EMPTY_LINE = b"\r\n\r\n"
# Every byte that a line may have; without them nothing is left of a head but its line ends (RFC 9110 §5.5).
_TEXT = chars_of(FIELD_TEXT_CHARS)
_START_LINE_PARTS = 3


class Ordinary:
    """Holds an HTTP/1.1 request that keeps its connection.

    `body` is complete; `None` where no length was declared.
    """

    __slots__ = ("body", "fields", "method", "target")

    def __init__(self, method: str, target: str, fields: Fields, body: bytes | None) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.body = body


def read_ordinary(fates: FieldFates, limits: HeadLimits, data: bytes) -> Ordinary | None:
    """The request that `data` is, if it is an ordinary one. What is far beyond `limits` is not."""
    end = data.find(_EMPTY_LINE)
    if end < 0:
        return None
    head = data[:end]
    lines = head.split(_LINE_END)
    if has_far_too_much(limits, end, len(lines) - 1) or head.translate(None, _TEXT) != _LINE_END * (len(lines) - 1):
        return None
    start = lines.pop(0)
    parts = start.split(b" ")
    if len(parts) != _START_LINE_PARTS or parts[2] != _VERSION or parts[0] not in _METHODS:
        return None
    target = parts[1]
    if target[:1] != b"/" or not target.isascii() or b"\t" in target:
        return None
    fields = read_fields(fates, lines)
    if fields.is_odd or len(fields.hosts) != 1:
        return None
    body = data[end + 4 :]
    body_bytes = 0
    if fields.lengths:
        length = fields.lengths[0]
        if not CONTENT_LENGTH.fullmatch(length):
            return None
        body_bytes = int(length)
    if len(body) != body_bytes or body_bytes > BODY_MAX_BYTES:
        return None
    return Ordinary(parts[0].decode(), target.decode(), fields, body if fields.lengths else None)
