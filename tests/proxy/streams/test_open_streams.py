"""What stays open ends with its token and its route, in both lanes: WebSocket, event stream, download, upload, poll.

What ends is ended within a second, and what nobody named goes on.
"""

import asyncio
import json
import time

import aiohttp
import pytest
from support.backend import HANG, RAW, Wait, script
from support.lanes import FAST, GENERAL
from support.running_gateway import ADMIN_TOKEN, eventually
from support.scripted_provider import Fault
from support.wire import request

from gateway.authn.facts import Indeterminate
from gateway.authn.question import FactsLookup
from gateway.http.frames import Frames, close_frame
from gateway.introspection.authenticator import Authenticator
from gateway.proxy.streams.open_streams import Streams

ASK = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
DOWNLOAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome of it"
TEXT = b"\x81\x02hi"
REVOKED, EXPIRED, GONE = "the token was revoked", "the token expired", "the route is gone"
UNTOLD = "the provider could not tell whether the token is still good"
OPEN_S = 0.9  # by then it is known as one that stays open


class Stream:
    """One exchange that is open, and how it ended."""

    def __init__(self, kind, gateway, backend):
        self.kind = kind.partition(" ")[0]
        self.gateway = gateway
        self.backend = backend

    async def open(self, token="good", path="/api/x"):
        self.client = await self.gateway.client()
        count = len(self.backend.requests)
        if self.kind == "websocket":
            self.backend.answers.append(script(SWITCH + TEXT, RAW))
            await self.client.send(request("GET", path, *ASK, "Sec-WebSocket-Version: 13", token=token))
            assert (await self.client.head()).status == 101
            assert await self.client.read_exactly(4) == TEXT
        elif self.kind == "upload":
            self.backend.answers.append(script(HANG))
            await self.client.send(request("POST", path, "Transfer-Encoding: chunked", token=token) + b"5\r\nhello\r\n")
        elif self.kind == "poll":
            self.backend.answers.append(script(HANG))
            await self.client.send(request("GET", path, token=token))
        else:
            self.backend.answers.append(script(EVENTS if self.kind == "events" else DOWNLOAD, HANG))
            await self.client.send(request("GET", path, token=token))
            assert (await self.client.head()).status == 200
        await eventually(lambda: len(self.backend.connections) > 0 and len(self.backend.requests) > count)
        self.at_backend = self.backend.requests[count].connection
        return self

    async def ended(self, within_s=1.0, reason=REVOKED):
        """It ends in time, as what it is, for the client and for the backend."""
        began = time.monotonic()
        rest = await self.client.rest()
        assert time.monotonic() - began < within_s
        if self.kind == "websocket":
            assert rest == close_frame(1008, reason)
            assert self.at_backend.received[-8:-4] == b"\x88\x82" + self.at_backend.received[-6:-4]
        else:
            assert b"0\r\n\r\n" not in rest
            assert b"HTTP/1.1" not in rest
        await self.at_backend.wait_ended()
        await eventually(lambda: self.gateway.lines.requests)
        assert self.gateway.lines.requests[-1]["reason"] == reason

    async def goes_on(self, for_s=0.8):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(for_s):
                await self.client.rest()
        assert self.at_backend.ended is None
        assert self.gateway.lines.requests == []


TOKEN_CLAIMS = ["websocket", "events", "events in the general lane", "download", "upload", "poll"]
LONG = ["websocket", "events"]


@pytest.fixture(params=TOKEN_CLAIMS)
def kind(request):
    return request.param


@pytest.fixture
def lane(request):
    kind = request.getfixturevalue("kind") if "kind" in request.fixturenames else ""
    return GENERAL if kind.endswith("general lane") else FAST


@pytest.fixture
def streams(serve, backend, provider):
    """Starts a gateway and opens one; `auth` is the route's."""
    provider.answers["good"] |= {"sid": "s1", "jti": "j1"}

    async def start(kind, auth=None, **more):
        keys = {"read_timeout": "60s", "timeout": "60s", **({} if auth is None else {"auth": auth})}
        gateway = await serve(cache={"ttl": "1h"} | more.pop("cache", {}), **keys, **more)
        return await Stream(kind, gateway, backend).open()

    return start


