"""Settles whether a request is within its limits: at once where this process knows, else by asking the fleet's buckets.

How it works:

- `known` looks at the allowance of each identity (`gateway.limits.allowance`). Where all have room, it spends; where
  one has none, it refuses; both without waiting. Only where the fleet has to be asked, it leaves the request to `find`.
- `find` asks for all limits of the request at the same time, so a request waits for one round trip at most.
- A timer runs while anything is borrowed or owed. It gives back what is not spent, within a second.
- Without Redis, and while it is away, each worker counts its own share.

Memory is bounded by `gateway.limits.identities`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final, Protocol

from gateway.condition import Met
from gateway.conditions.within_limits import WithinLimits, limits_known
from gateway.decision import DecisionContext
from gateway.http.refusal import Refusal, too_many
from gateway.limits.allowance import ASK, Allowance, Borrow
from gateway.limits.identities import Identities
from gateway.limits.limit import CompiledLimit
from gateway.limits.rate_fields import Fields, rate_fields

IDENTITIES_MAX: Final = 50_000
_TICK_S = 0.2
_SETTLED_PER_TICK = 1_000
_WAIT_LEAST_S = 0.005
_CLOSE_S = 0.5

_Outcome = asyncio.Future[bool | None]
Heard = Callable[[tuple[int, float] | None], object]


class FleetBuckets(Protocol):
    """Keeps the buckets that the fleet shares."""

    @property
    def healthy(self) -> bool: ...

    def ask(self, limit: CompiledLimit, identity: str, borrow: Borrow, heard: Heard) -> None:
        """Call `heard` once, within the time of an operation: with what is given and the level, or with `None`."""
        ...


class LimitTally:
    """Counts the requests that were within one limit, and those that were not."""

    __slots__ = ("allowed", "refused")

    def __init__(self) -> None:
        self.allowed = 0
        self.refused = 0


class Limiter:
    """Settles `WithinLimits`; satisfies `ConditionPort`. `workers` are those of this instance.

    What `before` knows of a limit that is still the same goes on.
    """

    def __init__(
        self,
        limits: Iterable[CompiledLimit],
        workers: int,
        fleet: FleetBuckets | None,
        tally_of: Callable[[str], LimitTally],
        monotonic: Callable[[], float],
        *,
        before: Limiter | None = None,
        identities_max: int = IDENTITIES_MAX,
    ) -> None:
        self.limits = frozenset(limits)
        self.workers = workers
        self.fleet = fleet
        self._monotonic = monotonic
        self._tallies: Mapping[str, LimitTally] = {limit.name: tally_of(limit.name) for limit in self.limits}
        known: Mapping[CompiledLimit, Identities] = {}
        if before is not None and before.workers == workers:
            known = before.identities
        self.identities: Mapping[CompiledLimit, Identities] = {
            one: known[one] if one in known else Identities(one, workers, identities_max) for one in self.limits
        }
        self._uneven: dict[Allowance, None] = {}  # something is borrowed or owed, in the order in which it was
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(len(known) for known in self.identities.values())

    @property
    def is_alone(self) -> bool:
        """Whether there are limits that this worker counts for itself, because no Redis says what the fleet did."""
        return bool(self.limits) and not self._is_shared

    @property
    def _is_shared(self) -> bool:
        return self.fleet is not None and self.fleet.healthy

    def known(self, condition: WithinLimits) -> Refusal | Met | None:
        now_s, is_shared = self._monotonic(), self._is_shared
        held = self._held(condition, now_s, is_shared=is_shared)
        waits = [each.wait_s(now_s, is_shared=is_shared) for each in held]
        for wait_s in waits:
            if wait_s != 0:  # by far most requests are within their limits
                return self._refused(held, waits, now_s, is_shared=is_shared) if max(waits) > 0 else None
        for each in held:
            each.spend(now_s, is_shared=is_shared)
            if is_shared:
                self._look_ahead(each, now_s)
        return self._met(held, now_s, is_shared=is_shared)

    async def find(self, condition: WithinLimits) -> Refusal | Met:
        now_s, is_shared = self._monotonic(), self._is_shared
        held = self._held(condition, now_s, is_shared=is_shared)
        if not is_shared:
            return self._alone(held)
        spent = [self._spent(each, now_s) for each in held]
        try:
            await asyncio.wait(spent)
        except asyncio.CancelledError:
            for one, each in zip(spent, held, strict=True):
                one.add_done_callback(partial(self._refund, each))
            raise
        outcomes, now_s = [one.result() for one in spent], self._monotonic()
        if all(outcomes):
            return self._met(held, now_s, is_shared=True)
        for one, each in zip(spent, held, strict=True):
            self._refund(each, one)
        if False not in outcomes:
            return self._alone(held)
        waits = [
            max(_WAIT_LEAST_S, each.wait_s(now_s, is_shared=True)) if outcome is False else 0.0
            for outcome, each in zip(outcomes, held, strict=True)
        ]
        return self._refused(held, waits, now_s, is_shared=True)

    async def foresee(self, condition: WithinLimits) -> tuple[Refusal | Met, str]:
        is_shared = self._is_shared
        now_s = self._monotonic()
        held = [self.identities[limit].seen(identity, now_s) for limit, identity in condition.spends]
        if is_shared:
            await asyncio.wait([self._asked(each, Borrow(0, 0, 0)) for each in held])
        remaining = [each.remaining(now_s, is_shared=is_shared) for each in held]
        words = ", ".join(f"{one.limit.name} has {one.requests} of {int(one.most)} left" for one in remaining)
        short = [one for one in remaining if one.requests < 1]
        if short:
            names = " and ".join(one.limit.name for one in short)
            return _too_many(names, max(one.wait_s for one in short), rate_fields(remaining)), words
        return Met(), words

    def fields(self, context: DecisionContext, limits: tuple[CompiledLimit, ...]) -> Fields:
        """What a refusal says of the limits, as far as it is known whom they count. Nothing is spent."""
        now_s, is_shared = self._monotonic(), self._is_shared
        is_caller_known = context.facts is not None
        spends = limits_known(context, tuple(one for one in limits if is_caller_known or one.is_by_address))
        held = (self.identities[limit].seen(identity, now_s) for limit, identity in spends)
        return rate_fields([each.remaining(now_s, is_shared=is_shared) for each in held])

    async def close(self) -> None:
        """Give back what is borrowed, as far as Redis takes it soon."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        given_back = self._settle(list(self._uneven), at_once=True) if self._is_shared else []
        self._uneven.clear()
        if given_back:
            await asyncio.wait(given_back, timeout=_CLOSE_S)

    def _held(self, condition: WithinLimits, now_s: float, *, is_shared: bool) -> list[Allowance]:
        identities = self.identities
        return [identities[limit].of(identity, now_s, is_shared=is_shared) for limit, identity in condition.spends]

    def _alone(self, held: list[Allowance]) -> Refusal | Met:
        """Decide by this worker's own share, whether or not Redis is thought to be there."""
        now_s = self._monotonic()
        waits = [each.wait_s(now_s, is_shared=False) for each in held]
        if max(waits) > 0:
            return self._refused(held, waits, now_s, is_shared=False)
        for each in held:
            each.spend(now_s, is_shared=False)
        return self._met(held, now_s, is_shared=False)

    def _spent(self, each: Allowance, now_s: float) -> _Outcome:
        """Whether one was spent, at once or when the fleet has been asked; `None` where the fleet cannot be."""
        wait_s = each.wait_s(now_s, is_shared=True)
        if wait_s == ASK:
            return self._asked(each, each.borrow(now_s, 1))
        spent: _Outcome = asyncio.get_running_loop().create_future()
        if wait_s == 0:
            each.spend(now_s, is_shared=True)
            self._look_ahead(each, now_s)
        spent.set_result(wait_s == 0)
        return spent

    def _refund(self, each: Allowance, spent: _Outcome) -> None:
        if spent.result():
            each.refund()
            self._note(each)

    def _look_ahead(self, each: Allowance, now_s: float) -> None:
        if each.wants_more(now_s):
            each.is_asking = True
            self._asked(each, each.borrow(now_s, 0))
        else:
            self._note(each)

    def _asked(self, each: Allowance, borrow: Borrow) -> _Outcome:
        """Ask the fleet. Whether what was needed is given; `None` where the fleet cannot be asked."""
        had: _Outcome = asyncio.get_running_loop().create_future()

        def heard(reply: tuple[int, float] | None) -> None:
            if not borrow.needs:
                each.is_asking = False
            had.set_result(None if reply is None else each.lent(borrow, *reply, self._monotonic()))
            self._note(each)

        assert self.fleet is not None  # it is shared
        self.fleet.ask(each.limit, each.identity, borrow, heard)
        return had

    def _note(self, each: Allowance) -> None:
        """Remember to settle what is borrowed or owed."""
        if not each.is_even:
            self._uneven[each] = None
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._is_shared:
            self._settle(list(islice(self._uneven, _SETTLED_PER_TICK)), at_once=False)
        else:
            for each in self._uneven:
                each.forgo()
            self._uneven.clear()
        if self._uneven and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _settle(self, uneven: list[Allowance], *, at_once: bool) -> list[_Outcome]:
        now_s, asked = self._monotonic(), list[_Outcome]()
        for each in uneven:
            del self._uneven[each]
            if (settled := each.settle(now_s, at_once=at_once)) is not None:
                asked.append(self._asked(each, settled))
            elif not at_once:
                self._note(each)  # behind the others
        return asked

    def _met(self, held: list[Allowance], now_s: float, *, is_shared: bool) -> Met:
        for each in held:
            self._tallies[each.limit.name].allowed += 1
        return Met(fields=rate_fields([each.remaining(now_s, is_shared=is_shared) for each in held]))

    def _refused(self, held: list[Allowance], waits: Sequence[float], now_s: float, *, is_shared: bool) -> Refusal:
        short = [each.limit for wait_s, each in zip(waits, held, strict=True) if wait_s > 0]
        for limit in short:
            self._tallies[limit.name].refused += 1
        fields = rate_fields([each.remaining(now_s, is_shared=is_shared) for each in held])
        return _too_many(" and ".join(map(str, short)), max(waits), fields)


def _too_many(limits: str, wait_s: float, fields: Fields) -> Refusal:
    refusal = too_many("too many requests; try again later", wait_s)
    return replace(refusal, headers=(*refusal.headers, *fields), reason=f"over the limit {limits}")
