"""Limits with a Redis that is slow, silent, full, read-only or talks nonsense, and while the configuration is reloaded.

Each time one caller asks for several times the rate and one stays below it. The second is who must not suffer.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import pytest
from support.fault_proxy import CLEAR, GARBLED, RESETTING, SILENT, FaultProxy, Weather
from support.redis_server import RedisServer, running

from gateway.cache.key import HmacKeys
from gateway.cache.redis import RedisTier
from gateway.condition import Met
from gateway.conditions.within_limits import WithinLimits
from gateway.config.redis_url import parse_redis_url
from gateway.limits.limit import CompiledLimit
from gateway.proxy.limiter import Limiter, LimitTally

RATE = 100
LIMIT = CompiledLimit("per-user", RATE, 1.0, RATE, ("sub",))
TIMEOUT_S = 0.2


@pytest.fixture
def own_redis():
    server = RedisServer()
    with running(server):
        yield server


@pytest.fixture
async def proxy(own_redis):
    async with FaultProxy(("127.0.0.1", own_redis.port)) as between:
        yield between


@pytest.fixture
async def tier(proxy):
    made = RedisTier(
        parse_redis_url(f"redis://127.0.0.1:{proxy.address[1]}"),
        HmacKeys(b"secret-of-the-limiters"),
        timeout_s=TIMEOUT_S,
        life_max_s=60,
        clock=time.time,
        monotonic=time.monotonic,
    )
    await made.start(lambda _: None)
    yield made
    await made.close()


def limiter_of(tier: RedisTier, *limits: CompiledLimit, before: Limiter | None = None) -> Limiter:
    return Limiter((LIMIT, *limits), 1, tier.limits, lambda _: LimitTally(), time.monotonic, before=before)


async def load(limiter: Callable[[], Limiter], rates: dict[str, float], for_s: float):
    """What each caller was told, and how long the longest of all requests took."""
    counted: Counter[tuple[str, bool]] = Counter()
    longest_s, began_s = 0.0, time.monotonic()

    async def one(who: str) -> None:
        nonlocal longest_s
        asked_s, one = time.monotonic(), limiter()
        condition = WithinLimits(((LIMIT, f"claim 2 kc text {who}"),))
        outcome = one.known(condition) or await one.find(condition)
        counted[who, isinstance(outcome, Met)] += 1
        longest_s = max(longest_s, time.monotonic() - asked_s)

    async with asyncio.TaskGroup() as group:
        asked = Counter[str]()
        while (now_s := time.monotonic() - began_s) < for_s:
            for who, rate in rates.items():
                while asked[who] < now_s * rate:
                    asked[who] += 1
                    group.create_task(one(who))
            await asyncio.sleep(0.002)
    return counted, longest_s, time.monotonic() - began_s


@pytest.mark.parametrize(
    "weather",
    [Weather(latency_s=0.05), Weather(latency_s=0.5), Weather(slice_bytes=1), SILENT, GARBLED, RESETTING],
    ids=["slow", "too slow", "in pieces", "silent", "nonsense", "reset"],
)
async def test_redis_in_bad_weather_is_no_second_limit_and_nobody_below_is_refused(tier, proxy, weather) -> None:
    limiter = limiter_of(tier)
    await load(lambda: limiter, {"above": 3 * RATE, "below": RATE / 3}, 1.0)
    proxy.to_client.become(weather)
    counted, longest_s, for_s = await load(lambda: limiter, {"above": 3 * RATE, "below": RATE / 3}, 3.0)
    assert counted["above", True] <= RATE * for_s * 1.1 + RATE / 2
    assert counted["below", False] == 0
    assert longest_s < 2 * TIMEOUT_S + 0.5
    proxy.become(CLEAR)
    await limiter.close()


@pytest.mark.parametrize("command", [("CONFIG", "SET", "maxmemory", "1"), ("REPLICAOF", "127.0.0.1", "1")])
async def test_a_redis_that_is_full_or_read_only_is_no_second_limit(tier, own_redis, command) -> None:
    limiter = limiter_of(tier)
    with own_redis.client() as client:
        client.execute_command(*command)
    counted, longest_s, for_s = await load(lambda: limiter, {"above": 3 * RATE, "below": RATE / 3}, 3.0)
    assert counted["above", True] <= (RATE * for_s + RATE) * 1.1
    assert counted["below", False] == 0
    assert longest_s < 2 * TIMEOUT_S + 0.5
    assert limiter.is_alone
    await limiter.close()


async def test_reloads_in_the_middle_of_a_load_give_no_second_burst_and_refuse_nobody_below(tier) -> None:
    """Another limit is changed each time; the old limiter is closed while requests of its own may still wait."""
    current, retired = limiter_of(tier), []

    async def reload() -> None:
        nonlocal current
        for number in range(1, 30):
            await asyncio.sleep(0.1)
            other = CompiledLimit("other", number, 1.0, number, ("sub",))
            old, current = current, limiter_of(tier, other, before=current)
            retired.append(asyncio.create_task(old.close()))

    reloading = asyncio.create_task(reload())
    counted, _, for_s = await load(lambda: current, {"above": 3 * RATE, "below": RATE / 2}, 3.0)
    await reloading
    await asyncio.gather(*retired)
    assert RATE * for_s * 0.9 <= counted["above", True] <= (RATE * for_s + RATE) * 1.1
    assert counted["below", False] == 0
    await current.close()


async def test_a_limit_that_is_lowered_in_the_middle_gives_no_second_burst_in_the_fleet(tier) -> None:
    hour = CompiledLimit("per-user", 50, 3600.0, 50, ("sub",))
    lower = CompiledLimit("per-user", 20, 3600.0, 20, ("sub",))

    async def passed(limiter: Limiter, limit: CompiledLimit) -> int:
        condition = WithinLimits(((limit, "claim 2 kc text a"),))
        return sum([isinstance(limiter.known(condition) or await limiter.find(condition), Met) for _ in range(60)])

    first = Limiter((hour,), 1, tier.limits, lambda _: LimitTally(), time.monotonic)
    assert await passed(first, hour) == 50
    second = Limiter((lower,), 1, tier.limits, lambda _: LimitTally(), time.monotonic, before=first)
    assert await passed(second, lower) == 0
    await first.close()
    await second.close()
