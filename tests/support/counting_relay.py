"""A relay before a server that counts the connections of a client and what it sends, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

TOKEN = "good"


class Relay:
    """Passes the bytes of each connection on, both ways. `sent` is what the client sent, a piece for each read."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.connections = 0
        self.sent: list[bytes] = []
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Relay]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        back, forth = await asyncio.open_connection(*self._target)
        await asyncio.gather(_pump(reader, forth, self.sent.append), _pump(back, writer))


async def _pump(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, see: Callable[[bytes], object] = lambda _: None
) -> None:
    with suppress(ConnectionError):
        while data := await source.read(2**16):
            see(data)
            sink.write(data)
            await sink.drain()
    sink.close()
