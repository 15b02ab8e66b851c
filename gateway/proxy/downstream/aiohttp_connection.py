"""aiohttp's protocol for the general lane, with what it has no setting for: a deadline for request heads, heads that
reach its parser only when they are whole, a look at every byte before that, and its own errors as problem documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from gateway.http.refusal import Refusal
from gateway.http.request_line import RequestLine
from gateway.http.scanner import Scanner
from gateway.proxy.downstream.connection_state import BROKEN, HEAD, IDLE, LAST, REQUEST, REST_OF_BODY, UNSOUND
from gateway.proxy.downstream.in_turn import EXPECTS_HEAD, LINGER_S, InTurn
from gateway.proxy.downstream.listener_limits import Limits
from gateway.proxy.downstream.settling import SETTLED_BYTES, Settling
from gateway.proxy.local_reply import AlreadySent, refusal_reply
from gateway.proxy.refusing import FAILED

if TYPE_CHECKING:
    from gateway.proxy.downstream.client_connection import ClientConnection


class AiohttpConnection(InTurn):
    """The part of `client` that is in the general lane's hands. The lane calls `head_is_whole` and `exchange_is_over`
    around each request.

    `refused` records what was refused before there was a request, and from whom, and gives it an id. `hold_head` is
    told how many bytes of heads are held here, and may have a connection give them up.
    """

    def __init__(
        self,
        manager: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        limits: Callable[[], Limits],
        client: ClientConnection,
        hold_head: Callable[[AiohttpConnection, int], None],
        refused: Callable[[Refusal, str, RequestLine | None], str],
    ) -> None:
        super().__init__(manager, loop, limits, client)
        self._refused = refused
        self._hold_head = hold_head
        self._head_bytes = 0  # of the next head, as far as it has come and was looked at
        self._head_deadline: asyncio.TimerHandle | None = None
        self._last_deadline: asyncio.TimerHandle | None = None
        self._body: StreamReader | None = None  # of the request under way
        self._settling = Settling(loop)

    @property
    def is_idle(self) -> bool:
        """Whether the next byte begins a request, and nothing is left to do before it."""
        return self.awaits_request and not self._head_bytes

    @property
    def awaits_request(self) -> bool:
        """Whether no request is under way; the head of the next one may have begun."""
        waiter = self._waiter
        return (
            self.client.state in EXPECTS_HEAD
            and not self._ahead
            and waiter is not None
            and not waiter.done()
            and not (self._force_close or self._close)
        )

    def connection_lost(self, exc: BaseException | None) -> None:
        self._drop_deadline()
        self._ahead.clear()
        self._hold_head(self, 0)
        if self._last_deadline is not None:
            self._last_deadline.cancel()
        super().connection_lost(exc)

    def _has_parsed(self, *, is_new: bool) -> None:
        if is_new:
            if self.client.state == HEAD:
                # An error in the same bytes as the head takes the place of its request: there is nothing but the error.
                is_request = isinstance(self._messages[0][0], RawRequestMessage)
                self.client.state = REQUEST if is_request else UNSOUND
            self._notice_broken_body()
        if self.is_settled:
            self._settling.notice()

    def _holds_behind(self, size: int) -> None:
        self._hold_head(self, size)

    def head_is_whole(self, body: StreamReader) -> None:
        """A request has its turn."""
        self._body = body
        self._notice_broken_body()

    async def has_broken_body(self, *, may_wait: bool) -> bool:
        """Whether the body of the request under way is known to be broken; `may_wait`: once it has settled."""
        if may_wait:
            await self._settling.wait(self)
        return self._body is not None and self._body.exception() is not None

    @property
    def is_settled(self) -> bool:
        return self._body is None or self._body.is_eof() or self._body.total_bytes > SETTLED_BYTES

    @property
    def is_within_a_line(self) -> bool:
        return self._scanner.held_bytes > 0

    def exchange_is_over(self) -> None:
        """The next bytes belong to the next head, once the rest of the body has come."""
        if self.client.state == REQUEST:
            self.client.state = REST_OF_BODY
        if self.transport is None:
            self._body = None  # its rest will not come, and it refers to this connection
        elif self._body is not None:
            self._body.on_eof(self._await_head)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The response to what aiohttp could not parse, or to an error nobody expected; closes the connection."""
        _ = message  # quotes what the client sent
        if exc is not None and status == HTTPStatus.BAD_REQUEST:
            exc.__traceback__ = None  # a frame of the parser's caller, which has the error
        if self.client.state == BROKEN:
            # The request that it was part of has its response, or this would not be reached; there is no other to give.
            self.client.transport.close()  # once all that was written has gone out
            return AlreadySent()
        refusal = self._scanner.refusal
        if status != HTTPStatus.BAD_REQUEST:
            self.logger.error("the gateway failed on a request", exc_info=exc)
            refusal = FAILED
        if request.writer.output_size == 0:
            # Not through aiohttp's response, which would take what it could not parse for HTTP/1.0.
            self._refuse(refusal, self._scanner.line)
        elif self.transport is not None:
            self.transport.abort()  # the response was cut short, and must not look whole
        return AlreadySent()

    def _head_has(self, size: int) -> None:
        """So much of the next head has come; it may be waiting behind a request."""
        if size == self._head_bytes == 0:
            return
        self._head_bytes = size
        if not size or self.client.state not in EXPECTS_HEAD:
            self._drop_deadline()
        elif self._head_deadline is None:
            self._head_deadline = self._loop.call_later(self._limits().header_timeout_s, self._head_is_late)
        self._hold_head(self, size)

    def give_head_up(self) -> None:
        """What it holds of a head is wanted for others."""
        if self.client.state in EXPECTS_HEAD:
            self._head_is_late()
        else:
            self.client.cut()  # it is behind a request, whose answer may have begun

    def _head_is_late(self) -> None:
        self._drop_deadline()
        self._refuse(Refusal("request_timeout", "the request's head did not arrive in time"))

    def _refuse(self, refusal: Refusal, line: RequestLine | None = None) -> None:
        """Answer bytes that are not a head, or not yet one. The connection ends with the response."""
        if self.transport is not None and not self._force_close:
            request_id = self._refused(refusal, self.client.peer, line)
            types = self.client.problem_types
            self.answer_last(refusal_reply(refusal, request_id, connection="close", problem_types=types)[0])

    def answer_last(self, wire: bytes) -> None:
        """Send these bytes as they are, and end the connection so that they arrive."""
        if self.transport is None:
            return
        self._drop_deadline()
        self.transport.write(wire)
        self.client.state = LAST
        self._force_close = True  # from now on what comes is read and dropped
        # With all that they hold of an unfinished head, for as long as the client takes to go.
        self._parser = None
        self._scanner = Scanner(self._limits().head)
        self._ahead.clear()
        self._hold_head(self, 0)
        if self._waiter is not None:
            self._waiter.cancel()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._last_deadline = self._loop.call_later(LINGER_S, self.transport.close)

    def _notice_broken_body(self) -> None:
        """What could not be parsed is put into the queue, and the body that it was part of would wait for ever."""
        if self._messages and self._body is not None and not self._body.is_eof():
            if self.client.state != REST_OF_BODY:
                self._body.set_exception(web.RequestPayloadError("the body is broken"))
            if self.client.state in (REQUEST, REST_OF_BODY):
                self.client.state = BROKEN
            self._body.feed_eof()

    def _await_head(self) -> None:
        if self.client.state == REST_OF_BODY:
            self.client.state = REQUEST if self._messages else IDLE
        self._body = None
        self._head_has(self._head_bytes)
        if self._ahead:
            self._loop.call_soon(self._go_on)  # not at once: the parser may be the caller

    def _drop_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None
