"""One connection to a backend, and the HTTP/1.1 that is spoken on it: one request out, one answer back.

The head of the answer is read by `gateway.http.response_head`, a chunked body by llhttp, both strictly. What comes is
handed on at once to the `ResponseSink` of the exchange; nothing is held but an unfinished head. Bytes that nobody
asked for end the connection (RFC 9112 §9.2): they must never stand before the next answer.
"""

from __future__ import annotations

import asyncio
import re
import select
from math import inf
from typing import Final, Protocol, cast

from gateway.http.foreign import foreign_words
from gateway.http.response_head import (
    HEAD_LIMIT_BYTES,
    SWITCHING_PROTOCOLS,
    ResponseHead,
    known_answer_head,
    may_have_body,
    read_response_head,
)
from gateway.proxy.upstream.backend_error import (
    BackendBrokenError,
    BackendError,
    BackendTimeoutError,
    BackendUnreachableError,
)
from gateway.proxy.upstream.backend_request import NO_BODY, BackendRequest
from gateway.proxy.upstream.chunked_body import Chunks
from gateway.proxy.upstream.http1_request import body_end, body_piece, is_last, rendered
from gateway.proxy.upstream.response_sink import ResponseSink

_INTERIM_MAX = 16
_NOTHING: Final = BackendRequest("", "", "", NO_BODY)  # before the first one
_FIRST_BYTES = 80  # of an answer, which show whether it is one
# Of a head that is not whole yet: it will never be one.
_STRAY = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_READABLE = select.POLLIN | select.POLLRDHUP if hasattr(select, "POLLRDHUP") else select.POLLIN


class PoolCallbacks(Protocol):
    """Whose connection it is."""

    def released(self, connection: BackendConnection) -> None:
        """It is ready for the next request."""

    def lost(self, connection: BackendConnection) -> None:
        """It is of no more use. Told once."""


# What a connection is at. Numbers, because an Enum's members are looked up wherever they are compared.
_IDLE: Final = 0  # no exchange
_HEAD: Final = 1  # an answer's head is awaited
_LENGTH: Final = 2  # so many bytes of a body are left
_CHUNKS: Final = 3  # a chunked body
_UNTIL_END: Final = 4  # a body that the connection's end ends
_TUNNEL: Final = 5  # another protocol
_OVER: Final = 6  # the connection is of no more use


