"""A backend that answers badly, by accident or on purpose: nothing of it is passed on that could be read in two ways,
nothing is taken for whole that is not, and nothing of it ever reaches the next client.

The bytes are judged at both ends; `support.transcript` sends a canary on a new connection after each case.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.backend import CLOSE, HANG, RAW, RESET, Drip, Pause, Script, SeenRequest, Step, Wait, chunked, ok, script
from support.lanes import FAST, lanes
from support.running_gateway import eventually
from support.transcript import ALL_RUNS, Run, Seen, Stage, echo_marker, head
from support.wire import BrokenOffError, Client, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

POISON = b"POISON"
OTHER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Poison: POISON\r\n\r\nPOISON"  # an answer to nobody
ASK = head(b"GET /any/hurt")
PLAIN = Run(has_token=False, is_split=False, is_second=False)
TWO_RUNS = (pytest.param(PLAIN, marks=lanes(FAST)), Run(has_token=True, is_split=True, is_second=True))
HASTE_S = 0.5
HEAD_MAX_BYTES = 64 * 2**10

Hurt = Callable[..., None]


@pytest.fixture(scope="module")
def routes(backend: Any) -> list[dict[str, Any]]:
    """`/open` for canaries, `/any` with and without a token, `/hasty` where the test waits for a deadline, `/again`
    with two retries and `/once` with none."""
    haste = {"timeout": f"{HASTE_S}s", "read_timeout": f"{HASTE_S}s"}
    more: dict[str, dict[str, Any]] = {
        "open": {},
        "any": {"auth": "optional"},
        "hasty": haste,
        "again": {"retries": 2},
        "once": {"retries": 0},
    }
    return [
        {"name": name, "match": {"path": f"/{name}/**"}, "backend": backend.url, "auth": "none", **keys}
        for name, keys in more.items()
    ]


@pytest.fixture(scope="module")
def stage(gateway, backend, provider, lane):
    """A run in pieces is about the answer here: in the fast lane, the request comes whole all the same."""
    return Stage(gateway, backend, provider, sends_whole=lane == FAST)


@pytest.fixture
def hurt(backend):
    """What requests for `/…/hurt` are answered with, one script after another, the last one for all that follow."""
    left: list[Script] = []

    def answer(seen: SeenRequest) -> Script:
        if not seen.target.endswith("/hurt"):
            return echo_marker(seen)
        return left.pop(0) if len(left) > 1 else left[0]

    def say(*scripts: Script | Step | tuple[Step, ...]) -> None:
        for one in scripts:
            steps = one.steps if isinstance(one, Script) else one if isinstance(one, tuple) else (one,)
            left.append(one if isinstance(one, Script) else script(*steps))
        backend.default = answer

    yield say
    backend.default = echo_marker


def sent(wire: bytes, run: Run, *end: Step) -> tuple[Step, ...]:
    """The whole answer at once, or byte by byte, as the request."""
    return (Drip(wire) if run.is_split and len(wire) < 2000 else wire, *end)


def received(seen: Seen) -> bytes:
    """All the bytes that the client got for the request under test."""
    finals = [one for answer in seen.answers for one in (*answer.interim, answer)]
    return b"".join(one.head + one.body for one in finals) + seen.rest


def was_thrown_away(request: SeenRequest) -> bool:
    """Whether nothing more was sent on the connection of a request, and it was ended."""
    connection = request.connection
    return connection.ended is not None and connection.requests[-1] is request


async def assert_bad_gateway(seen: Seen) -> None:
    """502, without a second attempt, without a byte of what the backend said, and the end of its connection."""
    (answer,) = seen.answers
    assert (answer.status, answer.code) == (502, "bad_gateway")
    assert POISON not in received(seen)
    (reached,) = seen.requests
    await eventually(lambda: was_thrown_away(reached))


def fields(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK", body: bytes = POISON) -> bytes:
    return b"\r\n".join([status, *lines, b"", b""]) + body


LENGTH = b"Content-Length: 6"
CHUNKED = b"Transfer-Encoding: chunked"
IN_CHUNKS = b"6\r\nPOISON\r\n0\r\n\r\n"

# One of each class in all runs.
MAIN_BROKEN_HEADS = {
    "length and chunks": fields(LENGTH, CHUNKED, body=IN_CHUNKS),
    "two lengths": fields(LENGTH, b"Content-Length: 60"),
    "other coding": fields(b"Transfer-Encoding: gzip, chunked", body=IN_CHUNKS),
    "NUL in a value": fields(LENGTH, b"X-A: a\0b"),
    "bare CR in a value": fields(LENGTH, b"X-A: a\rX-Poison: 1"),
    "split by the reason": fields(LENGTH, status=b"HTTP/1.1 200 OK\rX-Poison: POISON"),
    "unasked 101": fields(b"Connection: upgrade", b"Upgrade: websocket", status=b"HTTP/1.1 101 Switching Protocols"),
}
BROKEN_HEADS = {
    "chunks and length": fields(CHUNKED, LENGTH, body=IN_CHUNKS),
    "two equal lengths": fields(LENGTH, LENGTH),
    "length in another spelling too": fields(LENGTH, b"content-LENGTH: 6"),
    **{
        f"length {value!r}": fields(b"Content-Length: " + value)
        for value in (
            b"6,6", b"6, 6", b"+6", b"-6", b"0x6", b"6 6", b"6_0", b"", b"\xd9\xa6", b"1" * 20, b"6;", b"six", b"6.0",
            b"18446744073709551615", b"18446744073709551622", b"6\x0b", b'"6"',
        )
    },
    **{
        f"coding {value!r}": fields(b"Transfer-Encoding: " + value, body=IN_CHUNKS)
        for value in (
            b"gzip", b"chunked, gzip", b"chunked, chunked", b"xchunked", b"identity", b"", b"chunked;q=1",
            b"\x0bchunked", b"chunked\x0b", b"chunked,", b",chunked", b'"chunked"', b"chunked\0",
        )
    },
    "two codings": fields(CHUNKED, CHUNKED, body=IN_CHUNKS),
    "identity, then chunked": fields(b"Transfer-Encoding: identity", CHUNKED, body=IN_CHUNKS),
    "chunks in HTTP/1.0": fields(CHUNKED, status=b"HTTP/1.0 200 OK", body=IN_CHUNKS),
    **{
        f"{control!r} in a value": fields(LENGTH, b"X-A: a" + control + b"b")
        for control in (b"\x01", b"\x0b", b"\x1b", b"\x7f", b"\r", b"\r\r\n", b"\n")
    },
    **{
        f"{control!r} in the reason": fields(LENGTH, status=b"HTTP/1.1 200 O" + control + b"K")
        for control in (b"\0", b"\x01", b"\x7f", b"\r")
    },
    **{
        f"line {line!r}": fields(LENGTH, line)
        for line in (
            b": b", b"X-A", b"garbage", b"X(A: b", b"X A: b", b"X-A : b", b"X-A\t: b", b"X\0A: b", b"X\xe9A: b", b"@: b"
        )
    },
    "blank behind a length": fields(b"Content-Length : 6"),
    "blank behind a coding": fields(b"Transfer-Encoding : chunked", body=IN_CHUNKS),
    "blank behind a coding, and a length": fields(LENGTH, b"Transfer-Encoding : chunked", body=IN_CHUNKS),
    **{
        f"status line {line!r}": fields(LENGTH, status=line)
        for line in (
            b"HTTP/1.1 2000 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 099 No", b"HTTP/1.1 600 No", b"HTTP/1.1 999 No",
            b"HTTP/1.1 -20 OK", b"HTTP/1.1 +200 OK", b"HTTP/1.1 abc OK", b"HTTP/1.1  200 OK", b"HTTP/1.1\t200 OK",
            b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK", b"HTTP/1.2 200 OK", b"HTTP/11 200 OK", b"http/1.1 200 OK",
            b"ICY 200 OK", b"garbage", b"GET / HTTP/1.1", b"<html>",
        )
    },
    "field too large": fields(LENGTH, b"X-A: " + b"a" * HEAD_MAX_BYTES),
    "name too large": fields(LENGTH, b"X" * HEAD_MAX_BYTES + b": a"),
    "reason too large": fields(LENGTH, status=b"HTTP/1.1 200 " + b"O" * (HEAD_MAX_BYTES + 1)),
    "too many fields": fields(LENGTH, *(b"X-%d: a" % n for n in range(129))),
    "fields too large together": fields(LENGTH, *(b"X-%d: %s" % (n, b"a" * 1000) for n in range(70))),
    "blank lines without end": b"\r\n" * HEAD_MAX_BYTES,
    "lines that end in LF": fields(LENGTH, b"X-A: b").replace(b"\r\n", b"\n"),
}  # fmt: skip


@pytest.mark.parametrize("run", ALL_RUNS, ids=str)
@pytest.mark.parametrize("wire", MAIN_BROKEN_HEADS.values(), ids=MAIN_BROKEN_HEADS)
async def test_a_head_that_two_could_read_differently_is_a_502_and_ends_the_connection(stage: Stage, hurt, wire, run):
    hurt(sent(wire, run))
    await assert_bad_gateway(await stage.talk(ASK, run))


@pytest.mark.parametrize("run", TWO_RUNS, ids=str)
@pytest.mark.parametrize("wire", BROKEN_HEADS.values(), ids=BROKEN_HEADS)
async def test_so_is_every_other_head_that_is_none(stage: Stage, hurt, wire, run):
    hurt(sent(wire, run))
    await assert_bad_gateway(await stage.talk(ASK, run))


# What RFC 9112 lets a recipient mend (§5.2) comes out mended: the client gets one plain reading of it.
MENDED = {
    "folded value": (fields(LENGTH, b"X-A: a\r\n b"), b"X-A: a b\r\n"),
    "folded value that looks like a field": (fields(LENGTH, b"X-A: a\r\n X-Evil: b"), b"X-A: a X-Evil: b\r\n"),
    "folded length": (fields(b"Content-Length:\r\n 6"), b"Content-Length: 6\r\n"),
    "underscored framing": (fields(LENGTH, b"Content_Length: 3", b"X-A: b"), b"X-A: b\r\n"),
}


@pytest.mark.parametrize("run", TWO_RUNS, ids=str)
@pytest.mark.parametrize(("wire", "line"), MENDED.values(), ids=MENDED)
async def test_what_is_forgiven_is_passed_on_in_its_one_plain_reading(stage: Stage, hurt, wire, line, run):
    hurt(sent(wire, run))
    seen = await stage.talk(ASK, run)
    (answer,) = seen.answers
    assert (answer.status, answer.body, seen.rest) == (200, POISON, b"")
    assert line in answer.head
    assert answer.head.count(b"\n") == answer.head.count(b"\r") == answer.head.count(b"\r\n")
    assert answer.names.count("content-length") == 1
    assert "x-evil" not in answer.names


HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
FINAL = ok(b"final")


class TestInterim:
    @pytest.mark.parametrize("run", ALL_RUNS, ids=str)
    async def test_103_passes(self, stage: Stage, hurt, run):
        hurt(sent(HINT + FINAL, run))
        seen = await stage.talk(ASK, run)
        (answer,) = seen.answers
        assert answer.body == b"final"
        assert [(one.status, one.fields) for one in answer.interim] == [(103, [("Link", "</a.css>")])]

    async def test_103_does_not_pass_to_http_1_0(self, stage: Stage, hurt):
        hurt((HINT, Pause(0.02), FINAL))
        seen = await stage.talk(head(b"GET /any/hurt", version=b"HTTP/1.0"), PLAIN)
        assert (seen.answers[0].interim, seen.answers[0].body) == ([], b"final")

    @pytest.mark.parametrize("run", ALL_RUNS, ids=str)
    async def test_interim_answers_without_end_are_a_502(self, stage: Stage, hurt, run):
        hurt((HINT * 200, HANG))
        seen = await stage.talk(ASK, run)
        await assert_bad_gateway(seen)
        assert len(seen.answers[0].interim) <= 16

    async def test_slow_ones_do_not_hold_off_the_deadline(self, stage: Stage, hurt):
        hurt(tuple(step for _ in range(12) for step in (HINT, Pause(HASTE_S / 4))))
        seen = await stage.talk(head(b"GET /hasty/hurt"), PLAIN)
        assert seen.answers[0].code == "gateway_timeout"
        await eventually(lambda: was_thrown_away(seen.requests[0]))

    @pytest.mark.parametrize("run", TWO_RUNS, ids=str)
    @pytest.mark.parametrize(
        "interim",
        [
            b"HTTP/1.1 103 Early\rX-Poison: 1\r\n\r\n",
            b"HTTP/1.1 103 Early\r\nX-A: a\rX-Poison: POISON\r\n\r\n",
            b"HTTP/1.1 103 Early\r\nX-A: a\0b\r\n\r\n",
            b"HTTP/1.1 103 Early\r\nX-A: a\x01b\r\n\r\n",
            b"HTTP/1.1 103 Early\r\nContent-Length : 5\r\n\r\n",
            b"HTTP/1.1 103 Early\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 103 Early\r\nContent-Length: 6\r\n\r\nPOISON",
            b"HTTP/1.1 103 Early\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nPOISON\r\n0\r\n\r\n",
            b"HTTP/1.1 103 Early\r\nX-A: " + b"a" * HEAD_MAX_BYTES + b"\r\n\r\n",
            b"HTTP/2.0 103 Early\r\n\r\n",
        ],
    )
    async def test_a_broken_one_is_a_502_and_splits_nothing(self, stage: Stage, hurt, interim, run):
        hurt(sent(interim + FINAL, run))
        seen = await stage.talk(ASK, run)
        assert [answer.status for answer in seen.answers] == [502]
        assert POISON not in received(seen)
        await eventually(lambda: was_thrown_away(seen.requests[0]))

    async def test_the_framing_that_one_declares_is_not_passed_on(self, stage: Stage, hurt):
        hurt((b"HTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\n" + FINAL,))
        (answer,) = (await stage.talk(ASK, PLAIN)).answers
        assert ([one.fields for one in answer.interim], answer.body) == ([[]], b"final")

    @pytest.mark.parametrize("upgrade", [b"h2c", b"websocket, h2c", b"", b"\0websocket"])
    async def test_a_101_to_another_protocol_than_asked_for_is_a_502(self, stage: Stage, hurt, upgrade):
        switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: " + upgrade + b"\r\n\r\n"
        hurt((switched + POISON, RAW))
        asked = head(b"GET /any/hurt", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
        await assert_bad_gateway(await stage.talk(asked, PLAIN))


CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MAIN_BROKEN_BODIES: dict[str, tuple[Step, ...]] = {
    "short": (fields(b"Content-Length: 50"), CLOSE),
    "short and reset": (fields(b"Content-Length: 50"), Pause(0.02), RESET),
    "without the last chunk": (chunked(POISON, end=b""), CLOSE),
    "with a bad chunk size": (CHUNKED_HEAD, Pause(0.02), b"6\r\nPOISON\r\n-1\r\n", HANG),
}
BROKEN_BODIES: dict[str, tuple[Step, ...]] = {
    "within a chunk": (CHUNKED_HEAD + b"9\r\nPOISON", CLOSE),
    "without the last CRLF": (chunked(POISON, end=b"0\r\n"), CLOSE),
    "reset within chunks": (chunked(POISON, end=b""), Pause(0.02), RESET),
    "reset where the end is the end of the connection": (b"HTTP/1.1 200 OK\r\n\r\nPOISON", Pause(0.02), RESET),
    "of an 18 digit length": (fields(b"Content-Length: " + b"9" * 18), CLOSE),
    **{
        f"with chunks {wire!r}"[:40]: (CHUNKED_HEAD, Pause(0.02), wire, HANG)
        for wire in (
            b"+6\r\nPOISON\r\n0\r\n\r\n", b"0x6\r\nPOISON\r\n0\r\n\r\n", b" 6\r\nPOISON\r\n0\r\n\r\n",
            b"\r\nPOISON\r\n0\r\n\r\n", b"g\r\nPOISON\r\n0\r\n\r\n", b"6_0\r\nPOISON\r\n0\r\n\r\n",
            b"F" * 17 + b"\r\nPOISON\r\n0\r\n\r\n", b"6\r\nPOISON0\r\n\r\n", b"6\r\nPOISONX\r\n0\r\n\r\n",
            b"6\nPOISON\n0\n\n", b"6\r\r\nPOISON\r\n0\r\n\r\n", b"6;\0\r\nPOISON\r\n0\r\n\r\n",
            b"6;a\nb\r\nPOISON\r\n0\r\n\r\n", b"6\r\nPOISON\r\n0\r\n folded\r\n\r\n",
            b"6\r\nPOISON\r\n0\r\nGARBAGE\r\n\r\n", b"6\r\nPOISON\r\n0\r\n" + b"T: x\r\n" * 200 + b"\r\n",
        )
    },
}  # fmt: skip


class TestBrokenBodies:
    async def seen_as_an_abort(self, stage: Stage, run: Run, asked: bytes = ASK) -> None:
        """The client gets a part and then the end of its connection, or 502 where nothing had been passed on yet."""
        seen = await stage.talk(asked, run)
        if seen.answers:
            assert [answer.status for answer in seen.answers] == [502]
        else:
            assert seen.rest.startswith(b"HTTP/1.1 200 ")
            assert not seen.rest.endswith(b"\r\n0\r\n\r\n")
            assert seen.is_closed
        assert len(seen.requests) == 1
        await eventually(lambda: was_thrown_away(seen.requests[0]))

    @pytest.mark.parametrize("run", ALL_RUNS, ids=str)
    @pytest.mark.parametrize("steps", MAIN_BROKEN_BODIES.values(), ids=MAIN_BROKEN_BODIES)
    async def test_is_seen_by_the_client_as_an_abort_and_not_as_an_end(self, stage: Stage, hurt, steps, run):
        hurt(tuple(Drip(one) if run.is_split and isinstance(one, bytes) else one for one in steps))
        await self.seen_as_an_abort(stage, run)

    @pytest.mark.parametrize("run", TWO_RUNS, ids=str)
    @pytest.mark.parametrize("steps", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
    async def test_so_is_every_other_that_breaks(self, stage: Stage, hurt, steps, run):
        hurt(tuple(Drip(one) if run.is_split and isinstance(one, bytes) else one for one in steps))
        await self.seen_as_an_abort(stage, run)

    @pytest.mark.parametrize(
        "wire", [fields(b"Content-Length: 50"), chunked(POISON, end=b""), b"HTTP/1.1 200 OK\r\n\r\nP"]
    )
    async def test_one_that_stops_coming_is_cut_at_read_timeout(self, stage: Stage, hurt, wire):
        hurt((wire, HANG))
        started = time.monotonic()
        await self.seen_as_an_abort(stage, PLAIN, head(b"GET /hasty/hurt"))
        assert HASTE_S / 2 < time.monotonic() - started < 10

    @pytest.mark.parametrize("wire", [fields(b"Content-Length: 50"), chunked(POISON, end=b"")])
    async def test_to_an_http_1_0_client_it_is_a_reset(self, stage: Stage, hurt, wire):
        """The end of the connection is the end of the body there."""
        hurt((wire, CLOSE))
        async with await Client.of(stage.gateway.address) as client:
            await client.send(request("GET", "/any/hurt", version="1.0"))
            with pytest.raises(BrokenOffError):
                await client.answer()
        await stage.canary(0)


class TestLeftovers:
    """What a backend sends that no request asked for is nobody's."""

    # Behind an answer, in the same segment, or a moment later when the connection may be back in the pool.
    ENDS = (ok(b"own"), chunked(b"own"), b"HTTP/1.1 204 No Content\r\n\r\n")

    @pytest.mark.parametrize("run", ALL_RUNS, ids=str)
    @pytest.mark.parametrize("junk", [OTHER, b"POISON", b"\r\n", b"\0", b"HTTP/1.1 2", HINT, OTHER * 50])
    async def test_bytes_behind_an_answer_never_reach_the_next_client(self, stage: Stage, hurt, junk, run):
        hurt(sent(ok(b"own") + junk, run))
        seen = await stage.talk(ASK, run)
        assert seen.answers[0].status in {200, 502}
        assert POISON not in received(seen)
        await eventually(lambda: was_thrown_away(seen.requests[0]) or junk == b"\r\n")

    @pytest.mark.parametrize("own", ENDS)
    @pytest.mark.parametrize("junk", [OTHER, b"POISON", b"HTTP/1.1 2", HINT, b"\r\n"])
    async def test_bytes_on_an_idle_connection_never_reach_the_next_client(self, stage: Stage, hurt, own, junk):
        hurt((own,))
        await stage.talk(ASK, PLAIN)
        idle = [one for one in stage.backend.connections if one.ended is None]
        for one in idle:
            one.send(junk)
        asked_before = len(stage.backend.requests)
        for number in range(3):
            await stage.canary(number)
        await eventually(lambda: all(one.ended is not None for one in idle))
        assert not [one for one in stage.backend.requests[asked_before:] if one.connection in idle]

    async def test_nor_the_next_one_on_the_same_connection(self, stage: Stage, hurt):
        """They wait in the socket when the connection is chosen."""
        hurt((ok(b"own"),))
        async with await Client.of(stage.gateway.address) as client:
            for _ in range(20):
                await client.send(request("GET", "/any/hurt"))
                assert (await client.answer()).body == b"own"
                for one in stage.backend.connections:
                    if one.ended is None:
                        one.send(OTHER)  # read by the gateway at its next turn at the earliest, with the next request

    @pytest.mark.parametrize("banner", [b"220 ready\r\n", OTHER, b""])
    async def test_a_backend_that_speaks_or_ends_before_it_is_asked_is_a_502_and_not_asked_without_end(
        self, stage: Stage, banner
    ):
        def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            greeted.append(writer)
            writer.write(banner)
            if not banner:
                writer.close()

        greeted: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        before = stage.gateway.text
        assert await stage.gateway.reload(before.replace(f":{stage.backend.port}", f":{port}"))
        try:
            answer = await stage.gateway.get("/any/hurt")
        finally:
            assert await stage.gateway.reload(before)
            server.close()
            for writer in greeted:
                writer.close()
        assert (answer.status, answer.code) == (502, "bad_gateway")
        assert len(greeted) <= 2
        await stage.canary(0)

    @pytest.mark.parametrize("run", TWO_RUNS, ids=str)
    @pytest.mark.parametrize(
        ("method", "wire"),
        [
            (b"HEAD", ok(POISON)),
            (b"HEAD", chunked(POISON)),
            (b"HEAD", ok(OTHER)),
            (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + OTHER),
            (b"GET", fields(LENGTH, status=b"HTTP/1.1 204 No Content")),
            (b"GET", fields(CHUNKED, status=b"HTTP/1.1 204 No Content", body=IN_CHUNKS)),
            (b"GET", fields(LENGTH, status=b"HTTP/1.1 304 Not Modified")),
            (b"GET", fields(status=b"HTTP/1.1 304 Not Modified", body=OTHER)),
            (b"GET", fields(status=b"HTTP/1.1 204 No Content", body=OTHER)),
            (b"DELETE", fields(LENGTH, status=b"HTTP/1.1 204 No Content", body=OTHER)),
        ],
    )
    async def test_bodies_where_there_are_none_never_pass(self, stage: Stage, hurt, method, wire, run):
        hurt(sent(wire, run))
        seen = await stage.talk(head(method + b" /any/hurt"), run, methods=(method.decode(),))
        assert seen.answers[0].status in {200, 204, 304, 502}
        assert POISON not in received(seen)
        await eventually(lambda: was_thrown_away(seen.requests[0]))

    async def test_an_early_answer_to_a_body_that_is_not_whole_costs_the_connection(self, stage: Stage, hurt):
        """Else the rest of the body would stand before the next request."""
        hurt(script(ok(b"no, thanks"), at_head=True))
        async with await Client.of(stage.gateway.address) as client:
            await client.send(request("POST", "/any/hurt", "Content-Length: 100000") + b"POISON" * 10)
            assert (await client.answer()).body == b"no, thanks"
            reached = stage.backend.requests[-1]
            await stage.canary(0)
        assert not reached.whole
        await eventually(lambda: was_thrown_away(reached))


