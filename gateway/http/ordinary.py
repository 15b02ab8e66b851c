"""Whether the bytes that arrived are one plain request, whole and alone, and what it says.

Strict by construction: what is not taken here is no worse for it, it only takes the longer way. A request that is
taken means the same to every parser: one line ending, one blank, one framing (RFC 9112 §3, §5, §6).

A client sends the same lines with each request, but for the first one and its token: what they say is remembered,
for lines that are nobody's secret.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gateway.http.request_fields import Block, Fields, Pair
from gateway.http.syntax import B64TOKEN_CHARS, CONTENT_LENGTH, FIELD_TEXT_CHARS, TOKEN, chars_of

BODY_MAX_BYTES = 64 * 2**10
_REQUEST_LINE = re.compile(rb"(GET|POST|PUT|DELETE|PATCH|HEAD) (/[!-~]*) HTTP/1\.1")
_NAME = re.compile(TOKEN.encode())
_EMPTY_LINE = b"\r\n\r\n"
_BEARER = b"\r\nAuthorization: Bearer "
_BEARER_BYTES = len(_BEARER)
_B64CHARS = chars_of(B64TOKEN_CHARS)
# Every byte that a value may have; without them nothing is left of it (RFC 9110 §5.5).
_TEXT = chars_of(FIELD_TEXT_CHARS)
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
        "sec-websocket-key1",
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
# Of each of these there is one at most (RFC 9110 §5.3), and of Host one; aiohttp's parser refuses more.
_SINGLE_NAMES = frozenset(
    {
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "etag",
        "host",
        "max-forwards",
        "server",
        "user-agent",
    }
)
_REMEMBERED_MAX = 1024
_REMEMBERED_LINE_BYTES = 256
_REMEMBERED_NAME_BYTES = 64
_REMEMBERED_BLOCK_BYTES = 1024


class Ordinary(NamedTuple):
    """A request in HTTP/1.1 that keeps its connection. `fields` are as they came.

    `body` is all of it; `None` where no length was declared.
    """

    method: str
    target: str
    fields: Fields
    body: bytes | None


def parted(data: bytes) -> tuple[bytes, bytes, bytes] | None:
    """What stands in `data`: a head without its first `Bearer` token, that token, and all behind the head.

    The head is without the empty line, and tells by itself whether it had a token. `None` where it is not whole.
    An empty line at the end is taken for the one that ends the head; where it is not, the head has another.
    """
    end = len(data) - 4 if data.endswith(_EMPTY_LINE) else data.find(_EMPTY_LINE)
    return None if end < 0 else _parted(data, end)


def _parted(data: bytes, end: int) -> tuple[bytes, bytes, bytes]:
    start = data.find(_BEARER, 0, end)
    if start < 0:
        return data[:end], b"", data[end + 4 :]
    start += _BEARER_BYTES
    stop = data.find(b"\r", start)  # of whatever line end: what is none is in the head, which is then no head
    return data[:start] + data[stop:end], data[start:stop], data[end + 4 :]


def read_ordinary(data: bytes, parts: tuple[bytes, bytes, bytes]) -> Ordinary | None:
    """The request that `data` is, if it is an ordinary one; `parts` are its parts."""
    head, token, behind = parts
    if _EMPTY_LINE in head:  # the one at the end is the body's
        head, token, behind = _parted(data, data.find(_EMPTY_LINE))
    line_end = head.find(b"\r\n")
    started = _REQUEST_LINE.fullmatch(head, 0, line_end) if line_end > 0 else None
    if started is None:
        return None
    block = head[line_end:]
    has_token = _BEARER in block
    if has_token:
        unpadded = token.rstrip(b"=")
        if not unpadded or unpadded.translate(None, _B64CHARS):
            return None  # none after RFC 6750 §2.1
    read = _BLOCKS.get(block) or _read_block(block)
    if read is None or len(behind) != (read.body_bytes or 0):
        return None
    method, target = started.groups()
    return Ordinary(
        method.decode("ascii"),
        target.decode("ascii"),
        read.fields(token.decode("ascii") if has_token else None),
        None if read.body_bytes is None else behind,
    )


def is_common(head: bytes) -> bool:
    """Whether the lines of a head that was read here, but for the first, are nobody's secret."""
    return head[head.find(b"\r\n") :] in _BLOCKS


_BLOCKS: dict[bytes, Block] = {}
_LINES: dict[bytes, Pair] = {}
_NAMES: dict[bytes, str | None] = {}


def _read_block(block: bytes) -> Block | None:
    """What the lines say, without the token; `None` where one of them is not for here."""
    pairs: list[Pair] = []
    token_at = None
    is_common = len(block) <= _REMEMBERED_BLOCK_BYTES
    for line in block.split(b"\r\n")[1:]:
        if token_at is None and line == _BEARER[2:]:
            token_at = len(pairs)
            pairs.append(("Authorization", ""))
            continue
        pair = _LINES.get(line)
        if pair is None:
            pair = _read_field(line)
            if pair is None:
                return None
            is_common = is_common and line in _LINES
        pairs.append(pair)
    pairs_once = [(lower, value) for name, value in pairs if (lower := name.lower()) in _SINGLE_NAMES]
    once = dict(pairs_once)
    length = once.get("content-length")
    if (
        len(once) < len(pairs_once)
        or "host" not in once
        or (length is not None and not CONTENT_LENGTH.fullmatch(length))
    ):
        return None
    body_bytes = None if length is None else int(length)
    if body_bytes is not None and body_bytes > BODY_MAX_BYTES:
        return None
    read = Block(pairs, token_at, body_bytes)
    if is_common:
        if len(_BLOCKS) >= _REMEMBERED_MAX:
            _BLOCKS.clear()
        _BLOCKS[block] = read
    return read


def _read_field(line: bytes) -> Pair | None:
    """Name and value of a field; `None` where it is none, or one that is not for here."""
    raw_name, colon, raw_value = line.partition(b":")
    name = _NAMES.get(raw_name, "")
    if name == "":
        name = _read_name(raw_name)
    if name is None or not colon or raw_value.translate(None, _TEXT):
        return None
    value = raw_value.strip(b" \t").decode("utf-8", "surrogateescape")
    lower = name.lower()
    if lower == "connection" and value.lower() != "keep-alive":
        return None
    pair = name, value
    if lower in _COMMON_NAMES and len(line) <= _REMEMBERED_LINE_BYTES:
        if len(_LINES) >= _REMEMBERED_MAX:
            _LINES.clear()
        _LINES[line] = pair
    return pair


def _read_name(raw: bytes) -> str | None:
    """The name of a field that is for here, if it is one."""
    name = raw.decode("ascii") if _NAME.fullmatch(raw) else None
    if name is not None and name.lower() in _ODD_NAMES:
        name = None
    if len(raw) <= _REMEMBERED_NAME_BYTES:
        if len(_NAMES) >= _REMEMBERED_MAX:
            _NAMES.clear()
        _NAMES[raw] = name
    return name
