import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.provider.breaker import HOLD_MAX_S, Breaker, LeaveAlone, Permit, Thresholds

FIVE = Thresholds(failures=5, failure_rate=0.5, window_s=10, minimum_calls=20, interval_s=5)


def permit(breaker: Breaker, now_s: float) -> Permit:
    given_ = breaker.ask(now_s)
    assert isinstance(given_, Permit)
    return given_


def fail(breaker: Breaker, now_s: float, times: int = 1, retry_after_s: float | None = None) -> None:
    for _ in range(times):
        breaker.failed(permit(breaker, now_s), now_s, retry_after_s)


def succeed(breaker: Breaker, now_s: float, times: int = 1) -> None:
    for _ in range(times):
        breaker.succeeded(permit(breaker, now_s), now_s)


def opened(at_s: float = 0.0) -> Breaker:
    breaker = Breaker(FIVE)
    fail(breaker, at_s, 5)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row():
    breaker = Breaker(FIVE)
    fail(breaker, 0, 4)
    succeed(breaker, 0)
    fail(breaker, 0, 4)
    assert breaker.state == "closed"
    fail(breaker, 0)
    assert breaker.state == "open"
    assert breaker.ask(0) == LeaveAlone(5)


def test_it_opens_at_the_failure_rate_of_enough_calls():
    breaker = Breaker(FIVE)
    for _ in range(9):
        fail(breaker, 1)
        succeed(breaker, 1)
    assert breaker.state == "closed"  # half of them, but only 18
    succeed(breaker, 1)
    fail(breaker, 1)
    assert breaker.state == "open"


def test_what_lies_before_the_window_does_not_count():
    breaker = Breaker(FIVE)
    for second in range(4):
        fail(breaker, second, 4)
        succeed(breaker, second)
    assert breaker.state == "closed"  # 19 calls, 15 failures… and one more would do
    fail(breaker, 13.5, 4)
    succeed(breaker, 13.5, 6)
    for _ in range(4):
        fail(breaker, 13.5)
        succeed(breaker, 13.5)
    assert breaker.state == "closed"  # 18 calls within the window, 8 failures
    fail(breaker, 13.5, 2)
    assert breaker.state == "open"


def test_open_it_lets_one_probe_through_when_its_time_is_over():
    breaker = opened(at_s=100)
    assert breaker.ask(104.5) == LeaveAlone(0.5)
    assert breaker.blocks(105) is None
    assert breaker.blocks(105) is None  # to look takes nobody's turn
    probe = permit(breaker, 105)
    assert probe.is_probe
    assert breaker.state == "half_open"
    assert isinstance(breaker.ask(105), LeaveAlone)
    assert isinstance(breaker.ask(1_000), LeaveAlone)  # as long as that one is under way


def test_the_probe_closes_it():
    breaker = opened()
    breaker.succeeded(permit(breaker, 5), 5)
    assert breaker.state == "closed"
    fail(breaker, 5, 4)  # what was counted before is forgotten
    assert breaker.state == "closed"


def test_a_failed_probe_opens_it_for_another_interval():
    breaker = opened()
    breaker.failed(permit(breaker, 5), 7)
    assert breaker.state == "open"
    assert breaker.ask(11.9) == LeaveAlone(pytest.approx(0.1))
    assert permit(breaker, 12).is_probe


def test_a_probe_that_nobody_waited_for_is_followed_by_another_an_interval_later():
    breaker = opened()
    breaker.abandoned(permit(breaker, 5))
    assert breaker.state == "open"
    assert isinstance(breaker.ask(9.9), LeaveAlone)
    assert permit(breaker, 10).is_probe


def test_what_a_provider_asks_for_opens_it_at_once_and_for_so_long():
    breaker = Breaker(FIVE)
    fail(breaker, 0, retry_after_s=30)
    assert breaker.ask(0) == LeaveAlone(30)
    assert isinstance(breaker.ask(29.9), LeaveAlone)
    assert permit(breaker, 30).is_probe


def test_to_be_asked_again_at_once_is_a_failure_like_others():
    breaker = Breaker(FIVE)
    fail(breaker, 0, retry_after_s=0)
    assert breaker.state == "closed"


