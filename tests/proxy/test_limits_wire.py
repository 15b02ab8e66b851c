"""Limits as clients meet them, in both lanes, without Redis."""

import asyncio

import aiohttp
import pytest
from support.running_gateway import ADMIN_TOKEN
from support.wire import Client, request

LIMITS = {"per-user": {"rate": "100/1m", "burst": 3}, "per-client": {"rate": "10/1s", "burst": 2, "by": "client_id"}}


async def metrics_of(gateway) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.admin_url}/metrics") as answer:
        return await answer.text()


async def explained(gateway, question: dict) -> dict:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{gateway.admin_url}/explain", json=question) as answer,
    ):
        return await answer.json()


def item(answer, field: str) -> list[str]:
    return [part.strip() for part in (answer.value(field) or "").split(",") if part]


@pytest.fixture
def routes(backend):
    return [
        {"name": "api", "match": {"path": "/api/**"}, "backend": backend.url, "limits": ["per-user"]},
        {"name": "more", "match": {"path": "/more/**"}, "backend": backend.url, "limits": ["per-user"]},
        {"name": "both", "match": {"path": "/both"}, "backend": backend.url, "limits": ["per-user", "per-client"]},
        {"name": "staff", "match": {"path": "/staff"}, "backend": backend.url, "limits": ["per-user"],
         "auth": {"groups": ["staff"]}, "max_body": "1KiB"},
        {"name": "open", "match": {"path": "/open"}, "backend": backend.url, "limits": ["by-address"], "auth": "none"},
        {"name": "free", "match": {"path": "/**"}, "backend": backend.url},
    ]  # fmt: skip


@pytest.fixture
async def gateway(serve, routes, provider):
    provider.answers["again"] = dict(provider.answers["good"])
    provider.answers["bob"] = {**provider.answers["good"], "sub": "bob", "client_id": "other"}
    limits = LIMITS | {"by-address": {"rate": "2/1m", "by": "address"}}
    return await serve(routes, top={"limits": limits})


