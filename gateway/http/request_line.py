"""Reads the first line of a request, and decides whether it is the last request on its connection (RFC 9112 §3, §9.3).

A method is any token (RFC 9110 §9.1); the backend decides what it means. `PRI` begins another protocol (RFC 9113 §3.4).
Such a request, or one of an unsupported version, is refused before anything behind it is read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gateway.http.headers import connection_options, values_of
from gateway.http.refusal import Refusal
from gateway.http.request_fields import Pairs
from gateway.http.syntax import TCHAR

# Empty lines that may stand before a request: old clients send one behind a body (RFC 9112 §2.2).
EMPTY_LINES_MAX = 2
EMPTY_LINES = re.compile(rb"(?:\r\n){0,%d}+" % EMPTY_LINES_MAX)
# More than three times as long as any registered method. Nobody knows what a backend does with a longer one.
_METHOD = rb"[%b]{1,128}+" % TCHAR.encode()
# With groups for the method, the target and the version.
REQUEST_LINE = rb"%b(%b) ([^\x00-\x20\x7f]++) HTTP/([0-9]\.[0-9])\r\n" % (EMPTY_LINES.pattern, _METHOD)
_STARTED = re.compile(REQUEST_LINE)
_VERSIONS = frozenset({(1, 0), (1, 1)})
_NEVER_SERVED = "PRI"


class RequestLine(NamedTuple):
    """Holds method and target as they came. `size_bytes` is up to the line end, with the empty lines before it."""

    method: str
    target: str
    version: tuple[int, int]
    size_bytes: int
    is_last: bool = False  # nothing behind this request is read

    @property
    def is_served(self) -> bool:
        return self.version in _VERSIONS and self.method != _NEVER_SERVED

    @property
    def problem(self) -> Refusal | None:
        """The refusal of the version, if any; 505 is for the major version only (RFC 9110 §15.6.6)."""
        if self.version[0] < 2 or self.method == _NEVER_SERVED:  # noqa: PLR2004 - HTTP/2.0
            return None
        return Refusal("http_version_not_supported", "HTTP/1.1 and HTTP/1.0 are served here")


def read_request_line(found: re.Match[bytes]) -> RequestLine:
    """The request line of a match whose pattern begins with `REQUEST_LINE`."""
    method, target, version = found.group(1, 2, 3)
    return RequestLine(
        method.decode("ascii"),
        target.decode("utf-8", "surrogateescape"),
        (version[0] - 0x30, version[2] - 0x30),
        found.end(3) - found.start(),
    )


def request_line_of(head: bytearray) -> RequestLine | None:
    """The first line of a head that is too long."""
    found = _STARTED.match(bytes(head))
    return None if found is None else read_request_line(found)


def is_last_request(version: tuple[int, int], fields: Pairs) -> bool:
    """Whether no further request can follow on the connection (RFC 9112 §9.3, §9.6)."""
    options = connection_options(fields)
    if "close" in options or (version < (1, 1) and "keep-alive" not in options):
        return True
    return speaks_of_websocket(fields)


def speaks_of_websocket(fields: Pairs) -> bool:
    """Whether the bytes behind may be meant for a WebSocket, even if the upgrade is declined.

    Any other upgrade is ignored (RFC 9110 §7.8): the client speaks HTTP until a server has switched, and none does.
    """
    return any("websocket" in value.lower() for value in values_of(fields, "upgrade"))
