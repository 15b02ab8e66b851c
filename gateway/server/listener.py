"""The public listener: aiohttp's application with one catch-all handler, on sockets that were bound before."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.server.connection import Connection, Gauge, Limits
from gateway.server.forwarding import Forwarder
from gateway.server.lane import Lane, Recorder
from gateway.server.running import Running

_BACKLOG = 2048
_DRAIN_POLL_S = 0.05
# For an exchange that is cut to end; aiohttp takes 0 for no limit at all.
_CUT_S = 0.1


class Listener:
    """Serves on one socket. `start`, then `drain` or `close`; not to be started again."""

    def __init__(
        self,
        current: Callable[[], Running],
        forwarder: Forwarder,
        recorder: Recorder,
        gauge: Gauge,
        limits: Limits,
        new_request_id: Callable[[], str],
    ) -> None:
        self._gauge = gauge
        self._limits = limits
        app = web.Application()
        self._lane = Lane(app, current, forwarder, recorder, new_request_id)
        # The argument for it is deprecated without another way to have one.
        app._router = _OneRoute(self._lane.handle)  # noqa: SLF001
        self._runner = web.AppRunner(app, handler_cancellation=True)
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        await self._runner.setup()
        manager = self._runner.server
        assert manager is not None  # setup has made it
        loop = asyncio.get_running_loop()

        def connect() -> Connection:
            return Connection(manager, loop=loop, limits=self._limits, gauge=self._gauge, refused=self._lane.refused)

        timeout_s = self._limits.header_timeout_s if tls is not None else None
        # For Unix sockets too: create_unix_server would remove the file, which a worker's successor still needs.
        self._server = await loop.create_server(
            connect, sock=sock, ssl=tls, backlog=_BACKLOG, ssl_handshake_timeout=timeout_s
        )

    def limit(self, limits: Limits) -> None:
        """Hold connections that are opened from now on to `limits`."""
        self._limits = limits

    async def drain(self, timeout_s: float) -> None:
        """Accept nothing more, let exchanges end for `timeout_s`, then cut what is left."""
        self._lane.is_draining = True
        if self._server is not None:
            for _ in range(2):  # a turn to accept what waits in the socket, which closing would reset
                await asyncio.sleep(0)
            self._server.close()
        # aiohttp's own way to shut down stops reading first, and so loses the uploads that are under way.
        for connection in self._connections():
            connection.drain()
        deadline = time.monotonic() + timeout_s
        while any(one.is_active for one in self._connections()) and time.monotonic() < deadline:  # noqa: ASYNC110 - rare
            await asyncio.sleep(_DRAIN_POLL_S)
        if self._runner.server is not None:
            await self._runner.server.shutdown(_CUT_S)
        await self._runner.cleanup()

    def _connections(self) -> list[Connection]:
        found = [] if self._runner.server is None else self._runner.server.connections
        return [one for one in found if isinstance(one, Connection)]


class _OneRoute(web.UrlDispatcher):
    """Every request goes to one handler; the pipeline has the word on its target.

    aiohttp's own search goes up a path segment by segment and copies what is left each time, which is quadratic in
    what a client sends, and turns away targets that are no path (`*`, `host:port`) before they are looked at.
    """

    def __init__(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        super().__init__()
        self._only = self.add_route("*", "/", handler, expect_handler=_expect_nothing)

    async def resolve(self, request: web.Request) -> web.UrlMappingMatchInfo:
        _ = request
        return web.UrlMappingMatchInfo({}, self._only)


async def _expect_nothing(_request: web.Request) -> None:
    """`100 Continue` is sent when the body is wanted, not before (aiohttp would send it at once)."""
