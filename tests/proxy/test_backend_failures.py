"""Backends that are away, slow, broken or hostile: what the client gets, how often was asked, what is used again."""

import asyncio
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic

import pytest
from support.backend import CLOSE, HANG, RESET, Backend, Drip, Pause, chunked, ok, script
from support.full_queue import full
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
        assert await reason(gateway) == f"127.0.0.1:{backend.port} refused the connection"

    async def test_a_name_that_nobody_knows_is_a_502(self, serve, backend):
        gateway = await serve(backend="http://nowhere.invalid:80")
        refused(await gateway.get("/open/x"), 502, "bad_gateway")

    async def test_a_connection_that_takes_too_long_is_a_504(self, serve, backend):
        with full() as silent:
            gateway = await serve(backend=silent, connect_timeout="200ms")
            refused(await gateway.get("/open/x"), 504, "gateway_timeout")

    async def test_a_backend_that_comes_back_is_used_again(self, serve, backend):
        gateway = await serve()
        assert (await gateway.get("/open/x")).status == 200
        await backend.stop()
        refused(await gateway.get("/open/x"), 502, "bad_gateway")
        await backend.start()
        assert (await gateway.get("/open/x")).status == 200


@contextmanager
def greeting(wire):
    """The URL of a place that speaks first, and then waits."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet():
            with suppress(OSError), ExitStack() as open_ones:
                while True:
                    one = open_ones.enter_context(listening.accept()[0])
                    one.sendall(wire)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def gone():
    """The URL of a place where nobody listens, and where nobody else can begin to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


