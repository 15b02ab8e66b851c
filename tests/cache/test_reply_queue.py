import pytest
from redis.exceptions import InvalidResponse

from gateway.cache.reply_queue import Pending, ReplyQueue
from gateway.cache.resp import Reply


class Caller:
    """One who waits for `replies`, and what came."""

    def __init__(self, replies: int) -> None:
        self.heard: list[list[Reply] | Exception] = []
        self.ended = 0
        self.pending = Pending(b"", replies, self.heard.append, self._end)

    def _end(self) -> None:
        self.ended += 1


def queue_of(*callers: Caller) -> ReplyQueue:
    queue = ReplyQueue(100)
    for caller in callers:
        queue.expect(caller.pending)
    return queue


def test_each_gets_its_own_replies_in_the_order_of_the_asking() -> None:
    callers = [Caller(2), Caller(1), Caller(2)]
    queue = queue_of(*callers)
    for byte in b":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n":
        queue.feed(bytes([byte]))
    assert [caller.heard for caller in callers] == [[[1, 2]], [[3]], [[4, 5]]]
    assert [caller.ended for caller in callers] == [1, 1, 1]
    assert len(queue) == 0


def test_the_replies_to_one_who_gave_up_are_nobody_elses() -> None:
    gone, other = Caller(2), Caller(1)
    queue = queue_of(gone, other)
    queue.feed(b":1\r\n")
    gone.pending.end(TimeoutError())
    assert not queue.is_idle
    queue.feed(b":2\r\n:3\r\n")
    assert [type(heard) for heard in gone.heard] == [TimeoutError]
    assert gone.ended == 1
    assert other.heard == [[3]]


def test_a_reply_that_nobody_asked_for_ends_the_connection() -> None:
    caller = Caller(1)
    queue = queue_of(caller)
    with pytest.raises(InvalidResponse):
        queue.feed(b":1\r\n:2\r\n")
    assert caller.heard == [[1]]


def test_when_nothing_comes_any_more_everybody_hears_of_it_once() -> None:
    callers = [Caller(2), Caller(1)]
    queue = queue_of(*callers)
    queue.feed(b":1\r\n")
    error = ConnectionError()
    queue.fail(error)
    queue.fail(error)
    assert [caller.heard for caller in callers] == [[error], [error]]
    assert queue.is_idle
