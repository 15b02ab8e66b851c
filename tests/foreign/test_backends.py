"""Real servers behind the gateway: where their redirects lead, what they are told, what comes back.

Each is skipped, with a reason, where its runtime or package is not there; see `support.real_servers`.
"""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.lanes import LANES, lane_keys
from support.real_servers import (
    ALL,
    CONFIGURED,
    TEXT,
    apache,
    files_in,
    go,
    gunicorn_with_proxy_fix,
    nginx,
    running,
    tomcat,
    uvicorn,
)
from support.redis_server import free_port
from support.running_gateway import RunningGateway, configuration, gateways
from support.wire import Answer, request

HOST = "gw.example"
# Their redirect to a folder is a path, which is theirs to build from X-Forwarded-Prefix.
WITH_PATHS = {go, tomcat}
# On loopback uvicorn believes its peer; nginx and Apache are told to in their files.
KNOWING = (uvicorn, gunicorn_with_proxy_fix, nginx, apache, *CONFIGURED)


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=ALL, ids=lambda one: one.__name__)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Any, str]]:
    port = free_port()
    async with running(await request.param(port, tmp_path), port) as url:
        yield request.param, url


@pytest.fixture
async def gateway(server: tuple[Any, str], lane: str) -> AsyncIterator[RunningGateway]:
    """`/plain/**` goes to the server by that path, `/shop/**` without its first segment."""
    route = {"backend": server[1], "auth": "none"}
    routes = [
        {"name": "shop", "match": {"path": "/shop/**"}, "strip_prefix": "/shop", **route},
        {"name": "kept", "match": {"host": "kept.example"}, "preserve_host": True, **route},
        {"name": "plain", **route},
    ]
    one = RunningGateway(configuration(providers={}, routes=routes, server=lane_keys(lane)))
    await one.start()
    yield one
    await one.stop()


async def followed(gateway: RunningGateway, target: str, host: str = HOST) -> tuple[Answer, Answer]:
    """The answer, and that of where it leads; it must lead to the host that was asked."""
    first = await gateway.ask(request("GET", target, host=host))
    assert first.status in {301, 302, 307, 308}, first
    place = urlsplit(str(first.value("Location")))
    assert (place.scheme or "http", place.netloc or host) == ("http", host), first
    return first, await gateway.ask(request("GET", place.path, host=host))


async def test_redirects_lead_through_the_gateway(gateway: RunningGateway, server: tuple[Any, str]) -> None:
    for _ in range(3):
        for host in (HOST, "kept.example"):
            for target, end in (("/away", "/echo"), ("/slash", "/slash/")):
                first, second = await followed(gateway, target, host)
                assert urlsplit(str(first.value("Location"))).path == end
                assert (second.status, json.loads(second.body)["path"]) == (200, end)


async def test_so_they_do_where_a_prefix_is_stripped(gateway: RunningGateway, server: tuple[Any, str]) -> None:
    first, second = await followed(gateway, "/shop/away")
    assert urlsplit(str(first.value("Location"))).path == "/shop/echo"
    told = json.loads(second.body)["headers"]
    assert told["x-forwarded-prefix"] == "/shop"
    if server[0] not in WITH_PATHS:
        first, second = await followed(gateway, "/shop/slash")
        assert (urlsplit(str(first.value("Location"))).path, second.status) == ("/shop/slash/", 200)


async def test_it_is_told_who_asks(gateway: RunningGateway) -> None:
    for _ in range(3):
        answer = await gateway.get("/echo", "X-Forwarded-For: 192.0.2.1", "X-Request-Id: mine")
        said = json.loads(answer.body)
        told = said["headers"]
        assert told["x-request-id"] == answer.value("X-Request-Id") != "mine"
        # Apache's mod_remoteip takes it for the client, and away.
        assert told.get("x-forwarded-for", said.get("client")) == "127.0.0.1"
        assert told["x-forwarded-host"] == HOST


@pytest.mark.parametrize("one", KNOWING, ids=lambda one: one.__name__)
async def test_configured_as_told_it_knows_the_client_and_the_url(one: Any, tmp_path: Path, lane: str) -> None:
    """What `docs/neighbours.md` says to configure is in the commands and the files of these servers."""
    port = free_port()
    files_in(tmp_path)
    client = "127.0.0.9"  # before the gateway, which calls from 127.0.0.1, and ends TLS
    async with running(await one(port, tmp_path), port, tmp_path) as url, gateways() as start:
        routes = [{"name": "kept", "backend": url, "auth": "none", "preserve_host": True}]
        server = {**lane_keys(lane), "trusted_proxies": [f"{client}/32"]}
        gateway = await start(configuration(providers={}, routes=routes, server=server))
        for _ in range(3):
            connection = await gateway.client(source=client)
            await connection.send(request("GET", "/echo", "X-Forwarded-Proto: https", host=HOST))
            told = json.loads((await connection.answer()).body)
            assert told["client"] == client
            assert told.get("url", f"https://{HOST}/echo") == f"https://{HOST}/echo"


@pytest.mark.parametrize("server", [nginx], indirect=True)
async def test_nginx_packs_nothing_where_it_sees_via(server: tuple[Any, str], lane: str) -> None:
    """Its `gzip_proxied` is off; `any` there, or `remove: [Via]` here, and it packs."""
    without = {"name": "all", "backend": server[1], "auth": "none", "request_headers": {"remove": ["Via"]}}
    async with gateways() as start:
        for route, encodings in (({**without, "request_headers": {}}, []), (without, ["gzip"])):
            gateway = await start(configuration(providers={}, routes=[route], server=lane_keys(lane)))
            for _ in range(3):
                answer = await gateway.get("/plain.txt", "Accept-Encoding: gzip")
                assert answer.values("Content-Encoding") == encodings
                answer = await gateway.get("/file.txt", "Accept-Encoding: gzip")
                assert answer.values("Content-Encoding") == ["gzip"]


async def test_what_is_packed_arrives_packed(gateway: RunningGateway) -> None:
    for _ in range(3):
        answer = await gateway.get("/text", "Accept-Encoding: gzip")
        assert answer.values("Content-Encoding") == ["gzip"]
        assert gzip.decompress(answer.body) == TEXT


async def test_it_serves_many_one_after_another(gateway: RunningGateway) -> None:
    async with await gateway.client() as client:
        for number in range(100):
            method = ("GET", "HEAD", "GET", "OPTIONS")[number % 4]
            await client.send(request(method, "/echo"))
            assert (await client.answer(method)).status < 500
