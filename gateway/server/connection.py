"""aiohttp's protocol for the general lane, with what it has no setting for: a deadline for request heads, heads that
reach its parser only when they are whole, a look at every byte before that, and its own errors as problem documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.streams import StreamReader

from gateway.http.refusal import Refusal
from gateway.http.scanner import Scanner
from gateway.http.unfinished import Excess
from gateway.server.head_budget import HeadBudget
from gateway.server.limits import Limits
from gateway.server.own_answer import Said, refusal_answer

if TYPE_CHECKING:
    from gateway.server.client import ClientConnection

# What aiohttp's parser may take for one line, or for the number of fields: anything. It gets a head once that is whole,
# and within the limits.
_PARSER_MAX = 2**30
# How many heads may wait behind the request under way, in bytes.
_AHEAD_PART = 2
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
        heads: HeadBudget[Connection],
        refused: Callable[[Refusal, str], str],
    ) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes None for: no log of its own
            auto_decompress=False,  # bodies pass as they are
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=_LINGER_S,
            max_line_size=_PARSER_MAX,
            max_field_size=_PARSER_MAX,
            max_headers=_PARSER_MAX,
        )
        self.client = client
        self._limits = limits
        self._refused = refused
        self._heads = heads
        self._scanner = Scanner(limits.head)
        self._is_spoiled = False  # nothing more of what comes is a request
        self._expects_head = True  # what comes next is the head of a request
        self._head_bytes = 0  # of the next head, as far as it has come
        self._head_deadline: asyncio.TimerHandle | None = None
        self._last_deadline: asyncio.TimerHandle | None = None
        self._body: StreamReader | None = None  # of the request under way
        self._settling: asyncio.Future[None] | None = None
        self._ahead_bytes = 0  # what came behind that request before it was answered
        self._is_answered = False  # nobody but aiohttp reads what is left of that body, to drop it
        self._has_broken_body = False  # nothing behind it is a request

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
        self._heads.hold(self, 0)
        if self._last_deadline is not None:
            self._last_deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._force_close or self._is_spoiled:
            return  # the last answer has been given, or will be
        if not self._expects_head and self._body is not None and self._body.is_eof() and not self._upgraded:
            self._came_ahead(len(data))
        for_parser, is_sound = self._scanner.feed(data)
        if for_parser or not data:  # without data: aiohttp goes on with what its parser left where it paused
            self._parse(for_parser)
        if not is_sound:
            self._is_spoiled = True
            # What is refused is kept from the parser, which might forgive it; this no parser forgives.
            self._parse(_JUNK)
        self._head_has(self._scanner.head_bytes)

    def _parse(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._request_count > before:
            self._expects_head = False
            self._notice_broken_body()
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
        refusal = self._parser_refusal()
        if status != HTTPStatus.BAD_REQUEST:
            self.logger.error("the gateway failed on a request", exc_info=exc)
            refusal = Refusal("internal_error", "the gateway failed on this request")
        if request.writer.output_size == 0:
            # Not through aiohttp's response, which would take what it could not parse for HTTP/1.0.
            self._refuse(refusal)
        elif self.transport is not None:
            self.transport.abort()  # the answer was cut short, and must not look whole
        return Said()

    def _parser_refusal(self) -> Refusal:
        match self._scanner.excess:
            case Excess.TARGET:
                return Refusal("uri_too_long", "the request target is too long")
            case Excess.FIELDS:
                return Refusal("headers_too_large", "the header fields are too large or too many")
            case None:
                return Refusal("invalid_request", "this is not a valid HTTP/1.1 request")

    def _head_has(self, size: int) -> None:
        """So much of the next head has come; it may be waiting behind a request."""
        if size == self._head_bytes == 0:
            return
        self._head_bytes = size
        largest = self._heads.hold(self, size)
        if not size or not self._expects_head:
            self._drop_deadline()
        elif self._head_deadline is None:
            self._head_deadline = self._loop.call_later(self._limits.header_timeout_s, self._head_is_late)
        if largest is not None:
            largest.give_head_up()

    def give_head_up(self) -> None:
        """What it holds of a head is wanted for others."""
        if self._expects_head:
            self._head_is_late()
        else:
            self.client.cut()  # it is behind a request, whose answer may have begun

    def _head_is_late(self) -> None:
        self._drop_deadline()
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
        self._scanner = Scanner(self._limits.head)
        self._heads.hold(self, 0)
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
        self._head_has(self._head_bytes)
        if self._ahead_bytes > self._ahead_max and not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()
        self._ahead_bytes = 0

    @property
    def _ahead_max(self) -> int:
        return self._limits.head.bytes_max * _AHEAD_PART

    def _came_ahead(self, size: int) -> None:
        """Read no further ahead than one head: the parser would hold whatever came."""
        self._ahead_bytes += size
        if self._ahead_bytes > self._ahead_max:
            self._pause_transport_reading()

    def _drop_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None
