"""The doors that providers tell of revocations by are open to everybody: who is not who they say changes nothing.

After each case a good token is still a hit in the cache, the provider was not called for it, and others are served.
"""

import asyncio
import gzip
import json
import random
from contextlib import suppress
from typing import get_args
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from support.running_gateway import RunningGateway, configuration, eventually, provider_settings
from support.signing import Issuer, forged_by_mac, jwk, rsa_key, signed, unsigned
from support.wire import BrokenOffError, Client, request

from gateway.events.notice import EventName
from gateway.server import receiving

PREFIX = "/.gateway/events"
FORM = "Content-Type: application/x-www-form-urlencoded"
SET = "Content-Type: application/secevent+jwt"
SECRET = "Bearer agreed-with-the-transmitter"
in_module = {"scope": "module", "loop_scope": "module"}
pytestmark = pytest.mark.asyncio(loop_scope="module")


def of_p(mode):
    return {"mode": mode, "provider": "p"}


@pytest_asyncio.fixture(**in_module)
async def gateway(backend, provider, routes):
    provider.keys = {"keys": [jwk(rsa_key())]}
    provider.default = {"active": True, "sub": "alice", "sid": "s1"}
    other = {"issuer": "https://other.example", "jwks_uri": f"{provider.url}/introspect/keys-of-another"}
    text = configuration(
        providers={
            "p": provider_settings(
                provider,
                issuer=provider.issuer,
                jwks_uri=provider.jwks_uri,
                events={"authorization": SECRET},
            ),
            "q": provider_settings(provider, **other),
        },
        routes=[
            {**route, "auth": {"mode": route["auth"], "provider": "p"}} for route in routes if route["name"] != "open"
        ]
        + [route for route in routes if route["name"] == "open"],
        events={"repeat_after": []},
    )
    running = RunningGateway(text)
    await running.start()
    yield running
    await running.stop()
    assert running.lines.errors == []
    log = b"".join(running.lines.raw).decode()
    assert SECRET not in log
    assert "eyJ" not in log  # no part of any token


@pytest.fixture(scope="module")
def issuer(provider):
    return Issuer(provider.issuer)


@pytest_asyncio.fixture(loop_scope="module")
async def unharmed(gateway, provider, backend, stage):
    """A good token, known before and still known after; nothing of the case reached the backend."""
    assert (await gateway.get("/api/x", token="good")).status == 200
    asked, reached = len(provider.introspections), len(backend.requests)
    yield
    assert len(backend.requests) == reached
    assert (await gateway.get("/api/x", token="good")).status == 200
    assert len(provider.introspections) == asked
    await stage.canary(len(backend.requests))


async def post(gateway, door, body, *lines):
    lines = lines or ((FORM,) if door == "backchannel-logout" else (SET, f"Authorization: {SECRET}"))
    return await gateway.ask(request("POST", f"{PREFIX}/{door}", *lines, body=body), "POST")


async def send(gateway, door, token):
    body = urlencode({"logout_token": token}).encode() if door == "backchannel-logout" else token.encode()
    return await post(gateway, door, body)


DOORS = ("backchannel-logout", "security-events")
both = pytest.mark.parametrize("door", DOORS)


def claims_for(issuer, door, **more):
    return issuer.logout_claims(**more) if door == "backchannel-logout" else issuer.event_claims(**more)


def typ(door):
    return {"typ": "logout+jwt" if door == "backchannel-logout" else "secevent+jwt"}


FORGERIES = {
    "alg none": unsigned,
    "alg none in capitals": lambda claims, **h: unsigned(claims, alg="NONE", **h) + "AA",
    "HS256 with the public key": forged_by_mac,
    "a key of one's own": lambda claims, **h: signed(claims, rsa_key(7), **h),
    "a key of one's own in the header": lambda claims, **h: signed(claims, rsa_key(7), jwk=jwk(rsa_key(7)), **h),
    "no kid": lambda claims, **h: signed(claims, rsa_key(7), kid=None, **h),
    "RS256 called ES256": lambda claims, **h: signed(claims, **h).replace("UlMyNTYi", "RVMyNTYi", 1),
    "a critical extension": lambda claims, **h: signed(claims, crit=["exp"], exp=1, **h),
    "an unencoded payload": lambda claims, **h: signed(claims, b64=False, crit=["b64"], **h),
}


