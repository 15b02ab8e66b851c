"""The doors that providers tell of revocations by are open to everybody: who is not who they say changes nothing.

After each case a good token is still a hit in the cache, the provider was not called for it, and others are served.
"""

import asyncio
import gzip
import json
import random
import time
from contextlib import suppress
from typing import get_args
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from support.attack_length import attack_s
from support.running_gateway import RunningGateway, configuration, eventually, provider_settings
from support.signing import Issuer, forged_by_mac, jwk, rsa_key, signed, unsigned
from support.wire import BrokenOffError, Client, request

from gateway.events.security_event import EventName
from gateway.proxy.downstream.reclaiming import Reclaimable
from gateway.runtime import event_endpoint

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
    lines = (FORM,) if door == "backchannel-logout" else (SET, f"Authorization: {SECRET}")
    head = request("POST", f"{PREFIX}/{door}", *lines, "Content-Length: 10000000000")
    assert (await gateway.ask(head + b"a" * 100, "POST")).code == "content_too_large"
    chunk = b"4000\r\n" + b"a" * 16384 + b"\r\n"
    head = request("POST", f"{PREFIX}/{door}", *lines, "Transfer-Encoding: chunked")
    assert (await gateway.ask(head + chunk * 5, "POST")).code == "content_too_large"


async def drip(client):
    """Without an end, and faster than any pause is noticed."""
    while True:
        await client.send(b"a")
        await asyncio.sleep(0.05)


@both
async def test_a_slow_body_is_given_up_and_a_cut_one_is_nothing(gateway, unharmed, door, monkeypatch):
    monkeypatch.setattr(event_endpoint, "_BODY_S", 0.3)
    lines = (FORM,) if door == "backchannel-logout" else (SET, f"Authorization: {SECRET}")
    head = request("POST", f"{PREFIX}/{door}", *lines, "Content-Length: 1000")
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


def receiving_of(gateway):
    return gateway.service._serving._worker.generation.receiver


class Attack:
    """Holds `count` unfinished bodies at an address, each in the place of the one that was given up, renewed on top."""

    def __init__(self, address, source, count=300):
        self.address, self.source, self.count = address, source, count
        self.sent = 0

    async def __aenter__(self):
        self._tasks = [asyncio.create_task(self._hold()) for _ in range(self.count)]
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _hold(self):
        head = request("POST", f"{PREFIX}/backchannel-logout", FORM, "Content-Length: 10")
        while True:
            reader, writer = await asyncio.open_connection(*self.address, local_addr=(self.source, 0))
            try:
                writer.write(head)
                self.sent += 1
                async with asyncio.timeout(1):
                    await reader.read()
                await asyncio.sleep(0.3)
            except (TimeoutError, ConnectionError):
                continue
            finally:
                writer.close()


