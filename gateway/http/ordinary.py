"""Recognizes and reads bytes that are exactly one plain request, complete or but for the end of its body.

It is strict by construction: a request that is not accepted here takes the general lane and loses nothing. An accepted
one means the same to every parser: one line ending, one blank, one framing (RFC 9112 §3, §5, §6).
"""

from __future__ import annotations

from typing import Final

from gateway.http.fates import FieldFates
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
}
_VERSION: Final = b"HTTP/1.1"
_LINE_END: Final = b"\r\n"
_EMPTY_LINE: Final = b"\r\n\r\n"
# Every byte that a line may have; without them nothing is left of a head but its line ends (RFC 9110 §5.5).
_TEXT: Final = chars_of(FIELD_TEXT_CHARS)
_START_LINE_PARTS: Final = 3
_SLASH: Final = 0x2F
_TAB: Final = 0x09


class Ordinary:
    """Holds an HTTP/1.1 request that keeps its connection.

    `body` is complete but for `missing_bytes`; `None` where no length was declared.
    """

    __slots__ = ("body", "fields", "method", "missing_bytes", "target")

    def __init__(self, method: str, target: str, fields: Fields, body: bytes | None, missing_bytes: int) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.body = body
        self.missing_bytes = missing_bytes


def read_ordinary(fates: FieldFates, limits: HeadLimits, data: bytes) -> Ordinary | None:
    """The request that `data` is, if it is an ordinary one. What is far beyond `limits` is not."""
    end = data.find(_EMPTY_LINE)
    if end < 0:
        return None
    head = data[:end]
    lines = head.split(_LINE_END)
    if has_far_too_much(limits, end, len(lines) - 1) or head.translate(None, _TEXT) != _LINE_END * (len(lines) - 1):
        return None
    parts = lines.pop(0).split(b" ")
    if len(parts) != _START_LINE_PARTS or parts[2] != _VERSION:
        return None
    method, target = _METHODS.get(parts[0]), parts[1]
    if method is None or not target or target[0] != _SLASH or _TAB in target or not target.isascii():
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
    missing_bytes = body_bytes - len(body)
    if missing_bytes < 0 or body_bytes > BODY_MAX_BYTES:
        return None
    return Ordinary(method, target.decode(), fields, body if fields.lengths else None, missing_bytes)
