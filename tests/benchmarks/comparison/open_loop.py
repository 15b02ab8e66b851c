"""Requests on a fixed schedule, whatever becomes of them: latency counts from when each was due.

A generator that waits for an answer before it asks again measures a server that stalls once as one slow request; this
one counts all that were due meanwhile. It is kept light, as it shares its core with the backend: kept-alive
connections, a bare protocol, one timer.
"""

from __future__ import annotations

import asyncio
import gc
import selectors
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_GRACE_S = 5.0
_CLOSED_LOOP_S = 600.0
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_GOOD = b"http/1.1 200"


@dataclass
class Outcome:
    """`latencies_s` of all that were due, as `failed` are counted until they failed or were given up."""

    latencies_s: list[float] = field(default_factory=list)
    failed: int = 0


def request_bytes(target: str, token: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


def run(
    port: int, wire: Callable[[int], bytes], count: int, rate_per_s: float | None, connections: int = 64
) -> Outcome:
    """Send `wire(0)` to `wire(count - 1)`, `rate_per_s` of them a second; without a rate, as fast as answers come.

    Raises `OSError` where nobody listens.
    """
    gc.collect()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=_loop) as runner:
            return runner.run(_drive(port, wire, count, rate_per_s, connections))
    finally:
        gc.enable()


def _loop() -> asyncio.AbstractEventLoop:
    # The default waits by epoll, in whole milliseconds; select knows microseconds.
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def _drive(
    port: int, wire: Callable[[int], bytes], count: int, rate_per_s: float | None, connections: int
) -> Outcome:
    loop = asyncio.get_running_loop()
    schedule = _Schedule(loop, wire, count, rate_per_s)
    opened = [
        await loop.create_connection(lambda: _Connection(schedule), "127.0.0.1", port) for _ in range(connections)
    ]
    lasting_s = _CLOSED_LOOP_S if rate_per_s is None else count / rate_per_s
    schedule.begin()
    try:
        async with asyncio.timeout(lasting_s + _GRACE_S):
            await schedule.is_over.wait()
    except TimeoutError:
        schedule.give_up()
    for transport, _ in opened:
        transport.abort()
    return schedule.outcome


class _Schedule:
    """What is due when, and which connections are free for it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wire: Callable[[int], bytes], count: int, rate_per_s: float | None
    ) -> None:
        self.outcome = Outcome()
        self.is_over = asyncio.Event()
        self._loop = loop
        self._wire = wire
        self._count = count
        self._gap_s = 0.0 if rate_per_s is None else 1 / rate_per_s
        self._idle: deque[_Connection] = deque()
        self._late: deque[int] = deque()  # due, and no connection was free
        self._asked: dict[_Connection, int] = {}
        self._next = 0
        self._began_s = 0.0

    def begin(self) -> None:
        self._began_s = self._loop.time()
        self._send_what_is_due()

    def opened(self, connection: _Connection) -> None:
        self._idle.append(connection)

    def answered(self, connection: _Connection, *, is_good: bool) -> None:
        if connection not in self._asked:
            raise AssertionError("an answer that nobody has asked for")
        self._record(self._asked.pop(connection), is_good=is_good)
        if self._late:
            self._ask(connection, self._late.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        if connection in self._asked:
            self._record(self._asked.pop(connection), is_good=False)
        elif connection in self._idle:
            self._idle.remove(connection)
        if not self._idle and not self._asked:
            self.give_up()

    def give_up(self) -> None:
        """Count what has no answer by now as failed, after as long as it has taken so far."""
        for number in [*self._asked.values(), *self._late, *range(self._next, self._count)]:
            self._record(number, is_good=False)
        self._asked.clear()
        self._late.clear()
        self._next = self._count

    def _send_what_is_due(self) -> None:
        now_s = self._loop.time()
        while self._next < self._count and self._due_s(self._next) <= now_s:
            if self._idle:
                self._ask(self._idle.popleft(), self._next)
            else:
                self._late.append(self._next)
            self._next += 1
        if self._next < self._count:
            self._loop.call_at(self._due_s(self._next), self._send_what_is_due)

    def _ask(self, connection: _Connection, number: int) -> None:
        self._asked[connection] = number
        connection.send(self._wire(number))

    def _record(self, number: int, *, is_good: bool) -> None:
        self.outcome.latencies_s.append(max(0.0, self._loop.time() - self._due_s(number)))
        self.outcome.failed += not is_good
        if len(self.outcome.latencies_s) == self._count:
            self.is_over.set()

    def _due_s(self, number: int) -> float:
        return self._began_s + number * self._gap_s


class _Connection(asyncio.Protocol):
    """One request at a time; its answer has a `Content-Length`."""

    def __init__(self, schedule: _Schedule) -> None:
        self._schedule = schedule
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._schedule.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._schedule.lost(self)

    def send(self, wire: bytes) -> None:
        self._transport.write(wire)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(_END_OF_HEAD)
        if end < 0:
            return
        head = self._received[:end].lower() + b"\r\n"
        _, found, rest = head.partition(_LENGTH)
        if not found:
            self._transport.abort()
            return
        missing_bytes = end + len(_END_OF_HEAD) + int(rest[: rest.index(b"\r\n")]) - len(self._received)
        if missing_bytes <= 0:
            self._received = b""
            self._schedule.answered(self, is_good=head.startswith(_GOOD))
