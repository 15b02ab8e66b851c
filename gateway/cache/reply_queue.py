"""Who waits for which reply of one Redis connection: Redis answers in the order in which it was asked.

Pure: bytes come in by `feed`, replies go out to those who wait. Nothing that a server sends is trusted: a reply that
nobody asked for is a fault of the connection, which is then given up. What such a server puts in the place of an
answer is for the reader to find out; an entry is sealed for its own place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from redis.exceptions import InvalidResponse

from gateway.cache.resp import Reply, ReplyParser

# As many replies as there were commands, or why there are none.
Heard = Callable[[list[Reply] | Exception], object]


class Pending:
    """One caller's commands, packed in `wire`, and `replies`, how many there will be.

    `heard` is called once and must not raise, then `ended`. Replies that still come after that are dropped.
    """

    __slots__ = ("_ended", "_got", "_heard", "_replies", "was_sent", "wire")

    def __init__(self, wire: bytes, replies: int, heard: Heard, ended: Callable[[], object]) -> None:
        self.wire = wire
        self.was_sent = False
        self._replies = replies
        self._heard: Heard | None = heard
        self._ended = ended
        self._got: list[Reply] = []

    @property
    def is_over(self) -> bool:
        return self._heard is None

    def got(self, reply: Reply) -> bool:
        """Whether that was the last one."""
        self._got.append(reply)
        if len(self._got) < self._replies:
            return False
        self.end(self._got)
        return True

    def end(self, outcome: list[Reply] | Exception) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            heard(outcome)
            self._ended()


class ReplyQueue:
    """`bulk_bytes_max` is as in `ReplyParser`."""

    def __init__(self, bulk_bytes_max: int) -> None:
        self._parser = ReplyParser(bulk_bytes_max)
        self._expected: deque[Pending] = deque()

    def __len__(self) -> int:
        """How many are expected, those included whose callers have given up."""
        return len(self._expected)

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything that is still to come."""
        return all(pending.is_over for pending in self._expected)

    def expect(self, pending: Pending) -> None:
        """The replies to `pending` come after all that were expected before."""
        pending.was_sent = True
        self._expected.append(pending)

    def feed(self, data: bytes) -> None:
        """Hands out what came. Raises `InvalidResponse`; nothing may be fed after that."""
        expected = self._expected
        for reply in self._parser.feed(data):
            if not expected:
                raise InvalidResponse("a reply that nobody asked for")
            if expected[0].got(reply):
                expected.popleft()

    def fail(self, error: Exception) -> None:
        """Nothing comes any more."""
        expected, self._expected = self._expected, deque()
        for pending in expected:
            pending.end(error)