class TestRetries:
    async def attempts(self, stage: Stage, wire: bytes, method: str = "GET") -> tuple[int, int]:
        """The status, and how often the backend was asked."""
        before = len(stage.backend.requests)
        answer = await stage.gateway.ask(wire, method)
        seen = [one for one in stage.backend.requests[before:] if one.target.endswith("/hurt")]
        await stage.canary(0)
        return answer.status, len(seen)

    @pytest.mark.parametrize("end", [RESET, CLOSE])
    @pytest.mark.parametrize(("path", "times"), [("/once/hurt", 1), ("/any/hurt", 2), ("/again/hurt", 3)])
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
    async def test_an_idempotent_request_is_sent_again_as_often_as_configured(
        self, stage: Stage, hurt, method, path, times, end
    ):
        hurt((end,))
        assert await self.attempts(stage, request(method, path), method) == (502, times)

    @pytest.mark.parametrize("end", [RESET, CLOSE])
    @pytest.mark.parametrize("method", ["POST", "PATCH", "PROPFIND"])
    @pytest.mark.parametrize("body", [None, b"abc"])
    async def test_no_other_request_is_sent_twice(self, stage: Stage, hurt, method, body, end):
        hurt((end,))
        assert await self.attempts(stage, request(method, "/again/hurt", body=body)) == (502, 1)

    async def test_the_answer_to_the_second_attempt_is_the_answer(self, stage: Stage, hurt):
        hurt((RESET,), (ok(b"own"),))
        assert await self.attempts(stage, request("GET", "/any/hurt")) == (200, 2)

    @pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 200", b"\r\n", b"HTTP/1.1 200 OK\r\n\r", HINT])
    @pytest.mark.parametrize("end", [RESET, CLOSE])
    async def test_nothing_is_sent_again_once_a_byte_of_an_answer_came(self, stage: Stage, hurt, begun, end):
        hurt((begun, Pause(0.02), end))
        assert await self.attempts(stage, request("GET", "/again/hurt")) == (502, 1)

    async def test_nothing_is_sent_again_after_the_deadline(self, stage: Stage, hurt):
        hurt((HANG,))
        assert await self.attempts(stage, request("GET", "/hasty/hurt")) == (504, 1)

    async def test_nothing_is_sent_again_whose_body_was_begun(self, stage: Stage, hurt):
        hurt(script(RESET, at_head=True))
        assert await self.attempts(stage, request("PUT", "/again/hurt", body=b"x" * 100_000)) == (502, 1)
        stage.backend.requests[-2].connection.is_raw = True  # the rest of that body is no request

    async def test_a_kept_connection_that_was_closed_meanwhile_costs_no_attempt(self, stage: Stage, hurt):
        hurt((ok(b"own"), CLOSE))
        for _ in range(5):
            assert await self.attempts(stage, request("POST", "/once/hurt", body=b"abc")) == (200, 1)


