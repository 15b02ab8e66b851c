"""Requests of one connection, given to aiohttp's parser one at a time.

How it works: the parser is given one request at a time. What came behind that is held, as it came, until the request
has its response and the client takes what is written; then it is looked at. Of the request line the parser gets a
neutral one: it knows some methods alone, and has opinions on targets. The real one is put into its message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aiohttp import web

from gateway.http.scanner import Scanner
from gateway.proxy.downstream.connection_state import (
    BODY,
    BROKEN,
    FRESH,
    HEAD,
    IDLE,
    LAST,
    REQUEST,
    REST_OF_BODY,
    UNSOUND,
)
from gateway.proxy.downstream.listener_limits import Limits
from gateway.proxy.downstream.neutral_line import neutralised, put_back

if TYPE_CHECKING:
    from gateway.proxy.downstream.client_connection import ClientConnection

# In these the next byte is one of a head; in those nothing that comes is looked at.
EXPECTS_HEAD: Final = (FRESH, IDLE, BODY, HEAD)
_BEFORE_HEAD: Final = (FRESH, IDLE, BODY)  # in these it has nothing of one yet
ENDED: Final = (UNSOUND, BROKEN, LAST)
# What aiohttp's parser may take for one line, or for the number of fields: anything. It gets a head once that is whole,
# and within the limits.
_PARSER_MAX = 2**30
# How many heads may wait behind the request under way, in bytes; and how much of that is looked at at once.
_AHEAD_PART = 2
_PIECE_BYTES = 2**14
# Never: idle connections are ended by the listener's sweep, which knows of both lanes.
_KEEPALIVE_S = 10.0 * 365 * 24 * 3600
_JUNK = b"\0"
# How long a refused client may go on sending: to close while its bytes are unread is a reset, which can take the
# answer with it (RFC 9112 §9.6).
LINGER_S = 1.0


class InTurn(web.RequestHandler):
    """The part of `client` that decides which bytes are looked at now. `_go_on` is due after each exchange.

    `limits` gives those in force: a reload holds for the next head.
    """

    def __init__(
        self,
        manager: web.Server,
        loop: asyncio.AbstractEventLoop,
        limits: Callable[[], Limits],
        client: ClientConnection,
    ) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes None for: no log of its own
            auto_decompress=False,  # bodies pass as they are
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=LINGER_S,
            max_line_size=_PARSER_MAX,
            max_field_size=_PARSER_MAX,
            max_headers=_PARSER_MAX,
        )
        self._limits = limits
        self._scanner = Scanner(limits().head)
        self.client = client
        self.came_bytes = 0
        self._ahead = bytearray()  # what came behind the request under way before it was answered

    def _has_parsed(self, *, is_new: bool) -> None:
        """The parser was fed; `is_new`: and has found a request, or an error."""
        raise NotImplementedError

    def _head_has(self, size: int) -> None:
        """So much of the next head has come."""
        raise NotImplementedError

    def _holds_behind(self, size: int) -> None:
        """So much is held that came behind the request under way."""
        raise NotImplementedError

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._ahead:
            self._loop.call_soon(self._go_on)

    def data_received(self, data: bytes) -> None:
        if self._force_close or self.client.state in ENDED:
            return  # the last response has been given, or will be
        if not data:  # aiohttp goes on with what its parser left where it paused
            self._parse(data)
        elif self._must_wait or self._scanner.is_behind_the_last:
            self._came_behind(data)
        elif (end := self._feed(data)) < len(data):
            self._came_behind(data[end:])
            if self.client.state in EXPECTS_HEAD:
                self._go_on()  # the request before had its response, and was only to come to its end

    @property
    def _must_wait(self) -> bool:
        """Whether what comes is behind a request that has no response yet."""
        return bool(self._ahead) or (self.client.state not in EXPECTS_HEAD and self._scanner.is_between)

    def _feed(self, data: bytes) -> int:
        """Take in what belongs to one request, and return where that ends; all of it, where nothing more is one."""
        self.came_bytes += len(data)
        scanner = self._scanner
        line = scanner.line
        if self.client.state in _BEFORE_HEAD:
            self.client.state = HEAD
            scanner.limits = self._limits().head
        for_parser, end, is_sound = scanner.take(data)
        if for_parser and scanner.line is not None and scanner.line is not line:
            self._parse(neutralised(scanner.line, for_parser))
            put_back(scanner.line, self._messages)
        elif for_parser:
            self._parse(for_parser)
        if not is_sound:
            if self.client.state == HEAD:
                self.client.state = UNSOUND
            # What is refused is kept from the parser, which might forgive it. No parser forgives this one.
            self._parse(_JUNK)
            if self.client.state in (REQUEST, REST_OF_BODY):
                self.client.state = BROKEN
        self._head_has(self._scanner.head_bytes)
        return end if is_sound else len(data)

    def _parse(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        self._has_parsed(is_new=self._request_count > before)

    @property
    def is_full(self) -> bool:
        """Whether no more is read, because so much came behind the request under way."""
        return len(self._ahead) > self._ahead_max

    @property
    def _ahead_max(self) -> int:
        return self._limits().head.bytes_max * _AHEAD_PART

    def _came_behind(self, data: bytes) -> None:
        """Bytes behind the end of a request. Hold them, up to about one head, for when their turn comes."""
        if self._scanner.is_behind_the_last:
            if self._upgraded:
                self._parse(data)  # for the other protocol, once that is there
            return
        self._ahead += data
        if self.is_full:
            self._pause_transport_reading()
        self._holds_behind(len(self._ahead))

    def _go_on(self) -> None:
        """Look at what was held, up to the end of the next request."""
        ahead = self._ahead
        was_full = self.is_full
        client = self.client
        while ahead and self.transport is not None and not (self._force_close or client.state in ENDED):
            if client.is_congested or (client.state not in EXPECTS_HEAD and self._scanner.is_between):
                break
            del ahead[: self._feed(bytes(ahead[:_PIECE_BYTES]))]
            if self._scanner.is_behind_the_last:
                behind = bytes(ahead)
                ahead.clear()
                self._came_behind(behind)
        if client.state in ENDED:
            ahead.clear()
        self._holds_behind(len(ahead) or self._scanner.head_bytes)
        if was_full and not self.is_full and not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()
