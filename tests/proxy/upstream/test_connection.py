"""One exchange at a time on a connection to a backend: where an answer ends, what may follow, and what breaks it."""

import asyncio
import socket
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.http.response_head import HEAD_LIMIT_BYTES, ResponseHead
from gateway.proxy.upstream.backend_error import (
    BackendBrokenError,
    BackendError,
    BackendTimeoutError,
    BackendUnreachableError,
)
from gateway.proxy.upstream.backend_request import (
    NO_BODY,
    UNKNOWN_LENGTH,
    WEBSOCKET,
    BackendRequest,
    BodyFraming,
)
from gateway.proxy.upstream.connection import BackendConnection

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class Transport:
    """What the event loop would hand over."""

    def __init__(self, **extra: Any) -> None:
        self.extra = extra
        self.sent = bytearray()
        self.end: str | None = None
        self.is_reading = True

    def get_extra_info(self, name: str) -> Any:
        return self.extra.get(name)

    def is_closing(self) -> bool:
        return self.end is not None

    def write(self, data: bytes) -> None:
        self.sent += data

    def abort(self) -> None:
        self.end = self.end or "aborted"

    def close(self) -> None:
        self.end = self.end or "closed"

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True


class Heard:
    """A sink that writes down what it is told."""

    def __init__(self) -> None:
        self.interim: list[int] = []
        self.status: int | None = None
        self.body = b""
        self.end: str | BackendError | None = None
        self.paused_count = self.writable_count = 0
        self.on_answered = lambda: None

    def informational(self, head: ResponseHead) -> None:
        assert self.status is None
        self.interim.append(head.status)

    def response_head(self, head: ResponseHead) -> None:
        assert (self.status, self.end) == (None, None)
        self.status = head.status
        self.on_answered()

    def body_data(self, data: bytes) -> None:
        assert self.status is not None
        assert self.end is None
        assert data
        self.body += data

    def complete_response(self, head: ResponseHead, body: bytes) -> None:
        self.response_head(head)
        self.body = body
        self.end_of_message()

    def flush(self) -> None:
        assert self.end is None
        self.paused_count += 1

    def half_closed(self) -> bool:
        return False

    def end_of_message(self) -> None:
        assert self.end is None
        self.end = "whole"

    def failed(self, error: BackendError) -> None:
        assert self.end is None
        self.end = error

    def drained(self) -> None:
        self.writable_count += 1


