"""Bytes both ways after a 101: what the two ends say to each other is no longer HTTP.

Bytes that the client sent behind its upgrade request stay unread until the backend has switched; only then are they
passed on. Each direction is paused while the other end does not take what it already has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.http import StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD

from gateway.server.exchange import Exchange

_HIGH_WATER_BYTES = 2**16


async def tunnel(request: web.Request, upstream: aiohttp.ClientResponse, exchange: Exchange) -> None:
    """Carry bytes until one end closes, and count them.

    The client's 101 must have been sent. Closes both connections, also when cancelled.
    """
    connection = upstream.connection
    client = request.transport
    if connection is None or connection.protocol is None or connection.transport is None or client is None:
        return
    backend, backend_protocol = connection.transport, connection.protocol
    loop = asyncio.get_running_loop()
    from_client, from_backend = _Tap(client), _Tap(backend)
    writer = StreamWriter(backend_protocol, loop)
    request.protocol.set_parser(from_client)  # type: ignore[arg-type]  # any parser of its shape; typed for WebSockets
    backend_protocol.set_parser(from_backend, EMPTY_PAYLOAD)
    try:
        await _until_either_ends(
            _pump(from_client, backend, writer.drain),
            _pump(from_backend, client, request.writer.drain),
        )
    finally:
        upstream.close()
        request.protocol.force_close()
        exchange.bytes_received, exchange.bytes_sent = from_client.passed_bytes, from_backend.passed_bytes


async def _until_either_ends(*pumps: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.create_task(pump) for pump in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(source: _Tap, destination: asyncio.WriteTransport, drain: Callable[[], Awaitable[Any]]) -> None:
    try:
        while data := await source.read():
            destination.write(data)
            await drain()
    except ConnectionError:
        return  # the other end is gone, which ends the tunnel


class _Tap:
    """What aiohttp calls a payload parser: takes the bytes of a connection that has been upgraded."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pending = bytearray()
        self._ended = False
        self._paused = False
        self._arrived = asyncio.Event()
        self.passed_bytes = 0

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._pending += data
        self._arrived.set()
        if len(self._pending) > _HIGH_WATER_BYTES:
            # Also when it was paused before: aiohttp resumes once it has handed over what it had kept.
            self._paused = True
            self._transport.pause_reading()
        return False, b""

    def feed_eof(self) -> None:
        self._ended = True
        self._arrived.set()

    async def read(self) -> bytes:
        """What has arrived since; empty at the end."""
        while not self._pending and not self._ended:
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._pending)
        self._pending.clear()
        self.passed_bytes += len(data)
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data
