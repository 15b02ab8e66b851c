"""What one identity may still spend of one limit in this process. Pure: `now_s` is the monotonic clock, passed in.

Alone (no Redis, or Redis is away) it is a token bucket with this worker's share of the limit: that of the instance's
workers, or of a larger fleet's so much that all of it lets in twice the limit. With Redis the bucket of
the whole fleet lies there, and an allowance holds what it has borrowed from it:

    borrowed >= 1        -> spend one; no round trip
    the fleet is short   -> refuse until one more can be there; no round trip
    far below the limit  -> spend one on credit; no round trip
    else                 -> ask the fleet: one round trip, which brings as much as the demand of the next moment

What is borrowed is taken from the fleet's bucket before it is spent, so the fleet never spends more than the limit.
What is not spent goes back. Credit is one hundredth of the burst at most, of more than ten workers a part of a tenth.
It is a debt, which the same part of the rate pays; what is left of it when the fleet is asked next is taken from the
bucket. So an identity that stays below that part of its rate at this worker never asks, and all workers together add a
tenth to the limit at most.

A question that the fleet does not answer changes nothing: what was owed is owed still, the request counts by the
worker's own share, and there is no credit until the fleet answers again. Else a Redis that refuses everything, because
it is full or read-only, would leave a caller without any limit.
"""

from __future__ import annotations

import math
from typing import Final

from gateway.limits.fleet_size import FleetSize
from gateway.limits.limit import CompiledLimit
from gateway.limits.rate_fields import Remaining

# A borrower takes along what it will spend in so long, if its demand goes on.
_AHEAD_S: Final = 0.5
# Beyond this age nobody knows any more what the demand is.
_DEMAND_AGE_S: Final = 1.0
_DEMAND_LEAST_S: Final = 0.02
# A worker that found nothing asks again no sooner, so that requests over the limit do not become round trips; but in
# a part of the time in which the bucket fills, so that nothing is lost.
_SHORT_LEAST_S: Final = 0.05
_SHORT_PART: Final = 0.25
# Others may give back what they borrowed, so a worker looks again after so long, however slow the limit is.
_SHORT_MOST_S: Final = 1.0
_KEPT_S: Final = 0.7  # longer than it was borrowed for; with the time until somebody looks it is within a second
_NEVER_S: Final = -1e9
ASK: Final = -1.0


class Borrow:
    """Asks the fleet's bucket for `needs` and as much of `extra` as it can spare. `change` comes back, or is a debt."""

    __slots__ = ("change", "extra", "needs")

    def __init__(self, needs: int, extra: int, change: int) -> None:
        self.needs = needs
        self.extra = extra
        self.change = change


_UNKNOWN: Final = FleetSize()


