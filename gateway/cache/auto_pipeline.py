"""One connection to one Redis node. Commands that are sent at the same time share a round trip (auto-pipelining).

The commands of one iteration of the event loop are a batch. The batch goes out in one write at the end of the
iteration, and its replies come in one read, or a few. No batch waits for the one before, because Redis replies in
order. Up to `_UNDER_WAY_MAX` callers may have their commands under way; the others stand in line.

A batch has one deadline, because all of it begins at the same time. At the deadline its callers without a reply get a
`TimeoutError`. The connection then takes nothing new. Later batches under way on it keep their own deadlines, the next
batch goes to a new connection, and the old connection is closed when nobody waits for it any more.

States: no connection -> connecting -> open -> (retired ->) closed. One task connects for all callers; this module makes
no other task. A caller that gives up changes nothing for the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast

from redis.exceptions import InvalidResponse

from gateway.cache.connect import FAILURES
from gateway.cache.deadline import Deadline
from gateway.cache.reply_queue import Heard, Pending, ReplyQueue

# Callers whose commands are under way on one connection. A larger batch would not be cheaper for each of them.
_UNDER_WAY_MAX = 256
_LINE_AGE_MIN_S = 1.0
_CONNECT_S = 2.0  # in the background: callers wait no longer than the deadline of their batch


class NotSentError(Exception):
    """The deadline passed before the commands went out: too many were in line. This says nothing about Redis."""


class AutoPipeline:
    """Sends commands in batches and hands each caller its replies.

    `connect` opens a connection. `timeout_s` bounds each batch, `bulk_bytes_max` each text in a reply.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[asyncio.StreamWriter]], *, timeout_s: float, bulk_bytes_max: int
    ) -> None:
        self._connect = connect
        self._timeout_s = timeout_s
        self._bulk_bytes_max = bulk_bytes_max
        self._batch: _Batch | None = None  # of this iteration of the event loop
        self._in_line: deque[Pending] = deque()
        self._line: _Line | None = None
        self._retired: set[_Line] = set()
        self._connecting: asyncio.Task[None] | None = None
        self._is_shut = False

    def ask(self, wire: bytes, replies: int, heard: Heard) -> None:
        """Send packed commands at the end of this iteration of the event loop; `heard` is as in `Pending`.

        `heard` gets the replies, or else `TimeoutError`, `NotSentError` or one of `FAILURES`.
        """
        batch = self._batch
        if batch is None:
            batch = self._batch = _Batch(self._timeout_s, self._expired)
            asyncio.get_running_loop().call_soon(self._flush)
        batch.join(wire, replies, heard)

    async def warm_up(self) -> None:
        """Connect outside of any caller's deadline. A failure is not raised: the next caller gets it."""
        if self._line is None:
            await asyncio.wait([self._connecting_now()])

    def leave(self) -> None:
        """Have later batches go to a new connection, which may lead to another server; not more than once a second."""
        line = self._line
        if line is not None and line.is_older_than(_LINE_AGE_MIN_S):
            self._line = None
            self._retired.add(line)  # until its replies are read

    def shut(self) -> None:
        """Tell all waiting callers at once that no reply will come."""
        self._is_shut = True
        if self._connecting is not None:
            self._connecting.cancel()
        for line in (*self._retired, self._line):
            if line is not None:
                line.close(_shut_down())
        self._fail_waiting(_shut_down())

    async def close(self) -> None:
        connecting = self._connecting
        self.shut()
        if connecting is not None:
            await asyncio.wait([connecting])

    def _flush(self) -> None:
        batch, self._batch = self._batch, None
        if batch is not None:
            self._in_line.extend(batch.members)
            self._send()

    def _send(self) -> None:
        """Send commands from the line, as far as there is room."""
        line = self._line
        if self._is_shut:
            self._fail_waiting(_shut_down())
            return
        if line is None:
            self._connecting_now()
            return
        members: list[Pending] = []
        room = _UNDER_WAY_MAX - len(line.queue)
        while self._in_line and len(members) < room:
            pending = self._in_line.popleft()
            if not pending.is_over:
                members.append(pending)
        if members:
            line.send(members)

    def _connecting_now(self) -> asyncio.Task[None]:
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect_for_all(), name="to Redis")
        return self._connecting

    async def _connect_for_all(self) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                writer = await self._connect()
        except FAILURES as error:
            self._connecting = None
            self._fail_waiting(error)
        else:
            self._connecting = None
            self._line = _Line(writer, self._bulk_bytes_max, self._received, self._lost)
            self._send()

    def _fail_waiting(self, error: Exception) -> None:
        in_line, self._in_line = self._in_line, deque()
        for pending in in_line:
            pending.end(error)

    def _received(self, line: _Line) -> None:
        if line is not self._line:
            self._close_if_idle(line)
        elif self._in_line:
            self._send()

    def _lost(self, line: _Line) -> None:
        self._retired.discard(line)
        if line is self._line:
            self._line = None
            self._fail_waiting(ConnectionError("the connection to Redis is lost"))

    def _expired(self, batch: _Batch) -> None:
        line = self._line
        if line is not None and any(each.was_sent and not each.is_over for each in batch.members):
            # They may wait on this connection or on a retired one. Redis is slow either way: later callers start anew.
            self._line = None
            self._retired.add(line)
        for pending in batch.members:
            pending.end(TimeoutError() if pending.was_sent or line is None else NotSentError())
        for each in tuple(self._retired):
            self._close_if_idle(each)
        self._in_line = deque(pending for pending in self._in_line if not pending.is_over)
        if self._in_line:
            self._send()

    def _close_if_idle(self, line: _Line) -> None:
        if line.queue.is_idle:
            line.close(TimeoutError())


