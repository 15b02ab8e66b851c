"""What a broken or hostile provider puts on the wire instead of an answer, as parts to write one after another."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from enum import Enum, auto
from functools import cache
from itertools import chain, repeat


class Fault(Enum):
    """What happens instead of an answer, once the request has been read."""

    RESET = auto()  # RST
    CLOSE = auto()  # FIN
    SILENCE = auto()  # nothing, for as long as the client waits
    DRIP = auto()  # a good answer, a byte at a time
    DRIP_HEADERS = auto()  # a header block without end, a byte at a time
    TRUNCATE = auto()  # a good answer without its last bytes, then FIN
    REDIRECT = auto()  # 302 to the place that was called
    HTML = auto()  # 200 with a page
    ENDLESS_BODY = auto()
    ENDLESS_HEADERS = auto()
    ENDLESS_INTERIM = auto()  # 103 upon 103
    GZIP_BOMB = auto()  # 20 MiB in 20 KiB, though nobody asked for gzip
    NOT_HTTP = auto()
    BAD_CHUNKS = auto()
    SWITCH = auto()  # 101
    TWO_LENGTHS = auto()
    LENGTH_AND_CHUNKS = auto()


# These come a part at a time, with a pause after each.
SLOW = frozenset({Fault.DRIP, Fault.DRIP_HEADERS, Fault.ENDLESS_INTERIM})

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_LINE = b"HTTP/1.1 302 Found\r\nLocation: /introspect\r\nContent-Length: 16\r\n\r\n"
_PAGE = b"<!doctype html><title>Sign in</title>"
_ACTIVE = b'{"active": true}'

_ALWAYS: dict[Fault, Iterable[bytes]] = {
    Fault.CLOSE: (),
    Fault.REDIRECT: (_LINE + _ACTIVE,),
    Fault.HTML: (_OK + b"Content-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(_PAGE) + _PAGE,),
    Fault.NOT_HTTP: (b"220 smtp.example.com ESMTP\r\n\r\n",),
    Fault.BAD_CHUNKS: (_CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",),
    Fault.LENGTH_AND_CHUNKS: (
        _OK + b"Content-Length: 16\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n" + _ACTIVE + b"\r\n0\r\n\r\n",
    ),
    Fault.TWO_LENGTHS: (_OK + b"Content-Length: 16\r\nContent-Length: 5\r\n\r\n" + _ACTIVE,),
}


def parts(fault: Fault, good: bytes) -> Iterable[bytes]:
    """The parts of `fault`; `good` is the answer on the wire that would have been right."""
    match fault:
        case Fault.DRIP:
            return (bytes([byte]) for byte in good)
        case Fault.TRUNCATE:
            return (good[:-5],)
        case Fault.SWITCH:
            return (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + good,)
        case Fault.DRIP_HEADERS:
            return chain((_OK + b"X: ",), repeat(b"a"))
        case Fault.ENDLESS_BODY:
            return chain((_CHUNKED,), repeat(b"1000\r\n" + b" " * 4096 + b"\r\n"))
        case Fault.ENDLESS_HEADERS:
            return chain((_OK,), repeat(b"X-Filler: a\r\n"))
        case Fault.ENDLESS_INTERIM:
            return repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        case Fault.GZIP_BOMB:
            return (_bomb(),)
        case _:
            return _ALWAYS[fault]


@cache
def _bomb() -> bytes:
    body = gzip.compress(b'{"active": true, "x": "' + b"a" * 20 * 2**20 + b'"}', compresslevel=1)
    return _OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