async def purge(gateway, selector=None):
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    url = f"{gateway.admin_url}/cache"
    async with aiohttp.ClientSession() as http, http.delete(url, headers=headers, json=selector) as answer:
        assert answer.status == 200, await answer.text()


NAMED = [{"token": "good"}, {"sub": "alice"}, {"sid": "s1"}, {"jti": "j1"}, {"client_id": "web"}]


class TestPurged:
    async def test_it_ends_at_once_when_its_token_is_named(self, streams, kind):
        stream = await streams(kind)
        await asyncio.sleep(OPEN_S)
        await purge(stream.gateway, {"token": "good"})
        await stream.ended()

    @pytest.mark.parametrize("selector", NAMED, ids=lambda selector: next(iter(selector)))
    async def test_by_whatever_its_facts_may_be_purged_by(self, streams, selector):
        stream = await streams("websocket")
        await asyncio.sleep(OPEN_S)
        await purge(stream.gateway, selector)
        await stream.ended()

    async def test_also_when_it_has_just_been_opened(self, streams, kind):
        stream = await streams(kind)
        await purge(stream.gateway, {"sub": "alice"})
        await stream.ended(within_s=1.5)

    async def test_what_is_anothers_goes_on(self, streams, kind):
        stream = await streams(kind)
        await asyncio.sleep(OPEN_S)
        for selector in ({"token": "bad"}, {"sub": "bob"}, {"client_id": "alice"}):
            await purge(stream.gateway, selector)
        await stream.goes_on()

    async def test_where_the_route_says_keep_it_goes_on(self, streams, kind, provider):
        stream = await streams(kind, {"streams": "keep"})
        await asyncio.sleep(OPEN_S)
        provider.answers["good"] = {"active": False}
        await purge(stream.gateway, {"token": "good"})
        await stream.goes_on()

    async def test_within_a_frame_it_is_broken_off(self, streams):
        stream = await streams("websocket")
        stream.at_backend.send(b"\x81\x7e\x01\x00" + b"x" * 10)
        assert len(await stream.client.read_exactly(14)) == 14
        await asyncio.sleep(OPEN_S)
        await purge(stream.gateway, {"token": "good"})
        assert await stream.client.rest() == b""

    async def test_a_client_that_answers_the_close_frame_is_not_waited_for(self, streams):
        stream = await streams("websocket")
        await asyncio.sleep(OPEN_S)
        await purge(stream.gateway, {"token": "good"})
        assert await stream.client.read_exactly(25) == close_frame(1008, REVOKED)
        began = time.monotonic()
        await stream.client.send(close_frame(1008, "", b"1234"))
        assert await stream.client.rest() == b""
        assert time.monotonic() - began < 0.5

    @pytest.mark.parametrize("is_between", [True, False])
    async def test_a_client_that_reads_nothing_is_cut_off(self, streams, monkeypatch, is_between):
        monkeypatch.setattr(Frames, "is_between", property(lambda _: is_between))
        stream = await streams("websocket")
        stream.client.writer.transport.pause_reading()
        stream.at_backend.send(b"\x82\x7f" + (50_000_000).to_bytes(8, "big") + b"x" * 50_000_000)
        await asyncio.sleep(OPEN_S)
        await purge(stream.gateway, {"token": "good"})
        await eventually(lambda: stream.gateway.lines.requests, within_s=3)
        assert stream.gateway.lines.requests[-1]["reason"] == REVOKED
        await eventually(lambda: stream.gateway.service._observation.connections == 0, within_s=3)


