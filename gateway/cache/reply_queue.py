"""Matches the replies of one Redis connection to the callers: Redis replies in the order of the commands.

Pure: `feed` takes bytes and hands replies to the callers. A server is not trusted. A reply that nobody asked for is a
fault of the connection, which is then given up. A false reply in the place of a true one is noticed later, when its
entry is opened: each entry is sealed for its own key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from redis.exceptions import InvalidResponse

from gateway.cache.resp import Reply, ReplyParser

# Gets as many replies as there were commands, or the reason why there are none.
Heard = Callable[[list[Reply] | Exception], object]


class Pending:
    """Collects the replies to one caller's commands.

    `wire` holds the packed commands, and `replies` is the number of replies to come. `heard` is called once and must
    not raise; `ended` is called after it. Later replies are dropped.
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
        """Take one reply; true for the last one."""
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
    """Holds the callers in the order of their commands. `bulk_bytes_max` is as in `ReplyParser`."""

    def __init__(self, bulk_bytes_max: int) -> None:
        self._parser = ReplyParser(bulk_bytes_max)
        self._expected: deque[Pending] = deque()

    def __len__(self) -> int:
        """The number of callers in the queue, including those that have given up."""
        return len(self._expected)

    @property
    def is_idle(self) -> bool:
        """Whether all callers have given up, or there are none."""
        return all(pending.is_over for pending in self._expected)

    def expect(self, pending: Pending) -> None:
        """Append `pending`: its replies come after those of all callers before it."""
        pending.was_sent = True
        self._expected.append(pending)

    def feed(self, data: bytes) -> None:
        """Hand out the replies in `data`. After `InvalidResponse` nothing more may be fed."""
        expected = self._expected
        for reply in self._parser.feed(data):
            if not expected:
                raise InvalidResponse("a reply that nobody asked for")
            if expected[0].got(reply):
                expected.popleft()

    def fail(self, error: Exception) -> None:
        """Give `error` to all callers that still wait."""
        expected, self._expected = self._expected, deque()
        for pending in expected:
            pending.end(error)
