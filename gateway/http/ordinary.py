"""Whether the bytes that arrived are one plain request, whole and alone, and what it says.

Strict by construction: what is not taken here is no worse for it, it only takes the longer way. A request that is
taken means the same to every parser: one line ending, one blank, one framing (RFC 9112 §3, §5, §6).
"""

from __future__ import annotations

import re
from typing import NamedTuple

BODY_MAX_BYTES = 64 * 2**10
_REQUEST_LINE = re.compile(rb"(GET|POST|PUT|DELETE|PATCH|HEAD) (/[!-~]*) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t -~\x80-\xff]*)")
_LENGTH = re.compile(r"[0-9]{1,18}")
# These ask for more than a request and an answer: a body in chunks, an interim answer, another protocol, CORS.
_ODD_NAMES = frozenset(
    {
        "access-control-request-headers",
        "access-control-request-method",
        "expect",
        "http2-settings",
        "keep-alive",
        "origin",
        "proxy-connection",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# The lines that clients send over and over, and that are nobody's secret.
_COMMON_NAMES = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "dnt",
        "host",
        "pragma",
        "sec-ch-ua",
        "sec-ch-ua-mobile",
        "sec-ch-ua-platform",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
        "te",
        "user-agent",
    }
)
_C = b"Cc"
_COMMON_LINES_MAX = 1024
_COMMON_LINE_BYTES = 256

_Pair = tuple[str, str]


class Ordinary(NamedTuple):
    """A request in HTTP/1.1 that keeps its connection. `fields` are as they came.

    `body` is all of it; `None` where no length was declared.
    """

    method: str
    target: str
    fields: list[_Pair]
    body: bytes | None


def read_ordinary(data: bytes) -> Ordinary | None:
    """The request that `data` is, if it is an ordinary one."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    lines = data[:end].split(b"\r\n")
    started = _REQUEST_LINE.fullmatch(lines[0])
    if started is None:
        return None
    del lines[0]
    fields: list[_Pair] = []
    length: str | None = None
    for line in lines:
        pair = _COMMON_LINES.get(line) or _read_field(line)
        if pair is None:
            return None
        fields.append(pair)
        if line[0] in _C and pair[0].lower() == "content-length":
            if length is not None:
                return None
            length = pair[1]
    behind = end + 4
    size = len(data) - behind
    if length is None:
        if size:
            return None
    elif not _LENGTH.fullmatch(length) or int(length) != size or size > BODY_MAX_BYTES:
        return None
    method, target = started.groups()
    return Ordinary(method.decode("ascii"), target.decode("ascii"), fields, None if length is None else data[behind:])


_COMMON_LINES: dict[bytes, _Pair] = {}


def _read_field(line: bytes) -> _Pair | None:
    """Name and value of a field; `None` where it is none, or one that is not for here."""
    found = _FIELD.fullmatch(line)
    if found is None:
        return None
    name = found[1].decode("ascii")
    value = found[2].strip(b" \t").decode("utf-8", "surrogateescape")
    lower = name.lower()
    if lower in _ODD_NAMES or (lower == "connection" and value.lower() != "keep-alive"):
        return None
    pair = name, value
    if lower in _COMMON_NAMES and len(line) <= _COMMON_LINE_BYTES:
        if len(_COMMON_LINES) >= _COMMON_LINES_MAX:
            _COMMON_LINES.clear()
        _COMMON_LINES[line] = pair
    return pair
