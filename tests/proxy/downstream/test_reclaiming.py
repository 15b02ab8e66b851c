"""Room that is taken back from the oldest unproductive holder."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.downstream.reclaiming import Reclaimable


def taker(room):
    lost = []

    def take(network, name):
        return room.take(network, lambda: lost.append(name))

    return take, lost


def test_a_network_that_exceeds_its_share_loses_its_own_oldest():
    take, lost = taker(room := Reclaimable(10, 2))
    take("other", "o1")
    for name in ("a1", "a2", "a3", "a4"):
        assert take("a", name) is not None
    assert lost == ["a1", "a2"]
    assert len(room) == 3


def test_when_all_is_taken_the_network_that_holds_most_makes_room():
    take, lost = taker(room := Reclaimable(4, 4))
    for network, name in (("b", "b1"), ("a", "a1"), ("a", "a2"), ("a", "a3"), ("c", "c1"), ("d", "d1")):
        assert take(network, name) is not None
    assert lost == ["a1", "a2"]
    assert len(room) == 4


def test_a_productive_holder_is_never_taken_from():
    take, lost = taker(Reclaimable(2, 2))
    first, second = take("a", "a1"), take("a", "a2")
    first.keep()
    assert take("a", "a3") is not None
    assert lost == ["a2"]
    assert second.is_lost
    assert not first.is_lost


def test_when_all_are_productive_the_newest_is_refused_and_nobody_lost():
    take, lost = taker(room := Reclaimable(2, 2))
    holds = [take("a", "a1"), take("b", "b1")]
    for hold in holds:
        hold.keep()
    assert take("c", "c1") is None
    assert take("a", "a2") is None
    assert lost == []
    room.leave(holds[0])
    assert take("c", "c1") is not None


def test_too_many_bytes_are_taken_from_the_network_that_holds_most_of_them():
    take, lost = taker(room := Reclaimable(10, 10, bytes_max=100))
    honest, greedy = take("a", "honest"), take("b", "greedy")
    room.grew(honest, 20)
    room.grew(greedy, 80)
    assert lost == []
    newer = take("b", "newer")
    room.grew(newer, 30)
    assert lost == ["greedy"]
    room.grew(greedy, 1000)  # it is no holder any more
    room.leave(greedy)
    room.leave(newer)
    room.leave(newer)
    assert len(room) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.sampled_from(["stay", "leave", "keep"]))))
def test_no_bound_is_ever_exceeded(steps):
    room, held = Reclaimable(5, 3, bytes_max=100), []
    for network, size, then in steps:
        hold = room.take(network, lambda: None)
        if hold is None:
            continue
        held.append(hold)
        room.grew(hold, size)
        if then == "leave":
            room.leave(hold)
            held.remove(hold)
        elif then == "keep" and sum(one.is_productive for one in held) < 2:
            hold.keep()
        held = [one for one in held if not one.is_lost]
        assert len(room) == len(held) <= 5
        assert max(Counter(one.network for one in held).values(), default=0) <= 3
        assert sum(one.held_bytes for one in held if not one.is_productive) <= 100
