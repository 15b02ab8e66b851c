"""The moment in which a chunked body may show that it is broken, before anybody is asked or sent anything.

Whether a body is one shows only as it comes. One that comes in one go, right behind its head, is looked at whole: then
a broken one reaches nobody. One that pauses, is long or takes its time streams; what breaks later is cut off.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

SETTLED_BYTES = 2**16
_SETTLE_S = 0.25
# Longer than the way from one segment to the next takes, and too short for anybody to notice.
_PAUSE_S = 0.01


class Arriving(Protocol):
    """A body on its way in."""

    @property
    def is_settled(self) -> bool:
        """Whether it has come to its end, or so much of it has come that it is not waited for."""

    @property
    def came_bytes(self) -> int:
        """How much has come, ever."""

    @property
    def is_within_a_line(self) -> bool:
        """Whether the position is between two bytes and the second one may be wrong."""


class Settling:
    """Of one connection. `notice` is to be called when a body may have settled."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self, body: Arriving) -> None:
        """Return once the body has settled, or pauses."""
        ends_s, seen_bytes = self._loop.time() + _SETTLE_S, -1
        while not body.is_settled and self._loop.time() < ends_s:
            if seen_bytes == body.came_bytes and not body.is_within_a_line:
                return
            seen_bytes = body.came_bytes
            await self._pause()

    async def _pause(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            async with asyncio.timeout(_PAUSE_S):
                await self._waiter
        except TimeoutError:
            pass
        finally:
            self._waiter = None

    def notice(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
