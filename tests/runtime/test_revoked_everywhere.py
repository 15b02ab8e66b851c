"""Revocations at gateways that are processes: all workers of an instance, and all instances around one Redis."""

import os
import secrets
import signal
import statistics
import time
from urllib.parse import urlencode

import pytest
from support.redis_server import RedisServer, running
from support.revoked import fleet_of
from support.signing import signed
from support.wire import request

WAYS = ("logout", "event")


@pytest.fixture(scope="module")
def redis_server():
    server = RedisServer()
    with running(server):
        yield server


async def rounds(fleet, count):
    """Each by another way and told to another instance; how long each took until nobody let the token pass."""
    took = []
    for number in range(count):
        user, token = f"u{number}", f"u{number}.1"
        await fleet.warm(token)
        await fleet.warm(f"v{number}.1")
        gateway = fleet.gateways[number % len(fleet.gateways)]
        took.append(max(await fleet.refused_after_s(gateway, WAYS[number % 2], user, token)))
        introspections = len(fleet.provider.introspections)
        await fleet.warm(f"v{number}.1")  # another one's token is still known
        assert len(fleet.provider.introspections) == introspections
    return took


async def test_all_workers_of_all_instances_refuse_within_a_second(redis_server, tmp_path):
    cache = {"redis": redis_server.url, "secret": "secret-of-the-fleet"}
    async with fleet_of(tmp_path, instances=2, workers=2, cache=cache) as fleet:
        assert len(fleet.workers) == 4
        took = await rounds(fleet, 8)
        assert max(took) < 1
        assert statistics.median(took) < 0.5
        # A replay is known by all of them.
        token = fleet.issuer.logout(sub="somebody")
        assert [await told(client, token) for client in fleet.workers] == [200, 400, 400, 400]


async def told(client, token):
    body = urlencode({"logout_token": token}).encode()
    kind = "Content-Type: application/x-www-form-urlencoded"
    await client.send(request("POST", "/.gateway/events/backchannel-logout", kind, body=body))
    return (await client.answer("POST")).status


async def test_without_redis_all_workers_of_the_instance_refuse_once_the_event_is_answered(tmp_path):
    async with fleet_of(tmp_path, instances=1, workers=2, cache={}) as fleet:
        assert len(fleet.workers) == 2
        took = await rounds(fleet, 6)
        assert max(took) < 1
        for number in range(100, 106):
            await fleet.warm(f"u{number}.1")
            await fleet.tell(fleet.gateways[0], WAYS[number % 2], f"u{number}")
            assert [await fleet.status(client, f"u{number}.1") for client in fleet.workers] == [401, 401]
        for token in (fleet.issuer.logout(sub="somebody"), fleet.issuer.logout(sub="somebody")):
            assert [await told(client, token) for client in fleet.workers] == [200, 400]


async def test_a_worker_that_stands_still_makes_it_unclear_and_the_event_may_come_again(tmp_path):
    async with fleet_of(tmp_path, instances=1, workers=2, cache={}) as fleet:
        await fleet.warm("alice.1")
        still, other = fleet.clients[0]
        token = fleet.issuer.logout(sub="alice")
        os.kill(still, signal.SIGSTOP)
        try:
            assert await told(fleet.clients[0][other], token) == 503
        finally:
            os.kill(still, signal.SIGCONT)
        fleet.revoked.add("alice")
        assert await told(fleet.clients[0][other], token) == 200
        assert [await fleet.status(client, "alice.1") for client in fleet.workers] == [401, 401]


async def test_while_redis_is_away_the_instance_that_was_told_refuses_and_the_others_follow(tmp_path):
    server = RedisServer()
    with running(server):
        cache = {"redis": server.url, "secret": "secret-of-the-fleet"}
        async with fleet_of(tmp_path, instances=2, workers=2, cache=cache) as fleet:
            await fleet.warm("alice.1")
            server.pause()
            try:
                await fleet.tell(fleet.gateways[0], "logout", "alice")
                here = fleet.clients[0].values()
                assert [await fleet.status(client, "alice.1") for client in here] == [401, 401]
            finally:
                server.resume()
            there = fleet.clients[1].values()
            for client in there:
                await fleet.until_refused(client, "alice.1")


async def pushed(client, issuer, **more):
    claims = {"id": secrets.token_hex(8), "expiration": int(time.time()) + 30, "resource": "gw", **more}
    token = signed({**claims, "action": "PUSH_NOT_BEFORE"}, issuer.key, typ="JWT")
    await client.send(request("POST", "/.gateway/events/keycloak/k_push_not_before", body=token.encode()))
    return (await client.answer("POST")).status


async def test_what_a_realm_issued_before_its_not_before_is_refused_by_everybody_and_by_who_comes_later(
    redis_server, tmp_path
):
    """Also what nobody has seen before, and though the provider itself calls it active."""
    cache = {"redis": redis_server.url, "secret": "secret-of-the-fleet-2"}
    now = int(time.time())
    async with fleet_of(tmp_path, instances=2, workers=2, cache=cache) as fleet:
        fleet.issued_at["old"] = now - 100
        fleet.issued_at["new"] = now
        await fleet.warm("old.1")
        await fleet.warm("new.1")
        assert await pushed(fleet.workers[0], fleet.issuer, notBefore=now - 10) == 204
        for token in ("old.1", "old.2"):
            assert [await fleet.status(client, token) for client in fleet.clients[0].values()] == [401, 401]
            for client in fleet.workers:
                await fleet.until_refused(client, token)
        await fleet.warm("new.1")
        # The log of purges may be cut off; who starts then is told all the same.
        redis = redis_server.client()
        for log in redis.keys("*:purges"):
            redis.delete(log)
        (tmp_path / "later").mkdir()
        at = {"instances": 1, "workers": 2, "cache": cache, "provider": fleet.provider}
        async with fleet_of(tmp_path / "later", **at) as later:
            later.issued_at.update(fleet.issued_at)
            assert [await later.status(client, "old.3") for client in later.workers] == [401, 401]
            await later.warm("new.2")


async def test_without_redis_all_workers_know_a_not_before(tmp_path):
    now = int(time.time())
    async with fleet_of(tmp_path, instances=1, workers=2, cache={}) as fleet:
        fleet.issued_at["old"] = now - 100
        await fleet.warm("old.1")
        assert await pushed(fleet.workers[0], fleet.issuer, notBefore=now - 10) == 204
        for token in ("old.1", "old.2"):
            assert [await fleet.status(client, token) for client in fleet.workers] == [401, 401]