@both
@pytest.mark.parametrize("name", FORGERIES)
async def test_no_forged_event_evicts_anything(gateway, issuer, unharmed, door, name):
    assert (await send(gateway, door, FORGERIES[name](claims_for(issuer, door), **typ(door)))).status == 400


@both
@pytest.mark.parametrize("kid", ["../../../../dev/null", "k1' OR '1'='1", "http://127.0.0.1/", "", "k1\0", "x" * 4000])
async def test_a_kid_is_a_name_and_nothing_else(gateway, issuer, unharmed, door, kid):
    answer = await send(gateway, door, signed(claims_for(issuer, door), kid=kid, **typ(door)))
    # Its keys were asked for a moment ago: whether there is such a key by now can not be told.
    assert answer.status in {400, 503}


@both
async def test_a_header_names_no_place_to_fetch_keys_from(gateway, issuer, provider, unharmed, door):
    calls = len(provider.calls)
    evil = f"{provider.url}/evil"
    token = signed(claims_for(issuer, door), rsa_key(7), jku=evil, x5u=evil, x5c=["AAAA"], **typ(door))
    assert (await send(gateway, door, token)).status == 400
    assert [call.path for call in provider.calls[calls:] if "evil" in call.path] == []


@both
async def test_many_tokens_of_unknown_keys_make_few_calls_of_the_provider(gateway, issuer, provider, unharmed, door):
    before = len(provider.key_fetches)
    tokens = (signed(claims_for(issuer, door), kid=f"junk{number}", **typ(door)) for number in range(100))
    statuses = await asyncio.gather(*(send(gateway, door, token) for token in tokens))
    assert {answer.status for answer in statuses} <= {400, 503}
    assert len(provider.key_fetches) - before <= 2


@both
async def test_one_provider_does_not_speak_for_another(gateway, issuer, unharmed, door):
    """Signed with the key of `p`, in the name of `q`, about a subject of either."""
    theirs = claims_for(issuer, door, iss="https://other.example")
    assert (await send(gateway, door, signed(theirs, **typ(door)))).status in {400, 503}
    foreign = {"sub_id": {"format": "iss_sub", "iss": "https://other.example", "sub": "alice"}}
    if door == "security-events":
        answer = await send(gateway, door, signed(claims_for(issuer, door, **foreign), **typ(door)))
        assert json.loads(answer.body)["err"] == "access_denied"


@both
@pytest.mark.parametrize("more", [{"aud": "somebody-else"}, {"iss": "https://nobody"}, {"jti": None}, {"events": {}}])
async def test_what_is_signed_and_not_for_us_changes_nothing(gateway, issuer, unharmed, door, more):
    assert (await send(gateway, door, signed(claims_for(issuer, door, **more), **typ(door)))).status == 400


@pytest.mark.parametrize("more", [{"nonce": "n"}, {"iat": 1_000_000_000}, {"exp": 1_000_000_000}, {"iat": 9e9}])
async def test_a_logout_token_that_is_stale_or_no_logout_token(gateway, issuer, unharmed, more):
    assert (await send(gateway, "backchannel-logout", issuer.logout(**more))).status == 400


async def test_an_access_token_or_id_token_of_the_same_issuer_is_no_event(gateway, issuer, unharmed):
    for header in ({"typ": "JWT"}, {"typ": "at+jwt"}, {}):
        claims = {**issuer.logout_claims(), "events": None, "scope": "openid"}
        for door in DOORS:
            assert (await send(gateway, door, signed(claims, **header))).status == 400