class TestAskedAgain:
    @pytest.mark.parametrize("kind", LONG)
    async def test_when_everything_is_purged_it_ends_where_the_token_is_not_active(
        self, streams, kind, provider, monkeypatch
    ):
        monkeypatch.setattr("gateway.proxy.streams.open_streams._SPREAD_S", 0.3)
        stream = await streams(kind)
        await asyncio.sleep(OPEN_S)
        await purge(stream.gateway)
        await stream.goes_on()
        assert len(provider.introspections) == 2
        provider.answers["good"] = {"active": False}
        await purge(stream.gateway)
        await stream.ended()

    async def test_many_are_asked_about_over_ten_seconds_one_question_for_a_token(self, streams, backend, provider):
        stream = await streams("events")
        streams_ = [stream] + [await Stream("events", stream.gateway, backend).open() for _ in range(9)]
        for number in range(10):
            provider.answers[f"t{number}"] = {"active": True, "sub": "bob"}
            streams_.append(await Stream("events", stream.gateway, backend).open(token=f"t{number}"))
        await asyncio.sleep(OPEN_S)
        count = len(provider.introspections)
        await purge(stream.gateway)
        await asyncio.sleep(2)
        first = len(provider.introspections) - count
        await asyncio.sleep(9)
        assert first < 10
        asked = [call.token for call in provider.introspections[count:]]
        assert set(asked) == {"good", *(f"t{number}" for number in range(10))}
        # Each stream has a moment of its own; within the window a question that was answered does for all.
        assert len(asked) == 11
        assert stream.gateway.lines.requests == []

    @pytest.mark.parametrize("kind", LONG)
    async def test_its_facts_are_renewed_and_it_goes_on(self, streams, kind, provider):
        stream = await streams(kind, cache={"ttl": "1s"})
        others = [await Stream(kind, stream.gateway, stream.backend).open() for _ in range(5)]
        await asyncio.sleep(4)
        assert stream.gateway.lines.requests == []
        assert len(others) == 5
        assert 3 <= len(provider.introspections) <= 7  # one for all of them, about every 0.75 s

    @pytest.mark.parametrize("kind", LONG)
    async def test_a_no_of_the_provider_ends_it(self, streams, kind, provider):
        stream = await streams(kind, cache={"ttl": "1s"})
        provider.answers["good"] = {"active": False}
        await stream.ended(within_s=2)

    async def test_a_no_that_another_request_was_given_ends_it_at_once(self, streams, serve, provider):
        stream = await streams("events", {"max_age": "1h"})
        await asyncio.sleep(OPEN_S)
        document = json.loads(stream.gateway.text)
        document["routes"][0] |= {"auth": {"max_age": "0s"}}
        await stream.gateway.reload(json.dumps(document))
        provider.answers["good"] = {"active": False}
        assert (await stream.gateway.get("/open/x", token="good")).status == 401
        await eventually(lambda: len(stream.gateway.lines.requests) == 2, within_s=1)
        assert {one["reason"] for one in stream.gateway.lines.requests} >= {REVOKED}

    async def test_also_a_no_that_came_before_it_was_known_as_one_that_stays_open(self, streams, provider):
        stream = await streams("events", {"max_age": "1h"})
        document = json.loads(stream.gateway.text)
        document["routes"][0] |= {"auth": {"max_age": "0s"}}
        await stream.gateway.reload(json.dumps(document))
        await asyncio.sleep(1)
        later = await Stream("events", stream.gateway, stream.backend).open()
        provider.answers["good"] = {"active": False}
        assert (await stream.gateway.get("/open/x", token="good")).status == 401
        await later.ended(within_s=1.5)

    async def test_facts_that_are_not_enough_any_more_end_it(self, streams, provider):
        stream = await streams("websocket", {"scopes": ["orders:write"]}, cache={"ttl": "1s"})
        provider.answers["good"] = provider.answers["good"] | {"scope": "orders:read"}
        await stream.ended(within_s=2, reason="the route refuses the caller now")

    @pytest.mark.parametrize("kind", TOKEN_CLAIMS)
    async def test_a_token_that_is_found_to_be_no_access_token_ends_it_at_once(self, streams, kind, provider):
        stream = await streams(kind)
        await asyncio.sleep(OPEN_S)
        provider.answers["typed"] = {"active": True, "sub": "bob", "token_type": "Bearer"}
        worker = stream.gateway.service._serving._worker
        told = await worker.explain({"method": "GET", "url": "/api/x", "token": "typed"})
        assert told["decision"] == "allow"
        await stream.ended(reason="the route refuses the caller now")

    async def test_an_outage_within_the_window_costs_nothing(self, streams, provider):
        stream = await streams("websocket", cache={"ttl": "4s"}, provider_keys={"breaker": None})
        await asyncio.sleep(2)
        provider.fault = Fault.RESET
        await asyncio.sleep(1.5)
        provider.fault = None
        await stream.goes_on(2.5)

    async def test_where_nobody_can_tell_it_ends_after_its_window(self, streams, provider):
        stream = await streams("websocket", cache={"ttl": "1s"})
        provider.fault = Fault.RESET
        await stream.ended(within_s=2.5, reason=UNTOLD)

    async def test_and_later_where_stale_facts_will_do(self, streams, provider):
        stream = await streams("events", {"stale_if_error": "3s"}, cache={"ttl": "1s"})
        provider.fault = Fault.RESET
        await stream.goes_on(2.5)
        await stream.ended(within_s=2.5, reason=UNTOLD)

    async def test_a_queue_of_the_gateways_own_keeps_nobody_beyond_the_window(self, streams, monkeypatch):
        stream = await streams("events", {"stale_if_error": "1h"}, cache={"ttl": "1s"})

        async def crowded_out(_self, _question):
            return FactsLookup(Indeterminate("too many wait", was_asked=False, is_queue_full=True), None)

        monkeypatch.setattr(Authenticator, "look_up", crowded_out)
        await stream.ended(within_s=2.5, reason=UNTOLD)

    async def test_nor_does_a_question_whose_turn_never_comes(self, streams, monkeypatch):
        monkeypatch.setattr("gateway.proxy.streams.open_streams._OVERDUE_S", 0.3)
        monkeypatch.setattr(Streams, "_asking_max", lambda _: 0)
        stream = await streams("websocket", cache={"ttl": "1s"})
        await stream.goes_on(0.8)
        await stream.ended(within_s=2, reason=UNTOLD)

    async def test_a_client_with_many_tokens_does_not_delay_the_questions_of_others(
        self, streams, provider, backend, monkeypatch
    ):
        monkeypatch.setattr("gateway.proxy.streams.open_streams._SPREAD_S", 0)
        only_one = {"max_concurrency": 1}
        stream = await streams("events", server={"trusted_proxies": ["127.0.0.1/32"]}, provider_keys=only_one)
        for number in range(6):
            provider.answers[f"t{number}"] = {"active": True, "sub": "bob"}
            await Stream("events", stream.gateway, backend).open(token=f"t{number}")
        provider.answers["other"] = {"active": True, "sub": "carol"}
        backend.answers.append(script(EVENTS, HANG))
        client = await stream.gateway.client()
        await client.send(request("GET", "/api/x", "X-Forwarded-For: 198.51.100.7", token="other"))
        assert (await client.head()).status == 200
        await asyncio.sleep(OPEN_S)
        count = len(provider.introspections)
        provider.delay_s = 0.05
        await purge(stream.gateway)
        await eventually(lambda: len(provider.introspections) == count + 8)
        assert "other" in [call.token for call in provider.introspections[count : count + 3]]


