import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.purge_index import LOG_ID_BYTES, Message, PurgeIndex, position
from gateway.introspection.tag_purge import TagPurge, purge_everything, purge_of

LOG, OTHER = b"log 1, 16 bytes.", b"log 2, 16 bytes."


def at(number: int) -> bytes:
    return position(b"1700000000000-%d" % number)


def opened() -> PurgeIndex:
    purge_index = PurgeIndex()
    purge_index.read(at(0), Message(LOG, None))
    return purge_index


def test_positions_sort_as_streams_do() -> None:
    ids = [b"0-1", b"9-0", b"10-0", b"10-2", b"10-10", b"1700000000000-0"]
    assert sorted(ids, key=position) == ids


def test_while_the_log_is_unknown_nothing_stands() -> None:
    purge_index = PurgeIndex()
    assert purge_index.log_position() == b""
    assert not purge_index.is_valid(b"", [b"key"], 0)
    assert not purge_index.is_valid(LOG + at(0), [b"key"], 0)


def test_what_was_asked_for_before_a_purge_does_not_stand_after_it_and_what_came_later_does() -> None:
    purge_index = opened()
    before = purge_index.log_position()
    assert purge_index.is_valid(before, [b"key", b"alice"], 0)
    purge_index.read(at(1), Message(LOG, purge_of([b"alice"])))
    assert not purge_index.is_valid(before, [b"key", b"alice"], 0)
    assert purge_index.is_valid(before, [b"key", b"bob"], 0)
    assert purge_index.is_valid(purge_index.log_position(), [b"key", b"alice"], 0)


def test_a_purge_of_everything_leaves_nothing_standing() -> None:
    purge_index = opened()
    before = purge_index.log_position()
    purge_index.read(at(1), Message(LOG, purge_everything()))
    assert not purge_index.is_valid(before, [b"key"], 0)
    assert purge_index.is_valid(purge_index.log_position(), [b"key"], 0)


def test_a_message_that_cannot_be_read_purges_everything() -> None:
    purge_index = opened()
    before = purge_index.log_position()
    assert purge_index.read(at(1), None).tags is None
    assert not purge_index.is_valid(before, [b"key"], 0)
    assert purge_index.is_valid(purge_index.log_position(), [b"key"], 0)


