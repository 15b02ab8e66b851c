"""Which open exchanges a purge ends, however it comes and whenever they become known."""

from dataclasses import replace

import pytest

from gateway.introspection.tag_purge import purge_everything, purge_of
from gateway.proxy.streams.exchange_index import OpenExchanges, StreamFate, window_of

A, B, KEY_A, KEY_B, SHARED = b"sub a", b"sub b", b"key a", b"key b", b"client"


@pytest.fixture
def known():
    made = OpenExchanges()
    assert made.put("a", (KEY_A, A, SHARED), 0.0) is StreamFate.GOES_ON
    assert made.put("b", (KEY_B, B, SHARED), 0.0) is StreamFate.GOES_ON
    assert made.put("nobody's", (), 0.0) is StreamFate.GOES_ON
    return made


@pytest.mark.parametrize(
    ("tags", "ended"),
    [([A], {"a"}), ([KEY_B], {"b"}), ([SHARED], {"a", "b"}), ([A, B], {"a", "b"}), ([b"another"], set()), ([], set())],
)
def test_a_purge_ends_those_that_bear_one_of_its_marks(known, tags, ended):
    assert known.purge(purge_of(tags), 1.0) == (StreamFate.ENDS, ended)


def test_everything_has_those_asked_about_that_have_a_token(known):
    assert known.purge(purge_everything(), 1.0) == (StreamFate.IS_ASKED, {"a", "b"})


def test_an_order_about_a_realm_has_its_own_asked_about(known):
    known.put("c", (b"key c", b"another realm"), 0.0)
    order = replace(purge_of([SHARED]), is_of_realms=True)
    assert known.purge(order, 1.0) == (StreamFate.IS_ASKED, {"a", "b"})
    assert known.put("late", (b"key", SHARED), 0.5) is StreamFate.IS_ASKED


def test_the_same_order_by_another_way_means_nothing(known):
    order = purge_of([A])
    assert known.purge(order, 1.0) == (StreamFate.ENDS, {"a"})
    assert known.purge(order, 1.0) == (StreamFate.GOES_ON, set())


def test_what_has_ended_is_found_no_more(known):
    known.discard("a")
    known.discard("a")
    assert known.purge(purge_of([A, SHARED]), 1.0) == (StreamFate.ENDS, {"b"})
    assert set(known) == {"b", "nobody's"}


def test_what_has_new_marks_is_found_only_by_these(known):
    assert known.put("a", (KEY_A, b"new"), 0.0) is StreamFate.GOES_ON
    assert known.purge(purge_of([A]), 1.0) == (StreamFate.ENDS, set())
    assert known.purge(purge_of([b"new"]), 1.0) == (StreamFate.ENDS, {"a"})


@pytest.mark.parametrize(
    ("order", "since_s", "fate"),
    [
        (purge_of([b"key c"]), 5.0, StreamFate.ENDS),
        (purge_of([b"key c"]), 5.1, StreamFate.GOES_ON),
        (purge_of([b"another"]), 0.0, StreamFate.GOES_ON),
        (purge_everything(), 5.0, StreamFate.IS_ASKED),
        (purge_everything(), 5.1, StreamFate.GOES_ON),
    ],
)
def test_a_purge_counts_for_what_was_let_in_before_it_and_is_known_only_later(known, order, since_s, fate):
    known.purge(order, 5.0)
    assert known.put("c", (b"key c", b"sub c"), since_s) is fate


def test_purges_are_forgotten_once_nobody_can_have_missed_them(known):
    known.purge(purge_of([b"old"]), 1.0)
    known.purge(purge_of([b"young"]), 9.0)
    known.forget_purges(5.0)
    assert known.put("c", (b"old",), 0.0) is StreamFate.GOES_ON
    assert known.put("c", (b"young",), 0.0) is StreamFate.ENDS


def test_what_is_too_much_to_remember_is_not_forgotten_silently(known, monkeypatch):
    monkeypatch.setattr("gateway.proxy.streams.exchange_index._PURGED_MAX", 10)
    known.purge(purge_of([b"first"]), 1.0)
    for number in range(10):
        known.purge(purge_of([b"%d" % number]), 2.0)
    assert known.put("c", (b"first",), 0.5) is StreamFate.IS_ASKED
    assert known.put("c", (b"first",), 1.5) is StreamFate.GOES_ON
    assert known.put("c", (b"9",), 1.5) is StreamFate.ENDS


@pytest.mark.parametrize(
    ("ttl_s", "max_age_s", "stale_s", "expected"),
    [
        (60, None, None, (45, 60)),
        (60, 20, None, (15, 20)),
        (20, 60, None, (15, 20)),
        (60, None, 300, (45, 360)),
        (0, None, None, (0.75, 1)),
        (60, 0, 10, (0.75, 11)),
    ],
)
def test_facts_are_asked_for_again_while_their_window_still_has_time_for_an_outage(ttl_s, max_age_s, stale_s, expected):
    window = window_of(ttl_s, max_age_s, stale_s)
    assert (window.ask_after_s, window.end_after_s) == expected


def test_a_purge_costs_no_look_at_what_it_does_not_cover():
    looked = 0

    class Counted:
        def __hash__(self):
            nonlocal looked
            looked += 1
            return id(self)

    known = OpenExchanges()
    for number in range(1000):
        known.put(Counted(), (b"key %d" % number, b"sub %d" % (number % 500)), 0.0)
    looked = 0
    _, ended = known.purge(purge_of([b"sub 7"]), 1.0)
    assert len(ended) == 2
    assert looked < 20
