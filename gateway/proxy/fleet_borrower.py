"""Asks the fleet's buckets for one worker: borrows for requests that wait, and ahead; gives back what is not spent.

How it works:

- For each identity one loan is asked for at a time. Requests of one iteration of the event loop are asked for together,
  those that come while Redis answers together after that. So a request waits for one round trip, and for no more than
  the rest of another; and a caller with thousands of requests at once has one question in Redis' line, not thousands.
- A timer runs while anything is borrowed or owed. It gives back what is not spent, within a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Protocol

from gateway.limits.allowance import ASK, Allowance, Borrow
from gateway.limits.fleet_size import FleetSize
from gateway.limits.limit import CompiledLimit

_TICK_S = 0.2
_SETTLED_PER_TICK = 1_000
_CLOSE_S = 0.5
# A question without an answer makes the worker one that counts for itself, in what the operator sees, for so long.
_UNANSWERED_S = 5.0

Spent = asyncio.Future[bool | None]
LoanHeard = Callable[[tuple[int, float] | None], object]


class FleetBuckets(Protocol):
    """Keeps the buckets that the fleet shares."""

    @property
    def size(self) -> FleetSize: ...

    @property
    def healthy(self) -> bool: ...

    def ask(self, limit: CompiledLimit, identity: str, borrow: Borrow, heard: LoanHeard) -> None:
        """Call `heard` once, within the time of an operation: with what is given and the level, or with `None`."""
        ...


class FleetBorrower:
    """Borrows from `fleet` for the allowances of one worker."""

    def __init__(self, fleet: FleetBuckets, monotonic: Callable[[], float]) -> None:
        self.fleet = fleet
        self._monotonic = monotonic
        self._waiting: dict[Allowance, list[Spent]] = {}  # of those for whom a loan is being asked for
        self._uneven: dict[Allowance, None] = {}  # something is borrowed or owed, in the order in which it was
        self._timer: asyncio.TimerHandle | None = None
        self._unanswered_at_s = float("-inf")

    @property
    def is_answered(self) -> bool:
        """Whether the fleet's buckets answer, as far as was tried of late."""
        return self.fleet.healthy and self._monotonic() - self._unanswered_at_s >= _UNANSWERED_S

    def spend(self, each: Allowance, now_s: float) -> Spent:
        """Whether one was spent, at once or when the fleet has been asked; `None` where the fleet cannot be."""
        spent: Spent = asyncio.get_running_loop().create_future()
        if not self._is_settled(each, spent, now_s):
            self._ask_for(each, [spent])
        return spent

    def refund(self, each: Allowance, spent: Spent) -> None:
        """Take back what was spent of a limit on a request that is not let through."""
        if spent.result():
            each.refund()
            self.note(each)

    def look_ahead(self, each: Allowance, now_s: float) -> None:
        """After one was spent: borrow in the background where the next one would have to wait."""
        if each.wants_more(now_s):
            self._ask_for(each, [])
        else:
            self.note(each)

    async def look(self, each: Allowance) -> None:
        """Learn what the fleet has left; nothing is spent."""
        await asyncio.wait([self._told(each, Borrow(0, 0, 0))])

    def note(self, each: Allowance) -> None:
        """Remember to settle what is borrowed or owed."""
        if not each.is_even:
            self._uneven[each] = None
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    async def close(self) -> None:
        """Give back what is borrowed, as far as Redis takes it soon."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        given_back = self._settle(list(self._uneven), at_once=True) if self.fleet.healthy else []
        self._uneven.clear()
        if given_back:
            await asyncio.wait(given_back, timeout=_CLOSE_S)

    def _is_settled(self, each: Allowance, spent: Spent, now_s: float) -> bool:
        """Whether it is clear without asking. One is spent where there is one."""
        wait_s = each.wait_s(now_s, is_shared=True)
        if wait_s == ASK:
            return False
        if wait_s == 0:
            each.spend(now_s, is_shared=True)
            self.look_ahead(each, now_s)
        spent.set_result(wait_s == 0)
        return True

    def _ask_for(self, each: Allowance, needing: list[Spent]) -> None:
        """Borrow at the end of this iteration of the event loop, or with the next loan where one is asked for."""
        waiting = self._waiting.get(each)
        if waiting is not None:
            waiting += needing
            return
        self._waiting[each] = needing
        each.is_asking = True
        asyncio.get_running_loop().call_soon(self._ask, each)

    def _ask(self, each: Allowance) -> None:
        needing, self._waiting[each] = self._waiting[each], []
        borrow = each.borrow(self._monotonic(), len(needing))
        self.fleet.ask(each.limit, each.identity, borrow, partial(self._heard, each, borrow, needing))

    def _heard(self, each: Allowance, borrow: Borrow, needing: list[Spent], reply: tuple[int, float] | None) -> None:
        now_s = self._monotonic()
        waiting = self._waiting.pop(each)
        each.is_asking = False
        if reply is None:
            self._unanswered(each, borrow, now_s)
            for spent in (*needing, *waiting):
                spent.set_result(None)
            return
        served = each.lent(borrow, *reply, now_s)
        for place, spent in enumerate(needing):
            spent.set_result(place < served)
        still = [spent for spent in waiting if not self._is_settled(each, spent, now_s)]
        if still:
            self._ask_for(each, still)
        self.note(each)

    def _told(self, each: Allowance, borrow: Borrow) -> Spent:
        """Tell the fleet what comes back or is owed. `None` where the fleet cannot be told."""
        told: Spent = asyncio.get_running_loop().create_future()

        def heard(reply: tuple[int, float] | None) -> None:
            if reply is None:
                self._unanswered(each, borrow, self._monotonic())
                told.set_result(None)
            else:
                told.set_result(bool(each.lent(borrow, *reply, self._monotonic())))
                self.note(each)

        self.fleet.ask(each.limit, each.identity, borrow, heard)
        return told

    def _unanswered(self, each: Allowance, borrow: Borrow, now_s: float) -> None:
        each.unanswered(borrow, now_s)
        self._unanswered_at_s = now_s

    def _tick(self) -> None:
        self._timer = None
        if self.fleet.healthy:
            self._settle(list(islice(self._uneven, _SETTLED_PER_TICK)), at_once=False)
        else:
            for each in self._uneven:
                each.forgo()
            self._uneven.clear()
        if self._uneven and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _settle(self, uneven: list[Allowance], *, at_once: bool) -> list[Spent]:
        now_s, asked = self._monotonic(), list[Spent]()
        for each in uneven:
            del self._uneven[each]
            if (settled := each.settle(now_s, at_once=at_once)) is not None:
                asked.append(self._told(each, settled))
            elif not at_once:
                self.note(each)  # behind the others
        return asked
