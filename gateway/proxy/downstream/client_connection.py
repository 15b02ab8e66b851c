"""A client's connection as the event loop sees it, whichever lane answers on it.

How it works: `connection_state` draws what it may be at. The fast lane is offered what arrives between requests. What
it does not take goes to aiohttp's protocol, bytes untouched, and so does all that follows until that protocol has
nothing more to do. What comes while the fast lane is at a request, or the client leaves responses unread, is held, and
looked at afterwards. A request that it would take were the body whole is held until then, or until the sweep comes by.

What both lanes owe to a connection is here: its place among the connections of its network, the deadlines that a sweep
looks at, and what becomes of a client that reads nothing.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from gateway.proxy.downstream.aiohttp_connection import AiohttpConnection
from gateway.proxy.downstream.awaited_body import AwaitedBody
from gateway.proxy.downstream.client_transport import ClientTransport
from gateway.proxy.downstream.connection_state import ACCEPTED, BODY, CLOSED, FAST, FRESH, IDLE, LEAVING, TUNNEL
from gateway.proxy.downstream.draining import LINGER_S
from gateway.proxy.downstream.listener_state import FastExchange, FastLanePort, ListenerState
from gateway.proxy.downstream.overdue import end_overdue
from gateway.proxy.downstream.tls import told_by_tls
from gateway.proxy.last_request import LastRequest
from gateway.proxy.relay import Relay

_OCCUPIED: Final = (FAST, BODY, TUNNEL, LEAVING)  # in these it has no request to wait for
_HOLDING: Final = (FAST, LEAVING)


class ClientConnection(ClientTransport):
    """An `asyncio.Protocol` without the base, so that it can be compiled (docs/decisions/0007).

    `fast_exchange` is of the fast lane; `relay` the response under way; `certificate` the thumbprint of the client's.
    """

    __slots__ = (
        "_ahead",
        "_awaited",
        "_general",
        "_listener",
        "certificate",
        "fast_exchange",
        "has_asked",
        "is_counted",
        "last_request",
        "networks",
        "peer",
        "relay",
        "scheme",
        "silent_since_s",
        "state",
    )

    def __init__(self, listener: ListenerState) -> None:
        super().__init__()
        self._listener = listener
        self._general: AiohttpConnection | None = None
        self._ahead = b""  # what came behind a request of the fast lane before it was answered
        self._awaited: AwaitedBody | None = None  # in BODY
        self.has_asked = False  # it had a response, and now may be idle
        self.last_request = LastRequest()
        self.is_counted = False  # among those that the listener has let in
        self.silent_since_s = 0.0
        self.networks: tuple[str, ...] = ()
        self.peer = ""  # empty for a Unix socket
        self.scheme = "http"
        self.certificate: str | None = None
        self.relay: Relay | None = None
        self.fast_exchange: FastExchange | None = None
        self.state: int = ACCEPTED

    # What the lanes do with it.

    @property
    def is_draining(self) -> bool:
        return self._listener.is_draining

    @property
    def problem_types(self) -> str | None:
        return self._listener.limits.problem_types

    def body_is_to_come(self, lane: FastLanePort, data: bytes, missing_bytes: int) -> None:
        """The fast lane, which is being offered `data`, would take it with so many bytes more."""
        self._awaited = AwaitedBody(lane, data, missing_bytes)

    def hold(self, data: bytes) -> None:
        """It came before its turn. Read no further ahead than a head."""
        self._ahead += data
        self._listener.hold_head(self, len(self._ahead))
        if len(self._ahead) > self._listener.limits.head.bytes_max:
            self.transport.pause_reading()

    def fast_exchange_begins(self, exchange: FastExchange) -> None:
        self.fast_exchange = exchange
        self.state = FAST

    def exchange_is_over(self) -> None:
        """The general lane has given its response."""
        self.has_asked = True
        self.silent_since_s = self._listener.loop.time()

    def fast_exchange_is_over(self, *, keeps_alive: bool) -> None:
        """Read the bytes that came meanwhile, in the next iteration of the event loop."""
        self.fast_exchange = None
        self.has_asked = True
        if self.state == FAST:
            self.state = IDLE
        self.silent_since_s = self._listener.loop.time()
        if not keeps_alive:
            self.transport.close()
        elif self._ahead:
            self._listener.loop.call_soon(self._go_on)

    # What the listener does with it.

    def is_quiet(self, now_s: float, quiet_s: float) -> bool:
        """Whether it had a response, and then nothing came for `quiet_s`."""
        return self.has_asked and now_s - self.silent_since_s >= quiet_s and self.is_idle

    def take_leave(self) -> None:
        """Send no more, and read on for a moment, so that a request that crosses this gets no reset (RFC 9112 §9.6)."""
        if self.transport.can_write_eof():
            self.state = LEAVING
            self.transport.write_eof()
            self._listener.loop.call_later(LINGER_S, self.transport.close)
        else:
            self.transport.close()  # TLS says goodbye on its own

    def give_head_up(self) -> None:
        """What it holds is wanted for others. What is behind a request, whose response may have begun, goes with it."""
        if self._awaited is None:
            self.cut()
        else:
            self._stop_awaiting()  # of a body the general lane holds little

    def give_way(self) -> None:
        """End it for the sake of another one, which has its place at once."""
        self._listener.leave(self)
        self.cut()

    def unproductive_since_s(self) -> float | None:
        """Since when it has been open without a request under way; `None` where one is. An unfinished head is none."""
        if self.state == ACCEPTED or self.transport.is_closing():
            return self.silent_since_s
        if self.state in _OCCUPIED:
            return None
        return self.silent_since_s if self._general is None or self._general.awaits_request else None

    def sweep(self, now_s: float) -> None:
        """Look at its deadlines."""
        if self.state != ACCEPTED:  # the handshake has a deadline of its own
            self._stop_awaiting()
            end_overdue(self, self._listener.limits, now_s)

    @property
    def reads_no_further(self) -> bool:
        """Whether so much came ahead of a response that reading may have been paused."""
        return bool(self._ahead) or (self._general is not None and self._general.is_full)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do on it before the next byte comes."""
        if self._ahead or self.state in _OCCUPIED or self.transport.is_closing():
            return False
        return self._general is None or self._general.is_idle

    # What the event loop does with it.

    def arrived(self, sock: socket.socket, peer: str) -> bool:
        """It is accepted and has yet to shake hands; whether there is room for it."""
        self.handshake = sock
        return self._listener.enter(self, peer, sock.fileno())

    def speaks_for(self, peer: str) -> bool:
        """A balancer has told for whom; nobody, where that is empty. Whether there is room for it."""
        if not peer or self.handshake is None or not self.is_counted:
            return self.is_counted  # it may have had to give way meanwhile
        self._listener.leave(self)
        return self._listener.enter(self, peer, self.handshake.fileno())

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.state = FRESH
        if self.handshake is not None:
            self.handshake = None
            self.scheme, self.certificate = told_by_tls(transport)
            if not self.is_counted:
                self.transport.abort()  # it had to give way meanwhile
            return
        peer = transport.get_extra_info("peername")
        if not self._listener.enter(self, peer[0] if isinstance(peer, tuple) else "", self.descriptor):
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        general, state = self._general, self.state
        if state in _HOLDING or self._ahead:
            self.hold(data)
        elif self._awaited is not None:
            self._more_of_body(self._awaited, data)
        elif general is not None and not general.is_idle:
            general.data_received(data)
        elif self.is_congested:
            self.hold(data)
        else:
            self._offer(data)

    def eof_received(self) -> bool:
        """Whether the transport is kept; TLS has no half-open connections here."""
        tunnel = None if self.relay is None else self.relay.tunnel
        if self.state == TUNNEL and tunnel is not None:
            return self.scheme == "http" and tunnel.client_has_ended()
        if self._general is not None:
            self._general.eof_received()
        return False

    def pause_writing(self) -> None:
        self.falls_behind()
        self.silent_since_s = self._listener.loop.time()
        if self.relay is not None:
            self.relay.client_is_slow()
        if self._general is not None:
            self._general.pause_writing()

    def resume_writing(self) -> None:
        self.is_congested = False
        if self._general is not None:
            self._general.resume_writing()
        if self.relay is not None:
            self.relay.client_is_ready()
        if self._ahead:
            self._listener.loop.call_soon(self._go_on)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.state = CLOSED
        awaited, self._awaited = self._awaited, None
        self._listener.leave(self)
        if awaited is not None:
            awaited.lane.left(self, bytes(awaited.came))
        # Each refers to this connection: what refers to both would stay until the collector comes.
        exchange, self.fast_exchange = self.fast_exchange, None
        general, self._general = self._general, None
        if exchange is not None:
            exchange.leave()
        if general is not None:
            general.connection_lost(exc)

    def _offer(self, data: bytes) -> None:
        fast = self._listener.fast
        if fast is not None and fast.take(self, data):
            return
        if self._awaited is None:
            self._to_general(data)
        else:
            self.state = BODY
            self._listener.hold_head(self, len(data))

    def _more_of_body(self, awaited: AwaitedBody, data: bytes) -> None:
        awaited.add(data)
        if awaited.missing_bytes > 0:
            self._listener.hold_head(self, len(awaited.came))
        else:
            self._offer(self._let_go(awaited))

    def _stop_awaiting(self) -> None:
        """What came of a request whose body is not whole is the general lane's, which streams it."""
        if self._awaited is not None:
            self._to_general(self._let_go(self._awaited))

    def _let_go(self, awaited: AwaitedBody) -> bytes:
        self._awaited = None
        self._listener.hold_head(self, 0)
        return bytes(awaited.came)

    def _to_general(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._general is None:
            self._general = self._listener.general(self)
            self._general.connection_made(self.transport)
        self._general.data_received(data)

    def _go_on(self) -> None:
        if self.is_congested or not self._ahead or self.state in _HOLDING or self.transport.is_closing():
            return
        data, self._ahead = self._ahead, b""
        self._listener.hold_head(self, 0)
        if not self.transport.is_reading():  # whatever the limit was when it was paused
            self.transport.resume_reading()
        self.data_received(data)
