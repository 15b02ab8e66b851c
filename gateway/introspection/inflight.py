"""A question on its way, shared by all who ask it meanwhile.

A purge may pass while the answer is under way. Such an answer was asked for before the purge: it is given to
those who asked before the purge as well, to nobody who asked after it, and no tier remembers it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.authn.facts import Indeterminate
from gateway.authn.question import FactsLookup
from gateway.http.client_network import client_network, network_of
from gateway.introspection.joiners import Joiners
from gateway.introspection.ports import Absent, Recalled
from gateway.introspection.tag_purge import TagPurge


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """The right to ask for the whole fleet. Not `held` when nobody could be asked for it: others may ask as well."""

    fence: bytes
    held: bool


@dataclass(frozen=True, slots=True)
class FlightResult:
    """How a flight ended: an answer of `age_s` that may be remembered for `left_s`, 0 for not at all.

    `tags` are what it may be purged by beside its key. `log_position` is there when the shared tier does not have the
    answer and should: the fleet's purges known when the provider was asked, and `patience_s`, what is left of the
    time that the shared tier may cost a caller. `under_way_s` is when the call that brought it was last known not to
    be over, on the monotonic clock. `grant` is to be settled or given back. `last_known` is what the shared tier had
    that was not fresh enough. `is_announced` is as in `Recalled`.
    """

    found: FactsLookup
    tags: tuple[bytes, ...] = ()
    age_s: float = 0.0
    left_s: float = 0.0
    log_position: bytes | None = None
    patience_s: float = 0.0
    under_way_s: float = -math.inf
    grant: LeaseGrant | None = None
    last_known: Recalled | None = None
    is_announced: bool = False


@dataclass(slots=True, eq=False)
class Inflight:
    """Purges are numbered in the order in which this process hears of them; the earliest is kept per mark."""

    key: bytes
    address: str = ""  # in whose name the provider is asked
    landing: asyncio.Future[FlightResult] | None = None
    recalling: asyncio.Future[Recalled | Absent] | None = None  # what the fleet has; is kept here until it is known
    was_active: bool = False  # by what this process knew at take-off
    joiners: Joiners = field(init=False)  # whose question it is
    _first: dict[bytes, int] = field(default_factory=dict)
    _everything: int | None = None

    def __post_init__(self) -> None:
        self.joiners = Joiners(client_network(self.address))

    def was_crowded_out(self, landed: FlightResult, address: str) -> bool:
        """Whether there is no answer for want of a place, which one at `address` has better hopes of."""
        result = landed.found.result
        return (
            isinstance(result, Indeterminate)
            and result.is_queue_full
            and network_of(address) != network_of(self.address)
        )

    def note_purge(self, purge: TagPurge, number: int) -> None:
        if purge.tags is None:
            self._everything = number if self._everything is None else self._everything
            return
        for tag in purge.tags:
            self._first.setdefault(tag, number)

    def purged_at(self, tags: Iterable[bytes] = ()) -> int | None:
        """The number of the first purge since take-off that covers the key or one of `tags`."""
        numbers = [self._first[tag] for tag in (self.key, *tags) if tag in self._first]
        if self._everything is not None:
            numbers.append(self._everything)
        return min(numbers, default=None)

    def serves(self, landed: FlightResult, joined_at: int, max_age_s: float | None, arrived_s: float) -> bool:
        """Whether one who came at `arrived_s`, and joined when `joined_at` purges were known, may take the answer.

        A call that was not over when they came serves everybody, `max_age: 0s` too.
        """
        purged_at = self.purged_at(landed.tags)
        if purged_at is not None and purged_at <= joined_at:
            return False
        return max_age_s is None or landed.age_s < max_age_s or arrived_s <= landed.under_way_s
