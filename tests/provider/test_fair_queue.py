"""Shares of slots and places, as transcripts: who comes, who goes, who gives way."""

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.client_network import ClientNetwork, client_network
from gateway.provider.fair_queue import FairQueue, Queued, QueueFull, SlotGranted

A, B, C = (client_network(f"192.0.2.{number}") for number in (1, 2, 3))
SITE_1, SITE_2, SITE_3 = (client_network(f"2001:db8:7:{number}::1") for number in (1, 2, 3))


def filled(queue: FairQueue[str], network: ClientNetwork, *names: str) -> list[object]:
    return [queue.enter(network, name) for name in names]


def next_one(queue: FairQueue[str], network: ClientNetwork) -> str | None:
    """Who goes when a slot of `network` comes free."""
    queue.release(network)
    going = [waiter for _, waiter in queue.next_waiters()]
    assert len(going) <= 1
    return next(iter(going), None)


def test_a_single_network_may_use_everything():
    queue: FairQueue[str] = FairQueue(capacity=2, places=3)
    came = filled(queue, A, "a1", "a2", "a3", "a4", "a5", "a6")
    assert came == [SlotGranted(), SlotGranted(), Queued(), Queued(), Queued(), QueueFull()]
    assert [next_one(queue, A) for _ in range(3)] == ["a3", "a4", "a5"]


def test_networks_take_turns_however_many_of_each_wait():
    queue: FairQueue[str] = FairQueue(capacity=1, places=9)
    filled(queue, A, "a1", "a2", "a3", "a4")
    filled(queue, B, "b1", "b2")
    filled(queue, C, "c1")
    holders = [A, A, B, C, A, B]
    assert [next_one(queue, holder) for holder in holders] == ["a2", "b1", "c1", "a3", "b2", "a4"]


def test_a_network_whose_calls_take_long_waits_for_its_own():
    queue: FairQueue[str] = FairQueue(capacity=4, places=9)
    filled(queue, A, "a1", "a2", "a3", "a4", "a5", "a6")
    filled(queue, B, "b1", "b2", "b3")
    assert next_one(queue, A) == "b1"
    assert next_one(queue, B) == "b2"  # 3 slots are A's
    assert next_one(queue, B) == "b3"
    assert next_one(queue, B) == "a5"


def test_the_network_with_the_most_places_gives_up_its_newest():
    queue: FairQueue[str] = FairQueue(capacity=1, places=4)
    filled(queue, A, "a0", "a1", "a2", "a3", "a4")
    assert filled(queue, B, "b1", "b2", "b3") == [Queued("a4"), Queued("a3"), QueueFull()]
    assert filled(queue, C, "c1") == [Queued("a2")]
    assert filled(queue, A, "a5") == [QueueFull()]


def test_a_thousand_networks_of_one_site_have_one_share():
    queue: FairQueue[str] = FairQueue(capacity=1, places=4)
    filled(queue, SITE_1, "x0", "x1", "x2")
    filled(queue, SITE_2, "y1")
    filled(queue, SITE_3, "z1")
    assert filled(queue, B, "b1", "b2") == [Queued("x2"), Queued("z1")]  # the site holds four, then three
    assert [next_one(queue, holder) for holder in (SITE_1, SITE_1, B, SITE_2)] == ["x1", "b1", "y1", "b2"]


def test_within_a_site_too_the_place_is_taken_from_the_largest():
    queue: FairQueue[str] = FairQueue(capacity=1, places=3)
    filled(queue, SITE_1, "x0", "x1", "x2", "x3")
    assert filled(queue, SITE_2, "y1", "y2") == [Queued("x3"), QueueFull()]


def test_none_waits_where_there_are_no_places():
    queue: FairQueue[str] = FairQueue(capacity=1, places=0)
    assert filled(queue, A, "a1", "a2") == [SlotGranted(), QueueFull()]
    assert filled(queue, B, "b1") == [QueueFull()]


def test_a_waiter_that_left_is_passed_over_and_leaves_once():
    queue: FairQueue[str] = FairQueue(capacity=1, places=4)
    filled(queue, A, "a1", "a2", "a3")
    assert queue.leave(A, "a2")
    assert not queue.leave(A, "a2")
    assert not queue.leave(B, "a3")
    assert next_one(queue, A) == "a3"


def test_more_slots_let_more_go_and_fewer_fewer():
    queue: FairQueue[str] = FairQueue(capacity=1, places=9)
    filled(queue, A, "a1", "a2", "a3", "a4")
    queue.capacity = 3
    assert [waiter for _, waiter in queue.next_waiters()] == ["a2", "a3"]
    queue.capacity = 1
    queue.release(A)
    assert queue.next_waiters() == []
    assert not queue.has_room


def test_a_cleared_queue_is_empty_and_takes_new_waiters():
    queue: FairQueue[str] = FairQueue(capacity=1, places=2)
    filled(queue, A, "a1", "a2")
    filled(queue, B, "b1")
    assert queue.clear() == ["a2", "b1"]
    assert filled(queue, B, "b2", "b3", "b4") == [Queued(), Queued(), QueueFull()]


class Model:
    """What a queue must agree with: who holds how many slots, and who waits."""

    def __init__(self) -> None:
        self.queue: FairQueue[int] = FairQueue(capacity=3, places=6)
        self.names = itertools.count()
        self.holding = Counter[ClientNetwork]()
        self.waiting: dict[int, ClientNetwork] = {}

    def come(self, network: ClientNetwork) -> None:
        name = next(self.names)
        match self.queue.enter(network, name):
            case SlotGranted():
                self.holding[network] += 1
            case Queued(displaced):
                if displaced is not None:
                    blocks = Counter(one.block for one in self.waiting.values())
                    assert blocks[self.waiting.pop(displaced).block] == max(blocks.values())
                self.waiting[name] = network
            case QueueFull():
                assert len(self.waiting) == 6

    def end(self, network: ClientNetwork) -> None:
        if not self.holding[network]:
            return
        self.holding[network] -= 1
        self.queue.release(network)
        for going, waiter in self.queue.next_waiters():
            assert self.waiting.pop(waiter) == going
            self.holding[going] += 1

    def leave(self, network: ClientNetwork) -> None:
        for name in [one for one, of in self.waiting.items() if of == network][:1]:
            assert self.queue.leave(network, name)
            del self.waiting[name]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["come", "come", "end", "leave"])), max_size=200))
def test_whatever_comes_nothing_is_lost_no_slot_lies_idle_and_only_the_largest_gives_way(steps):
    networks = [A, B, C, SITE_1, SITE_2, client_network("203.0.113.9")]
    model = Model()
    for number, step in steps:
        getattr(model, step)(networks[number])
        assert (model.queue.taken, model.queue.waiting) == (model.holding.total(), len(model.waiting))
        assert not model.waiting or model.queue.taken == 3
