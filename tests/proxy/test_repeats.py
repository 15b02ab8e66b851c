"""Requests that are like one before but for the token: what follows from the token is found out anew, each time."""

import asyncio
import gc
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.backend import CLOSE, Backend, ok, script
from support.running_gateway import RunningGateway
from support.wire import Answer, request

from gateway.proxy.fast_exchange import RepeatedExchange
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.repeats import Repeats

KNOWN_AFTER = 2  # requests; the first is seen, the second remembered


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """For each request whose like was known: whether that was of use."""
    take, said = FastLane._take_again, []

    def noted(lane: FastLane, *known: Any) -> bool:
        said.append(take(lane, *known))
        return said[-1]

    monkeypatch.setattr(FastLane, "_take_again", noted)
    return said


def facts(name: str, **more: Any) -> dict[str, Any]:
    return {"active": True, "sub": name, "scope": "read", "exp": int(time.time()) + 3600, **more}


async def made_known(gateway: RunningGateway, wire: bytes, *, status: int = 200) -> None:
    for _ in range(KNOWN_AFTER):
        assert (await gateway.ask(wire)).status == status


async def ask(gateway: RunningGateway, *lines: str, token: str | None = "good", path: str = "/api/x") -> Answer:
    return await gateway.ask(request("GET", path, *lines, token=token))


IDENTITY = {"identity": {"headers": {"X-User-Id": "sub"}}}


async def test_each_caller_is_told_of_as_itself(serve, backend, provider, again):
    gateway = await serve(**IDENTITY)
    provider.answers |= {name: facts(name) for name in ("one", "two", "three")}
    for name in ("one", "two", "three"):
        await made_known(gateway, request("GET", "/api/x", token=name))
    backend.requests.clear()
    names = ["one", "two", "three", "two", "one"]
    for name in names:
        assert (await ask(gateway, token=name)).status == 200
    assert [seen.values("X-User-Id") for seen in backend.requests] == [[name] for name in names]
    assert len({seen.value("X-Request-Id") for seen in backend.requests}) == len(names)
    await gateway.log_line(11)
    assert [(line["subject"], line["cache"]) for line in gateway.lines.requests[-5:]] == [(n, "local") for n in names]
    assert again[-5:] == [True] * 5
    assert all(b"Authorization" not in seen.head for seen in backend.requests)


async def test_what_the_backend_and_the_client_get_is_the_same_as_before(serve, backend, again):
    gateway = await serve(**IDENTITY)
    backend.default = script(ok(b"body", "X-A: b"))
    wire = request("POST", "/api/x", "Accept: */*", "User-Agent: curl/8", token="good", body=b"hello")
    answers = [await gateway.ask(wire) for _ in range(4)]
    assert again == [True, True]

    def plain(head: bytes) -> bytes:
        return re.sub(rb"[0-9a-f]{32}|Date: [^\r]*", b"-", head)

    assert len({plain(answer.head) for answer in answers}) == 1
    assert [answer.body for answer in answers] == [b"body"] * 4
    assert len({plain(seen.head) for seen in backend.requests}) == 1
    assert [seen.body for seen in backend.requests] == [b"hello"] * 4


async def test_a_token_that_is_not_enough_is_refused_each_time(serve, backend, provider, again):
    gateway = await serve(auth={"scopes": ["write"]})
    provider.answers |= {"writer": facts("w", scope="write"), "reader": facts("r")}
    await made_known(gateway, request("GET", "/api/x", token="writer"))
    assert (await ask(gateway, token="reader")).code == "insufficient_scope"
    reached = len(backend.requests)
    again.clear()
    assert (await ask(gateway, token="reader")).code == "insufficient_scope"
    assert (len(backend.requests), again) == (reached, [True])
    assert (await gateway.log_line(KNOWN_AFTER + 2))["code"] == "insufficient_scope"


async def test_a_token_that_nobody_remembers_is_asked_about(serve, provider, again):
    gateway = await serve()
    await made_known(gateway, request("GET", "/api/x", token="good"))
    assert (await ask(gateway, token="bad")).code == "invalid_token"
    assert [call.token for call in provider.calls] == ["good", "bad"]
    assert again == [False]


