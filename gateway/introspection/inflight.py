"""One question on its way, shared by all who ask it meanwhile.

A purge may pass while the result is under way. Such a result was asked for before the purge: those who asked before the
purge get it, nobody who asked after it does, and no tier keeps it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from gateway.authn.facts import Indeterminate
from gateway.authn.question import FactsLookup
from gateway.http.client_network import client_network, network_of
from gateway.introspection.joiners import Joiners
from gateway.introspection.ports import Absent, Recalled
from gateway.introspection.tag_purge import TagPurge


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """Gives the right to ask for the whole fleet. Not `held`: the lease could not be had, so others may ask as well."""

    fence: bytes
    held: bool


@dataclass(slots=True, init=False, eq=False)
class FlightResult:
    """Holds the end of a flight: a result that is `age_s` old and may be kept for `left_s`, 0 for not at all.

    `tags` are the tags that it may be purged by beside its key. `log_position` is set when the shared tier lacks the
    result and should have it: the fleet's purges that were known when the provider was asked. `patience_s` is the rest
    of the time that the shared tier may cost a caller. `under_way_s` is when the call that brought it was last known to
    be under way, on the monotonic clock. `grant` is to be settled or released. `last_known` is what the shared tier had
    that was not fresh enough. `is_announced` is as in `Recalled`. With `is_judged_here` nobody was asked: every process
    judges the same, so that an inactive result is worth neither a place in a cache nor an announcement.
    """

    found: FactsLookup
    tags: tuple[bytes, ...]
    age_s: float
    left_s: float
    log_position: bytes | None
    patience_s: float
    under_way_s: float
    grant: LeaseGrant | None
    last_known: Recalled | None
    is_announced: bool
    is_judged_here: bool

    def __init__(
        self,
        found: FactsLookup,
        tags: tuple[bytes, ...] = (),
        age_s: float = 0.0,
        left_s: float = 0.0,
        log_position: bytes | None = None,
        patience_s: float = 0.0,
        under_way_s: float = -math.inf,
        grant: LeaseGrant | None = None,
        *,
        last_known: Recalled | None = None,
        is_announced: bool = False,
        is_judged_here: bool = False,
    ) -> None:
        self.found = found
        self.tags = tags
        self.age_s = age_s
        self.left_s = left_s
        self.log_position = log_position
        self.patience_s = patience_s
        self.under_way_s = under_way_s
        self.grant = grant
        self.last_known = last_known
        self.is_announced = is_announced
        self.is_judged_here = is_judged_here


class Inflight:
    """Keeps one question under way. Purges are numbered as this process hears of them; the earliest per tag counts.

    The provider is asked in the name of `address`. `joiners` are those whose question it is.
    """

    __slots__ = ("_everything", "_first", "address", "joiners", "key", "landing", "recalling", "was_active")

    def __init__(self, key: bytes, address: str = "") -> None:
        self.key = key
        self.address = address
        self.landing: asyncio.Future[FlightResult] | None = None
        # What the fleet has; is kept here until it is known.
        self.recalling: asyncio.Future[Recalled | Absent] | None = None
        self.was_active = False  # by what this process knew at take-off
        self.joiners = Joiners(client_network(address))
        self._first: dict[bytes, int] = {}
        self._everything: int | None = None

    def was_crowded_out(self, outcome: FlightResult, address: str) -> bool:
        """Whether the queue had no place for this flight's network, while one at `address` may find a place."""
        result = outcome.found.result
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
        """The number of the first purge since the start that covers the key or one of `tags`."""
        if not self._first:
            return self._everything
        numbers = [self._first[tag] for tag in (self.key, *tags) if tag in self._first]
        if self._everything is not None:
            numbers.append(self._everything)
        return min(numbers, default=None)

    def serves(self, outcome: FlightResult, joined_at: int, max_age_s: float | None, arrived_s: float) -> bool:
        """Whether a caller that came at `arrived_s`, and joined when `joined_at` purges were known, may take the
        result.

        A call that was still under way when the caller came serves everybody, `max_age: 0s` too.
        """
        purged_at = self.purged_at(outcome.tags)
        if purged_at is not None and purged_at <= joined_at:
            return False
        return max_age_s is None or outcome.age_s < max_age_s or arrived_s <= outcome.under_way_s


def outliving(landing: asyncio.Future[FlightResult]) -> asyncio.Future[FlightResult]:
    """Ends as `landing` does, for one caller: its cancellation does not reach `landing`.

    `asyncio.shield` does the same and takes longer than the rest of what a caller's wait costs.
    """
    waiting: asyncio.Future[FlightResult] = landing.get_loop().create_future()
    landing.add_done_callback(partial(_pass_on, waiting))
    return waiting


def _pass_on(waiting: asyncio.Future[FlightResult], landing: asyncio.Future[FlightResult]) -> None:
    if landing.cancelled():
        waiting.cancel()
        return
    error = landing.exception()  # looked at in any case, so that asyncio does not report it as forgotten
    if waiting.done():
        return
    if error is None:
        waiting.set_result(landing.result())
    else:
        waiting.set_exception(error)
