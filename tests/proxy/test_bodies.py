"""Bodies of requests: framing, limits, pace, `Expect`, and that an unread one is never the next request."""

import asyncio
import contextlib
import hashlib
import time

import pytest
from support.backend import CLOSE, HANG, Pause, Wait, chunked, ok, script
from support.running_gateway import eventually
from support.scripted_provider import Fault
from support.wire import BrokenOffError, request

from gateway.proxy import request_body
from gateway.proxy.request_body import Pace

HEAD = b"POST /api/x HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer good\r\n"
OPEN = HEAD.replace(b"/api/", b"/open/")
SMUGGLED = b"GET /open/smuggled HTTP/1.1\r\nHost: gw.example\r\n\r\n"


def in_chunks(*chunks, end=b"0\r\n\r\n"):
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + end


async def test_a_length_stays_a_length(serve, backend):
    gateway = await serve()
    assert (await gateway.ask(request("POST", "/api/x", token="good", body=b"hello"))).status == 200
    seen = backend.requests[0]
    assert (seen.body, seen.value("Content-Length"), seen.value("Transfer-Encoding")) == (b"hello", "5", None)


async def test_chunks_stay_chunks(serve, backend):
    gateway = await serve()
    wire = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(b"hel", b"lo")
    assert (await gateway.ask(wire)).status == 200
    seen = backend.requests[0]
    assert (seen.body, seen.value("Content-Length"), seen.value("Transfer-Encoding")) == (b"hello", None, "chunked")


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "PUT"])
async def test_any_method_may_have_a_body(serve, backend, method):
    gateway = await serve()
    assert (await gateway.ask(request(method, "/open/x", body=b"hello"))).status == 200
    assert backend.requests[0].body == b"hello"


