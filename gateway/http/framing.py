"""Whether a head frames its body in exactly one way (RFC 9112 §6): requests of clients, answers of backends.

Parsers differ in what they forgive, and smuggling lives in the difference. What two could read differently is a
refused request (400) or a broken backend (502), and in both cases the end of the connection.
"""

from __future__ import annotations

import re

from gateway.http.headers import Pairs, values_of

_LENGTH = re.compile(r"[0-9]{1,18}")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BODYLESS_STATUSES = frozenset({204, 304})
_INFORMATIONAL = range(100, 200)
_STATUSES = range(100, 600)
_VERSIONS = frozenset({(1, 0), (1, 1)})
_ANSWER_HEAD_MAX_BYTES = 64 * 2**10


def request_problem(version: tuple[int, int], headers: Pairs) -> str | None:
    """What is wrong with the framing of a request, in words for the client; `None` when nothing is."""
    lengths = values_of(headers, "content-length")
    encodings = values_of(headers, "transfer-encoding")
    if lengths and encodings:
        return "Content-Length and Transfer-Encoding exclude each other"
    if len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        return "Content-Length is one number"
    if encodings and (version < (1, 1) or not _is_chunked(encodings)):
        return "Transfer-Encoding is exactly chunked, in HTTP/1.1 alone"
    return None


def answer_problem(status: int, version: tuple[int, int], headers: Pairs, reason: str = "") -> str | None:
    """What is wrong with the framing of an answer, for the log; `None` when nothing is."""
    if status not in _STATUSES or version not in _VERSIONS:
        return "the status line is none of HTTP/1.1"
    lengths = values_of(headers, "content-length")
    encodings = values_of(headers, "transfer-encoding")
    if lengths and encodings:
        return "Content-Length together with Transfer-Encoding"
    if len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        return "Content-Length is not one number"
    if encodings and (version < (1, 1) or not _is_chunked(encodings)):
        return "Transfer-Encoding is not exactly chunked"
    if _CONTROL.search(reason) or any(_CONTROL.search(value) for _, value in headers):
        return "a header field or the status line has a control character"
    if not all(_NAME.fullmatch(name) for name, _ in headers):
        return "a header field has a name that is none"
    if sum(len(name) + len(value) for name, value in headers) > _ANSWER_HEAD_MAX_BYTES:
        return "the header fields are too large"
    return None


def has_body(method: str, status: int) -> bool:
    """RFC 9110 §6.4.1: no body answers HEAD, nor comes with 1xx, 204 or 304."""
    return not (method == "HEAD" or status in _BODYLESS_STATUSES or status in _INFORMATIONAL)


def declared_length(headers: Pairs) -> str | None:
    lengths = values_of(headers, "content-length")
    return lengths[0] if lengths else None


def _is_chunked(encodings: list[str]) -> bool:
    return [encoding.strip(" \t").lower() for encoding in encodings] == ["chunked"]
