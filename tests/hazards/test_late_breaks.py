"""Chunked bodies that break late: what the backend has of them by then is never a whole request.

A short body is looked at whole before anybody is asked (`test_framing`). These break behind its first 64 KiB, after
the moment that the gateway waits for more, or where the client itself has waited for `100 Continue`.
"""

import asyncio
from collections.abc import Iterable

import pytest
from support.backend import Wait, ok, script
from support.running_gateway import eventually
from support.transcript import Line, Run, Stage, head, in_runs

pytestmark = pytest.mark.asyncio(loop_scope="module")

POST = b"POST /any/x"
CHUNKED = b"Transfer-Encoding: chunked"
EXPECT = b"Expect: 100-continue"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST = b"0\r\n\r\n"
BEHIND = LAST + b"GET /open/smuggled HTTP/1.1\r\nHost: gw.example\r\n\r\n"
LONG = b"a" * 70_000
# What of the body has reached the backend when the rest comes, and by which fields of the request.
BEGINNINGS = {
    "past 64 KiB": (LONG, ()),
    "past 250 ms": (b"hello", ()),
    "behind 100 Continue": (b"hello", (EXPECT,)),
    "long, behind 100 Continue": (LONG, (EXPECT,)),
}
BREAKS = {
    "a size that is none": b"zz\r\n" + BEHIND,
    "a size with a sign": b"+5\r\nhello\r\n" + BEHIND,
    "a size below nought": b"-1\r\n" + BEHIND,
    "a size that overflows": b"f" * 16 + b"\r\n" + BEHIND,
    "no size": b"\r\n" + BEHIND,
    "data without its end": b"5\r\nhello" + BEHIND,
    "data beyond its size": b"4\r\nhello\r\n" + BEHIND,
    "lines that end in LF": b"5\nhello\n0\n\n" + BEHIND,
    "an extension with LF": b"5;a\nb\r\nhello\r\n" + BEHIND,
    "an extension without end": b"5;" + b"a" * 200_000,
    "a request for the end": b"0\r\n" + BEHIND.removeprefix(LAST),
    "a letter for the end": b"0\r\nX\r\n\r\n" + BEHIND,
    "a trailer with a blank before its colon": b"0\r\nX-T : 1\r\n\r\n" + BEHIND,
    "a folded trailer": b"0\r\nX-T: 1\r\n 2\r\n\r\n" + BEHIND,
    "trailers without end": b"0\r\n" + b"X-T: 1\r\n" * 20_000,
}
# Where the client ends its side; it can still read.
CUTS = {
    "within a chunk": b"5\r\nhel",
    "within a size": b"5",
    "behind a chunk": b"5\r\nhello\r\n",
    "before the last line": b"0\r\n",
    "within the last line": b"0\r\n\r",
}


