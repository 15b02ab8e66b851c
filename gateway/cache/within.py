"""A deadline for a body of code that waits for another process (`gateway.cache.deadline`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.cache.deadline import Deadline


@asynccontextmanager
async def within(timeout_s: float) -> AsyncIterator[None]:
    """Raises `TimeoutError` when the body takes longer than `timeout_s` of a loop that is on time.

    That is `timeout_s` on an idle machine, and at most twice as much, apart from the loop's own turns.
    """
    loop = asyncio.get_running_loop()
    deadline = Deadline(timeout_s, lambda: bound.reschedule(loop.time()))
    try:
        async with asyncio.timeout(None) as bound:
            yield
    finally:
        deadline.cancel()
