"""A provider that can not be asked, or answers nonsense: 503 in time, never 401 or a hang; and one call for many."""

import asyncio
import time

import pytest
from support.scripted_provider import Fault, Raw, Reply
from support.wire import request

DEADLINE_S = 0.4
SLACK_S = 5.0  # the machine may be busy; without the deadline it would be for ever

NONSENSE = {
    "active is text": {"active": "true"},
    "active is a number": {"active": 1},
    "no active": {"sub": "alice"},
    "exp is text": {"active": True, "exp": "soon"},
    "exp is negative": {"active": True, "exp": -1},
    "exp is infinite": b'{"active": true, "exp": 1e999}',
    "nbf is a list": {"active": True, "nbf": []},
    "scope is a list": {"active": True, "scope": ["a"]},
    "a list": [{"active": True}],
    "null": b"null",
    "empty": b"",
    "no JSON": b"active=true",
    "two documents": b'{"active": true}{"active": false}',
    "active twice": b'{"active": false, "active": true}',
    "deep": b"[" * 100_000,
    "201": Reply(201, {"active": True}),
    "204": Reply(204, body=b""),
    "400": Reply(400, {"active": True}),
    "401": Reply(401, {"error": "invalid_client"}),
    "403": Reply(403, {"active": True}),
    "429": Reply(429, {"active": True}),
    "500": Reply(500, {"active": True}),
    "302": Reply(302, {"active": True}, headers={"Location": "/introspect"}),
    "too big": Reply(body=b'{"active": true, "x": "' + b"a" * 5_000_000 + b'"}'),
    "another protocol": Raw(b"220 smtp.example.com ESMTP\r\n\r\n"),
}


async def refused(gateway):
    started = time.monotonic()
    answer = await gateway.get("/api/x", token="some")
    assert (answer.status, answer.code) == (503, "introspection_unavailable")
    assert int(answer.value("Retry-After")) >= 1
    assert answer.value("WWW-Authenticate") is None
    assert time.monotonic() - started < DEADLINE_S + SLACK_S


@pytest.mark.parametrize("fault", Fault)
async def test_a_provider_that_breaks_the_rules(serve, backend, provider, fault):
    gateway = await serve(provider_keys={"timeout": f"{int(DEADLINE_S * 1000)}ms"})
    provider.fault = fault
    await refused(gateway)
    provider.fault = None
    assert (await gateway.get("/api/x", token="good")).status == 200
    assert len(backend.requests) == 1


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_neither_yes_nor_no_and_not_remembered(serve, backend, provider, answer):
    gateway = await serve()
    provider.answers["some"] = Reply(document=answer) if isinstance(answer, list) else answer
    await refused(gateway)
    assert backend.requests == []
    provider.answers["some"] = {"active": True, "sub": "bob"}
    assert (await gateway.get("/api/x", token="some")).status == 200
    assert backend.requests[0].value("X-User-Id") == "bob"


async def test_a_provider_that_is_down(serve, backend, provider):
    gateway = await serve()
    await provider.stop()
    await refused(gateway)
    await provider.start()
    assert (await gateway.get("/api/x", token="good")).status == 200


async def test_a_provider_that_is_slow(serve, backend, provider):
    gateway = await serve(provider_keys={"timeout": f"{int(DEADLINE_S * 1000)}ms"})
    provider.delay_s = 30
    await refused(gateway)


async def test_what_was_remembered_outlives_an_outage(serve, backend, provider):
    gateway = await serve()
    assert (await gateway.get("/api/x", token="good")).status == 200
    await provider.stop()
    assert (await gateway.get("/api/x", token="good")).status == 200
    assert len(backend.requests) == 2


async def test_two_hundred_at_once_make_one_call_and_each_is_judged(serve, backend, provider):
    provider.delay_s = 0.2
    routes = [
        {"name": "read", "match": {"path": "/read"}, "backend": backend.url, "auth": {"scopes": ["orders:read"]}},
        {"name": "admin", "match": {"path": "/admin"}, "backend": backend.url, "auth": {"scopes": ["admin"]}},
    ]
    gateway = await serve(routes)
    paths = ["/read", "/admin"] * 100
    clients = [await gateway.client() for _ in paths]
    await asyncio.gather(
        *(client.send(request("GET", path, token="good")) for client, path in zip(clients, paths, strict=True))
    )
    answers = await asyncio.gather(*(client.answer() for client in clients))
    assert [answer.status for answer in answers] == [200, 403] * 100
    assert len(provider.introspections) == 1
    assert len(backend.requests) == 100
    assert {one.target for one in backend.requests} == {"/read"}
    # The next ones are answered from memory.
    assert (await gateway.get("/admin", token="good")).status == 403
    assert (await gateway.get("/read", token="good")).status == 200
    assert len(provider.introspections) == 1