def in_late_runs(name: str, values: Iterable[str]) -> pytest.MarkDecorator:
    """As `in_runs`, and with the beginnings taking turns; the first value with each of them."""
    values, ways = list(values), list(BEGINNINGS)
    parameters = []
    for value, run in (one.values for one in in_runs(name, values).args[1]):
        late = ways[(values.index(value) + run.is_split + 2 * run.is_second) % len(ways)]
        parameters.append(pytest.param(value, run, late, id=f"{value}-{late}-{run}"))
    return pytest.mark.parametrize((name, "run", "late"), parameters)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def send(line: Line, wire: bytes, run: Run) -> None:
    await line.send(wire, max(1, len(wire) // 500) if run.is_split else None)


async def begin(stage: Stage, line: Line, late: str, run: Run) -> int:
    """Send a request up to a part of its body, and return once the backend has that; the number of the request."""
    number, start = len(stage.backend.requests), len(line.received)
    body, fields = BEGINNINGS[late]
    await send(line, stage.filled(head(POST, CHUNKED, *fields), run), run)
    if fields:
        await line.until(lambda: line.received[start:] == CONTINUE)
    await send(line, chunk(body), run)
    sent = await stage.backend.seen(number + 1)
    await eventually(lambda: sent.body == body)
    return number


async def saw_no_end(stage: Stage, number: int) -> None:
    """Request `number` broke off and its connection ended with it; nothing more reached the backend."""
    (sent,) = stage.backend.requests[number:]
    await sent.connection.wait_ended()
    assert not sent.whole
    assert not sent.connection.received.endswith(b"\r\n" + LAST)
    await stage.canary(0)
    assert len(stage.backend.requests) == number + 2


@in_late_runs("break_", BREAKS)
async def test_a_body_that_breaks_late_is_never_a_whole_request(stage, break_, run, late):
    line = await stage.opened(run)
    try:
        number = await begin(stage, line, late, run)
        start = len(line.received)
        await send(line, BREAKS[break_], run)
        answers, rest = await line.answers(start, ["POST"], until_ended=True)
    finally:
        line.close()
    assert [(one.status, one.code, one.value("Connection")) for one in answers] == [(400, "invalid_request", "close")]
    assert rest == b""
    await saw_no_end(stage, number)


@in_late_runs("cut", CUTS)
async def test_nor_is_one_that_is_cut_short(stage, cut, run, late):
    line = await stage.opened(run)
    try:
        number = await begin(stage, line, late, run)
        start = len(line.received)
        await send(line, CUTS[cut], run)
        line.transport.write_eof()
        answers, rest = await line.answers(start, ["POST"], until_ended=True)
    finally:
        line.close()
    assert [one.status for one in answers] in ([], [400])  # to whom has ended its side nothing more is owed
    assert rest == b""
    await saw_no_end(stage, number)


@in_late_runs("break_", BREAKS)
async def test_an_answer_that_has_begun_is_aborted_with_it(stage, break_, run, late):
    """The client must not take the beginning of an answer for the whole of it."""
    begun, done = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", asyncio.Event()
    line = await stage.opened(run)
    stage.backend.answers.append(script(begun, Wait(done), at_head=True))
    try:
        number = await begin(stage, line, late, run)
        await line.until(lambda: line.received.endswith(b"\r\n4\r\npart\r\n"))
        await send(line, BREAKS[break_], run)
        await line.until(lambda: False)
        assert line.received.endswith(b"\r\n4\r\npart\r\n")
        await saw_no_end(stage, number)
    finally:
        done.set()
        line.close()


@in_late_runs("break_", BREAKS)
async def test_an_answer_that_was_whole_by_then_stays_the_only_one(stage, break_, run, late):
    begun = asyncio.Event()
    line = await stage.opened(run)
    stage.backend.answers.append(script(Wait(begun), ok(b"early"), at_head=True))
    try:
        number = await begin(stage, line, late, run)
        start = len(line.received)
        begun.set()
        await line.until(lambda: line.received.endswith(b"early"))
        await send(line, BREAKS[break_], run)
        answers, rest = await line.answers(start, ["POST"], until_ended=True)
    finally:
        line.close()
    assert ([(one.status, one.body) for one in answers], rest) == ([(200, b"early")], b"")
    await saw_no_end(stage, number)


@in_runs("break_", BREAKS)
async def test_one_that_comes_at_once_with_its_break_is_none_either(stage, break_, run):
    """Whether the backend has seen its beginning by then is a matter of chance."""
    line = await stage.opened(run)
    number, start = len(stage.backend.requests), len(line.received)
    wire = stage.filled(head(POST, CHUNKED), run) + chunk(LONG) + BREAKS[break_]
    try:
        await send(line, wire, run)
        answers, rest = await line.answers(start, ["POST"], until_ended=True)
    finally:
        line.close()
    assert ([(one.status, one.code) for one in answers], rest) == ([(400, "invalid_request")], b"")
    if len(stage.backend.requests) > number:
        await saw_no_end(stage, number)
    else:
        await stage.canary(0)
