"""A deadline for what another process is to answer, in which a late event loop is not held against that process.

A loop that comes late, because there is much to do or the machine is shared, finds the timer due and the answer waiting
in the socket, and runs the timer first. Giving up then would be for its own lateness: Redis would be left alone for a
moment, and everything asked of the provider meanwhile. So whoever was late looks at the sockets again before giving up,
and waits for as much longer as it was late itself: what was to be sent may have gone out as late.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Turns of the loop: one reads the socket, one wakes who waits for it, one is for whoever that one wakes.
_LOOKS = 3


@asynccontextmanager
async def within(timeout_s: float) -> AsyncIterator[None]:
    """Raises `TimeoutError` when the body takes longer than `timeout_s` of a loop that is on time.

    That is `timeout_s` on an idle machine, and never more than twice as much but for the loop's own turns.
    """
    loop = asyncio.get_running_loop()
    due_s = loop.time() + timeout_s
    timer: asyncio.Handle

    def due() -> None:
        nonlocal timer
        late_s = min(loop.time() - due_s, timeout_s)
        timer = loop.call_later(max(0.0, late_s), look, _LOOKS)

    def look(left: int) -> None:
        nonlocal timer
        if left:
            timer = loop.call_soon(look, left - 1)
        else:
            bound.reschedule(loop.time())

    timer = loop.call_at(due_s, due)
    try:
        async with asyncio.timeout(None) as bound:
            yield
    finally:
        timer.cancel()
