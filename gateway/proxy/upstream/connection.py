"""One connection to a backend: one request out, one response back, and the time that each may take.

How it works: the pool makes it, and `send` begins an exchange on it. `response_reader` reads what comes back and draws
the states; here is what goes out, what the event loop says, and how it ends. After a whole response the pool has the
connection back (`released`); after anything else the pool is told, once, that it is of no more use (`lost`). A deadline
has no timer: the pool's sweep looks at `deadline_s`, which stands still while the client does not read.
"""

from __future__ import annotations

import asyncio
import select
from math import inf
from typing import Protocol, cast

from gateway.proxy.upstream.backend_error import (
    BackendBrokenError,
    BackendError,
    BackendTimeoutError,
    BackendUnreachableError,
)
from gateway.proxy.upstream.backend_request import NO_BODY, BackendRequest, Waits
from gateway.proxy.upstream.http1_request import body_end, body_piece, is_last, rendered
from gateway.proxy.upstream.response_reader import CHUNKS, HEAD, IDLE, LENGTH, OVER, TUNNEL, UNTIL_END, ResponseReader
from gateway.proxy.upstream.response_sink import ResponseSink

_READABLE = select.POLLIN | select.POLLRDHUP if hasattr(select, "POLLRDHUP") else select.POLLIN


class PoolCallbacks(Protocol):
    """Whose connection it is."""

    def released(self, connection: BackendConnection) -> None:
        """It is ready for the next request."""

    def lost(self, connection: BackendConnection) -> None:
        """It is of no more use. Told once."""


