"""Backends that are away, slow, broken or hostile: what the client gets, how often was asked, what is used again."""

import asyncio
import socket

import pytest
from support.backend import CLOSE, HANG, RESET, Backend, Drip, Pause, chunked, ok, script
from support.running_gateway import eventually
from support.wire import BrokenOffError, request


def refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code)
    assert answer.value("Server") is None


async def reason(gateway):
    return (await gateway.log_line())["reason"]


class TestUnreachable:
    async def test_a_refused_connection_is_a_502(self, serve, backend):
        await backend.stop()
        gateway = await serve()
        refused(await gateway.get("/open/x"), 502, "bad_gateway")
        assert "Connect" in await reason(gateway)

    async def test_a_name_that_nobody_knows_is_a_502(self, serve, backend):
        gateway = await serve(backend="http://nowhere.invalid:80")
        refused(await gateway.get("/open/x"), 502, "bad_gateway")

    async def test_a_connection_that_takes_too_long_is_a_504(self, serve, backend):
        with socket.socket() as full:  # nobody accepts, and the backlog is used up
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = []
            for _ in range(4):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(full.getsockname())
            gateway = await serve(backend=f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout="200ms")
            refused(await gateway.get("/open/x"), 504, "gateway_timeout")
            for one in waiting:
                one.close()

    async def test_a_backend_that_comes_back_is_used_again(self, serve, backend):
        gateway = await serve()
        assert (await gateway.get("/open/x")).status == 200
        await backend.stop()
        refused(await gateway.get("/open/x"), 502, "bad_gateway")
        await backend.start()
        assert (await gateway.get("/open/x")).status == 200


class TestSlow:
    @pytest.mark.parametrize(
        "steps", [[HANG], [b"HTTP/1.1 200 OK\r\n", HANG], [Drip(ok(b"x", "X-A: " + "b" * 200), 0.05)]]
    )
    async def test_headers_that_take_too_long_are_a_504_once(self, serve, backend, steps):
        backend.default = script(*steps)
        gateway = await serve(timeout="300ms", retries=3)
        refused(await gateway.get("/open/x"), 504, "gateway_timeout")
        assert len(backend.requests) == 1
        await backend.connections[0].wait_ended()

    async def test_a_body_that_stops_is_an_abort(self, serve, backend):
        backend.default = script(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", HANG)
        gateway = await serve(read_timeout="200ms")
        with pytest.raises(BrokenOffError) as caught:
            await gateway.get("/open/x")
        assert caught.value.partial.body == b"abc"
        await backend.connections[0].wait_ended()
        assert await reason(gateway) == "the backend's answer broke off"

    async def test_the_pause_that_counts_is_the_one_between_bytes(self, serve, backend):
        backend.default = script(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", Drip(b"abcdefgh", 0.1))
        gateway = await serve(read_timeout="500ms", timeout="300ms")
        assert (await gateway.get("/open/x")).body == b"abcdefgh"

    async def test_a_client_that_reads_slowly_is_not_the_backends_fault(self, serve, backend):
        body = b"x" * 8_000_000
        backend.default = script(ok(body))
        gateway = await serve(read_timeout="300ms")
        async with await gateway.client(receive_buffer=65536) as client:
            await client.send(request("GET", "/open/x"))
            await asyncio.sleep(1)
            assert (await client.answer()).body == body


class TestRetries:
    @pytest.mark.parametrize("end", [[RESET], [CLOSE]])
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
    async def test_an_idempotent_request_is_sent_again_as_often_as_configured(self, serve, backend, method, end):
        backend.default = script(*end)
        gateway = await serve(retries=2)
        answer = await gateway.ask(request(method, "/open/x"), method)
        assert answer.status == 502
        assert [one.method for one in backend.requests] == [method] * 3

    @pytest.mark.parametrize("end", [[RESET], [CLOSE]])
    async def test_the_second_try_may_succeed(self, serve, backend, end):
        backend.answers.append(script(*end))
        gateway = await serve()
        assert (await gateway.get("/open/x")).status == 200
        first, second = backend.requests
        assert first.head == second.head

    async def test_zero_is_never(self, serve, backend):
        backend.default = script(RESET)
        gateway = await serve(retries=0)
        assert (await gateway.get("/open/x")).status == 502
        assert len(backend.requests) == 1

    @pytest.mark.parametrize("method", ["POST", "PATCH", "PROPFIND"])
    @pytest.mark.parametrize("body", [None, b"abc"])
    async def test_others_are_sent_once(self, serve, backend, method, body):
        backend.default = script(RESET)
        gateway = await serve(retries=5)
        refused(await gateway.ask(request(method, "/open/x", body=body)), 502, "bad_gateway")
        assert len(backend.requests) == 1

    async def test_a_body_that_was_sent_is_not_sent_again(self, serve, backend):
        backend.default = script(RESET)
        gateway = await serve(retries=5)
        refused(await gateway.ask(request("PUT", "/open/x", body=b"abc")), 502, "bad_gateway")
        assert len(backend.requests) == 1

    async def test_a_body_of_no_bytes_is_none(self, serve, backend):
        backend.default = script(RESET)
        gateway = await serve(retries=2)
        refused(await gateway.ask(request("PUT", "/open/x", body=b"")), 502, "bad_gateway")
        assert len(backend.requests) == 3

    async def test_a_body_that_was_not_begun_is_kept_for_the_next_try(self, serve, backend):
        gone = Backend()
        await gone.start()
        await gone.stop()
        gateway = await serve(backend=[gone.url, backend.url])
        for _ in range(4):
            assert (await gateway.ask(request("PUT", "/open/x", body=b"abc"))).status == 200
        assert [one.body for one in backend.requests] == [b"abc"] * 4

    async def test_a_connection_refused_is_tried_elsewhere(self, serve, backend):
        gone = Backend()
        await gone.start()
        await gone.stop()
        gateway = await serve(backend=[gone.url, gone.url, backend.url], retries=2)
        for _ in range(3):
            assert (await gateway.get("/open/x")).status == 200

    @pytest.mark.parametrize("part", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"\r\n"])
    @pytest.mark.parametrize("end", [CLOSE, RESET])
    async def test_after_a_byte_of_an_answer_there_is_no_second_try(self, serve, backend, part, end):
        backend.default = script(part, Pause(0.1), end)
        gateway = await serve(retries=5)
        refused(await gateway.get("/open/x"), 502, "bad_gateway")
        assert len(backend.requests) == 1

    async def test_a_kept_connection_that_was_closed_is_not_noticed_by_anybody(self, serve, backend):
        backend.default = script(ok(b"x"), CLOSE)
        gateway = await serve(retries=0)
        for number in range(5):
            answer = await gateway.ask(request("POST", "/open/x", body=b"a"))
            assert answer.status == 200, number
            await backend.connections[number].wait_ended()


BROKEN = {
    "length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    ),
    "chunks and length": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    ),
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "two equal lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
    "two lengths, empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "not chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
    "control": b"HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 0\r\n\r\n",
    "bare CR": b"HTTP/1.1 200 OK\r\nX-A: a\rX-B: b\r\nContent-Length: 0\r\n\r\n",
    "control in the reason": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
    "bad name": b"HTTP/1.1 200 OK\r\nX A: a\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"220 smtp.example.com ESMTP\r\n\r\n",
    "status 0": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "status 999": b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a huge field": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "many fields": b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 5000 + b"Content-Length: 0\r\n\r\n",
    "a huge reason": b"HTTP/1.1 200 " + b"a" * 100_000 + b"\r\nContent-Length: 0\r\n\r\n",
}


