"""A chunked body, read by llhttp (RFC 9112 §7.1); trailers are read and dropped."""

from __future__ import annotations

import httptools

from gateway.http.response_head import FIELDS_MAX, HEAD_LIMIT_BYTES

_CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Chunks:
    """Of one response. Its head has been read already: the parser is shown one that says no more than this."""

    __slots__ = ("_heard", "_parser")

    def __init__(self) -> None:
        self._heard = _Heard()
        self._parser = httptools.HttpResponseParser(self._heard)
        self._parser.feed_data(_CHUNKED_HEAD)

    @property
    def has_ended(self) -> bool:
        return self._heard.has_ended

    @property
    def has_more(self) -> bool:
        """Whether bytes that are not part of the body stand behind its end."""
        return self._heard.has_more

    def feed(self, data: bytes) -> bytes | None:
        """What of it is body; `None` where the framing is broken."""
        heard = self._heard
        pieces = heard.pieces
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not heard.has_ended:
                return None
            heard.has_more = True
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body


class _Heard:
    """What the parser says. It does not know the parser, so that both are gone with the last who needs them."""

    __slots__ = ("_spare_bytes", "_spare_fields", "has_ended", "has_more", "on_body", "pieces")

    def __init__(self) -> None:
        self.has_ended = False
        self.has_more = False
        self._spare_bytes = HEAD_LIMIT_BYTES
        self._spare_fields = FIELDS_MAX
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append  # a body may be of nothing but one-byte chunks

    def on_message_begin(self) -> None:
        if self.has_ended:
            self.has_more = True
            raise ValueError("nobody asked for another answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._spare_bytes -= len(name) + len(value)
        self._spare_fields -= 1
        if self._spare_bytes < 0 or self._spare_fields < 0:
            raise ValueError("too many trailers")

    def on_message_complete(self) -> None:
        self.has_ended = True
