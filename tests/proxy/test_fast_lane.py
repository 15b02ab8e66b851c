"""What is the fast lane's own: whose turn it is on a connection, and what becomes of it when the client leaves."""

import asyncio
import json
import re

import pytest
from support.backend import Wait, chunked, ok, script
from support.dpop import Prover
from support.running_gateway import eventually
from support.transcript import echo_marker
from support.wire import BrokenOffError, request

from gateway.http.fates import FieldFates
from gateway.http.ordinary import Ordinary
from gateway.http.unfinished import HeadLimits
from gateway.proxy import fast_lane
from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.fast_lane import FastLane
from gateway.runtime.build import BUILD


async def test_requests_change_between_the_lanes_on_one_connection(serve, backend, taken):
    backend.default = echo_marker
    gateway = await serve()
    client = await gateway.client()
    for number, (lines, is_plain) in enumerate([((), True), (("Expect: x",), False), ((), True), ((), True)] * 2):
        await client.send(request("POST", "/api/x", f"X-Marker: {number}", *lines, token="good", body=b"hello"))
        assert (await client.answer()).body == str(number).encode()
        # aiohttp is done with a request a turn or two after its answer.
        await asyncio.sleep(0.01)
        assert taken[-1] is is_plain
    assert [one.body for one in backend.requests] == [b"hello"] * 8


async def test_a_request_with_a_proof_is_an_ordinary_one(serve, backend, provider, taken):
    backend.default, own = echo_marker, Prover()
    provider.answers["bound"] = {"active": True, "token_type": "DPoP", "cnf": {"jkt": own.jkt}}
    client = await (await serve()).client()
    for number in range(3):
        proof = own.proof("POST", "http://gw.example/api/x", "bound")
        lines = ("Authorization: DPoP bound", f"DPoP: {proof}", f"X-Marker: {number}")
        await client.send(request("POST", "/api/x", *lines, body=b"hello"))
        assert (await client.answer()).body == str(number).encode()
    assert taken == [True] * 3


async def test_what_comes_before_the_answer_waits_its_turn(serve, backend, taken):
    go_on = asyncio.Event()
    backend.answers.append(script(Wait(go_on), ok(b"0")))
    backend.default = echo_marker
    gateway = await serve()
    client = await gateway.client()
    await client.send(request("GET", "/open/x", "X-Marker: 0"))
    await backend.seen()
    for number in (1, 2):
        await client.send(request("GET", "/open/x", f"X-Marker: {number}"))
    await client.send(request("GET", "/open/x", "X-Marker: 3")[:-1])
    await asyncio.sleep(0.01)
    assert len(backend.requests) == 1
    go_on.set()
    assert [(await client.answer()).body for _ in range(3)] == [b"0", b"1", b"2"]
    await client.send(b"\n")
    assert (await client.answer()).body == b"3"
    assert taken[0] is True