class TestSlowAndHuge:
    @pytest.mark.parametrize(
        "steps",
        [
            (HANG,),
            (b"HTTP/1.1 200 OK\r\nX-A: ", HANG),
            (Drip(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 200, HASTE_S / 8),),
            tuple(step for _ in range(30) for step in (b"X-A: b\r\n", Pause(HASTE_S / 8))),
        ],
        ids=["nothing", "half a head", "byte by byte", "line by line"],
    )
    async def test_a_head_that_does_not_come_in_time_is_a_504(self, stage: Stage, hurt, steps):
        hurt((b"HTTP/1.1 200 OK\r\n", *steps) if len(steps) > 20 else steps)
        seen = await stage.talk(head(b"GET /hasty/hurt"), PLAIN)
        assert [answer.code for answer in seen.answers] == ["gateway_timeout"]
        await eventually(lambda: was_thrown_away(seen.requests[0]))

    @pytest.mark.parametrize(
        "line", [b"X-A: " + b"a" * 10_000 + b"\r\n", b"X: y\r\n", b" folded\r\n", b"a" * 10_000, b"\r"]
    )
    async def test_no_more_of_a_head_without_end_is_read_than_a_head_may_have(self, stage: Stage, hurt, line):
        count = 4 * 2**20 // len(line)
        hurt((b"HTTP/1.1 200 OK\r\nX-First: 1\r\n", line * count, HANG))
        seen = await stage.talk(ASK, PLAIN)
        await assert_bad_gateway(seen)

    async def test_a_large_head_that_is_sound_passes(self, stage: Stage, hurt):
        lines = [b"X-%d: %s" % (n, b"a" * 600) for n in range(100)]
        hurt((fields(LENGTH, *lines),))
        (answer,) = (await stage.talk(ASK, PLAIN)).answers
        assert (answer.status, answer.body) == (200, POISON)
        assert sum(name.startswith("x-") for name in answer.names) == 101  # and X-Request-Id


