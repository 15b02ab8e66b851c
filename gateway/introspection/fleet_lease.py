"""Lets one process of the fleet ask a provider about a token, while the others wait for its result.

    acquire -> held: this process asks, then settles or releases
            -> another holds it: wait for its signal, look again -> a usable result | acquire again
            -> cannot be told, or waited for too long: this process asks without a lease

The lease lies in the shared tier. The holder asks; the others are woken when it settles, and look again every now and
then in case nobody wakes them. A holder that dies costs the lease's length. A holder that fails releases the lease, and
the next one acquires it. If the shared tier cannot tell who holds it, this process asks alone: its own callers share
that call, and no request fails for want of a lease. There are no tasks here; a flight's task runs this.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.introspection.inflight import FlightResult, LeaseGrant
from gateway.introspection.lease_port import Leases
from gateway.introspection.ports import Absent, IntrospectionMeter, Introspector, Recalled, SharedTier

# Reads what the shared tier has: something usable, or nothing. The mapping holds the calls that were seen under way,
# and when each was seen last.
Read = Callable[[Recalled | Absent, Mapping[bytes, float]], FlightResult | None]

_FENCE_BYTES = 16
# A lost message costs this much. It is small against a call, and makes four small questions a second and process.
_LOOK_AGAIN_S = 0.25
# On top of a call and its settling, for a process that is late. If it were shorter, a slow call would lose its lease;
# if it were longer, a holder that died would be waited for in vain.
_LATE_S = 0.5
# Waiting ends after this many leases: one for a holder that died, one for the call of the process that took over.
_LEASES_WAITED = 2
# Two looks begin at least so far apart, whatever end of the lease the shared tier names and however often it wakes us.
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class FleetLease:
    """Acquires leases and waits for those of others. `monotonic` measures, in seconds."""

    leases: Leases
    shared: SharedTier
    meter: IntrospectionMeter
    monotonic: Callable[[], float]

    def length_s(self, introspector: Introspector) -> float:
        """How long a lease lasts: a whole call, and the time to acquire and settle it."""
        return introspector.max_duration_s + 2 * self.shared.timeout_s + _LATE_S

    async def acquire_or_wait(self, key: bytes, introspector: Introspector, read: Read) -> FlightResult | LeaseGrant:
        """The result of another process about `key`, if `read` can use it, else the right to ask.

        Raises nothing but `CancelledError`. The caller has to settle or release the grant.
        """
        fence, length_s = secrets.token_bytes(_FENCE_BYTES), self.length_s(introspector)
        patient_until_s = self.monotonic() + _LEASES_WAITED * length_s
        try:
            return await self._acquire_or_wait(key, introspector.realm, fence, length_s, patient_until_s, read)
        except BaseException:
            # A lease may have been acquired although its acquiring was cancelled.
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
                # The holder may have settled between our look and our acquiring.
                outcome = read(state.recalled, seen)
                if state.holder == fence:
                    if outcome is None:
                        self.meter.leased("held")
                        return LeaseGrant(fence, held=True)
                    await self.leases.release(key, fence)
                if outcome is None:
                    seen[state.holder] = now_s
                    await signal.wait(min(_LOOK_AGAIN_S, state.left_s))
                    # Look before acquiring again: many are woken at once, and most find what they need.
                    outcome = read(await self.shared.get(key, realm), seen)
                if outcome is not None:
                    self.meter.leased("waited")
                    return outcome
                await asyncio.sleep(max(0.0, now_s + _PAUSE_S - self.monotonic()))


def seen_under_way(recalled: Recalled, seen: Mapping[bytes, float]) -> float:
    """When the call that brought `recalled` was last seen under way; minus infinity when it was not seen."""
    return seen.get(recalled.fence, -math.inf) if recalled.fence else -math.inf