class _Batch:
    """Collects the callers of one iteration of the event loop and holds the deadline that they share."""

    __slots__ = ("_deadline", "_unanswered", "members")

    def __init__(self, timeout_s: float, expired: Callable[[_Batch], object]) -> None:
        self.members: list[Pending] = []
        self._unanswered = 0
        self._deadline = Deadline(timeout_s, lambda: expired(self))

    def join(self, wire: bytes, replies: int, heard: Heard) -> None:
        self._unanswered += 1
        self.members.append(Pending(wire, replies, heard, self._ended))

    def _ended(self) -> None:
        self._unanswered -= 1
        if not self._unanswered:
            self._deadline.cancel()
            self.members = []  # each refers to its batch


class _Line:
    """Writes to an open connection and reads from it, as `asyncio.Protocol` does.

    Calls `received` when replies have come, and `lost` when there will be no more.
    """

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        bulk_bytes_max: int,
        received: Callable[[_Line], object],
        lost: Callable[[_Line], object],
    ) -> None:
        self._writer = writer  # kept, because a writer without references closes its transport
        self._transport = writer.transport
        self._received = received
        self._lost = lost
        self._opened_s = asyncio.get_running_loop().time()
        self.queue = ReplyQueue(bulk_bytes_max)
        self._transport.set_protocol(cast("asyncio.Protocol", self))  # compiled, it can have no other base

    def is_older_than(self, age_s: float) -> bool:
        return asyncio.get_running_loop().time() - self._opened_s >= age_s

    def send(self, members: list[Pending]) -> None:
        for pending in members:
            self.queue.expect(pending)
        self._transport.write(b"".join([pending.wire for pending in members]))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing: the transport was there before."""

    def pause_writing(self) -> None:
        """Nothing: what is under way is bounded, and has its deadline."""

    def resume_writing(self) -> None:
        """Nothing, as above."""

    def eof_received(self) -> None:
        """The connection is closed, and `connection_lost` called."""

    def data_received(self, data: bytes) -> None:
        try:
            self.queue.feed(data)
        except InvalidResponse as error:
            self.close(error)
        else:
            self._received(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(exc or ConnectionError("the connection to Redis is lost"))

    def close(self, error: Exception) -> None:
        self._lost(self)
        self._transport.abort()
        self.queue.fail(error)


def _shut_down() -> ConnectionError:
    return ConnectionError("the connection to Redis is not used any more")
