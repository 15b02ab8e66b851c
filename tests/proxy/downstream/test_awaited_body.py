"""A body that comes in a later write than its head: the fast lane waits a moment for it, and nothing is lost."""

import asyncio
import re

import pytest
from support.backend import Wait, ok, script
from support.connection_states import watched_states
from support.running_gateway import eventually
from support.transcript import echo_marker
from support.wire import request

from gateway.http.ordinary import BODY_MAX_BYTES
from gateway.proxy.downstream import sweep
from gateway.runtime.build import BUILD

BODY = b"0123456789" * 100
APART_S = 0.01


@pytest.fixture
def unswept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep does not come by in this test."""
    monkeypatch.setattr(sweep, "_period_s", lambda _: 3600.0)


def parts(body: bytes = BODY, *lines: str, method: str = "POST", token: str = "good") -> tuple[bytes, bytes]:
    wire = request(method, "/api/x", *lines, token=token, body=body)
    return wire[: len(wire) - len(body)], body


def heads_of(gateway):
    return gateway.service._serving._worker._listeners._public._state.heads


@pytest.mark.usefixtures("unswept")
class TestTheFastLaneTakesIt:
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
    async def test_when_the_body_comes_behind_its_head(self, serve, backend, taken, method):
        backend.default = echo_marker
        gateway = await serve()
        with watched_states() as steps:
            async with await gateway.client() as client:
                for number in range(3):
                    for part in parts(BODY, f"X-Marker: {number}", method=method):
                        await client.send(part)
                        await asyncio.sleep(APART_S)
                    assert (await client.answer()).body == str(number).encode()
        assert taken == [False, True] * 3
        assert [(one.method, one.body) for one in backend.requests] == [(method, BODY)] * 3
        # Compiled code does not ask the watch.
        assert BUILD == "compiled" or steps >= {("FRESH", "BODY"), ("BODY", "FAST"), ("IDLE", "BODY")}
        assert heads_of(gateway).held_bytes == 0

    async def test_byte_by_byte(self, serve, backend, taken):
        head, body = parts(b"hello")
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(head + body[:1])
            for byte in body[1:]:
                await asyncio.sleep(APART_S)
                assert not backend.requests
                assert heads_of(gateway).held_bytes > len(head)
                await client.send(bytes([byte]))
            assert (await client.answer()).status == 200
        assert taken == [False, True]
        assert backend.requests[0].body == body

    async def test_the_longest_one(self, serve, backend, taken):
        head, body = parts(b"b" * BODY_MAX_BYTES)
        async with await (await serve()).client() as client:
            await client.send(head)
            await asyncio.sleep(APART_S)
            await client.send(body)
            assert (await client.answer()).status == 200
        assert taken == [False, True]
        assert backend.requests[0].body == body

    async def test_behind_another_request(self, serve, backend, taken):
        """The head came while the response to the first was awaited."""
        go_on = asyncio.Event()
        backend.answers.append(script(Wait(go_on), ok()))
        head, body = parts()
        async with await (await serve()).client() as client:
            await client.send(request("GET", "/api/x", token="good"))
            await backend.seen()
            await client.send(head)
            await asyncio.sleep(APART_S)
            go_on.set()
            assert (await client.answer()).status == 200
            await asyncio.sleep(APART_S)
            await client.send(body)
            assert (await client.answer()).status == 200
        assert [one.body for one in backend.requests] == [b"", BODY]
        assert taken[-1] is True

    async def test_with_another_request_behind_it(self, serve, backend, taken):
        backend.default = echo_marker
        async with await (await serve()).client() as client:
            head, body = parts(BODY, "X-Marker: 0")
            await client.send(head)
            await asyncio.sleep(APART_S)
            await client.send(body + request("GET", "/api/x", "X-Marker: 1", token="good"))
            assert [(await client.answer()).body for _ in range(2)] == [b"0", b"1"]
        assert taken == [False, True, True]
        assert [one.body for one in backend.requests] == [BODY, b""]

    async def test_and_refuses_it(self, serve, backend, provider, taken):
        provider.answers["bad"] = {"active": False}
        async with await (await serve()).client() as client:
            for part in parts(token="bad"):
                await client.send(part)
                await asyncio.sleep(APART_S)
            assert (await client.answer()).status == 401
        assert taken == [False, True]
        assert not backend.requests


@pytest.mark.usefixtures("unswept")
class TestTheGeneralLaneTakesIt:
    async def test_where_the_fast_lane_is_turned_off_meanwhile(self, serve, backend, taken):
        gateway = await serve()
        head, body = parts()
        async with await gateway.client() as client:
            await client.send(head)
            await asyncio.sleep(APART_S)
            off = re.sub(r'"fast_path": \w+', '"fast_path": false', gateway.text)
            assert await gateway.reload(off)
            await client.send(body)
            assert (await client.answer()).status == 200
        assert [one.body for one in backend.requests] == [BODY]

    @pytest.mark.parametrize("size", [BODY_MAX_BYTES + 1, 2**20])
    async def test_where_the_body_is_too_long_it_streams(self, serve, backend, taken, size):
        head, body = parts(b"b" * size)
        async with await (await serve()).client() as client:
            await client.send(head)
            await backend.seen()  # before anything of the body has come
            await client.send(body)
            assert (await client.answer()).status == 200
        assert taken == [False]

    @pytest.mark.parametrize("bytes_max", [0, 400])
    async def test_where_the_room_is_wanted_nothing_is_sent_twice(self, serve, backend, taken, bytes_max):
        """The room may be gone as its own head comes, or as more of its body does."""
        gateway = await serve()
        heads_of(gateway).bytes_max = bytes_max
        head, body = parts()
        async with await gateway.client() as client:
            for part in (head, body[:500], body[500:]):
                await client.send(part)
                await asyncio.sleep(APART_S)
            assert (await client.answer()).status == 200
            assert (await gateway.get("/api/x", token="good")).status == 200
        assert taken == [False, True]  # of those offered, the second is another connection's
        assert [one.body for one in backend.requests] == [BODY, b""]
        assert heads_of(gateway).held_bytes == 0

    async def test_the_client_that_holds_most_loses_no_more_than_the_wait(self, serve, backend, taken):
        gateway = await serve()
        heads_of(gateway).bytes_max = 100_000
        clients = [await gateway.client() for _ in range(10)]
        for client in clients:
            await client.send(parts(b"b" * 60_000)[0] + b"b" * 40_000)
        await eventually(lambda: len(backend.requests) == 8)  # whose bytes were too many to be held
        await asyncio.sleep(APART_S)
        assert heads_of(gateway).held_bytes <= 100_000
        for client in clients:
            await client.send(b"b" * 20_000)
        for client in clients:
            assert (await client.answer()).status == 200
            await client.close()
        assert [one.body for one in backend.requests] == [b"b" * 60_000] * 10


class TestTheBodyDoesNotComeSoon:
    async def test_the_general_lane_streams_it(self, serve, backend, taken):
        gateway = await serve(server={"idle_timeout": "2s"})  # the sweep comes by five times a second
        head, body = parts()
        with watched_states() as steps:
            async with await gateway.client() as client:
                await client.send(head + body[:10])
                await backend.seen()
                assert heads_of(gateway).held_bytes == 0
                await client.send(body[10:])
                assert (await client.answer()).status == 200
        assert taken == [False]
        assert [one.body for one in backend.requests] == [body]
        assert ("BODY", "HEAD") in steps

    async def test_a_refusal_waits_no_longer(self, serve, backend, provider):
        provider.answers["bad"] = {"active": False}
        async with await (await serve()).client() as client, asyncio.timeout(2):
            await client.send(parts(token="bad")[0])
            assert (await client.answer()).status == 401
        assert not backend.requests

    @pytest.mark.parametrize("fast_path", [True, False])
    async def test_it_is_no_idle_connection_and_is_told_that_it_is_late(self, serve, backend, fast_path):
        gateway = await serve(server={"idle_timeout": "300ms", "fast_path": fast_path})
        async with await gateway.client() as client:
            await client.send(parts()[0])
            assert (await client.answer()).code == "request_timeout"


@pytest.mark.usefixtures("unswept")
@pytest.mark.parametrize("by_reset", [False, True])
async def test_a_client_that_leaves_meanwhile_leaves_nothing_behind(serve, backend, by_reset):
    gateway = await serve(server={"trusted_proxies": ["127.0.0.0/8"]})
    client = await gateway.client()
    head, body = parts(BODY, "X-Forwarded-For: 192.0.2.7")
    await client.send(head + body[:2])
    await eventually(lambda: heads_of(gateway).held_bytes)
    if by_reset:
        client.reset()
    await client.close()
    await eventually(lambda: heads_of(gateway).held_bytes == 0)
    line = await gateway.log_line()
    assert (line["method"], line["path"], line["status"]) == ("POST", "/api/x", 0)  # as always: there was no response
    assert (line["route"], line["client"], line["bytes_received"]) == ("api", "192.0.2.7", 2)
    assert (await gateway.get("/open/x")).status == 200


@pytest.mark.usefixtures("unswept")
async def test_a_request_that_waits_is_answered_while_the_listener_drains(serve, backend, taken):
    gateway = await serve()
    head, body = parts()
    client = await gateway.client()
    await client.send(head)
    await eventually(lambda: heads_of(gateway).held_bytes)
    draining = asyncio.create_task(gateway.drain(10))
    await asyncio.sleep(0.1)
    await client.send(body)
    answer = await client.answer()
    assert (answer.status, answer.value("Connection")) == (200, "close")
    assert taken == [False, True]
    await draining
