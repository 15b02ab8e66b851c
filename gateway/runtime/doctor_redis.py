"""Tries Redis for `gateway doctor`: connection and login, each right that the cache needs, and the clock.

What it writes has names of its own below `gateway:`, lives for seconds, and is removed again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import NoPermissionError, RedisClusterException

from gateway.cache.connect import FAILURES, Client, Link, connect, connect_subscriber, nodes_of
from gateway.cache.redis_failure import redis_failure
from gateway.config.redis_url import RedisAddress
from gateway.runtime.doctor_network import PROBE_MAX_S
from gateway.runtime.doctor_verdicts import Diagnosis, clock_diagnosis

_LIFE_MS = 5_000
_CLOSE_S = 0.5
_FAILURES = (*FAILURES, TimeoutError, RedisClusterException)


async def examine_redis(address: RedisAddress) -> list[Diagnosis]:
    """Connection, rights and clock, in this order; what follows a failure is not tried."""
    link = connect(address, connect_timeout_s=PROBE_MAX_S, max_connections=2)
    found: list[Diagnosis] = []
    try:
        async with asyncio.timeout(PROBE_MAX_S):
            for examine in (_connection, _rights, _clock):
                found.append(await examine(address, link))
                if found[-1].grade == "FAIL":
                    break
    except _FAILURES as error:
        found.append(Diagnosis("FAIL", "redis", redis_failure(error)))
    finally:
        await _closed(link)
    return found


async def _connection(address: RedisAddress, link: Link) -> Diagnosis:
    del address
    client: Any = link.client
    try:
        await client.ping()
    except NoPermissionError:
        pass  # connected and logged in; the rights are looked at next
    except _FAILURES as error:
        return Diagnosis("FAIL", "redis connection", redis_failure(error))
    return Diagnosis("ok", "redis connection", "it answers, and takes the login")


async def _rights(address: RedisAddress, link: Link) -> Diagnosis:
    refused: list[str] = []
    for name, attempt in _attempts(address, link):
        try:
            await attempt()
        except NoPermissionError:
            refused.append(name)
        except _FAILURES as error:
            return Diagnosis("FAIL", "redis rights", f"{name}: {redis_failure(error)}")
    if refused:
        names = ", ".join(refused)
        what = f"the user may not run {names} on gateway:*; give it the rights of deploy/redis/users.acl"
        return Diagnosis("FAIL", "redis rights", what)
    return Diagnosis("ok", "redis rights", "the user may do all that the cache needs")


def _attempts(address: RedisAddress, link: Link) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
    """Each kind of command that `gateway.cache` sends, and its name."""
    client: Any = link.client
    key = f"gateway:doctor:{secrets.token_hex(8)}"
    stream = f"{key}:log"
    return [
        ("SET", lambda: client.set(key, b"x", px=_LIFE_MS)),
        ("PTTL", lambda: client.pttl(key)),
        ("GETRANGE", lambda: client.getrange(key, 0, 1)),
        ("PEXPIRE", lambda: client.pexpire(key, _LIFE_MS)),
        ("EVAL", lambda: client.eval("return redis.call('PTTL', KEYS[1])", 1, key)),
        ("XADD", lambda: client.xadd(stream, {"x": b"x"})),
        ("XRANGE", lambda: client.xrange(stream, count=1)),
        ("XREAD", lambda: client.xread({stream: "0"}, count=1)),
        ("UNLINK", lambda: _unlinked(client, key, stream)),
        ("PUBLISH", lambda: client.publish(key, b"x")),
        ("SUBSCRIBE", lambda: _subscribed(address, link.client, key)),
    ]


async def _unlinked(client: Any, *keys: str) -> None:
    for key in keys:  # one by one: in a cluster they may lie on different nodes
        await client.unlink(key)


async def _subscribed(address: RedisAddress, client: Client, channel: str) -> None:
    link = connect_subscriber(address, nodes_of(client), connect_timeout_s=PROBE_MAX_S)
    subscriber: Any = link.client
    try:
        async with subscriber.pubsub() as subscription:
            await subscription.subscribe(channel)
            await subscription.get_message(timeout=1.0)
    finally:
        await _closed(link)


async def _clock(address: RedisAddress, link: Link) -> Diagnosis:
    del address
    client: Any = link.client
    node = {"target_nodes": client.get_random_node()} if isinstance(client, RedisCluster) else {}
    sent_s = time.time()
    try:
        told = await client.execute_command("TIME", **node)
    except _FAILURES as error:
        return Diagnosis("FAIL", "redis clock", redis_failure(error))
    ours_s = (sent_s + time.time()) / 2
    seconds, micros = next(iter(told.values())) if isinstance(told, dict) else told
    return clock_diagnosis("redis clock", int(seconds) + int(micros) / 1e6 - ours_s)


async def _closed(link: Link) -> None:
    try:
        async with asyncio.timeout(_CLOSE_S):
            await link.close()
    except _FAILURES:
        pass  # it was not there
