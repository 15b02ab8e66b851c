"""The port of leases: which process of the fleet asks about a key. `gateway.cache.lease` satisfies it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from gateway.introspection.ports import Absent, Recalled


@dataclass(frozen=True, slots=True)
class LeaseState:
    """Says which call asks the provider now: `holder` is its fence, for `left_s` more at most.

    `recalled` is what the shared tier had at the same moment.
    """

    holder: bytes
    left_s: float
    recalled: Recalled | Absent


class LeaseSignal(Protocol):
    async def wait(self, at_most_s: float) -> None:
        """Returns when a lease was settled or released, perhaps for no reason, or after `at_most_s`."""
        ...


class Leases(Protocol):
    """Gives the right to ask about a key to one holder at a time in the whole fleet.

    A `fence` is random and names one call. Raises nothing but `CancelledError`; each operation ends within the shared
    tier's `timeout_s`.
    """

    async def acquire(self, key: bytes, realm: str, fence: bytes, length_s: float) -> LeaseState | None:
        """Acquires the lease if nobody has it, for `length_s`; `realm` as in `SharedTier.get`.

        `None` when it cannot be told who has it.
        """
        ...

    async def settle(self, key: bytes, recalled: Recalled, log_position: bytes, fence: bytes) -> bool | None:
        """Puts the result of the call `fence` into the shared tier and releases its lease, in one step.

        False, and nothing is put, when another call has taken over or has put a result meanwhile. `None` when it could
        not be put at all.
        """
        ...

    async def release(self, key: bytes, fence: bytes) -> None:
        """Ends the lease if `fence` still holds it."""
        ...

    def signal(self, key: bytes) -> AbstractContextManager[LeaseSignal]:
        """The signal of the key's lease. Enter it before you try to acquire the lease, so that you miss nothing."""
        ...
