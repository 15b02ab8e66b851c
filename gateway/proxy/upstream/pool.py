"""The connections to one backend: idle ones kept for a while, a cap, and a queue where that is reached."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from math import inf
from typing import Protocol

from gateway.http.foreign import foreign_words
from gateway.proxy.upstream.backend_error import NotConnectedError
from gateway.proxy.upstream.connection import BackendConnection

# Shorter than what servers commonly keep, so that the backend rarely closes a connection just as it is used again.
_IDLE_MAX_S = 15.0
# Of the event loop, until what stands in a socket has been read.
_TURNS_TO_READ = 3


class Opener(Protocol):
    """Opens a connection that belongs to `keeper`."""

    def __call__(self, keeper: Pool) -> Awaitable[BackendConnection]: ...


class Pool:
    """Not for threads. `connections_max` bounds those that are open or being opened, tunnels among them."""

    def __init__(self, open_one: Opener, connections_max: Callable[[], int], loop: asyncio.AbstractEventLoop) -> None:
        self._open_one = open_one
        self._connections_max = connections_max
        self._loop = loop
        self._idle: dict[BackendConnection, None] = {}  # the one that was used last comes last, and is used first
        self._busy: set[BackendConnection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[BackendConnection | None]] = deque()

    @property
    def is_empty(self) -> bool:
        return not (self._idle or self._busy or self._opening or self._waiting)

    @property
    def size(self) -> int:
        return len(self._idle) + len(self._busy) + self._opening

    def take(self) -> BackendConnection | None:
        """A connection that is there and usable, at once."""
        idle = self._idle
        while idle:
            connection, _ = idle.popitem()
            if connection.is_usable():
                self._busy.add(connection)
                return connection
            connection.abandon()
        return None

    async def acquire(self, timeout_s: float) -> BackendConnection:
        """A connection, opened or waited for if need be. Raises `NotConnectedError`."""
        if connection := self.take():
            return connection
        try:
            async with asyncio.timeout(timeout_s):
                while self.size >= self._connections_max():
                    connection = await self._wait()
                    if connection is not None and connection.is_usable():
                        return connection
                    if connection is not None:
                        connection.abandon()
                connection = await self._open()
        except TimeoutError:
            raise NotConnectedError("no connection within connect_timeout", is_late=True) from None
        if not connection.is_usable(is_new=True):
            # Another one would be no better: this backend closes at once, or speaks before it is asked.
            raise NotConnectedError(await self._why_unusable(connection))
        return connection

    def released(self, connection: BackendConnection) -> None:
        self._busy.discard(connection)
        if self._waiting and (waiter := self._next_waiter()):
            self._busy.add(connection)
            waiter.set_result(connection)
            return
        connection.idle_since_s = self._loop.time()
        self._idle[connection] = None

    def lost(self, connection: BackendConnection) -> None:
        self._idle.pop(connection, None)
        self._busy.discard(connection)
        self._wake()

    def sweep(self, now_s: float, max_age_s: float = inf) -> None:
        """What is late is told so; what has been idle for long, or is older than `max_age_s`, is used no more."""
        for connection in [one for one in self._busy if one.deadline_s <= now_s]:
            connection.expired()
        oldest_s = now_s - max_age_s
        for connection in self._busy:
            if connection.made_s <= oldest_s:
                connection.retire()
        idle_since_s = now_s - _IDLE_MAX_S
        for connection in [one for one in self._idle if one.idle_since_s <= idle_since_s or one.made_s <= oldest_s]:
            connection.end()

    def retire(self) -> None:
        """None of the connections that are there takes a further request."""
        for connection in self._busy:
            connection.retire()
        for connection in list(self._idle):
            connection.end()

    def close(self) -> None:
        for connection in [*self._idle, *self._busy]:
            connection.abandon()

    async def _open(self) -> BackendConnection:
        self._opening += 1
        try:
            connection = await self._open_one(self)
        except BaseException:
            self._opening -= 1
            self._wake()
            raise
        self._opening -= 1
        self._busy.add(connection)
        return connection

    async def _why_unusable(self, connection: BackendConnection) -> str:
        """End a new connection on which something, or the end, stands already: why, in words."""
        try:
            for _ in range(_TURNS_TO_READ):
                await asyncio.sleep(0)
            said = connection.unasked
        finally:
            connection.abandon()
        foreign = foreign_words(said) if said else "it ended"
        return f"the connection was of no use as soon as it was made: {foreign or 'an answer before the request'}"

    async def _wait(self) -> BackendConnection | None:
        waiter: asyncio.Future[BackendConnection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                # It was this one's turn as it gave up.
                if connection := waiter.result():
                    self.released(connection)
                else:
                    self._wake()
            raise

    def _wake(self) -> None:
        """There is room for one more."""
        if waiter := self._next_waiter():
            waiter.set_result(None)

    def _next_waiter(self) -> asyncio.Future[BackendConnection | None] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None
