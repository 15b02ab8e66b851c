"""Relays a backend's response to the client, in both lanes. Each piece is passed on at once.

The client sees a broken body as an abort and never as an end. Interim responses pass. The head is the backend's, apart
from the route's rules and the framing. The backend is read no faster than the client reads.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from gateway.compiled import CompiledRoute
from gateway.http.frames import Frames
from gateway.http.location import Outside
from gateway.http.response_head import CONTINUE, SWITCHING_PROTOCOLS, UNAUTHORIZED, ResponseHead, may_have_body
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.date_field import date_line
from gateway.proxy.relay_ends import BackendEnd, TunnelEnds
from gateway.proxy.upstream.backend_error import BackendError
from gateway.proxy.upstream.backend_request import BackendRequest
from gateway.proxy.upstream.backend_state import BackendState
from gateway.spans import Span

if TYPE_CHECKING:
    from gateway.proxy.downstream.client_connection import ClientConnection


class Relay:
    """Passes the response of one exchange on as its `ResponseSink`; each lane decides how the exchange ends."""

    # Attributes that most exchanges do not set stay in the class.
    has_begun = False  # the client has been sent the head of a response
    keeps_alive = True
    is_watched = False  # by `gateway.proxy.streams.open_streams`, because it stays open
    on_room: Callable[[], None] | None = None  # told when the backend takes more of what is sent to it
    tunnel: TunnelEnds | None = None
    _asked: BackendState | None = None  # which has a request under way
    _backend: BackendEnd | None = None
    _frames: Frames | None = None  # that the client has been sent through a tunnel
    _is_chunked = False
    _is_done = False
    _is_http10 = False
    _is_stopping = False
    _is_told = False
    _more_fields = b""  # the gateway's own lines
    _route: CompiledRoute
    _out: list[bytes]
    _started_s = 0.0
    _switch: Callable[[], None] | None = None  # called when the client has been sent a 101

    def __init__(self, client: ClientConnection, record: AccessRecord) -> None:
        self._client = client
        self._record = record

    @property
    def record(self) -> AccessRecord:
        return self._record

    @property
    def is_open(self) -> bool:
        """Whether the client is still owed something."""
        return self._client.relay is self and not self._is_stopping

    @property
    def started_s(self) -> float:
        """When its request was sent to the backend."""
        return self._started_s

    def over(self, error: BackendError | None) -> None:
        """Called once: with nothing when the client has all of the response, or was cut off; with the error when no
        byte of a response was passed on and the lane may still say something else.
        """
        raise NotImplementedError

    def _outside(self) -> Outside:
        """Where the client sees what the backend serves."""
        raise NotImplementedError

    def begin(
        self,
        backend: BackendEnd,
        asked: BackendState,
        route: CompiledRoute,
        request: BackendRequest,
        fields: bytes,
        body: bytes | None,
    ) -> None:
        """Send a request for `route`, or its beginning, on `backend`; a second time where the first one came to
        nothing.
        """
        self._backend = backend
        self._asked = asked
        asked.requests += 1
        self._route = route
        self._is_told = False
        self._started_s = monotonic()
        self._client.relay = self
        backend.send(self, request, fields, body, route)

    def abandon(self) -> None:
        """The client is gone, or will not be answered: the backend sees its connection end."""
        self._is_done = True
        backend, self._backend = self._backend, None
        self._client.relay = None
        if (asked := self._no_longer_asked()) is not None and not self.has_begun:
            asked.left()
        if backend is not None:
            backend.abandon()

    def end_tunnel(self) -> None:
        """The client has left a tunnel: what it sent before still arrives."""
        self._is_done = True
        backend, self._backend = self._backend, None
        self._client.relay = None
        self._no_longer_asked()
        if backend is not None:
            backend.end()

    def stop(self, reason: str) -> None:
        """End it before its end, because its caller may have no more of it. The client sees that it is not whole."""
        if not self.is_open:
            return
        self._is_stopping = True
        self._record.reason = reason
        self.keeps_alive = False
        if self.tunnel is not None and self._frames is not None:
            self._is_done = True
            self._backend = None
            self._no_longer_asked()
            self.flush()
            if self.tunnel.stop(reason, self._frames):
                return  # until `tunnel_is_over`
        else:
            self.abandon()
        self._client.abort(by_reset=self._is_http10)
        self._close(None)

    def tunnel_is_over(self) -> None:
        """A client that was sent a close frame has answered it, or has had its time."""
        if not self._is_told:
            if self._client.has_unsent:
                self._client.cut()
            self._close(None)

    # What the client's connection says.

    def client_is_slow(self) -> None:
        if self._backend is not None:
            self._backend.pause()

    def client_is_ready(self) -> None:
        if self._is_stopping:
            return
        if self._is_done:
            self._close(None)
        elif self._backend is not None:
            self._backend.resume()

    # What the backend's connection says.

    def informational(self, head: ResponseHead) -> None:
        """RFC 9110 §15.2: passed on, except to HTTP/1.0 clients; 100 is the gateway's own to send."""
        if not self._is_http10 and head.status != CONTINUE:
            self._lead(head)
            self._client.write(b"%b%b\r\n" % (head.status_line, self._route.fields_to_client.of(head)))

    def complete_response(self, head: ResponseHead, body: bytes) -> None:
        record = self._record
        record.backend_s = monotonic() - self._started_s
        record.status = head.status
        record.bytes_sent = len(body)
        self.has_begun = self._is_done = True
        self._backend = None
        if (asked := self._no_longer_asked()) is not None:
            asked.answered()
        self._client.write(self._head(head, body))
        if not self._client.is_congested:
            self._close(None)

    def response_head(self, head: ResponseHead) -> None:
        record, now_s = self._record, monotonic()
        record.backend_s = now_s - self._started_s
        record.status = head.status
        if head.status == SWITCHING_PROTOCOLS or head.is_event_stream:
            record.head_s = record.so_far_s(now_s)
        self.has_begun = True
        if self._asked is not None:
            self._asked.answered()
        self._out = [self._head(head)]
        if head.status == SWITCHING_PROTOCOLS and self._switch is not None:
            self._frames = Frames()
            self.flush()
            self._switch()

    def body_data(self, data: bytes) -> None:
        self._record.bytes_sent += len(data)
        if self._is_chunked:
            self._out.append(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            if self._frames is not None:
                self._frames.feed(data)
            self._out.append(data)

    def half_closed(self) -> bool:
        self.flush()
        return self.tunnel is not None and self.tunnel.backend_has_ended()

    def flush(self) -> None:
        out = self._out
        if out:
            self._client.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    def end_of_message(self) -> None:
        self._backend = None
        self._no_longer_asked()
        if self._is_chunked:
            self._out.append(b"0\r\n\r\n")
        self._is_done = True
        self.flush()
        if not self._client.is_congested:
            self._close(None)

    def failed(self, error: BackendError) -> None:
        self._backend = None
        asked = self._no_longer_asked()
        if not self.has_begun:
            if asked is not None:
                asked.failed(error)
            self._record.backend_s = monotonic() - self._started_s
            self._close(error)
            return
        self._record.reason = "the client left" if self._client.is_gone else "the backend's answer broke off"
        self.keeps_alive = False
        self._client.abort(by_reset=self._is_http10)
        self._close(None)

    def drained(self) -> None:
        if self.on_room is not None:
            self.on_room()

    def _no_longer_asked(self) -> BackendState | None:
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.requests -= 1
            if self._record.spans is not None:
                self._record.spans.append(Span("forward", asked.label, self._started_s, monotonic()))
        return asked

    def _close(self, error: BackendError | None) -> None:
        if not self._is_told:
            self._is_told = True
            self._client.relay = None
            self.over(error)

    def _head(self, head: ResponseHead, behind: bytes = b"") -> bytes:
        if head.status == UNAUTHORIZED:
            self._record.note_challenges(head.lines)
        rules, begun = self._route.fields_to_client, head.begun
        if begun is None or begun[0] is not rules:
            self._lead(head)
            begun = rules.begin(head)
        _, begin, has_date = begun
        if head.status == SWITCHING_PROTOCOLS:
            self.keeps_alive = False
            framing = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        elif head.is_usual and self.keeps_alive and not (self._is_http10 or self._client.is_draining):
            framing = b""
        else:
            framing = self._framing(head)
        if not has_date:
            framing += date_line()
        request_id = self._record.request_id.encode()
        return b"".join((begin, self._more_fields, framing, b"X-Request-Id: ", request_id, b"\r\n\r\n", behind))

    def _lead(self, head: ResponseHead) -> None:
        """Have the client led through the gateway, where the response leads to the backend."""
        if head.leads:
            own_urls, outside = self._route.own_urls, self._outside()
            for place in head.leads:
                head.lines[place] = own_urls.led_outside(head.lines[place], outside)

    def _framing(self, head: ResponseHead) -> bytes:
        """Of what has no length (RFC 9112 §6), and whether the connection goes on (§9.3)."""
        framing = b""
        if head.length is None and may_have_body(self._record.method, head.status):
            if self._is_http10:
                self.keeps_alive = False  # the end of the connection is the end of the body
            else:
                self._is_chunked = True
                framing = b"Transfer-Encoding: chunked\r\n"
        if self._client.is_draining:
            self.keeps_alive = False
        if not self.keeps_alive:
            framing += b"Connection: close\r\n"
        elif self._is_http10:
            framing += b"Connection: keep-alive\r\n"
        return framing