async def deliver(gateway, body, source="127.0.0.1"):
    """Head and body apart, as a client does that sends them in two segments."""
    reader, writer = await asyncio.open_connection(*gateway.address, local_addr=(source, 0))
    try:
        writer.write(request("POST", f"{PREFIX}/backchannel-logout", FORM, f"Content-Length: {len(body)}"))
        await asyncio.sleep(0.01)
        writer.write(body)
        return (await Client(reader, writer).answer("POST")).status
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("source", "room"),
    [("127.0.0.2", None), ("127.0.0.1", None), ("127.0.0.2", 40)],
    ids=["another network", "the same address", "another network, and much less room than there are bodies"],
)
async def test_unfinished_bodies_keep_no_genuine_logout_from_arriving(gateway, issuer, source, room):
    """One client at its worst for seconds; the provider's address may be its own, behind an ingress."""
    receiving, began_s = receiving_of(gateway), time.monotonic()
    rooms = receiving._bodies
    if room is not None:
        receiving._bodies = Reclaimable(room, room // 2, 2**20)
    statuses = []
    try:
        async with Attack(gateway.address, source) as attack:
            await eventually(lambda: len(receiving._bodies) >= (room or 512) // 2)
            while time.monotonic() - began_s < attack_s(5.0):
                body = urlencode({"logout_token": issuer.logout()}).encode()
                statuses.append(await deliver(gateway, body))
                await asyncio.sleep(0.05)
        assert attack.sent > attack.count
        assert counted(gateway, "turned_away") > 0  # which raises the alarm
    finally:
        receiving._bodies = rooms
    assert set(statuses) == {200}
    assert len(statuses) >= 3  # as many as a busy machine lets through
    await eventually(lambda: len(receiving._bodies) == 0)


@both
async def test_what_the_head_shows_is_refused_without_the_body(gateway, issuer, unharmed, door):
    """No place is taken and nothing is waited for."""
    for lines in (("Content-Type: text/html",), (), (FORM, FORM), (SET,) if door == "backchannel-logout" else (FORM,)):
        async with await Client.of(gateway.address) as client:
            await client.send(request("POST", f"{PREFIX}/{door}", *lines, "Content-Length: 1000"))
            async with asyncio.timeout(2):
                assert (await client.answer("POST")).status == 400
    assert len(receiving_of(gateway)._bodies) == 0


async def test_places_are_for_what_was_verified_and_the_oldest_that_waits_goes(gateway, issuer, provider, monkeypatch):
    """Keys that are slow to come do not fill the places with those who wait for them."""
    receiving = receiving_of(gateway)
    monkeypatch.setattr(receiving, "_places", Reclaimable(4, 4))
    inbox, may_go_on = receiving._receiver, asyncio.Event()
    receive = inbox.receive

    async def waiting_for_keys(kind, delivery, *told):
        if b"slow" in delivery.body:
            await may_go_on.wait()
        return await receive(kind, delivery, *told)

    monkeypatch.setattr(inbox, "receive", waiting_for_keys)
    waiting = [asyncio.create_task(post(gateway, "backchannel-logout", b"slow=1")) for _ in range(4)]
    await eventually(lambda: len(receiving._places) == 4)
    before = counted(gateway, "turned_away")
    assert (await send(gateway, "backchannel-logout", issuer.logout())).status == 200
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    [first] = done
    assert (first.result().status, first.result().code) == (503, "event_unavailable")
    assert counted(gateway, "turned_away") == before + 1
    may_go_on.set()
    assert {task.result().status for task in (await asyncio.wait(waiting))[0] - done} == {400}
    assert len(receiving._places) == 0


def counted(gateway, outcome):
    series = gateway.service._observation.snapshot()["counters"]["gateway_security_events_total"]
    return sum(number for labels, number in series if labels[2] == outcome)


async def test_senders_that_leave_hold_their_places_until_what_they_began_is_done(gateway, issuer, monkeypatch):
    receiving = receiving_of(gateway)
    monkeypatch.setattr(receiving, "_places", Reclaimable(4, 4))
    evict, may_go_on = receiving._receiver._invalidate, asyncio.Event()

    async def held(*named):
        await may_go_on.wait()
        await evict(*named)

    monkeypatch.setattr(receiving._receiver, "_invalidate", held)
    for number in range(4):
        body = urlencode({"logout_token": issuer.logout()}).encode()
        async with await Client.of(gateway.address) as client:
            await client.send(request("POST", f"{PREFIX}/backchannel-logout", FORM, body=body))
            await eventually(lambda number=number: len(receiving._places) > number)
    before = counted(gateway, "turned_away")
    answer = await send(gateway, "backchannel-logout", issuer.logout())
    assert (answer.status, answer.code, answer.value("Retry-After")) == (503, "event_unavailable", "1")
    assert counted(gateway, "turned_away") == before + 1
    may_go_on.set()
    await eventually(lambda: len(receiving._places) == 0)
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
    assert labels <= known | {"evicted", "refused", "acknowledged", "replayed", "unclear", "unmatched", "turned_away"}
