"""A client's connection as the event loop sees it, whichever lane answers on it.

How it works: `connection_state` draws what it may be at. The fast lane is offered what arrives between requests. What
it does not take goes to aiohttp's protocol, bytes untouched, and so does all that follows until that protocol has
nothing more to do. What comes while the fast lane is at a request is held, and looked at afterwards.

What both lanes owe to a connection is here: its place among the connections of its network, the deadlines that a sweep
looks at, and what becomes of a client that reads nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Final

from gateway.proxy.downstream.aiohttp_connection import AiohttpConnection
from gateway.proxy.downstream.connection_state import ACCEPTED, CLOSED, FAST, FRESH, IDLE, LEAVING, TUNNEL
from gateway.proxy.downstream.draining import LINGER_S
from gateway.proxy.downstream.listener_state import FastExchange, ListenerState
from gateway.proxy.downstream.tls import told_by_tls
from gateway.proxy.last_request import LastRequest
from gateway.proxy.relay import Relay

_OCCUPIED: Final = (FAST, TUNNEL, LEAVING)  # in these it has no request to wait for
_HOLDING: Final = (FAST, LEAVING)


class ClientConnection:
    """An `asyncio.Protocol` without the base, so that it can be compiled (docs/decisions/0007).

    `fast_exchange` is of the fast lane; `relay` the response under way; `certificate` the thumbprint of the client's.
    """

    __slots__ = (
        "_ahead",
        "_general",
        "_handshake",
        "_has_asked",
        "_listener",
        "_unread_bytes",
        "certificate",
        "fast_exchange",
        "is_congested",
        "is_counted",
        "last_request",
        "networks",
        "peer",
        "relay",
        "scheme",
        "silent_since_s",
        "state",
        "transport",
    )

    transport: asyncio.Transport  # from `connection_made` on

    def __init__(self, listener: ListenerState) -> None:
        self._listener = listener
        self._general: AiohttpConnection | None = None
        self._ahead = b""  # what came behind a request of the fast lane before it was answered
        self._handshake: socket.socket | None = None  # while TLS is not there yet; and so no transport
        self._has_asked = False  # it had a response, and now may be idle
        self._unread_bytes = 0
        self.last_request = LastRequest()
        self.is_counted = False  # among those that the listener has let in
        self.silent_since_s = 0.0
        self.networks: tuple[str, ...] = ()
        self.peer = ""  # empty for a Unix socket
        self.scheme = "http"
        self.certificate: str | None = None
        self.relay: Relay | None = None
        self.fast_exchange: FastExchange | None = None
        self.is_congested = False
        self.state: int = ACCEPTED

    # What the lanes do with it.

    @property
    def is_gone(self) -> bool:
        return self.transport.is_closing()

    @property
    def is_tunnel(self) -> bool:
        return self.state == TUNNEL

    @property
    def is_draining(self) -> bool:
        return self._listener.is_draining

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    @property
    def has_unsent(self) -> bool:
        return self.transport.get_write_buffer_size() > 0

    def abort(self, *, by_reset: bool) -> None:
        """End it so that a response cut short is not taken for a whole one (RFC 9112 §8)."""
        sock = self.transport.get_extra_info("socket")
        if by_reset and sock is not None:  # for HTTP/1.0 the connection's end ends a body, and a reset does not
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def fast_exchange_begins(self, exchange: FastExchange) -> None:
        self.fast_exchange = exchange
        self.state = FAST

    def exchange_is_over(self) -> None:
        """The general lane has given its response."""
        self._has_asked = True
        self.silent_since_s = self._listener.loop.time()

    def fast_exchange_is_over(self, *, keeps_alive: bool) -> None:
        """Read the bytes that came meanwhile, in the next iteration of the event loop."""
        self.fast_exchange = None
        self._has_asked = True
        if self.state == FAST:
            self.state = IDLE
        self.silent_since_s = self._listener.loop.time()
        if not keeps_alive:
            self.transport.close()
        elif self._ahead:
            self._listener.loop.call_soon(self._go_on)

    # What the listener does with it.

    @property
    def descriptor(self) -> int:
        """Of its socket; -1 where it is closed."""
        sock = self.transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    def is_quiet(self, now_s: float, quiet_s: float) -> bool:
        """Whether it had a response, and then nothing came for `quiet_s`."""
        return self._has_asked and now_s - self.silent_since_s >= quiet_s and self._is_idle

    def take_leave(self) -> None:
        """Send no more, and read on for a moment: a reset would be the response to a request that crosses this end
        (RFC 9112 §9.6).
        """
        if self.transport.can_write_eof():
            self.state = LEAVING
            self.transport.write_eof()
            self._listener.loop.call_later(LINGER_S, self.transport.close)
        else:
            self.transport.close()  # TLS says goodbye on its own

    def cut(self) -> None:
        if self._handshake is not None:
            with contextlib.suppress(OSError):  # the client was faster
                self._handshake.shutdown(socket.SHUT_RDWR)
        else:
            self.transport.abort()

    def give_head_up(self) -> None:
        """What it holds behind a request, whose response may have begun, is wanted for others."""
        self.cut()

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
        """End it where it is idle, or where the client takes nothing of its response, for too long."""
        limits = self._listener.limits
        if self.state == ACCEPTED:
            return  # the handshake has a deadline of its own
        if self.state == TUNNEL:
            tunnel = None if self.relay is None else self.relay.tunnel
            if tunnel is not None and tunnel.is_abandoned(now_s, limits.idle_timeout_s):
                self.transport.abort()
            return
        patience_s = limits.idle_timeout_s if self._has_asked else min(limits.idle_timeout_s, limits.header_timeout_s)
        if now_s - self.silent_since_s < patience_s:
            return
        if self.transport.is_closing():
            self.transport.abort()  # what was written last is not taken: it would wait for ever
        elif self.is_congested:
            unread = self.transport.get_write_buffer_size()
            if unread >= self._unread_bytes:
                self.transport.abort()
            self._unread_bytes, self.silent_since_s = unread, now_s
        elif self._is_idle:
            self.transport.close()

    @property
    def _is_idle(self) -> bool:
        """Whether there is nothing to do on it before the next byte comes."""
        if self._ahead or self.state in _OCCUPIED or self.transport.is_closing():
            return False
        return self._general is None or self._general.is_idle

    # What the event loop does with it.

    def arrived(self, sock: socket.socket, peer: str) -> bool:
        """It is accepted and has yet to shake hands; whether there is room for it."""
        self._handshake = sock
        return self._listener.enter(self, peer, sock.fileno())

    def speaks_for(self, peer: str) -> bool:
        """A balancer has told for whom; nobody, where that is empty. Whether there is room for it."""
        if not peer or self._handshake is None or not self.is_counted:
            return self.is_counted  # it may have had to give way meanwhile
        self._listener.leave(self)
        return self._listener.enter(self, peer, self._handshake.fileno())

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.state = FRESH
        if self._handshake is not None:
            self._handshake = None
            self.scheme, self.certificate = told_by_tls(transport)
            if not self.is_counted:
                self.transport.abort()  # it had to give way meanwhile
            return
        peer = transport.get_extra_info("peername")
        sock = transport.get_extra_info("socket")
        address = peer[0] if isinstance(peer, tuple) else ""
        if not self._listener.enter(self, address, -1 if sock is None else sock.fileno()):
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        general, state = self._general, self.state
        if state in _HOLDING or self._ahead:
            self._hold(data)
        elif general is not None and not general.is_idle:
            general.data_received(data)
        elif (fast := self._listener.fast) is None or not fast.take(self, data):
            self._to_general(data)

    def eof_received(self) -> bool:
        """Whether the transport is kept; TLS has no half-open connections here."""
        tunnel = None if self.relay is None else self.relay.tunnel
        if self.state == TUNNEL and tunnel is not None:
            return self.scheme == "http" and tunnel.client_has_ended()
        if self._general is not None:
            self._general.eof_received()
        return False

    def pause_writing(self) -> None:
        self.is_congested = True
        self._unread_bytes = self.transport.get_write_buffer_size()
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

    def connection_lost(self, exc: BaseException | None) -> None:
        self.state = CLOSED
        self._listener.leave(self)
        if self.fast_exchange is not None:
            self.fast_exchange.leave()
        if self._general is not None:
            self._general.connection_lost(exc)

    def _to_general(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._general is None:
            self._general = self._listener.general(self)
            self._general.connection_made(self.transport)
        self._general.data_received(data)

    def _hold(self, data: bytes) -> None:
        """Read no further ahead than one head."""
        self._ahead += data
        self._listener.hold_head(self, len(self._ahead))
        if len(self._ahead) > self._listener.limits.head.bytes_max:
            self.transport.pause_reading()

    def _go_on(self) -> None:
        if self.transport.is_closing():
            return
        data, self._ahead = self._ahead, b""
        self._listener.hold_head(self, 0)
        if not self.transport.is_reading():  # whatever the limit was when it was paused
            self.transport.resume_reading()
        self.data_received(data)
