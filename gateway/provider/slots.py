"""The slots in which calls to a provider are made, and the wait for one.

`FairQueue` decides who waits, who goes and who gives way; here that is waited for. Nobody waits for longer than
`wait_s`, and whoever leaves while waiting, or with a slot, leaves nothing taken.

One question may be asked by several networks. It then has a place in the queue of each, and takes the first slot that
any of them gets. So whoever asks first, from a network that floods, does not make the others wait in its place.

After an outage there is one slot, and one more for each call that is answered: 1, 2, 4, 8 … at a time, each round twice
as many. Those who wait meanwhile come in as a growing stream and not as a herd.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from gateway.http.client_network import ClientNetwork
from gateway.introspection.joiners import Joiners
from gateway.provider.errors import CrowdedError
from gateway.provider.fair_queue import FairQueue, Queued, SlotTaken, TurnedAway

_RETRY_AFTER_S = 1.0  # what a caller is told who found too many before it


@dataclass(slots=True, eq=False)
class _Waiter:
    """One question; `granted` becomes the network in whose name it has a slot."""

    granted: asyncio.Future[ClientNetwork]
    places: set[_Place] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Place:
    network: ClientNetwork
    waiter: _Waiter


class Slots:
    """`count` calls at a time, `places` questions that wait for one, each `wait_s` at most."""

    def __init__(self, count: int, places: int, wait_s: float) -> None:
        self._count = count
        self._wait_s = wait_s
        self._queue: FairQueue[_Place] = FairQueue(count, places)

    @property
    def wait_s(self) -> float:
        """How long one who came now might wait."""
        return 0.0 if self._queue.has_room else self._wait_s

    @property
    def are_growing(self) -> bool:
        return self._queue.capacity < self._count

    @asynccontextmanager
    async def hold(self, network: ClientNetwork, joiners: Joiners | None = None) -> AsyncIterator[None]:
        """A slot, in the name of `network` or of one of `joiners`.

        Raises `CrowdedError` where none came free, or what `turn_away` was given.
        """
        granted = await self._wait(network, joiners or Joiners(network))
        try:
            yield
        finally:
            self._give_back(granted)

    def restart(self) -> None:
        """From one slot on, as many as prove good."""
        self._queue.capacity = 1

    def grow(self) -> None:
        if self.are_growing:
            self._queue.capacity += 1
            self._let_go()

    def turn_away(self, why: Callable[[], Exception]) -> None:
        """Nobody need wait any longer."""
        for place in self._queue.empty():
            place.waiter.places.clear()
            _fail(place.waiter, why())

    async def _wait(self, network: ClientNetwork, joiners: Joiners) -> ClientNetwork:
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future())
        for one in (network, *(joined for joined in joiners.networks if joined != network)):
            self._enter(waiter, one)
        granted = waiter.granted
        if not granted.done() and not waiter.places:
            raise CrowdedError("too many questions wait for it already", _RETRY_AFTER_S)
        timer = loop.call_later(self._wait_s, self._give_up, waiter)
        try:
            with joiners.heard_by(partial(self._enter, waiter)):
                return await granted
        except asyncio.CancelledError:
            if granted.cancelled() or granted.exception() is not None:
                self._leave(waiter)
            else:  # the slot was given at the same moment
                self._give_back(granted.result())
            raise
        finally:
            timer.cancel()

    def _enter(self, waiter: _Waiter, network: ClientNetwork) -> None:
        """Give the question a place in the queue of `network` too, where there is one to be had."""
        if waiter.granted.done():
            return
        place = _Place(network, waiter)
        match self._queue.enter(network, place):
            case SlotTaken():
                waiter.granted.set_result(network)
            case Queued(gave_way):
                waiter.places.add(place)
                if gave_way is not None:
                    self._gave_way(gave_way)
            case TurnedAway():
                pass  # whatever other places it has it keeps

    def _gave_way(self, place: _Place) -> None:
        place.waiter.places.discard(place)
        if not place.waiter.places:
            _fail(place.waiter, CrowdedError("too many others of its network wait for it", _RETRY_AFTER_S))

    def _give_up(self, waiter: _Waiter) -> None:
        self._leave(waiter)
        _fail(waiter, CrowdedError("no call to it came free in time", _RETRY_AFTER_S))

    def _leave(self, waiter: _Waiter) -> None:
        for place in waiter.places:
            self._queue.leave(place.network, place)
        waiter.places.clear()

    def _give_back(self, network: ClientNetwork) -> None:
        self._queue.give_back(network)
        self._let_go()

    def _let_go(self) -> None:
        while going := self._queue.next_waiters():
            for network, place in going:
                waiter = place.waiter
                if waiter.granted.done():  # it has just left, or its other place came first
                    self._queue.give_back(network)
                else:
                    waiter.granted.set_result(network)
                    self._leave(waiter)


def _fail(waiter: _Waiter, why: Exception) -> None:
    if not waiter.granted.done():
        waiter.granted.set_exception(why)
