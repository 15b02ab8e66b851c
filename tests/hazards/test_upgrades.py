"""Upgrades: no tunnel before the token is good and the backend has switched; no protocol but WebSocket."""

import asyncio

import pytest
from support.backend import RAW, Wait, ok, script
from support.running_gateway import eventually
from support.transcript import Case, Gets, Line, Run, forwarded, head, in_runs, passed, played, refused
from support.wire import request

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
ASK = (b"Connection: Upgrade", b"Upgrade: websocket", KEY, b"Sec-WebSocket-Version: 13")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SMUGGLED = b"GET /open/smuggled HTTP/1.1\r\nHost: gw.example\r\n\r\n"
FRAME = b"\x81\x85\x01\x02\x03\x04\x69\x67\x6f\x68\x6e"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
GET = b"GET /any/x"
LAST = b"Connection: close"  # a body on GET shares no connection
BEHIND = {"nothing": b"", "a frame": FRAME, "a request": SMUGGLED, "a lot": SMUGGLED * 3000, "junk": b"\r\n\0\xff" * 40}


def kept(start: bytes = GET) -> bytes:
    """An upgrade request that has become an ordinary one."""
    return forwarded(start, *ASK[2:])


async def answers_to(stage, wire: bytes, run: Run):
    """What comes until the gateway ends the connection: the answer, and what is behind it."""
    line = await Line.to(stage.gateway.address)
    try:
        await line.send(wire, max(1, len(wire) // 500) if run.is_split else None)
        return await line.answers(0, ["GET"], until_ended=True)
    finally:
        line.close()


# Before the token is good.


@in_runs("behind", BEHIND)
async def test_no_backend_connection_before_the_token_is_good(stage, behind, run):
    connections = len(stage.backend.connections)
    bad = b"Authorization: Bearer bad\r\n" if run.has_token else b""
    wire = head(b"GET /api/x", *ASK).replace(b"<authorization>\r\n", bad) + BEHIND[behind]
    calls = len(stage.provider.calls)
    answers, rest = await answers_to(stage, wire, run)
    assert [(one.status, one.code) for one in answers] == [(401, "invalid_token" if run.has_token else "token_missing")]
    assert rest == b""
    assert len(stage.backend.connections) == connections
    assert len(stage.provider.calls) - calls <= run.has_token
    await stage.canary(0)


# Before the backend has switched.


@in_runs("behind", [name for name in BEHIND if name != "nothing"])
async def test_bytes_behind_an_upgrade_request_wait_for_the_backends_101(stage, behind, run):
    switch = asyncio.Event()
    stage.backend.answers.append(script(Wait(switch), SWITCH, RAW))
    token = f"ws-{behind}-{run}".replace(" ", "-")
    stage.provider.answers[token] = {"active": True, "sub": "alice"}
    authorization = f"Authorization: Bearer {token}\r\n".encode() if run.has_token else b""
    wire = head(GET, *ASK).replace(b"<authorization>\r\n", authorization) + BEHIND[behind]
    count = len(stage.backend.requests)
    line = await Line.to(stage.gateway.address)
    try:
        await line.send(wire, max(1, len(wire) // 500) if run.is_split else None)
        sent = await stage.backend.seen(count + 1)
        await asyncio.sleep(0.02)  # for bytes that must not come
        assert sent.connection.received.endswith(sent.head)
        assert (sent.value("Upgrade"), sent.value("X-User-Id")) == ("websocket", "alice" if run.has_token else None)
        assert line.received == b""
        switch.set()
        await sent.connection.wait_for(sent.head + BEHIND[behind])
        sent.connection.send(b"back")
        await line.until(lambda: line.received.endswith(b"\r\n\r\nback"))
        assert line.received.startswith(b"HTTP/1.1 101 ")
    finally:
        line.close()
    await sent.connection.wait_ended()
    assert len(stage.backend.requests) == count + 1
    await stage.canary(0)


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "426 Upgrade Required", "503 Busy"])
@in_runs("behind", BEHIND)
async def test_bytes_behind_a_declined_upgrade_go_nowhere(stage, behind, run, status):
    stage.backend.answers.append(script(ok(b"no", status=status)))
    count = len(stage.backend.requests)
    wire = head(GET, *ASK).replace(b"<authorization>\r\n", b"") + BEHIND[behind]
    answers, rest = await answers_to(stage, wire, run)
    assert ([one.status for one in answers], rest) == ([int(status[:3])], b"")
    sent = stage.backend.requests[count]
    assert sent.connection.received.endswith(sent.head)
    assert len(stage.backend.requests) == count + 1
    await stage.canary(0)


# Other protocols, and other ways to ask.


SETTINGS = b"HTTP2-Settings: AAMAAABkAAQAAP__"
H2C = head(GET, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", SETTINGS)


NEXT = b"GET /open/next HTTP/1.1\r\nHost: gw.example\r\n\r\n"


def plain(name: str, sends: bytes, *, main: bool = False) -> Case:
    return passed(name, sends, forwarded(GET), main=main)


@played(
    plain("h2c", H2C, main=True),
    plain("h2c in capitals", head(GET, b"Connection: UPGRADE, HTTP2-SETTINGS", b"UPGRADE: H2C", SETTINGS)),
    plain("h2c without settings", head(GET, b"Connection: Upgrade", b"Upgrade: h2c")),
    plain("h2c not nominated", head(GET, b"Upgrade: h2c", SETTINGS)),
    Case("h2c and its preface", H2C + PREFACE, Gets((frozenset({200}), frozenset({400})), is_closed=True),
         (forwarded(GET),), asks=True, methods=("GET", "GET"), is_main=True),
    passed("h2c and a request", H2C + NEXT, forwarded(GET), forwarded(b"GET /open/next", anonymous=True), main=True),
    passed("TLS, a body and a request", head(b"POST /any/x", b"Connection: Upgrade", b"Upgrade: TLS/1.2",
                                             b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n" + NEXT,
           forwarded(b"POST /any/x", b"Transfer-Encoding: chunked", body=b"hello"),
           forwarded(b"GET /open/next", anonymous=True)),
    plain("h2", head(GET, b"Connection: Upgrade", b"Upgrade: h2")),
    plain("TLS", head(GET, b"Connection: Upgrade", b"Upgrade: TLS/1.2, HTTP/1.1")),
    plain("another", head(GET, b"Connection: Upgrade", b"Upgrade: x/1")),
    plain("empty", head(GET, b"Connection: Upgrade", b"Upgrade:")),
    passed("none", head(GET, b"Connection: Upgrade"), forwarded(GET)),
    passed("h2c with a body", head(b"POST /any/x", b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 5")
           + b"hello",
           forwarded(b"POST /any/x", b"Content-Length: 5", body=b"hello")),
    refused("h2c with a bad chunk", head(b"POST /any/x", b"Connection: Upgrade", b"Upgrade: h2c",
                                         b"Transfer-Encoding: chunked") + b"5;" + b"a" * 70_000 + b"\r\n", 400,
            piece=997),
)  # fmt: skip
async def test_no_upgrade_but_to_websocket_is_offered(stage, case, run):
    """It is ignored and costs nothing, the connection least of all (RFC 9110 §7.8): what follows is for HTTP."""
    await stage.play(case, run)


@played(
    passed("a list", head(GET, ASK[0], b"Upgrade: websocket, h2c", *ASK[2:]), kept(), closed=True, main=True),
    passed("a list the other way", head(GET, ASK[0], b"Upgrade: h2c, websocket", *ASK[2:]), kept(), closed=True),
    passed("two fields", head(GET, *ASK, b"Upgrade: h2c"), kept(), closed=True),
    passed("a version", head(GET, ASK[0], b"Upgrade: websocket/13", *ASK[2:]), kept(), closed=True),
    passed("not nominated", head(GET, *ASK[1:]), kept(), closed=True),
    passed("another option nominated", head(GET, b"Connection: keep-alive, upgrades", *ASK[1:]), kept(), closed=True),
    passed("POST", head(b"POST /any/x", *ASK, b"Content-Length: 0"),
           forwarded(b"POST /any/x", *ASK[2:], b"Content-Length: 0"), closed=True),
    passed("HEAD", head(b"HEAD /any/x", *ASK), kept(b"HEAD /any/x"), closed=True),
    passed("with a length", head(GET, *ASK, b"Content-Length: 5") + b"hello",
           forwarded(GET, *ASK[2:], b"Content-Length: 5", LAST, body=b"hello"), closed=True),
    passed("chunked", head(GET, *ASK, b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
           forwarded(GET, *ASK[2:], b"Transfer-Encoding: chunked", LAST, body=b"hello"), closed=True),
    passed("with a body and bytes", head(GET, *ASK, b"Content-Length: 5") + b"hello" + SMUGGLED,
           forwarded(GET, *ASK[2:], b"Content-Length: 5", LAST, body=b"hello"), closed=True),
    passed("a list and bytes", head(GET, ASK[0], b"Upgrade: websocket, h2c", *ASK[2:]) + SMUGGLED, kept(), closed=True),
    passed("two fields and bytes", head(GET, *ASK, b"Upgrade: h2c") + SMUGGLED, kept(), closed=True),
    passed("not nominated and bytes", head(GET, *ASK[1:]) + SMUGGLED, kept(), closed=True),
    refused("both framings", head(GET, *ASK, b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    refused("two lengths", head(GET, *ASK, b"Content-Length: 5", b"Content-Length: 5") + b"hello", 400),
    refused("a bad encoding", head(GET, *ASK, b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 400),
)  # fmt: skip
async def test_what_asks_for_a_websocket_in_another_way_is_an_ordinary_request(stage, case, run):
    """It keeps its answer, and loses its connection: what it would send next might be meant for a WebSocket."""
    await stage.play(case, run)


ONE_ZERO = {"version": b"HTTP/1.0"}


@played(
    passed("websocket", head(GET, *ASK, **ONE_ZERO), forwarded(GET, *ASK[2:], via=b"1.0 gateway"), closed=True,
           main=True),
    passed("websocket, kept alive", head(GET, b"Connection: keep-alive, upgrade", *ASK[1:], **ONE_ZERO),
           forwarded(GET, *ASK[2:], via=b"1.0 gateway"), closed=True),
    passed("websocket and bytes", head(GET, *ASK, **ONE_ZERO) + FRAME, forwarded(GET, *ASK[2:], via=b"1.0 gateway"),
           closed=True),
    passed("websocket and a request", head(GET, b"Connection: keep-alive, upgrade", *ASK[1:], **ONE_ZERO) + SMUGGLED,
           forwarded(GET, *ASK[2:], via=b"1.0 gateway"), closed=True),
    passed("h2c", head(GET, b"Connection: Upgrade", b"Upgrade: h2c", **ONE_ZERO), forwarded(GET, via=b"1.0 gateway"),
           closed=True),
)  # fmt: skip
async def test_an_upgrade_on_http_1_0_is_ignored(stage, case, run):
    await stage.play(case, run)


async def test_a_websocket_route_asks_the_provider_once_and_says_who_it_is(stage):
    seen = await stage.talk(head(GET), Run(has_token=True, is_split=False, is_second=False))
    assert seen.provider_tokens == [seen.token]
    stage.backend.answers.append(script(SWITCH, RAW))
    count = len(stage.backend.requests)
    forged = ("X-User-Id: root", "Connection: X-User-Id")
    line = await Line.to(stage.gateway.address)
    try:
        await line.send(request("GET", "/api/x", *(one.decode() for one in ASK), *forged, token=seen.token))
        await line.until(lambda: line.received.startswith(b"HTTP/1.1 101 ") and line.received.endswith(b"\r\n\r\n"))
        assert stage.backend.requests[count].value("X-User-Id") == seen.caller
    finally:
        line.close()
    await eventually(lambda: stage.backend.requests[count].connection.ended is not None)