async def test_a_folded_line_is_unfolded(serve, backend):
    backend.default = script(b"HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 0\r\n\r\n")
    gateway = await serve()
    assert (await gateway.get("/open/x")).value("X-A") == "a b"  # RFC 9112 §5.2


@pytest.mark.parametrize("wire", BROKEN.values(), ids=BROKEN)
async def test_a_head_that_can_not_be_trusted_is_a_502_and_the_end_of_its_connection(serve, backend, wire):
    backend.answers.append(script(wire))
    gateway = await serve(retries=5)
    async with await gateway.client() as client:
        await client.send(request("GET", "/open/x"))
        refused(await client.answer(), 502, "bad_gateway")
        await backend.connections[0].wait_ended()
        await client.send(request("GET", "/open/canary"))
        assert (await client.answer()).body == b"from the backend"
    assert [one.target for one in backend.requests] == ["/open/x", "/open/canary"]


CUT = {
    "short": [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Pause(0.05), CLOSE],
    "short, reset": [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Pause(0.05), RESET],
    "no last chunk": [chunked(b"abc", end=b""), Pause(0.05), CLOSE],
    "no last chunk, reset": [chunked(b"abc", end=b""), Pause(0.05), RESET],
    "half a chunk": [chunked(end=b"10\r\nabc"), Pause(0.05), CLOSE],
    "broken chunk": [chunked(b"abc", end=b"x\r\n"), Pause(0.05), HANG],
    "broken chunk later": [chunked(b"abc", end=b""), Pause(0.05), b"-1\r\nabc\r\n0\r\n\r\n", HANG],
    "no end of the trailers": [chunked(b"abc", end=b"0\r\nX-A: b\r\n"), Pause(0.05), CLOSE],
    "reset where the end was to come": [b"HTTP/1.1 200 OK\r\n\r\nabc", Pause(0.05), RESET],
}


@pytest.mark.parametrize("steps", CUT.values(), ids=CUT)
async def test_a_body_cut_short_is_seen_as_an_abort(serve, backend, steps):
    backend.answers.append(script(*steps))
    gateway = await serve(retries=5)
    try:
        answer = await gateway.get("/open/x")
    except BrokenOffError:
        assert (await gateway.log_line())["reason"] == "the backend's answer broke off"
    else:
        refused(answer, 502, "bad_gateway")
    assert len(backend.requests) == 1
    assert (await gateway.get("/open/canary")).body == b"from the backend"


