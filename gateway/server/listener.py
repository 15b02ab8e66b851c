"""The public listener: aiohttp's application with one catch-all handler, on sockets that were bound before."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from aiohttp import web

from gateway.server.connection import Connection, Gauge, Limits
from gateway.server.forwarding import Forwarder
from gateway.server.lane import Lane, Recorder
from gateway.server.running import Running

_BACKLOG = 2048


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
        self._new_request_id = new_request_id
        app = web.Application(middlewares=[self._catch_what_no_path_matches])
        self._lane = Lane(app, current, forwarder, recorder, new_request_id)
        app.router.add_route("*", "/{path:.*}", self._lane.handle, expect_handler=_expect_nothing)
        self._runner = web.AppRunner(app, handler_cancellation=True)
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        await self._runner.setup()
        manager = self._runner.server
        assert manager is not None  # setup has made it
        loop = asyncio.get_running_loop()

        def connect() -> Connection:
            return Connection(
                manager, loop=loop, limits=self._limits, gauge=self._gauge, new_request_id=self._new_request_id
            )

        timeout_s = self._limits.header_timeout_s if tls is not None else None
        if sock.family == socket.AF_UNIX:
            create = loop.create_unix_server(
                connect, sock=sock, ssl=tls, backlog=_BACKLOG, ssl_handshake_timeout=timeout_s
            )
        else:
            create = loop.create_server(connect, sock=sock, ssl=tls, backlog=_BACKLOG, ssl_handshake_timeout=timeout_s)
        self._server = await create

    def limit(self, limits: Limits) -> None:
        """Hold connections that are opened from now on to `limits`."""
        self._limits = limits

    async def drain(self, timeout_s: float) -> None:
        """Accept nothing more, let exchanges end for `timeout_s`, then cut what is left."""
        self._lane.is_draining = True
        if self._server is not None:
            self._server.close()
        manager = self._runner.server
        if manager is not None:
            manager.pre_shutdown()
            # Waits for exchanges under way, then closes their connections whatever they are at.
            await manager.shutdown(timeout_s)
        await self._runner.cleanup()

    @web.middleware
    async def _catch_what_no_path_matches(
        self, request: web.Request, handler: Callable[[web.Request], object]
    ) -> web.StreamResponse:
        """Targets that are no path (`*`, `host:port`) get past the router; the pipeline has the word on them."""
        _ = handler
        return await self._lane.handle(request)


async def _expect_nothing(_request: web.Request) -> None:
    """`100 Continue` is sent when the body is wanted, not before (aiohttp would send it at once)."""
