"""Whether the head of a backend's answer can be trusted to frame its body (RFC 9112 §6.3).

Parsers differ in what they forgive; what two could read differently is a broken backend (502), and its connection
is thrown away.
"""

from __future__ import annotations

import re

from gateway.http.headers import Pairs, values_of

_LENGTH = re.compile(r"[0-9]{1,18}")
_BODYLESS_STATUSES = frozenset({204, 304})
_INFORMATIONAL = range(100, 200)
_STATUSES = range(100, 600)


def framing_problem(status: int, version: tuple[int, int], headers: Pairs) -> str | None:
    """What is wrong with the framing of an answer, for the log; `None` when nothing is."""
    if status not in _STATUSES:
        return f"the status {status} is out of range"
    lengths = values_of(headers, "content-length")
    encodings = values_of(headers, "transfer-encoding")
    if lengths and encodings:
        return "Content-Length together with Transfer-Encoding"
    if len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        return "Content-Length is not one number"
    if encodings and (version < (1, 1) or [e.strip().lower() for e in encodings] != ["chunked"]):
        return "Transfer-Encoding is not exactly chunked"
    if any("\0" in value or "\r" in value or "\n" in value for _, value in headers):
        return "a header field has a control character"
    return None


def has_body(method: str, status: int) -> bool:
    """RFC 9110 §6.4.1: no body answers HEAD, nor comes with 1xx, 204 or 304."""
    return not (method == "HEAD" or status in _BODYLESS_STATUSES or status in _INFORMATIONAL)


def declared_length(headers: Pairs) -> str | None:
    lengths = values_of(headers, "content-length")
    return lengths[0] if lengths else None