MANNERS = {
    # the bytes, what the backend gets of the body and by which framing, and whether the connection stays
    "an end": (b"GET /open/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"", None, False),
    "an old client": (b"GET /open/x HTTP/1.0\r\nHost: a\r\n\r\n", b"", None, False),
    "an old client that stays": (b"GET /open/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", b"", None, True),
    "a target with an authority": (b"GET http://a/open/x HTTP/1.1\r\nHost: a\r\n\r\n", b"", None, True),
    "chunks": (
        b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"hello",
        "Transfer-Encoding",
        True,
    ),
    "a length": (
        b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", b"hello", "Content-Length", True
    ),
}  # fmt: skip


@pytest.mark.parametrize("manner", MANNERS)
async def test_what_differs_from_most_is_taken(serve, backend, taken, manner):
    wire, body, framing, stays = MANNERS[manner]
    client = await (await serve()).client()
    await client.send(wire)
    answer = await client.answer("POST" if body else "GET")
    assert answer.status == 200
    seen = backend.requests[0]
    told = {name for name in ("Content-Length", "Transfer-Encoding") if seen.values(name)}
    assert (seen.body, told) == (body, {framing} if framing else set())
    await client.send(request("GET", "/open/y"))
    if stays:
        assert (await client.answer()).status == 200
    else:
        assert answer.values("Connection") == ["close"]
        with pytest.raises((BrokenOffError, ConnectionError)):
            await client.answer()
    assert taken == [True] * (1 + stays)
    assert len(backend.requests) == 1 + stays


CORS = {"allow_origins": ["https://a.example"], "allow_headers": ["x-a"]}
OF_A, ASKS_GET = "Origin: https://a.example", "Access-Control-Request-Method: GET"
PREFLIGHTS = {
    # the fields, and the status
    "allowed": ((OF_A, ASKS_GET, "Access-Control-Request-Headers: x-a"), 204),
    "another origin": (("Origin: https://b.example", ASKS_GET), 403),
    "another method": ((OF_A, "Access-Control-Request-Method: PATCH"), 403),
    "another header": ((OF_A, ASKS_GET, "Access-Control-Request-Headers: x-b"), 403),
    "of no method": ((OF_A,), 200),  # which makes it an ordinary request
}


@pytest.mark.parametrize("case", PREFLIGHTS)
@pytest.mark.parametrize("more", ["", "\r\nConnection: close", "\r\nContent-Length: 5"])
async def test_a_preflight_is_taken_and_reaches_no_backend(serve, backend, provider, taken, case, more):
    lines, status = PREFLIGHTS[case]
    route = {"name": "r", "match": {"path": "/api/**"}, "backend": backend.url, "auth": "none", "cors": CORS}
    gateway = await serve([route])
    client = await gateway.client()
    body = b"hello" if "Length" in more else b""
    await client.send(
        f"OPTIONS /api/x HTTP/1.1\r\nHost: a{more}\r\n".encode()
        + b"".join(line.encode() + b"\r\n" for line in lines)
        + b"\r\n"
        + body
    )
    answer = await client.answer("OPTIONS")
    assert (answer.status, answer.values("Connection")) == (status, ["close"] if "close" in more else [])
    assert (taken, len(backend.requests), provider.calls) == ([True], int(status == 200), [])
    if "close" not in more:
        await client.send(request("GET", "/api/x"))
        assert (await client.answer()).status == 200
    line = await gateway.log_line()
    assert (line["method"], line["route"], line["status"]) == ("OPTIONS", "r", status)


async def test_a_preflight_says_what_becomes_of_its_connection(serve, backend, taken):
    route = {"name": "r", "match": {"path": "/api/**"}, "backend": backend.url, "auth": "none", "cors": CORS}
    gateway = await serve([route])
    wire = request("OPTIONS", "/api/x", OF_A, ASKS_GET)
    old, standing = wire.replace(b"HTTP/1.1", b"HTTP/1.0"), await gateway.client()
    asked = [wire, old, old.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")]
    said = [(await gateway.ask(one, "OPTIONS")).values("Connection") for one in asked]
    assert said == [[], ["close"], ["keep-alive"]]
    draining = asyncio.create_task(gateway.drain(10))
    await eventually(lambda: gateway.lines.raw[-1].find(b'"draining"') >= 0)
    await standing.send(wire)
    assert (await standing.answer("OPTIONS")).values("Connection") == ["close"]
    await asyncio.wait_for(draining, 5)
    assert taken == [True] * 4


@pytest.mark.parametrize("status", [204, 403])
async def test_behind_the_chunks_of_a_preflight_nothing_is_read(serve, backend, taken, status):
    """Nobody wants its body, and where that ends is for the chunks to say: as in the general lane, it is the last."""
    origin = OF_A if status == 204 else "Origin: https://b.example"
    route = {"name": "r", "match": {"path": "/api/**"}, "backend": backend.url, "auth": "none", "cors": CORS}
    client = await (await serve([route])).client()
    head = f"OPTIONS /api/x HTTP/1.1\r\nHost: a\r\n{origin}\r\n{ASKS_GET}\r\nTransfer-Encoding: chunked\r\n\r\n"
    await client.send(head.encode() + b"2\r\nhi\r\n0\r\n\r\n" + request("GET", "/api/x"))
    answer = await client.answer("OPTIONS")
    assert (answer.status, answer.values("Connection")) == (status, ["close"])
    with pytest.raises((BrokenOffError, ConnectionError)):
        await client.answer()
    assert (taken, backend.requests) == ([True], [])


async def test_an_old_client_gets_what_it_can_read(serve, backend, taken):
    backend.answers.append(script(chunked(b"he", b"llo")))
    backend.default = echo_marker
    client = await (await serve()).client()
    await client.send(b"GET /open/x HTTP/1.0\r\nHost: a\r\nX-Marker: 1\r\nConnection: keep-alive\r\n\r\n" * 2)
    answer = await client.answer()
    assert (answer.body, answer.values("Transfer-Encoding"), answer.values("Connection")) == (b"hello", [], ["close"])
    with pytest.raises((BrokenOffError, ConnectionError)):
        await client.answer()
    assert [one.split()[0] for one in backend.requests[0].values("Via")] == ["1.0"]
    assert taken == [True]


@pytest.mark.parametrize(
    ("wire", "option"),
    [
        (b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ["close"]),
        (b"GET /nowhere HTTP/1.0\r\nHost: a\r\n\r\n", ["close"]),
        (b"GET /nowhere HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", ["keep-alive"]),
        (b"GET /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", ["close"]),
    ],
)
async def test_a_refusal_says_whether_the_connection_stays(serve, taken, wire, option):
    client = await (await serve()).client()
    await client.send(wire)
    answer = await client.answer()
    assert (answer.status, answer.values("Connection")) == (404, option)
    await client.send(request("GET", "/open/x"))
    if option == ["close"]:
        with pytest.raises((BrokenOffError, ConnectionError)):
            await client.answer()
    else:
        assert (await client.answer()).status == 200
    assert taken[0] is True


async def test_chunks_beyond_the_limit_of_the_route_are_refused(serve, backend, taken):
    client = await (await serve(server={"max_body": "4B"})).client()
    await client.send(b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert (await client.answer("POST")).status == 413
    assert taken == [False]
    assert all(one.body != b"hello" or not one.whole for one in backend.requests)


async def test_requests_in_one_read_are_answered_in_order_and_one_at_a_time(serve, backend, taken):
    backend.default = echo_marker
    client = await (await serve()).client()
    many = [request("POST", "/api/x", f"X-Marker: {number}", token="good", body=b"hello") for number in range(50)]
    await client.send(b"".join(many) + b"GET /open/x HTTP/1.1\r\nHost: a\r\nX-Marker: last\r\n")
    assert [(await client.answer("POST")).body for _ in many] == [b"%d" % number for number in range(50)]
    assert taken[:50] == [True] * 50
    await client.send(b"\r\n")
    assert (await client.answer()).body == b"last"
    assert len({id(one.connection) for one in backend.requests}) == 1


async def test_nothing_behind_a_refused_request_whose_end_is_doubtful_is_read(serve, backend):
    client = await (await serve()).client()
    await client.send(request("GET", "/open/..%2fx") + request("GET", "/open/smuggled"))
    assert (await client.answer()).status == 400
    with pytest.raises((BrokenOffError, ConnectionError)):
        await client.answer()
    assert backend.requests == []


async def test_it_is_turned_off_and_on_by_a_reload(serve, backend, taken):
    gateway = await serve()
    client = await gateway.client()
    for is_on in (True, False, True):
        assert await gateway.reload(re.sub(r'"fast_path": \w+', f'"fast_path": {json.dumps(is_on)}', gateway.text))
        taken.clear()
        await client.send(request("GET", "/open/x"))
        assert (await client.answer()).status == 200
        assert taken == ([True] if is_on else [])
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", ["/open/x", "/api/x"])
async def test_a_client_that_leaves_in_the_turn_of_its_request_leaves_nothing(
    serve, backend, provider, path, monkeypatch
):
    """Before anything that it would wait for has begun. Warnings are errors here: nothing is left to be awaited."""
    take = FastLane.take

    def left(lane: FastLane, client: ClientConnection, data: bytes) -> bool:
        is_taken = take(lane, client, data)
        client.cut()
        client.connection_lost(None)
        return is_taken

    gateway = await serve()
    with monkeypatch.context() as patch:
        patch.setattr(FastLane, "take", left)
        for _ in range(3):
            with pytest.raises(BrokenOffError):
                await gateway.get(path, token="good")
    await eventually(lambda: [line["status"] for line in gateway.lines.requests] == [0] * 3)
    assert (backend.requests, backend.connections, provider.calls) == ([], [], [])
    assert (await gateway.get(path, token="good")).status == 200


async def test_a_client_that_leaves_while_facts_are_awaited_is_not_forwarded(serve, backend, provider):
    provider.delay_s = 0.1
    gateway = await serve()
    client = await gateway.client()
    await client.send(request("GET", "/api/x", token="good"))
    await eventually(lambda: provider.in_flight == 1)
    client.reset()
    line = await gateway.log_line()
    assert (line["status"], backend.requests) == (0, [])


async def test_what_is_under_way_as_it_drains_is_answered_and_is_the_last(serve, backend):
    go_on = asyncio.Event()
    backend.default = script(Wait(go_on), ok(b"late"))
    gateway = await serve()
    client = await gateway.client()
    await client.send(request("GET", "/open/x"))
    await backend.seen()
    draining = asyncio.create_task(gateway.drain(5.0))
    await asyncio.sleep(0.01)
    go_on.set()
    answer = await client.answer()
    assert (answer.body, answer.values("Connection")) == (b"late", ["close"])
    assert await client.rest() == b""
    await draining


@pytest.mark.interpreted
async def test_a_failure_of_our_own_is_a_500_and_told_to_nobody(serve, backend, monkeypatch):
    def fail(*_: object) -> bytes:
        raise ValueError("s3cr3t")

    gateway = await serve()
    gateway.expects_errors = True
    with monkeypatch.context() as patch:
        patch.setattr("gateway.proxy.fast_exchange.backend_request", fail)
        answer = await gateway.get("/open/x")
    assert (answer.status, answer.code, answer.values("Connection")) == (500, "internal_error", ["close"])
    assert b"s3cr3t" not in answer.body
    assert [line["event"] for line in gateway.lines.errors] == ["internal_error"]
    assert (await gateway.get("/open/x")).status == 200


async def test_each_caller_is_told_of_as_itself(serve, backend, provider, taken):
    """Whatever is remembered of callers before, and although all else of their requests is the same."""
    gateway = await serve(identity={"headers": {"X-User-Id": "sub"}})
    names = ["one", "two", "three", "two", "one"] * 2
    provider.answers |= {name: {"active": True, "sub": name} for name in names}
    for name in names:
        assert (await gateway.get("/api/x", token=name)).status == 200
    assert [seen.values("X-User-Id") for seen in backend.requests] == [[name] for name in names]
    assert len({seen.value("X-Request-Id") for seen in backend.requests}) == len(names)
    await gateway.log_line(len(names) - 1)
    assert [line["subject"] for line in gateway.lines.requests] == names
    assert taken == [True] * len(names)


async def test_a_token_that_is_not_enough_is_refused_each_time(serve, backend, provider, taken):
    gateway = await serve(auth={"scopes": ["write"]})
    provider.answers |= {name: {"active": True, "scope": name} for name in ("write", "read")}
    for token, code in (
        ("write", None),
        ("read", "insufficient_scope"),
        ("write", None),
        ("read", "insufficient_scope"),
    ):
        answer = await gateway.get("/api/x", token=token)
        assert (answer.status, answer.code if code else None) == (403 if code else 200, code)
    assert (len(backend.requests), taken) == (2, [True] * 4)


@pytest.mark.parametrize("token", ["", "a b", "a\tb", "a=b", "é", "good,good"])
async def test_what_is_no_token_is_asked_of_nobody(serve, backend, provider, taken, token):
    gateway = await serve()
    assert (await gateway.get("/api/x", token="good")).status == 200
    assert (await gateway.get("/api/x", token=token)).status in {400, 401}
    assert (len(backend.requests), [call.token for call in provider.calls]) == (1, ["good"])


async def test_a_token_counts_among_the_header_fields(serve, taken):
    gateway = await serve(server={"max_header_bytes": "2KiB"})
    assert (await gateway.get("/open/x", token="t" * 3000)).code == "headers_too_large"
    assert taken == [True]


async def test_names_are_read_by_the_configuration_in_force(serve, backend, taken):
    gateway = await serve(identity={"headers": {"X-Told": "sub"}})
    text = gateway.text
    for name, seen in (("X-Told", "root"), ("X-Caller", None), ("X-Told", "root")):
        assert await gateway.reload(text.replace("X-Told", name))
        assert (await gateway.get("/open/x", "X-Caller: root")).status == 200
        assert backend.requests[-1].value("X-Caller") == seen
    assert taken == [True] * 3


class Reads(list[bytes]):
    """What was read, and so was not the same again."""

    def are(self, count: int) -> bool:
        """The compiled form does not look up the function that is patched."""
        return len(self) == count or BUILD == "compiled"


class TestTheSameAgain:
    """What a client repeats on one connection is decided up to the question about its token, and no further."""

    @pytest.fixture(autouse=True)
    def reads(self, monkeypatch: pytest.MonkeyPatch) -> Reads:
        read, said = fast_lane.read_ordinary, Reads()

        def noted(fates: FieldFates, limits: HeadLimits, data: bytes) -> Ordinary | None:
            said.append(data)
            return read(fates, limits, data)

        monkeypatch.setattr(fast_lane, "read_ordinary", noted)
        return said

    async def test_each_request_has_an_id_of_its_own(self, serve, backend, reads):
        gateway = await serve()
        client = await gateway.client()
        ids = []
        for _ in range(5):
            await client.send(request("POST", "/api/x", token="good", body=b"hello"))
            ids.append((await client.answer()).value("X-Request-Id"))
        assert len(set(ids)) == 5
        assert [one.value("X-Request-Id") for one in backend.requests] == ids
        assert [one.body for one in backend.requests] == [b"hello"] * 5
        assert reads.are(2)

    @pytest.mark.parametrize("sample", [0, 1])
    async def test_each_request_has_a_span_of_its_own(self, serve, backend, reads, sample):
        parent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        gateway = await serve(telemetry={"otlp": "http://127.0.0.1:9", "sample": sample})
        client = await gateway.client()
        for fields, trace_ids in [((), 5), ((parent,), 1)]:
            for _ in range(5):
                await client.send(request("GET", "/api/x", *fields, token="good"))
                assert (await client.answer()).status == 200
            told = [one.value("traceparent").split("-") for one in backend.requests[-5:]]
            assert len({trace_id for _, trace_id, _, _ in told}) == trace_ids
            assert len({span_id for _, _, span_id, _ in told} - {"00f067aa0ba902b7"}) == 5
            assert {flags for *_, flags in told} == {f"0{sample}"}
            assert [one["trace_id"] for one in gateway.lines.requests[-5:]] == [trace_id for _, trace_id, _, _ in told]
        assert reads.are(4)

    async def test_a_token_that_was_revoked_meanwhile_is_refused(self, serve, backend, provider, reads):
        gateway = await serve(auth={"max_age": "0s"})
        client = await gateway.client()
        sent = request("GET", "/api/x", token="good")
        for _ in range(3):
            await client.send(sent)
            assert (await client.answer()).status == 200
        provider.answers["good"] = {"active": False}
        for _ in range(2):
            await client.send(sent)
            assert (await client.answer()).status == 401
        assert len(backend.requests) == 3
        assert reads.are(2)

    async def test_another_configuration_decides_anew(self, serve, backend, reads):
        gateway = await serve()
        client = await gateway.client()
        sent = request("GET", "/open/x")
        for _ in range(3):
            await client.send(sent)
            assert (await client.answer()).status == 200
        assert await gateway.reload(gateway.text.replace("/open/", "/elsewhere/"))
        await client.send(sent)
        assert (await client.answer()).status == 404
        assert reads.are(3)

    async def test_nothing_goes_from_one_connection_to_another(self, serve, backend, reads):
        gateway = await serve()
        for client in [await gateway.client() for _ in range(3)]:
            for _ in range(3):
                await client.send(request("GET", "/open/x"))
                assert (await client.answer()).status == 200
        assert reads.are(6)

    async def test_a_long_request_is_not_kept(self, serve, backend, reads):
        gateway = await serve()
        client = await gateway.client()
        for _ in range(3):
            await client.send(request("GET", "/open/x", f"X-Long: {'x' * 2048}"))
            assert (await client.answer()).status == 200
        assert reads.are(3)
