"""The buckets that the fleet shares, in a real Redis: one script, keys that tell nobody, and whatever Redis does."""

import asyncio
import time

import pytest
from redis.asyncio import Redis
from support.running_gateway import eventually

from gateway.cache.key import HmacKeys
from gateway.cache.redis import RedisTier
from gateway.config.redis_url import parse_redis_url
from gateway.limits.allowance import Borrow
from gateway.limits.limit import CompiledLimit

SECRET = b"secret-of-the-fleet-of-buckets"
LIMIT = CompiledLimit("per-user", 100, 1.0, 100, ("sub",))
WHO = 'claim ["kc", "\\"alice\\""]'


def tier_at(server, secret: bytes = SECRET, timeout_s: float = 0.5) -> RedisTier:
    return RedisTier(
        parse_redis_url(server.url),
        HmacKeys(secret),
        timeout_s=timeout_s,
        life_max_s=60,
        clock=time.time,
        monotonic=time.monotonic,
    )


@pytest.fixture
async def tier(redis_server):
    made = tier_at(redis_server)
    await made.start(lambda _: None)
    yield made
    await made.close()


async def lent(tier: RedisTier, needs: int = 0, extra: int = 0, change: int = 0, limit=LIMIT, who: str = WHO):
    heard: asyncio.Future[tuple[int, float] | None] = asyncio.get_running_loop().create_future()
    tier.limits.ask(limit, who, Borrow(needs, extra, change), heard.set_result)
    return await heard


async def test_a_bucket_begins_full_and_gives_what_is_needed(tier) -> None:
    assert await lent(tier, needs=1) == (1, 99)
    given, level = await lent(tier, needs=5)
    assert (given, 93.9 < level < 100) == (5, True)


async def test_beside_what_is_needed_it_gives_a_quarter_of_the_rest(tier) -> None:
    assert await lent(tier, needs=1, extra=10) == (11, 89)
    given, _ = await lent(tier, needs=1, extra=1000)
    assert 20 <= given <= 26


async def test_an_empty_one_gives_nothing_and_grows_by_the_rate(tier) -> None:
    slow = CompiledLimit("slow", 10, 1.0, 5, ("sub",))
    assert (await lent(tier, needs=5, limit=slow))[0] == 5
    given, level = await lent(tier, needs=1, limit=slow)
    assert (given, level < 1) == (0, True)
    await asyncio.sleep(0.25)
    given, _ = await lent(tier, needs=5, limit=slow)
    assert 2 <= given <= 4


async def test_what_comes_back_is_there_again_and_a_debt_is_one(tier) -> None:
    hour = CompiledLimit("hour", 100, 3600.0, 100, ("sub",))
    await lent(tier, needs=40, limit=hour)
    assert await lent(tier, change=30, limit=hour) == (0, pytest.approx(90, abs=0.1))
    assert await lent(tier, change=-95, limit=hour) == (0, pytest.approx(-5, abs=0.1))
    assert await lent(tier, change=1000, limit=hour) == (0, 100)


async def test_each_identity_and_limit_has_its_own_under_an_hmac_that_ends(tier, redis_server) -> None:
    other = CompiledLimit("other", 100, 1.0, 100, ("sub",))
    await lent(tier, needs=3)
    assert (await lent(tier, needs=1, who="address 198.51.100.7"))[1] == 99
    assert (await lent(tier, needs=1, limit=other))[1] == 99
    async with Redis.from_url(redis_server.url) as client:
        keys = [key for key in await client.keys("*") if b":limit:" in key]
        assert len(keys) == 3
        assert not any(word in key for key in keys for word in (b"alice", b"198.51", b"per-user"))
        assert all([0 < await client.pttl(key) <= 3000 for key in keys])


async def keys_of(server) -> dict[bytes, int]:
    """Those of buckets, and how long each lives, in ms."""
    async with Redis.from_url(server.url) as client:
        return {key: await client.pttl(key) for key in await client.keys("*") if b":limit:" in key}


async def test_a_caller_who_spends_little_of_a_slow_limit_leaves_nothing_in_redis_for_long(tier, redis_server) -> None:
    day = CompiledLimit("day", 1000, 86400.0, 1000, ("sub",))
    await lent(tier, needs=1, limit=day)
    [life_ms] = (await keys_of(redis_server)).values()
    assert 86_400 < life_ms <= 87_400 + 1  # one more is there in 86.4 s
    await lent(tier, change=1, limit=day)
    assert await keys_of(redis_server) == {}


