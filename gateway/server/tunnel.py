"""Bytes both ways after a 101: what the two ends say to each other is no longer HTTP.

Bytes that the client sent behind its upgrade request stay unread until the backend has switched; only then are they
passed on. Each direction is paused while the other end does not take what it already has.
"""

from __future__ import annotations

import asyncio

from gateway.server.backends.connection import BackendConnection
from gateway.server.exchange import Exchange
from gateway.server.relay import Relay


class Tap:
    """What aiohttp calls a payload parser: takes the bytes of a connection that has been upgraded."""

    def __init__(self, client: asyncio.Transport, backend: BackendConnection, relay: Relay, exchange: Exchange) -> None:
        self._client = client
        self._backend = backend
        self._exchange = exchange
        self._relay = relay
        self._is_paused = False
        relay.on_room = self._resume

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._exchange.bytes_received += len(data)
        self._backend.write(data)
        if not self._backend.is_writable:
            # Also when it was paused before: aiohttp resumes once it has handed over what it had kept.
            self._is_paused = True
            self._client.pause_reading()
        return False, b""

    def feed_eof(self) -> None:
        """The client's connection has ended, which cancels its handler, and that ends the tunnel."""

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._client.resume_reading()
