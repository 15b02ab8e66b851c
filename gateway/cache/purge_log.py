"""The fleet's purges in Redis: one stream. A process that purges appends to it, and every process follows it.

A stream and not pub/sub: a subscription that is cut loses the messages in between, and a reader of a stream goes on
where it stopped. Each reading begins with the message that was read last. When that is no longer there, the log was
lost or put back (an eviction, a restart without persistence, a failover to a replica that lacked the end, a reader too
far behind, somebody who restores a copy). Purges may have been lost with it. So the reader forgets everything. Unless
another one has done so already, it opens a log of a later epoch: nothing that was sealed before is valid any more, for
anybody in the fleet.

Messages are sealed. Somebody who can write to Redis can still delete a message that nobody has read; the process that
ordered it then orders it again. A process that starts can be shown an old log when no other runs, or a log with an
order missing in the middle. Then only `ttl` limits the harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import ResponseError

from gateway.cache.connect import Client
from gateway.cache.purge_index import Message, PurgeIndex, position
from gateway.cache.seal import Seal
from gateway.introspection.tag_purge import TagPurge

_FIELD = b"m"
_PAGE_MESSAGES = 500
# A reader that is further behind forgets everything. At 200 bytes each they take 2 MB in Redis.
_MESSAGES_MAX = 10_000
# Longer than any sensible ttl. Every reader extends it, as long as there is one.
LOG_TTL_S = 24 * 3600


class LogGoneError(Exception):
    """There is no log to append to. Reading makes one."""


class PurgeLog:
    """Appends to the log and reads it. Raises the client's errors, and `LogGoneError` from `append`."""

    def __init__(
        self, client: Client, name: str, seal: Seal, purge_index: PurgeIndex, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._name = name
        self._place = name.encode()
        self._seal = seal
        self._purge_index = purge_index
        self._clock = clock
        self.on_order: Callable[[TagPurge], object] = lambda _: None  # called with each order that is read
        self._last: tuple[bytes, bytes | None] | None = None  # the id and the sealed text of the last message read

    async def append(self, purge: TagPurge) -> None:
        """Tells the fleet. The log must have been read before."""
        if self._purge_index.log_id is None or not await self._add(
            Message(self._purge_index.log_id, purge), must_exist=True
        ):
            raise LogGoneError

    async def catch_up(self, on_purge: Callable[[TagPurge], object]) -> None:
        """Reads new messages into the index, and calls `on_purge` with the purge that each of them means here.

        It calls at once for each message: a message that the index has taken is not read again, should the next page
        fail.
        """
        try:
            await self._read_on(on_purge)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            # Somebody put another value in its place. As long as it lies there nobody can be told anything.
            await self._client.delete(self._name)
            on_purge(self._restart())
            await self._read_on(on_purge)

    async def wait(self, at_most_s: float) -> None:
        """Returns when there may be more to read."""
        last = b"0-0" if self._last is None else self._last[0]
        await self._client.xread({self._name: last}, count=1, block=int(at_most_s * 1000))

    async def renew(self) -> None:
        await self._client.expire(self._name, LOG_TTL_S)

    async def _read_on(self, on_purge: Callable[[TagPurge], object]) -> None:
        if self._last is None:
            on_purge(self._restart())
        while True:
            page = await self._page()
            if self._last is not None and page[:1] != [self._last]:
                on_purge(self._restart())
                continue
            new = page if self._last is None else page[1:]
            for message in new:
                on_purge(self._read(*message))
            if len(page) == _PAGE_MESSAGES:
                continue
            if self._purge_index.log_id is not None:
                return
            await self._add(Message(self._purge_index.next_log_id(self._clock()), None), must_exist=False)

    def has_read(self, purge_id: bytes) -> bool:
        """Whether an order was in the log as it is now."""
        return self._purge_index.has_read(purge_id)

    def _restart(self) -> TagPurge:
        self._last = None
        return self._purge_index.restart()

    async def _page(self) -> list[tuple[bytes, bytes | None]]:
        first = b"-" if self._last is None else self._last[0]
        reply: Any = await self._client.xrange(self._name, min=first, count=_PAGE_MESSAGES)
        return [(bytes(stream_id), (fields or {}).get(_FIELD)) for stream_id, fields in reply]

    def _read(self, stream_id: bytes, sealed: bytes | None) -> TagPurge:
        text = None if sealed is None else self._seal.open(self._place, sealed)
        message = None if text is None else Message.decode(text)
        if message is not None and message.purge is not None:
            self.on_order(message.purge)
        purge = self._purge_index.read(position(stream_id), message)
        self._last = (stream_id, sealed)
        return purge

    async def _add(self, message: Message, *, must_exist: bool) -> bool:
        sealed = self._seal.seal(self._place, message.encode())
        if sealed is None:
            raise ValueError("the purge has more tags than a message holds")
        added = await self._client.xadd(
            self._name, {_FIELD: sealed}, maxlen=_MESSAGES_MAX, approximate=True, nomkstream=must_exist
        )
        return added is not None
