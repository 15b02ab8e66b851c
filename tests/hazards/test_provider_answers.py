"""Provider answers: what cannot be relied on is 503, uncached and counted; never a yes, never a crash.

Each case is judged by what the recording backend saw, and by a canary on a connection of its own afterwards.
"""

import asyncio
import gzip
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from support.backend import Backend
from support.broken_answers import SLOW, Fault
from support.echoing import IDENTITY, is_refused, marked, passes, reached, said, vouched_backend
from support.lanes import FAST, lane_keys, lanes
from support.running_gateway import CLIENT_SECRET, RunningGateway, configuration, gateways, provider_settings
from support.scripted_provider import Raw, Reply, ScriptedProvider
from support.wire import request

# Slow answers cost a test this much; short, and still longer than an answer takes on a busy machine.
TIMEOUT_S = 1.5
ISSUER = "https://sso.example.com/realms/demo"
EVE = {"active": True, "sub": "eve", "scope": "read"}
NEVER_ENDS = {Fault.SILENCE, Fault.ENDLESS_INTERIM, *SLOW}

Start = Callable[..., Awaitable[RunningGateway]]


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as scripted:
        scripted.answers["canary"] = {"active": True, "sub": "canary"}
        yield scripted


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with vouched_backend() as recording:
        yield recording


@pytest.fixture
async def start(provider: ScriptedProvider, backend: Backend, lane: str) -> AsyncIterator[Start]:
    """Starts gateways with the routes `/api/**` (a token is required) and `/maybe/**` (optional)."""

    async def serve(auth: dict[str, Any] | None = None, **provider_keys: Any) -> RunningGateway:
        keys = {"timeout": f"{TIMEOUT_S:g}s", **provider_keys}
        more = {"backend": backend.url, "identity": IDENTITY}
        routes = [
            {"name": "api", "match": {"path": "/api/**"}, "auth": {"mode": "required", **(auth or {})}, **more},
            {"name": "maybe", "match": {"path": "/maybe/**"}, "auth": {"mode": "optional", **(auth or {})}, **more},
        ]
        providers = {"p": provider_settings(provider, **keys)}
        return await start_one(configuration(providers=providers, routes=routes, server=lane_keys(lane)))

    async with gateways(CLIENT_SECRET) as start_one:
        yield serve


@pytest.fixture
async def gateway(start: Start) -> RunningGateway:
    return await start()


def calls(provider: ScriptedProvider, token: str) -> int:
    return sum(call.token == token for call in provider.introspections)


async def count_of(gateway: RunningGateway, outcome: str) -> int:
    """How often introspection came out as `outcome`, by the gateway's metrics."""
    snapshot = await gateway.service._serving.snapshot()
    counters = snapshot["counters"]["gateway_introspections_total"]
    return int(sum(count for labels, count in counters if outcome in labels))


async def is_unclear(gateway: RunningGateway, provider: ScriptedProvider, backend: Backend, *, twice: bool = True):
    """`eve` is refused with 503, on either route, each time after asking anew; then the provider comes to reason."""
    paths = ["/api", "/maybe"] if twice else ["/api"]
    for path in paths:
        before = calls(provider, "eve")
        began = time.monotonic()
        await is_refused(gateway, "eve", 503, "introspection_unavailable", path, backend)
        assert time.monotonic() - began < TIMEOUT_S + 3  # one deadline for the whole call, and some for the machine
        assert calls(provider, "eve") > before
    assert await count_of(gateway, "unclear") == len(paths)
    line = gateway.lines.requests[-1]
    assert (line["code"], bool(line["reason"])) == ("introspection_unavailable", True)
    assert not re.search(r"\beve\b", line["reason"])
    provider.fault, provider.answers["eve"] = None, EVE
    await passes(gateway, "canary", "canary")
    await passes(gateway, "eve", "eve")


def document(**members: Any) -> bytes:
    return json.dumps({**EVE, **members}).encode()


