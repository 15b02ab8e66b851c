"""Provider answers: what cannot be relied on is 503, uncached and counted; never a yes, never a crash.

Each case is judged by what the recording backend saw, and by a canary on a connection of its own afterwards.
"""

import asyncio
import base64
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
    "revoked_elsewhere",
    [
        {"active": False},
        {**EVE, "active": False},
        {**EVE, "active": False, "exp": 99_999_999_999, "scope": "read", "aud": "orders", "iss": ISSUER},
        {**EVE, "active": False, "exp": "soon", "scope": 7},
        {**EVE, "exp": 0},
        {**EVE, "exp": 1.5},
        {**EVE, "exp": "a second ago"},
        {**EVE, "nbf": "in an hour"},
        {**EVE, "typ": "Refresh"},
        {**EVE, "typ": "Offline"},
        {**EVE, "typ": "ID"},
        {**EVE, "token_use": "refresh"},
        {**EVE, "token_use": "id"},
        {**EVE, "token_type": "refresh_token"},
    ],
    ids=json.dumps,
)
async def test_a_token_that_is_not_an_active_access_token_is_401(gateway, provider, backend, revoked_elsewhere):
    # Moments are told at the run, so that each process that runs a part of the tests has the same names for them.
    moments = {"a second ago": int(time.time()) - 1, "in an hour": int(time.time()) + 3600}
    provider.answers["eve"] = {
        name: moments[value] if name in {"exp", "nbf"} and value in moments else value
        for name, value in revoked_elsewhere.items()
    }
    for path in ("/api", "/maybe", "/api"):
        await is_refused(gateway, "eve", 401, "invalid_token", path, backend)
    assert await count_of(gateway, "unclear") == 0
    await passes(gateway, "canary", "canary")


# A result that is not understood is not a yes.

TYPED = {"active": True, "sub": "canary", "token_type": "Bearer"}
JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


async def refused_with_a_reason(gateway: RunningGateway, backend: Backend, reason: str, path: str = "/api") -> None:
    """`eve` is 401, and the log says why; the client is told nothing of it."""
    answer = await is_refused(gateway, "eve", 401, "invalid_token", path, backend)
    line = gateway.lines.requests[-1]
    assert reason in line["reason"]
    assert reason not in answer.body.decode()
    assert reason not in "".join(answer.values("WWW-Authenticate"))
    assert JKT not in json.dumps(line)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"cnf": {"jkt": JKT}, "token_type": "DPoP"}, "came as Bearer, without its proof"),
        ({"cnf": {"jkt": JKT}, "token_type": "Bearer"}, "bound by cnf (jkt)"),
        ({"cnf": {"jkt": JKT}}, "bound by cnf (jkt)"),
        ({"cnf": {"x5t#S256": JKT}, "token_type": "Bearer"}, "bound by cnf (x5t#S256)"),
        ({"cnf": {"kid": "k"}}, "bound by cnf (kid)"),
        ({"cnf": {}}, "bound by cnf"),
        ({"token_type": "DPoP"}, "token_type is DPoP"),
        ({"token_type": "mac"}, "token_type is mac"),
        ({"token_type": "N_A"}, "token_type is N_A"),
        ({"token_type": 5}, "token_type is not a text"),
    ],
    ids=json.dumps,
)
async def test_a_token_that_needs_a_proof_is_401_unless_the_route_ignores_that(
    start, provider, backend, members, reason
):
    provider.answers["eve"] = {**EVE, **members}
    gateway = await start()
    for path in ("/api", "/maybe", "/api"):
        await refused_with_a_reason(gateway, backend, reason, path)
    assert calls(provider, "eve") == 1  # facts like others: judged on each route, and remembered
    lax = await start({"proof": "ignore"})
    await passes(lax, "eve", "eve")


@pytest.mark.parametrize("members", [{}, {"token_type": "Bearer"}, {"cnf": {"jkt": JKT}, "token_type": "DPoP"}])
async def test_where_a_proof_is_demanded_all_is_401_without(start, provider, backend, members):
    provider.answers["eve"] = {**EVE, **members}
    gateway = await start({"proof": "required"})
    for _ in range(2):
        await refused_with_a_reason(gateway, backend, "came as Bearer" if "cnf" in members else "proof: required")