async def test_an_empty_body_is_framed_as_one(serve, backend):
    gateway = await serve()
    assert (await gateway.ask(request("POST", "/open/x", body=b""))).status == 200
    assert (await gateway.ask(OPEN + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")).status == 200
    assert backend.requests[0].value("Content-Length") == "0"
    assert backend.requests[1].value("Transfer-Encoding") == "chunked"
    assert [one.body for one in backend.requests] == [b"", b""]


async def test_many_one_byte_chunks_are_no_burden(serve, backend):
    gateway = await serve()
    wire = OPEN + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
    assert (await gateway.ask(wire)).status == 200
    assert backend.requests[0].body == b"x" * 50_000


async def test_a_body_that_comes_byte_by_byte(serve, backend):
    gateway = await serve()
    async with await gateway.client() as client:
        await client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(b"abc", b"defgh"), piece=1)
        assert (await client.answer()).status == 200
        await client.send(request("POST", "/api/x", token="good", body=b"0123456789"), piece=1)
        assert (await client.answer()).status == 200
    assert [one.body for one in backend.requests] == [b"abcdefgh", b"0123456789"]


async def test_trailers_and_chunk_extensions_stay_here(serve, backend):
    gateway = await serve()
    wire = OPEN + b"Trailer: X-User-Id\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire += b"3;name=value\r\nabc\r\n0\r\nX-User-Id: root\r\n\r\n"
    async with await gateway.client() as client:
        await client.send(wire)
        assert (await client.answer()).status == 200
        await client.send(request("GET", "/open/next"))
        assert (await client.answer()).status == 200
    assert (backend.requests[0].body, backend.requests[0].trailers) == (b"abc", b"")
    assert b"root" not in bytes(backend.connections[0].received)


@pytest.mark.parametrize(
    "body",
    [
        b"-1\r\nx\r\n0\r\n\r\n",
        b"+1\r\nx\r\n0\r\n\r\n",
        b"0x1\r\nx\r\n0\r\n\r\n",
        b" 1\r\nx\r\n0\r\n\r\n",
        b"1_0\r\nx\r\n0\r\n\r\n",
        b"g\r\nx\r\n0\r\n\r\n",
        b"\r\nx\r\n0\r\n\r\n",
        b"1\nx\n0\n\n",
        b"1\r\nxy\r\n0\r\n\r\n",
        b"1\r\nx0\r\n\r\n",
        b"1\r\nx\n0\r\n\r\n",
        b"ffffffffffffffff1\r\nx\r\n0\r\n\r\n",
        b"1;a\nb\r\nx\r\n0\r\n\r\n",
        b"1;a\rb\r\nx\r\n0\r\n\r\n",
        b"1;" + b"x" * 300_000 + b"\r\nx\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("piece", [None, 1], ids=["whole", "bytewise"])
async def test_broken_chunks_are_refused_and_nothing_after_them_is_a_request(serve, backend, body, piece):
    if piece and len(body) > 1000:
        pytest.skip("the same, and slow")
    gateway = await serve()
    async with await gateway.client() as client:
        try:
            await client.send(OPEN + b"Transfer-Encoding: chunked\r\n\r\n" + body + SMUGGLED, piece=piece)
            answer = await client.answer()
            assert answer.status in {400, 431}
            assert await client.rest() == b""
        except (BrokenOffError, ConnectionError):
            pass
    assert (await gateway.get("/open/canary")).body == b"from the backend"
    assert "/open/smuggled" not in [one.target for one in backend.requests]
    assert not any(one.whole for one in backend.requests if one.target == "/open/x")


class TestLimit:
    async def test_chunks_beyond_it_are_a_413(self, serve, backend):
        gateway = await serve(max_body="1KiB")
        async with await gateway.client() as client:
            await client.send(OPEN + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(b"x" * 1000, end=b""))
            await backend.seen()
            await client.send(in_chunks(b"y" * 25, end=b""))
            answer = await client.answer()
            assert (answer.status, answer.code) == (413, "content_too_large")
        assert not backend.requests[0].whole
        await backend.connections[0].wait_ended()

    async def test_chunks_up_to_it_pass(self, serve, backend):
        gateway = await serve(max_body="1KiB")
        wire = OPEN + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(b"x" * 1000, b"y" * 24)
        assert (await gateway.ask(wire)).status == 200
        assert len(backend.requests[0].body) == 1024

    async def test_an_answer_that_has_begun_is_cut_off_at_once(self, serve, backend):
        backend.default = script(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", HANG, at_head=True
        )
        gateway = await serve(max_body="1KiB")
        async with await gateway.client() as client:
            await client.send(OPEN + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(b"x" * 10, end=b""))
            assert (await client.head()).status == 200
            await client.send(in_chunks(b"x" * 2000, end=b""))
            rest = await client.rest()
            assert not rest.endswith(b"0\r\n\r\n")
        await backend.connections[0].wait_ended()

    async def test_unlimited_is_unlimited(self, serve, backend):
        gateway = await serve(max_body="unlimited", server={"max_body": "1KiB"})
        body = bytes(range(256)) * 2**14  # 4 MiB
        assert (await gateway.ask(request("POST", "/open/x", body=body))).status == 200
        assert hashlib.sha256(backend.requests[0].body).digest() == hashlib.sha256(body).digest()


class TestExpect:
    WIRE = HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"

    async def test_100_comes_once_the_backend_is_there(self, serve, backend):
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(self.WIRE)
            assert (await client.head()).head == b"HTTP/1.1 100 Continue\r\n\r\n"
            await backend.connected()
            await client.send(b"hello")
            answer = await client.answer()
        assert (answer.status, answer.interim) == (200, [])
        assert backend.requests[0].body == b"hello"
        assert "expect" not in backend.requests[0].names

    async def test_a_client_that_does_not_wait_is_served_as_well(self, serve, backend):
        gateway = await serve()
        answer = await gateway.ask(self.WIRE + b"hello")
        assert answer.status == 200
        assert backend.requests[0].body == b"hello"

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ((b"Bearer good", b"Bearer junk"), 401),
            ((b"Authorization", b"X-Other"), 401),
            ((b"/api/x", b"/nowhere"), 404),
            ((b"Content-Length: 5", b"Content-Length: 99999999999"), 413),
            ((b"Bearer good", b"Bearer good, x"), 400),
        ],
    )
    async def test_a_refusal_comes_without_100(self, serve, backend, change, status):
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(self.WIRE.replace(*change))
            answer = await client.answer()
            assert (answer.status, answer.interim) == (status, [])
        assert backend.connections == []

    async def test_no_100_while_the_provider_can_not_tell(self, serve, backend, provider):
        provider.fault = Fault.RESET
        gateway = await serve()
        answer = await gateway.ask(self.WIRE)
        assert (answer.status, answer.interim) == (503, [])

    async def test_no_100_where_the_backend_can_not_be_reached(self, serve, backend):
        await backend.stop()
        gateway = await serve()
        answer = await gateway.ask(self.WIRE)
        assert (answer.status, answer.interim) == (502, [])

    async def test_http_1_0_knows_no_100(self, serve, backend):
        gateway = await serve()
        answer = await gateway.ask(self.WIRE.replace(b"HTTP/1.1", b"HTTP/1.0") + b"hello")
        assert (answer.status, answer.interim) == (200, [])

    async def test_a_body_that_was_refused_is_not_the_next_request(self, serve, backend):
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(self.WIRE.replace(b"good", b"junk").replace(b": 5", b": %d" % len(SMUGGLED)))
            assert (await client.answer()).status == 401
            await client.send(SMUGGLED)
            rest = await client.rest()
            assert b"200" not in rest
        assert backend.requests == []


class TestRefusedBodies:
    async def test_a_small_one_is_dropped_and_the_connection_goes_on(self, serve, backend):
        gateway = await serve()
        async with await gateway.client() as client:
            for _ in range(3):
                await client.send(request("POST", "/api/x", body=SMUGGLED))
                assert (await client.answer()).code == "token_missing"
            await client.send(request("GET", "/open/after"))
            assert (await client.answer()).status == 200
        assert [one.target for one in backend.requests] == ["/open/after"]

    async def test_one_that_comes_late_as_well(self, serve, backend):
        gateway = await serve()
        async with await gateway.client() as client:
            whole = request("POST", "/api/x", body=SMUGGLED)
            await client.send(whole[: -len(SMUGGLED)])
            assert (await client.answer()).status == 401
            await client.send(SMUGGLED + request("GET", "/open/after"))
            assert (await client.answer()).status == 200
        assert [one.target for one in backend.requests] == ["/open/after"]

    @pytest.mark.parametrize("framing", [b"Content-Length: 400000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
    async def test_a_large_one_costs_the_connection_and_gets_one_answer(self, serve, backend, framing):
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(HEAD.replace(b"good", b"junk") + framing)
            answer = await client.answer()
            assert (answer.status, answer.value("Connection")) == (401, "close")
            body = SMUGGLED * (400_000 // len(SMUGGLED) + 1)
            with contextlib.suppress(ConnectionError):
                await client.send(in_chunks(body) if b"chunked" in framing else body)
            assert await client.rest() == b""
        assert backend.requests == []

    async def test_the_answer_is_there_although_the_client_goes_on_sending(self, serve, backend):
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(request("POST", "/api/x", body=b"x" * 1_000_000))
            assert (await client.answer()).code == "token_missing"

    async def test_nothing_is_kept_open_for_a_body_that_never_comes(self, serve, backend):
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(request("POST", "/api/x", "Content-Length: 10"))
            assert (await client.answer()).status == 401
            assert await client.rest() == b""


class TestPace:
    async def test_a_client_that_stalls_is_a_408(self, serve, backend):
        gateway = await serve(server={"idle_timeout": "300ms"})
        async with await gateway.client() as client:
            await client.send(OPEN + b"Content-Length: 10\r\n\r\nabc")
            answer = await client.answer()
            assert (answer.status, answer.code) == (408, "request_timeout")
            assert await client.rest() == b""
        await backend.connections[0].wait_ended()

    async def test_a_slow_client_does_not_use_up_the_backends_time(self, serve, backend):
        gateway = await serve(timeout="400ms")
        async with await gateway.client() as client:
            await client.send(OPEN + b"Content-Length: 8\r\n\r\n")
            await client.send(b"abcdefgh", piece=1, pause_s=0.1)
            assert (await client.answer()).status == 200
        assert backend.requests[0].body == b"abcdefgh"

    async def test_the_backends_time_runs_once_the_body_is_there(self, serve, backend):
        backend.default = script(HANG)
        gateway = await serve(timeout="200ms")
        answer = await gateway.ask(request("POST", "/open/x", body=b"abc"))
        assert (answer.status, answer.code) == (504, "gateway_timeout")

    async def test_a_backend_that_takes_no_more_of_the_body_is_too_slow(self, serve, backend):
        backend.default = script(HANG)
        gateway = await serve(timeout="400ms", max_body="unlimited")
        async with await gateway.client() as client:
            sending = asyncio.create_task(client.send(request("POST", "/open/x", body=b"x" * 30_000_000)))
            (await backend.connected()).pause()
            answer = await client.answer()
            assert (answer.status, answer.code) == (504, "gateway_timeout")
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def test_no_more_of_a_body_is_read_than_the_backend_takes(self, serve, backend):
        gateway = await serve(max_body="unlimited", timeout="20s")
        async with await gateway.client() as client:
            await client.send(OPEN + b"Content-Length: 100000000\r\n\r\n")
            (await backend.connected()).pause()
            assert await client.send_until_stuck(b"x" * 65536, 90_000_000) < 30_000_000  # what four socket buffers hold
            client.reset()

    async def test_an_early_answer_passes_while_the_body_still_comes(self, serve, backend):
        backend.default = script(ok(b"no, thanks"), at_head=True)
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(OPEN + b"Content-Length: 6\r\n\r\nabc")
            assert (await client.answer()).body == b"no, thanks"

    async def test_both_directions_at_once(self, serve, backend):
        first, second = asyncio.Event(), asyncio.Event()
        backend.default = script(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Wait(first),
            b"2\r\nab\r\n",
            Wait(second),
            b"2\r\ncd\r\n0\r\n\r\n",
            at_head=True,
        )
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(OPEN + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(b"one", end=b""))
            assert (await client.head()).status == 200
            await eventually(lambda: backend.requests[0].body == b"one")
            first.set()
            assert await client.read(100) == b"2\r\nab\r\n"
            await client.send(in_chunks(b"two"))
            await eventually(lambda: backend.requests[0].body == b"onetwo")
            second.set()
            assert await client.read_exactly(12) == b"2\r\ncd\r\n0\r\n\r\n"


class TestLeaving:
    async def test_a_client_that_leaves_within_its_body_ends_the_backends_request(self, serve, backend):
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(OPEN + b"Content-Length: 10\r\n\r\nabc")
            await backend.connected()
        await backend.connections[0].wait_ended()
        assert not any(one.whole for one in backend.requests)
        assert (await gateway.log_line())["status"] in {0, 400}

    async def test_a_body_cut_short_by_half_close_is_no_whole_body(self, serve, backend):
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(OPEN + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(b"abc", end=b""))
            await backend.seen()
            client.writer.write_eof()
            await backend.connections[0].wait_ended()
        assert not backend.requests[0].whole


async def test_pipelined_requests_are_answered_in_order(serve, backend):
    backend.default = lambda seen: script(Pause(0.02 if seen.target.endswith("0") else 0), ok(seen.target.encode()))
    gateway = await serve()
    async with await gateway.client() as client:
        await client.send(b"".join(request("POST", f"/open/{n}", body=SMUGGLED[:n]) for n in range(40)))
        for n in range(40):
            assert (await client.answer()).body == b"/open/%d" % n
    assert [len(one.body) for one in backend.requests] == [min(n, len(SMUGGLED)) for n in range(40)]


async def test_what_is_sent_ahead_is_not_read_without_end(serve, backend):
    go_on = asyncio.Event()
    backend.answers.append(script(Wait(go_on), ok(b"first")))
    gateway = await serve()
    async with await gateway.client() as client:
        await client.send(request("GET", "/open/x"))
        await backend.seen()
        client.writer.write(b"GET /open/y HTTP/1.1\r\nHost: a\r\n")
        line = b"X-A: " + b"b" * 1000 + b"\r\n"
        assert await client.send_until_stuck(line * 64, 90_000_000) < 30_000_000
        go_on.set()
        assert (await client.answer()).body == b"first"
        assert (await client.answer()).status == 431


async def test_a_chunked_answer_to_a_chunked_request(serve, backend):
    backend.default = script(chunked(b"a" * 70_000, b"b"), CLOSE)
    gateway = await serve()
    answer = await gateway.ask(OPEN + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(b"x" * 70_000))
    assert len(answer.body) == 70_001


@pytest.mark.parametrize(
    ("received_bytes", "waited_s", "patience_s"),
    [(0, 0.0, 5.0), (0, 4.0, 1.0), (1_000, 4.0, 11.0), (1_000, 15.5, -0.5), (10**9, 60.0, 30.0)],
)
def test_the_patience_with_a_body(received_bytes, waited_s, patience_s):
    assert Pace(30.0, 100).patience_s(received_bytes, waited_s) == pytest.approx(patience_s)
    assert Pace(30.0, 0).patience_s(received_bytes, waited_s) == 30.0


class TestRate:
    DRIPPING = 30

    async def test_bodies_that_drip_let_their_backends_go(self, serve, backend, monkeypatch):
        monkeypatch.setattr(request_body, "_GRACE_S", 0.5)
        gateway = await serve()
        clients = [await gateway.client() for _ in range(self.DRIPPING)]
        for client in clients:
            await client.send(OPEN + b"Content-Length: 1000\r\n\r\n")
        dripping = [asyncio.create_task(self.drip(client)) for client in clients]
        for client in clients:
            answer = await client.answer()
            assert (answer.status, answer.code) == (408, "request_timeout")
        await eventually(lambda: all(one.connection.ended is not None for one in backend.requests))
        for task in dripping:
            task.cancel()
        await asyncio.gather(*dripping, return_exceptions=True)

    async def drip(self, client):
        while True:
            client.writer.write(b"x")
            await asyncio.sleep(0.1)

    async def test_one_that_is_slow_and_honest_passes(self, serve, backend, monkeypatch):
        monkeypatch.setattr(request_body, "_GRACE_S", 0.5)
        gateway = await serve(server={"min_body_rate": 100})
        async with await gateway.client() as client:
            await client.send(OPEN + b"Content-Length: 1000\r\n\r\n")
            await client.send(b"x" * 1000, piece=50, pause_s=0.1)
            assert (await client.answer()).status == 200

    async def test_without_a_rate_it_may_drip(self, serve, backend, monkeypatch):
        monkeypatch.setattr(request_body, "_GRACE_S", 0.2)
        gateway = await serve(server={"min_body_rate": 0})
        async with await gateway.client() as client:
            await client.send(OPEN + b"Content-Length: 5\r\n\r\n")
            await client.send(b"hello", piece=1, pause_s=0.2)
            assert (await client.answer()).status == 200


async def test_a_chunked_upload_is_under_way_as_soon_as_it_pauses(serve, backend):
    """It does not wait for its end, nor a quarter of a second; whoever sends slowly is not made slower."""
    gateway = await serve()
    async with await gateway.client() as client:
        await client.send(request("GET", "/open/first"))  # so that a backend connection is there
        assert (await client.answer()).status == 200
        began_s = time.monotonic()
        await client.send(OPEN + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        sent = await backend.seen(2)
        await eventually(lambda: sent.body == b"hello")
        assert time.monotonic() - began_s < 0.2
        await client.send(b"0\r\n\r\n")
        assert (await client.answer()).status == 200
