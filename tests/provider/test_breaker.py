import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.provider.breaker import HOLD_MAX_S, Breaker, BreakerOpen, Permit, Thresholds

FIVE = Thresholds(failures=5, failure_rate=0.5, window_s=10, minimum_calls=20, interval_s=5)


def permit(breaker: Breaker, now_s: float) -> Permit:
    given_ = breaker.request_permit(now_s)
    assert isinstance(given_, Permit)
    return given_


def fail(breaker: Breaker, now_s: float, times: int = 1, *, makes_suspect: bool = False) -> None:
    for _ in range(times):
        breaker.failed(permit(breaker, now_s), now_s, makes_suspect=makes_suspect)


def succeed(breaker: Breaker, now_s: float, times: int = 1) -> None:
    for _ in range(times):
        breaker.succeeded(permit(breaker, now_s), now_s)


def probe(breaker: Breaker, now_s: float) -> None:
    assert breaker.wants_probe(now_s)
    breaker.begin_probe(now_s)


def convict(breaker: Breaker, now_s: float, retry_after_s: float | None = None) -> None:
    probe(breaker, now_s)
    breaker.probe_failed(now_s, "it is down", retry_after_s)


def opened(at_s: float = 0.0) -> Breaker:
    breaker = Breaker(FIVE)
    fail(breaker, at_s, 5)
    convict(breaker, at_s)
    return breaker


def test_so_many_failures_in_a_row_make_it_suspect_and_open_nothing():
    breaker = Breaker(FIVE)
    fail(breaker, 0, 4)
    succeed(breaker, 0)
    fail(breaker, 0, 4)
    assert not breaker.wants_probe(0)
    fail(breaker, 0)
    assert breaker.wants_probe(0)
    fail(breaker, 0, 100)
    assert breaker.state == "closed"


def test_the_probe_that_fails_opens_it():
    breaker = Breaker(FIVE)
    fail(breaker, 0, 5)
    probe(breaker, 0)
    assert (breaker.state, breaker.wants_probe(100)) == ("closed", False)  # calls go on, and one probe is enough
    permit(breaker, 0)
    breaker.probe_failed(0, "it is down")
    assert breaker.state == "open"
    assert breaker.request_permit(0) == BreakerOpen(5)


def test_the_probe_that_is_answered_leaves_it_closed_and_forgets_the_failures():
    breaker = Breaker(FIVE)
    fail(breaker, 0, 5)
    probe(breaker, 0)
    breaker.probe_succeeded()
    assert breaker.state == "closed"
    fail(breaker, 6, 4)
    assert not breaker.wants_probe(6)
    fail(breaker, 6)
    assert breaker.wants_probe(6)


def test_two_probes_begin_an_interval_apart_whatever_fails():
    breaker = Breaker(FIVE)
    fail(breaker, 0, 5)
    probe(breaker, 0)
    breaker.probe_succeeded()
    fail(breaker, 0, 50)
    assert not breaker.wants_probe(4.9)
    assert breaker.wants_probe(5)


def test_a_success_clears_the_suspicion():
    breaker = Breaker(FIVE)
    fail(breaker, 0, makes_suspect=True)
    assert breaker.wants_probe(0)
    succeed(breaker, 0)
    assert not breaker.wants_probe(0)


def test_it_is_suspect_at_the_failure_rate_of_enough_calls():
    breaker = Breaker(FIVE)
    for _ in range(9):
        fail(breaker, 1)
        succeed(breaker, 1)
    assert not breaker.wants_probe(1)  # half of them, but only 18
    succeed(breaker, 1)
    fail(breaker, 1)
    assert breaker.wants_probe(1)


def test_what_lies_before_the_window_does_not_count():
    breaker = Breaker(FIVE)
    for second in range(4):
        fail(breaker, second, 4)
        succeed(breaker, second)
    fail(breaker, 13.5, 4)
    succeed(breaker, 13.5, 6)
    for _ in range(4):
        fail(breaker, 13.5)
        succeed(breaker, 13.5)
    fail(breaker, 13.5)
    assert not breaker.wants_probe(13.5)  # 19 calls within the window, 9 failures
    fail(breaker, 13.5)
    assert breaker.wants_probe(13.5)


def test_open_it_lets_nothing_but_one_probe_through_when_its_time_is_over():
    breaker = opened(at_s=100)
    assert breaker.request_permit(104.5) == BreakerOpen(0.5)
    assert breaker.blocks(104.5) == BreakerOpen(0.5)
    assert breaker.blocks(105) is None  # whoever comes now has it asked
    assert isinstance(breaker.request_permit(105), BreakerOpen)
    probe(breaker, 105)
    assert breaker.state == "half_open"
    assert not breaker.wants_probe(1_000)  # as long as that one is under way
    assert isinstance(breaker.blocks(1_000), BreakerOpen)


def test_the_probe_closes_it():
    breaker = opened()
    probe(breaker, 5)
    breaker.probe_succeeded()
    assert breaker.state == "closed"
    fail(breaker, 11, 4)  # what was counted before is forgotten
    assert not breaker.wants_probe(11)


