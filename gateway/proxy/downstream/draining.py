"""The end of a listener: which connections are closed when, so that no request on its way is lost.

HTTP/1.1 has no word that ends an idle connection from the server's side: a request that crosses the end of its
connection goes unanswered (RFC 9112 §9.5). The remedy is to let the client ask once more, and to say `Connection:
close` in that response (§9.6). So the order is:

    lame duck    each response is the last on its connection; new connections are accepted, idle ones stay
    closing      the accept queue is emptied, then the socket is closed
    draining     a connection that never asked may ask once, within `header_timeout` of its accept (the sweep ends it);
                 one that was used and then stayed quiet for `QUIET_S` is ended; what is under way goes on
    cut          at the deadline

A client that asks again at once always finds its connection open: it is never quiet for that time.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Collection, Iterable
from typing import Protocol

# A client in steady use asks again within this, also on a busy machine. nginx has the same (keepalive_min_timeout).
QUIET_S = 1.0
# How long a client may take to notice that its idle connection was ended.
LINGER_S = 0.5
_POLL_S = 0.05
# Emptying takes a few turns. Where no descriptor is left for those who wait, nothing helps.
_QUEUE_TURNS_MAX = 1_000
_EMPTY_TURNS = 4


class Standing(Protocol):
    """A client's connection."""

    @property
    def descriptor(self) -> int:
        """Of its socket; -1 where it is closed."""

    def is_quiet(self, now_s: float, quiet_s: float) -> bool:
        """Whether it had a response, and then nothing came for `quiet_s`."""

    def take_leave(self) -> None:
        """End it, for nothing is under way on it."""


async def drain_connections(standing: Collection[Standing], timeout_s: float) -> None:
    """Return when all have ended, or at the deadline."""
    loop = asyncio.get_running_loop()
    deadline_s = time.monotonic() + timeout_s
    while standing and time.monotonic() < deadline_s:
        _end_quiet(standing, loop.time())
        await asyncio.sleep(_POLL_S)


async def empty_accept_queue(descriptor: int) -> None:
    """Let the event loop accept all that wait: to close the socket resets them.

    asyncio accepts in one turn, makes the transport in the next one, which it cannot do once its server is closed, and
    tells the protocol in the third.
    """
    empty_turns = 0
    for _ in range(_QUEUE_TURNS_MAX):
        empty_turns = 0 if _readable([descriptor]) else empty_turns + 1
        if empty_turns == _EMPTY_TURNS:
            return
        await asyncio.sleep(0)


def _end_quiet(standing: Iterable[Standing], now_s: float) -> None:
    quiet = {one.descriptor: one for one in standing if one.is_quiet(now_s, QUIET_S)}
    # What the kernel holds already has arrived, though the event loop has not read it yet.
    for descriptor in quiet.keys() - _readable(quiet):
        quiet[descriptor].take_leave()


def _readable(descriptors: Iterable[int]) -> set[int]:
    poll = select.poll()
    for one in descriptors:
        if one >= 0:
            poll.register(one, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(0)}