async def test_a_captured_event_does_nothing_a_second_time(gateway, issuer, provider, backend):
    token = issuer.logout()
    assert (await send(gateway, "backchannel-logout", token)).status == 200
    await gateway.get("/api/x", token="good")
    asked = len(provider.introspections)
    assert (await send(gateway, "backchannel-logout", token)).status == 400
    event = issuer.event()
    assert (await send(gateway, "security-events", event)).status == 202
    await gateway.get("/api/x", token="good")
    for _ in range(5):
        assert (await send(gateway, "security-events", event)).status == 202
    await gateway.get("/api/x", token="good")
    assert len(provider.introspections) == asked + 1


@pytest.mark.parametrize(
    "line", ["X-None: x", "Authorization: Bearer other", "Authorization: Basic YTpi", "Authorization:"]
)
async def test_a_transmitter_that_does_not_know_the_secret_is_refused(gateway, issuer, unharmed, line):
    answer = await post(gateway, "security-events", issuer.event().encode(), SET, line)
    assert json.loads(answer.body)["err"] == "authentication_failed"


dice = random.Random(8935)
JUNK = {
    "nothing": b"",
    "zeros": b"\0" * 1000,
    "noise": dice.randbytes(5000),
    "all of the limit": b"A" * 65536,
    "dots": b"." * 60000,
    "deep claims": b"eyJhbGciOiJSUzI1NiJ9." + b"W1tb" * 12000 + b".AA",
    "JSON": b'{"events": {}}',
    "two tokens": b"logout_token=a&logout_token=b",
    "many pairs": b"&".join(b"a%d=b" % number for number in range(5000)),
    "gzip": gzip.compress(b"logout_token=a.b.c"),
    "a bomb": gzip.compress(b"0" * 10**7),
}


@both
@pytest.mark.parametrize("name", JUNK)
async def test_junk_is_a_400(gateway, unharmed, door, name):
    for lines in ((FORM,), (SET,), (SET, "Content-Encoding: gzip"), ("X-No: type",)):
        assert (await post(gateway, door, JUNK[name], *lines)).status == 400


@both
async def test_more_than_the_limit_is_a_413_and_is_not_read(gateway, unharmed, door):
    head = request("POST", f"{PREFIX}/{door}", FORM, "Content-Length: 10000000000")
    assert (await gateway.ask(head + b"a" * 100, "POST")).code == "content_too_large"
    chunk = b"4000\r\n" + b"a" * 16384 + b"\r\n"
    head = request("POST", f"{PREFIX}/{door}", FORM, "Transfer-Encoding: chunked")
    assert (await gateway.ask(head + chunk * 5, "POST")).code == "content_too_large"


async def drip(client):
    """Without an end, and faster than any pause is noticed."""
    while True:
        await client.send(b"a")
        await asyncio.sleep(0.05)


@both
async def test_a_slow_body_is_given_up_and_a_cut_one_is_nothing(gateway, unharmed, door, monkeypatch):
    monkeypatch.setattr(receiving, "_BODY_S", 0.3)
    head = request("POST", f"{PREFIX}/{door}", FORM, "Content-Length: 1000")
    async with await Client.of(gateway.address) as client:
        await client.send(head)
        dripping = asyncio.create_task(drip(client))
        assert (await client.answer("POST")).code == "request_timeout"
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
    async with await Client.of(gateway.address) as client:
        await client.send(head + b"logout_token=")
        client.writer.write_eof()
        with suppress(BrokenOffError, ConnectionError):
            assert (await client.answer("POST")).status >= 400


