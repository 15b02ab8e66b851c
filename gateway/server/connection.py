"""aiohttp's protocol for the general lane, with what it has no setting for: a deadline for request heads, a bound on
an unfinished head, a look at every byte before its parser, and its own errors as problem documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import StreamReader

from gateway.http.refusal import Refusal
from gateway.http.scanner import Scanner
from gateway.server.own_answer import refusal_answer
from gateway.server.shares import ConnectionLimits

if TYPE_CHECKING:
    from gateway.server.client import ClientConnection

# What aiohttp's parser itself may hold of one line; the exact limits are checked once the head is whole.
_PARSER_SLACK = 2
# How long a refused client may go on sending: to close while its bytes are unread is a reset, which can take the
# answer with it (RFC 9112 §9.6).
_LINGER_S = 1.0
# Never: idle connections are ended by the listener's sweep, which knows of both lanes.
_KEEPALIVE_S = 10.0 * 365 * 24 * 3600
_JUNK = b"\0"
# A chunked body shows only as it comes whether it is one. A short one is looked at whole before anybody is asked: it
# comes with its head, or right behind it. A longer or slower one streams.
_SETTLED_BYTES = 2**16
_SETTLE_S = 0.25


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one listener; seconds and bytes."""

    header_timeout_s: float
    idle_timeout_s: float
    max_header_bytes: int
    max_headers: int
    connections: ConnectionLimits
    clients_end: int  # of the numbers of descriptors, those from here on are not for clients
    trusted_proxies: Sequence[object]


