"""What a flight brought goes to the fleet: an answer into the shared tier, a no to everybody who keeps older facts.

An answer is put with the standing that was taken before the provider was asked, and ends the lease under which it was
asked for. A no of a token that somebody may keep for active is told first, as a purge. It was asked for before that
purge and would be void after it. So the purge is read back, and the no is put with the standing of that moment, unless
something else was purged in between that covers it.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.authn.facts import Inactive
from gateway.introspection.inflight import FlightResult, Inflight, LeaseGrant
from gateway.introspection.ports import IntrospectionMeter, Leases, Recalled, SharedTier
from gateway.introspection.tag_purge import TagPurge


class Sharing:
    """`monotonic` measures, in seconds. Nothing here raises anything but `CancelledError`."""

    def __init__(
        self, shared: SharedTier, leases: Leases | None, meter: IntrospectionMeter, monotonic: Callable[[], float]
    ) -> None:
        self._shared = shared
        self._leases = leases
        self._meter = meter
        self._monotonic = monotonic
        self._telling: set[Inflight] = set()

    async def share(self, key: bytes, recalled: Recalled, standing: bytes, claim: LeaseGrant | None) -> None:
        is_settled = None
        if self._leases is not None and claim is not None:
            is_settled = await self._leases.settle(key, recalled, standing, claim.fence)
            if claim.held and is_settled is False:
                self._meter.leased("lost")
        if is_settled is None and (claim is None or not claim.held):
            # There are no leases, or not now: sharing is worth more than the order of two answers.
            await self._shared.put(key, recalled, standing)

    async def tell(self, flight: Inflight, landed: FlightResult, purge: TagPurge) -> bool:
        """Voids by `purge`, which this process knows already, what others keep, and puts the no in its place.

        Returns False when the fleet has not been told yet; it is told later.
        """
        began_s = self._monotonic()
        self._shared.forget(purge)
        self._telling.add(flight)
        try:
            standing = await self._shared.publish_no(purge)
        finally:
            self._telling.discard(flight)
        answer, took_s = landed.found.answer, self._monotonic() - began_s
        if standing and isinstance(answer, Inactive) and flight.purged_at(landed.tags) is None:
            recalled = Recalled(answer, landed.age_s + took_s, landed.left_s - took_s, is_told=True)
            await self.share(flight.key, recalled, standing, landed.claim)
        else:
            await self.give_back(flight.key, landed.claim)
        return standing is not None

    def passed_by(self, purge: TagPurge, number: int) -> None:
        """As `Inflight.passed_by`, for those whose no the fleet is being told of."""
        for flight in self._telling:
            flight.passed_by(purge, number)

    async def give_back(self, key: bytes, claim: LeaseGrant | None) -> None:
        if self._leases is not None and claim is not None:
            await self._leases.give_back(key, claim.fence)
