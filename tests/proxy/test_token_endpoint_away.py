"""The token endpoint and the introspection endpoint fail apart: each has a breaker, and takes nothing else down."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from support.backend import Backend
from support.running_gateway import RunningGateway
from support.scripted_provider import Call, Fault, Reply, ScriptedProvider
from support.serving import ALICE, Serve

TIMEOUT_S = 1.0
# What a request takes at most: its call, a probe for the breaker after it, and what a busy machine adds.
WITHIN_S = 2 * TIMEOUT_S + 2.0
BREAKER = {"failures": 2, "interval": "30s"}
DOWN = [Fault.SILENCE, Fault.RESET, Fault.DRIP_HEADERS, Reply(500, {})]
BRIEF_S = 4.0


def granted(call: Call, life_s: float = 300.0) -> dict[str, Any]:
    return {"access_token": f"for-{call.form['subject_token']}", "token_type": "Bearer", "expires_in": life_s}


async def serving(serve: Serve, provider: ScriptedProvider, backend: Backend) -> RunningGateway:
    """`/api` exchanges, `/plain` does not. Anybody whose token begins with `t` is known."""
    provider.default = lambda call: {**ALICE, "sub": call.token, "exp": int(time.time()) + 3600}
    provider.token_answer = granted
    exchange = {"exchange": {"audience": "orders-api"}}
    routes = [
        {"name": "api", "match": {"path": "/api"}, "backend": backend.url, "authorization": exchange},
        {"name": "plain", "match": {"path": "/plain"}, "backend": backend.url},
    ]
    keys = {"token_endpoint": provider.token_endpoint, "timeout": f"{TIMEOUT_S:g}s", "breaker": BREAKER}
    return await serve(routes, provider_keys=keys)


def take_down(provider: ScriptedProvider, path: str, how: Fault | Reply) -> None:
    if isinstance(how, Fault):
        provider.faults_at[path] = how
    elif path == "/token":
        provider.token_answer = how
    else:
        provider.answers.clear()
        provider.default = how


async def asked(gateway: RunningGateway, target: str, token: str) -> tuple[int, str]:
    """The status and the code of one request, which has to be answered in time."""
    began_s = time.monotonic()
    answer = await gateway.get(target, token=token)
    assert time.monotonic() - began_s < WITHIN_S
    return answer.status, "" if answer.status == 200 else answer.code


def breakers(gateway: RunningGateway) -> list[tuple[str, str]]:
    """What the log says of breakers: whose, and their states in order."""
    lines = [line for line in gateway.lines.all if line["event"] == "breaker"]
    return [(line.get("endpoint", "introspection"), line["state"]) for line in lines if line["state"] != "half_open"]


def calls_of(provider: ScriptedProvider, path: str) -> int:
    return sum(call.path == path for call in provider.calls)


@pytest.mark.parametrize("how", DOWN, ids=str)
async def test_without_the_token_endpoint_known_exchanges_last_and_introspection_goes_on(
    serve: Serve, provider: ScriptedProvider, backend: Backend, how: Fault | Reply
) -> None:
    gateway = await serving(serve, provider, backend)
    provider.token_answer = lambda call: granted(call, BRIEF_S if call.form["subject_token"] == "t-brief" else 300.0)
    assert await asked(gateway, "/api", "t-brief") == (200, "")
    ends_s = time.monotonic() + BRIEF_S
    assert await asked(gateway, "/api", "t-known") == (200, "")
    take_down(provider, "/token", how)
    new = [asked(gateway, "/api", f"t-{number}") for number in range(8)]
    assert set(await asyncio.gather(*new)) == {(503, "exchange_unavailable")}
    assert breakers(gateway) == [("token", "open")]
    # From now on nobody waits, and nobody asks.
    called, began_s = calls_of(provider, "/token"), time.monotonic()
    assert await asked(gateway, "/api", "t-9") == (503, "exchange_unavailable")
    assert time.monotonic() - began_s < TIMEOUT_S
    assert await asked(gateway, "/api", "t-known") == (200, "")
    assert await asked(gateway, "/plain", "t-10") == (200, "")
    assert calls_of(provider, "/token") == called
    # What was known ends when it ends.
    while time.monotonic() < ends_s - 1.0:
        assert await asked(gateway, "/api", "t-brief") == (200, "")
        await asyncio.sleep(0.2)
    await asyncio.sleep(ends_s + 0.3 - time.monotonic())
    assert await asked(gateway, "/api", "t-brief") == (503, "exchange_unavailable")
    assert await asked(gateway, "/plain", "t-brief") == (200, "")
    assert {request.value("Authorization") for request in backend.requests if request.target == "/api"} == {
        "Bearer for-t-brief",
        "Bearer for-t-known",
    }


@pytest.mark.parametrize("how", DOWN, ids=str)
async def test_without_introspection_the_token_endpoint_goes_on(
    serve: Serve, provider: ScriptedProvider, backend: Backend, how: Fault | Reply
) -> None:
    gateway = await serving(serve, provider, backend)
    for token in ("t-known", "t-of-facts"):
        assert await asked(gateway, "/plain", token) == (200, "")
    assert await asked(gateway, "/api", "t-known") == (200, "")
    take_down(provider, "/introspect", how)
    new = [asked(gateway, "/api", f"t-{number}") for number in range(8)]
    assert set(await asyncio.gather(*new)) == {(503, "introspection_unavailable")}
    assert breakers(gateway) == [("introspection", "open")]
    assert await asked(gateway, "/api", "t-known") == (200, "")
    # Its facts are known, and its exchange is not.
    assert await asked(gateway, "/api", "t-of-facts") == (200, "")
    assert calls_of(provider, "/token") == 2
    assert breakers(gateway) == [("introspection", "open")]


async def test_the_token_endpoint_is_used_again_once_it_is_back(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    gateway = await serving(serve, provider, backend)
    text = gateway.text.replace('"interval": "30s"', '"interval": "1s"')
    assert await gateway.reload(text)
    take_down(provider, "/token", Fault.RESET)
    for number in range(4):
        assert await asked(gateway, "/api", f"t-{number}") == (503, "exchange_unavailable")
    assert breakers(gateway) == [("token", "open")]
    provider.faults_at.clear()
    await asyncio.sleep(1.1)
    # One question of the gateway's own goes first: the exchange of a token that nobody has.
    assert await asked(gateway, "/api", "t-1") == (200, "")
    assert breakers(gateway) == [("token", "open"), ("token", "closed")]