async def test_what_one_caller_waits_for_is_not_given_to_another(stage: Stage, hurt):
    """Many at once over few connections, whose answers come out of order and some of which break."""
    steps = {1: (RESET,), 2: (fields(LENGTH, LENGTH),), 3: (Pause(0.01), ok(b"own"), OTHER)}
    turns = iter(range(10_000))

    def answer(seen: SeenRequest) -> Script:
        broken = steps.get(next(turns) % 5)
        return script(*broken) if broken and seen.target.endswith("/hurt") else echo_marker(seen)

    hurt((ok(b"own"),))
    stage.backend.default = answer

    async def one(number: int) -> bytes:
        if number % 2:
            return (await stage.gateway.get("/once/hurt")).body
        return (await stage.gateway.get(f"/open/{number}", f"X-Marker: mine-{number}")).body

    for start in range(0, 100, 20):
        bodies = await asyncio.gather(*(one(number) for number in range(start, start + 20)))
        for number, body in enumerate(bodies, start):
            assert POISON not in body
            assert number % 2 or body == b"mine-%d" % number


async def test_an_end_that_nobody_waits_for_any_more_frees_its_connection(stage: Stage, hurt):
    go_on = asyncio.Event()
    hurt((b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbegun", Wait(go_on), b"more", HANG))
    async with await Client.of(stage.gateway.address) as client:
        await client.send(request("GET", "/any/hurt"))
        assert (await client.head()).status == 200
        reached = stage.backend.requests[-1]
        client.reset()
    await eventually(lambda: was_thrown_away(reached))
    go_on.set()
    await stage.canary(0)
