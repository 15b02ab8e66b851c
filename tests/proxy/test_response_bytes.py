"""What the client gets of a backend's answer: head, framing, and what never passes."""

import asyncio
import re

import pytest
from support.backend import CLOSE, HANG, RAW, Drip, Pause, Wait, chunked, ok, script
from support.running_gateway import eventually
from support.wire import BrokenOffError, request

DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT")


async def test_the_head_passes_with_its_order_and_its_repetitions(serve, backend):
    backend.default = script(
        ok(
            b"x",
            "Set-Cookie: a=1; Path=/",
            "X-One: 1",
            "Set-Cookie: b=2",
            "set-cookie: c=3",
            "Server: their-own/1.0",
            "Date: Sun, 06 Nov 1994 08:49:37 GMT",
            "Content-Type: text/plain",
            "Via: 1.1 inner",
        )
    )
    gateway = await serve()
    answer = await gateway.get("/open/x")
    request_id = answer.value("X-Request-Id")
    assert answer.head.decode() == (
        "HTTP/1.1 200 OK\r\n"
        "Set-Cookie: a=1; Path=/\r\n"
        "X-One: 1\r\n"
        "Set-Cookie: b=2\r\n"
        "set-cookie: c=3\r\n"
        "Server: their-own/1.0\r\n"
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "Content-Type: text/plain\r\n"
        "Via: 1.1 inner\r\n"
        "Content-Length: 1\r\n"
        f"X-Request-Id: {request_id}\r\n"
        "\r\n"
    )


async def test_a_date_that_the_route_sets_is_the_only_one(serve, backend):
    gateway = await serve(response_headers={"set": {"date": "Tue, 15 Nov 1994 08:12:31 GMT"}})
    for sent in (ok(b"a"), ok(b"a", "Date: Tue, 01 Nov 1994 00:00:00 GMT")):
        backend.answers.append(script(sent))
        answer = await gateway.get("/open/x")
        assert answer.values("Date") == ["Tue, 15 Nov 1994 08:12:31 GMT"]


async def test_what_the_backend_left_out_is_left_out_but_for_the_date(serve, backend):
    gateway = await serve()
    answer = await gateway.get("/open/x")
    assert answer.names == ["content-length", "date", "x-request-id"]
    assert DATE.fullmatch(answer.value("Date"))


async def test_hop_by_hop_fields_of_the_backend_stay_here(serve, backend):
    backend.default = script(
        ok(
            b"x",
            "Connection: close, X-Mine, Set-Cookie",
            "X-Mine: 1",
            "Keep-Alive: timeout=5",
            "Proxy-Authenticate: Basic",
            "Upgrade: h2",
            "Trailer: X-T",
            "X-Request-Id: theirs",
            "X-Kept: yes",
        ),
        CLOSE,
    )
    gateway = await serve()
    async with await gateway.client() as client:
        for _ in range(2):
            await client.send(request("GET", "/open/x"))
            answer = await client.answer()
            assert answer.names == ["x-kept", "content-length", "date", "x-request-id"]
            assert answer.value("X-Request-Id") != "theirs"


async def test_headers_are_set_and_removed_as_the_route_says(serve, backend):
    backend.default = script(ok(b"x", "Server: s", "X-Powered-By: p", "x-powered-by: q", "X-Frame: a", "x_frame: b"))
    keys = {"response_headers": {"set": {"X-Frame": "DENY", "X-New": "1"}, "remove": ["Server", "X-Powered-By"]}}
    gateway = await serve(**keys)
    answer = await gateway.get("/open/x")
    assert answer.names == ["x-frame", "x-new", "content-length", "date", "x-request-id"]
    assert answer.value("X-Frame") == "DENY"


async def test_bytes_of_header_values_and_reasons_pass_as_they_are(serve, backend):
    backend.default = script(
        ok(b"x", status="200 Très bien").replace(b"\r\n\r\n", b"\r\nX-A: caf\xe9 \xc3\xa9 \xff\r\n\r\n")
    )
    gateway = await serve()
    answer = await gateway.get("/open/x")
    assert b"HTTP/1.1 200 Tr\xc3\xa8s bien\r\n" in answer.head
    assert b"X-A: caf\xe9 \xc3\xa9 \xff\r\n" in answer.head


@pytest.mark.parametrize(
    "status", ["200 OK", "201 Created", "302 Found", "404 Not Found", "418 I'm a teapot", "503 No", "599 "]
)
async def test_every_status_is_the_backends_to_give(serve, backend, status):
    backend.default = script(ok(b"body", "Location: /elsewhere", status=status))
    gateway = await serve()
    answer = await gateway.get("/open/x")
    assert f"{answer.status} {answer.reason}" == status
    assert (answer.body, answer.value("Location")) == (b"body", "/elsewhere")
    assert len(backend.requests) == 1


async def test_a_chunked_body_passes_chunked(serve, backend):
    backend.default = script(chunked(b"hello ", b"world", fields=("Content-Encoding: gzip",)))
    gateway = await serve()
    answer = await gateway.get("/open/x")
    assert answer.body == b"hello world"
    assert answer.values("Transfer-Encoding") == ["chunked"]
    assert answer.value("Content-Length") is None
    assert answer.value("Content-Encoding") == "gzip"