class TestExpired:
    async def test_it_ends_when_its_token_does(self, streams, kind, provider):
        provider.answers["good"] |= {"exp": time.time() + 2}
        stream = await streams(kind)
        await stream.ended(within_s=3, reason=EXPIRED)
        assert time.time() - provider.answers["good"]["exp"] > -0.1

    async def test_where_the_route_says_keep_it_does_not(self, streams, provider):
        provider.answers["good"] |= {"exp": time.time() + 1.5}
        stream = await streams("websocket", {"streams": "keep"})
        await stream.goes_on(3)


def changed(gateway, **keys):
    document = json.loads(gateway.text)
    document["routes"][1] |= keys
    return json.dumps(document)


class TestReloaded:
    @pytest.mark.parametrize(
        ("keys", "reason"),
        [
            ({"name": "another"}, GONE),
            ({"auth": {"scopes": ["admin"]}}, "the route refuses the caller now"),
            ({"auth": {"claims": {"sub": "bob"}}}, "the route refuses the caller now"),
            ({"match": {"path": "/api/{n}"}, "auth": {"claims": {"sub": "{n}"}}}, "the route refuses the caller now"),
        ],
    )
    @pytest.mark.parametrize("kind", LONG)
    async def test_it_ends_where_its_route_is_gone_or_refuses(self, streams, kind, keys, reason):
        stream = await streams(kind)
        await asyncio.sleep(OPEN_S)
        assert await stream.gateway.reload(changed(stream.gateway, **keys))
        await stream.ended(reason=reason)

    async def test_whatever_it_is(self, streams, kind):
        stream = await streams(kind)
        assert await stream.gateway.reload(changed(stream.gateway, name="another"))
        await stream.ended(within_s=1.5, reason=GONE)

    async def test_purges_are_remembered_for_as_long_as_a_request_may_take_to_be_open(self, streams):
        stream = await streams("events")
        watched = stream.gateway.service._serving._worker._streams
        assert watched._purges_kept_s > 60
        assert await stream.gateway.reload(changed(stream.gateway, timeout="10m"))
        assert watched._purges_kept_s > 600

    async def test_a_shorter_window_holds_for_what_is_open(self, streams, provider):
        stream = await streams("events")
        await asyncio.sleep(OPEN_S)
        provider.answers["good"] = {"active": False}
        assert await stream.gateway.reload(changed(stream.gateway, auth={"max_age": "1s"}))
        await stream.ended(within_s=1.5)

    async def test_where_it_is_still_let_in_it_goes_on_and_ends_with_its_token(self, streams, kind):
        stream = await streams(kind)
        await asyncio.sleep(OPEN_S)
        keys = {"auth": {"scopes": ["orders:read"]}, "match": {"path": "/elsewhere/**"}}
        assert await stream.gateway.reload(changed(stream.gateway, **keys))
        await stream.goes_on()
        await purge(stream.gateway, {"sub": "alice"})
        await stream.ended()

    async def test_it_is_found_under_the_keys_of_another_cache(self, streams):
        stream = await streams("websocket")
        await asyncio.sleep(OPEN_S)
        document = json.loads(stream.gateway.text)
        document["cache"] |= {"secret": "another-secret-of-the-cache"}
        assert await stream.gateway.reload(json.dumps(document))
        await asyncio.sleep(0.2)
        await purge(stream.gateway, {"token": "good"})
        await stream.ended()

    async def test_an_old_configuration_that_is_released_leaves_it_watched(self, streams, monkeypatch):
        monkeypatch.setattr("gateway.runtime.assembly._RETIRE_MAX_S", 0.2)
        stream = await streams("events")
        await asyncio.sleep(OPEN_S)
        document = json.loads(stream.gateway.text)
        document["providers"]["p"]["timeout"] = "1s"
        assert await stream.gateway.reload(json.dumps(document))
        await stream.goes_on()
        await purge(stream.gateway, {"jti": "j1"})
        await stream.ended()

    async def test_a_caller_without_a_token_is_refused_where_one_is_wanted_now(self, streams, backend):
        stream = await streams("websocket", "none")
        await asyncio.sleep(OPEN_S)
        await purge(stream.gateway, {"sub": "alice"})
        await stream.goes_on()
        assert await stream.gateway.reload(changed(stream.gateway, auth="required"))
        await stream.ended(reason="the route refuses the caller now")

    async def test_where_no_token_is_looked_at_any_more_it_outlives_its_own(self, streams, provider):
        stream = await streams("events", cache={"ttl": "1s"})
        await asyncio.sleep(OPEN_S)
        assert await stream.gateway.reload(changed(stream.gateway, auth="none"))
        provider.answers["good"] = {"active": False}
        await purge(stream.gateway, {"token": "good"})
        await stream.goes_on(2)
        assert await stream.gateway.reload(changed(stream.gateway, name="another"))
        await stream.ended(reason=GONE)

    @pytest.mark.parametrize("kind", LONG)
    async def test_where_the_route_says_keep_it_goes_on(self, streams, kind):
        stream = await streams(kind, {"streams": "keep"})
        await asyncio.sleep(OPEN_S)
        assert await stream.gateway.reload(changed(stream.gateway, name="another"))
        await stream.goes_on()


async def test_an_exchange_that_has_ended_is_not_looked_at_any_more(serve, backend):
    go_on = asyncio.Event()
    backend.answers.append(script(EVENTS, Wait(go_on), b"0\r\n\r\n"))
    gateway = await serve()
    async with await gateway.client() as client:
        await client.send(request("GET", "/api/x", token="good"))
        assert await client.head()
        await asyncio.sleep(OPEN_S)
        watched = gateway.service._serving._worker._streams
        assert len(watched) == 1
        go_on.set()
        assert (await client.read_exactly(19)).endswith(b"0\r\n\r\n")
        await eventually(lambda: len(watched) == 0)
        await purge(gateway, {"sub": "alice"})
        await client.send(request("GET", "/api/x", token="good"))  # the connection is as it was
        assert (await client.answer()).status == 200
