"""Lookups that share a round trip, on a real Redis: what they cost on the wire, and what one can do to the others."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import SlotNotCoveredError
from support.counting_relay import Relay
from support.redis_server import RedisServer, cluster, redis_version

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts
from gateway.cache.key import HmacKeys
from gateway.cache.key_ring import KeyRing, keys_of
from gateway.cache.redis import RedisTier
from gateway.cache.tier_per_secret import TierPerSecret
from gateway.config.redis_url import parse_redis_url
from gateway.introspection.ports import Absent, Recalled

KEYS = HmacKeys(b"secret")
REALM = "https://sso.example.com"
PATIENT_S = 5.0
NEW_ENOUGH = (7, 0)  # as in test_connect.py


def made(
    url: str,
    keys: HmacKeys | KeyRing = KEYS,
    *,
    which: int = 0,
    timeout_s: float = PATIENT_S,
    beside: RedisTier | None = None,
) -> RedisTier:
    return RedisTier(
        parse_redis_url(url),
        keys,
        timeout_s=timeout_s,
        life_max_s=60,
        clock=time.time,
        monotonic=time.monotonic,
        which=which,
        beside=beside,
    )


@asynccontextmanager
async def started(tier: RedisTier | TierPerSecret) -> AsyncIterator[None]:
    await tier.start(lambda _: None)
    try:
        # `start` waits for a second. On a busy machine a cluster takes longer, and before nothing is kept or found.
        began = time.monotonic()
        while not tier.healthy:
            assert time.monotonic() - began < PATIENT_S
            await asyncio.sleep(0.02)
        yield
    finally:
        await tier.close()


def key(name: str, keys: HmacKeys | KeyRing = KEYS) -> bytes:
    return keys.key(b"provider", Token(name))


def about(name: str) -> Recalled:
    return Recalled(Facts({"sub": name}, time.time()), 0.0, 60.0)


def sub_of(found: Recalled | Absent) -> object:
    return found.result.claims["sub"] if isinstance(found, Recalled) and isinstance(found.result, Facts) else found


async def found_of(one: RedisTier, names: list[str]) -> list[object]:
    return [sub_of(found) for found in await asyncio.gather(*(one.get(key(name), REALM) for name in names))]


async def test_lookups_at_once_are_one_round_trip_and_no_task(redis_server: RedisServer) -> None:
    relay, names = Relay("127.0.0.1", redis_server.port), [f"user{number}" for number in range(40)]
    one = made(redis_server.url)
    async with relay.running(), started(one):
        for name in names[::2]:
            await one.put(key(name), about(name), one.log_position())
        other = made(f"redis://127.0.0.1:{relay.port}/0")
        async with started(other):
            for _ in range(3):
                relay.sent.clear()
                tasks = asyncio.all_tasks()
                looking = [other.get(key(name), REALM) for name in names]
                assert asyncio.all_tasks() == tasks
                found = await asyncio.gather(*looking)
                lookups = [sent for sent in relay.sent if b"GETRANGE" in sent]
                assert len(lookups) == 1
                assert lookups[0].count(b"GETRANGE") == lookups[0].count(b"PTTL") == len(names)
                assert [sub_of(each) for each in found[::2]] == names[::2]
                assert set(found[1::2]) == {Absent.MISS}


async def test_what_lies_for_one_key_is_no_matter_to_the_others(redis_server: RedisServer) -> None:
    names = [f"user{number}" for number in range(30)]
    one = made(redis_server.url)
    async with started(one):
        for name in names:
            await one.put(key(name), about(name), one.log_position())
        foreign, large, garbled, swapped = (one._name(key(name)) for name in names[:4])
        with redis_server.client() as client:
            client.delete(foreign)
            client.lpush(foreign, b"a list")
            client.set(large, b"\x01" * 50_000_000, ex=60)
            client.set(garbled, b"*2147483647\r\n:1\r\n$5\r\n", ex=60)
            client.copy(one._name(key(names[5])), swapped, replace=True)
        found = await asyncio.gather(*(one.get(key(name), REALM) for name in names))
        assert set(found[:4]) == {Absent.ERROR}
        assert [sub_of(each) for each in found[4:]] == names[4:]
        assert one.healthy


async def test_one_that_leaves_takes_nothing_with_it(redis_server: RedisServer) -> None:
    names = [f"user{number}" for number in range(20)]
    one = made(redis_server.url)
    async with started(one):
        for name in names:
            await one.put(key(name), about(name), one.log_position())
        looking = [one.get(key(name), REALM) for name in names]
        for each in looking[::2]:
            each.cancel()
        assert [sub_of(each) for each in await asyncio.gather(*looking[1::2])] == names[1::2]
        assert one.healthy


async def test_a_batch_that_redis_is_too_slow_for_is_a_miss_for_each(own_redis: RedisServer) -> None:
    one = made(own_redis.url, timeout_s=0.1)
    async with started(one):
        assert await one.get(key("x"), REALM) is Absent.MISS
        own_redis.pause()
        try:
            began_s = time.monotonic()
            found = await asyncio.gather(*(one.get(key(str(number)), REALM) for number in range(50)))
            assert set(found) == {Absent.ERROR}
            assert 0.09 < time.monotonic() - began_s < 1
            assert not one.healthy
            assert await one.get(key("x"), REALM) is Absent.ERROR
        finally:
            own_redis.resume()


async def test_while_the_secret_changes_the_lookups_under_both_are_one_round_trip(redis_server: RedisServer) -> None:
    ring, relay = keys_of([b"new secret", b"old secret"]), Relay("127.0.0.1", redis_server.port)
    old = made(redis_server.url, HmacKeys(b"old secret"))
    async with relay.running(), started(old):
        await old.put(key("alice", HmacKeys(b"old secret")), about("alice"), old.log_position())
        url = f"redis://127.0.0.1:{relay.port}/0"
        first = made(url, ring)
        both = TierPerSecret([first, made(url, ring, which=1, beside=first)])
        async with started(both):
            relay.sent.clear()
            found = await asyncio.gather(*(both.get(key(name, ring), REALM) for name in ("alice", "bob")))
            assert [sub_of(each) for each in found] == ["alice", Absent.MISS]
            [lookups] = [sent for sent in relay.sent if b"GETRANGE" in sent]
            assert lookups.count(b"GETRANGE") == 4


async def test_what_a_cluster_has_moved_is_found_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    if redis_version() < NEW_ENOUGH:
        pytest.skip(f"redis-server {redis_version()} is older than {NEW_ENOUGH}")
    with cluster() as servers:
        one = made("redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers))
        names = [f"user{number}" for number in range(30)]
        async with started(one):
            for name in names:
                await one.put(key(name), about(name), one.log_position())
            client, pipelines = one._link.client, one._lookups._pipelines
            assert [
                sub_of(each) for each in await asyncio.gather(*(one.get(key(name), REALM) for name in names))
            ] == names
            assert len(pipelines._by_place) == 3
            nodes = client.get_nodes()
            monkeypatch.setattr(client, "get_node_from_key", lambda _: nodes[0])  # what it knows is out of date
            assert [
                sub_of(each) for each in await asyncio.gather(*(one.get(key(name), REALM) for name in names))
            ] == names

            def uncovered(_: str) -> object:
                raise SlotNotCoveredError

            monkeypatch.setattr(client, "get_node_from_key", uncovered)
            assert [
                sub_of(each) for each in await asyncio.gather(*(one.get(key(name), REALM) for name in names))
            ] == names
            assert one.healthy