class Connection(web.RequestHandler):
    """The part of `client` that is in the general lane's hands. The lane calls `head_is_whole` and `exchange_is_over`
    around each request.

    `refused` records what was refused before there was a request, and from whom, and gives it an id.
    """

    def __init__(
        self,
        manager: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        client: ClientConnection,
        refused: Callable[[Refusal, str], str],
    ) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes None for: no log of its own
            auto_decompress=False,  # bodies pass as they are
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=_LINGER_S,
            max_line_size=limits.max_header_bytes * _PARSER_SLACK,
            max_field_size=limits.max_header_bytes * _PARSER_SLACK,
            # The parser tells too many fields from nonsense by its text alone; the size limits stop it first.
            max_headers=limits.max_header_bytes,
        )
        self.client = client
        self._limits = limits
        self._refused = refused
        self._scanner = Scanner(limits.max_header_bytes)
        self._is_spoiled = False  # nothing more of what comes is a request
        self._expects_head = True  # what comes next is the head of a request
        self._head_bytes = 0
        self._line_bytes = 0  # of the head's first line
        self._has_line = False  # whether that line is whole
        self._head_deadline: asyncio.TimerHandle | None = None
        self._last_deadline: asyncio.TimerHandle | None = None
        self._body: StreamReader | None = None  # of the request under way
        self._settling: asyncio.Future[None] | None = None
        self._ahead_bytes = 0  # what came behind that request before it was answered
        self._is_draining = False
        self._is_answered = False  # nobody but aiohttp reads what is left of that body, to drop it
        self._has_broken_body = False  # nothing behind it is a request

    @property
    def is_active(self) -> bool:
        """Whether a request is under way, or has begun to arrive."""
        return self.transport is not None and (not self._expects_head or self._head_bytes > 0)

    @property
    def is_idle(self) -> bool:
        """Whether the next byte begins a request, and nothing is left to do before it."""
        return self.awaits_request and not self._head_bytes

    @property
    def awaits_request(self) -> bool:
        """Whether no request is under way; the head of the next one may have begun."""
        waiter = self._waiter
        return (
            self._expects_head
            and waiter is not None
            and not waiter.done()
            and not (self._is_spoiled or self._force_close or self._close)
        )

    def connection_lost(self, exc: BaseException | None) -> None:
        self._drop_deadline()
        if self._last_deadline is not None:
            self._last_deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._force_close or self._is_spoiled:
            return  # the last answer has been given, or will be
        data, is_sound = self._scanner.feed(data)
        if self._expects_head and data:
            self._measure_head(data)
            if self._scanner.held_bytes == self._head_bytes > self._limits.max_header_bytes * _PARSER_SLACK:
                self._refuse(self._too_large())  # before the parser makes copies of it for its error
                return
        self._parse(data)
        if not is_sound:
            self._is_spoiled = True
            # What is refused is kept from the parser, which might forgive it; this no parser forgives.
            self._parse(_JUNK)

    def _parse(self, data: bytes) -> None:
        if not self._expects_head and self._body is not None and self._body.is_eof() and not self._upgraded:
            self._came_ahead(len(data))
        before = self._request_count
        super().data_received(data)
        if self._request_count > before:
            self._expects_head = False
            self._head_bytes = 0
            self._drop_deadline()
            self._notice_broken_body()
        elif self._expects_head and self._head_bytes > self._limits.max_header_bytes * _PARSER_SLACK:
            self._refuse(self._too_large())
        if self._settling is not None and not self._settling.done() and self._is_settled:
            self._settling.set_result(None)

    def head_is_whole(self, body: StreamReader) -> None:
        """A request has its turn."""
        self._expects_head = self._is_answered = False
        self._body = body
        self._notice_broken_body()

    async def has_broken_body(self, *, may_wait: bool) -> bool:
        """Whether the body of the request under way is known to be broken; `may_wait`: once some of it has come."""
        if may_wait and not self._is_settled:
            self._settling = self._loop.create_future()
            try:
                async with asyncio.timeout(_SETTLE_S):
                    await self._settling
            except TimeoutError:
                pass  # it takes its time
            finally:
                self._settling = None
        return self._body is not None and self._body.exception() is not None

    @property
    def _is_settled(self) -> bool:
        return self._body is None or self._body.is_eof() or self._body.total_bytes > _SETTLED_BYTES

    def exchange_is_over(self) -> None:
        """The next bytes belong to the next head, once the rest of the body has come."""
        self._is_answered = True
        if self._body is not None:
            self._body.on_eof(self._await_head)

    def drain(self) -> None:
        """Take no request that has not begun; end when there is none."""
        self._is_draining = True
        if not self.is_active:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what aiohttp could not parse, or to an error nobody expected; closes the connection."""
        _ = message  # quotes what the client sent
        if self._has_broken_body:
            # The request that it was part of has its answer, or this would not be reached; there is no other to give.
            self.client.cut_gently()
            return Said()
        refusal = self._parser_refusal(exc)
        if status != HTTPStatus.BAD_REQUEST:
            self.logger.error("the gateway failed on a request", exc_info=exc)
            refusal = Refusal("internal_error", "the gateway failed on this request")
        if request.writer.output_size == 0:
            # Not through aiohttp's response, which would take what it could not parse for HTTP/1.0.
            self._refuse(refusal)
        elif self.transport is not None:
            self.transport.abort()  # the answer was cut short, and must not look whole
        return Said()

    def _parser_refusal(self, exc: BaseException | None) -> Refusal:
        if isinstance(exc, LineTooLong):
            return self._too_large()
        return Refusal("invalid_request", "this is not a valid HTTP/1.1 request")

    def _too_large(self) -> Refusal:
        if self._line_bytes > self._limits.max_header_bytes:
            return Refusal("uri_too_long", "the request target is too long")
        return Refusal("headers_too_large", "the header fields are too large or too many")

    def _measure_head(self, data: bytes) -> None:
        if not self._head_bytes:
            self._line_bytes = 0
            self._has_line = False
            self._head_deadline = self._loop.call_later(self._limits.header_timeout_s, self._head_is_late)
        self._head_bytes += len(data)
        if not self._has_line:
            end = data.find(b"\n")
            self._has_line = end >= 0
            self._line_bytes += end if self._has_line else len(data)

    def _head_is_late(self) -> None:
        self._head_deadline = None
        self._refuse(Refusal("request_timeout", "the request's head did not arrive in time"))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer without a request: what came is no head yet. The connection ends with it."""
        if self.transport is not None and not self._force_close:
            self.answer_last(refusal_answer(refusal, self._refused(refusal, self.client.peer), connection="close")[0])

    def answer_last(self, wire: bytes) -> None:
        """Send these bytes as they are, and end the connection so that they arrive."""
        if self.transport is None:
            return
        self._drop_deadline()
        self.transport.write(wire)
        self._force_close = True  # from now on what comes is read and dropped
        # With all that they hold of an unfinished head, for as long as the client takes to go.
        self._parser = None
        self._scanner = Scanner(0)
        if self._waiter is not None:
            self._waiter.cancel()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._last_deadline = self._loop.call_later(_LINGER_S, self.transport.close)

    def _notice_broken_body(self) -> None:
        """What could not be parsed is put into the queue, and the body that it was part of would wait for ever."""
        if self._messages and self._body is not None and not self._body.is_eof():
            self._has_broken_body = True
            if not self._is_answered:
                self._body.set_exception(web.RequestPayloadError("the body is broken"))
            self._body.feed_eof()

    def _await_head(self) -> None:
        self._expects_head = not self._messages
        self._body = None
        if self._ahead_bytes > self._ahead_max and not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()
        self._ahead_bytes = 0
        if self._is_draining:
            self.close()

    @property
    def _ahead_max(self) -> int:
        return self._limits.max_header_bytes * _PARSER_SLACK

    def _came_ahead(self, size: int) -> None:
        """Read no further ahead than one head: the parser would hold whatever came."""
        self._ahead_bytes += size
        if self._ahead_bytes > self._ahead_max:
            self._pause_transport_reading()

    def _drop_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None


class Said(web.StreamResponse):
    """Stands for an answer that is on the wire already."""

    def __init__(self, *, keeps_alive: bool = False) -> None:
        super().__init__()
        self._keeps_alive = keeps_alive

    @property
    def keep_alive(self) -> bool:
        """Whether aiohttp is to wait for another request."""
        return self._keeps_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """There is nothing to send."""

    async def write_eof(self, data: bytes = b"") -> None:
        """It has ended."""
