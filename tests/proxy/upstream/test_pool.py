"""Connections to one backend: which is used, who waits, and that nothing is lost when somebody gives up."""

import asyncio
from collections.abc import Callable
from math import inf

import pytest

from gateway.proxy.upstream.backend_error import NotConnectedError
from gateway.proxy.upstream.pool import _IDLE_MAX_S, Pool

SOON_S = 10.0


class Stub:
    """A connection that does as it is told."""

    def __init__(self, keeper: Pool) -> None:
        self.keeper = keeper
        self.usable = True
        self.ended: str | None = None
        self.deadline_s = inf
        self.idle_since_s = 0.0
        self.made_s = 0.0
        self.unasked = b""
        self.is_last = False

    def retire(self) -> None:
        self.is_last = True

    def is_usable(self, *, is_new: bool = False) -> bool:
        return self.usable and self.ended is None

    def _end(self, how: str) -> None:
        if self.ended is None:
            self.ended = how
            self.keeper.lost(self)

    def abandon(self) -> None:
        self._end("abandoned")

    def end(self) -> None:
        self._end("closed")

    def expired(self) -> None:
        self._end("late")


class Place:
    """A pool and what it opened. `opening` is waited for before a connection is there; `error` is raised instead."""

    def __init__(self, connections_max: int = 2) -> None:
        self.connections_max = connections_max
        self.opened: list[Stub] = []
        self.opening = asyncio.Event()
        self.opening.set()
        self.error: Exception | None = None
        self.opens_usable = True
        self.pool = Pool(self.open, lambda: self.connections_max, asyncio.get_running_loop())

    async def open(self, keeper: Pool) -> Stub:
        await self.opening.wait()
        if self.error is not None:
            raise self.error
        stub = Stub(keeper)
        stub.usable = self.opens_usable
        self.opened.append(stub)
        return stub

    async def acquire(self, timeout_s: float = SOON_S) -> Stub:
        return await self.pool.acquire(timeout_s)

    def waiter(self, timeout_s: float = SOON_S) -> asyncio.Task:
        return asyncio.ensure_future(self.pool.acquire(timeout_s))


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# Which one.


async def test_the_one_that_was_used_last_is_used_first():
    place = Place(3)
    one, two, three = [await place.acquire() for _ in range(3)]
    for stub in (two, one, three):
        place.pool.released(stub)
    assert [place.pool.take() for _ in range(4)] == [three, one, two, None]


async def test_one_that_is_no_longer_usable_is_thrown_away_for_the_next():
    place = Place(3)
    stubs = [await place.acquire() for _ in range(3)]
    for stub in stubs:
        place.pool.released(stub)
    stubs[2].usable = stubs[1].usable = False
    assert await place.acquire() is stubs[0]
    assert [stub.ended for stub in stubs] == [None, "abandoned", "abandoned"]
    assert place.pool.size == 1


async def test_one_that_is_in_use_is_nobody_elses():
    place = Place()
    one = await place.acquire()
    assert place.pool.take() is None
    assert await place.acquire() is not one


async def test_a_new_one_that_is_of_no_use_is_an_error_and_frees_its_place():
    place = Place(1)
    place.opens_usable = False
    with pytest.raises(NotConnectedError):
        await place.acquire()
    assert place.opened[0].ended == "abandoned"
    assert place.pool.is_empty


async def test_what_keeps_it_from_being_opened_is_told_and_frees_its_place():
    place = Place(1)
    place.error = NotConnectedError("refused")
    for _ in range(3):
        with pytest.raises(NotConnectedError, match="refused"):
            await place.acquire()
    assert place.pool.is_empty


# The cap.


async def test_beyond_the_cap_they_wait_their_turn_in_order():
    place = Place(2)
    one, two = await place.acquire(), await place.acquire()
    third, fourth = place.waiter(), place.waiter()
    await turns()
    assert not third.done()
    place.pool.released(two)
    assert await third is two
    assert not fourth.done()
    place.pool.released(one)
    assert await fourth is one
    assert len(place.opened) == place.pool.size == 2


async def test_those_that_are_being_opened_count():
    place = Place(1)
    place.opening.clear()
    first, second = place.waiter(), place.waiter()
    await turns()
    assert place.pool.size == 1
    place.opening.set()
    one = await first
    await turns()
    assert (len(place.opened), second.done()) == (1, False)
    place.pool.released(one)
    assert await second is one