async def test_no_more_than_so_many_are_handled_at_once_and_then_it_goes_on(gateway, issuer, unharmed, monkeypatch):
    monkeypatch.setattr(receiving, "_AT_ONCE_MAX", 4)
    head = request("POST", f"{PREFIX}/backchannel-logout", FORM, "Content-Length: 1000")
    clients = [await Client.of(gateway.address) for _ in range(4)]
    try:
        for client in clients:
            await client.send(head + b"a")
        under_way = gateway.service._serving._serving._engine.running.receiver
        await eventually(lambda: under_way._under_way == 4)
        answer = await send(gateway, "backchannel-logout", unsigned(issuer.logout_claims()))
        assert (answer.status, answer.code, answer.value("Retry-After")) == (503, "event_unavailable", "1")
    finally:
        for client in clients:
            await client.close()
    await eventually(lambda: under_way._under_way == 0)
    assert (await send(gateway, "backchannel-logout", unsigned(issuer.logout_claims()))).status == 400


async def test_one_address_does_not_take_all_the_places(gateway, issuer, unharmed, monkeypatch):
    monkeypatch.setattr(receiving, "_AT_ONCE_PER_ADDRESS_MAX", 4)
    head = request("POST", f"{PREFIX}/backchannel-logout", FORM, "Content-Length: 1000")
    under_way = gateway.service._serving._serving._engine.running.receiver
    host, port = gateway.address
    slow = [(await asyncio.open_connection(host, port, local_addr=("127.0.0.2", 0)))[1] for _ in range(5)]
    try:
        for writer in slow:
            writer.write(head + b"a")
        await eventually(lambda: under_way._under_way == 4)
        assert (await send(gateway, "backchannel-logout", unsigned(issuer.logout_claims()))).status == 400
    finally:
        for writer in slow:
            writer.close()
            await writer.wait_closed()
    await eventually(lambda: under_way._under_way == 0)
    assert not under_way._by_address


async def test_senders_that_leave_hold_their_places_until_what_they_began_is_done(gateway, issuer, monkeypatch):
    monkeypatch.setattr(receiving, "_AT_ONCE_MAX", 4)
    under_way = gateway.service._serving._serving._engine.running.receiver
    receive, may_go_on = under_way._inbox.receive, asyncio.Event()

    async def held(kind, delivery):
        await may_go_on.wait()
        return await receive(kind, delivery)

    monkeypatch.setattr(under_way._inbox, "receive", held)
    body = urlencode({"logout_token": issuer.logout()}).encode()
    for number in range(4):
        async with await Client.of(gateway.address) as client:
            await client.send(request("POST", f"{PREFIX}/backchannel-logout", FORM, body=body))
            await eventually(lambda number=number: len(under_way._evicting._tasks) > number)
    answer = await send(gateway, "backchannel-logout", issuer.logout())
    assert (answer.status, answer.code) == (503, "event_unavailable")
    may_go_on.set()
    await eventually(lambda: under_way._under_way == 0)
    assert (await send(gateway, "backchannel-logout", issuer.logout())).status == 200


async def test_a_sender_that_leaves_does_not_stop_what_it_began(gateway, issuer, provider):
    await gateway.get("/api/x", token="good")
    asked = len(provider.introspections)
    body = urlencode({"logout_token": issuer.logout()}).encode()
    async with await Client.of(gateway.address) as client:
        await client.send(request("POST", f"{PREFIX}/backchannel-logout", FORM, body=body))

    async def is_asked_again():
        await gateway.get("/api/x", token="good")
        return len(provider.introspections) > asked

    async with asyncio.timeout(10):
        while not await is_asked_again():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.01)


async def test_metrics_have_no_label_that_was_sent(gateway, issuer, unharmed):
    event = "https://schemas.example/" + "x" * 50
    await send(gateway, "security-events", issuer.event(event))
    await send(gateway, "security-events", issuer.event(iss="https://evil.example"))
    series = gateway.service._observation.snapshot()["counters"]["gateway_security_events_total"]
    labels = {label for labels, _ in series for label in labels}
    known = {"p", "q", "none", *get_args(EventName)}
    assert labels <= known | {"evicted", "refused", "acknowledged", "replayed", "unclear", "unmatched"}
