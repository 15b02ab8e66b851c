"""The responses on one connection to a backend: where each begins and ends, and what breaks it.

    IDLE ──send──> HEAD ──┬──> LENGTH ─────┐
      ^                   ├──> CHUNKS ─────┤
      │                   ├──> UNTIL_END ──┤
      │                   ├──> TUNNEL ─────┤
      │                   │                │
      └─ kept ────────────┴────────────────┴── not kept, or broken ──> OVER

How it works: the head is read by `gateway.http.response_head`, a chunked body by llhttp, both strictly. What comes is
handed on at once to the `ResponseSink` of the exchange; only an unfinished head is held. A response that came whole in
one piece goes the shortest way, in `data_received`. Bytes that nobody asked for end the connection (RFC 9112 §9.2):
they must never stand before the next response.
"""

from __future__ import annotations

import asyncio
import re
from math import inf
from typing import Final, cast

from gateway.http.foreign import foreign_words
from gateway.http.response_head import (
    HEAD_LIMIT_BYTES,
    SWITCHING_PROTOCOLS,
    ResponseHead,
    known_response_head,
    may_have_body,
    read_response_head,
)
from gateway.proxy.upstream.backend_error import BackendBrokenError, BackendError
from gateway.proxy.upstream.backend_request import NO_BODY, BackendRequest
from gateway.proxy.upstream.chunked_body import Chunks
from gateway.proxy.upstream.response_sink import ResponseSink

# What a connection is at. Numbers, because an Enum's members are looked up wherever they are compared.
IDLE: Final = 0  # no exchange
HEAD: Final = 1  # a response's head is awaited
LENGTH: Final = 2  # so many bytes of a body are left
CHUNKS: Final = 3  # a chunked body
UNTIL_END: Final = 4  # a body that the connection's end ends
TUNNEL: Final = 5  # another protocol
OVER: Final = 6  # the connection is of no more use

_INTERIM_MAX: Final = 16
_NOTHING: Final = BackendRequest("", "", "", NO_BODY)  # before the first one
_FIRST_BYTES = 80  # of a response, which show whether it is one
# Of a head that is not whole yet: it will never be one.
_STRAY = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")


class ResponseReader:
    """Reads the responses on a connection. The sender of a request sets the exchange.

    `deadline_s` is the loop's time at which the backend must have said something; the pool's sweep looks at it.
    """

    __slots__ = (
        "_chunks",
        "_has_responded",
        "_held",
        "_interim",
        "_is_last",
        "_left",
        "_loop",
        "_read_timeout_s",
        "_request",
        "_sink",
        "_state",
        "deadline_s",
        "unasked",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sink: ResponseSink | None = None
        self._state: int = IDLE
        self._held = bytearray()  # of a head that is not whole yet
        self._left = 0
        self._chunks: Chunks | None = None
        self._interim = 0
        self._request = _NOTHING
        self._has_responded = False  # whether a byte of a response came: after that, nothing is sent a second time
        self._is_last = False
        self._read_timeout_s = inf
        self.deadline_s = inf
        self.unasked = b""  # the first bytes that came while nobody had asked for any

    def _release(self, behind: bytes) -> None:
        """The exchange is over: keep the connection, unless something stands behind the response or ends it."""
        raise NotImplementedError

    def _break(self, error: BackendError) -> None:
        """The connection is of no more use, and the sink is told."""
        raise NotImplementedError

    def _end(self) -> None:
        """The connection is of no more use."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state == OVER:
            return
        sink = self._sink
        if sink is None:
            self.unasked = data
            self._end()
            return
        if state == HEAD and not self._held and (end := data.find(b"\r\n\r\n")) > 0:
            # By far the most common, by the shortest way; what is not that goes the long one.
            raw, body = data[:end], data[end + 4 :]
            known = known_response_head(raw)
            if known is not None and known.is_usual and known.length == len(body) and self._request.method != "HEAD":
                self._release(b"")
                sink.complete_response(known, body)
                return
            self._has_responded = True
            data = self._heads(raw, body)
        else:
            self._has_responded = True
            if state == HEAD:
                found = self._next_head(data)
                data = b"" if found is None else self._heads(found[0], found[1])
        if data:
            self._body(data)
        # The exchange may have ended, and another one begun.
        if self._sink is sink and self._state != HEAD:
            if self.deadline_s != inf:
                self.deadline_s = self._loop.time() + self._read_timeout_s
            sink.flush()

    # -- the response, as it comes

    def _heads(self, raw: bytes, data: bytes) -> bytes:
        """Read heads up to the final one; the first is complete. Return the bytes behind the final one."""
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
            sink = cast("ResponseSink", self._sink)  # somebody awaits a response
            sink.informational(head)
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
            self._state = TUNNEL
            self.deadline_s = inf
            self._is_last = True  # it never goes back to the pool
            sink.response_head(head)
            return behind
        if head.ends_connection or head.is_ended_by_connection:
            self._is_last = True  # also where the response to HEAD leaves that body out: the end is on its way
        has_body = may_have_body(self._request.method, head.status)
        if not has_body or head.length == len(behind):
            body, behind = (behind, b"") if has_body else (b"", behind)
            self._release(behind)
            sink.complete_response(head, body)
            return b""
        if head.is_chunked:
            self._state = CHUNKS
            self._chunks = Chunks()
        elif head.length is not None:
            self._left = head.length
            self._state = LENGTH
        else:
            self._state = UNTIL_END
        self.deadline_s = self._loop.time() + self._read_timeout_s
        sink.response_head(head)
        return behind

    def _body(self, data: bytes) -> None:
        sink = self._sink
        if sink is None:
            return  # given up while its head was handed over
        state = self._state
        if state == LENGTH:
            left = self._left
            if len(data) < left:
                self._left = left - len(data)
                sink.body_data(data)
            else:
                sink.body_data(data if len(data) == left else data[:left])
                if self._sink is sink:
                    self._finish(data[left:])
        elif state == CHUNKS:
            self._feed_chunks(data)
        elif state in (UNTIL_END, TUNNEL):
            sink.body_data(data)

    def _feed_chunks(self, data: bytes) -> None:
        chunks, sink = self._chunks, self._sink
        assert chunks is not None and sink is not None  # noqa: PT018 - `_begin` has made it, `_body` has looked
        body = chunks.feed(data)
        if body is None:
            self._break(BackendBrokenError("the framing of the answer is broken"))
            return
        if body:
            sink.body_data(body)
        if chunks.has_ended and self._sink is sink:
            self._finish(b"?" if chunks.has_more else b"")

    def _finish(self, behind: bytes = b"") -> None:
        """The response is whole."""
        sink = self._sink
        self._release(behind)
        if sink is not None:
            sink.end_of_message()
