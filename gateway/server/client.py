"""A client's connection as the event loop sees it, whichever lane answers on it.

The fast lane is offered what arrives between requests. What it does not take goes to aiohttp's protocol, bytes
untouched, and so does all that follows until that protocol has nothing more to do. What both lanes owe to a
connection is here: the cap, the deadlines that a sweep looks at, and what becomes of a client that reads nothing.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from gateway.server.connection import Connection, Limits
from gateway.server.relay import Relay


class Gauge(Protocol):
    """Where the number of open connections is kept."""

    connections: int


class FastLane(Protocol):
    """Answers ordinary requests."""

    def take(self, client: ClientConnection, data: bytes) -> bool:
        """Whether it answers what came; otherwise nothing has happened."""


class FastExchange(Protocol):
    """What the fast lane is doing on a connection."""

    def leave(self) -> None:
        """The client is gone."""


@dataclass(slots=True)
class House:
    """What the connections of one listener share. `limits` and `fast` may be replaced while it serves."""

    loop: asyncio.AbstractEventLoop
    gauge: Gauge
    limits: Limits
    general: Callable[[ClientConnection], Connection]
    fast: FastLane | None
    clients: set[ClientConnection]
    is_draining: bool = False


class ClientConnection:
    """An `asyncio.Protocol`, but for the base, without which it can be compiled (docs/decisions/0007).

    `fast_exchange` is what the fast lane is doing on it; `relay` the answer under way, in either lane.
    """

    __slots__ = (
        "_ahead",
        "_general",
        "_house",
        "_is_counted",
        "_silent_since_s",
        "_unread_bytes",
        "fast_exchange",
        "is_congested",
        "is_tunnel",
        "peer",
        "relay",
        "scheme",
        "transport",
    )

    def __init__(self, house: House) -> None:
        self._house = house
        self._general: Connection | None = None
        self._ahead = b""  # what came behind a request of the fast lane before it was answered
        self._is_counted = False
        self._silent_since_s = 0.0
        self._unread_bytes = 0
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.peer = ""  # empty for a Unix socket
        self.scheme = "http"
        self.relay: Relay | None = None
        self.fast_exchange: FastExchange | None = None
        self.is_congested = False
        self.is_tunnel = False

    # What the lanes do with it.

    @property
    def is_gone(self) -> bool:
        return self.transport.is_closing()

    @property
    def is_draining(self) -> bool:
        return self._house.is_draining

    @property
    def is_active(self) -> bool:
        """Whether a request is under way, or has begun to arrive."""
        if self.transport.is_closing():
            return False
        return self.fast_exchange is not None or (self._general is not None and self._general.is_active)

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    @property
    def has_unsent(self) -> bool:
        """Whether the client has not taken all that was written."""
        return self.transport.get_write_buffer_size() > 0

    def abort(self, *, by_reset: bool) -> None:
        """End the connection so that an answer cut short is not taken for a whole one (RFC 9112 §8)."""
        sock = self.transport.get_extra_info("socket")
        if by_reset and sock is not None:
            # For HTTP/1.0 the end of the connection is the end of the body: only a reset says that it was none.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def exchange_is_over(self) -> None:
        """The connection is idle again, in either lane."""
        self._silent_since_s = self._house.loop.time()

    def fast_exchange_is_over(self, *, keeps_alive: bool) -> None:
        """What came meanwhile is looked at next, in a turn of its own."""
        self.fast_exchange = None
        self._silent_since_s = self._house.loop.time()
        if not keeps_alive or self._house.is_draining:
            self.transport.close()
        elif self._ahead:
            self._house.loop.call_soon(self._go_on)

    # What the listener does with it.

    def drain(self) -> None:
        """Take no request that has not begun; end when there is none."""
        if self._general is not None and self.fast_exchange is None:
            self._general.drain()
        elif not self.is_active:
            self.transport.close()

    def cut(self) -> None:
        """End it, whatever is under way."""
        self.transport.abort()

    def cut_gently(self) -> None:
        """End it once all that was written has gone out."""
        self.transport.close()

    def sweep(self, now_s: float) -> None:
        """End it where it is idle, or where the client takes nothing of its answer, for too long."""
        idle_timeout_s = self._house.limits.idle_timeout_s
        if self.is_tunnel:
            tunnel = None if self.relay is None else self.relay.tunnel
            if tunnel is not None and tunnel.is_abandoned(now_s, idle_timeout_s):
                self.transport.abort()
            return
        if now_s - self._silent_since_s < idle_timeout_s:
            return
        if self.is_congested:
            unread = self.transport.get_write_buffer_size()
            if unread >= self._unread_bytes:
                self.transport.abort()
            self._unread_bytes, self._silent_since_s = unread, now_s
        elif self.fast_exchange is None and (self._general is None or self._general.is_idle):
            self.transport.close()

    # What the event loop does with it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        house = self._house
        self.transport = cast("asyncio.Transport", transport)
        house.gauge.connections += 1
        house.clients.add(self)
        self._is_counted = True
        self._silent_since_s = house.loop.time()
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if isinstance(peer, tuple) else ""
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = "https"
        if house.gauge.connections > house.limits.max_connections:
            # Beyond the cap nothing is read: what is open already is served first.
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        general = self._general
        if self.fast_exchange is not None or self._ahead:
            self._hold(data)
        elif general is not None and not general.is_idle:
            general.data_received(data)
        else:
            fast = self._house.fast
            if fast is None or not fast.take(self, data):
                self._to_general(data)

    def eof_received(self) -> bool:
        """Whether the transport is kept; TLS has no half-open connections here."""
        tunnel = None if self.relay is None else self.relay.tunnel
        if self.is_tunnel and tunnel is not None:
            return self.scheme == "http" and tunnel.client_has_ended()
        if self._general is not None:
            self._general.eof_received()
        return False

    def pause_writing(self) -> None:
        self.is_congested = True
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._silent_since_s = self._house.loop.time()
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

    def connection_lost(self, exc: BaseException | None) -> None:
        house = self._house
        if self._is_counted:
            self._is_counted = False
            house.gauge.connections -= 1
            house.clients.discard(self)
        if self.fast_exchange is not None:
            self.fast_exchange.leave()
        if self._general is not None:
            self._general.connection_lost(exc)

    def _to_general(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._general is None:
            self._general = self._house.general(self)
            self._general.connection_made(self.transport)
            if self._house.is_draining:
                self._general.drain()
        self._general.data_received(data)

    def _hold(self, data: bytes) -> None:
        """Read no further ahead than one head."""
        self._ahead += data
        if len(self._ahead) > self._house.limits.max_header_bytes:
            self.transport.pause_reading()

    def _go_on(self) -> None:
        if self.transport.is_closing():
            return
        data, self._ahead = self._ahead, b""
        if len(data) > self._house.limits.max_header_bytes:
            self.transport.resume_reading()
        self.data_received(data)