def test_it_is_honoured_up_to_a_bound():
    breaker = Breaker(FIVE)
    fail(breaker, 0, retry_after_s=86_400)
    assert breaker.ask(0) == LeaveAlone(HOLD_MAX_S)


def test_so_is_what_it_says_to_a_call_from_before_it_opened():
    breaker = Breaker(FIVE)
    early = permit(breaker, 0)
    fail(breaker, 0, 5)
    breaker.failed(early, 1, 20)
    assert breaker.ask(1) == LeaveAlone(20)


def test_calls_from_before_it_opened_neither_close_it_nor_count_twice():
    breaker = Breaker(FIVE)
    early = [permit(breaker, 0) for _ in range(10)]
    fail(breaker, 0, 5)
    for one in early[:5]:
        breaker.succeeded(one, 1)
    assert breaker.state == "open"
    breaker.succeeded(permit(breaker, 5), 5)
    for one in early[5:]:
        breaker.failed(one, 6)
    assert breaker.state == "closed"


def test_each_change_is_told():
    told: list[str] = []
    breaker = Breaker(FIVE, told.append)
    fail(breaker, 0, 5)
    breaker.failed(permit(breaker, 5), 5)
    breaker.succeeded(permit(breaker, 10), 10)
    assert told == ["open", "half_open", "open", "half_open", "closed"]


# What each step is: how much later, and what becomes of a call that was let through before.
STEPS = st.lists(
    st.tuples(
        st.floats(0, 7),
        st.sampled_from(["ask", "ask", "success", "failure", "failure", "abandon"]),
        st.sampled_from([None, None, 0.0, 3.0, 1e9]),
    ),
    max_size=120,
)


@given(STEPS, st.integers(0, 1_000_000))
def test_whatever_comes_one_probe_at_a_time_an_interval_apart_and_it_never_locks_up(steps, seed):
    breaker = Breaker(FIVE)
    now_s, begun_at = 0.0, -1e9
    under_way: list[Permit] = []
    in_a_row = 0
    for later_s, step, retry_after_s in steps:
        now_s += later_s
        if step == "ask":
            state, blocked = breaker.state, breaker.blocks(now_s)
            got = breaker.ask(now_s)
            assert (blocked is None) == isinstance(got, Permit)
            if isinstance(got, LeaveAlone):
                assert state != "closed"
                assert 0 < got.wait_s <= max(FIVE.interval_s, HOLD_MAX_S)
                continue
            assert got.is_probe == (state != "closed")
            if got.is_probe:
                assert not any(one.is_probe for one in under_way)
                assert now_s - begun_at >= FIVE.interval_s
                begun_at = now_s
            under_way.append(got)
        elif under_way:
            one = under_way.pop(seed % len(under_way))
            was = breaker.state
            if step == "success":
                breaker.succeeded(one, now_s)
                assert breaker.state in {was, "closed"}
                assert breaker.state == was or one.is_probe
            elif step == "failure":
                breaker.failed(one, now_s, retry_after_s)
                assert breaker.state != "closed" or was == "closed"
            else:
                breaker.abandoned(one)
            in_a_row = in_a_row + 1 if step == "failure" and was == "closed" else 0
    # When the last calls have ended and the provider is well, one probe is enough.
    for one in under_way:
        breaker.abandoned(one)
    now_s += max(FIVE.interval_s, HOLD_MAX_S)
    succeed(breaker, now_s)
    assert breaker.state == "closed"


@given(st.lists(st.floats(0, 3), max_size=60))
def test_where_nothing_fails_it_never_opens(pauses):
    breaker, now_s = Breaker(FIVE), 0.0
    for pause_s in pauses:
        now_s += pause_s
        succeed(breaker, now_s)
    assert breaker.state == "closed"


@given(st.lists(st.floats(0, 100), min_size=5, max_size=30))
def test_where_everything_fails_it_is_not_called_more_often_than_its_interval_allows(pauses):
    breaker, now_s, calls = Breaker(FIVE), 0.0, 0
    for pause_s in pauses:
        now_s += pause_s
        if isinstance(breaker.blocks(now_s), LeaveAlone):
            continue
        calls += 1
        fail(breaker, now_s)
    assert calls <= FIVE.failures + now_s / FIVE.interval_s
