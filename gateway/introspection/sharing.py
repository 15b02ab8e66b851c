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
        self._announcing: set[Inflight] = set()

    async def share(self, key: bytes, recalled: Recalled, log_position: bytes, grant: LeaseGrant | None) -> None:
        is_settled = None
        if self._leases is not None and grant is not None:
            is_settled = await self._leases.settle(key, recalled, log_position, grant.fence)
            if grant.held and is_settled is False:
                self._meter.leased("lost")
        if is_settled is None and (grant is None or not grant.held):
            # There are no leases, or not now: sharing is worth more than the order of two answers.
            await self._shared.put(key, recalled, log_position)

    async def announce(self, flight: Inflight, landed: FlightResult, purge: TagPurge) -> bool:
        """Voids by `purge`, which this process knows already, what others keep, and puts the no in its place.

        Returns False when the fleet has not been told yet; it is told later.
        """
        began_s = self._monotonic()
        self._shared.hide(purge)
        self._announcing.add(flight)
        try:
            log_position = await self._shared.publish_revocation(purge)
        finally:
            self._announcing.discard(flight)
        result, took_s = landed.found.result, self._monotonic() - began_s
        if log_position and isinstance(result, Inactive) and flight.purged_at(landed.tags) is None:
            recalled = Recalled(result, landed.age_s + took_s, landed.left_s - took_s, is_announced=True)
            await self.share(flight.key, recalled, log_position, landed.grant)
        else:
            await self.release(flight.key, landed.grant)
        return log_position is not None

    def note_purge(self, purge: TagPurge, number: int) -> None:
        """As `Inflight.note_purge`, for those whose no the fleet is being told of."""
        for flight in self._announcing:
            flight.note_purge(purge, number)

    async def release(self, key: bytes, grant: LeaseGrant | None) -> None:
        if self._leases is not None and grant is not None:
            await self._leases.release(key, grant.fence)