async def test_the_longest_debt_of_the_slowest_limit_is_kept(tier, redis_server) -> None:
    slowest = CompiledLimit("slowest", 1, 30 * 86400.0, 10**9, ("sub",))
    assert await lent(tier, change=-(2 * 10**9), limit=slowest) == (0, -(10**9))
    [life_ms] = (await keys_of(redis_server)).values()
    assert life_ms > 10**18


async def test_looking_at_a_bucket_leaves_nothing_in_redis(tier, redis_server) -> None:
    for number in range(10):
        assert await lent(tier, who=f"claim {number}") == (0, 100)
    assert await keys_of(redis_server) == {}


@pytest.mark.parametrize("ahead_ms", [-3_600_000, 3_600_000])
async def test_a_clock_of_redis_that_is_set_neither_fills_nor_empties_a_bucket_twice(
    tier, redis_server, ahead_ms
) -> None:
    """As after a failover to another machine: what was written is an hour ahead, or behind."""
    hour = CompiledLimit("hour", 100, 3600.0, 100, ("sub",))
    await lent(tier, needs=50, limit=hour)
    async with Redis.from_url(redis_server.url) as client:
        [key] = await keys_of(redis_server)
        level, at_ms = (await client.get(key)).split()
        await client.set(key, b"%b %d" % (level, float(at_ms) + ahead_ms))
    _, level = await lent(tier, needs=1, limit=hour)
    assert level == pytest.approx(49 if ahead_ms > 0 else 99, abs=0.1)
    assert (await lent(tier, needs=1, limit=hour))[1] == pytest.approx(level - 1, abs=0.1)


async def test_another_secret_counts_apart(tier, redis_server) -> None:
    other = tier_at(redis_server, b"another-secret-of-a-fleet")
    await other.start(lambda _: None)
    try:
        await lent(tier, needs=90)
        assert (await lent(other, needs=1))[1] == 99
    finally:
        await other.close()


@pytest.mark.parametrize("there", [b"junk", b"nan nan", b"1e999 5", b"-1e999 5", b"5", b"", b"1 2 3", b"\xff\x00"])
async def test_a_value_that_is_not_ours_is_a_full_bucket(tier, redis_server, there) -> None:
    await lent(tier, needs=50)
    async with Redis.from_url(redis_server.url) as client:
        [key] = [key for key in await client.keys("*") if b":limit:" in key]
        await client.set(key, there)
        given, level = await lent(tier, needs=1)
        assert given in (0, 1)
        assert -100 <= level <= 99
        await client.delete(key)
        await client.rpush(key, "a list")
    assert await lent(tier, needs=1) == (1, 99)


async def test_a_redis_that_forgot_the_script_is_told_it_again(tier, redis_server) -> None:
    await lent(tier, needs=1)
    async with Redis.from_url(redis_server.url) as client:
        await client.script_flush()
    assert (await lent(tier, needs=1))[0] == 1


async def test_many_at_once_are_exact(tier) -> None:
    hour = CompiledLimit("hour", 100, 3600.0, 100, ("sub",))
    replies = await asyncio.gather(*(lent(tier, needs=1, limit=hour) for _ in range(250)))
    assert sum(given for given, _ in replies) == 100


async def test_a_redis_that_is_gone_is_told_within_the_time_of_an_operation(own_redis) -> None:
    tier = tier_at(own_redis, timeout_s=0.2)
    await tier.start(lambda _: None)
    try:
        assert await lent(tier, needs=1) is not None
        own_redis.kill()
        began_s = time.monotonic()
        assert await lent(tier, needs=1) is None
        assert time.monotonic() - began_s < 2
        assert not tier.limits.healthy
    finally:
        await tier.close()


async def test_it_learns_how_many_workers_share_the_buckets(redis_server, monkeypatch) -> None:
    monkeypatch.setattr("gateway.cache.fleet_buckets._FIRST_COUNT_S", 0.05)
    monkeypatch.setattr("gateway.cache.fleet_buckets._COUNT_S", 0.05)
    tiers = [tier_at(redis_server, b"secret-of-one-fleet-of-many") for _ in range(12)]
    try:
        for each in tiers:
            await each.start(lambda _: None)
        await eventually(lambda: {each.limits.size.part for each in tiers} == {120})
        for each in tiers[:4]:
            await each.close()
        await eventually(lambda: {each.limits.size.part for each in tiers[4:]} == {100})
    finally:
        for each in tiers[4:]:
            await each.close()


@pytest.mark.parametrize("reply", [[b"c", 0], [b"c", b"7"], [b"c"], 7, None, [b"c", -5], [b"c", 10**400], ValueError()])
async def test_a_number_of_workers_that_makes_no_sense_changes_nothing(tier, reply) -> None:
    tier.limits._counted(reply if isinstance(reply, Exception) else [reply])
    assert tier.limits.size.part == 100