class Allowance:
    """Holds the state of one `identity` under `limit`; `workers` share the limit while they are alone."""

    __slots__ = (
        "_alone_at_s",
        "_alone_level",
        "_among",
        "_at_s",
        "_is_unanswered",
        "_level",
        "_owed",
        "_owed_at_s",
        "_share",
        "_short_until_s",
        "_since_s",
        "_size",
        "_spent",
        "borrowed",
        "identity",
        "is_asking",
        "limit",
        "workers",
    )

    def __init__(
        self, limit: CompiledLimit, identity: str, workers: int, now_s: float, size: FleetSize = _UNKNOWN
    ) -> None:
        self.limit = limit
        self.identity = identity
        self.workers = workers
        self._size = size
        self._shared_among(size.alone_among(workers))
        self.borrowed = 0
        self.is_asking = False
        self._level = float(limit.burst)  # of the fleet's bucket, as of `_at_s`
        self._at_s = now_s
        self._is_unanswered = False  # the fleet was asked last without an answer
        self._owed = 0.0  # as of `_owed_at_s`
        self._owed_at_s = now_s
        self._short_until_s = 0.0
        self._spent = 0  # since `_since_s`, when it was last asked for more, or began to spend again
        self._since_s = _NEVER_S
        self._alone_level = -1.0  # of this worker's own bucket; below 0 there is none
        self._alone_at_s = now_s

    def wait_s(self, now_s: float, *, is_shared: bool) -> float:
        """0 where a request may be spent now, `ASK` where the fleet has to be asked, else how long to wait."""
        if not is_shared:
            missing = 1 - self._alone(now_s)
            return 0.0 if missing <= 0 else missing * self._among / self.limit.rate_per_s
        if self.borrowed >= 1:
            return 0.0
        if now_s < self._short_until_s:
            return max(self._short_until_s - now_s, (1 - self._fleet(now_s)) / self.limit.rate_per_s)
        return 0.0 if self._has_credit(now_s) else ASK

    def spend(self, now_s: float, *, is_shared: bool) -> None:
        """Spend one, after `wait_s` was 0."""
        if not is_shared:
            self._alone(now_s)
            self._alone_level -= 1
            return
        if self.borrowed >= 1:
            self.borrowed -= 1
        else:
            self._owed = self._debt(now_s) + 1
            self._owed_at_s = now_s
            if now_s - self._since_s > _DEMAND_AGE_S:
                self._spent, self._since_s = 0, now_s
        self._spent += 1

    def refund(self) -> None:
        """Take back what was borrowed for a request that another limit refuses."""
        self.borrowed += 1

    def wants_more(self, now_s: float) -> bool:
        """Whether to ask in the background, because a demand goes on and the next one would have to wait."""
        if self.is_asking or self.borrowed >= 1 or self._spent <= 1 or now_s < self._short_until_s:
            return False
        return not self._has_credit(now_s) and self._demand(now_s, 0) * _AHEAD_S >= 1

    def borrow(self, now_s: float, needs: int) -> Borrow:
        """What to ask the fleet for now, `needs` for requests that wait. What is owed is reported with it."""
        extra = min(int(self._demand(now_s, needs) * _AHEAD_S), self._ahead_most(now_s))
        if now_s - self._since_s < _DEMAND_LEAST_S:
            self._spent += needs  # too short to tell the demand by: the time goes on
        else:
            self._spent, self._since_s = 0, now_s
        return Borrow(needs, extra, -self._reported(now_s))

    @property
    def is_even(self) -> bool:
        """Whether nothing is borrowed that has to go back."""
        return not self.borrowed

    def settle(self, now_s: float, *, at_once: bool = False) -> Borrow | None:
        """Give back what was borrowed and not spent for a while, or `at_once`, less what is owed."""
        if not self.borrowed or (not at_once and now_s - self._since_s < _KEPT_S):
            return None
        change = self.borrowed - self._reported(now_s)
        self.borrowed = 0
        return Borrow(0, 0, change) if change else None

    def forgo(self) -> None:
        """Drop what is borrowed and owed, since Redis is away. Else this identity could never be forgotten."""
        self.borrowed, self._owed = 0, 0.0

    def unanswered(self, asked: Borrow, now_s: float) -> None:
        """The fleet did not answer. What was reported as owed is owed again; what went back is lost."""
        self._is_unanswered = True
        if asked.change < 0:
            self._owed = self._debt(now_s) - asked.change
            self._owed_at_s = now_s

    def lent(self, asked: Borrow, given: int, level: float, now_s: float) -> int:
        """The fleet has given so much, and has `level` left. How many of those that were needed are among it."""
        # A debt is as large as the bucket at most; Redis may lie, and nobody is to be refused for years.
        level = max(-float(self.limit.burst), level)
        self._level, self._at_s = level, now_s
        self._alone_level, self._is_unanswered = -1.0, False
        served = min(given, asked.needs)
        self.borrowed += given - served
        if level < 1 and self.borrowed < 1:
            rate = self.limit.rate_per_s
            least_s = min(_SHORT_LEAST_S, self.limit.burst * _SHORT_PART / rate)
            self._short_until_s = now_s + min(_SHORT_MOST_S, max(least_s, (1 - level) / rate))
        return served

    def remaining(self, now_s: float, *, is_shared: bool) -> Remaining:
        """How much is left, as far as this process knows."""
        if not is_shared:
            return Remaining(self.limit, self._alone(now_s), self._share, self.limit.rate_per_s / self._among)
        burst = float(self.limit.burst)
        level = min(burst, self._fleet(now_s) + self.borrowed - self._debt(now_s))
        return Remaining(self.limit, level, burst, self.limit.rate_per_s)

    def may_be_forgotten(self, now_s: float, *, is_shared: bool) -> bool:
        """Whether a new allowance would say the same: the bucket is full, and nothing is borrowed, owed or asked."""
        if (not is_shared or self._is_alone) and self._alone(now_s) < self._share:
            return False
        if not is_shared:
            return True
        is_full = self._fleet(now_s) >= self.limit.burst and self._debt(now_s) == 0
        return is_full and not (self.borrowed or self.is_asking)

    @property
    def _is_alone(self) -> bool:
        """Whether it has counted for itself since the fleet last answered."""
        return self._alone_level >= 0

    def _alone(self, now_s: float) -> float:
        if now_s == self._alone_at_s and self._alone_level >= 0:
            return self._alone_level
        if self._alone_level < 0:
            self._shared_among(self._size.alone_among(self.workers))
            # It begins with the worker's share of what the fleet had left, so that an outage is no second burst.
            self._alone_level = max(0.0, self._fleet(now_s)) * self._share / self.limit.burst
            self.borrowed, self._owed = 0, 0.0
        else:
            grown = max(0.0, now_s - self._alone_at_s) * self.limit.rate_per_s / self._among
            self._alone_level = min(self._share, self._alone_level + grown)
        self._alone_at_s = now_s
        return self._alone_level

    def _shared_among(self, workers: float) -> None:
        """Alone, this worker has one part of so many, and at least one request at once."""
        self._among = workers
        self._share = max(1.0, self.limit.burst / workers)

    def _fleet(self, now_s: float) -> float:
        """What the fleet's bucket has by now, if nobody took from it."""
        return min(float(self.limit.burst), self._level + max(0.0, now_s - self._at_s) * self.limit.rate_per_s)

    def _debt(self, now_s: float) -> float:
        """What was spent on credit, and neither reported nor paid by this worker's part of the rate."""
        paid = max(0.0, now_s - self._owed_at_s) * self.limit.rate_per_s / self._size.part
        return max(0.0, self._owed - paid)

    def _reported(self, now_s: float) -> int:
        """The debt, which the fleet's bucket now takes over."""
        owed = math.ceil(self._debt(now_s))
        self._owed = 0.0
        return owed

    def _demand(self, now_s: float, needs: int) -> float:
        """How many a second, of late. Unknown is 0. Many that wait at the same moment say nothing of what will come."""
        length_s = now_s - self._since_s
        if length_s > _DEMAND_AGE_S:
            return 0.0
        if length_s < _DEMAND_LEAST_S:
            return self._spent / _DEMAND_LEAST_S
        return (self._spent + needs) / length_s

    def _ahead_most(self, now_s: float) -> int:
        """A tenth of the bucket. Of a small one, of which the last request counts, only while it is half full."""
        tenth = self.limit.burst // 10
        return tenth if tenth > 1 else int(self._fleet(now_s) >= self.limit.burst / 2)

    def _has_credit(self, now_s: float) -> bool:
        if self._is_unanswered or self._is_alone:
            return False
        burst, debt = self.limit.burst, self._debt(now_s)
        return debt + 1 <= burst // self._size.part and self._fleet(now_s) - debt >= burst / 2
