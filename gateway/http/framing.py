"""Checks that the head of a request frames its body in exactly one way (RFC 9112 §6).

Parsers forgive different faults, and request smuggling uses the difference. A request that two parsers could read
differently is refused (400), and its connection ends. `gateway.http.response_head` reads the heads of responses.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.http.headers import values_of
from gateway.http.request_fields import Pairs
from gateway.http.syntax import CONTENT_LENGTH


def request_problem(version: tuple[int, int], headers: Pairs) -> str | None:
    """Say what is wrong with the framing of a request, in words for the client; `None` when nothing is."""
    return framing_problem(version, values_of(headers, "content-length"), values_of(headers, "transfer-encoding"))


def framing_problem(version: tuple[int, int], lengths: Sequence[str], encodings: Sequence[str]) -> str | None:
    """The same, from all values of `Content-Length` and of `Transfer-Encoding`."""
    if lengths and encodings:
        return "Content-Length and Transfer-Encoding exclude each other"
    if len(lengths) > 1 or (lengths and not CONTENT_LENGTH.fullmatch(lengths[0])):
        return "Content-Length is one number"
    if encodings and (version < (1, 1) or not _is_chunked(encodings)):
        return "Transfer-Encoding is exactly chunked, and only in HTTP/1.1"
    return None


def _is_chunked(encodings: Sequence[str]) -> bool:
    return [encoding.strip(" \t").lower() for encoding in encodings] == ["chunked"]