class BackendConnection(ResponseReader):
    """An `asyncio.Protocol`, but for the base, without which it can be compiled (docs/decisions/0007).

    `deadline_s` is the loop's time at which the backend must have said something; the pool's sweep looks at it.
    """

    __slots__ = (
        "_is_paused",
        "_is_sent",
        "_is_tls",
        "_keeper",
        "_poll",
        "_spare_s",
        "_transport",
        "idle_since_s",
        "is_writable",
        "made_s",
    )

    def __init__(self, keeper: PoolCallbacks, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._keeper = keeper
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._poll: select.poll | None = None
        self._is_sent = True
        self._is_tls = False
        self._spare_s = inf  # of the deadline for a head, while nobody reads it
        self._is_paused = False
        self.idle_since_s = 0.0
        self.made_s = loop.time()
        self.is_writable = True

    # -- what a lane does with it

    def send(
        self, sink: ResponseSink, request: BackendRequest, fields: bytes, body: bytes | None, limits: Waits
    ) -> None:
        """Begin an exchange. Where `body` is `None`, `write_body` follows; else it is all of it.

        The response's head is due within `limits.timeout`, then each piece of it within `limits.read_timeout`.
        """
        self._sink = sink
        self._request = request
        self._state = HEAD
        self._is_sent = body is not None
        self._has_responded = False
        self._interim = 0
        self._read_timeout_s = limits.read_timeout
        self.deadline_s = self._loop.time() + limits.timeout
        if request.framing is not NO_BODY and is_last(request):
            self._is_last = True
        self._transport.write(rendered(request, fields, body))

    def write_body(self, data: bytes) -> None:
        """More of the request's body, never empty."""
        self.write(body_piece(self._request, data))

    def end_body(self) -> None:
        """The body has gone out whole."""
        self._is_sent = True
        self.write(body_end(self._request))

    def write(self, data: bytes) -> None:
        """More of what goes through a tunnel. Does nothing once the connection is over."""
        if self._state != OVER and data:
            self._transport.write(data)

    def write_eof(self) -> bool:
        """Nothing more goes through a tunnel in this direction; whether that can be said on this connection."""
        if self._state != TUNNEL or not self._transport.can_write_eof():
            return False
        self._transport.write_eof()
        return True

    def await_response(self, timeout_s: float | None) -> None:
        """Until its head has come: the backend has `timeout_s` from now; `None`: it is not its turn."""
        if self._state == HEAD:
            self._spare_s = inf
            self.deadline_s = inf if timeout_s is None else self._loop.time() + timeout_s

    def pause(self) -> None:
        """Stop reading: the reader takes no more for now. The backend's deadline stands still meanwhile."""
        if self._state != OVER:
            self._is_paused = True
            self._spare_s = self.deadline_s - self._loop.time()
            self.deadline_s = inf
            if not self._transport.is_closing():
                self._transport.pause_reading()

    def resume(self) -> None:
        if self._state != OVER:
            self._restart_clock()
            self._read_on()

    def abandon(self) -> None:
        """Nobody wants this response any more: the backend sees its connection end, and the sink hears nothing."""
        self._sink = None
        self._end()

    def end(self) -> None:
        """Close once what was written has gone out."""
        self._sink = None
        self._over()
        self._transport.close()

    def retire(self) -> None:
        """Take no request after the one that is under way."""
        self._is_last = True

    def is_usable(self, *, is_new: bool = False) -> bool:
        """Whether an idle connection is still open and silent, looked at in the socket itself.

        What waits there would be taken for the next response, and on one that has ended a request would be lost. With
        TLS that says nothing of one that is new: a server sends tickets behind the handshake (RFC 8446 §4.6.1).
        """
        if self._state != IDLE or self._transport.is_closing():
            return False
        return self._poll is None or (is_new and self._is_tls) or not self._poll.poll(0)

    def expired(self) -> None:
        """The deadline has passed."""
        words = "no response headers within timeout" if self._state == HEAD else "silence within the answer"
        self._break(BackendTimeoutError(words))

    # -- what the event loop does with it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._poll = select.poll()
            self._poll.register(sock.fileno(), _READABLE)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._state == UNTIL_END and exc is None:
            self._finish()
        elif self._has_responded:
            self._break(BackendBrokenError("the connection was lost within the answer"))
        else:
            # A TLS port that was taken for a plain one closes without a word.
            may_be_tls = not self._is_tls and not self.idle_since_s
            hint = "; write https:// if it speaks TLS" if may_be_tls else ""
            self._break(BackendUnreachableError(f"the connection was lost before the answer{hint}"))

    def eof_received(self) -> bool:
        """Whether the transport is kept; else it closes itself, and `connection_lost` says the rest."""
        if self._state == UNTIL_END:
            self._finish()
        # TLS has no half-open connections here (https://docs.python.org/3/library/asyncio-protocol.html).
        is_tunnel = self._state == TUNNEL and not self._is_tls
        return is_tunnel and self._sink is not None and self._sink.half_closed()

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True
        if self._sink is not None:
            self._sink.drained()

    def _release(self, behind: bytes) -> None:
        """The exchange is over: keep the connection, unless something stands behind the response or ends it."""
        self._sink = None
        self.deadline_s = inf
        is_kept = self._is_sent and not self._is_last and not behind
        if is_kept and not self._transport.is_closing():
            self._state = IDLE
            if self._is_paused:
                self._read_on()  # for the next exchange; the slow client has its whole response
            self._keeper.released(self)
        else:
            self._end()

    def _break(self, error: BackendError) -> None:
        sink, self._sink = self._sink, None
        is_tunnel = self._state == TUNNEL
        self._end()
        if sink is not None:
            if is_tunnel:
                sink.end_of_message()
            else:
                sink.failed(error)

    def _end(self) -> None:
        self._over()
        if self._transport is not None:
            self._transport.abort()

    def _over(self) -> None:
        if self._state != OVER:
            self._state = OVER
            self.deadline_s = inf
            self._poll = None
            self._chunks = None
            self._keeper.lost(self)

    def _read_on(self) -> None:
        self._is_paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _restart_clock(self) -> None:
        if self._state in _TIMED:
            self.deadline_s = self._loop.time() + self._read_timeout_s
        elif self._state == HEAD and self.deadline_s == inf:
            self.deadline_s = self._loop.time() + self._spare_s


_TIMED = frozenset({LENGTH, CHUNKS, UNTIL_END})
