"""What one process has learned of a provider's `token_type` is known to all of them (`require_token_type: auto`)."""

import asyncio
import time

import pytest
from support.fleet import ask, fleet
from support.redis_server import RedisServer, running
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.workers import client_of_each

from gateway.authn.token_type import TokenTypeRule
from gateway.cache.key import HmacKeys
from gateway.cache.key_ring import keys_of
from gateway.introspection.tag_purge import purge_everything, purge_of
from gateway.runtime.token_type_sharing import note_token_types, recall_token_types, share_token_type

TYPED = {"active": True, "sub": "alice", "token_type": "Bearer"}
UNTYPED = {"active": True, "sub": "bob"}
SECRET = "secret-of-the-fleet"


class Provider:
    def __init__(self, identity, mode="auto"):
        self.token_types = TokenTypeRule(mode, identity)


class Memory:
    """A fleet's memory."""

    def __init__(self):
        self.marks = {}
        self.purges = []

    async def has_seen(self, mark):
        return mark in self.marks

    async def remember_seen(self, mark, life_s):
        self.marks[mark] = life_s

    async def publish_purge(self, purge):
        self.purges.append(purge)
        return True


async def test_what_is_shared_is_of_one_provider_and_of_those_who_have_the_secret():
    memory, keys = Memory(), HmacKeys(SECRET.encode())
    await share_token_type(b"one", keys, memory)
    for secret, identity, mode, learns in (
        (SECRET, b"one", "auto", True),
        (SECRET, b"two", "auto", False),
        ("another", b"one", "auto", False),
        (SECRET, b"one", False, False),
    ):
        later, there = Provider(identity, mode), Provider(identity, mode)
        await recall_token_types([later], HmacKeys(secret.encode()), memory)
        assert note_token_types(memory.purges[0], [there], HmacKeys(secret.encode())) is learns
        assert (later.token_types.required, there.token_types.required) == (learns, learns)


async def test_what_is_told_under_several_secrets_is_understood_under_each():
    memory, old, new = Memory(), b"the-old-secret-of-all", b"the-new-secret-of-all"
    await share_token_type(b"one", keys_of([old, new]), memory)
    for secrets in ([old], [new], [new, old]):
        provider = Provider(b"one")
        note_token_types(memory.purges[0], [provider], keys_of(secrets))
        assert provider.token_types.required


async def test_no_other_purge_teaches_anything():
    provider, keys = Provider(b"one"), HmacKeys(SECRET.encode())
    for purge in (purge_everything(), purge_of([]), purge_of([b"x" * 32])):
        assert not note_token_types(purge, [provider], keys)
    await recall_token_types([provider], keys, None)
    await recall_token_types([provider], keys, Memory())
    assert not provider.token_types.required


@pytest.fixture(scope="module")
def redis_server():
    server = RedisServer()
    with running(server):
        yield server


async def refused_after_s(client, token):
    began = time.monotonic()
    while await ask(client, token) != 401:
        assert time.monotonic() - began < 10
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def test_the_fleet_knows_within_a_second_and_who_starts_later_at_once(redis_server, provider, backend):
    text = configuration(
        providers={"p": provider_settings(provider)},
        routes=[{"name": "api", "match": {"path": "/api/**"}, "backend": backend.url}],
        cache={"redis": redis_server.url, "secret": SECRET, "timeout": "1s"},
    )
    provider.answers |= {"typed": TYPED, "untyped": UNTYPED}
    gateways = [RunningGateway(text) for _ in range(3)]
    one, other, later = gateways
    try:
        await one.start()
        await other.start()
        for gateway in (one, other):
            assert (await gateway.get("/api/x", token="untyped")).status == 200
        assert (await one.get("/api/x", token="typed")).status == 200
        assert (await one.get("/api/x", token="untyped")).status == 401
        assert await refused_after_s(await other.client(), "untyped") < 1
        await later.start()
        assert (await later.get("/api/x", token="untyped")).status == 401
    finally:
        for gateway in gateways[: 3 if later.lines.raw else 2]:
            await gateway.stop()


async def test_without_redis_the_workers_tell_each_other(tmp_path):
    async with fleet(tmp_path, gateways=1, workers=2, cache={"redis": None}) as served:
        served.provider.answers["typed"] = TYPED
        clients = list((await client_of_each(served.gateways[0])).values())
        assert len(clients) == 2
        for client in clients:
            assert await ask(client, "untyped") == 200
        assert await ask(clients[0], "typed") == 200
        assert await ask(clients[0], "untyped") == 401
        assert await refused_after_s(clients[1], "untyped") < 1
        for client in clients:
            await client.close()
