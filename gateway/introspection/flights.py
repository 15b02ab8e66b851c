"""Questions under way: each is asked once, and all who ask it meanwhile wait for the same result.

    join -> recalling (fleet, no task) -> fetching (task: lease, provider) -> settling -> over: nobody joins any more
                      └──── the fleet has the result ────────────────────────┘

All callers wait for `Inflight.landing`, a future that outlives each of them: a caller that leaves neither ends nor
delays the flight. `Flights` owns every task and future; `close` ends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from gateway.authn.question import Question
from gateway.http.client_network import client_network
from gateway.introspection.fetcher import FactsFetcher
from gateway.introspection.inflight import FlightResult, Inflight
from gateway.introspection.ports import Absent, Recalled
from gateway.introspection.tag_purge import TagPurge
from gateway.spans import note_span

_T = TypeVar("_T")


class Flights:
    """Starts flights and lets callers join them.

    `is_active` says whether a key's token is known as active. `land` takes the result of a flight, and returns the work
    to wait for before the flight is over. `monotonic` measures, in seconds.
    """

    def __init__(
        self,
        fetcher: FactsFetcher,
        is_active: Callable[[bytes], bool],
        land: Callable[[Inflight, Question, FlightResult], Coroutine[Any, Any, object] | None],
        monotonic: Callable[[], float],
    ) -> None:
        self._fetcher = fetcher
        self._is_active = is_active
        self._land = land
        self._monotonic = monotonic
        self._flights: dict[bytes, Inflight] = {}
        self._tasks: set[asyncio.Future[Any]] = set()  # and landings

    def note_purge(self, purge: TagPurge, number: int) -> None:
        for flight in self._flights.values():
            flight.note_purge(purge, number)

    async def close(self, within_s: float) -> None:
        """Lets flights end for `within_s`, then cancels them, and with them everybody who still waits for one."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        # Wait again: a flight that ended may have left a lease to release.
        while self._tasks and (left_s := until_s - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def join(self, key: bytes, question: Question) -> tuple[Inflight, asyncio.Future[FlightResult]]:
        """The flight to join, or a new one if there is none or a purge has covered the key since it started."""
        flight = self._flights.get(key)
        if flight is None or flight.landing is None or flight.purged_at(self._fetcher.key_tags(key)) is not None:
            flight = self._flights[key] = Inflight(key, question.address)
            flight.landing = self._take_off(flight, question)
        else:
            flight.joiners.join(client_network(question.address))
        return flight, flight.landing

    def _take_off(self, flight: Inflight, question: Question) -> asyncio.Future[FlightResult]:
        """Asks the fleet, which needs no task. Makes one if the fleet does not have the result."""
        landing: asyncio.Future[FlightResult] = asyncio.get_running_loop().create_future()
        self._tasks.add(landing)
        flight.was_active = self._is_active(flight.key)
        recalling = self._fetcher.recall(flight.key, question)
        if recalling is None:
            self._fly(flight, landing, self._asked(flight, question, None, 0.0))
        else:
            flight.recalling = recalling if isinstance(recalling, asyncio.Future) else asyncio.ensure_future(recalling)
            flight.recalling.add_done_callback(partial(self._recalled, flight, landing, question, self._monotonic()))
        return landing

    def _recalled(
        self,
        flight: Inflight,
        landing: asyncio.Future[FlightResult],
        question: Question,
        began_s: float,
        recalling: asyncio.Future[Recalled | Absent],
    ) -> None:
        flight.recalling = None
        note_span("recall", "redis", began_s)
        if landing.done() or recalling.cancelled():
            self._end(flight, landing)
            return
        try:
            outcome, last_known = self._fetcher.recalled(flight.key, question, recalling.result())
            settling = None if outcome is None else self._land(flight, question, outcome)
        except Exception as error:  # noqa: BLE001 - all who wait for the result get any defect
            self._end(flight, landing, error)
            return
        if outcome is None:
            spent_s = self._monotonic() - began_s
            self._fly(flight, landing, self._asked(flight, question, last_known, spent_s))
        elif settling is not None:
            self._fly(flight, landing, _after(settling, outcome))
        else:
            self._end(flight, landing, outcome)

    def _fly(
        self, flight: Inflight, landing: asyncio.Future[FlightResult], work: Coroutine[Any, Any, FlightResult]
    ) -> None:
        def over(task: asyncio.Task[FlightResult]) -> None:
            self._end(flight, landing, None if task.cancelled() else task.exception() or task.result())

        self.spawn(work).add_done_callback(over)

    async def _asked(
        self, flight: Inflight, question: Question, last_known: Recalled | None, spent_s: float
    ) -> FlightResult:
        outcome = await self._fetcher.fetch(flight.key, question, flight.joiners, last_known, spent_s)
        settling = self._land(flight, question, outcome)
        return outcome if settling is None else await _after(settling, outcome)

    def _end(
        self,
        flight: Inflight,
        landing: asyncio.Future[FlightResult],
        outcome: FlightResult | BaseException | None = None,
    ) -> None:
        """Ends the flight. Nobody joins it any more; all who wait get the outcome, or with `None` are cancelled."""
        self._tasks.discard(landing)
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        if landing.done():
            return
        if isinstance(outcome, FlightResult):
            landing.set_result(outcome)
        elif outcome is not None:
            landing.set_exception(outcome)
        else:
            landing.cancel()

    def spawn(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Starts a task that outlives its callers but not this object. The loop itself holds tasks only weakly."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _after(settling: Coroutine[Any, Any, object], outcome: FlightResult) -> FlightResult:
    await settling
    return outcome
