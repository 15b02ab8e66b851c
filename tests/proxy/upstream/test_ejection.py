"""Which backends are out: rows of failures, one request that tries again, health questions, never all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.upstream.ejection import Ejection


def failing(one: Ejection, place: int, times: int, now_s: float = 0.0) -> list[bool]:
    return [one.failed(place, now_s) for _ in range(times)]


def test_so_many_failures_in_a_row_take_it_out():
    one = Ejection(3, failures=3, eject_s=10.0)
    assert failing(one, 1, 2) == [False, False]
    assert (one.usable, one.is_up(1)) == ((0, 1, 2), True)
    assert failing(one, 1, 2) == [True, False]  # told of once
    assert (one.usable, one.others, one.is_up(1), one.changes_s) == ((0, 2), (1,), False, 10.0)


def test_an_answer_ends_the_row():
    one = Ejection(2, failures=3, eject_s=10.0)
    for _ in range(5):
        failing(one, 0, 2)
        assert one.answered(0) is False
    assert one.usable == (0, 1)


def test_after_its_time_one_request_tries_it_and_one_more_failure_takes_it_out_again():
    one = Ejection(2, failures=3, eject_s=10.0)
    failing(one, 0, 3)
    one.look(9.9)
    assert one.usable == (1,)
    one.look(10.0)
    assert one.usable == (0, 1)
    one.tried(0, 10.0)
    assert (one.usable, one.changes_s) == ((1,), 20.0)  # nobody else, until that one has an answer
    one.look(20.0)
    assert failing(one, 0, 1, 20.0) == [False]
    assert (one.usable, one.changes_s) == ((1,), 30.0)


def test_an_answer_to_the_one_that_tried_brings_it_back_at_once():
    one = Ejection(2, failures=3, eject_s=10.0)
    failing(one, 0, 3)
    one.look(10.0)
    one.tried(0, 10.0)
    assert one.answered(0) is True
    assert (one.usable, one.is_up(0)) == ((0, 1), True)
    assert failing(one, 0, 2, 11.0) == [False, False]  # a new row
    assert one.usable == (0, 1)


def test_one_that_is_well_may_be_tried_by_many():
    one = Ejection(2, failures=3, eject_s=10.0)
    failing(one, 0, 2)
    one.tried(0, 1.0)
    assert one.usable == (0, 1)


def test_the_only_one_is_never_out_and_yet_known_to_be_down():
    one = Ejection(1, failures=2, eject_s=10.0)
    assert failing(one, 0, 5) == [False, True, False, False, False]
    assert (one.usable, one.is_up(0)) == ((0,), False)
    assert one.answered(0) is True


def test_when_all_are_out_all_are_tried():
    one = Ejection(2, failures=1, eject_s=10.0)
    failing(one, 0, 1, 0.0)
    failing(one, 1, 1, 5.0)
    assert one.usable == (0, 1)
    one.look(10.0)
    assert one.usable == (0,)  # its time is over, that of the other is not


@pytest.mark.parametrize(("percent", "backends", "out"), [(100, 3, 3), (50, 3, 1), (50, 4, 2), (10, 3, 0), (34, 3, 1)])
def test_no_more_than_max_ejected_are_out(percent, backends, out):
    one = Ejection(backends, failures=1, eject_s=10.0, max_percent=percent)
    for place in range(backends):
        failing(one, place, 2)
    assert len(one.usable) == (backends - out or backends)
    assert [one.is_up(place) for place in range(backends)] == [False] * backends  # known all the same


def test_without_outliers_none_is_out():
    one = Ejection(2)
    assert failing(one, 0, 4) == [False, False, True, False]
    assert one.usable == (0, 1)


def test_health_questions_take_out_until_they_say_otherwise():
    one = Ejection(2, failures=3, eject_s=10.0)
    assert one.found(0, is_well=False) is True
    assert one.found(0, is_well=False) is False
    assert one.answered(0) is False  # an answer to a request says nothing of its health
    one.look(1e9)
    assert (one.usable, one.is_up(0)) == ((1,), False)
    assert one.found(0, is_well=True) is True
    assert one.usable == (0, 1)


def test_one_that_answers_health_questions_and_fails_requests_is_out():
    one = Ejection(2, failures=3, eject_s=10.0)
    failing(one, 0, 3)
    assert one.found(0, is_well=True) is False
    assert one.usable == (1,)


events = st.lists(
    st.tuples(
        st.sampled_from(["failed", "answered", "well", "unwell", "look", "tried"]),
        st.integers(0, 3),
        st.floats(0, 30, allow_nan=False),
    ),
    max_size=60,
)


@given(events, st.integers(1, 4), st.integers(1, 4), st.integers(1, 100))
def test_somebody_is_always_usable_and_nobody_is_lost(happened, backends, failures, percent):
    one, now_s = Ejection(backends, failures, 10.0, percent), 0.0
    for what, number, later_s in happened:
        place, now_s = number % backends, now_s + later_s
        if what in ("well", "unwell"):
            one.found(place, is_well=what == "well")
        elif what == "look":
            one.look(now_s)
        elif what == "answered":
            one.answered(place)
        else:
            getattr(one, what)(place, now_s)
        assert one.usable
        assert sorted([*one.usable, *one.others]) == list(range(backends))
        if all(one.is_up(each) for each in range(backends)):
            assert len(one.usable) == backends
    # Whatever came before, answers and good health bring everybody back.
    for place in range(backends):
        one.found(place, is_well=True)
        one.answered(place)
    assert one.usable == tuple(range(backends))