@pytest.mark.parametrize("stream_id", [b"", b"5", b"a-b", b"-1-0", b"1-" + b"9" * 30, b"9" * 5000 + b"-1"])
def test_what_is_no_position_is_a_value_error(stream_id: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it has many words
        position(stream_id)


def test_another_log_purges_everything_even_if_its_positions_are_lower() -> None:
    purge_index = opened()
    purge_index.read(at(5), Message(LOG, purge_of([b"bob"])))
    before = purge_index.log_position()
    assert purge_index.read(at(2), Message(OTHER, purge_of([b"bob"]))).tags is None
    assert not purge_index.is_valid(before, [b"key"], 0)
    assert purge_index.is_valid(purge_index.log_position(), [b"key"], 0)


def test_what_is_ordered_here_holds_before_the_log_has_it() -> None:
    purge_index, purge = opened(), purge_of([b"alice"])
    before = purge_index.log_position()
    purge_index.expect(purge, 100, 60)
    assert not purge_index.is_valid(purge_index.log_position(), [b"key", b"alice"], 100)
    assert purge_index.is_valid(purge_index.log_position(), [b"key", b"bob"], 100)
    purge_index.read(at(1), Message(LOG, purge))
    assert purge_index.is_valid(purge_index.log_position(), [b"key", b"alice"], 100)
    assert not purge_index.is_valid(before, [b"key", b"alice"], 100)


def test_what_is_ordered_here_and_never_reaches_the_log_holds_as_long_as_anything_lives() -> None:
    purge_index = opened()
    purge_index.expect(purge_of([b"alice"]), 100, 60)
    assert not purge_index.is_valid(purge_index.log_position(), [b"alice"], 159)
    assert purge_index.is_valid(purge_index.log_position(), [b"alice"], 160)


def test_an_order_that_the_log_brought_first_is_not_waited_for() -> None:
    purge_index, purge = opened(), purge_of([b"alice"])
    purge_index.read(at(1), Message(LOG, purge))
    purge_index.expect(purge, 100, 60)
    assert purge_index.is_valid(purge_index.log_position(), [b"alice"], 100)


def test_an_order_that_is_told_twice_voids_nothing_that_was_asked_for_in_between() -> None:
    purge_index, purge = opened(), purge_of([b"alice"])
    purge_index.read(at(1), Message(LOG, purge))
    between = purge_index.log_position()
    assert purge_index.read(at(2), Message(LOG, purge)) is purge
    assert purge_index.is_valid(between, [b"alice"], 0)
    assert purge_index.log_position() > between


def test_what_is_read_again_after_a_restart_counts_again() -> None:
    purge_index, purge = opened(), purge_of([b"alice"])
    purge_index.read(at(1), Message(LOG, purge))
    purge_index.restart()
    purge_index.read(at(0), Message(OTHER, None))
    before = purge_index.log_position()
    purge_index.read(at(1), Message(OTHER, purge))
    assert not purge_index.is_valid(before, [b"alice"], 0)
    assert purge_index.is_valid(before, [b"bob"], 0)


def test_a_log_that_was_put_back_is_not_believed_again() -> None:
    purge_index = opened()
    before = purge_index.log_position()
    purge_index.read(at(1), Message(LOG, purge_of([b"alice"])))
    purge_index.restart()
    purge_index.read(at(0), Message(LOG, None))
    assert purge_index.log_id is None
    assert not purge_index.is_valid(before, [b"bob"], 0)
    late = purge_of([b"carol"])
    assert purge_index.read(at(1), Message(LOG, late)) == late
    assert (purge_index.log_id, purge_index.log_position()) == (None, b"")


@pytest.mark.parametrize("now", [0.0, 1_700_000_000.0, 1e9])
def test_the_log_that_is_opened_next_is_later_than_all_that_were_read_whatever_the_clock_says(now: float) -> None:
    purge_index = PurgeIndex()
    ids = []
    for clock in (now, now, now - 500, now + 0.001):
        ids.append(purge_index.next_log_id(max(0.0, clock)))
        assert len(ids[-1]) == LOG_ID_BYTES
        purge_index.restart()
        purge_index.read(at(0), Message(ids[-1], None))
        assert purge_index.log_id == ids[-1]
    assert sorted(ids) == ids


def test_an_earlier_log_opened_at_the_same_moment_changes_nothing() -> None:
    purge_index = PurgeIndex()
    purge_index.read(at(0), Message(OTHER, None))
    before = purge_index.log_position()
    assert purge_index.read(at(1), Message(LOG, None)).tags == frozenset()
    assert purge_index.is_valid(before, [b"alice"], 0)
    purge_index.read(at(2), Message(LOG, purge_of([b"alice"])))  # by a process that has not read of the later one
    assert not purge_index.is_valid(before, [b"alice"], 0)
    assert purge_index.is_valid(before, [b"bob"], 0)


def test_a_flood_of_orders_ends_in_one_for_everything() -> None:
    purge_index = opened()
    for number in range(1_500):
        purge_index.expect(purge_of([b"%d" % number]), 100, 60)
    assert len(purge_index._awaited) <= 1_000
    assert not purge_index.is_valid(purge_index.log_position(), [b"nobody"], 100)
    assert purge_index.is_valid(purge_index.log_position(), [b"nobody"], 160)


def test_a_flood_of_purges_is_forgotten_on_the_safe_side() -> None:
    purge_index = opened()
    early = purge_index.log_position()
    for number in range(1, 10_102):
        purge_index.read(at(number), Message(LOG, purge_of([b"%d" % number])))
    assert len(purge_index._latest) == 10_000
    assert not purge_index.is_valid(early, [b"nobody"], 0)
    assert purge_index.is_valid(LOG + at(5_000), [b"nobody"], 0)
    assert purge_index.is_valid(purge_index.log_position(), [b"nobody"], 0)


def test_a_restart_knows_nothing_and_purges_everything() -> None:
    purge_index = opened()
    before = purge_index.log_position()
    purge = purge_index.restart()
    assert purge.tags is None
    assert not purge_index.is_valid(before, [b"key"], 0)
    purge_index.expect(purge, 0, 60)  # it comes back by way of the authenticator
    purge_index.read(at(9), Message(OTHER, None))
    assert purge_index.is_valid(purge_index.log_position(), [b"key"], 0)


@given(st.lists(st.none() | st.frozensets(st.sampled_from([b"a", b"b", b"c"]), min_size=1), min_size=1), st.data())
def test_an_answer_stands_exactly_when_no_later_purge_covers_it(
    history: list[frozenset[bytes] | None], data: st.DataObject
) -> None:
    purge_index, standings = opened(), []
    standings.append(purge_index.log_position())
    for number, tags in enumerate(history, start=1):
        purge_index.read(at(number), Message(LOG, TagPurge(b"%d" % number, tags)))
        standings.append(purge_index.log_position())
    known = data.draw(st.integers(0, len(history)))
    mine = data.draw(st.frozensets(st.sampled_from([b"a", b"b", b"c"])))
    covered = any(tags is None or tags & mine for tags in history[known:])
    assert purge_index.is_valid(standings[known], mine, 0) is not covered


@pytest.mark.parametrize("text", [b"", b"[]", b'{"log":1}', b'{"log":"zz","purge":null}', b'{"log":"00","purge":{}}'])
def test_a_message_of_another_version_is_none(text: bytes) -> None:
    assert Message.decode(text) is None


@given(st.binary(max_size=8), st.none() | st.builds(purge_of, st.lists(st.binary())))
def test_a_message_survives_the_way_through_redis(log_id: bytes, purge: TagPurge | None) -> None:
    assert Message.decode(Message(log_id, purge).encode()) == Message(log_id, purge)
