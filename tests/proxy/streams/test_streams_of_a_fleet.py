"""What stays open at one instance ends when another is told: every worker of every instance, around a real Redis."""

import asyncio
import time

import aiohttp
import pytest
from support.backend import HANG, RAW, script
from support.redis_server import RedisServer, running
from support.revoked import fleet_of
from support.running_gateway import ADMIN_TOKEN
from support.wire import request
from support.workers import client_of_each

from gateway.http.frames import close_frame

UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
OPEN_S = 0.9  # by then it is known as one that stays open


@pytest.fixture(scope="module")
def redis_server():
    server = RedisServer()
    with running(server):
        yield server


async def opened(fleet, client, target, token, *, is_websocket):
    fleet.backend.answers.append(script(SWITCH, RAW) if is_websocket else script(EVENTS, HANG))
    await client.send(request("GET", target, *(UPGRADE if is_websocket else ()), token=token))
    assert (await client.head()).status == (101 if is_websocket else 200)
    return client


async def at_each_worker(fleet, target, token):
    """A WebSocket and an event stream at each."""
    return [
        (is_websocket, await opened(fleet, client, target, token, is_websocket=is_websocket))
        for is_websocket in (True, False)
        for gateway in fleet.gateways
        for client in (await client_of_each(gateway)).values()
    ]


async def purge(gateway, selector):
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    url = f"{gateway.admin_url}/cache"
    async with aiohttp.ClientSession() as http, http.delete(url, headers=headers, json=selector) as answer:
        assert answer.status == 200


async def rests(streams, within_s):
    """What each still sends until it ends; `None` for one that is open after all that time."""

    async def rest(client):
        try:
            async with asyncio.timeout(within_s):
                return await client.rest()
        except TimeoutError:
            return None

    return await asyncio.gather(*(rest(client) for _, client in streams))


@pytest.mark.parametrize("has_redis", [True, False])
async def test_they_end_within_a_second_wherever_it_is_told(redis_server, tmp_path, has_redis):
    cache = {"redis": redis_server.url, "secret": "secret-of-the-fleet"} if has_redis else {}
    async with fleet_of(tmp_path, instances=1 + has_redis, workers=2, cache=cache) as fleet:
        told = fleet.gateways[-1]
        for way in ("logout", "event", "sub", "token"):
            streams = await at_each_worker(fleet, "/api/x", f"{way}.1")
            kept = await at_each_worker(fleet, "/kept/x", f"{way}.1")
            others = await at_each_worker(fleet, "/api/x", "bob.1")
            await asyncio.sleep(OPEN_S)
            began = await tell(fleet, told, way)
            assert_ended(streams, await rests(streams, 2))
            assert time.monotonic() - began < 1
            assert set(await rests(others + kept, 0.2)) == {None}
            for _, client in streams + others + kept:
                await client.close()


async def test_where_everything_is_forgotten_those_end_that_are_not_active(redis_server, tmp_path):
    cache = {"redis": redis_server.url, "secret": "secret-of-the-fleet"}
    async with fleet_of(tmp_path, instances=2, workers=2, cache=cache) as fleet:
        streams = await at_each_worker(fleet, "/api/x", "alice.1")
        others = await at_each_worker(fleet, "/api/x", "bob.1")
        kept = await at_each_worker(fleet, "/kept/x", "alice.1")
        await asyncio.sleep(OPEN_S)
        fleet.revoked.add("alice")
        await purge(fleet.gateways[1], None)
        assert_ended(streams, await rests(streams, 12))
        assert set(await rests(others + kept, 0.2)) == {None}
        for _, client in streams + others + kept:
            await client.close()


async def tell(fleet, gateway, way):
    """When that began; the user is called as the way."""
    if way in {"logout", "event"}:
        return await fleet.tell(gateway, way, way)
    fleet.revoked.add(way)
    began = time.monotonic()
    await purge(gateway, {"sub": way} if way == "sub" else {"token": f"{way}.1"})
    return began


def assert_ended(streams, ends):
    words = close_frame(1008, "the token was revoked")
    assert ends == [words if is_websocket else b"" for is_websocket, _ in streams]
