"""Signed introspection answers (RFC 9701): on either lane a route opens by a good one for this very token alone."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from support.backend import Backend
from support.echoing import IDENTITY, is_refused, passes, vouched_backend
from support.lanes import lane_keys
from support.running_gateway import ADMIN_TOKEN, RunningGateway, configuration, gateways, provider_settings
from support.scripted_provider import Reply, ScriptedProvider
from support.signing import forged_by_mac, jwk, rsa_key, signed, unsigned

TYP = "token-introspection+jwt"


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as scripted:
        scripted.keys = {"keys": [jwk(rsa_key())]}
        scripted.answers["canary"] = lambda _: reply(answer_of(scripted, "canary"))
        yield scripted


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with vouched_backend() as recording:
        yield recording


@pytest.fixture
async def gateway(provider: ScriptedProvider, backend: Backend, lane: str) -> AsyncIterator[RunningGateway]:
    keys = {"issuer": provider.issuer, "jwks_uri": provider.jwks_uri, "introspection": {"accept": "jwt"}}
    route = {"name": "api", "match": {"path": "/api/**"}, "backend": backend.url, "identity": IDENTITY}
    providers = {"p": provider_settings(provider, **keys, breaker=None)}
    async with gateways("secret-of-the-client") as start:
        yield await start(configuration(providers=providers, routes=[route], server=lane_keys(lane)))


def answer_of(provider: ScriptedProvider, sub: str, **more: Any) -> dict[str, Any]:
    result = {"active": True, "sub": sub, "scope": "read"}
    claims = {"iss": provider.issuer, "aud": "gw", "iat": int(time.time()), "token_introspection": result}
    return {**claims, **more}


def reply(claims: dict[str, Any], sign: Callable[..., str] = signed, **header: Any) -> Reply:
    jwt = sign(claims, **{"typ": TYP, **header})
    return Reply(body=jwt.encode(), headers={"Content-Type": f"application/{TYP}"})


BAD: dict[str, Callable[[ScriptedProvider], Any]] = {
    "plain JSON": lambda p: {"active": True, "sub": "eve"},
    "a plain no": lambda p: {"active": False},
    "an unsigned error": lambda p: Reply(400, {"error": "invalid_token"}),
    "for another client": lambda p: reply(answer_of(p, "eve", aud="other")),
    "of another issuer": lambda p: reply(answer_of(p, "eve", iss="https://other")),
    "of yesterday": lambda p: reply(answer_of(p, "eve", iat=int(time.time()) - 86_400)),
    "another kind of JWT": lambda p: reply(answer_of(p, "eve"), typ="JWT"),
    "signed by a stranger": lambda p: reply(answer_of(p, "eve"), lambda c, **h: signed(c, rsa_key(2), **h)),
    "a MAC under the public key": lambda p: reply(answer_of(p, "eve"), forged_by_mac),
    "alg none": lambda p: reply(answer_of(p, "eve"), unsigned),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_what_is_not_a_good_one_is_503_and_not_remembered(
    gateway: RunningGateway, provider: ScriptedProvider, backend: Backend, bad: Callable[[ScriptedProvider], Any]
) -> None:
    provider.answers["eve"] = bad(provider)
    for _ in range(2):
        await is_refused(gateway, "eve", 503, "introspection_unavailable", "/api", backend)
    assert sum(call.token == "eve" for call in provider.introspections) == 2
    provider.answers["eve"] = reply(answer_of(provider, "eve"))
    await passes(gateway, "eve", "eve")
    await passes(gateway, "canary", "canary")


async def test_the_recorded_answer_about_one_token_opens_nothing_for_another(
    gateway: RunningGateway, provider: ScriptedProvider, backend: Backend
) -> None:
    """Somebody between the two who cannot sign puts what was said of `alice` in the place of what is said of `eve`."""
    recorded = reply(answer_of(provider, "alice"))
    provider.answers["alice"] = provider.answers["eve"] = recorded
    await passes(gateway, "alice", "alice")
    await is_refused(gateway, "eve", 503, "introspection_unavailable", "/api", backend)
    await passes(gateway, "alice", "alice")


async def test_the_answer_is_in_no_log_and_no_explanation(
    gateway: RunningGateway, provider: ScriptedProvider, backend: Backend
) -> None:
    """It is a phantom token: who has it may act as the caller, where backends take it."""
    claims = answer_of(provider, "alice")
    provider.answers["alice"] = reply(claims)
    await passes(gateway, "alice", "alice")
    question = {"method": "GET", "url": f"{gateway.url}/api/x", "token": "alice"}
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{gateway.admin_url}/explain", json=question, headers=headers) as response,
    ):
        told = await response.text()
    assert "allow" in told
    jwt = signed(claims, typ=TYP)
    for part in jwt.split(".")[1:]:
        assert part not in told
        assert part.encode() not in b"".join(gateway.lines.raw)
        assert all(part.encode() not in one.head for one in backend.requests)
