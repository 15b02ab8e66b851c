"""Tomcat behind the gateway: it cuts path parameters off before it maps a path to a servlet, and the policy has to
be that of the servlet. Skipped, with a reason, where there is no Tomcat; see `support.real_servers`.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.lanes import LANES, lane_keys
from support.real_servers import running, tomcat, tomcat_with_remote_ip
from support.redis_server import free_port
from support.running_gateway import RunningGateway, configuration, gateways, provider_settings
from support.scripted_provider import ScriptedProvider
from support.wire import request

BOB, ROOT = "token-of-bob", "token-of-root"
OTHER_SPELLINGS = (
    "/admin;x/users",
    "/admin;x=1/users",
    "/admin;/users",
    "/admin;jsessionid=1",
    "/admin%3Bx/users",
    "/admin%3bx/users",
    "/%61dmin;x/users",
    "/;x/admin/users",
    "/open/..;/admin/users",
    "/./admin;x/users",
    "//admin/users",
)

Start = Callable[..., Awaitable[RunningGateway]]


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    one = ScriptedProvider()
    await one.start()
    one.answers[BOB] = {"active": True, "sub": "bob", "scope": ""}
    one.answers[ROOT] = {"active": True, "sub": "root", "scope": "admin"}
    yield one
    await one.stop()


@pytest.fixture(params=LANES)
async def start(request: pytest.FixtureRequest, provider: ScriptedProvider) -> AsyncIterator[Start]:
    """A gateway with everything open but `/admin/**`, which wants the scope."""
    async with gateways(BOB, ROOT) as running_gateways:

        async def started(url: str, server: dict[str, Any] | None = None, **keys: Any) -> RunningGateway:
            admin = {"name": "admin", "match": {"path": "/admin/**"}, "auth": {"scopes": ["admin"]}}
            routes = [
                {"backend": url, **keys, **admin},
                {"name": "all", "match": {"path": "/**"}, "auth": "none", "backend": url, **keys},
            ]
            server = {**lane_keys(request.param), **(server or {})}
            providers = {"p": provider_settings(provider)}
            return await running_gateways(configuration(providers=providers, routes=routes, server=server))

        yield started


async def test_no_spelling_reaches_the_servlet_without_the_scope(start: Start, tmp_path: Path) -> None:
    port = free_port()
    async with running(await tomcat(port, tmp_path), port) as url:
        strict, lenient = await start(url), await start(url, allow_path_parameters=True)
        for gateway in (strict, lenient):
            for target in OTHER_SPELLINGS:
                for token in (None, BOB):
                    answer = await gateway.ask(request("GET", target, token=token))
                    assert answer.status in {400, 401, 403}, target
            answer = await gateway.ask(request("GET", "/admin/users", token=ROOT))
            assert (answer.status, json.loads(answer.body)["servlet"]) == (200, "/admin")
            assert (await gateway.get("/echo")).status == 200
        assert (await strict.ask(request("GET", "/admin;x/users", token=ROOT))).status == 400
        answer = await lenient.ask(request("GET", "/admin;x/users", token=ROOT))
        told = json.loads(answer.body)
        assert (told["servlet"], told["path"], told["headers"]["x-user-id"]) == ("/admin", "/admin/users", "root")
        assert told["url"].endswith("/admin;x/users")
        answer = await lenient.get("/echo;v=1")
        assert (answer.status, json.loads(answer.body)["servlet"]) == (200, "/echo")


async def test_its_valve_takes_the_client_and_the_host_from_what_the_gateway_says(start: Start, tmp_path: Path) -> None:
    port = free_port()
    async with running(await tomcat_with_remote_ip(port, tmp_path), port) as url:
        gateway = await start(url, server={"trusted_proxies": ["127.0.0.0/8"]})
        answer = await gateway.get("/echo", "X-Forwarded-For: 192.0.2.1")
        told = json.loads(answer.body)
        assert (told["client"], told["url"]) == ("192.0.2.1", "http://gw.example/echo")
        assert (await gateway.get("/away")).value("Location") == "http://gw.example/echo"