class TestNeverSent:
    """A connection that was not made is followed by the next backend of the list, whatever the method."""

    @pytest.mark.parametrize("method", ["POST", "PATCH", "GET", "PROPFIND"])
    @pytest.mark.parametrize("body", [None, b"abc"])
    async def test_a_refused_one_is_followed_by_the_next(self, serve, backend, gone, method, body):
        gateway = await serve(backend=[gone, backend.url], retries=0)
        for _ in range(6):
            assert (await gateway.ask(request(method, "/open/x", body=body))).status == 200
        assert [(one.method, one.body) for one in backend.requests] == [(method, body or b"")] * 6

    async def test_so_is_one_that_takes_too_long(self, serve, backend):
        with full() as silent:
            gateway = await serve(backend=[silent, backend.url], retries=0, connect_timeout="100ms")
            for _ in range(4):
                assert (await gateway.ask(request("POST", "/open/x", body=b"abc"))).status == 200

    async def test_so_is_one_whose_name_is_unknown(self, serve, backend):
        gateway = await serve(backend=["http://nowhere.invalid", backend.url], retries=0)
        for _ in range(2):
            assert (await gateway.ask(request("POST", "/open/x", body=b"abc"))).status == 200

    async def test_so_is_one_that_does_not_speak_tls(self, serve, backend):
        other = Backend()
        await other.start()
        gateway = await serve(backend=[other.url.replace("http:", "https:"), backend.url], retries=0)
        for _ in range(2):
            assert (await gateway.ask(request("POST", "/open/x", body=b"abc"))).status == 200
        await other.stop()
        assert (other.requests, len(backend.requests)) == ([], 2)

    async def test_a_chunked_upload_is_read_once_somebody_takes_it(self, serve, backend, gone):
        gateway = await serve(backend=[gone, backend.url], retries=0)
        for _ in range(2):
            async with await gateway.client() as client:
                await client.send(request("POST", "/open/x", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
                await asyncio.sleep(0.05)
                await client.send(b"3\r\ndef\r\n0\r\n\r\n")
                assert (await client.answer()).status == 200
        assert [one.body for one in backend.requests] == [b"abcdef"] * 2

    async def test_before_a_502_each_was_tried_once_and_the_reason_names_each(self, serve, backend, gone):
        await backend.stop()
        gateway = await serve(backend=[gone, backend.url], retries=0)
        refused(await gateway.ask(request("POST", "/open/x", body=b"abc")), 502, "bad_gateway")
        words = {f"{url.removeprefix('http://')} refused the connection" for url in (gone, backend.url)}
        assert set((await reason(gateway)).split("; ")) == words

    async def test_all_of_it_ends_with_the_timeout(self, serve, backend):
        with full() as silent:
            gateway = await serve(backend=[silent] * 50, retries=9, connect_timeout="200ms", timeout="500ms")
            started_s = monotonic()
            refused(await gateway.get("/open/x"), 504, "gateway_timeout")
            assert 0.4 < monotonic() - started_s < 5

    async def test_the_answer_of_a_later_one_is_due_within_the_same_timeout(self, serve, backend):
        backend.default = script(HANG)
        with full() as silent:
            gateway = await serve(backend=[silent, backend.url], connect_timeout="1500ms", timeout="2s")
            started_s = monotonic()
            refused(await gateway.get("/open/x"), 504, "gateway_timeout")
            assert 1.9 < monotonic() - started_s < 3.2

    async def test_what_was_sent_is_not_sent_elsewhere(self, serve, backend, gone):
        backend.default = script(RESET)
        gateway = await serve(backend=[gone, backend.url], retries=5)
        for count in (1, 2):
            refused(await gateway.ask(request("POST", "/open/x", body=b"abc")), 502, "bad_gateway")
            assert len(backend.requests) == count

    async def test_a_single_one_is_not_tried_again(self, serve, backend, monkeypatch):
        gateway = await serve(backend="http://backend.example", retries=5)
        loop, tried = asyncio.get_running_loop(), []

        async def nowhere(*_, **__):
            tried.append(1)
            return []

        monkeypatch.setattr(loop, "getaddrinfo", nowhere)
        refused(await gateway.get("/open/x"), 502, "bad_gateway")
        assert len(tried) == 1


class TestNoHttp:
    """What speaks no HTTP is given up at its first bytes, and the reason says what to do."""

    @pytest.mark.parametrize("when", ["first", "asked"])
    @pytest.mark.parametrize(
        ("wire", "words"),
        [
            (b"SSH-2.0-OpenSSH_9.2\r\n", "it does not speak HTTP: SSH-2.0-OpenSSH_9.2"),
            (b"220 smtp.example.com ESMTP\r\n", "it does not speak HTTP: 220 smtp.example.com ESMTP"),
            (b"\x15\x03\x01\x00\x02\x02\x16", "it answered with TLS; write https://"),
        ],
    )
    async def test_it_is_a_502_at_once(self, serve, backend, wire, words, when):
        backend.default = script(wire, HANG)
        with greeting(wire) as url:
            gateway = await serve(backend=url if when == "first" else backend.url, retries=3)
            started_s = monotonic()
            refused(await gateway.get("/open/x"), 502, "bad_gateway")
            assert monotonic() - started_s < 3
        assert words in await reason(gateway)
        assert len(backend.requests) == (when == "asked")

    async def test_plain_http_on_https_is_named(self, serve):
        with greeting(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as url:
            gateway = await serve(backend=url.replace("http:", "https:"))
            refused(await gateway.get("/open/x"), 502, "bad_gateway")
        where = url.removeprefix("http://")
        assert await reason(gateway) == f"{where} does not speak TLS; where it speaks plain HTTP, write http://"

    async def test_a_name_that_does_not_resolve_is_named(self, serve):
        gateway = await serve(backend="http://nowhere.invalid:80")
        refused(await gateway.get("/open/x"), 502, "bad_gateway")
        assert (await reason(gateway)).startswith("the name nowhere.invalid does not resolve: ")


class TestBodiesThatBackendsDoNotRead:
    """A body on GET, HEAD, OPTIONS or DELETE ends the backend's connection: it is the next request to who skips it."""

    FORGED = b"GET /open/forged HTTP/1.1\r\nHost: x\r\nX-User-Id: root\r\n\r\n"

    @pytest.mark.parametrize("is_chunked", [False, True])
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
    async def test_nothing_follows_on_the_connection(self, serve, backend, method, is_chunked):
        gateway = await serve()
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(self.FORGED), self.FORGED) if is_chunked else self.FORGED
        framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
        for _ in range(3):  # the third is like ones before it
            answer = await gateway.ask(request(method, "/open/x", framing) + body, method)
            assert answer.status == 200
        assert [one.values("Connection") for one in backend.requests] == [["close"]] * 3
        assert [one.body for one in backend.requests] == [self.FORGED] * 3
        assert len(backend.connections) == 3
        for connection in backend.connections:
            await connection.wait_ended()

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
    async def test_what_has_none_shares_it(self, serve, backend, method):
        gateway = await serve()
        for _ in range(3):
            body = b"" if method == "GET" else b"abc"
            assert (await gateway.ask(request(method, "/open/x", body=body))).status == 200
        assert len(backend.connections) == 1
        assert [one.values("Connection") for one in backend.requests] == [[]] * 3


class TestOldConnections:
    async def test_one_beyond_its_age_takes_no_request(self, serve, backend):
        gateway = await serve(connection_max_age="300ms")
        assert (await gateway.get("/open/x")).status == 200
        assert (await gateway.get("/open/x")).status == 200
        assert len(backend.connections) == 1
        await backend.connections[0].wait_ended()
        assert (await gateway.get("/open/x")).status == 200
        assert len(backend.connections) == 2

    async def test_one_that_grows_old_at_work_ends_it_first(self, serve, backend):
        backend.answers.append(script(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", Pause(0.6), b"cd"))
        gateway = await serve(connection_max_age="200ms")
        assert (await gateway.get("/open/x")).body == b"abcd"
        await backend.connections[0].wait_ended()
        assert (await gateway.get("/open/x")).status == 200
        assert len(backend.connections) == 2

    async def test_a_reload_puts_another_age_in_force(self, serve, backend):
        gateway = await serve(connection_max_age="1h")
        assert (await gateway.get("/open/x")).status == 200
        assert await gateway.reload(gateway.text.replace("1h", "200ms"))
        await backend.connections[0].wait_ended()
        assert (await gateway.get("/open/x")).status == 200
        assert len(backend.connections) == 2


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


async def test_a_head_that_cannot_be_made_takes_no_connection(serve, backend, monkeypatch):
    def fails(*_):
        raise ValueError("a field of a request to a backend has a line end")

    for module in ("fast_exchange", "forwarding"):
        monkeypatch.setattr(f"gateway.proxy.{module}.backend_request", fails)
    gateway = await serve()
    gateway.expects_errors = True
    refused(await gateway.get("/open/x"), 500, "internal_error")
    assert backend.connections == []


async def test_a_plain_connection_that_is_lost_at_once_may_have_met_tls(serve, backend):
    backend.default = script(CLOSE)
    gateway = await serve(retries=0)
    refused(await gateway.get("/open/x"), 502, "bad_gateway")
    assert await reason(gateway) == "the connection was lost before the answer; write https:// if it speaks TLS"


async def test_one_that_has_answered_before_has_not(serve, backend):
    gateway = await serve(retries=0)
    assert (await gateway.get("/open/x")).status == 200
    backend.default = script(RESET)
    refused(await gateway.get("/open/x"), 502, "bad_gateway")
    assert len(backend.connections) == 1
    assert (await gateway.log_line(2))["reason"] == "the connection was lost before the answer"
