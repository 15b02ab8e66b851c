"""A chunked body, read by llhttp (RFC 9112 §7.1); trailers are read and dropped."""

from __future__ import annotations

import httptools

from gateway.http.response_head import FIELDS_MAX, HEAD_LIMIT_BYTES

_CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Chunks:
    """Of one response. Its head has been read already: the parser is shown one that says no more than this."""

    __slots__ = ("_parser", "_pieces", "_spare_bytes", "_spare_fields", "has_ended", "has_more", "on_body")

    def __init__(self) -> None:
        self.has_ended = False
        self.has_more = False  # bytes that are not part of the body stand behind its end
        self._spare_bytes = HEAD_LIMIT_BYTES
        self._spare_fields = FIELDS_MAX
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # a body may be of nothing but one-byte chunks
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(_CHUNKED_HEAD)

    def feed(self, data: bytes) -> bytes | None:
        """What of it is body; `None` where the framing is broken."""
        pieces = self._pieces
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self.has_ended:
                return None
            self.has_more = True
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body

    # What follows is called by the parser.

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
