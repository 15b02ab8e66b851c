"""Looks up facts about a token: in this process, else in the fleet, else at the provider, once.

    cached -> look_up -> Fallback -> Flights: join or start -> fleet -> FleetLease -> provider -> Settlement

- Callers that ask the same question at the same time share one flight. The flight belongs to this object. A caller that
  is cancelled neither fails nor delays the others. When all have left, the result is still kept, because the token will
  be back.
- Unclear results reach those who wait for them and are never kept.
- A purge that passes while a result is under way voids it for everybody who asked after the purge.
- `Flights` owns the tasks; `close` lets them end, then cancels them.
- Facts are kept, decisions never: facts from here have to pass the policy on every request.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from gateway.authn.bearer import Token, remember
from gateway.authn.facts import Facts
from gateway.authn.question import FactsLookup, Question
from gateway.introspection.fallback import Fallback
from gateway.introspection.fetcher import FactsFetcher
from gateway.introspection.fleet_lease import FleetLease
from gateway.introspection.flights import Flights
from gateway.introspection.inflight import FlightResult, Inflight, outliving
from gateway.introspection.invalidation import Invalidation
from gateway.introspection.last_known import LastKnown
from gateway.introspection.lease_port import Leases
from gateway.introspection.lifetime import Lifetimes, as_of
from gateway.introspection.not_before import NotBefore
from gateway.introspection.ports import CacheEntry, CacheKeys, IntrospectionMeter, Introspector, LocalTier, SharedTier
from gateway.introspection.purge_order import purge_of_claims, purge_of_invalidation, purge_of_token
from gateway.introspection.refresh import Ahead, Refresher
from gateway.introspection.revocations import Revocations
from gateway.introspection.settlement import Settlement
from gateway.introspection.sharing import Sharing
from gateway.introspection.tag_purge import KnownPurges, TagPurge

__all__ = ["Authenticator", "FactsLookup", "Question"]

Heard = Callable[[FactsLookup | BaseException], object]


class Authenticator:
    """Finds results in the tiers. `clock` is the wall clock, only for `exp`; `monotonic` measures ages. Both in
    seconds.

    With `leases`, one process of those that use `shared` asks at a time. `ahead` refreshes results before they end.
    `longest_tolerated_s` says for each provider how long its facts are of use after they were fresh. `on_revoked` gets
    tokens that a provider called inactive, that others may still keep, and that the fleet could not be told of.
    `on_inactive` gets the cache keys of all inactive results. `not_before` and `revocations`, where given, outlive this
    object.
    """

    def __init__(
        self,
        introspectors: Mapping[str, Introspector],
        *,
        keys: CacheKeys,
        local: LocalTier,
        shared: SharedTier | None,
        meter: IntrospectionMeter,
        lifetimes: Lifetimes,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        leases: Leases | None = None,
        ahead: Ahead | None = None,
        longest_tolerated_s: Mapping[str, float] = MappingProxyType({}),
        on_revoked: Callable[[Token], object] | None = None,
        on_inactive: Callable[[bytes], object] | None = None,
        not_before: NotBefore | None = None,
        revocations: Revocations | None = None,
    ) -> None:
        self.longest_tolerated_s = longest_tolerated_s
        self._local = local
        self._shared = shared
        self._sharing = None if shared is None else Sharing(shared, leases, meter, monotonic)
        self._meter = meter
        self._clock = clock
        self._monotonic = monotonic
        lease = None if shared is None or leases is None else FleetLease(leases, shared, meter, monotonic)
        ended = not_before or NotBefore(), revocations or Revocations()
        self._fetcher = FactsFetcher(introspectors, keys, shared, meter, lifetimes, clock, monotonic, lease, *ended)
        self._last_known = LastKnown(local, self._fetcher.result_tags, lifetimes, longest_tolerated_s, clock, monotonic)
        self._refresher = None if ahead is None else Refresher(ahead, self._find, meter)
        self._keys = keys
        self._identities = {name: each.identity for name, each in introspectors.items()}
        self._flights = Flights(self._fetcher, self._is_active, self._land, monotonic)
        self._fallback = Fallback(self._last_known, self._find, self._flights.spawn)
        self._purges = 0
        self._known_purges = KnownPurges()
        self._settlement = self._new_settlement(ahead, on_inactive, on_revoked)

    def _new_settlement(
        self,
        ahead: Ahead | None,
        on_inactive: Callable[[bytes], object] | None,
        on_revoked: Callable[[Token], object] | None,
    ) -> Settlement:
        return Settlement(
            self._fetcher,
            self._local,
            self._last_known,
            self._sharing,
            ahead,
            self._known_purges,
            spawn=self._flights.spawn,
            on_inactive=on_inactive,
            on_revoked=on_revoked,
        )

    def cached(self, question: Question) -> FactsLookup | None:
        """The result that this process has, at once; `None`: call `look_up`."""
        key = self._keys.key(self._identities[question.provider], question.token)
        entry = self._fresh_entry(key, question)
        if entry is None:
            return None  # counted by `look_up`
        self._meter.found_at_once()
        if isinstance(entry.result, Facts):
            remember(question.token)
        return FactsLookup(entry.result, "local")

    async def look_up(self, question: Question) -> FactsLookup:
        """The result from the nearest tier that has it fresh enough. Raises nothing but `CancelledError`."""
        key = self._fetcher.key(question)
        entry = self._fresh_entry(key, question)
        self._meter.looked_up("local", "miss" if entry is None else "hit")
        if entry is not None:
            return FactsLookup(entry.result, "local")
        return await self._fallback.look_up(key, question)

    def begin(self, question: Question, heard: Heard) -> None:
        """Do as `look_up` does, without a task. `heard` is called once, now or later.

        Not for a question that tolerates older facts. A caller that leaves needs to do nothing; if this object is
        closed before, `heard` is never called.
        """
        key = self._fetcher.key(question)
        entry = self._fresh_entry(key, question)
        self._meter.looked_up("local", "miss" if entry is None else "hit")
        if entry is None:
            self._join(key, question, self._monotonic(), heard)
        else:
            heard(FactsLookup(entry.result, "local"))

    def _join(self, key: bytes, question: Question, arrived_s: float, heard: Heard) -> None:
        flight, landing = self._flights.join(key, question)
        landing.add_done_callback(partial(self._landed, flight, question, self._purges, arrived_s, heard))

    def _landed(
        self,
        flight: Inflight,
        question: Question,
        joined_at: int,
        arrived_s: float,
        heard: Heard,
        landing: asyncio.Future[FlightResult],
    ) -> None:
        """As in `_find`."""
        if landing.cancelled():
            return
        if (error := landing.exception()) is not None:
            heard(error)
            return
        outcome = landing.result()
        if not flight.was_crowded_out(outcome, question.address):
            if flight.serves(outcome, joined_at, question.max_age_s, arrived_s):
                heard(outcome.found)
                return
            if (entry := self._fresh_entry(flight.key, question)) is not None:
                heard(FactsLookup(entry.result, "local"))
                return
        self._join(flight.key, question, arrived_s, heard)

    def was_recently_active(self, question: Question) -> bool:
        """Whether the provider has called the token active not long ago, and has not revoked it since."""
        return self._is_active(self._fetcher.key(question))

    def tags(self, question: Question, facts: Facts) -> tuple[bytes, ...]:
        """The tags that the token's facts may be purged by, the cache key first."""
        key = self._fetcher.key(question)
        return (key, *self._fetcher.result_tags(key, question.provider, facts))

    def introspected_at_s(self, question: Question) -> float | None:
        """When the facts that are kept were asked for, on the monotonic clock; `None` if none are kept."""
        entry = self._last_known.facts(self._fetcher.key(question))
        return None if entry is None else entry.introspected_at_s

    def purge_of(self, *, token: Token | None = None, **claims: str | None) -> TagPurge:
        """The purge of a token at every provider, of everything with one of the claims (`TOKEN_CLAIMS`), or of
        everything.
        """
        return purge_of_token(self._fetcher, token) if token is not None else purge_of_claims(self._fetcher, claims)

    def purge_of_invalidation(self, invalidation: Invalidation) -> TagPurge:
        """The same order as tags, under the same id."""
        return purge_of_invalidation(self._fetcher, invalidation)

    async def is_worth_revoking(self, token: Token) -> bool:
        """Whether a process that asks nobody would take the token, so that it has to remember that it was revoked."""
        validators = [each.validator for each in self._fetcher.introspectors.values()]
        alone = [one for one in validators if one is not None and one.decides_alone]
        return any([await one.may_have_issued(token) for one in alone])

    def forget(self, purge: TagPurge) -> int:
        """Forgets in this process the results that `purge` covers, those under way included; returns how many it
        dropped.

        `gateway.cache.redis` tells the fleet, the supervisor tells the other workers of the instance. A second call
        with the same order does nothing.
        """
        if not self._known_purges.is_new(purge):
            return 0
        self._fetcher.record_not_before(purge)
        self._record_revocation(purge)
        self._purges += 1
        self._flights.note_purge(purge, self._purges)
        if self._sharing is not None:
            self._sharing.note_purge(purge, self._purges)
        if self._shared is not None and not purge.is_revocation:
            self._shared.hide(purge)
        return self._local.drop_tagged(purge, self._monotonic())

    def _record_revocation(self, purge: TagPurge) -> None:
        """An order about everything has the keys fetched again, too, and refuses nobody."""
        validators = [each.validator for each in self._fetcher.introspectors.values() if each.validator is not None]
        if purge.tags is None:
            for validator in validators:
                validator.forget_keys()
        elif any(validator.decides_alone for validator in validators):
            self._fetcher.revocations.record(purge)

    async def close(self, within_s: float) -> None:
        """Lets flights end for `within_s`, then cancels them, and with them everybody who still waits for one."""
        await self._flights.close(within_s)

    async def _find(self, key: bytes, question: Question) -> FactsLookup:
        arrived_s = self._monotonic()
        while True:
            flight, landing = self._flights.join(key, question)
            joined_at = self._purges
            outcome = await outliving(landing)
            if flight.was_crowded_out(outcome, question.address):
                continue  # it had joined the question of another network, which had no place left
            if flight.serves(outcome, joined_at, question.max_age_s, arrived_s):
                return outcome.found
            entry = self._fresh_entry(key, question)
            if entry is not None:
                return FactsLookup(entry.result, "local")

    def _fresh_entry(self, key: bytes, question: Question) -> CacheEntry | None:
        now_s = self._monotonic()
        entry = self._local.get(key, now_s)
        if entry is None:
            return None
        due_s = entry.refresh_at_s
        if (max_age_s := question.max_age_s) is not None:
            if now_s - entry.introspected_at_s >= max_age_s:
                return None
            if self._refresher is not None:
                due_s = self._refresher.ahead.due_s(entry, max_age_s)
        # The wall clock may have been set since, so an entry that is fresh by the monotonic clock may be past `exp`.
        if as_of(entry.result, self._clock()) is not entry.result:
            return None
        if now_s >= due_s:
            self._refresh(key, question, entry, now_s)
        return entry

    def _refresh(self, key: bytes, question: Question, entry: CacheEntry, now_s: float) -> None:
        if self._refresher is not None and self._refresher.admits():
            self._local.put(key, replace(entry, refresh_at_s=math.inf), now_s)
            self._flights.spawn(self._refresher.refresh(key, question))

    def _is_active(self, key: bytes) -> bool:
        return self._last_known.facts(key) is not None

    def _land(self, flight: Inflight, question: Question, outcome: FlightResult) -> Coroutine[Any, Any, object] | None:
        """The work to wait for: `Settlement.settle`, unless a purge voided the result on its way."""
        if flight.was_active:
            self._fallback.record(question, outcome.found)
        if flight.purged_at(outcome.tags) is None:
            return self._settlement.settle(flight, question, outcome)
        self._settlement.release(flight.key, outcome.grant)
        return None
