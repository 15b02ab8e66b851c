"""The Redis user that `deploy/` makes: all that a gateway does there works with it, and nothing else does."""

import asyncio
import hashlib
import re

import aiohttp
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError
from support.backend import Backend
from support.deployed import DEPLOY
from support.redis_server import RedisServer, running
from support.running_gateway import ADMIN_TOKEN, configuration, eventually, gateways, provider_settings
from support.scripted_provider import ScriptedProvider

USERS = DEPLOY / "compose" / "secrets" / "redis_users"
URL = (DEPLOY / "compose" / "secrets" / "gateway_redis_url").read_text().strip()
PASSWORD = re.fullmatch(r"redis://gateway:([a-z-]+)@redis:6379/0", URL)[1]


@pytest.fixture
def redis_server(tmp_path):
    """With an administrator beside the gateway's user, to ask what was denied."""
    users = tmp_path / "users.acl"
    users.write_text(USERS.read_text() + "user root on >root ~* &* +@all\n")
    server = RedisServer(options=("--aclfile", str(users)))
    with running(server):
        yield server


def login(server, **who):
    return Redis(host="127.0.0.1", port=server.port, **who)


def test_the_rights_stand_once():
    rights = (DEPLOY / "redis" / "users.acl").read_text()
    assert USERS.read_text() == rights.replace("HASH", hashlib.sha256(PASSWORD.encode()).hexdigest())


def test_there_is_no_user_but_the_gateways(redis_server):
    with login(redis_server) as nobody, pytest.raises(AuthenticationError):
        nobody.get("gateway:x")
    with (
        login(redis_server, username="gateway", password="a-wrong-password") as guess,
        pytest.raises(AuthenticationError),
    ):
        guess.get("gateway:x")


def test_the_user_has_no_other_keys_and_cannot_harm_the_server(redis_server):
    with login(redis_server, username="gateway", password=PASSWORD) as user:
        for command in (("SET", "other", "x"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("KEYS", "*"), ("SHUTDOWN",)):
            with pytest.raises(NoPermissionError):
                user.execute_command(*command)


async def test_two_gateways_share_answers_leases_and_purges_with_it(redis_server):
    provider, backend = ScriptedProvider(), Backend()
    await provider.start()
    await backend.start()
    provider.answers |= {f"t{number}": {"active": True, "sub": f"u{number}"} for number in range(5)}
    url = URL.replace("@redis:6379", f"@127.0.0.1:{redis_server.port}")
    text = configuration(
        providers={"p": provider_settings(provider)},
        routes=[{"name": "api", "backend": backend.url, "auth": {"stale_if_error": "1m"}}],
        cache={"redis": url, "secret": "a-secret-of-the-whole-fleet", "timeout": "2s", "refresh_ahead": 0.8},
    )
    async with gateways() as start:
        one, other = await start(text), await start(text)
        for gateway in (one, other):
            await eventually(lambda gateway=gateway: gateway.service._serving.readiness().checks["redis"] == "shared")
        for number in range(5):
            assert (await one.get("/x", token=f"t{number}")).status == 200
            assert (await other.get("/x", token=f"t{number}")).status == 200
        assert len(provider.introspections) == 5
        provider.default = {"active": False}
        provider.answers.clear()
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        async with aiohttp.request("DELETE", f"{one.admin_url}/cache", json={"token": "t0"}, headers=headers) as gone:
            assert gone.status == 200

        statuses = [(await other.get("/x", token="t0")).status]
        async with asyncio.timeout(10):
            while statuses[-1] != 401:
                statuses.append((await other.get("/x", token="t0")).status)
        with login(redis_server, username="root", password="root") as root:
            assert root.execute_command("ACL", "LOG") == []
    await provider.stop()
    await backend.stop()