async def test_trailers_are_dropped(serve, backend):
    backend.default = script(chunked(b"x", fields=("Trailer: X-Sum",), end=b"0\r\nX-Sum: 1\r\nX-User-Id: t\r\n\r\n"))
    gateway = await serve()
    async with await gateway.client() as client:
        for _ in range(2):
            await client.send(request("GET", "/open/x"))
            answer = await client.answer()  # fails where there are trailers
            assert answer.body == b"x"
            assert "x-sum" not in answer.names


async def test_a_body_that_ends_with_the_connection_is_chunked_for_the_client(serve, backend):
    backend.default = script(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", CLOSE)
    gateway = await serve()
    async with await gateway.client() as client:
        for _ in range(2):
            await client.send(request("GET", "/open/x"))
            answer = await client.answer()
            assert (answer.body, answer.values("Transfer-Encoding")) == (b"until the end", ["chunked"])


async def test_an_http_1_0_backend_is_understood(serve, backend):
    backend.default = script(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", CLOSE)
    gateway = await serve()
    answer = await gateway.get("/open/x")
    assert (answer.version, answer.body) == ("1.1", b"abc")


class TestWithoutABody:
    async def test_head_keeps_the_length_and_has_no_body(self, serve, backend):
        backend.default = script(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
        gateway = await serve()
        async with await gateway.client() as client:
            for _ in range(2):
                await client.send(request("HEAD", "/open/x"))
                answer = await client.answer("HEAD")
                assert (answer.status, answer.value("Content-Length")) == (200, "1234")
        assert len(backend.connections) == 1

    async def test_head_of_a_chunked_answer(self, serve, backend):
        backend.default = script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        gateway = await serve()
        async with await gateway.client() as client:
            for _ in range(2):
                await client.send(request("HEAD", "/open/x"))
                answer = await client.answer("HEAD")
                assert answer.status == 200
                assert answer.values("Transfer-Encoding") == []

    @pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
    async def test_204_and_304_have_none(self, serve, backend, status):
        backend.default = script(f'HTTP/1.1 {status}\r\nETag: "a"\r\n\r\n'.encode())
        gateway = await serve()
        async with await gateway.client() as client:
            for _ in range(2):
                await client.send(request("GET", "/open/x"))
                answer = await client.answer()
                assert f"{answer.status} {answer.reason}" == status
                assert answer.names == ["etag", "date", "x-request-id"]
        assert len(backend.connections) == 1

    async def test_a_304_may_tell_the_length_it_would_have_had(self, serve, backend):
        backend.default = script(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n")
        gateway = await serve()
        async with await gateway.client() as client:
            for _ in range(2):
                await client.send(request("GET", "/open/x"))
                answer = await client.answer()
                assert answer.value("Content-Length") in {"5", None}

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_an_empty_body_keeps_its_length(self, serve, backend, method):
        backend.default = script(ok(b""))
        gateway = await serve()
        answer = await gateway.ask(request(method, "/open/x"))
        assert (answer.value("Content-Length"), answer.body) == ("0", b"")

    @pytest.mark.parametrize(
        ("method", "wire"),
        [
            ("HEAD", ok(b"SMUGGLED")),
            ("HEAD", chunked(b"SMUGGLED")),
            ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 8\r\n\r\nSMUGGLED"),
            ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\nSMUGGLED"),
            ("GET", b"HTTP/1.1 304 Not Modified\r\n\r\nSMUGGLED"),
            ("GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n"),
            ("HEAD", ok(b"SMUGGLED" * 20_000)),
        ],
    )
    @pytest.mark.parametrize("at_once", [True, False])
    async def test_a_body_all_the_same_never_passes(self, serve, backend, method, wire, at_once):
        head, mark, body = wire.partition(b"\r\n\r\n")
        parts = [wire] if at_once else [head + mark, Pause(0.02), body]
        backend.answers.append(script(*parts))
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(request(method, "/open/x"))
            answer = await client.answer(method)
            assert answer.status in {200, 204, 304, 502}
            assert b"SMUGGLED" not in answer.body
            await asyncio.sleep(0.05)
            await client.send(request("GET", "/open/canary"))
            assert (await client.answer()).body == b"from the backend"
        assert (await gateway.get("/open/canary")).body == b"from the backend"
        assert len(backend.requests) == 3


class TestInterim:
    HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Request-Id: theirs\r\nConnection: x\r\n\r\n"

    async def test_103_passes_before_the_answer_is_there(self, serve, backend):
        go_on = asyncio.Event()
        backend.default = script(self.HINT, Wait(go_on), ok(b"done"))
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(request("GET", "/open/x"))
            hint = await client.head()
            assert hint.status == 103
            assert hint.value("Link") == "</a.css>; rel=preload"
            assert "connection" not in hint.names
            assert hint.value("X-Request-Id") != "theirs"
            go_on.set()
            assert (await client.answer()).body == b"done"

    async def test_103_does_not_pass_to_http_1_0(self, serve, backend):
        backend.default = script(self.HINT, Pause(0.02), ok(b"done"))
        gateway = await serve()
        answer = await gateway.ask(request("GET", "/open/x", version="1.0"))
        assert (answer.interim, answer.body) == ([], b"done")

    async def test_a_100_of_the_backends_is_not_the_clients_to_see(self, serve, backend):
        backend.default = script(b"HTTP/1.1 100 Continue\r\n\r\n" + self.HINT + ok(b"done"))
        gateway = await serve()
        answer = await gateway.ask(request("POST", "/open/x", body=b"abc"))
        assert [one.status for one in answer.interim] == [103]
        assert answer.body == b"done"

    @pytest.mark.parametrize("pause_s", [0.0, 0.005])
    async def test_interim_answers_without_end_are_a_502(self, serve, backend, pause_s):
        steps = [step for _ in range(200) for step in (self.HINT, Pause(pause_s))]
        backend.answers.append(script(*steps, HANG))
        gateway = await serve()
        answer = await gateway.get("/open/x")
        assert (answer.status, answer.code) == (502, "bad_gateway")
        assert len(answer.interim) <= 16
        await backend.connections[0].wait_ended()

    async def test_slow_interim_answers_do_not_hold_off_the_timeout(self, serve, backend):
        backend.answers.append(script(*[step for _ in range(10) for step in (self.HINT, Pause(0.1))], HANG))
        gateway = await serve(timeout="300ms")
        answer = await gateway.get("/open/x")
        assert (answer.status, answer.code) == (504, "gateway_timeout")

    @pytest.mark.parametrize("upgrade", [b"", b"Connection: upgrade\r\nUpgrade: websocket\r\n"])
    async def test_a_101_that_nobody_asked_for_is_a_502(self, serve, backend, upgrade):
        backend.answers.append(script(b"HTTP/1.1 101 Switching Protocols\r\n" + upgrade + b"\r\nraw bytes", RAW))
        gateway = await serve()
        answer = await gateway.get("/open/x")
        assert (answer.status, answer.code) == (502, "bad_gateway")
        await backend.connections[0].wait_ended()


class TestHttp10Client:
    async def test_a_length_and_keep_alive(self, serve, backend):
        gateway = await serve()
        async with await gateway.client() as client:
            for _ in range(2):
                await client.send(request("GET", "/open/x", "Connection: keep-alive", version="1.0"))
                answer = await client.answer()
                assert (answer.version, answer.value("Connection")) == ("1.1", "keep-alive")  # RFC 9110 §6.2
            await client.send(request("GET", "/open/x", version="1.0"))
            assert (await client.answer()).body == b"from the backend"
            assert await client.rest() == b""
        assert backend.requests[0].version == "1.1"
        assert backend.requests[0].value("Via") == "1.0 gateway"

    async def test_a_chunked_answer_ends_with_the_connection(self, serve, backend):
        backend.default = script(chunked(b"abc", b"def"))
        gateway = await serve()
        answer = await gateway.ask(request("GET", "/open/x", "Connection: keep-alive", version="1.0"))
        assert answer.body == b"abcdef"
        assert answer.values("Transfer-Encoding") == []
        assert answer.value("Connection") in {None, "close"}

    async def test_a_broken_answer_is_a_reset_and_not_an_end(self, serve, backend):
        backend.default = script(chunked(b"abc", end=b""), CLOSE)
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(request("GET", "/open/x", version="1.0"))
            with pytest.raises(BrokenOffError):
                await client.answer()


async def test_server_sent_events_arrive_one_by_one(serve, backend):
    steps = [asyncio.Event() for _ in range(3)]
    parts = [part for number, step in enumerate(steps) for part in (Wait(step), b"data: %d\n\n" % number)]
    backend.default = script(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", *parts, CLOSE)
    gateway = await serve()
    async with await gateway.client() as client:
        await client.send(request("GET", "/open/x"))
        assert (await client.head()).value("Content-Type") == "text/event-stream"
        for number, step in enumerate(steps):
            step.set()
            assert await client.read_exactly(14) == b"9\r\ndata: %d\n\n\r\n" % number
        assert await client.read(100) == b"0\r\n\r\n"


async def test_a_head_that_comes_byte_by_byte(serve, backend):
    backend.default = script(Drip(chunked(b"abc", b"def", fields=("X-A: b",))))
    gateway = await serve()
    answer = await gateway.get("/open/x")
    assert (answer.body, answer.value("X-A")) == (b"abcdef", "b")


async def test_the_record_counts_the_body(serve, backend):
    backend.default = script(chunked(b"x" * 1000, b"y" * 24))
    gateway = await serve()
    await gateway.ask(request("POST", "/open/x?secret", body=b"abc"))
    line = await gateway.log_line()
    assert (line["bytes_sent"], line["bytes_received"]) == (1024, 3)
    await eventually(lambda: len(gateway.lines.requests) == 1)