class Kept:
    """A keeper that writes down what becomes of a connection."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def released(self, connection: BackendConnection) -> None:
        self.said.append("released")

    def lost(self, connection: BackendConnection) -> None:
        self.said.append("lost")


class Wire:
    """A connection between its ends."""

    def __init__(self, **extra: Any) -> None:
        self.keeper, self.transport = Kept(), Transport(**extra)
        self.connection = BackendConnection(self.keeper, asyncio.get_running_loop())
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def ask(
        self, method: str = "GET", framing: BodyFraming = NO_BODY, body: bytes | None = b"", **timeouts: float
    ) -> Heard:
        heard = Heard()
        asked = BackendRequest(method, "b", "/x", framing)
        self.connection.send(
            heard, asked, b"X-A: 1\r\n", body, SimpleNamespace(**{"timeout": 5.0, "read_timeout": 7.0, **timeouts})
        )
        return heard

    def say(self, wire: bytes, size: int | None = None) -> None:
        for start in range(0, len(wire), size or len(wire)):
            self.connection.data_received(wire[start : start + (size or len(wire))])

    @property
    def left_s(self) -> float:
        return self.connection.deadline_s - asyncio.get_running_loop().time()


# Where an answer ends.

WHOLE = {
    "by its length": ("GET", HELLO, 200, b"hello"),
    "of no bytes": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
    "in chunks": ("GET", CHUNKED + b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", 200, b"hello!"),
    "in no chunks": ("GET", CHUNKED + b"0\r\n\r\n", 200, b""),
    "with trailers": ("GET", CHUNKED + b"1\r\na\r\n0\r\nX-T: 1\r\n\r\n", 200, b"a"),
    "to HEAD": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, b""),
    "in chunks to HEAD": ("HEAD", CHUNKED, 200, b""),
    "204": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "304 with a length": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b""),
}


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize("name", WHOLE)
async def test_a_whole_answer_is_handed_over_and_the_connection_kept(name, size):
    method, wire, status, body = WHOLE[name]
    line = Wire()
    for _ in range(2):
        heard = line.ask(method)
        line.say(wire, size)
        assert (heard.status, heard.body, heard.end) == (status, body, "whole")
        assert line.connection.deadline_s == inf
    assert line.transport.sent == b"%b /x HTTP/1.1\r\nHost: b\r\nX-A: 1\r\n\r\n" % method.encode() * 2
    assert (line.keeper.said, line.transport.end) == (["released"] * 2, None)


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_after_one_that_ends_the_connection_it_is_not_kept(wire, size):
    line = Wire()
    heard = line.ask()
    line.say(wire, size)
    assert (heard.body, heard.end) == (b"hello", "whole")
    assert (line.keeper.said, line.transport.end) == (["lost"], "aborted")


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"])
async def test_nor_after_one_to_head_whose_body_would_end_with_the_connection(head):
    """The end is on its way: whoever was given the connection now would lose a request on it."""
    line = Wire()
    heard = line.ask("HEAD")
    line.say(head)
    assert (heard.status, heard.end) == (200, "whole")
    assert (line.keeper.said, line.transport.end) == (["lost"], "aborted")


async def test_one_that_is_retired_ends_its_exchange_and_is_not_kept():
    line = Wire()
    heard = line.ask("POST", UNKNOWN_LENGTH, None)
    line.connection.retire()
    line.connection.write_body(b"x")
    line.connection.end_body()
    line.say(HELLO)
    assert (heard.body, heard.end) == (b"hello", "whole")
    assert (line.keeper.said, line.transport.end) == (["lost"], "aborted")


async def test_without_a_length_the_end_of_the_connection_is_the_end():
    line = Wire()
    heard = line.ask()
    line.say(b"HTTP/1.1 200 OK\r\n\r\nhel")
    line.say(b"lo")
    assert (heard.body, heard.end) == (b"hello", None)
    line.connection.eof_received()
    assert heard.end == "whole"
    line.connection.connection_lost(None)
    assert line.keeper.said == ["lost"]


async def test_without_a_length_a_reset_is_no_end():
    line = Wire()
    heard = line.ask()
    line.say(b"HTTP/1.1 200 OK\r\n\r\nhel")
    line.connection.connection_lost(ConnectionResetError())
    assert isinstance(heard.end, BackendBrokenError)


@pytest.mark.parametrize(
    ("method", "wire"),
    [
        ("GET", HELLO + b"x"),
        ("GET", HELLO + HELLO),
        ("GET", HELLO + b"\r\n"),
        ("HEAD", HELLO),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\nx"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1\r\n\r\nx"),
        ("GET", CHUNKED + b"1\r\na\r\n0\r\n\r\nx"),
        ("GET", CHUNKED + b"1\r\na\r\n0\r\n\r\n" + HELLO),
    ],
)
async def test_what_stands_behind_an_answer_ends_the_connection_and_is_seen_by_nobody(method, wire):
    line = Wire()
    heard = line.ask(method)
    line.say(wire)
    assert heard.end == "whole"
    assert heard.body in (b"hello", b"a", b"")
    assert (line.keeper.said, line.transport.end) == (["lost"], "aborted")


async def test_bytes_that_nobody_asked_for_end_the_connection():
    line = Wire()
    line.ask()
    line.say(HELLO)
    line.say(HELLO)
    assert (line.keeper.said, line.transport.end) == (["released", "lost"], "aborted")
    assert not line.connection.is_usable()
    line.say(HELLO)
    assert line.keeper.said == ["released", "lost"]


# Before the answer.


@pytest.mark.parametrize("size", [None, 1])
async def test_interim_answers_come_before_the_one(size):
    line = Wire()
    heard = line.ask()
    line.say(HINT + b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO, size)
    assert (heard.interim, heard.status, heard.end) == ([103, 100], 200, "whole")
    again = line.ask()
    line.say(HINT * 16 + HELLO)
    assert (len(again.interim), again.end) == (16, "whole")


async def test_interim_answers_without_end_are_none():
    line = Wire()
    heard = line.ask()
    line.say(HINT * 17 + HELLO)
    assert (heard.status, isinstance(heard.end, BackendBrokenError)) == (None, True)
    assert line.keeper.said == ["lost"]


@pytest.mark.parametrize(
    ("wire", "framing"),
    [
        (SWITCH, NO_BODY),
        (SWITCH.replace(b"websocket", b"h2c"), WEBSOCKET),
        (SWITCH.replace(b"Upgrade: websocket\r\n", b""), WEBSOCKET),
        (SWITCH.replace(b"Connection: upgrade\r\n", b""), WEBSOCKET),
    ],
)
async def test_a_switch_that_was_not_asked_for_breaks_it(wire, framing):
    line = Wire()
    heard = line.ask(framing=framing)
    line.say(wire + b"x")
    assert isinstance(heard.end, BackendBrokenError)
    assert (heard.status, heard.body) == (None, b"")


async def test_after_a_switch_all_is_passed_on_until_it_ends():
    line = Wire()
    heard = line.ask(framing=WEBSOCKET)
    line.say(SWITCH + b"a\0")
    line.say(b"HTTP/1.1 200 OK\r\n\r\n")
    line.connection.write(b"frame")
    assert (heard.status, heard.body) == (101, b"a\0HTTP/1.1 200 OK\r\n\r\n")
    assert line.transport.sent.endswith(b"\r\nUpgrade: websocket\r\n\r\nframe")
    assert line.connection.deadline_s == inf
    line.connection.connection_lost(ConnectionResetError())
    assert (heard.end, line.keeper.said) == ("whole", ["lost"])


# What breaks it.

BROKEN = {
    "no head": b"garbage\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a line that ends in LF": b"HTTP/1.1 200 OK\nContent-Length: 1\r\n",
    "a bare CR": b"HTTP/1.1 200 OK\rX",
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * HEAD_LIMIT_BYTES,
    "a greeting": b"SSH-2.0-OpenSSH_9.2\r\n",
    "an alert of TLS": b"\x15\x03\x01\x00\x02\x02\x16",
    "a greeting behind an interim answer": HINT + b"220 ready\r\n",
    "a broken interim answer": b"HTTP/1.1 103 Early\r\nX : a\r\n\r\n" + HELLO,
}


@pytest.mark.parametrize("size", [None, 1000, 1])
@pytest.mark.parametrize("name", BROKEN)
async def test_a_head_that_is_none_breaks_it_before_a_byte_is_passed_on(name, size):
    line = Wire()
    heard = line.ask()
    line.say(BROKEN[name], size)
    assert isinstance(heard.end, BackendBrokenError)
    assert heard.status is None
    assert (line.keeper.said, line.transport.end) == (["lost"], "aborted")


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize(
    "chunks", [b"-1\r\n", b"1\r\naX", b"1\r\na\r\nx", b"1\r\na\r\n0\r\nGARBAGE\r\n\r\n", b"1\na\n"]
)
async def test_chunks_that_are_none_break_it(chunks, size):
    line = Wire()
    heard = line.ask()
    line.say(CHUNKED + chunks, size)
    assert isinstance(heard.end, BackendBrokenError)
    assert heard.status == 200
    assert line.keeper.said == ["lost"]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"", BackendUnreachableError),
        (b"H", BackendBrokenError),
        (HINT, BackendBrokenError),
        (HELLO[:-1], BackendBrokenError),
        (CHUNKED + b"1\r\na\r\n", BackendBrokenError),
    ],
)
@pytest.mark.parametrize("error", [None, ConnectionResetError()])
async def test_after_its_first_byte_an_answer_that_is_lost_is_not_to_be_asked_for_again(said, kind, error):
    line = Wire()
    heard = line.ask()
    if said:
        line.say(said)
    line.connection.connection_lost(error)
    assert type(heard.end) is kind
    assert line.keeper.said == ["lost"]


async def test_who_gives_up_hears_nothing_more():
    line = Wire()
    heard = line.ask()
    heard.on_answered = line.connection.abandon
    line.say(CHUNKED + b"1\r\na\r\n0\r\n\r\n")
    line.connection.connection_lost(None)
    assert (heard.status, heard.body, heard.end, heard.paused_count) == (200, b"", None, 0)
    assert (line.keeper.said, line.transport.end) == (["lost"], "aborted")


# The request.


async def test_an_answer_before_the_end_of_a_body_is_passed_on_and_the_connection_not_kept():
    line = Wire()
    heard = line.ask("POST", BodyFraming(8), None)
    line.connection.write_body(b"part")
    line.say(HELLO)
    assert heard.end == "whole"
    line.connection.write_body(b"late")
    line.connection.end_body()
    assert line.transport.sent.endswith(b"\r\n\r\npart")
    assert (line.keeper.said, line.transport.end) == (["lost"], "aborted")


async def test_once_the_body_has_gone_out_whole_it_is_kept():
    line = Wire()
    heard = line.ask("POST", BodyFraming(4), None)
    line.connection.write_body(b"part")
    line.connection.end_body()
    line.say(HELLO)
    assert (heard.end, line.keeper.said) == ("whole", ["released"])


async def test_who_sends_is_told_when_there_is_room_again():
    line = Wire()
    heard = line.ask("POST", UNKNOWN_LENGTH, None)
    line.connection.pause_writing()
    assert not line.connection.is_writable
    line.connection.resume_writing()
    assert (line.connection.is_writable, heard.writable_count) == (True, 1)


# Time.


async def test_a_head_is_due_within_timeout_then_each_piece_within_read_timeout():
    line = Wire()
    line.ask(timeout=50.0, read_timeout=70.0)
    assert 49 < line.left_s <= 50
    line.say(HINT)
    assert 49 < line.left_s <= 50  # that is no answer
    line.say(CHUNKED)
    assert 69 < line.left_s <= 70
    line.connection.deadline_s = 0.0
    line.say(b"1\r\na\r\n")
    assert 69 < line.left_s <= 70


@pytest.mark.parametrize(("said", "words"), [(b"", "headers"), (HINT, "headers"), (CHUNKED, "silence")])
async def test_what_is_late_breaks_it(said, words):
    line = Wire()
    heard = line.ask()
    if said:
        line.say(said)
    line.connection.expired()
    assert isinstance(heard.end, BackendTimeoutError)
    assert words in str(heard.end)
    assert (line.keeper.said, line.transport.end) == (["lost"], "aborted")


async def test_while_nobody_reads_the_answer_its_time_stands_still():
    line = Wire()
    line.ask(read_timeout=70.0)
    line.say(CHUNKED)
    line.connection.pause()
    assert (line.transport.is_reading, line.connection.deadline_s) == (False, inf)
    line.connection.resume()
    assert line.transport.is_reading
    assert 69 < line.left_s <= 70


async def test_nor_does_that_of_a_head_run_out_or_end_for_good():
    line = Wire()
    line.ask(timeout=50.0)
    line.say(HINT)
    line.connection.pause()
    assert line.connection.deadline_s == inf
    line.connection.resume()
    assert 49 < line.left_s <= 50


@pytest.mark.parametrize("behind", [HELLO, HINT + HELLO])
async def test_a_slow_reader_of_an_answer_that_is_whole_leaves_it_reading(behind):
    """The backend said all of it in one go, and the client took none of what came first."""
    line = Wire()
    heard = line.ask()
    heard.informational = lambda head: line.connection.pause()  # type: ignore[method-assign]
    line.say(HINT + behind)
    assert (heard.end, heard.status, line.keeper.said, line.transport.is_reading) == ("whole", 200, ["released"], True)
    again = line.ask(timeout=50.0)
    assert 49 < line.left_s <= 50
    line.say(HELLO)
    assert again.status == 200


async def test_while_the_body_is_awaited_the_backend_owes_nothing():
    line = Wire()
    line.ask("POST", framing=UNKNOWN_LENGTH, body=None, timeout=50.0)
    line.connection.await_response(None)
    assert line.connection.deadline_s == inf
    line.connection.pause()
    line.connection.resume()
    assert line.connection.deadline_s == inf
    line.connection.await_response(30.0)
    assert 29 < line.left_s <= 30
    line.say(CHUNKED)
    line.connection.await_response(None)
    assert 6 < line.left_s <= 7  # it has begun to answer


# Whether it can be used.


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    yield one, other
    one.close()
    other.close()


async def test_an_idle_one_is_of_use_while_it_is_open_and_silent(ends):
    line = Wire(socket=ends[0])
    assert line.connection.is_usable()
    ends[1].send(b"x")
    assert not line.connection.is_usable()
    assert not line.connection.is_usable(is_new=True)


async def test_nor_is_one_of_use_that_has_ended_or_is_in_use(ends):
    line = Wire(socket=ends[0])
    line.ask()
    assert not line.connection.is_usable()
    line.say(HELLO)
    assert line.connection.is_usable()
    ends[1].close()
    assert not line.connection.is_usable()


async def test_tickets_behind_a_handshake_are_no_answer(ends):
    """They are in the socket before anybody has asked for anything."""
    line = Wire(socket=ends[0], sslcontext=object())
    ends[1].send(b"a ticket")
    assert line.connection.is_usable(is_new=True)
    assert not line.connection.is_usable()


async def test_one_that_was_given_back_ends_once_all_was_written():
    line = Wire()
    line.ask()
    line.say(HELLO)
    line.connection.end()
    assert (line.keeper.said, line.transport.end) == (["released", "lost"], "closed")
    line.connection.connection_lost(None)
    assert line.keeper.said == ["released", "lost"]
