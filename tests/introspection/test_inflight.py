import asyncio
import gc

from gateway.authn.facts import Inactive
from gateway.authn.question import FactsLookup
from gateway.introspection.inflight import FlightResult, Inflight, outliving
from gateway.introspection.tag_purge import purge_everything, purge_of

LANDED = FlightResult(FactsLookup(Inactive(0.0), "provider"), tags=(b"alice",))
CAME_S = 100.0


def test_a_flight_that_no_purge_passed_serves_everyone() -> None:
    flight = Inflight(b"key")
    flight.note_purge(purge_of([b"bob", b"other key"]), 1)
    assert flight.purged_at(LANDED.tags) is None
    assert flight.serves(LANDED, 0, None, CAME_S)
    assert flight.serves(LANDED, 9, None, CAME_S)


def test_a_purged_flight_serves_only_those_who_asked_before_the_purge() -> None:
    for purge in (purge_everything(), purge_of([b"key"]), purge_of([b"alice"])):
        flight = Inflight(b"key")
        flight.note_purge(purge, 3)
        assert flight.serves(LANDED, 2, None, CAME_S)
        assert not flight.serves(LANDED, 3, None, CAME_S)


def test_the_first_purge_counts() -> None:
    flight = Inflight(b"key")
    for number, purge in enumerate([purge_of([b"alice"]), purge_everything(), purge_of([b"alice"])], start=4):
        flight.note_purge(purge, number)
    assert flight.purged_at((b"alice",)) == 4
    assert flight.purged_at() == 5


def test_the_age_counts_unless_the_call_was_not_over_when_the_question_came() -> None:
    flight = Inflight(b"key")
    recalled = FlightResult(FactsLookup(Inactive(0.0), "redis"), age_s=5.0)
    assert flight.serves(recalled, 0, None, CAME_S)
    assert flight.serves(recalled, 0, 5.1, CAME_S)
    assert not flight.serves(recalled, 0, 5.0, CAME_S)
    for tier in ("provider", "redis"):
        outcome = FlightResult(FactsLookup(Inactive(0.0), tier), age_s=5.0, under_way_s=CAME_S)
        assert flight.serves(outcome, 0, 0.0, CAME_S)
        assert not flight.serves(outcome, 0, 0.0, CAME_S + 0.1)


async def test_a_caller_that_leaves_takes_the_flight_from_nobody() -> None:
    landing: asyncio.Future[FlightResult] = asyncio.get_running_loop().create_future()
    leaving, staying = outliving(landing), outliving(landing)
    leaving.cancel()
    await asyncio.sleep(0)
    assert not landing.done()
    landing.set_result(LANDED)
    assert await staying is LANDED


async def test_a_flight_that_is_cancelled_or_fails_ends_so_for_all_who_wait() -> None:
    loop = asyncio.get_running_loop()
    cancelled: asyncio.Future[FlightResult] = loop.create_future()
    failed: asyncio.Future[FlightResult] = loop.create_future()
    of_cancelled, of_failed = outliving(cancelled), outliving(failed)
    cancelled.cancel()
    failed.set_exception(ZeroDivisionError())
    outcomes = await asyncio.gather(of_cancelled, of_failed, return_exceptions=True)
    assert [type(each) for each in outcomes] == [asyncio.CancelledError, ZeroDivisionError]


async def test_the_error_of_a_flight_that_nobody_waits_for_any_more_is_not_called_forgotten() -> None:
    told: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    landing: asyncio.Future[FlightResult] = loop.create_future()
    outliving(landing).cancel()
    landing.set_exception(ZeroDivisionError())
    await asyncio.sleep(0)
    del landing
    gc.collect()
    assert told == []