EXTRA = [
    b"X",
    b"\0",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"H",
    b"\r\n\r\n",
]


@pytest.mark.parametrize("extra", EXTRA)
@pytest.mark.parametrize("first", [ok(b"sound"), ok(b""), chunked(b"sound"), b"HTTP/1.1 204 No Content\r\n\r\n"])
async def test_bytes_after_the_end_never_reach_the_next_client(serve, backend, extra, first):
    backend.answers.append(script(first + extra))
    gateway = await serve()
    answer = await gateway.get("/open/x")
    assert answer.status in {200, 204, 502}
    assert b"EVIL" not in answer.body
    assert (await gateway.get("/open/canary")).body == b"from the backend"


@pytest.mark.parametrize("extra", EXTRA)
async def test_bytes_on_an_idle_connection_never_reach_the_next_client(serve, backend, extra):
    gateway = await serve()
    assert (await gateway.get("/open/x")).status == 200
    backend.connections[0].send(extra)
    await asyncio.sleep(0.02)
    assert (await gateway.get("/open/canary")).body == b"from the backend"
    if extra.strip():
        assert len(backend.connections) == 2


async def test_a_connection_is_used_again(serve, backend):
    gateway = await serve()
    for _ in range(5):
        assert (await gateway.get("/open/x")).status == 200
        assert (await gateway.ask(request("POST", "/open/x", body=b"abc"))).status == 200
    assert len(backend.connections) == 1


async def test_backends_take_turns(serve, backend):
    other = Backend()
    await other.start()
    gateway = await serve(backend=[backend.url, other.url])
    for _ in range(6):
        assert (await gateway.get("/open/x")).status == 200
    assert (len(backend.requests), len(other.requests)) == (3, 3)
    await other.stop()


async def test_no_redirect_is_followed_and_no_cookie_kept(serve, backend):
    backend.answers.append(script(ok(b"", "Location: /open/elsewhere", "Set-Cookie: s=1; Path=/", status="302 Found")))
    gateway = await serve()
    assert (await gateway.get("/open/x")).status == 302
    assert (await gateway.get("/open/y")).status == 200
    assert [one.target for one in backend.requests] == ["/open/x", "/open/y"]
    assert backend.requests[1].value("Cookie") is None


class TestClientLeaves:
    async def test_before_the_answer(self, serve, backend):
        backend.default = script(HANG)
        gateway = await serve(retries=3)
        async with await gateway.client() as client:
            await client.send(request("GET", "/open/x"))
            await backend.seen()
        await backend.connections[0].wait_ended()
        assert len(backend.requests) == 1
        assert (await gateway.log_line())["status"] == 0

    @pytest.mark.parametrize("how", ["close", "reset"])
    async def test_within_the_answer(self, serve, backend, how):
        backend.default = script(chunked(b"abc", end=b""), HANG)
        gateway = await serve()
        client = await gateway.client()
        await client.send(request("GET", "/open/x"))
        assert (await client.head()).status == 200
        client.reset() if how == "reset" else await client.close()
        await backend.connections[0].wait_ended()
        await eventually(lambda: len(gateway.lines.requests) == 1)

    async def test_while_the_provider_is_asked(self, serve, backend, provider):
        provider.delay_s = 0.3
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(request("GET", "/api/x", token="good"))
            await provider.wait_for_calls()
        assert (await gateway.get("/api/y", token="good")).status == 200
        assert len(provider.introspections) == 1
        assert [one.target for one in backend.requests] == ["/api/y"]

    async def test_an_endless_answer_ends_with_its_client(self, serve, backend):
        backend.default = script(chunked(end=b""), Drip(b"1\r\nx\r\n" * 10_000, 0.001))
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(request("GET", "/open/x"))
            await client.head()
            await client.read(100)
        await backend.connections[0].wait_ended()


async def test_a_slow_reader_holds_up_the_backend_and_not_the_memory(serve, backend):
    backend.default = script(ok(b"x" * 60_000_000))
    gateway = await serve()
    async with await gateway.client(receive_buffer=65536) as client:
        await client.send(request("GET", "/open/x"))
        await client.head()
        await asyncio.sleep(0.5)
        sent = backend.connections[0].unsent()
        assert sent > 30_000_000
        client.reset()
    await backend.connections[0].wait_ended()


async def test_a_client_that_reads_nothing_is_given_up(serve, backend):
    backend.default = script(ok(b"x" * 60_000_000))
    gateway = await serve(server={"idle_timeout": "500ms"})
    async with await gateway.client(receive_buffer=65536) as client:
        await client.send(request("GET", "/open/x"))
        await backend.connected()
        await backend.connections[0].wait_ended()
        client.reset()