@pytest.mark.parametrize("proof", ["if_bound", "ignore"])
async def test_an_answer_with_crit_is_401(start, provider, backend, proof):
    provider.answers["eve"] = {**EVE, "token_type": "Bearer", "crit": ["lifted"], "lifted": False}
    await refused_with_a_reason(await start({"proof": proof}), backend, "crit")


ID_TOKEN_MARKS = [{name: "x"} for name in ("nonce", "at_hash", "c_hash", "s_hash")]


@pytest.mark.parametrize("mode", ["auto", True, False])
@pytest.mark.parametrize("members", ID_TOKEN_MARKS, ids=json.dumps)
async def test_an_id_token_by_its_marks_is_401_whatever_is_configured(start, provider, backend, members, mode):
    """As Spring Authorization Server introspects its ID tokens: active, without `token_type`."""
    provider.answers["eve"] = {**EVE, **members}
    gateway = await start(require_token_type=mode)
    await refused_with_a_reason(gateway, backend, "as ID tokens have")
    provider.answers["canary"] = {**TYPED, **members}  # as Keycloak's access tokens may have it
    await passes(gateway, "canary", "canary")


async def test_once_an_access_token_had_a_token_type_those_without_are_401(gateway, provider, backend):
    """Refresh tokens of Spring Authorization Server and oidc-provider: active, and nothing else tells them apart."""
    provider.answers["eve"] = EVE
    for path in ("/api", "/maybe"):
        await passes(gateway, "eve", "eve", path)
    provider.answers["canary"] = TYPED
    await passes(gateway, "canary", "canary")
    asked = calls(provider, "eve")
    for path in ("/api", "/maybe"):
        await refused_with_a_reason(gateway, backend, "require_token_type", path)  # what passed before, too
    assert calls(provider, "eve") == asked
    provider.answers["later"] = {**EVE, "sub": "later"}
    await is_refused(gateway, "later", 401, "invalid_token", backend=backend)
    await passes(gateway, "canary", "canary")
    assert await gateway.reload(gateway.text.replace('"timeout": "1.5s"', '"timeout": "1400ms"'))
    await refused_with_a_reason(gateway, backend, "require_token_type")  # a reload forgets nothing of it


@pytest.mark.parametrize(
    "members", [{"token_type": "N_A"}, {"token_type": "mac"}, {"token_type": "DPoP", "active": False}]
)
async def test_it_is_not_learned_of_what_is_no_access_token(gateway, provider, members):
    provider.answers["other"] = {**TYPED, **members}
    assert (await gateway.get(marked(), token="other")).status == 401
    provider.answers["eve"] = EVE
    await passes(gateway, "eve", "eve")


async def test_written_out_it_is_not_learned(start, provider, backend):
    """django-oauth-toolkit's access tokens have none."""
    provider.answers["eve"], provider.answers["canary"] = EVE, TYPED
    lax, strict = await start(require_token_type=False), await start(require_token_type=True)
    await passes(lax, "canary", "canary")
    await passes(lax, "eve", "eve")
    await refused_with_a_reason(strict, backend, "require_token_type")
    await passes(strict, "canary", "canary")


@pytest.mark.parametrize("typ", ["logout+jwt", "application/Refresh+JWT", "dpop+jwt"])
async def test_a_jwt_whose_header_names_another_kind_is_401(gateway, provider, backend, typ):
    header, payload = (base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (
        json.dumps({"alg": "RS256", "typ": typ}).encode(), b'{"sub":"eve"}'
    ))  # fmt: skip
    token = f"{header}.{payload}.c2ln"
    provider.answers[token] = {**EVE, "token_type": "Bearer"}
    await is_refused(gateway, token, 401, "invalid_token", backend=backend)
    assert "the typ in its header is" in gateway.lines.requests[-1]["reason"]


# Whose fault it is that there is no answer.


