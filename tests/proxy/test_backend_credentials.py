"""What the backend gets in the place of the caller's token; the caller's own never reaches it."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from support.backend import Backend, ok, script
from support.running_gateway import ADMIN_TOKEN, CLIENT_SECRET, RunningGateway, eventually
from support.scripted_provider import Call, Fault, Reply, ScriptedProvider
from support.serving import ALICE, Serve

EXCHANGE = {"exchange": {"audience": "orders-api", "scopes": ["orders:read"]}}
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def keys(provider: ScriptedProvider, **more: Any) -> dict[str, Any]:
    return {"token_endpoint": provider.token_endpoint, "client_auth": "client_secret_post", **more}


def granted(call: Call, **more: Any) -> dict[str, Any]:
    subject = call.form.get("subject_token", "ours")
    return {"access_token": f"for-{subject}", "token_type": "Bearer", "expires_in": 300, **more}


def api(backend: Backend, authorization: dict[str, Any] = EXCHANGE, **more: Any) -> list[dict[str, Any]]:
    return [
        {"name": "api", "match": {"path": "/api/**"}, "backend": backend.url, "authorization": authorization, **more}
    ]


def grants(provider: ScriptedProvider) -> list[dict[str, list[str]]]:
    return [parse_qs(call.body.decode()) for call in provider.calls if call.path == "/token"]


async def test_the_token_of_the_caller_is_exchanged_and_only_the_new_one_reaches_the_backend(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.token_answer = granted
    gateway = await serve(api(backend), provider_keys=keys(provider))
    for _ in range(3):
        assert (await gateway.get("/api/x", token="good")).status == 200
    assert [request.value("Authorization") for request in backend.requests] == ["Bearer for-good"] * 3
    # The scripted provider's new token names the old one.
    assert all(b"Bearer good" not in request.head for request in backend.requests)
    assert grants(provider) == [
        {
            "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
            "subject_token": ["good"],
            "subject_token_type": [ACCESS_TOKEN],
            "audience": ["orders-api"],
            "scope": ["orders:read"],
            "client_id": ["gw"],
            "client_secret": [CLIENT_SECRET],
        }
    ]


async def test_each_caller_and_each_target_has_a_token_of_its_own(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.answers["other"] = {**ALICE, "sub": "bob"}
    provider.token_answer = lambda call: granted(
        call, access_token=f"{call.form['audience']}-{call.form['subject_token']}"
    )
    routes = [
        {
            "name": name,
            "match": {"path": f"/{name}"},
            "backend": backend.url,
            "authorization": {"exchange": {"audience": name}},
        }
        for name in ("one", "two")
    ]
    gateway = await serve(routes, provider_keys=keys(provider))
    for path in ("/one", "/two", "/one", "/two"):
        for token in ("good", "other"):
            await gateway.get(path, token=token)
    sent = [request.value("Authorization") for request in backend.requests]
    assert sent == ["Bearer one-good", "Bearer one-other", "Bearer two-good", "Bearer two-other"] * 2
    assert len(grants(provider)) == 4


@pytest.mark.parametrize(
    ("answer", "status", "code", "outcome"),
    [
        (Reply(400, {"error": "invalid_grant"}), 403, "exchange_refused", "refused"),
        (Reply(403, {"error": "access_denied"}), 403, "exchange_refused", "refused"),
        (Reply(400, {"error": "invalid_client"}), 503, "exchange_unavailable", "unavailable"),
        (Reply(400, {"error": "unauthorized_client"}), 503, "exchange_unavailable", "unavailable"),
        (Reply(401, {"error": "invalid_grant"}), 503, "exchange_unavailable", "unavailable"),
        (Reply(429, {"error": "invalid_grant"}), 503, "exchange_unavailable", "unavailable"),
        (Reply(500, {}), 503, "exchange_unavailable", "unavailable"),
        (Reply(200, {"access_token": "x", "token_type": "DPoP"}), 503, "exchange_unavailable", "unavailable"),
        (
            Reply(200, {"access_token": "a\r\nX-A: b", "token_type": "Bearer"}),
            503,
            "exchange_unavailable",
            "unavailable",
        ),
    ],
)
async def test_an_exchange_that_fails_reaches_no_backend(
    serve: Serve,
    provider: ScriptedProvider,
    backend: Backend,
    answer: Reply,
    status: int,
    code: str,
    outcome: str,
) -> None:
    provider.token_answer = answer
    gateway = await serve(api(backend), provider_keys=keys(provider, breaker=None))
    first = await gateway.get("/api/x", token="good")
    assert (first.status, first.problem["code"]) == (status, code)
    assert (first.value("Retry-After") is not None) == (status == 503)
    assert (first.value("WWW-Authenticate") is not None) == (status == 403)
    calls = len(grants(provider))
    await gateway.get("/api/x", token="good")
    # A no is remembered; that nobody can tell is not.
    assert (len(grants(provider)) == calls) == (status == 403)
    assert backend.requests == []
    line = (await gateway.log_line(2))["reason"]
    assert status == 403 or "client gw" in line or "token_type" in line or "header can carry" in line
    assert f'gateway_exchanges_total{{outcome="{outcome}",provider="p"}} ' in await metrics(gateway)


async def metrics(gateway: RunningGateway) -> str:
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.admin_url}/metrics") as response:
        return await response.text()


async def test_an_anonymous_caller_has_no_token_to_exchange(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    gateway = await serve(api(backend, auth="optional"), provider_keys=keys(provider))
    routes_open = await gateway.get("/api/x")
    assert routes_open.status == 200
    assert backend.requests[0].value("Authorization") is None
    assert grants(provider) == []


async def test_a_token_without_an_end_counts_for_a_minute_and_never_past_the_callers(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.answers["short"] = {**ALICE, "exp": time.time() + 1.5}
    provider.token_answer = lambda call: granted(call, expires_in=None)
    gateway = await serve(api(backend), provider_keys=keys(provider))
    assert (await gateway.get("/api/x", token="short")).status == 200
    await asyncio.sleep(1.6)
    assert (await gateway.get("/api/x", token="short")).status == 401
    assert len(grants(provider)) == 1


async def test_a_token_is_renewed_before_its_end_while_nobody_waits(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    count = iter(range(100))
    provider.token_answer = lambda call: granted(call, access_token=f"t{next(count)}", expires_in=2)
    gateway = await serve(api(backend), provider_keys=keys(provider))
    await gateway.get("/api/x", token="good")
    await asyncio.sleep(1.7)
    assert len(grants(provider)) == 1
    await gateway.get("/api/x", token="good")
    assert backend.requests[-1].value("Authorization") == "Bearer t0"
    await eventually(lambda: len(grants(provider)) == 2)
    await asyncio.sleep(0.05)
    await gateway.get("/api/x", token="good")
    assert backend.requests[-1].value("Authorization") == "Bearer t1"


async def test_many_callers_with_one_token_wait_for_one_exchange(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.token_answer = granted
    provider.delay_s = 0.1
    gateway = await serve(api(backend), provider_keys=keys(provider))
    answers = await asyncio.gather(*(gateway.get("/api/x", token="good") for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len(grants(provider)) == 1
    assert len(provider.introspections) == 1


@pytest.mark.parametrize("selector", [{"token": "good"}, {"sub": "alice"}, {"client_id": "web"}, {}])
async def test_an_eviction_takes_what_was_exchanged(
    serve: Serve, provider: ScriptedProvider, backend: Backend, selector: dict[str, str]
) -> None:
    provider.token_answer = granted
    gateway = await serve(api(backend), provider_keys=keys(provider))
    await gateway.get("/api/x", token="good")
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as http:
        body = {"json": selector} if selector else {}
        async with http.delete(f"{gateway.admin_url}/cache", **body) as response:
            assert await response.json() == {"evicted": 1}
    await gateway.get("/api/x", token="good")
    assert len(grants(provider)) == 2


async def test_a_token_endpoint_that_says_nothing_is_given_up_in_time(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    both = [*api(backend), {"name": "plain", "match": {"path": "/plain"}, "backend": backend.url}]
    gateway = await serve(both, provider_keys=keys(provider, timeout="1s"))
    assert (await gateway.get("/plain", token="good")).status == 200
    provider.fault = Fault.SILENCE
    started_s = time.monotonic()
    answers = await asyncio.gather(*(gateway.get("/api/x", token="good") for _ in range(10)))
    assert {(answer.status, answer.problem["code"]) for answer in answers} == {(503, "exchange_unavailable")}
    assert time.monotonic() - started_s < 4.0  # and the probe of its breaker after it


# The gateway's own client.

OWN = {"client_credentials": {"scopes": ["orders", "stock"]}}


async def test_all_callers_share_the_token_of_the_gateways_own_client(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.answers["other"] = {**ALICE, "sub": "bob"}
    provider.token_answer = granted
    gateway = await serve(authorization=OWN, provider_keys=keys(provider))
    await gateway.get("/api/x", token="good")
    await gateway.get("/api/x", token="other")
    await gateway.get("/open/x", token="ignored")
    assert [request.value("Authorization") for request in backend.requests] == ["Bearer for-ours"] * 3
    assert grants(provider) == [
        {
            "grant_type": ["client_credentials"],
            "scope": ["orders stock"],
            "client_id": ["gw"],
            "client_secret": [CLIENT_SECRET],
        }
    ]


async def test_the_gateways_own_token_is_renewed_without_any_request(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.token_answer = lambda call: granted(call, expires_in=1)
    gateway = await serve(authorization=OWN, provider_keys=keys(provider))
    await gateway.get("/open/x")
    await eventually(lambda: len(grants(provider)) >= 3)


async def test_a_backend_that_calls_the_token_invalid_has_it_renewed_once(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    count = iter(range(100))
    provider.token_answer = lambda call: granted(call, access_token=f"t{next(count)}")
    rejecting = ok(b"", 'WWW-Authenticate: Bearer realm="x", error="invalid_token"', status="401 Unauthorized")
    backend.default = script(rejecting)
    gateway = await serve(authorization=OWN, provider_keys=keys(provider))
    assert (await gateway.get("/open/x")).status == 401
    await eventually(lambda: len(grants(provider)) == 2)
    for _ in range(3):
        await gateway.get("/open/x")
        await asyncio.sleep(0.05)
    assert len(grants(provider)) == 2
    assert backend.requests[-1].value("Authorization") == "Bearer t1"


async def test_another_401_of_a_backend_renews_nothing(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.token_answer = granted
    backend.default = script(ok(b"", 'WWW-Authenticate: Bearer error="insufficient_scope"', status="401 Unauthorized"))
    gateway = await serve(authorization=OWN, provider_keys=keys(provider))
    for _ in range(3):
        await gateway.get("/open/x")
        await asyncio.sleep(0.05)
    assert len(grants(provider)) == 1


# The phantom token.


async def test_without_a_jwt_in_the_introspection_nothing_reaches_the_backend(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    gateway = await serve(api(backend, {"phantom": True}))
    answer = await gateway.get("/api/x", token="good")
    assert (answer.status, answer.problem["code"]) == (503, "introspection_unavailable")
    assert backend.requests == []
