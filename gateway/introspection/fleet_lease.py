"""Whose turn it is to ask a provider about a token: one process of the fleet, while the others wait for what it learns.

The state is a lease in the shared tier. Who holds it asks; the others are woken when it settles, and look again every
now and then in case nobody wakes them. A holder that dies costs the lease's length. One that fails gives the lease
back, and those who waited take their turns. Where the shared tier cannot say whose turn it is, this process asks by
itself: its own callers share that call, and no request fails for want of a lease.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.introspection.inflight import FlightResult, LeaseGrant
from gateway.introspection.ports import Absent, IntrospectionMeter, Introspector, Leases, Recalled, SharedTier

# What can be learnt of an answer of the shared tier: something usable, or nothing. The mapping says which calls were
# seen under way, and when last.
Read = Callable[[Recalled | Absent, Mapping[bytes, float]], FlightResult | None]

_FENCE_BYTES = 16
# A message that is lost costs this much; small against a call, and four small questions a second and process.
_LOOK_AGAIN_S = 0.25
# On top of what a call and its settling may take, for a process that is late: shorter, and a slow call would lose its
# turn; longer, and a holder that died would be waited for in vain.
_LATE_S = 0.5
# Waiting for others ends after this many leases: one for a holder that died, one for the call of whoever took over.
_LEASES_WAITED = 2
# Two looks begin at least so far apart, whatever the shared tier says of the lease's end and however often it wakes us.
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class FleetLease:
    """`monotonic` measures, in seconds."""

    leases: Leases
    shared: SharedTier
    meter: IntrospectionMeter
    monotonic: Callable[[], float]

    def length_s(self, introspector: Introspector) -> float:
        """How long a lease holds: a whole call, and to take and settle it."""
        return introspector.max_duration_s + 2 * self.shared.timeout_s + _LATE_S

    async def acquire_or_wait(self, key: bytes, introspector: Introspector, read: Read) -> FlightResult | LeaseGrant:
        """What another process has learnt about `key`, if `read` can use it, else the right to ask.

        Raises nothing but `CancelledError`. The claim is to be settled or given back.
        """
        fence, length_s = secrets.token_bytes(_FENCE_BYTES), self.length_s(introspector)
        patient_until_s = self.monotonic() + _LEASES_WAITED * length_s
        try:
            return await self._acquire_or_wait(key, introspector.realm, fence, length_s, patient_until_s, read)
        except BaseException:
            # What was cancelled in the taking may have been taken.
            await self.leases.release(key, fence)
            raise

    async def _acquire_or_wait(
        self, key: bytes, realm: str, fence: bytes, length_s: float, patient_until_s: float, read: Read
    ) -> FlightResult | LeaseGrant:
        seen: dict[bytes, float] = {}
        with self.leases.signal(key) as signal:
            while True:
                now_s = self.monotonic()
                state = await self.leases.acquire(key, realm, fence, length_s)
                if state is None or (state.holder != fence and now_s >= patient_until_s):
                    self.meter.leased("unavailable")
                    return LeaseGrant(fence, held=False)
                # It may have been settled between our looking and our taking.
                landed = read(state.recalled, seen)
                if state.holder == fence:
                    if landed is None:
                        self.meter.leased("held")
                        return LeaseGrant(fence, held=True)
                    await self.leases.release(key, fence)
                if landed is None:
                    seen[state.holder] = now_s
                    await signal.wait(min(_LOOK_AGAIN_S, state.left_s))
                    # A look before the next taking: many are woken at once, and most find what they need.
                    landed = read(await self.shared.get(key, realm), seen)
                if landed is not None:
                    self.meter.leased("waited")
                    return landed
                await asyncio.sleep(max(0.0, now_s + _PAUSE_S - self.monotonic()))


def seen_under_way(recalled: Recalled, seen: Mapping[bytes, float]) -> float:
    """When the call that brought `recalled` was last seen under way; minus infinity when it was not seen."""
    return seen.get(recalled.call, -math.inf) if recalled.call else -math.inf
