"""The channel by which a fleet's processes wake each other, and what it does when it is cut."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from support.redis_server import RedisServer

from gateway.cache import notifier
from gateway.cache.connect import connect_subscriber
from gateway.cache.notifier import Notifier
from gateway.cache.redis_failure import redis_failure
from gateway.config.redis_url import parse_redis_url

CHANNEL = "gateway:fleet:settled"
MARK = b"m" * 16
LONG_S = 20.0


@asynccontextmanager
async def listening(server: RedisServer) -> AsyncIterator[Notifier]:
    address = parse_redis_url(server.url)
    one = Notifier(lambda: connect_subscriber(address, (), connect_timeout_s=2), CHANNEL)
    one.start()
    try:
        await until(lambda: one.listening)
        yield one
    finally:
        await one.close()


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "it never came true"
        await asyncio.sleep(0.005)


def publish(server: RedisServer, data: bytes) -> None:
    with server.client() as client:
        client.publish(CHANNEL, data)


async def rings(signal: notifier.LeaseSignal, within_s: float) -> bool:
    began = time.monotonic()
    await signal.wait(within_s)
    return time.monotonic() - began < within_s * 0.9


async def test_a_message_wakes_all_who_wait_for_its_mark_and_nobody_else(redis_server: RedisServer) -> None:
    async with listening(redis_server) as one:
        with one.signal(MARK) as first, one.signal(MARK) as second, one.signal(b"another") as other:
            publish(redis_server, b"of a mark that nobody waits for")
            publish(redis_server, MARK)
            assert await rings(first, LONG_S)
            assert await rings(second, LONG_S)
            assert not await rings(other, 0.05)
        assert one._signals == {}


async def test_a_message_between_entering_and_waiting_is_not_missed_and_rings_once(redis_server: RedisServer) -> None:
    async with listening(redis_server) as one:
        with one.signal(MARK) as signal:
            publish(redis_server, MARK)
            await asyncio.sleep(0.05)
            assert await rings(signal, LONG_S)
            assert not await rings(signal, 0.05)


async def test_a_cut_subscription_comes_back_and_wakes_all_for_what_they_missed(redis_server: RedisServer) -> None:
    async with listening(redis_server) as one:
        for _ in range(3):
            with one.signal(MARK) as signal, redis_server.client() as client:
                client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                assert await rings(signal, LONG_S)
                await until(lambda: one.listening)


async def test_a_redis_that_dies_is_listened_to_again(own_redis: RedisServer) -> None:
    async with listening(own_redis) as one:
        own_redis.kill()
        await until(lambda: not one.listening)
        own_redis.start()
        await until(lambda: one.listening)
        with one.signal(MARK) as signal:
            publish(own_redis, MARK)
            assert await rings(signal, LONG_S)


async def test_silence_is_asked_about_and_taken_for_a_loss(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "_SILENCE_S", 0.05)
    monkeypatch.setattr(notifier, "_ANSWER_S", 0.3)
    async with listening(own_redis) as one:
        connect, made = one._connect, []
        monkeypatch.setattr(one, "_connect", lambda: made.append(connect()) or made[-1])
        await asyncio.sleep(1)
        assert made == []  # it was asked, and answered
        own_redis.pause()
        try:
            await until(lambda: not one.listening)
        finally:
            own_redis.resume()
        await until(lambda: one.listening)


async def test_closing_ends_it_in_any_state(own_redis: RedisServer) -> None:
    async with listening(own_redis) as one:
        own_redis.kill()
        began = time.monotonic()
        await one.close()
        assert time.monotonic() - began < 5


async def test_who_may_not_subscribe_hears_of_it(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "deaf", "on", ">pass", "~*", "resetchannels", "+@all")
    address = parse_redis_url(f"redis://deaf:pass@127.0.0.1:{redis_server.port}/0")
    heard: list[BaseException] = []
    one = Notifier(lambda: connect_subscriber(address, (), connect_timeout_s=2), CHANNEL, heard.append)
    one.start()
    try:
        await until(lambda: bool(heard))
    finally:
        await one.close()
    assert "rights of deploy/redis/users.acl" in redis_failure(heard[0])


async def test_a_redis_that_is_away_is_no_refusal() -> None:
    address = parse_redis_url("redis://127.0.0.1:9/0")
    heard: list[BaseException] = []
    one = Notifier(lambda: connect_subscriber(address, (), connect_timeout_s=2), CHANNEL, heard.append)
    one.start()
    await asyncio.sleep(0.3)
    await one.close()
    assert heard == []
