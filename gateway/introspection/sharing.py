"""Shares a flight's result with the fleet: puts it into the shared tier, and announces a revocation.

A result is put with the log position that was taken before the provider was asked, and settles the lease under which it
was asked for. A revocation, an inactive result of a token that somebody may keep as active, is first announced as a
purge. Its result was asked for before that purge and would be void after it. So the purge is read back from the log,
and the result is put with the position of that moment, unless another purge in between covers it.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.authn.facts import Inactive
from gateway.introspection.inflight import FlightResult, Inflight, LeaseGrant
from gateway.introspection.lease_port import Leases
from gateway.introspection.ports import IntrospectionMeter, Recalled, SharedTier
from gateway.introspection.tag_purge import TagPurge


class Sharing:
    """Shares results. `monotonic` measures, in seconds. Nothing here raises anything but `CancelledError`."""

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
            # Without a lease two results may be put in the wrong order. Sharing is worth more than that order.
            await self._shared.put(key, recalled, log_position)

    async def announce(self, flight: Inflight, outcome: FlightResult, purge: TagPurge) -> bool:
        """Voids by `purge`, which this process knows already, what others keep, and puts the inactive result in its
        place.

        Returns False when the fleet has not been told yet; it is told later.
        """
        began_s = self._monotonic()
        self._shared.hide(purge)
        self._announcing.add(flight)
        try:
            log_position = await self._shared.publish_revocation(purge)
        finally:
            self._announcing.discard(flight)
        result, took_s = outcome.found.result, self._monotonic() - began_s
        if log_position and isinstance(result, Inactive) and flight.purged_at(outcome.tags) is None:
            recalled = Recalled(result, outcome.age_s + took_s, outcome.left_s - took_s, is_announced=True)
            await self.share(flight.key, recalled, log_position, outcome.grant)
        else:
            await self.release(flight.key, outcome.grant)
        return log_position is not None

    def note_purge(self, purge: TagPurge, number: int) -> None:
        """As `Inflight.note_purge`, for the flights whose revocation is being announced."""
        for flight in self._announcing:
            flight.note_purge(purge, number)

    async def release(self, key: bytes, grant: LeaseGrant | None) -> None:
        if self._leases is not None and grant is not None:
            await self._leases.release(key, grant.fence)
