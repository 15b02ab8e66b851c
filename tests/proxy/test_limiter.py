"""Limiters that share one Redis: the fleet's rate for callers above, at and below it, and Redis that goes away."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from support.redis_server import RedisServer, running

from gateway.cache.key import HmacKeys
from gateway.cache.redis import RedisTier
from gateway.condition import Met
from gateway.conditions.within_limits import WithinLimits
from gateway.config.redis_url import parse_redis_url
from gateway.http.refusal import Refusal
from gateway.limits.fleet_size import FleetSize
from gateway.limits.limit import CompiledLimit
from gateway.proxy.limiter import Limiter, LimitTally

RATE = 100
LIMIT = CompiledLimit("per-user", RATE, 1.0, RATE, ("sub",))
OTHER = CompiledLimit("per-client", 1000, 3600.0, 5, ("client_id",))


@pytest.fixture
def redis_server():
    server = RedisServer()
    with running(server):
        yield server


class CountingFleet:
    """Counts the asks of one worker; `waiting` those that a request waited for."""

    def __init__(self, tier: RedisTier) -> None:
        self._limits = tier.limits
        self.size = tier.limits.size
        self.asks = 0
        self.waiting = 0

    @property
    def healthy(self) -> bool:
        return self._limits.healthy

    def ask(self, limit, identity, borrow, heard) -> None:
        self.asks += 1
        self.waiting += borrow.needs
        self._limits.ask(limit, identity, borrow, heard)


Among = tuple[Limiter, CountingFleet]


@asynccontextmanager
async def workers(server: RedisServer, count: int, limits=(LIMIT,)) -> AsyncIterator[list[Among]]:
    tiers = []
    for _ in range(count):
        tiers.append(
            RedisTier(
                parse_redis_url(server.url),
                HmacKeys(b"secret-of-the-limiters"),
                timeout_s=0.5,
                life_max_s=60,
                clock=time.time,
                monotonic=time.monotonic,
            )
        )
        await tiers[-1].start(lambda _: None)
    fleets = [CountingFleet(tier) for tier in tiers]
    made = [Limiter(limits, 1, fleet, lambda _: LimitTally(), time.monotonic) for fleet in fleets]
    try:
        yield list(zip(made, fleets, strict=True))
    finally:
        for limiter in made:
            await limiter.close()
        for tier in tiers:
            await tier.close()


def asking(who: str, *limits: CompiledLimit) -> WithinLimits:
    return WithinLimits(tuple((limit, who) for limit in limits or (LIMIT,)))


async def settled(limiter: Limiter, condition: WithinLimits) -> Refusal | Met:
    """As a lane does it."""
    outcome = limiter.known(condition)
    return await limiter.find(condition) if outcome is None else outcome


class Load:
    """Asks all workers in turn about each identity, at its own rate; counts what was allowed and refused."""

    def __init__(self, among: list[Among]) -> None:
        self._among = among
        self.allowed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    async def run(self, rates: dict[str, float], for_s: float) -> None:
        await asyncio.gather(*(self._one(who, rate, for_s) for who, rate in rates.items()))

    async def _one(self, who: str, rate: float, for_s: float) -> None:
        began_s, number = time.monotonic(), 0
        pending: set[asyncio.Task[None]] = set()
        while (now_s := time.monotonic() - began_s) < for_s:
            while number < now_s * rate:
                limiter, _ = self._among[number % len(self._among)]
                task = asyncio.create_task(self._ask(limiter, who))
                pending.add(task)
                task.add_done_callback(pending.discard)
                number += 1
            await asyncio.sleep(0.002)
        await asyncio.gather(*pending)

    async def _ask(self, limiter: Limiter, who: str) -> None:
        outcome = await settled(limiter, asking(who))
        (self.allowed if isinstance(outcome, Met) else self.refused)[who] += 1


async def eventually(holds: Callable[[], bool], within_s: float = 5.0) -> None:
    ends_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends_s
        await asyncio.sleep(0.02)


async def test_the_rate_is_the_fleets_and_nobody_below_it_is_refused(redis_server) -> None:
    for_s = 3.0
    async with workers(redis_server, 8) as among:
        load = Load(among)
        await load.run({"above": 4 * RATE, "at": RATE, "below": RATE / 2}, for_s)
        asks = sum(fleet.asks for _, fleet in among)
        waited = sum(fleet.waiting for _, fleet in among)
    most = RATE * for_s + LIMIT.burst
    assert most * 0.9 <= load.allowed["above"] <= most * 1.1
    assert load.allowed["at"] >= RATE * for_s * 0.95
    assert load.refused["below"] == 0
    asked = load.allowed.total() + load.refused.total()
    assert asks < 0.6 * asked, (asks, asked)
    assert waited < 0.5 * asked, (waited, asked)


async def test_a_small_limit_is_exact_over_the_fleet(redis_server) -> None:
    small = CompiledLimit("per-user", 10, 3600.0, 10, ("sub",))
    async with workers(redis_server, 4, (small,)) as among:
        outcomes = await asyncio.gather(
            *(settled(limiter, asking("alice", small)) for _ in range(10) for limiter, _ in among)
        )
    assert sum(isinstance(outcome, Met) for outcome in outcomes) == 10


async def test_far_below_the_limit_no_request_waits_and_the_fleet_is_not_asked(redis_server) -> None:
    """A hundredth of the rate at one worker is 10 a second here."""
    large = CompiledLimit("per-user", 1000, 1.0, 1000, ("sub",))
    async with workers(redis_server, 1, (large,)) as [(limiter, fleet)]:
        for _ in range(30):
            assert isinstance(limiter.known(asking("alice", large)), Met)
            await asyncio.sleep(0.11)
        assert fleet.asks == 0


async def test_below_the_limit_only_the_request_where_a_demand_begins_waits(redis_server) -> None:
    """A fifth of the rate at one worker. The first is let in on credit; what the second brings along is for the others,
    and is borrowed anew in the background before it ends.
    """
    waited = []
    async with workers(redis_server, 1) as [(limiter, fleet)]:
        for number in range(40):
            outcome = limiter.known(asking("alice"))
            if outcome is None:
                waited.append(number)
                outcome = await limiter.find(asking("alice"))
            assert isinstance(outcome, Met)
            await asyncio.sleep(0.05)
        assert waited == [1]
        assert fleet.waiting == 1
        assert fleet.asks <= 40 / 5


async def test_identities_that_come_now_and_then_make_no_round_trip(redis_server) -> None:
    async with workers(redis_server, 1) as [(limiter, fleet)]:
        for number in range(100):
            assert isinstance(limiter.known(asking(f"user-{number}")), Met)
        await asyncio.sleep(1.1)
        for number in range(100):
            assert isinstance(limiter.known(asking(f"user-{number}")), Met)
        await asyncio.sleep(0.3)
        assert fleet.asks == 0


async def test_what_is_not_spent_comes_back_within_a_second(redis_server) -> None:
    hour = CompiledLimit("per-user", 100, 3600.0, 100, ("sub",))
    async with workers(redis_server, 2, (hour,)) as [(limiter, _), (other, _)]:
        for _ in range(60):
            assert isinstance(await settled(limiter, asking("alice", hour)), Met)
        await asyncio.sleep(1.0)
        left = 0
        while isinstance(await settled(other, asking("alice", hour)), Met):
            left += 1
        assert left == pytest.approx(40, abs=1)


async def test_a_worker_that_ends_gives_back_what_it_borrowed(redis_server) -> None:
    hour = CompiledLimit("per-user", 100, 3600.0, 100, ("sub",))
    async with workers(redis_server, 2, (hour,)) as [(limiter, _), (other, _)]:
        for _ in range(20):
            await settled(limiter, asking("alice", hour))
        await limiter.close()
        _, words = await other.foresee(asking("alice", hour))
        assert words == "per-user has 80 of 100 left"


async def test_all_limits_are_looked_at_before_any_is_spent_in_the_fleet_too(redis_server) -> None:
    hour = CompiledLimit("per-user", 50, 3600.0, 50, ("sub",))
    async with workers(redis_server, 2, (hour, OTHER)) as [(limiter, _), (other, _)]:
        both = asking("alice", hour, OTHER)
        outcomes = [await settled(limiter, both) for _ in range(20)]
        assert sum(isinstance(outcome, Met) for outcome in outcomes) == 5
        await asyncio.sleep(1.0)
        left = 0
        while isinstance(await settled(other, asking("alice", hour)), Met):
            left += 1
        assert left == pytest.approx(45, abs=1)


async def test_a_client_that_leaves_while_the_fleet_is_asked_costs_nothing(redis_server) -> None:
    hour = CompiledLimit("per-user", 10, 3600.0, 10, ("sub",))
    async with workers(redis_server, 1, (hour,)) as [(limiter, _)]:
        for _ in range(10):
            leaving = asyncio.create_task(limiter.find(asking("alice", hour)))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        await asyncio.sleep(1.0)
        outcomes = [await settled(limiter, asking("alice", hour)) for _ in range(12)]
        assert sum(isinstance(outcome, Met) for outcome in outcomes) == 10


async def test_while_redis_is_away_each_counts_for_itself_and_nobody_fails(redis_server) -> None:
    async with workers(redis_server, 2) as among:
        before = Load(among)
        await before.run({"above": 3 * RATE, "below": RATE / 2}, 1.5)
        redis_server.kill()
        load = Load(among)
        await load.run({"above": 3 * RATE, "below": RATE / 2}, 2.0)
        assert all(limiter.is_alone for limiter, _ in among)
        assert load.allowed["above"] <= 2 * RATE * 2.0 * 1.1 + 2
        assert load.refused["below"] == 0
        redis_server.start()
        await eventually(lambda: not any(limiter.is_alone for limiter, _ in among), 10)
        after = Load(among)
        await after.run({"above": 4 * RATE, "below": RATE / 2}, 2.0)
        assert after.allowed["above"] <= (RATE * 2.0 + LIMIT.burst) * 1.1
        assert after.refused["below"] == 0


async def test_explaining_asks_the_fleet_and_spends_nothing(redis_server) -> None:
    hour = CompiledLimit("per-user", 10, 3600.0, 10, ("sub",))
    async with workers(redis_server, 2, (hour,)) as [(limiter, _), (other, _)]:
        for _ in range(4):
            await settled(limiter, asking("alice", hour))
        await asyncio.sleep(1.0)
        for _ in range(3):
            outcome, words = await other.foresee(asking("alice", hour))
            assert isinstance(outcome, Met)
            assert words == "per-user has 6 of 10 left"


class FleetThatGoesAway:
    """Lends three more than a request needs, while it is `healthy`."""

    size = FleetSize()

    def __init__(self) -> None:
        self.healthy = True

    def ask(self, limit, identity, borrow, heard) -> None:
        del limit, identity
        heard((borrow.needs + min(borrow.extra, 3), 5.0) if self.healthy else None)


async def test_what_was_borrowed_before_an_outage_keeps_no_identity_in_memory() -> None:
    fleet, identity, now_s = FleetThatGoesAway(), "claim 1 p text a", time.monotonic()
    limiter = Limiter((LIMIT,), 1, fleet, lambda _: LimitTally(), time.monotonic)
    condition = WithinLimits(((LIMIT, identity),))
    each = limiter.identities[LIMIT].of(identity, now_s, is_shared=True)
    for _ in range(99):
        assert isinstance(limiter.known(condition) or await limiter.find(condition), Met)
        if each.borrowed:
            break
    assert each.borrowed > 0
    fleet.healthy = False
    await asyncio.sleep(0.3)
    fleet.healthy = True
    assert each.may_be_forgotten(now_s + 60, is_shared=True)
    await limiter.close()
