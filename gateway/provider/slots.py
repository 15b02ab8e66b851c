"""The slots in which calls to a provider are made, and the wait for one.

`FairQueue` decides who waits, who goes and who gives way; here that is waited for. Nobody waits for longer than
`wait_s`, and whoever leaves while waiting, or with a slot, leaves nothing taken.

After an outage there is one slot, and one more for each call that is answered: 1, 2, 4, 8 … at a time, each round twice
as many. Those who wait meanwhile come in as a growing stream and not as a herd.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.http.client_network import ClientNetwork
from gateway.provider.errors import CrowdedError
from gateway.provider.fair_queue import FairQueue, Queued, SlotTaken, TurnedAway

_RETRY_AFTER_S = 1.0  # what a caller is told who found too many before it

Waiter = asyncio.Future[None]


class Slots:
    """`count` calls at a time, `places` questions that wait for one, each `wait_s` at most."""

    def __init__(self, count: int, places: int, wait_s: float) -> None:
        self._count = count
        self._wait_s = wait_s
        self._queue: FairQueue[Waiter] = FairQueue(count, places)

    @property
    def wait_s(self) -> float:
        """How long one who came now might wait."""
        return 0.0 if self._queue.has_room else self._wait_s

    @property
    def are_growing(self) -> bool:
        return self._queue.capacity < self._count

    @asynccontextmanager
    async def hold(self, network: ClientNetwork) -> AsyncIterator[None]:
        """A slot. Raises `CrowdedError` where none came free, or what `turn_away` was given."""
        await self._wait(network)
        try:
            yield
        finally:
            self._give_back(network)

    def restart(self) -> None:
        """From one slot on, as many as prove good."""
        self._queue.capacity = 1

    def grow(self) -> None:
        if self.are_growing:
            self._queue.capacity += 1
            self._let_go()

    def turn_away(self, why: Callable[[], Exception]) -> None:
        """Nobody need wait any longer."""
        for waiter in self._queue.empty():
            _fail(waiter, why())

    async def _wait(self, network: ClientNetwork) -> None:
        loop = asyncio.get_running_loop()
        waiter: Waiter = loop.create_future()
        match self._queue.enter(network, waiter):
            case SlotTaken():
                return
            case TurnedAway():
                raise CrowdedError("too many questions wait for it already", _RETRY_AFTER_S)
            case Queued(gave_way):
                if gave_way is not None:
                    _fail(gave_way, CrowdedError("too many others of its network wait for it", _RETRY_AFTER_S))
        timer = loop.call_later(self._wait_s, self._give_up, network, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled() or waiter.exception() is not None:
                self._queue.leave(network, waiter)
            else:  # the slot was given at the same moment
                self._give_back(network)
            raise
        finally:
            timer.cancel()

    def _give_up(self, network: ClientNetwork, waiter: Waiter) -> None:
        if self._queue.leave(network, waiter):
            _fail(waiter, CrowdedError("no call to it came free in time", _RETRY_AFTER_S))

    def _give_back(self, network: ClientNetwork) -> None:
        self._queue.give_back(network)
        self._let_go()

    def _let_go(self) -> None:
        while going := self._queue.next_waiters():
            for network, waiter in going:
                if waiter.done():  # it has just left and not been seen off yet
                    self._queue.give_back(network)
                else:
                    waiter.set_result(None)


def _fail(waiter: Waiter, why: Exception) -> None:
    if not waiter.done():
        waiter.set_exception(why)