async def test_over_it_is_429_with_everything_a_client_needs(gateway, backend) -> None:
    answers = [await gateway.get("/api/x", token="good") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [item(answer, "RateLimit") for answer in answers] == [[f'"per-user";r={left};t=1'] for left in (2, 1, 0, 0)]
    assert {answer.value("RateLimit-Policy") for answer in answers} == {'"per-user";q=100;w=60'}
    assert (answers[-1].value("Retry-After"), answers[-1].problem["code"]) == ("1", "rate_limited")
    assert len(backend.requests) == 3
    line = gateway.lines.requests[-1]
    assert (line["code"], "per-user" in line["reason"], "alice" in line["reason"]) == ("rate_limited", True, False)


async def test_one_budget_over_all_routes_and_tokens_and_another_callers_own(gateway) -> None:
    for path, token in (("/api/x", "good"), ("/more/x", "again"), ("/api/y", "good")):
        assert (await gateway.get(path, token=token)).status == 200
    assert (await gateway.get("/more/x", token="good")).status == 429
    assert (await gateway.get("/more/x", token="bob")).status == 200
    assert (await gateway.get("/free", token="good")).value("RateLimit") is None


async def test_a_request_that_is_repeated_on_one_connection_spends_each_time(gateway) -> None:
    async with await Client.of(gateway.address) as client:
        await client.send(request("GET", "/api/x", token="good") * 5)
        answers = [await client.answer() for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]


async def test_what_is_refused_spends_nothing(gateway) -> None:
    for _ in range(5):
        refused = await gateway.get("/staff", token="good")
        assert (refused.status, item(refused, "RateLimit")) == (403, ['"per-user";r=3;t=1'])
    assert (await gateway.get("/staff", token="junk")).value("RateLimit") is None
    assert (await gateway.get("/api/x", token="good")).value("RateLimit") == '"per-user";r=2;t=1'


async def test_all_limits_are_looked_at_before_any_is_spent(gateway) -> None:
    first = [await gateway.get("/both", token="good") for _ in range(2)]
    assert [answer.status for answer in first] == [200, 200]
    assert item(first[1], "RateLimit") == ['"per-user";r=1;t=1', '"per-client";r=0;t=1']
    refused = await gateway.get("/both", token="good")
    assert (refused.status, item(refused, "RateLimit")[0]) == (429, '"per-user";r=1;t=1')
    assert "per-client" in gateway.lines.requests[-1]["reason"]
    assert "per-user" not in gateway.lines.requests[-1]["reason"]
    assert (await gateway.get("/api/x", token="good")).status == 200


async def test_it_counts_addresses_too(gateway) -> None:
    assert [(await gateway.get("/open")).status for _ in range(3)] == [200, 200, 429]
    assert (await gateway.get("/open", token="good")).status == 429


async def test_a_backend_that_fails_has_been_asked(serve, routes, backend) -> None:
    routes[0]["backend"] = "http://127.0.0.1:1"
    gateway = await serve(routes, top={"limits": LIMITS | {"by-address": {"rate": "2/1m"}}})
    failed = await gateway.get("/api/x", token="good")
    assert (failed.status, failed.value("RateLimit")) == (502, '"per-user";r=2;t=1')


async def test_metrics_begin_at_0_and_count_by_limit(gateway) -> None:
    text = await metrics_of(gateway)
    assert 'gateway_limit_requests_total{limit="per-user",outcome="allowed"} 0.0' in text
    assert 'gateway_limit_requests_total{limit="per-user",outcome="refused"} 0.0' in text
    assert "gateway_limits_alone 1.0" in text
    for _ in range(4):
        await gateway.get("/api/x", token="good")
    text = await metrics_of(gateway)
    assert 'gateway_limit_requests_total{limit="per-user",outcome="allowed"} 3.0' in text
    assert 'gateway_limit_requests_total{limit="per-user",outcome="refused"} 1.0' in text
    assert "alice" not in text


async def test_explain_says_what_is_left_and_spends_none(gateway) -> None:
    question = {"method": "GET", "url": "/api/x", "token": "good"}
    await gateway.get("/api/x", token="good")
    for _ in range(3):
        told = await explained(gateway, question)
        assert (told["decision"], [step for step in told["steps"] if "2 of 3" in step] != []) == ("allow", True)
    for _ in range(2):
        await gateway.get("/api/x", token="good")
    told = await explained(gateway, question)
    assert (told["decision"], told["status"], told["code"]) == ("refuse", 429, "rate_limited")


async def test_a_reload_that_leaves_the_limit_as_it_is_resets_nobody(gateway) -> None:
    for _ in range(3):
        await gateway.get("/api/x", token="good")
    assert await gateway.reload(gateway.text.replace('"rate": "10/1s"', '"rate": "11/1s"'))
    assert (await gateway.get("/api/x", token="good")).status == 429
    assert await gateway.reload(gateway.text.replace('"burst": 3', '"burst": 5'))
    assert (await gateway.get("/api/x", token="good")).value("RateLimit") == '"per-user";r=4;t=1'


async def test_many_at_once_are_not_let_through_by_chance(gateway, backend) -> None:
    answers = await asyncio.gather(*(gateway.ask(request("GET", "/api/x", token="bob")) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 3 + [429] * 17
    assert len(backend.requests) == 3


async def test_a_preflight_tells_of_limits_by_address_and_spends_none(serve, backend) -> None:
    cors = {"allow_origins": ["https://app.example.com"], "allow_methods": ["GET"]}
    route = {"name": "api", "match": {"path": "/api"}, "backend": backend.url, "limits": ["u", "a"], "cors": cors}
    gateway = await serve([route], top={"limits": {"u": {"rate": "2/1m"}, "a": {"rate": "2/1m", "by": "address"}}})
    wire = request("OPTIONS", "/api", "Origin: https://app.example.com", "Access-Control-Request-Method: GET")
    answers = [await gateway.ask(wire) for _ in range(3)]
    assert {(answer.status, answer.value("RateLimit")) for answer in answers} == {(204, '"a";r=2;t=1')}