class BackendConnection:
    """An `asyncio.Protocol`, but for the base, without which it can be compiled (docs/decisions/0007).

    `deadline_s` is the loop's time at which the backend must have said something; the pool's sweep looks at it.
    """

    __slots__ = (
        "_chunks",
        "_has_answered",
        "_held",
        "_interim",
        "_is_last",
        "_is_paused",
        "_is_sent",
        "_is_tls",
        "_keeper",
        "_left",
        "_loop",
        "_poll",
        "_read_timeout_s",
        "_request",
        "_sink",
        "_spare_s",
        "_state",
        "_transport",
        "deadline_s",
        "idle_since_s",
        "is_writable",
        "made_s",
        "unasked",
    )

    def __init__(self, keeper: PoolCallbacks, loop: asyncio.AbstractEventLoop) -> None:
        self._keeper = keeper
        self._loop = loop
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._poll: select.poll | None = None
        self._sink: ResponseSink | None = None
        self._state: int = _IDLE
        self._held = bytearray()  # of a head that is not whole yet
        self._left = 0
        self._chunks: Chunks | None = None
        self._interim = 0
        self._request = _NOTHING
        self._has_answered = False  # whether a byte of an answer came: after that, nothing is sent a second time
        self._is_sent = True
        self._is_last = False
        self._is_tls = False
        self._read_timeout_s = inf
        self._spare_s = inf  # of the deadline for a head, while nobody reads it
        self._is_paused = False
        self.deadline_s = inf
        self.idle_since_s = 0.0
        self.made_s = loop.time()
        self.is_writable = True
        self.unasked = b""  # the first bytes that came while nobody had asked for any

    # -- what a lane does with it

    def send(
        self,
        sink: ResponseSink,
        request: BackendRequest,
        fields: bytes,
        body: bytes | None,
        timeout_s: float,
        read_timeout_s: float,
    ) -> None:
        """Begin an exchange. Where `body` is `None`, `write_body` follows; else it is all of it.

        The answer's head is due within `timeout_s`, then each piece of it within `read_timeout_s`.
        """
        self._sink = sink
        self._request = request
        self._state = _HEAD
        self._is_sent = body is not None
        self._has_answered = False
        self._interim = 0
        self._read_timeout_s = read_timeout_s
        self.deadline_s = self._loop.time() + timeout_s
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
        if self._state != _OVER and data:
            self._transport.write(data)

    def write_eof(self) -> bool:
        """Nothing more goes through a tunnel in this direction; whether that can be said on this connection."""
        if self._state != _TUNNEL or not self._transport.can_write_eof():
            return False
        self._transport.write_eof()
        return True

    def await_answer(self, timeout_s: float | None) -> None:
        """Until its head has come: the backend has `timeout_s` from now; `None`: it is not its turn."""
        if self._state == _HEAD:
            self._spare_s = inf
            self.deadline_s = inf if timeout_s is None else self._loop.time() + timeout_s

    def pause(self) -> None:
        """Whoever reads the answer takes no more for now; the backend is not to blame for the time."""
        if self._state != _OVER:
            self._is_paused = True
            self._spare_s = self.deadline_s - self._loop.time()
            self.deadline_s = inf
            if not self._transport.is_closing():
                self._transport.pause_reading()

    def resume(self) -> None:
        if self._state != _OVER:
            self._restart_clock()
            self._read_on()

    def abandon(self) -> None:
        """Nobody wants this answer any more: the backend sees its connection end, and the sink hears nothing."""
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

        What waits there would be taken for the next answer, and on one that has ended a request would be lost. With
        TLS that says nothing of one that is new: a server sends tickets behind the handshake (RFC 8446 §4.6.1).
        """
        if self._state != _IDLE or self._transport.is_closing():
            return False
        return self._poll is None or (is_new and self._is_tls) or not self._poll.poll(0)

    def expired(self) -> None:
        """The deadline has passed."""
        words = "no response headers within timeout" if self._state == _HEAD else "silence within the answer"
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
        if self._state == _UNTIL_END and exc is None:
            self._finish()
        elif self._has_answered:
            self._break(BackendBrokenError("the connection was lost within the answer"))
        else:
            self._break(BackendUnreachableError("the connection was lost before the answer"))

    def eof_received(self) -> bool:
        """Whether the transport is kept; else it closes itself, and `connection_lost` says the rest."""
        if self._state == _UNTIL_END:
            self._finish()
        # TLS has no half-open connections here (https://docs.python.org/3/library/asyncio-protocol.html).
        is_tunnel = self._state == _TUNNEL and not self._is_tls
        return is_tunnel and self._sink is not None and self._sink.half_ended()

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True
        if self._sink is not None:
            self._sink.writable()

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state == _OVER:
            return
        sink = self._sink
        if sink is None:
            self.unasked = data
            self._end()
            return
        if state == _HEAD and not self._held and (end := data.find(b"\r\n\r\n")) > 0:
            # By far the most common, by the shortest way; what is not that goes the long one.
            raw, body = data[:end], data[end + 4 :]
            known = known_answer_head(raw)
            if known is not None and known.is_usual and known.length == len(body) and self._request.method != "HEAD":
                self._release(b"")
                sink.whole(known, body)
                return
            self._has_answered = True
            data = self._heads(raw, body)
        else:
            self._has_answered = True
            if state == _HEAD:
                found = self._next_head(data)
                data = b"" if found is None else self._heads(found[0], found[1])
        if data:
            self._body(data)
        # The exchange may have ended, and another one begun.
        if self._sink is sink and self._state != _HEAD:
            if self.deadline_s != inf:
                self.deadline_s = self._loop.time() + self._read_timeout_s
            sink.paused()

    # -- the answer

    def _heads(self, raw: bytes, data: bytes) -> bytes:
        """Read heads, of which the first is whole, until the final one; what stands behind that."""
        while True:
            head = read_response_head(raw)
            if not isinstance(head, ResponseHead):
                self._break(BackendBrokenError(foreign_words(raw) or head))
                break
            if not head.is_interim:
                return self._begin(head, data)
            self._interim += 1
            if self._interim > _INTERIM_MAX:
                self._break(BackendBrokenError("the backend sends interim answers without end"))
                break
            sink = cast("ResponseSink", self._sink)  # somebody awaits an answer
            sink.informed(head)
            if not data or self._sink is not sink or (found := self._next_head(data)) is None:
                break
            raw, data = found
        return b""

    def _next_head(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The head that ends in `data`, and what stands behind it; `None` when there is none yet, or none any more."""
        held = self._held
        if not held:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                return data[:end], data[end + 4 :]
        searched = max(0, len(held) - 3)
        held += data
        end = held.find(b"\r\n\r\n", searched)
        if end >= 0:
            raw, rest = bytes(held[:end]), bytes(held[end + 4 :])
            held.clear()
            return raw, rest
        if len(held) > HEAD_LIMIT_BYTES:
            self._break(BackendBrokenError("the head of the answer is too large"))
        elif (foreign := foreign_words(bytes(held[:_FIRST_BYTES]))) is not None:
            self._break(BackendBrokenError(foreign))  # it may wait for ever
        elif _STRAY.search(held, searched):
            self._break(BackendBrokenError("the head of the answer has a line end that is none"))
        return None

    def _begin(self, head: ResponseHead, behind: bytes) -> bytes:
        """Take up the body that `head` announces; what of `behind` belongs to it."""
        sink = self._sink
        assert sink is not None  # as above
        if head.status == SWITCHING_PROTOCOLS:
            if not self._request.framing.is_upgrade or head.upgrades_to != ("websocket",):
                self._break(BackendBrokenError("101 to a request that asked for no such upgrade"))
                return b""
            self._state = _TUNNEL
            self.deadline_s = inf
            self._is_last = True  # it never goes back to the pool
            sink.answered(head)
            return behind
        if head.ends_connection or head.is_ended_by_connection:
            self._is_last = True  # also where the answer to HEAD leaves that body out: the end is on its way
        has_body = may_have_body(self._request.method, head.status)
        if not has_body or head.length == len(behind):
            body, behind = (behind, b"") if has_body else (b"", behind)
            self._release(behind)
            sink.whole(head, body)
            return b""
        if head.is_chunked:
            self._state = _CHUNKS
            self._chunks = Chunks()
        elif head.length is not None:
            self._left = head.length
            self._state = _LENGTH
        else:
            self._state = _UNTIL_END
        self.deadline_s = self._loop.time() + self._read_timeout_s
        sink.answered(head)
        return behind

    def _body(self, data: bytes) -> None:
        sink = self._sink
        if sink is None:
            return  # given up while its head was handed over
        state = self._state
        if state == _LENGTH:
            left = self._left
            if len(data) < left:
                self._left = left - len(data)
                sink.received(data)
            else:
                sink.received(data if len(data) == left else data[:left])
                if self._sink is sink:
                    self._finish(data[left:])
        elif state == _CHUNKS:
            self._feed_chunks(data)
        elif state in (_UNTIL_END, _TUNNEL):
            sink.received(data)

    def _feed_chunks(self, data: bytes) -> None:
        chunks, sink = self._chunks, self._sink
        assert chunks is not None and sink is not None  # noqa: PT018 - `_begin` has made it, `_body` has looked
        body = chunks.feed(data)
        if body is None:
            self._break(BackendBrokenError("the framing of the answer is broken"))
            return
        if body:
            sink.received(body)
        if chunks.has_ended and self._sink is sink:
            self._finish(b"?" if chunks.has_more else b"")

    def _finish(self, behind: bytes = b"") -> None:
        """The answer is whole."""
        sink = self._sink
        self._release(behind)
        if sink is not None:
            sink.ended()

    def _release(self, behind: bytes) -> None:
        """The exchange is over: keep the connection, unless something stands behind the answer or ends it."""
        self._sink = None
        self.deadline_s = inf
        is_kept = self._is_sent and not self._is_last and not behind
        if is_kept and not self._transport.is_closing():
            self._state = _IDLE
            if self._is_paused:
                self._read_on()  # for whoever comes next; who was slow has all of its answer
            self._keeper.released(self)
        else:
            self._end()

    def _break(self, error: BackendError) -> None:
        sink, self._sink = self._sink, None
        is_tunnel = self._state == _TUNNEL
        self._end()
        if sink is not None:
            if is_tunnel:
                sink.ended()
            else:
                sink.broke(error)

    def _end(self) -> None:
        self._over()
        if self._transport is not None:
            self._transport.abort()

    def _over(self) -> None:
        if self._state != _OVER:
            self._state = _OVER
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
        elif self._state == _HEAD and self.deadline_s == inf:
            self.deadline_s = self._loop.time() + self._spare_s


_TIMED = frozenset({_LENGTH, _CHUNKS, _UNTIL_END})