async def test_a_purge_and_the_end_of_a_token_are_heeded(serve, provider, again, monkeypatch):
    gateway = await serve()
    provider.answers["short"] = facts("s", exp=int(time.time()) + 100)
    for token in ("good", "short"):
        await made_known(gateway, request("GET", "/api/x", token=token))
    later = time.time() + 200
    with monkeypatch.context() as patch:
        patch.setattr("gateway.proxy.fast_lane.time", lambda: later)
        again.clear()
        assert (await ask(gateway, token="good")).status == 200
        await ask(gateway, token="short")
        assert again == [True, False]
    provider.answers["good"] = {"active": False}
    assert (await ask(gateway, token="good")).status == 200
    assert await gateway.service._serving.purge({"token": "good"}) == 1
    assert (await ask(gateway, token="good")).code == "invalid_token"


async def test_a_stricter_age_is_kept(serve, provider, again):
    gateway = await serve(auth={"max_age": "0s"})
    for count in range(1, 5):
        assert (await ask(gateway)).status == 200
        assert len(provider.calls) == count
    assert again == [False, False]


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("/api/x?a=b", ()),
        ("/api/x", ("Cookie: a=b",)),
        ("/api/x", ("X-Api-Key: secret",)),
        ("/api/" + "x" * 300, ()),
    ],
)
async def test_what_may_be_a_secret_or_comes_once_is_not_kept(serve, again, path, lines):
    gateway = await serve()
    for _ in range(KNOWN_AFTER + 2):
        assert (await ask(gateway, *lines, path=path)).status == 200
    assert again == []


async def test_nor_is_what_a_proxy_says_of_a_client_nor_a_token_that_goes_on(serve, backend, provider, again):
    gateway = await serve(server={"trusted_proxies": ["127.0.0.0/8"]})
    for number in range(4):
        assert (await ask(gateway)).status == 200
        assert backend.requests[number].value("X-Forwarded-For") == "127.0.0.1"
    gateway = await serve(authorization="keep")
    provider.answers["other"] = facts("other")
    for token in ("good", "good", "good", "other"):
        assert (await ask(gateway, token=token)).status == 200
        assert backend.requests[-1].value("Authorization") == f"Bearer {token}"
    assert again == []


async def test_bodies_are_of_the_length_that_their_head_says(serve, backend, again):
    gateway = await serve()
    client = await gateway.client()
    wire = request("POST", "/api/x", token="good", body=b"hello")
    for body in (b"hello", b"hello", b"WORLD", b"three"):
        await client.send(wire[:-5] + body)
        assert (await client.answer()).status == 200
    assert again == [True, True]
    again.clear()
    await client.send(wire[:-2])  # the rest comes later
    await client.send(b"lo" + wire)
    assert [(await client.answer()).status for _ in range(2)] == [200, 200]
    assert [seen.body for seen in backend.requests] == [b"hello", b"hello", b"WORLD", b"three", b"hello", b"hello"]
    assert True not in again


