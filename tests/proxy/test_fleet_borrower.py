"""What one worker asks the fleet's buckets, and what becomes of requests where these are slow or say no."""

import asyncio
import time

import pytest

from gateway.condition import Met
from gateway.conditions.within_limits import WithinLimits
from gateway.http.refusal import Refusal
from gateway.limits.fleet_size import FleetSize
from gateway.limits.limit import CompiledLimit
from gateway.proxy.limiter import Limiter, LimitTally

ALICE, BOB = "claim 1 p text alice", "claim 1 p text bob"
SMALL = CompiledLimit("small", 10, 60.0, 10, ("sub",))


class SlowFleet:
    """Keeps questions until `answer`; gives what its buckets have, and nothing ahead unless told."""

    healthy = True
    size = FleetSize()

    def __init__(self, level: float = 10.0, ahead: int = 0) -> None:
        self.level = level
        self.ahead = ahead
        self.asked = []

    def ask(self, limit, identity, borrow, heard) -> None:
        del limit
        self.asked.append((identity, borrow, heard))

    @property
    def needs(self) -> list[tuple[str, int]]:
        return [(identity, borrow.needs) for identity, borrow, _ in self.asked]

    async def answer(self, count: int = 1, *, with_error: bool = False) -> None:
        for _ in range(count):
            _, borrow, heard = self.asked.pop(0)
            given = min(borrow.needs + self.ahead, int(self.level))
            self.level -= given
            heard(None if with_error else (given, self.level))
        await asyncio.sleep(0.01)


class RefusingFleet:
    """As a Redis that is out of memory, or read-only: it is there and answers, and every answer is an error."""

    healthy = True
    size = FleetSize()

    def __init__(self) -> None:
        self.asks = 0

    def ask(self, limit, identity, borrow, heard) -> None:
        del limit, identity, borrow
        self.asks += 1
        heard(None)


def limiter_of(fleet, limit: CompiledLimit = SMALL, monotonic=time.monotonic, workers: int = 1) -> Limiter:
    return Limiter((limit,), workers, fleet, lambda _: LimitTally(), monotonic)


async def settled(limiter: Limiter, who: str, limit: CompiledLimit = SMALL) -> Refusal | Met:
    condition = WithinLimits(((limit, who),))
    return limiter.known(condition) or await limiter.find(condition)


def asking(limiter: Limiter, who: str, count: int = 1) -> list[asyncio.Task[Refusal | Met]]:
    return [asyncio.create_task(settled(limiter, who)) for _ in range(count)]


def allowed(tasks) -> list[bool]:
    return [isinstance(task.result(), Met) for task in tasks]


@pytest.mark.parametrize(("quota", "window_s"), [(100, 1.0), (1000, 3600.0), (5, 60.0)])
async def test_a_fleet_that_refuses_every_question_leaves_nobody_without_a_limit(quota, window_s) -> None:
    limit, now_s, passed = CompiledLimit("l", quota, window_s, quota, ("sub",)), 1000.0, 0
    limiter = limiter_of(RefusingFleet(), limit, lambda: now_s)
    for _ in range(10_000):
        passed += isinstance(await settled(limiter, ALICE, limit), Met)
        now_s += 0.001
    assert passed <= (quota + 10 * quota / window_s) * 1.02 + 1


async def test_the_operator_sees_that_a_fleet_refuses_every_question() -> None:
    now_s = 1000.0
    limiter = limiter_of(RefusingFleet(), monotonic=lambda: now_s)
    assert not limiter.is_alone
    await settled(limiter, ALICE)
    assert limiter.is_alone
    now_s += 6
    assert not limiter.is_alone  # nothing was tried since


async def test_requests_of_one_moment_are_one_question() -> None:
    fleet = SlowFleet(level=10)
    limiter = limiter_of(fleet)
    tasks = asking(limiter, ALICE, 12)
    await asyncio.sleep(0.01)
    assert fleet.needs == [(ALICE, 12)]
    await fleet.answer()
    assert allowed(tasks) == [True] * 10 + [False] * 2
    await limiter.close()


async def test_a_caller_with_very_many_requests_has_one_question_in_line_and_others_are_asked_for_beside_it() -> None:
    fleet = SlowFleet(level=0)
    limiter = limiter_of(fleet)
    flood = []
    for _ in range(50):
        flood += asking(limiter, ALICE, 20)
        await asyncio.sleep(0.001)
    bob = asking(limiter, BOB)
    await asyncio.sleep(0.01)
    assert fleet.needs == [(ALICE, 20), (BOB, 1)]
    await fleet.answer()
    assert fleet.needs == [(BOB, 1)]  # the bucket is empty: the others are refused without another question
    assert allowed(flood) == [False] * 1000
    fleet.level = 5
    await fleet.answer()
    assert allowed(bob) == [True]
    await limiter.close()


async def test_whoever_comes_while_the_fleet_is_asked_gets_of_what_it_brings_or_is_in_the_next_question() -> None:
    fleet = SlowFleet(level=100, ahead=2)
    limiter = limiter_of(fleet)
    first = asking(limiter, ALICE)
    await asyncio.sleep(0.01)
    later = asking(limiter, ALICE, 5)
    await asyncio.sleep(0.01)
    assert fleet.needs == [(ALICE, 1)]
    await fleet.answer()
    assert allowed(first) == [True]
    assert [task.done() for task in later] == [True, True, False, False, False]
    assert fleet.needs == [(ALICE, 3)]
    await fleet.answer()
    assert allowed(later) == [True] * 5
    await limiter.close()


async def test_a_question_without_an_answer_lets_all_that_wait_for_it_count_alone() -> None:
    fleet = SlowFleet()
    limiter = limiter_of(fleet)
    tasks = asking(limiter, ALICE, 6)
    await asyncio.sleep(0.01)
    tasks += asking(limiter, ALICE, 6)
    await asyncio.sleep(0.01)
    await fleet.answer(with_error=True)
    assert sum(allowed(tasks)) == 10
    assert not fleet.asked
    await limiter.close()
