"""Which backend is asked next: what was not sent goes on through the list, what was sent counts as a retry."""

import pytest

from gateway.proxy.upstream.attempts import Attempts
from gateway.proxy.upstream.backend_error import (
    BackendBrokenError,
    BackendError,
    BackendTimeoutError,
    BackendUnreachableError,
    NotConnectedError,
)

REFUSED, LATE = NotConnectedError("refused"), NotConnectedError("late", is_late=True)
LOST = BackendUnreachableError("lost")


def places(attempts: Attempts, *errors: BackendError, is_repeatable: bool = True) -> list[int | None]:
    """Who is asked after each of the errors; `None` where it ends."""
    return [attempts.place if attempts.go_on(error, 0.0, is_repeatable=is_repeatable) else None for error in errors]


@pytest.mark.parametrize("error", [REFUSED, LATE])
@pytest.mark.parametrize("is_repeatable", [False, True])
def test_each_backend_that_is_not_reached_is_followed_by_the_next_until_all_were_tried(error, is_repeatable):
    attempts = Attempts([1, 2, 0], retries=0, ends_s=1.0)
    assert places(attempts, error, error, error, is_repeatable=is_repeatable) == [2, 0, None]


def test_the_order_is_that_of_the_balance_and_not_of_the_list():
    assert places(Attempts([2, 0, 1], retries=0, ends_s=1.0), REFUSED, REFUSED, REFUSED) == [0, 1, None]
    assert places(Attempts([2, 0, 1], retries=3, ends_s=1.0), LOST, LOST, LOST) == [0, 1, 2]


def test_the_only_one_is_not_tried_again():
    assert places(Attempts([0], retries=5, ends_s=1.0), REFUSED) == [None]


def test_what_was_sent_is_sent_again_as_often_as_retries_says():
    assert places(Attempts([0], retries=2, ends_s=1.0), LOST, LOST, LOST) == [0, 0, None]
    assert places(Attempts([0, 1], retries=2, ends_s=1.0), LOST, LOST, LOST) == [1, 0, None]
    assert places(Attempts([0, 1], retries=0, ends_s=1.0), LOST) == [None]


def test_what_is_no_longer_there_is_not():
    assert places(Attempts([0, 1], retries=2, ends_s=1.0), LOST, is_repeatable=False) == [None]


def test_one_that_was_not_reached_costs_no_retry_and_is_not_asked_again():
    attempts = Attempts([0, 1, 2], retries=1, ends_s=1.0)
    assert places(attempts, REFUSED, LOST, LATE, LOST) == [1, 2, 1, None]


@pytest.mark.parametrize("error", [BackendBrokenError("x"), BackendTimeoutError("x"), BackendError("x")])
def test_nothing_else_is_tried_again(error):
    assert places(Attempts([0, 1, 2], retries=5, ends_s=1.0), error) == [None]


def test_all_of_it_ends_with_the_timeout():
    attempts = Attempts([0, 1, 2], retries=5, ends_s=10.0)
    assert attempts.go_on(REFUSED, 9.0, is_repeatable=True)
    assert attempts.left_s(9.0) == 1.0
    assert not attempts.go_on(REFUSED, 10.0, is_repeatable=True)


def test_several_that_were_not_reached_are_all_named():
    attempts = Attempts([0, 1, 2], retries=0, ends_s=1.0)
    one, two = NotConnectedError("a:1 refused"), NotConnectedError("b:1 is late", is_late=True)
    places(attempts, one, one, two)
    told = attempts.told(two)
    assert isinstance(told, NotConnectedError)
    assert (str(told), told.is_late) == ("a:1 refused; b:1 is late", True)
    assert Attempts([0], retries=0, ends_s=1.0).told(LOST) is LOST