async def test_who_waits_too_long_is_told_so_and_takes_nobodys_turn():
    place = Place(1)
    one = await place.acquire()
    with pytest.raises(NotConnectedError) as caught:
        await place.acquire(0.01)
    assert caught.value.is_late
    place.pool.released(one)
    assert await place.acquire() is one


async def test_opening_counts_towards_the_deadline_too():
    place = Place(1)
    place.opening.clear()
    with pytest.raises(NotConnectedError) as caught:
        await place.acquire(0.01)
    assert caught.value.is_late
    assert place.pool.is_empty


async def test_one_that_is_lost_lets_the_next_in_line_open_another():
    place = Place(1)
    one = await place.acquire()
    waiter = place.waiter()
    await turns()
    one.abandon()
    assert await waiter is place.opened[1]


async def test_one_that_could_not_be_opened_lets_the_next_in_line_try():
    place = Place(1)
    place.opening.clear()
    place.error = NotConnectedError("refused")
    first, second = place.waiter(), place.waiter()
    await turns()
    place.opening.set()
    with pytest.raises(NotConnectedError):
        await first
    with pytest.raises(NotConnectedError):
        await second


async def test_one_that_ends_in_the_turn_it_is_handed_over_is_not_used():
    place = Place(1)
    one = await place.acquire()
    waiter = place.waiter()
    await turns()
    place.pool.released(one)
    one.usable = False
    assert await waiter is place.opened[1]
    assert one.ended == "abandoned"


async def test_a_cap_that_is_lowered_holds_for_the_next():
    place = Place(2)
    one, two = await place.acquire(), await place.acquire()
    place.connections_max = 1
    waiter = place.waiter()
    await turns()
    one.abandon()
    await turns()
    assert not waiter.done()
    place.pool.released(two)
    assert await waiter is two


# Who gives up.


@pytest.mark.parametrize("give", [lambda place, stub: place.pool.released(stub), lambda place, stub: stub.abandon()])
async def test_who_gives_up_in_the_turn_of_being_served_passes_it_on(give: Callable[[Place, Stub], None]):
    place = Place(1)
    one = await place.acquire()
    first, second = place.waiter(), place.waiter()
    await turns()
    give(place, one)
    first.cancel()
    got = await second
    assert got is place.opened[-1]
    with pytest.raises(asyncio.CancelledError):
        await first
    place.pool.released(got)
    assert (place.pool.size, place.pool.take()) == (1, got)


async def test_who_gives_up_while_waiting_is_passed_over():
    place = Place(1)
    one = await place.acquire()
    first, second = place.waiter(), place.waiter()
    await turns()
    first.cancel()
    await turns()
    place.pool.released(one)
    assert await second is one


async def test_who_gives_up_while_it_is_opened_frees_the_place():
    place = Place(1)
    place.opening.clear()
    first, second = place.waiter(), place.waiter()
    await turns()
    first.cancel()
    await turns()
    place.opening.set()
    assert await second is place.opened[0]
    assert len(place.opened) == place.pool.size == 1


async def test_after_many_have_come_and_gone_nothing_is_missing():
    place = Place(3)

    async def use(number: int) -> None:
        stub = await place.acquire()
        await turns(number % 4)
        if number % 5 == 0:
            stub.abandon()
        else:
            place.pool.released(stub)

    tasks = [asyncio.ensure_future(use(number)) for number in range(200)]
    await turns(2)
    for task in tasks[::3]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # Those that were cancelled while they held one took it with them, as a lane does that ends it.
    for stub in [one for one in place.opened if one.ended is None and one in place.pool._busy]:
        stub.abandon()
    held = [await place.acquire() for _ in range(3)]
    assert len({id(stub) for stub in held}) == place.pool.size == 3


# Time.


async def test_the_sweep_ends_what_is_idle_for_long_and_what_is_late():
    place = Place(4)
    fresh, old, late, busy = [await place.acquire() for _ in range(4)]
    now_s = asyncio.get_running_loop().time()
    for stub in (fresh, old):
        place.pool.released(stub)
    old.idle_since_s = now_s - _IDLE_MAX_S - 1
    late.deadline_s = now_s - 1
    busy.deadline_s = now_s + 100
    place.pool.sweep(now_s)
    assert [stub.ended for stub in (fresh, old, late, busy)] == [None, "closed", "late", None]
    assert place.pool.size == 2


async def test_when_it_is_closed_all_go():
    place = Place(2)
    idle, busy = await place.acquire(), await place.acquire()
    place.pool.released(idle)
    place.pool.close()
    assert [idle.ended, busy.ended] == ["abandoned"] * 2
    assert place.pool.is_empty
