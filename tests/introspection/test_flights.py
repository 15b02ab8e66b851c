import asyncio
import time

import pytest

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts
from gateway.authn.question import FactsLookup, Question
from gateway.introspection.flights import Flights
from gateway.introspection.inflight import FlightResult
from gateway.introspection.ports import Absent, Recalled

QUESTION = Question("p", Token("alice"))
HIT = FlightResult(FactsLookup(Facts({}, 0.0), "redis"))
CALL = FlightResult(FactsLookup(Facts({}, 0.0), "provider"))


class FakeSource:
    """A fleet that answers when it is told to, and a provider."""

    def __init__(self) -> None:
        self.recalling: list[asyncio.Future[Recalled | Absent]] = []
        self.calls = 0

    def key_tags(self, key: bytes) -> tuple[bytes, ...]:
        return (key,)

    def recall(self, key: bytes, question: Question) -> asyncio.Future[Recalled | Absent]:
        self.recalling.append(asyncio.get_running_loop().create_future())
        return self.recalling[-1]

    def recalled(self, key: bytes, question: Question, recalled: Recalled | Absent) -> tuple[FlightResult | None, None]:
        if recalled is Absent.ERROR:
            raise ZeroDivisionError
        return (None if recalled is Absent.MISS else HIT), None

    async def fetch(self, *arguments: object) -> FlightResult:
        self.calls += 1
        return CALL


def flights_of(source: FakeSource) -> Flights:
    return Flights(source, lambda _: False, lambda *_: None, time.monotonic)


async def test_what_the_fleet_has_lands_without_a_task_and_for_all_who_wait() -> None:
    source = FakeSource()
    flights, tasks = flights_of(source), asyncio.all_tasks()
    landings = [flights.join(b"k", QUESTION)[1] for _ in range(3)]
    source.recalling[0].set_result(Recalled(Facts({}, 0.0), 0.0, 60.0))
    assert asyncio.all_tasks() == tasks
    assert await asyncio.gather(*landings) == [HIT] * 3
    assert (len(source.recalling), source.calls) == (1, 0)
    flights.join(b"k", QUESTION)
    assert len(source.recalling) == 2  # nobody joins what is over
    await flights.close(0)


async def test_what_the_fleet_does_not_have_is_asked_for_once() -> None:
    source = FakeSource()
    flights = flights_of(source)
    landings = [flights.join(b"k", QUESTION)[1] for _ in range(3)]
    source.recalling[0].set_result(Absent.MISS)
    assert await asyncio.gather(*landings) == [CALL] * 3
    assert source.calls == 1


async def test_whoever_leaves_ends_the_flight_for_nobody() -> None:
    source = FakeSource()
    flights = flights_of(source)
    leaving = asyncio.ensure_future(asyncio.shield(flights.join(b"k", QUESTION)[1]))
    staying = flights.join(b"k", QUESTION)[1]
    await asyncio.sleep(0)
    leaving.cancel()
    source.recalling[0].set_result(Recalled(Facts({}, 0.0), 0.0, 60.0))
    assert await staying == HIT


async def test_a_fault_of_ours_reaches_those_who_wait_and_ends_the_flight() -> None:
    source = FakeSource()
    flights = flights_of(source)
    _, landing = flights.join(b"k", QUESTION)
    source.recalling[0].set_result(Absent.ERROR)
    with pytest.raises(ZeroDivisionError):
        await landing
    flights.join(b"k", QUESTION)
    assert len(source.recalling) == 2
    await flights.close(0)


async def test_closing_waits_for_so_long_and_then_ends_those_who_still_wait() -> None:
    source = FakeSource()
    flights = flights_of(source)
    _, landing = flights.join(b"k", QUESTION)
    began_s = time.monotonic()
    await flights.close(0.1)
    assert 0.09 < time.monotonic() - began_s < 2
    assert landing.cancelled()
