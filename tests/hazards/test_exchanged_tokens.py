"""Token endpoints that lie, stall and flood: no backend gets what it must not, and no caller another caller's token."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from support.backend import Backend
from support.broken_answers import Fault
from support.echoing import vouched_backend
from support.lanes import lane_keys
from support.paced_provider import PacedProvider
from support.running_gateway import ADMIN_TOKEN, CLIENT_SECRET, RunningGateway, configuration, provider_settings
from support.scripted_provider import Call, Raw, Reply
from support.wire import Client, request

TIMEOUT_S = 1.0
# The call, the probe after it, and some for a busy machine.
WITHIN_S = 2 * TIMEOUT_S + 3.0
ACCESS, REFRESH = (f"urn:ietf:params:oauth:token-type:{name}_token" for name in ("access", "refresh"))
_serials = itertools.count(1)


def active(call: Call) -> dict[str, Any]:
    """Everybody is known; the subject is the token."""
    return {"active": True, "sub": call.token, "client_id": "app", "exp": int(time.time()) + 600}


def granted(call: Call, **more: Any) -> dict[str, Any]:
    token = f"for~{call.form['subject_token']}~{next(_serials)}"
    return {"access_token": token, "token_type": "Bearer", "issued_token_type": ACCESS, "expires_in": 300, **more}


@pytest.fixture
async def provider() -> AsyncIterator[PacedProvider]:
    async with PacedProvider() as scripted:
        scripted.default, scripted.token_answer = active, granted
        yield scripted


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with vouched_backend() as recording:
        yield recording


@asynccontextmanager
async def serving(provider: PacedProvider, backend: Backend, lane: str, **more: Any) -> AsyncIterator[RunningGateway]:
    keys = {"token_endpoint": provider.token_endpoint, "timeout": f"{TIMEOUT_S:g}s", "breaker": None, **more}
    exchange = {"authorization": {"exchange": {"audience": "orders"}}, "identity": {"headers": {"X-User-Id": "sub"}}}
    routes = [{"name": "api", "match": {"path": "/api/**"}, "backend": backend.url, **exchange}]
    server = {**lane_keys(lane), "trusted_proxies": ["127.0.0.0/8"], "unknown_tokens": None}
    gateway = RunningGateway(
        configuration(providers={"p": provider_settings(provider, **keys)}, routes=routes, server=server)
    )
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
        assert gateway.lines.errors == []


def wire(**members: Any) -> Any:
    """What answers with a token and these members instead; `None` leaves one out."""

    def answer(call: Call) -> bytes:
        document = {**granted(call), **members}
        return json.dumps({name: value for name, value in document.items() if value is not None}).encode()

    return answer


def echoed(call: Call) -> dict[str, Any]:
    return granted(call, access_token=call.form["subject_token"])


def bare(member: str) -> Any:
    """The answer with JSON that Python's own writer would not write."""
    return lambda call: json.dumps(granted(call)).encode().rstrip(b"}") + b", " + member.encode() + b"}"