def test_a_failed_probe_opens_it_for_another_interval():
    breaker = opened()
    probe(breaker, 5)
    breaker.probe_failed(7, "it is down")
    assert breaker.state == "open"
    assert breaker.request_permit(11.9) == BreakerOpen(pytest.approx(0.1))
    assert breaker.wants_probe(12)


@pytest.mark.parametrize("is_open", [True, False])
def test_a_probe_that_was_given_up_is_followed_by_another_an_interval_later(is_open):
    breaker = opened() if is_open else Breaker(FIVE)
    if not is_open:
        fail(breaker, 5, 5)
    probe(breaker, 5)
    breaker.probe_abandoned()
    assert breaker.state == ("open" if is_open else "closed")
    assert not breaker.wants_probe(9.9)
    assert breaker.wants_probe(10)


@pytest.mark.parametrize(("said_s", "held_s"), [(None, 5), (0, 5), (3, 5), (30, 30), (86_400, HOLD_MAX_S)])
def test_what_a_provider_says_to_the_probe_is_honoured_up_to_a_bound(said_s, held_s):
    breaker = Breaker(FIVE)
    fail(breaker, 0, makes_suspect=True)
    convict(breaker, 0, said_s)
    assert breaker.request_permit(0) == BreakerOpen(held_s)


def test_calls_from_before_it_opened_neither_close_it_nor_count_twice():
    breaker = Breaker(FIVE)
    early = [permit(breaker, 0) for _ in range(10)]
    fail(breaker, 0, 5)
    convict(breaker, 0)
    for one in early[:5]:
        breaker.succeeded(one, 1)
    assert breaker.state == "open"
    probe(breaker, 5)
    breaker.probe_succeeded()
    for one in early[5:]:
        breaker.failed(one, 16)
    assert not breaker.wants_probe(16)


def test_each_change_is_reported_with_its_reason():
    told: list[tuple[str, str]] = []
    breaker = Breaker(FIVE, lambda state, reason: told.append((state, reason)))
    fail(breaker, 0, 5)
    convict(breaker, 0)
    convict(breaker, 5)
    probe(breaker, 10)
    breaker.probe_succeeded()
    assert [state for state, _ in told] == ["open", "half_open", "open", "half_open", "closed"]
    assert [reason for state, reason in told if state == "open"] == ["it is down"] * 2
    assert all(reason for _, reason in told)


# What each step is: how much later, and what happens then.
STEPS = st.lists(
    st.tuples(
        st.floats(0, 7),
        st.sampled_from(["call", "success", "failure", "failure", "pause", "answered", "convicted", "abandoned"]),
    ),
    max_size=120,
)


class Drive:
    """Holds every step to what may follow it."""

    def __init__(self) -> None:
        self.breaker = Breaker(FIVE)
        self.calls: list[Permit] = []
        self.is_probing = False
        self.begun_s = -1e9

    def step(self, what: str, now_s: float) -> None:
        breaker, was = self.breaker, self.breaker.state
        if what == "call":
            self._call(now_s)
        elif what in {"success", "failure", "pause"} and self.calls:
            one = self.calls.pop()
            if what == "success":
                breaker.succeeded(one, now_s)
            else:
                breaker.failed(one, now_s, makes_suspect=what == "pause")
            assert breaker.state == was  # no call changes anything, whatever becomes of it
        elif self.is_probing and what in {"answered", "convicted", "abandoned"}:
            self.is_probing = False
            if what == "answered":
                breaker.probe_succeeded()
            elif what == "convicted":
                breaker.probe_failed(now_s, "down")
            else:
                breaker.probe_abandoned()
            expected = {"answered": "closed", "convicted": "open", "abandoned": was.replace("half_open", "open")}
            assert breaker.state == expected[what]

    def _call(self, now_s: float) -> None:
        if self.breaker.wants_probe(now_s):
            assert not self.is_probing
            assert now_s - self.begun_s >= FIVE.interval_s
            self.breaker.begin_probe(now_s)
            self.is_probing, self.begun_s = True, now_s
        got = self.breaker.request_permit(now_s)
        assert isinstance(got, Permit) == (self.breaker.state == "closed")
        if isinstance(got, BreakerOpen):
            assert 0 < got.wait_s <= max(FIVE.interval_s, HOLD_MAX_S)
        else:
            self.calls.append(got)


@given(STEPS)
def test_whatever_comes_one_probe_at_a_time_an_interval_apart_and_it_never_locks_up(steps):
    drive, now_s = Drive(), 0.0
    for later_s, what in steps:
        now_s += later_s
        drive.step(what, now_s)
    if drive.is_probing:
        drive.breaker.probe_abandoned()
    # When the provider is well, one probe is enough.
    now_s += max(FIVE.interval_s, HOLD_MAX_S)
    if drive.breaker.state != "closed":
        probe(drive.breaker, now_s)
        drive.breaker.probe_succeeded()
    assert isinstance(drive.breaker.request_permit(now_s), Permit)


@given(st.lists(st.floats(0, 3), max_size=60))
def test_where_nothing_fails_it_is_never_suspect(pauses):
    breaker, now_s = Breaker(FIVE), 0.0
    for pause_s in pauses:
        now_s += pause_s
        succeed(breaker, now_s)
        assert not breaker.wants_probe(now_s)