@pytest.mark.parametrize("error", ["unsupported_token_type", "invalid_token"])
async def test_what_the_provider_says_of_the_token_is_401_and_remembered(gateway, provider, backend, error):
    """oidc-provider, about each of its JWTs."""
    provider.answers["eve"] = Reply(400, {"error": error, "error_description": "no, eve, not this one"})
    for path in ("/api", "/maybe", "/api"):
        await refused_with_a_reason(gateway, backend, "status 400", path)
    line = gateway.lines.requests[0]
    assert error in line["reason"]
    assert not re.search(r"\beve\b", line["reason"])
    assert calls(provider, "eve") == 1
    assert await count_of(gateway, "unclear") == 0
    assert await count_of(gateway, "inactive") == 1
    await passes(gateway, "canary", "canary")


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (401, {"error": "invalid_client", "error_description": "no client gw"}),
        (403, {"error": "access_denied", "error_description": "Realm not enabled"}),
        (400, {"error": "invalid_request", "error_description": "no client gw"}),
        (401, {"error": "invalid_token", "error_description": "no client gw"}),
        (403, {"error": "unsupported_token_type", "error_description": "no client gw"}),
    ],
)
async def test_what_it_says_of_us_is_503_with_its_own_words_in_the_log(gateway, provider, backend, status, document):
    provider.answers["eve"] = Reply(status, document)
    for path in ("/api", "/maybe"):
        answer = await is_refused(gateway, "eve", 503, "introspection_unavailable", path, backend)
        line = gateway.lines.requests[-1]
        for word in (str(status), *document.values()):
            assert word in line["reason"]
        assert document["error_description"] not in answer.body.decode()
    assert calls(provider, "eve") == 2


async def test_its_words_are_cut_and_hold_no_control_token_or_secret(gateway, provider, backend):
    words = f"\r\nX: y\x1b[2J eve {CLIENT_SECRET} " + "a word " * 100
    provider.answers["eve"] = Reply(401, {"error": "invalid_client", "error_description": words})
    await is_refused(gateway, "eve", 503, "introspection_unavailable", backend=backend)
    reason = gateway.lines.requests[-1]["reason"]
    assert len(reason) < 350
    assert reason.isprintable()
    assert not re.search(r"\beve\b", reason)
    assert CLIENT_SECRET not in reason


# Clocks, which are never quite the same.


async def test_a_token_issued_a_moment_ahead_of_our_clock_passes(start, provider, backend):
    """Spring Authorization Server and Hydra set `nbf` to the moment of issue."""
    ahead = int(time.time()) + 3
    provider.answers["eve"] = {**EVE, "nbf": ahead, "iat": ahead}
    await passes(await start(), "eve", "eve")
    exact = await start(leeway="0s")
    await is_refused(exact, "eve", 401, "invalid_token", backend=backend)
    provider.answers["eve"] = {**EVE, "nbf": ahead + 30, "iat": ahead - 60}
    await is_refused(await start(), "eve", 401, "invalid_token", backend=backend)
    await passes(await start(leeway="1m"), "eve", "eve")


async def test_the_leeway_is_never_of_exp(start, provider, backend):
    provider.answers["eve"] = {**EVE, "exp": int(time.time()) - 1}
    await is_refused(await start(leeway="5m"), "eve", 401, "invalid_token", backend=backend)


# The policy reads what is there, and nothing into it.


@pytest.mark.parametrize(
    ("organization", "is_member"),
    [({"acme": {"id": "7"}}, True), ({"acme": {}, "b": {}}, True), (["acme"], True), ("acme", True), ({"b": {}}, False),
     ({"acme": False}, False), ({"acme": None}, False), ({}, False), ([{"acme": {}}], False)],
)  # fmt: skip
async def test_an_object_is_matched_by_its_names(start, provider, backend, organization, is_member):
    gateway = await start({"claims": {"organization": "acme"}})
    provider.answers["eve"] = {**EVE, "organization": organization}
    if is_member:
        await passes(gateway, "eve", "eve")
    else:
        await is_refused(gateway, "eve", 403, "forbidden", backend=backend)


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


async def test_answers_in_any_order_reach_those_who_asked(start, provider, backend):
    """Fifty at once, answered late and early: each gets its own."""
    gateway = await start(timeout="10s")  # a busy machine is no slow provider

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
