"""Conversations with a gateway, judged by the bytes that its backend and its provider saw.

A case says what the client sends, what the client gets, and what backend and provider may see; a run says how it is
sent: with or without a valid token, whole or byte by byte, first or second on its connection. After each run a canary
on a new connection must get exactly its own answer, and all that reached the backend is accounted for.

    TWO_LENGTHS = refused("two lengths", head(b"POST /any/x", b"Content-Length: 5", b"Content-Length: 5") + b"hello")

    @played(TWO_LENGTHS, ...)
    async def test_two_lengths_are_refused(stage, case, run):
        await stage.play(case, run)

`TOKEN` within the bytes stands for the `Authorization` line of a run with a token and for nothing in one without;
`head` puts it there. The token is another one in each run, so no cache hides a call; its subject is `CALLER`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, product
from typing import Any

import pytest
from support.backend import Backend, Script, SeenRequest, ok, script
from support.lanes import FAST, GENERAL, lanes
from support.running_gateway import RunningGateway
from support.scripted_provider import ScriptedProvider
from support.wire import Answer, BrokenOffError, Client

SOON_S = 20.0
# What is waited for is looked for again after so long. Looks that saw nothing are counted, not seconds: a machine that
# is busy, or stands still, makes the looks longer, and the wait with them.
LOOK_S = 0.05
LOOKS = int(SOON_S / LOOK_S)
TOKEN = b"<authorization>\r\n"
IDENTITY = b"<identity>\r\n"  # in what a backend sees: the identity line of a run with a token
CALLER = b"<caller>"  # the token's subject
GATEWAY_HOST = b"gw.example"
_REQUEST_ID = re.compile(rb"(?im)^(X-Request-Id: )[0-9a-f]{32}(?=\r$)")
_numbers = count(1)


# How a case is sent.


@dataclass(frozen=True)
class Run:
    has_token: bool
    is_split: bool  # byte by byte
    is_second: bool  # behind another request, and its answer, on the connection

    def __str__(self) -> str:
        words = ("token" if self.has_token else "anonymous", "bytes" if self.is_split else "whole")
        return "-".join((*words, "second" if self.is_second else "first"))


ALL_RUNS = tuple(Run(*values) for values in product((False, True), repeat=3))
# Where a class has many members the others take turns with two opposite runs, so that each value of each dimension
# is met by every member and each pair of values by every class. The whole one is for the fast lane, which takes what
# comes whole or leaves it to the other; the one in pieces for the general lane, which takes it in any case.
_TURNS = tuple((run, Run(not run.has_token, not run.is_split, not run.is_second)) for run in ALL_RUNS[:4])


# What is said.


@dataclass(frozen=True)
class Gets:
    """What the client gets: one final answer for each of `statuses`, and nothing behind them.

    A status is a number, or a class of them such as `4` and `5`. `is_closed`: the gateway ends the connection by
    itself; where it is False the connection must still serve one more request; None leaves the choice.
    """

    statuses: tuple[frozenset[int], ...]
    code: str | None = None  # of the last answer
    is_closed: bool | None = None
    bodies: tuple[bytes, ...] | None = None


REFUSED = frozenset(range(400, 600)) - {408}  # 408: it waited for more instead of refusing what it had


@dataclass(frozen=True)
class Case:
    """`backend_sees` are whole requests, see `forwarded`; `asks` says whether the token of a run is introspected."""

    name: str
    sends: bytes
    gets: Gets
    backend_sees: tuple[bytes, ...] = ()
    asks: bool = False
    is_main: bool = False  # of its class: is run in all runs
    piece_bytes: int = 1  # of a run in pieces; more for what is long
    methods: tuple[str, ...] = ("GET",)  # of the requests that are answered, in order


def refused(
    name: str, sends: bytes, *statuses: int, code: str | None = None, main: bool = False, piece: int = 1
) -> Case:
    """R: 4xx or 5xx (one of `statuses`, where given) and the end of the connection; nothing reaches anyone."""
    wanted = frozenset(statuses) or REFUSED
    return Case(name, sends, Gets((wanted,), code, is_closed=True), is_main=main, piece_bytes=piece)


def passed(
    name: str,
    sends: bytes,
    *backend_sees: bytes,
    status: int = 200,
    asks: bool = True,
    closed: bool | None = False,
    main: bool = False,
    methods: tuple[str, ...] | None = None,
) -> Case:
    """The backend sees exactly these requests, and each is answered with `status`."""
    methods = methods or tuple(one.split(b" ", 1)[0].decode() for one in backend_sees) or ("GET",)
    gets = Gets((frozenset({status}),) * len(methods), is_closed=closed)
    return Case(name, sends, gets, backend_sees, asks=asks, is_main=main, methods=methods)


def head(start: bytes, *lines: bytes, host: bytes | None = GATEWAY_HOST, version: bytes = b"HTTP/1.1") -> bytes:
    """A head with `Host`, the place of the token and `lines`, up to and with the empty line."""
    first = [start + b" " + version, *([b"Host: " + host] if host is not None else [])]
    return b"\r\n".join([*first, b""]) + TOKEN + b"\r\n".join([*lines, b"", b""])


def forwarded(
    start: bytes,
    *lines: bytes,
    body: bytes = b"",
    host: bytes = GATEWAY_HOST,
    anonymous: bool = False,
    via: bytes = b"1.1 gateway",
) -> bytes:
    """A request as the backend sees it, with what the gateway adds. `lines` are what is left of the client's own and
    the framing; the order of lines does not count. `body` is what it comes to without its chunks.
    """
    added = [
        b"Host: <backend>",
        b"X-Request-Id: <id>",
        b"X-Forwarded-For: 127.0.0.1",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: " + host,
        b"Via: " + via,
    ]
    identity = b"" if anonymous else IDENTITY
    return b"\r\n".join([start + b" HTTP/1.1", *added, *lines, b""]) + identity + b"\r\n" + body


def played(*cases: Case) -> pytest.MarkDecorator:
    """Each case in its runs: all, on both lanes, for the main one of a class; two opposite ones for the others."""
    parameters = [
        pytest.param(case, run, id=f"{case.name}-{run}", marks=marks)
        for number, case in enumerate(cases)
        for run, marks in _runs(number, in_all=case.is_main)
    ]
    return pytest.mark.parametrize(("case", "run"), parameters)


def in_runs(name: str, values: Iterable[str]) -> pytest.MarkDecorator:
    """As `played`, for a test that judges by itself: `name` and `run`, the first value in all runs."""
    parameters = [
        pytest.param(value, run, id=f"{value}-{run}", marks=marks)
        for number, value in enumerate(values)
        for run, marks in _runs(number, in_all=not number)
    ]
    return pytest.mark.parametrize((name, "run"), parameters)


def _runs(number: int, *, in_all: bool) -> list[tuple[Run, Sequence[pytest.MarkDecorator]]]:
    """The runs of the member `number` of a class, and what keeps each to a lane."""
    if in_all:
        return [(run, ()) for run in ALL_RUNS]
    return [(run, [lanes(GENERAL if run.is_split else FAST)]) for run in _TURNS[number % len(_TURNS)]]


# What was seen.


@dataclass(frozen=True)
class Seen:
    """What one run came to; of the canary and of what went before it nothing is in here."""

    answers: list[Answer]
    rest: bytes  # what came behind the answers
    is_closed: bool
    requests: list[SeenRequest]
    provider_tokens: list[str | None]
    token: str | None
    caller: str


class Line(asyncio.Protocol):
    """A client's connection that keeps all bytes it gets, also where it ends by a reset."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended: str | None = None
        self.transport: asyncio.Transport | None = None
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._changed.set()

    def eof_received(self) -> None:
        self.ended = "closed"
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.ended or ("reset" if exc else "closed")
        self._changed.set()

    @classmethod
    async def to(cls, address: Any) -> Line:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(SOON_S):
            if isinstance(address, str):
                _, line = await loop.create_unix_connection(cls, address)
            else:
                _, line = await loop.create_connection(cls, *address)
        return line

    async def send(self, wire: bytes, piece_bytes: int | None = None) -> None:
        """All at once, or so many bytes at a time; ends early where the other end has gone."""
        assert self.transport is not None
        size = piece_bytes or max(1, len(wire))
        for start in range(0, len(wire), size):
            if self.transport.is_closing():
                return
            self.transport.write(wire[start : start + size])
            await asyncio.sleep(0)  # the gateway, in the same loop, reads before the next piece

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds, or this end of the conversation is over."""
        looks = 0
        while self.ended is None and not condition():
            looks += not await self._has_changed()
            if looks > LOOKS:
                raise TimeoutError(f"nothing more came than {bytes(self.received[-400:])!r}")

    async def answers(self, start: int, methods: Sequence[str], *, until_ended: bool) -> tuple[list[Answer], bytes]:
        """The answers from byte `start` on to requests of these methods, once they are whole or nothing more comes."""
        looks = 0
        while looks <= LOOKS:
            is_over = self.ended is not None
            size = len(self.received)
            found, rest = await answers_in(bytes(self.received[start:]), methods, at_end=is_over)
            if is_over or (len(found) == len(methods) and not until_ended):
                return found, rest
            if len(self.received) == size and self.ended is None:
                looks += not await self._has_changed()
        raise TimeoutError(f"{len(found)} of {methods} were answered: {bytes(self.received[start:][-400:])!r}")

    async def _has_changed(self) -> bool:
        """Whether something came, or the end, within a look."""
        self._changed.clear()
        try:
            async with asyncio.timeout(LOOK_S):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


async def answers_in(received: bytes, methods: Sequence[str], *, at_end: bool) -> tuple[list[Answer], bytes]:
    """The whole final answers at the beginning of `received`, at most one for each method, and what is behind them.

    `at_end`: nothing more comes, so an answer that ends with its connection is whole.
    """
    reader = asyncio.StreamReader()
    reader.feed_data(received)
    reader.feed_eof()
    client = Client(reader, None)  # type: ignore[arg-type]  # only read from
    answers: list[Answer] = []
    for method in methods:
        if not received:
            break
        try:
            answer = await client.answer(method)
        except BrokenOffError:
            return answers, received
        unframed = not answer.values("Content-Length") and not answer.values("Transfer-Encoding")
        if unframed and answer.body and not at_end:
            break
        answers.append(answer)
        reader, received = _rest_of(reader)
        client = Client(reader, None)  # type: ignore[arg-type]
    return answers, received


def _rest_of(reader: asyncio.StreamReader) -> tuple[asyncio.StreamReader, bytes]:
    rest = bytes(reader._buffer)  # what the strict reader has left
    again = asyncio.StreamReader()
    again.feed_data(rest)
    again.feed_eof()
    return again, rest


def echo_marker(request: SeenRequest) -> Script:
    """A backend's answer that is nobody else's: the marker of the request, or its target."""
    marker = (request.value("X-Marker") or request.target).encode("latin-1")
    answer = ok(marker)
    return script(answer.removesuffix(marker) if request.method == "HEAD" else answer)


@dataclass
class Stage:
    """One gateway between a recording backend and a recording provider, for many runs one after another.

    The gateway must have `/open/**` without a token, and put the subject into `X-User-Id` where there is one.
    """

    gateway: RunningGateway
    backend: Backend
    provider: ScriptedProvider
    claims: dict[str, Any] = field(default_factory=dict)  # of every token besides `active`, `sub` and `exp`
    sends_whole: bool = False  # also where a run says otherwise

    async def play(self, case: Case, run: Run) -> Seen:
        """Send it, and hold what was seen against what was to be."""
        seen = await self.talk(
            case.sends,
            run,
            methods=case.methods,
            piece_bytes=case.piece_bytes,
            until_closed=case.gets.is_closed is True,
        )
        judge(case, run, seen, self)
        return seen

    async def talk(
        self,
        wire: bytes,
        run: Run,
        *,
        methods: Sequence[str] = ("GET",),
        piece_bytes: int = 1,
        until_closed: bool = False,
    ) -> Seen:
        """Send `wire` as `run` says, wait for an answer to each of `methods` (or for the end), then the canary.

        A connection that is not closed must serve one more request, which gets its own answer.
        """
        number = next(_numbers)
        token, caller = f"token-{number}", f"caller-{number}"
        self.provider.answers[token] = {"active": True, "sub": caller, "exp": int(time.time()) + 3600, **self.claims}
        wire = _filled(wire, token if run.has_token else None, caller)
        before = _Mark.of(self)
        line = await Line.to(self.gateway.address)
        try:
            if run.is_second:
                await self._own_answer(line, f"lead-{number}")
                before = before.plus(requests=1)
            start = len(line.received)
            await line.send(wire, piece_bytes if run.is_split and not self.sends_whole else None)
            answers, rest = await line.answers(start, methods, until_ended=until_closed)
            closed = line.ended is not None
            if not closed and not rest:
                closed = not await self._still_serves(line, f"after-{number}")
        finally:
            line.close()
        extra = 0 if closed or rest else 1
        await self.canary(number)
        requests = self.backend.requests[before.requests :]
        own = requests[: len(requests) - 1 - extra]
        tokens = [call.token for call in self.provider.calls[before.calls :]]
        self._all_is_accounted_for()
        return Seen(answers, rest, closed, own, tokens, token if run.has_token else None, caller)

    async def opened(self, run: Run) -> Line:
        """A connection for what a test says by itself, behind another request and its answer where the run says so."""
        line = await Line.to(self.gateway.address)
        if run.is_second:
            await self._own_answer(line, f"lead-{next(_numbers)}")
        return line

    def filled(self, wire: bytes, run: Run) -> bytes:
        """`wire` with a token of its own in a run with one."""
        token = f"token-{next(_numbers)}"
        self.provider.answers[token] = {"active": True, "sub": token, **self.claims}
        return _filled(wire, token if run.has_token else None, token)

    async def canary(self, number: int) -> None:
        """A request of another client on a new connection gets exactly its own answer."""
        line = await Line.to(self.gateway.address)
        try:
            await self._own_answer(line, f"canary-{number}")
            assert line.ended is None
        finally:
            line.close()

    def _all_is_accounted_for(self) -> None:
        """No byte reached the backend that was not part of a request that it could read."""
        assert self.backend.faults == []
        left = [one.unread for one in self.backend.connections if not one.is_raw]
        assert not any(left), left

    async def _own_answer(self, line: Line, marker: str) -> None:
        count_before, start = len(self.backend.requests), len(line.received)
        await line.send(_marked(marker))
        end = f"\r\n\r\n{marker}".encode()
        await line.until(lambda: line.received.endswith(end))
        got = bytes(line.received[start:])
        assert got.startswith(b"HTTP/1.1 200 "), got
        assert got.count(b"HTTP/1.1 ") == 1, got
        assert got.endswith(end), got
        (request,) = self.backend.requests[count_before:]
        assert request.value("X-Marker") == marker

    async def _still_serves(self, line: Line, marker: str) -> bool:
        """Whether one more request is served; the connection may also have been about to close."""
        count_before, start = len(self.backend.requests), len(line.received)
        await line.send(_marked(marker))
        end = f"\r\n\r\n{marker}".encode()
        await line.until(lambda: line.received.endswith(end))
        got = bytes(line.received[start:])
        if not got and line.ended:
            assert len(self.backend.requests) == count_before
            return False
        assert got.startswith(b"HTTP/1.1 200 "), got
        assert got.count(b"HTTP/1.1 ") == 1, got
        assert self.backend.requests[-1].value("X-Marker") == marker
        return True


def judge(case: Case, run: Run, seen: Seen, stage: Stage) -> None:
    got = [answer.status for answer in seen.answers]
    assert len(got) == len(case.gets.statuses), (got, seen)
    assert all(status in wanted for status, wanted in zip(got, case.gets.statuses, strict=True)), (got, seen)
    assert seen.rest == b"", seen
    if case.gets.code is not None:
        assert seen.answers[-1].code == case.gets.code
    if case.gets.is_closed is not None:
        assert seen.is_closed == case.gets.is_closed, seen
    if case.gets.bodies is not None:
        assert tuple(answer.body for answer in seen.answers) == case.gets.bodies
    wanted = [_comparable(_filled(one, seen.token, seen.caller)) for one in case.backend_sees]
    assert [_comparable(_wire_of(one, stage.backend)) for one in seen.requests] == wanted
    assert all(one.whole and not one.trailers for one in seen.requests), seen
    assert seen.provider_tokens == ([seen.token] if case.asks and run.has_token else [])


def _filled(wire: bytes, token: str | None, caller: str) -> bytes:
    authorization = f"Authorization: Bearer {token}\r\n".encode() if token else b""
    identity = f"X-User-Id: {caller}\r\n".encode() if token else b""
    return wire.replace(TOKEN, authorization).replace(IDENTITY, identity).replace(CALLER, caller.encode())


def _wire_of(request: SeenRequest, backend: Backend) -> bytes:
    own = f"\r\nHost: 127.0.0.1:{backend.port}\r\n".encode()
    return _REQUEST_ID.sub(rb"\1<id>", request.head.replace(own, b"\r\nHost: <backend>\r\n")) + request.body


def _comparable(wire: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Every byte counts, the order of header lines does not."""
    top, _, body = wire.partition(b"\r\n\r\n")
    first, *lines = top.split(b"\r\n")
    return first, sorted(lines), body


def _marked(marker: str) -> bytes:
    return f"GET /open/{marker} HTTP/1.1\r\nHost: gw.example\r\nX-Marker: {marker}\r\n\r\n".encode()


@dataclass(frozen=True)
class _Mark:
    requests: int
    calls: int

    @classmethod
    def of(cls, stage: Stage) -> _Mark:
        return cls(len(stage.backend.requests), len(stage.provider.calls))

    def plus(self, requests: int) -> _Mark:
        return replace(self, requests=self.requests + requests)
