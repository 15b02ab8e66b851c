"""Settles whether a request is within its limits: at once where this process knows, else by asking the fleet's buckets.

How it works:

- `known` looks at the allowance of each identity (`gateway.limits.allowance`). Where all have room, it spends; where
  one has none, it refuses; both without waiting. Only where the fleet has to be asked, it leaves the request to `find`.
- `find` asks for all limits of the request at the same time (`gateway.proxy.fleet_borrower`).
- Without Redis, and while it is away, each worker counts its own share.

Memory is bounded by `gateway.limits.identities`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from gateway.condition import Met
from gateway.conditions.within_limits import WithinLimits, limits_known
from gateway.decision import DecisionContext
from gateway.http.refusal import Refusal, too_many
from gateway.limits.allowance import Allowance
from gateway.limits.identities import Identities
from gateway.limits.limit import CompiledLimit
from gateway.limits.rate_fields import Fields, rate_fields
from gateway.proxy.fleet_borrower import FleetBorrower, FleetBuckets

IDENTITIES_MAX: Final = 50_000
_WAIT_LEAST_S = 0.005


class LimitTally:
    """Counts the requests that were within one limit, and those that were not."""

    __slots__ = ("allowed", "refused")

    def __init__(self) -> None:
        self.allowed = 0
        self.refused = 0


class Limiter:
    """Settles `WithinLimits`; satisfies `ConditionPort`. `workers` are those of this instance.

    What `before` knows of a limit that is still the same goes on, but with another Redis, or without one, which has
    other buckets.
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
        if before is not None and before.workers == workers and before.fleet is fleet:
            known = before.identities
        size = None if fleet is None else fleet.size
        self.identities: Mapping[CompiledLimit, Identities] = {
            one: known[one] if one in known else Identities(one, workers, identities_max, size) for one in self.limits
        }
        self._borrower = None if fleet is None else FleetBorrower(fleet, monotonic)

    def __len__(self) -> int:
        return sum(len(known) for known in self.identities.values())

    @property
    def is_alone(self) -> bool:
        """Whether there are limits that this worker counts for itself, because no Redis says what the fleet did."""
        return bool(self.limits) and (self._borrower is None or not self._borrower.is_answered)

    @property
    def _shared(self) -> FleetBorrower | None:
        """By which the fleet's buckets can be asked, while they can."""
        borrower = self._borrower
        return borrower if borrower is not None and borrower.fleet.healthy else None

    def known(self, condition: WithinLimits) -> Refusal | Met | None:
        now_s, shared = self._monotonic(), self._shared
        is_shared = shared is not None
        held = self._held(condition, now_s, is_shared=is_shared)
        waits = [each.wait_s(now_s, is_shared=is_shared) for each in held]
        for wait_s in waits:
            if wait_s != 0:  # by far most requests are within their limits
                return self._refused(held, waits, now_s, is_shared=is_shared) if max(waits) > 0 else None
        for each in held:
            each.spend(now_s, is_shared=is_shared)
            if shared is not None:
                shared.look_ahead(each, now_s)
        return self._met(held, now_s, is_shared=is_shared)

    async def find(self, condition: WithinLimits) -> Refusal | Met:
        now_s, shared = self._monotonic(), self._shared
        held = self._held(condition, now_s, is_shared=shared is not None)
        if shared is None:
            return self._alone(held)
        spent = [shared.spend(each, now_s) for each in held]
        try:
            await asyncio.wait(spent)
        except asyncio.CancelledError:
            for one, each in zip(spent, held, strict=True):
                one.add_done_callback(partial(shared.refund, each))
            raise
        outcomes, now_s = [one.result() for one in spent], self._monotonic()
        if all(outcomes):
            return self._met(held, now_s, is_shared=True)
        for one, each in zip(spent, held, strict=True):
            shared.refund(each, one)
        if False not in outcomes:
            return self._alone(held)
        waits = [
            max(_WAIT_LEAST_S, each.wait_s(now_s, is_shared=True)) if outcome is False else 0.0
            for outcome, each in zip(outcomes, held, strict=True)
        ]
        return self._refused(held, waits, now_s, is_shared=True)

    async def foresee(self, condition: WithinLimits) -> tuple[Refusal | Met, str]:
        now_s, shared = self._monotonic(), self._shared
        held = [self.identities[limit].seen(identity, now_s) for limit, identity in condition.spends]
        if shared is not None:
            await asyncio.gather(*(shared.look(each) for each in held))
        remaining = [each.remaining(now_s, is_shared=shared is not None) for each in held]
        words = ", ".join(f"{one.limit.name} has {one.requests} of {int(one.most)} left" for one in remaining)
        short = [one for one in remaining if one.requests < 1]
        if short:
            names = " and ".join(one.limit.name for one in short)
            return _too_many(names, max(one.wait_s for one in short), rate_fields(remaining)), words
        return Met(), words

    def fields(self, context: DecisionContext, limits: tuple[CompiledLimit, ...]) -> Fields:
        """What a refusal says of the limits, as far as it is known whom they count. Nothing is spent."""
        now_s, is_shared = self._monotonic(), self._shared is not None
        is_caller_known = context.facts is not None
        spends = limits_known(context, tuple(one for one in limits if is_caller_known or one.is_by_address))
        held = (self.identities[limit].seen(identity, now_s) for limit, identity in spends)
        return rate_fields([each.remaining(now_s, is_shared=is_shared) for each in held])

    async def close(self) -> None:
        """Give back what is borrowed, as far as Redis takes it soon."""
        if self._borrower is not None:
            await self._borrower.close()

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

    def _met(self, held: list[Allowance], now_s: float, *, is_shared: bool) -> Met:
        for each in held:
            self._tallies[each.limit.name].allowed += 1
        return Met(fields=rate_fields([each.remaining(now_s, is_shared=is_shared) for each in held]))

    def _refused(self, held: list[Allowance], waits: Sequence[float], now_s: float, *, is_shared: bool) -> Refusal:
        short = [each.limit for wait_s, each in zip(waits, held, strict=True) if wait_s > 0]
        for limit in short:
            self._tallies[limit.name].refused += 1
        remaining = [each.remaining(now_s, is_shared=is_shared) for each in held]
        # No earlier than the `t` of a limit that refuses (RateLimit header fields §6).
        wait_s = max(*waits, *(one.wait_s for one in remaining if one.limit in short))
        return _too_many(" and ".join(map(str, short)), wait_s, rate_fields(remaining))


def _too_many(limits: str, wait_s: float, fields: Fields) -> Refusal:
    refusal = too_many("too many requests; try again later", wait_s)
    return replace(refusal, headers=(*refusal.headers, *fields), reason=f"over the limit {limits}")
