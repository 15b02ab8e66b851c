"""What the log and `/health/ready` say when Redis or a provider cannot be used: one line a change, with its reason."""

import aiohttp
import pytest
from support.redis_server import RedisServer, running
from support.running_gateway import configuration, eventually, gateways

SECRET = "a-secret-of-the-cache"
RIGHT, WRONG = "the-right-password", "the-wrong-password"


@pytest.fixture
def guarded_redis():
    server = RedisServer(password=RIGHT)
    with running(server):
        yield server


async def readiness(gateway):
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.admin_url}/health/ready") as answer:
        return await answer.json()


def told(gateway, event):
    return [line for line in gateway.lines.all if line["event"] == event]


@pytest.mark.parametrize(
    ("login", "words"), [(f":{WRONG}@", "WRONGPASS invalid"), ("", "NOAUTH"), (f"nobody:{WRONG}@", "WRONGPASS")]
)
async def test_a_wrong_password_of_redis_leaves_a_line_with_the_reason(serve, guarded_redis, login, words):
    url = f"redis://{login}127.0.0.1:{guarded_redis.port}/0"
    gateway = await serve(cache={"redis": url, "secret": SECRET})
    [line] = told(gateway, "redis_away")
    assert line["level"] == "warning"
    assert words in line["reason"]
    assert "cache.redis" in line["reason"]  # what to do
    assert (await gateway.get("/api/x", token="good")).status == 200
    checks = (await readiness(gateway))["checks"]
    assert checks["redis"] == "away"
    assert words in checks["redis_reason"]
    assert len(told(gateway, "redis_away")) == 1
    assert WRONG not in b"".join(gateway.lines.raw).decode() + str(checks)


async def test_redis_that_goes_and_comes_leaves_two_lines(serve):
    server = RedisServer()
    with running(server):
        gateway = await serve(cache={"redis": server.url, "secret": SECRET})
        assert len(told(gateway, "redis_back")) == 1
        assert "redis_reason" not in (await readiness(gateway))["checks"]
        server.kill()
        await eventually(lambda: told(gateway, "redis_away"))
        server.start()
        await eventually(lambda: len(told(gateway, "redis_back")) == 2)
        assert "redis_reason" not in (await readiness(gateway))["checks"]
    assert len(told(gateway, "redis_away")) == 1


async def test_health_says_why_discovery_has_not_succeeded(backend):
    provider = {"issuer": "http://127.0.0.1:9/realms/x", "client_id": "gw", "client_secret": "0123456789abcdef"}
    routes = [{"name": "a", "match": {"path": "/a/**"}, "backend": backend.url}]
    async with gateways() as start:
        gateway = await start(configuration(providers={"p": provider}, routes=routes))
        await eventually(lambda: told(gateway, "discovery"))
        [reason] = (await readiness(gateway))["reasons"]
        assert reason.startswith("provider p: discovery has not succeeded yet: ")
        assert "connection refused" in reason
        assert "http://127.0.0.1:9/realms/x/.well-known/openid-configuration" in reason