async def test_what_stands_behind_a_known_head_is_another_request(serve, backend, again):
    gateway = await serve()
    wire = request("GET", "/open/x")
    await made_known(gateway, wire)
    client = await gateway.client()
    await client.send(wire + wire + b"GET /open/y HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [(await client.answer()).status for _ in range(3)] == [200] * 3
    assert [seen.target for seen in backend.requests[KNOWN_AFTER:]] == ["/open/x", "/open/x", "/open/y"]
    assert True not in again


async def test_a_token_counts_among_the_header_fields(serve, again):
    gateway = await serve(server={"max_header_bytes": "2KiB"})
    await made_known(gateway, request("GET", "/api/x", token="good"))
    assert (await ask(gateway, token="t" * 3000)).code == "headers_too_large"


@pytest.mark.parametrize("token", ["", "a b", "a\tb", "a=b", "é", "good,good", "good\rX-User-Id: root", "good\nX: y"])
async def test_what_is_no_token_is_none_behind_a_known_head(serve, backend, provider, again, token):
    gateway = await serve(**IDENTITY)
    await made_known(gateway, request("GET", "/api/x", token="good"))
    before = len(backend.requests)
    answer = await ask(gateway, token=token)
    assert answer.status in {400, 401}
    assert (len(backend.requests), [call.token for call in provider.calls], True in again) == (before, ["good"], False)


async def test_a_token_that_nobody_looks_at_is_sound_all_the_same(serve, backend, again):
    gateway = await serve()
    await made_known(gateway, request("GET", "/open/x", token="good"))
    assert (await ask(gateway, path="/open/x", token="good\nX: y")).code == "invalid_request"
    assert len(backend.requests) == KNOWN_AFTER


async def test_backends_take_turns_as_before(serve, provider, again):
    backends = [Backend(), Backend()]
    for one in backends:
        await one.start()
    try:
        routes = [{"name": "api", "match": {"path": "/**"}, "backend": [one.url for one in backends]}]
        gateway = await serve(routes)
        for _ in range(8):
            assert (await ask(gateway)).status == 200
        assert [len(one.requests) for one in backends] == [4, 4]
        assert again == [True] * 6
    finally:
        for one in backends:
            await one.stop()


async def test_a_reload_is_heeded(serve, backend, again):
    gateway = await serve()
    await made_known(gateway, request("GET", "/open/x"))
    assert await gateway.reload(gateway.text.replace('"/open/**"', '"/other/**"'))
    assert (await ask(gateway, path="/open/x", token=None)).code == "no_route"
    assert len(backend.requests) == KNOWN_AFTER
    assert again == []


async def test_a_retry_goes_out_whole(serve, backend, again):
    gateway = await serve(retries=1, **IDENTITY)
    await made_known(gateway, request("GET", "/api/x", token="good"))
    backend.answers.append(script(CLOSE))  # the connection ends before an answer
    assert (await ask(gateway)).status == 200
    lost, sent = backend.requests[-2:]
    assert again == [True]
    assert lost.head == sent.head
    assert sent.values("X-User-Id") == ["alice"]


async def test_what_nobody_expected_is_left_to_the_longer_way(serve, again, monkeypatch):
    def fail(*_: object) -> None:
        raise ValueError("s3cr3t")

    gateway = await serve()
    await made_known(gateway, request("GET", "/api/x", token="good"))
    monkeypatch.setattr("gateway.proxy.fast_lane.admit", fail)
    assert (await ask(gateway)).status == 200
    assert again == [False]


async def test_a_backend_that_can_not_be_reached_leaves_nothing_to_the_collector(serve, backend, again):
    gateway = await serve()
    await made_known(gateway, request("GET", "/open/x"))
    await backend.stop()
    gc.collect()
    for _ in range(5):
        assert (await ask(gateway, path="/open/x", token=None)).code == "bad_gateway"
    await asyncio.sleep(0.2)  # the loop itself lets go of a connection some turns after its end
    assert not [one for one in gc.get_objects() if isinstance(one, RepeatedExchange)]


async def test_an_unreachable_backend_is_a_502(serve, backend: Backend, again):
    gateway = await serve()
    await made_known(gateway, request("GET", "/api/x", token="good"))
    await backend.stop()
    answer = await ask(gateway)
    assert (answer.code, again) == ("bad_gateway", [True])
    await backend.start()
    assert (await ask(gateway)).status == 200


async def test_what_is_kept_is_bounded(serve, monkeypatch):
    remember, kept = Repeats.remember, []

    def noted(repeats: Repeats, *request: Any) -> None:
        remember(repeats, *request)
        kept.append(len(repeats.known))

    monkeypatch.setattr(Repeats, "remember", noted)
    monkeypatch.setattr("gateway.proxy.repeats._KEPT_MAX", 3)
    gateway = await serve()
    for number in range(8):
        await made_known(gateway, request("GET", f"/open/{number}"))
    assert max(kept) == 3
    for number in range(8):
        assert (await ask(gateway, path=f"/open/{number}", token=None)).status == 200
