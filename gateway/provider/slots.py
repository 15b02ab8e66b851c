"""The slots in which calls to a provider run, and the wait for one.

    hold -> slot free: run -> release -> grant free slots to waiters
         -> no slot: wait in the queue of each network -> granted | displaced | timed out | rejected | cancelled

`FairQueue` decides who waits, who gets a slot and who gives way; this module does the waiting. Nobody waits for longer
than `wait_s`. A caller that is cancelled, while it waits or while it holds a slot, leaves nothing occupied. There are
no tasks here: a waiter is a future, and one timer bounds its wait.

Several networks may ask one question. It then has a place in the queue of each, and takes the first slot that any of
them gets. So the first to ask, from a network that floods, does not make the others wait in its place.

After an outage there is one slot, and one more for each call that succeeds: 1, 2, 4, 8 … at a time. So the waiters come
in as a growing stream and not as a herd.
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
from gateway.provider.fair_queue import FairQueue, Queued, QueueFull, SlotGranted

_RETRY_AFTER_S = 1.0  # for a caller that found too many before it


@dataclass(slots=True, eq=False)
class _Waiter:
    """One question that waits. `granted` becomes the network whose slot it has."""

    granted: asyncio.Future[ClientNetwork]
    places: set[_Place] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Place:
    network: ClientNetwork
    waiter: _Waiter


class Slots:
    """Runs `count` calls at a time. Up to `places` questions wait for a slot, each for `wait_s` at most."""

    def __init__(self, count: int, places: int, wait_s: float) -> None:
        self._count = count
        self._wait_s = wait_s
        self._queue: FairQueue[_Place] = FairQueue(count, places)

    @property
    def wait_s(self) -> float:
        """How long a question that comes now may have to wait."""
        return 0.0 if self._queue.has_room else self._wait_s

    @property
    def is_ramping_up(self) -> bool:
        return self._queue.capacity < self._count

    @asynccontextmanager
    async def hold(self, network: ClientNetwork, joiners: Joiners | None = None) -> AsyncIterator[None]:
        """Hold a slot of `network` or of one of `joiners`.

        Raises `CrowdedError` when no slot came free, or the error that `reject_waiters` was given.
        """
        granted = await self._wait(network, joiners or Joiners(network))
        try:
            yield
        finally:
            self._release(granted)

    def restart(self) -> None:
        """Begin again with one slot; `grow` adds the others."""
        self._queue.capacity = 1

    def grow(self) -> None:
        if self.is_ramping_up:
            self._queue.capacity += 1
            self._grant_free_slots()

    def reject_waiters(self, why: Callable[[], Exception]) -> None:
        """Fail all who wait, each with an error that `why` makes."""
        for place in self._queue.clear():
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
        timer = loop.call_later(self._wait_s, self._time_out, waiter)
        try:
            with joiners.on_join(partial(self._enter, waiter)):
                return await granted
        except asyncio.CancelledError:
            if granted.cancelled() or granted.exception() is not None:
                self._leave(waiter)
            else:  # the slot was given at the same moment
                self._release(granted.result())
            raise
        finally:
            timer.cancel()

    def _enter(self, waiter: _Waiter, network: ClientNetwork) -> None:
        """Give the question a place in the queue of `network` too, if there is room."""
        if waiter.granted.done():
            return
        place = _Place(network, waiter)
        match self._queue.enter(network, place):
            case SlotGranted():
                waiter.granted.set_result(network)
            case Queued(displaced):
                waiter.places.add(place)
                if displaced is not None:
                    self._displace(displaced)
            case QueueFull():
                pass  # it keeps its other places

    def _displace(self, place: _Place) -> None:
        place.waiter.places.discard(place)
        if not place.waiter.places:
            _fail(place.waiter, CrowdedError("too many others of its network wait for it", _RETRY_AFTER_S))

    def _time_out(self, waiter: _Waiter) -> None:
        self._leave(waiter)
        _fail(waiter, CrowdedError("no call to it came free in time", _RETRY_AFTER_S))

    def _leave(self, waiter: _Waiter) -> None:
        for place in waiter.places:
            self._queue.leave(place.network, place)
        waiter.places.clear()

    def _release(self, network: ClientNetwork) -> None:
        self._queue.release(network)
        self._grant_free_slots()

    def _grant_free_slots(self) -> None:
        while going := self._queue.next_waiters():
            for network, place in going:
                waiter = place.waiter
                if waiter.granted.done():  # it has just left, or another place of it came first
                    self._queue.release(network)
                else:
                    waiter.granted.set_result(network)
                    self._leave(waiter)


def _fail(waiter: _Waiter, why: Exception) -> None:
    if not waiter.granted.done():
        waiter.granted.set_exception(why)
