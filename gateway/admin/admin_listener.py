"""Serving the admin application on a socket that was bound before."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from gateway.workers.sockets import unbind

# Longer than the scrape interval of a Prometheus (60 s at most, as a rule), which then keeps its connection. It also
# bounds how long a client may take to send a head.
_KEEP_ALIVE_S = 75.0
_STOP_S = 2.0


class AdminListener:
    """`start` once, `stop` once; it outlives the draining of the public listener, whose progress it shows."""

    def __init__(self, app: web.Application) -> None:
        self._runner = web.AppRunner(
            app,
            access_log=None,  # aiohttp's prints the query; health checks and scrapes need no line each
            keepalive_timeout=_KEEP_ALIVE_S,
            auto_decompress=False,  # 64 KiB of gzip would be 64 MiB of body
            max_line_size=8 * 2**10,
            max_field_size=16 * 2**10,
            max_headers=64,
            shutdown_timeout=_STOP_S,
        )
        self._server: asyncio.Server | None = None
        self._sockets: list[socket.socket] = []

    async def start(self, sock: socket.socket) -> None:
        """Accept on `sock`, bound and listening, which this listener owns from now on."""
        await self._runner.setup()
        connect = self._runner.server
        assert connect is not None  # setup has made it
        loop = asyncio.get_running_loop()
        create = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
        self._sockets.append(sock)
        # A duplicate, which the server closes: the socket itself still knows its path then.
        self._server = await create(connect, sock=sock.dup())

    async def stop(self) -> None:
        """Stop accepting, let answers under way end for a moment, and close."""
        if self._server is not None:
            self._server.close()
        unbind(self._sockets)
        await self._runner.cleanup()
