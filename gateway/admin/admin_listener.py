"""Serves the admin application on a socket that was bound before."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from gateway.workers.sockets import unbind

# Longer than the scrape interval of a Prometheus (as a rule 60 s at most), so that it keeps its connection. It also
# bounds the time that a client may take to send a head.
_KEEP_ALIVE_S = 75.0
_STOP_S = 2.0


class AdminListener:
    """Serves from `start` to `stop`, once, and also while the public listener drains, to show its progress."""

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
        """Accept on `sock`, which is bound and listening, and which this listener owns from then on."""
        self._sockets.append(sock)
        await self._runner.setup()
        connect = self._runner.server
        assert connect is not None  # setup has made it
        # The server closes this duplicate. The socket itself stays open and still knows its path. For Unix sockets too:
        # create_unix_server would remove the file, which a service manager may own.
        duplicate = sock.dup()
        try:
            self._server = await asyncio.get_running_loop().create_server(connect, sock=duplicate)
        except BaseException:
            duplicate.close()
            raise

    async def stop(self) -> None:
        """Stop accepting, give responses under way a moment to end, and close."""
        if self._server is not None:
            self._server.close()
        unbind(self._sockets)
        await self._runner.cleanup()
