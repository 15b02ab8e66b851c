"""The lease by itself, on a real Redis: who may ask, who may write, who is woken."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.redis_server import RedisServer

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts
from gateway.cache import lease
from gateway.cache.key import HmacKeys
from gateway.cache.lease import digest
from gateway.cache.notifier import Notifier
from gateway.cache.redis import RedisTier
from gateway.config.redis_url import parse_redis_url
from gateway.introspection.ports import Absent, Recalled

KEYS = HmacKeys(b"secret")
KEY = KEYS.key(b"provider", Token("alice.1"))
REALM = "https://sso.example.com"
ONE, OTHER = b"1" * 16, b"2" * 16
LONG_S = 30.0
NOBODY: Any = None


@asynccontextmanager
async def tier(server: RedisServer, timeout_s: float = 2.0) -> AsyncIterator[RedisTier]:
    made = RedisTier(
        parse_redis_url(server.url),
        KEYS,
        timeout_s=timeout_s,
        life_max_s=60,
        clock=time.time,
        monotonic=time.monotonic,
    )
    await made.start(lambda _: None)
    try:
        yield made
    finally:
        await made.close()


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "it never came true"
        await asyncio.sleep(0.005)


def about(sub: str, left_s: float = 60.0) -> Recalled:
    return Recalled(Facts({"active": True, "sub": sub}, time.time()), 0.0, left_s)


async def sub_in(one: RedisTier) -> str | None:
    got = await one.get(KEY, REALM)
    if not isinstance(got, Recalled) or not isinstance(got.result, Facts):
        return None
    return str(got.result.claims["sub"])


def lease_name(server: RedisServer) -> bytes:
    [name] = [name for name in server.names() if name.endswith(b":lease")]
    return name


async def test_one_holds_it_and_the_others_are_told_who_and_for_how_long(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one, tier(redis_server) as other:
        mine = await one.leases.acquire(KEY, REALM, ONE, LONG_S)
        theirs = await other.leases.acquire(KEY, REALM, OTHER, LONG_S)
        assert mine is not None
        assert theirs is not None
        assert (mine.holder, theirs.holder) == (ONE, ONE)
        assert LONG_S - 10 < theirs.left_s <= LONG_S
        assert (mine.recalled, theirs.recalled) == (Absent.MISS, Absent.MISS)


async def test_of_many_at_once_one_holds_it(redis_server: RedisServer) -> None:
    async with tier(redis_server, timeout_s=10) as one, tier(redis_server, timeout_s=10) as other:
        fences = [bytes([number]) * 16 for number in range(100)]
        states = await asyncio.gather(
            *((one, other)[number % 2].leases.acquire(KEY, REALM, fence, LONG_S) for number, fence in enumerate(fences))
        )
        assert len({state.holder for state in states if state is not None}) == 1
        assert all(state is not None for state in states)


async def test_it_ends_by_itself(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        await one.leases.acquire(KEY, REALM, ONE, 0.05)
        await asyncio.sleep(0.1)
        state = await one.leases.acquire(KEY, REALM, OTHER, LONG_S)
        assert state is not None
        assert state.holder == OTHER


async def test_what_is_settled_is_there_and_the_lease_is_not(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one, tier(redis_server) as other:
        await one.leases.acquire(KEY, REALM, ONE, LONG_S)
        assert await one.leases.settle(KEY, about("alice"), one.log_position(), ONE) is True
        state = await other.leases.acquire(KEY, REALM, OTHER, LONG_S)
        assert state is not None
        assert state.holder == OTHER
        assert isinstance(state.recalled, Recalled)
        assert state.recalled.fence == ONE  # by which a waiter knows the call that it waited for


async def test_only_its_holder_gives_it_back(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        await one.leases.acquire(KEY, REALM, ONE, LONG_S)
        await one.leases.release(KEY, OTHER)
        assert len(redis_server.names()) == 1
        await one.leases.release(KEY, ONE)
        assert redis_server.names() == []


async def test_an_answer_whose_lease_was_taken_over_does_not_overwrite_the_newer_one(redis_server: RedisServer) -> None:
    async with tier(redis_server) as late, tier(redis_server) as other:
        await late.leases.acquire(KEY, REALM, ONE, 0.05)
        await asyncio.sleep(0.1)
        await other.leases.acquire(KEY, REALM, OTHER, LONG_S)
        # While the other one asks, and after it has settled.
        assert await late.leases.settle(KEY, about("old"), late.log_position(), ONE) is False
        assert await other.leases.settle(KEY, about("new"), other.log_position(), OTHER) is True
        assert await late.leases.settle(KEY, about("old"), late.log_position(), ONE) is False
        assert await sub_in(other) == "new"


async def test_a_late_answer_is_put_where_there_is_none_and_nobody_asks(redis_server: RedisServer) -> None:
    async with tier(redis_server) as late:
        await late.leases.acquire(KEY, REALM, ONE, 0.05)
        await asyncio.sleep(0.1)
        assert await late.leases.settle(KEY, about("alice"), late.log_position(), ONE) is True
        assert await sub_in(late) == "alice"


async def test_what_a_redis_that_stood_still_finds_waiting_has_grown_older_by_that(own_redis: RedisServer) -> None:
    async with tier(own_redis, timeout_s=0.1) as slow, tier(own_redis) as other:
        await until(lambda: slow.healthy and other.healthy)
        await slow.leases.acquire(KEY, REALM, OTHER, LONG_S)
        await slow.leases.release(KEY, OTHER)  # the scripts are known from here on
        await slow.leases.acquire(KEY, REALM, ONE, LONG_S)
        own_redis.pause()
        assert await slow.leases.settle(KEY, about("alice"), slow.log_position(), ONE) is None
        await asyncio.sleep(1.0)
        own_redis.resume()
        await until(lambda: any(not name.endswith(b":lease") for name in own_redis.names()))
        await until(lambda: other.healthy)
        got = await other.get(KEY, REALM)
        assert isinstance(got, Recalled)
        assert got.age_s > 0.9
        assert got.left_s < 59.1


async def test_nor_is_it_written_when_its_lease_was_over_before_redis_saw_it(own_redis: RedisServer) -> None:
    async with tier(own_redis, timeout_s=0.1) as slow, tier(own_redis) as other:
        await until(lambda: slow.healthy and other.healthy)
        await slow.leases.acquire(KEY, REALM, OTHER, LONG_S)
        await slow.leases.release(KEY, OTHER)  # the scripts are known from here on
        await slow.leases.acquire(KEY, REALM, ONE, 0.6)
        own_redis.pause()
        assert await slow.leases.settle(KEY, about("alice"), slow.log_position(), ONE) is None
        await asyncio.sleep(1.0)
        own_redis.resume()
        await until(lambda: other.healthy and slow.healthy)
        assert await other.get(KEY, REALM) is Absent.MISS


async def test_a_stricter_answer_replaces_the_one_that_is_there(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        for fence, sub in ((ONE, "old"), (OTHER, "new")):
            state = await one.leases.acquire(KEY, REALM, fence, LONG_S)
            assert state is not None
            assert state.holder == fence
            assert await one.leases.settle(KEY, about(sub), one.log_position(), fence) is True
        assert await sub_in(one) == "new"


async def test_what_cannot_be_shared_gives_the_lease_back_all_the_same(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        huge = Recalled(Facts({"groups": ["g" * 1000] * 300}, time.time()), 0.0, 60.0)
        for result, log_position in ((huge, one.log_position()), (about("alice", left_s=0.0), one.log_position())):
            await one.leases.acquire(KEY, REALM, ONE, LONG_S)
            assert await one.leases.settle(KEY, result, log_position, ONE) is None
            assert redis_server.names() == []


async def test_a_redis_too_full_to_write_gives_it_back(own_redis: RedisServer) -> None:
    async with tier(own_redis) as one:
        await one.leases.acquire(KEY, REALM, ONE, LONG_S)
        with own_redis.client() as client:
            client.config_set("maxmemory", "1")
        assert await one.leases.settle(KEY, about("alice"), one.log_position(), ONE) is None
        with own_redis.client() as client:
            client.config_set("maxmemory", "0")
        assert own_redis.names() == []


@pytest.mark.parametrize(
    "harm",
    [
        lambda client, name: client.set(name, b"garbage", ex=60),
        lambda client, name: (client.delete(name), client.lpush(name, b"a list")),
        lambda client, name: client.persist(name),
        lambda client, name: client.set(name, b"x" * 1_000_000),
    ],
    ids=["garbage", "another type", "no end", "oversized and no end"],
)
async def test_what_is_no_lease_in_its_place_is_taken_away(
    redis_server: RedisServer, harm: Callable[[object, bytes], object]
) -> None:
    async with tier(redis_server) as one:
        await one.leases.acquire(KEY, REALM, ONE, LONG_S)
        with redis_server.client() as client:
            harm(client, lease_name(redis_server))
        state = await one.leases.acquire(KEY, REALM, OTHER, LONG_S)
        assert state is not None
        assert state.holder == OTHER
        assert await one.leases.settle(KEY, about("alice"), one.log_position(), OTHER) is True
        assert await sub_in(one) == "alice"


async def test_what_is_no_entry_beside_it_is_overwritten(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        await one.put(KEY, about("alice"), one.log_position())
        [name] = redis_server.names()
        with redis_server.client() as client:
            client.delete(name)
            client.lpush(name, b"a list")
        state = await one.leases.acquire(KEY, REALM, ONE, LONG_S)
        assert state is not None
        assert state.recalled is Absent.MISS
        assert await one.leases.settle(KEY, about("bob"), one.log_position(), ONE) is True
        assert await sub_in(one) == "bob"


async def test_who_waits_is_woken_by_settling_and_by_giving_back(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one, tier(redis_server) as other:
        await until(lambda: other.leases._notifier.listening)
        for end in ("settle", "give back"):
            with other.leases.signal(KEY) as signal:
                await one.leases.acquire(KEY, REALM, ONE, LONG_S)
                await other.leases.acquire(KEY, REALM, OTHER, LONG_S)
                waiting = asyncio.create_task(signal.wait(20))
                await asyncio.sleep(0.01)
                assert not waiting.done()
                began = time.monotonic()
                if end == "settle":
                    await one.leases.settle(KEY, about("alice"), one.log_position(), ONE)
                else:
                    await one.leases.release(KEY, ONE)
                await waiting
                assert time.monotonic() - began < 10


async def test_a_message_is_sent_only_where_somebody_waits_and_tells_nothing_but_a_digest(
    redis_server: RedisServer,
) -> None:
    async with tier(redis_server) as one:
        with redis_server.client() as client, client.pubsub() as listening:
            listening.subscribe(f"gateway:{KEYS.fleet}:settled")
            assert listening.get_message(timeout=5) is not None
            await one.leases.acquire(KEY, REALM, ONE, LONG_S)
            await one.leases.settle(KEY, about("alice"), one.log_position(), ONE)
            await one.leases.acquire(KEY, REALM, ONE, LONG_S)
            await one.leases.acquire(KEY, REALM, OTHER, LONG_S)
            await one.leases.release(KEY, ONE)
            message = listening.get_message(timeout=5)
            assert message is not None
            assert message["data"] == digest(KEY)
            assert listening.get_message(timeout=0.05) is None


async def test_a_redis_that_is_down_cannot_say_who_holds_the_lease(own_redis: RedisServer) -> None:
    async with tier(own_redis, timeout_s=0.05) as one:
        await until(lambda: one.healthy)
        own_redis.pause()
        try:
            began = time.monotonic()
            for _ in range(50):
                assert await one.leases.acquire(KEY, REALM, ONE, LONG_S) is None
                assert await one.leases.settle(KEY, about("alice"), one.log_position(), ONE) is None
                await one.leases.release(KEY, ONE)
            assert time.monotonic() - began < 0.9
        finally:
            own_redis.resume()


async def test_what_was_taken_too_slowly_to_be_known_of_is_given_back_a_little_later(own_redis: RedisServer) -> None:
    async with tier(own_redis, timeout_s=0.1) as slow, tier(own_redis) as other:
        await slow.leases.acquire(KEY, REALM, ONE, LONG_S)  # the scripts are known from here on
        await slow.leases.release(KEY, ONE)
        own_redis.pause()
        assert await slow.leases.acquire(KEY, REALM, ONE, LONG_S) is None
        assert await slow.leases.settle(KEY, about("alice"), slow.log_position(), ONE) is None
        own_redis.resume()
        await until(lambda: own_redis.names() != [])
        began = time.monotonic()
        while (state := await other.leases.acquire(KEY, REALM, OTHER, LONG_S)) is None or state.holder != OTHER:
            assert time.monotonic() - began < LONG_S / 2
            await asyncio.sleep(0.05)
        assert slow.leases._unreleased == {}


async def test_a_redis_that_stays_away_is_owed_nothing_for_ever(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_LATER_S", 0.01)
    async with tier(own_redis, timeout_s=0.05) as one:
        own_redis.kill()
        await until(lambda: not one.healthy)
        for number in range(2000):
            await one.leases.release(KEY, number.to_bytes(16, "big"))
        assert len(one.leases._unreleased) <= 1000
        await until(lambda: one.leases._unreleased == {})


async def test_a_redis_that_has_forgotten_the_scripts_is_told_them_again(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        for _ in range(2):
            with redis_server.client() as client:
                client.script_flush()
            assert await one.leases.acquire(KEY, REALM, ONE, LONG_S) is not None
            assert await one.leases.settle(KEY, about("alice"), one.log_position(), ONE) is True
            assert one.healthy


async def test_a_redis_that_refuses_scripts_cannot_say_either(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-@scripting")
    async with tier(own_redis) as one:
        assert await one.leases.acquire(KEY, REALM, ONE, LONG_S) is None
        assert one.healthy


async def test_a_lease_that_ended_before_now_cannot_be_told_from_none() -> None:
    class Lying:
        async def run(self, *_: object) -> list[object]:
            return [OTHER, -1, -2, b""]

    lying: Any = Lying()

    def open_entry(*_: object) -> Absent:
        return Absent.MISS

    leases = lease.RedisLeases(
        Notifier(NOBODY, "settled"),
        scripts=lying,
        name=lambda _: b"entry",
        open_entry=open_entry,
        seal_entry=lambda *_: None,
        entry_limit_bytes=100,
    )
    assert await leases.acquire(KEY, REALM, ONE, LONG_S) is None