def bare(member: str) -> bytes:
    """`eve`'s document with JSON that Python's own writer would not write."""
    return document().rstrip(b"}") + b", " + member.encode() + b"}"


UNCLEAR = {
    **{f"active is {value!r}": document(active=value) for value in ("true", "false", 1, 0, None, [], {}, [True], "")},
    "active is absent": b'{"sub": "eve", "scope": "read"}',
    "active is spelled otherwise": b'{"Active": true, "sub": "eve"}',
    "active comes twice": bare('"active": true'),
    "exp comes twice": bare('"exp": 99999999999, "exp": 99999999999'),
    **{
        f"{name} is {value}": bare(f'"{name}": {value}')
        for name in ("exp", "nbf")
        for value in ("NaN", "Infinity", "-Infinity", "1e999", '"99999999999"', "true", "null", "[]", "{}", "-1")
    },
    "exp is beyond the year 9999": bare('"exp": 9999999999999'),
    "exp has 5,000 digits": bare(f'"exp": {"9" * 5000}'),
    "some number has 5,000 digits": bare(f'"iat": {"9" * 5000}'),
    "scope is a list": document(scope=["read"]),
    "scope is null": document(scope=None),
    "a list around it": b"[" + document() + b"]",
    "no object: true": b"true",
    "no object: null": b"null",
    "no object: a number": b"1",
    "no object: text": b'"active"',
    "nothing": b"",
    "two documents": document() + document(),
    "junk behind it": document() + b"x",
    "a comment behind it": document() + b" // active",
    "a form": b"active=true&sub=eve",
    "cut short": document()[:-1],
    "bytes that are no UTF-8": document().replace(b"eve", b"\xff\xfe"),
    "UTF-16": document().decode().encode("utf-16"),
    "100,000 arrays deep": b'{"active": true, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 objects deep": b'{"x":' * 100_000 + b"1" + b"}" * 100_000,
    "never closed": b'{"active": true, "x": ' + b"[" * 200_000,
    "1 MiB": document(x="a" * 2**20),
    "gzip": Reply(body=gzip.compress(document()), headers={"Content-Encoding": "gzip"}),
    "said to be gzip": Reply(document=EVE, headers={"Content-Encoding": "gzip"}),
    "said to be br within a list": Reply(document=EVE, headers={"Content-Encoding": "identity, br"}),
    "a header of 100 KiB": Reply(document=EVE, headers={"X-Long": "a" * 100 * 2**10}),
    "500 headers": Reply(document=EVE, headers={f"X-{number}": "a" for number in range(500)}),
    "a NUL in a header": Raw(b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 16\r\n\r\n" + b'{"active": true}'),
    "no status line": Raw(b"200 OK\r\n\r\n" + document()),
    "a length that is none": Raw(b"HTTP/1.1 200 OK\r\nContent-Length: +16\r\n\r\n" + b'{"active": true}'),
}


@pytest.mark.parametrize("case", UNCLEAR)
async def test_what_is_no_sound_answer_is_503_uncached_and_counted(gateway, provider, backend, case):
    provider.answers["eve"] = UNCLEAR[case]
    await is_unclear(gateway, provider, backend)


STATUSES = [201, 202, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 410, 418, 429]
STATUSES += [500, 501, 502, 503, 504, 599]


@pytest.mark.parametrize("status", STATUSES)
async def test_a_yes_under_any_status_but_200_is_503_uncached_and_counted(gateway, provider, backend, status):
    headers = {"Location": provider.introspection_endpoint}
    body = {"body": b"", "headers": headers} if status in {204, 304} else {"document": EVE, "headers": headers}
    provider.answers["eve"] = Reply(status, **body)
    await is_unclear(gateway, provider, backend)


@lanes(FAST)
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
async def test_a_provider_that_breaks_off_drips_or_never_ends_is_503_within_the_deadline(
    gateway, provider, backend, fault
):
    provider.answers["eve"] = EVE
    provider.fault = fault
    await is_unclear(gateway, provider, backend, twice=fault not in NEVER_ENDS)


async def test_a_provider_that_is_not_there_is_503_and_used_again_when_it_is(gateway, provider, backend):
    provider.answers["eve"] = EVE
    await provider.stop()
    for path in ("/api", "/maybe"):
        await is_refused(gateway, "eve", 503, "introspection_unavailable", path, backend)
    await provider.start()
    await passes(gateway, "eve", "eve")


async def test_a_redirect_is_not_followed(gateway, provider, backend):
    async with ScriptedProvider() as elsewhere:
        elsewhere.default = EVE
        for status in (301, 302, 303, 307, 308):
            provider.answers["eve"] = Reply(status, EVE, headers={"Location": elsewhere.introspection_endpoint})
            await is_refused(gateway, "eve", 503, "introspection_unavailable", "/api", backend)
        assert elsewhere.calls == []
    await passes(gateway, "canary", "canary")


@pytest.mark.parametrize(("status", "asked", "told"), [(429, "7", 7), (503, "3", 3), (503, "-5", 1), (503, "x", 1)])
async def test_what_the_provider_asks_for_is_passed_on_as_retry_after(gateway, provider, backend, status, asked, told):
    provider.answers["eve"] = Reply(status, {}, headers={"Retry-After": asked})
    answer = await is_refused(gateway, "eve", 503, "introspection_unavailable", backend=backend)
    assert answer.value("Retry-After") == str(told)


async def test_all_who_wait_for_an_unclear_answer_are_told_so(gateway, provider, backend):
    provider.answers["eve"] = Reply(500, EVE)
    provider.delay_s = 0.2
    targets = [marked() for _ in range(20)]
    answers = await asyncio.gather(*(gateway.get(target, token="eve") for target in targets))
    assert {answer.status for answer in answers} == {503}
    assert backend.requests == []


@lanes(FAST)
async def test_an_unclear_token_does_not_hold_up_the_others(gateway, provider, backend):
    provider.answers["eve"] = lambda _: Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
    waiting = asyncio.create_task(gateway.get(marked(), token="eve"))
    await provider.wait_for_calls()
    for _ in range(3):
        await passes(gateway, "canary", "canary")
    assert (await waiting).status == 503


# What is clear: no.


@pytest.mark.parametrize(
    "said_no",
    [
        {"active": False},
        {**EVE, "active": False},
        {**EVE, "active": False, "exp": 99_999_999_999, "scope": "read", "aud": "orders", "iss": ISSUER},
        {**EVE, "active": False, "exp": "soon", "scope": 7},
        {**EVE, "exp": 0},
        {**EVE, "exp": 1.5},
        {**EVE, "exp": int(time.time()) - 1},
        {**EVE, "nbf": int(time.time()) + 3600},
        {**EVE, "typ": "Refresh"},
        {**EVE, "typ": "Offline"},
        {**EVE, "typ": "ID"},
        {**EVE, "token_use": "refresh"},
        {**EVE, "token_use": "id"},
        {**EVE, "token_type": "refresh_token"},
    ],
    ids=json.dumps,
)
async def test_a_token_that_is_not_an_active_access_token_is_401(gateway, provider, backend, said_no):
    provider.answers["eve"] = said_no
    for path in ("/api", "/maybe", "/api"):
        await is_refused(gateway, "eve", 401, "invalid_token", path, backend)
    assert await count_of(gateway, "unclear") == 0
    await passes(gateway, "canary", "canary")


# The policy reads what is there, and nothing into it.


@pytest.mark.parametrize(
    ("scope", "is_enough"),
    [
        ("read", True),
        ("write read", True),
        (" read ", True),
        ("readwrite", False),
        ("read:all", False),
        ("xread", False),
        ("Read", False),
        ("read,write", False),
        ("write\tread", False),
        ("write\nread", False),
        ("re ad", False),
        ("", False),
        (None, False),
    ],
)
async def test_a_scope_is_a_word_and_not_a_part_of_one(start, provider, backend, scope, is_enough):
    gateway = await start({"scopes": ["read"]})
    provider.answers["canary"] = {"active": True, "sub": "canary", "scope": "read"}
    members = {"active": True, "sub": "eve"}
    provider.answers["eve"] = members if scope is None else {**members, "scope": scope}
    if is_enough:
        await passes(gateway, "eve", "eve")
    else:
        answer = await is_refused(gateway, "eve", 403, "insufficient_scope", backend=backend)
        assert 'scope="read"' in (answer.value("WWW-Authenticate") or "")
    await passes(gateway, "canary", "canary")


@pytest.mark.parametrize(
    ("aud", "is_ours"),
    [
        ("orders", True),
        (["orders"], True),
        (["other", "orders"], True),
        ("orders-2", False),
        ("other orders", False),
        ("other,orders", False),
        ("Orders", False),
        (["orders-2"], False),
        ([["orders"]], False),
        (["orders", 1], False),
        ({"orders": True}, False),
        ([], False),
        ("", False),
        (None, False),
        (True, False),
        ("absent", False),
    ],
    ids=json.dumps,
)
async def test_the_audience_is_one_of_the_names_as_text_or_in_a_list(start, provider, backend, aud, is_ours):
    gateway = await start({"audience": ["orders"]})
    provider.answers["canary"] = {"active": True, "sub": "canary", "aud": "orders"}
    provider.answers["eve"] = EVE if aud == "absent" else {**EVE, "aud": aud}
    if is_ours:
        await passes(gateway, "eve", "eve")
    else:
        await is_refused(gateway, "eve", 401, "invalid_token", backend=backend)
    await passes(gateway, "canary", "canary")


@pytest.mark.parametrize(
    ("iss", "is_its"),
    [
        (ISSUER, True),
        (ISSUER + "/", False),
        (ISSUER.upper(), False),
        (ISSUER[:-1], False),
        ("https://evil.example.com/realms/demo", False),
        ([ISSUER], False),
        ("", False),
        (None, False),
        (7, False),
    ],
)
async def test_facts_of_another_issuer_are_refused(start, provider, backend, iss, is_its):
    gateway = await start(issuer=ISSUER)
    provider.answers["eve"] = {**EVE, "iss": iss}
    if is_its:
        await passes(gateway, "eve", "eve")
    else:
        await is_refused(gateway, "eve", 401, "invalid_token", backend=backend)
    await passes(gateway, "canary", "canary")


# Text of a claim stays text.

CONTROLS = [*(chr(code) for code in range(0x20)), "\x7f", "\x80", "\x85", "\x9f"]
INJECTIONS = ["eve{}X-Admin: 1", "eve{}{}GET /admin HTTP/1.1", "{}eve", "eve{}"]


@pytest.mark.parametrize("where", ["text", "list"])
async def test_a_control_character_in_a_claim_reaches_no_backend(gateway, provider, backend, where):
    for control in CONTROLS:
        for shape in INJECTIONS:
            value = shape.format(control, control)
            hurtful = {"sub": value} if where == "text" else {"realm_access": {"roles": ["clerk", value]}}
            provider.answers["eve"] = {**EVE, **hurtful}
            token = f"eve-{ord(control)}-{INJECTIONS.index(shape)}"
            provider.answers[token] = provider.answers["eve"]
            await is_refused(gateway, token, 403, "unsafe_claim", backend=backend)
    assert backend.requests == []
    assert b"X-Admin" not in b"".join(bytes(connection.received) for connection in backend.connections)
    await passes(gateway, "canary", "canary")


async def test_a_claim_beyond_ascii_is_one_header_in_utf_8(gateway, provider, backend):
    subs = ["Zoë", "李", "a\u2028X-Admin: 1", "ĊX-Admin: 1", "a, b", 'a"; b=c', "a%0d%0aX-Admin: 1"]
    for number, sub in enumerate(subs):
        provider.answers[f"eve{number}"] = {**EVE, "sub": sub}
        target = marked()
        answer = await gateway.get(target, token=f"eve{number}")
        assert said(answer) == (target, [sub.encode().decode("latin-1")])
        assert "x-admin" not in backend.requests[-1].names
    await passes(gateway, "canary", "canary")


async def test_elements_of_a_list_stay_apart(gateway, provider, backend):
    provider.answers["eve"] = {**EVE, "realm_access": {"roles": ["clerk,admin", "a%2Cb"]}}
    await passes(gateway, "eve", "eve")
    assert backend.requests[-1].values("X-Roles") == ["clerk%2Cadmin,a%252Cb"]


# One caller's answer is nobody else's.


async def test_bytes_behind_an_answer_are_never_the_next_callers(gateway, provider, backend):
    """Response splitting between gateway and provider: `eve`'s second answer must not become `mallory`'s first."""
    provider.answers["eve"] = Raw(Reply(document=EVE).to_bytes() * 2)
    await passes(gateway, "eve", "eve")
    await is_refused(gateway, "mallory", 401, "invalid_token", backend=backend)
    await passes(gateway, "canary", "canary")


async def test_bytes_on_an_idle_connection_are_never_the_next_callers(gateway, provider, backend):
    await passes(gateway, "canary", "canary")
    for wait_s in (0, 0.1):
        provider.send_unasked(Reply(document=EVE).to_bytes())
        await asyncio.sleep(wait_s)
        await is_refused(gateway, f"mallory{wait_s}", 401, "invalid_token", backend=backend)
    await passes(gateway, "canary", "canary")


async def test_answers_in_any_order_reach_those_who_asked(gateway, provider, backend):
    """Fifty at once, answered late and early: each gets its own."""

    async def one(number: int) -> None:
        token = f"user{number}"
        provider.answers[token] = {"active": True, "sub": token}
        target = marked()
        assert said(await gateway.get(target, token=token)) == (target, [token])

    provider.delay_s = 0.05
    await asyncio.gather(*(one(number) for number in range(50)))


# Discovery, which decides who is asked at all.


@pytest.mark.parametrize(
    "members",
    [
        {"issuer": "https://evil.example.com"},
        {"issuer": None},
        {"introspection_endpoint": None},
        {"introspection_endpoint": "/introspect"},
        {"introspection_endpoint": "ftp://evil.example.com/introspect"},
        {"introspection_endpoint": 7},
    ],
    ids=json.dumps,
)
async def test_a_discovery_document_that_is_not_the_issuers_own_is_503(start, provider, backend, members):
    provider.discovery = provider.metadata(**members)
    provider.answers["eve"] = EVE
    gateway = await start(issuer=provider.issuer, introspection_endpoint=None)
    await is_refused(gateway, "eve", 503, "introspection_unavailable", backend=backend)
    assert provider.introspections == []


# More than one provider.


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (EVE, {"active": False}, 200),
        ({"active": False}, EVE, 200),
        (Reply(500, EVE), EVE, 200),
        ({"active": False}, {"active": False}, 401),
        (Reply(500, EVE), {"active": False}, 503),
        ({"active": False}, Reply(500, EVE), 503),
        (document(active="true"), document(active=1), 503),
    ],
)
async def test_a_no_of_one_provider_and_silence_of_another_is_neither(provider, backend, lane, first, second, status):
    async with ScriptedProvider() as other:
        provider.answers["eve"], other.answers["eve"] = first, second
        names = {"p": provider, "q": other}
        route = {"name": "api", "match": {"path": "/api/**"}, "auth": {"provider": ["p", "q"]}}
        gateway = RunningGateway(
            configuration(
                providers={name: provider_settings(each) for name, each in names.items()},
                routes=[{**route, "backend": backend.url, "identity": IDENTITY}],
                server=lane_keys(lane),
            )
        )
        await gateway.start()
        try:
            for _ in range(2):
                target = marked()
                answer = await gateway.ask(request("GET", target, token="eve"))
                assert answer.status == status
                assert reached(backend, target) == (status == 200)
            await passes(gateway, "canary", "canary")
        finally:
            await gateway.stop()
