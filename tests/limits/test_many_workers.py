"""However workers borrow, spend and give back, the sum is within the limit, and what is not spent is there again.

A table of steps stands for the event loops of several workers: requests come, answers of the fleet's bucket come late
or never, timers tick. Each worker has a clock of its own; the bucket goes by one clock alone.
"""

import math
from dataclasses import dataclass, field

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.limits.allowance import ASK, Allowance, Borrow
from gateway.limits.limit import CompiledLimit

BEGAN_S = 1000.0


@dataclass
class Bucket:
    """What the script in Redis does."""

    limit: CompiledLimit
    level: float = 0.0
    at_s: float = BEGAN_S

    def __post_init__(self) -> None:
        self.level = self.limit.burst

    def ask(self, borrow: Borrow, now_s: float) -> tuple[int, float]:
        size = self.limit.burst
        level = min(size, self.level + (now_s - self.at_s) * self.limit.rate_per_s)
        level = max(-size, min(size, level + borrow.change))
        given_now = max(0, min(borrow.needs, math.floor(level)))
        given_now += max(0, min(borrow.extra, math.floor((level - given_now) / 4)))
        self.level, self.at_s = level - given_now, now_s
        return given_now, self.level


@dataclass
class Worker:
    bucket: Bucket
    each: Allowance
    ahead_s: float  # its clock
    passed: int = 0
    is_cut: bool = False  # its questions do not come to the bucket
    in_flight: list[tuple[Borrow, tuple[int, float] | None]] = field(default_factory=list)

    def step(self, what: str, now_s: float) -> None:
        if what == "request":
            self.request(now_s)
        elif what == "tick":
            self.tick(now_s)
        elif what == "cut":
            self.is_cut = not self.is_cut
        else:
            self.hear(now_s, is_lost=what == "lose")

    def request(self, now_s: float) -> None:
        own_s = now_s + self.ahead_s
        wait_s = self.each.wait_s(own_s, is_shared=True)
        if wait_s == 0:
            self.each.spend(own_s, is_shared=True)
            self.passed += 1
            if not self.in_flight and self.each.wants_more(own_s):
                self._ask(self.each.borrow(own_s, 0), now_s)
        elif wait_s == ASK and not self.in_flight:  # else it would wait; here it leaves
            self._ask(self.each.borrow(own_s, 1), now_s)

    def tick(self, now_s: float) -> None:
        if (settled := self.each.settle(now_s + self.ahead_s)) is not None:
            self._ask(settled, now_s)

    def hear(self, now_s: float, *, is_lost: bool) -> None:
        """The oldest answer comes, or is lost on its way."""
        if not self.in_flight:
            return
        borrow, reply = self.in_flight.pop(0)
        if is_lost or reply is None:
            self.each.unanswered(borrow, now_s + self.ahead_s)
        else:
            self.passed += self.each.lent(borrow, *reply, now_s + self.ahead_s)

    def _ask(self, borrow: Borrow, now_s: float) -> None:
        self.in_flight.append((borrow, None if self.is_cut else self.bucket.ask(borrow, now_s)))


WORKERS = 3
_step = st.tuples(
    st.integers(0, WORKERS - 1),
    st.sampled_from(["request", "request", "request", "hear", "hear", "tick", "lose", "cut"]),
    st.sampled_from([0.0, 0.0, 0.001, 0.01, 0.1, 0.75]),
    st.integers(1, 20),  # how often
)
_limits = st.sampled_from([(10, 3600.0, 10), (30, 1.0, 30), (100, 60.0, 100), (100, 1.0, 20), (1000, 3600.0, 1000)])


def play(limit: CompiledLimit, steps) -> tuple[list[Worker], Bucket, float]:
    bucket = Bucket(limit)
    clocks = (0.0, 1e6, -900.0)
    among = [Worker(bucket, Allowance(limit, "a", WORKERS, BEGAN_S + ahead_s), ahead_s) for ahead_s in clocks]
    now_s = BEGAN_S
    for place, what, pause_s, times in steps:
        now_s += pause_s
        for _ in range(times):
            among[place].step(what, now_s)
    return among, bucket, now_s


@given(_limits, st.lists(_step, max_size=300))
@example((100, 1.0, 100), [(0, "cut", 0.0, 1), *[(0, "request", 0.0, 2), (0, "hear", 0.0, 1)] * 200])
@example((100, 60.0, 100), [(0, "request", 0.0, 1), (0, "hear", 0.0, 1)] * 300)
@example((1000, 3600.0, 1000), [(0, "request", 1.1, 11), (0, "hear", 0.0, 1)] * 300)
@example((1000, 3600.0, 1000), [(0, "request", 0.001, 20), (0, "hear", 0.0, 20), (1, "request", 0.001, 9)] * 200)
def test_the_sum_is_within_the_limit_and_a_hundredth_for_each_worker(of, steps) -> None:
    limit = CompiledLimit("l", of[0], of[1], of[2], ("sub",))
    among, _, now_s = play(limit, steps)
    most = limit.burst + (now_s - BEGAN_S) * limit.rate_per_s
    assert sum(worker.passed for worker in among) <= most * (1 + WORKERS / 100) + 0.001


@given(_limits, st.lists(_step, max_size=200))
def test_what_nobody_spends_is_there_again(of, steps) -> None:
    limit = CompiledLimit("l", of[0], of[1], of[2], ("sub",))
    among, bucket, now_s = play(limit, steps)
    for _ in range(10):  # two seconds in which nobody asks
        now_s += 0.2
        for worker in among:
            worker.is_cut = False
            worker.tick(now_s)
            while worker.in_flight:
                worker.hear(now_s, is_lost=False)
    assert all(worker.each.borrowed == 0 for worker in among)
    passed = sum(worker.passed for worker in among)
    lost = sum(1 for _, what, _, _ in steps if what in {"lose", "cut"}) * limit.burst
    assert bucket.ask(Borrow(0, 0, 0), now_s)[1] >= limit.burst - passed - lost - 0.001
