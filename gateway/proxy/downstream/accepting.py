"""How a TLS connection comes in: counted before its handshake, which has a deadline of its own.

The event loop's own way to listen tells of a connection only after the handshake. Until then it would cost a
descriptor and a TLS state that nobody counts, for as long as the client likes to say nothing. Here the connection is
accepted first and enters the shares of the listener; then it shakes hands, under the TLS context that is in force at
that moment. A reload hands over a new context: it holds for each handshake from then on, and no session ticket of the
old one resumes past it, since each context has ticket keys of its own (RFC 8446 §4.6.1).

With the PROXY protocol a connection begins with the header of a balancer, before any TLS. Only trusted peers are asked
for one; all others, and those whose header is missing, broken or late, are closed without a word.

Other plain connections do not come this way: the event loop tells of them as soon as they are accepted.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

from gateway.http.proxy_protocol import BrokenProxyHeaderError, more_bytes, read_proxy_header

_logger = logging.getLogger(__name__)

# Accepted in one turn of the event loop: others have their turn meanwhile.
_AT_ONCE = 64
# A handshake is two round trips and some work; header_timeout may be far longer.
_HANDSHAKE_MAX_S = 5.0
# How long a client may take to say goodbye, which asyncio would wait half a minute for.
_GOODBYE_S = 2.0
# With no descriptor left, even though some are in reserve: other processes may hold them all.
_PAUSE_S = 0.2
# A balancer that is set up wrongly has every connection closed, and a scan of the port as well: one line is enough.
_TOLD_EVERY_S = 60.0
_NOT_A_BALANCER = "server.proxy_protocol serves server.trusted_proxies only; name it there if it is a balancer of yours"
_NO_HEADER = "it sent no sound header of the PROXY protocol; have it send one, or write server.proxy_protocol: false"


class Arrival(Protocol):
    """What a connection is told of its coming, besides what the event loop tells a protocol."""

    def arrived(self, sock: socket.socket, peer: str) -> bool:
        """It is accepted; whether there is room for it."""

    def speaks_for(self, peer: str) -> bool:
        """It was made by a balancer for this client; whether there is room for that."""

    def connection_lost(self, exc: BaseException | None) -> None: ...


class Door:
    """Accepts on a listening socket, which it owns. `context` is for the next handshake, `None` for plain connections.

    `is_balancer` says which peers are asked for a header of the PROXY protocol; `None`: it is not spoken.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext | None,
        make: Callable[[], Arrival],
        header_timeout_s: float,
        is_balancer: Callable[[str], bool] | None = None,
    ) -> None:
        self._is_balancer = is_balancer
        self.context = context
        self.header_timeout_s = header_timeout_s
        self._sock = sock
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._resuming: asyncio.TimerHandle | None = None
        self._told_at_s: dict[str, float] = {}

    def open(self) -> None:
        self._loop.add_reader(self._sock, self._accept)

    def close(self) -> None:
        """Accept what waits in the socket, which closing would reset, and then nothing more."""
        if self._sock.fileno() < 0:
            return
        self._accept()
        self._loop.remove_reader(self._sock)
        if self._resuming is not None:
            self._resuming.cancel()
        self._sock.close()

    async def wait_closed(self) -> None:
        """Return when no handshake is under way; they have been cut, or end by their deadline."""
        await asyncio.gather(*self._handshakes, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # another worker was faster, or the client has gone
            except OSError as error:
                self._pause(error)
                return
            self._welcome(sock, str(address[0]) if isinstance(address, tuple) else "")

    def _welcome(self, sock: socket.socket, peer: str) -> None:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._is_balancer is not None and not self._is_balancer(peer):
            sock.close()
            self._tell_of(peer, _NOT_A_BALANCER)
            return
        client = self._make()
        if not client.arrived(sock, peer):
            sock.close()
            return
        task = self._loop.create_task(self._shake_hands(sock, client, peer))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, sock: socket.socket, client: Arrival, peer: str) -> None:
        try:
            if self._is_balancer is not None and not client.speaks_for(await self._told(sock, peer)):
                raise ConnectionAbortedError  # noqa: TRY301 - as for a handshake that fails
            is_tls = self.context is not None
            await self._loop.connect_accepted_socket(
                lambda: cast("Any", client),
                sock,
                ssl=self.context,
                ssl_handshake_timeout=min(self.header_timeout_s, _HANDSHAKE_MAX_S) if is_tls else None,
                ssl_shutdown_timeout=_GOODBYE_S if is_tls else None,
            )
        except (
            OSError,
            BrokenProxyHeaderError,
        ) as error:  # ssl.SSLError and TimeoutError among them: the client's affair
            sock.close()
            client.connection_lost(error)
        except BaseException as error:
            client.connection_lost(None)
            if isinstance(error, Exception):
                _logger.exception("a TLS handshake failed on our side", extra={"event": "handshake_failed"})
            else:
                raise

    async def _told(self, sock: socket.socket, peer: str) -> str:
        """The address in the PROXY protocol's header; empty where it tells none."""
        try:
            async with asyncio.timeout(min(self.header_timeout_s, _HANDSHAKE_MAX_S)):
                return read_proxy_header(await self._proxy_header(sock)) or ""
        except (BrokenProxyHeaderError, TimeoutError):
            self._tell_of(peer, _NO_HEADER)
            raise

    async def _proxy_header(self, sock: socket.socket) -> bytes:
        header = b""
        while wanted := more_bytes(header):
            piece = await self._loop.sock_recv(sock, wanted)
            if not piece and not header:
                raise ConnectionAbortedError  # a balancer that looks whether the port is open
            if not piece:
                raise BrokenProxyHeaderError
            header += piece
        return header

    def _tell_of(self, peer: str, why: str) -> None:
        """Say in the log why a connection is closed without a response; each reason once a minute."""
        now_s = self._loop.time()
        if now_s - self._told_at_s.get(why, -_TOLD_EVERY_S) < _TOLD_EVERY_S:
            return
        self._told_at_s[why] = now_s
        whose = peer or "the Unix socket"
        _logger.warning("a connection from %s was closed: %s", whose, why, extra={"event": "proxy_header_refused"})

    def _pause(self, error: OSError) -> None:
        _logger.warning("no connection can be accepted: %s", error, extra={"event": "accept_paused"})
        self._loop.remove_reader(self._sock)
        self._resuming = self._loop.call_later(_PAUSE_S, self.open)