UNUSABLE: dict[str, Any] = {
    "the caller's own token": echoed,
    "a refresh token": wire(issued_token_type=REFRESH),
    "an ID token": wire(issued_token_type="urn:ietf:params:oauth:token-type:id_token"),
    "a list of types": wire(issued_token_type=[ACCESS]),
    "no token_type": wire(token_type=None),
    "token_type DPoP": wire(token_type="DPoP"),
    "token_type N_A": wire(token_type="N_A"),
    "token_type is a list": wire(token_type=["Bearer"]),
    "no token": wire(access_token=None),
    "a token with a header in it": wire(access_token="a\r\nX-User-Id: root"),
    "a token with a line feed at its end": wire(access_token="a\n"),
    "a token with NUL": wire(access_token="a\x00b"),
    "a token that is two": wire(access_token="a, Bearer b"),
    "a token that is no ASCII": wire(access_token="ä"),
    "a token of lone surrogates": wire(access_token="\udcff"),
    "a token of 200 KiB": wire(access_token="a" * 200 * 1024),
    "a token that is an object": wire(access_token={"a": "b"}),
    "expires_in is 0": wire(expires_in=0),
    "expires_in is negative": wire(expires_in=-1),
    "expires_in is text": wire(expires_in="soon"),
    "expires_in is a list": wire(expires_in=[300]),
    "expires_in is NaN": bare('"expires_in": NaN'),
    "access_token comes twice": bare('"access_token": "of-somebody-else"'),
    "nested 100,000 deep": b"[" * 100_000,
    "1 MiB": wire(x="a" * 2**20),
    "HTML": Reply(body=b"<html>", headers={"Content-Type": "text/html"}),
    "201": Reply(201, {"access_token": "a", "token_type": "Bearer"}),
    "a redirect": Reply(302, {}, headers={"Location": "/elsewhere"}),
    "an endless head": Raw(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: a\r\n" * 100_000),
    **{f"fault {one.name}": one for one in Fault},
}


@pytest.mark.parametrize("what", UNUSABLE)
async def test_what_cannot_be_relied_on_reaches_no_backend_and_is_not_remembered(
    what: str, provider: PacedProvider, backend: Backend, lane: str
) -> None:
    answer = UNUSABLE[what]
    async with serving(provider, backend, lane) as gateway:
        if isinstance(answer, Fault):
            provider.faults_at["/token"] = answer
        else:
            provider.token_answer = answer
        began_s = time.monotonic()
        refused = await gateway.get("/api/x", token="alice")
        assert (refused.status, refused.problem["code"]) == (503, "exchange_unavailable")
        assert time.monotonic() - began_s < WITHIN_S
        assert backend.connections == []
        reason = (await gateway.log_line())["reason"]
        assert reason
        assert not [secret for secret in ("alice", CLIENT_SECRET) if secret in reason]
        provider.token_answer = granted
        provider.faults_at.clear()
        assert (await gateway.get("/api/x", token="alice")).status == 200


@pytest.mark.parametrize("life", [1e-9, 10**400, 1e308, 2**63])
async def test_an_absurd_life_neither_fails_nor_lasts(
    life: float, provider: PacedProvider, backend: Backend, lane: str
) -> None:
    provider.token_answer = lambda call: granted(call, expires_in=life)
    async with serving(provider, backend, lane) as gateway:
        for _ in range(2):
            assert (await gateway.get("/api/x", token="alice")).status == 200
            await asyncio.sleep(0.2)
        obtained = [call for call in provider.calls if call.path == "/token"]
        assert len(obtained) == (2 if life < 1 else 1)


async def test_a_slow_exchange_of_one_caller_delays_no_other(
    provider: PacedProvider, backend: Backend, lane: str
) -> None:
    """However often he asks: all of his requests wait for one call."""
    provider.takes_s = lambda call: 3.0 if call.form.get("subject_token") == "slow" else 0.0
    async with serving(provider, backend, lane, timeout="10s", max_concurrency=2) as gateway:
        asked = [gateway.get("/api/x", "X-Forwarded-For: 198.51.100.66", token="slow") for _ in range(60)]
        slow = asyncio.gather(*asked)
        await asyncio.sleep(0.3)
        for number in range(10):
            began_s = time.monotonic()
            sent = "X-Forwarded-For: 198.51.100.7"
            assert (await gateway.get("/api/x", sent, token=f"quick-{number}")).status == 200
            assert time.monotonic() - began_s < 2.0
            if number < 3:
                assert not slow.done()
        assert {answer.status for answer in await slow} == {200}


# Whoever asks, the backend must see the token that was made for this very caller.

CALLERS = [f"caller-{number}" for number in range(6)]
ROUNDS_S = 4.0


async def test_no_request_ever_bears_another_callers_token(
    provider: PacedProvider, backend: Backend, lane: str
) -> None:
    """Short lives, failures, evictions and cancellations while all callers ask at once, on shared connections."""
    chance = random.Random(7)

    def sometimes(call: Call) -> Any:
        dice = chance.random()
        if dice < 0.1:
            return Reply(500, {})
        if dice < 0.2:
            return Reply(400, {"error": "invalid_grant"})
        return granted(call, expires_in=chance.choice([0.2, 0.6, 2, None]))

    provider.token_answer = sometimes
    provider.takes_s = lambda _: chance.random() * 0.05
    async with serving(provider, backend, lane) as gateway:
        ends_s = time.monotonic() + ROUNDS_S
        seen: set[int] = set()
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(_ask_for_all(gateway, random.Random(next(_serials)), seen, ends_s))
            group.create_task(_evict(gateway, chance, ends_s))
        assert seen == {200, 403, 503}
    for one in backend.requests:
        caller = one.value("X-User-Id")
        scheme, _, token = str(one.value("Authorization")).partition(" ")
        assert (scheme, token.split("~")[:2]) == ("Bearer", ["for", caller])
    assert {one.value("X-User-Id") for one in backend.requests} == set(CALLERS)


async def _ask_for_all(gateway: RunningGateway, chance: random.Random, seen: set[int], ends_s: float) -> None:
    """All callers in turn on one connection, as a proxy before the gateway has it; now and then it is cut."""
    client = await Client.of(gateway.address)
    while time.monotonic() < ends_s:
        several = chance.choices(CALLERS, k=4)
        await client.send(b"".join(request("GET", "/api/x", token=token) for token in several))
        if chance.random() < 0.1:
            await client.close()
            client = await Client.of(gateway.address)
            continue
        for _ in several:
            seen.add((await client.answer()).status)
    await client.close()


async def _evict(gateway: RunningGateway, chance: random.Random, ends_s: float) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}, trust_env=False) as http:
        while time.monotonic() < ends_s:
            selector = {chance.choice(["token", "sub"]): chance.choice(CALLERS)}
            async with http.delete(f"{gateway.admin_url}/cache", json=selector) as response:
                assert response.status == 200
            await asyncio.sleep(0.02)
