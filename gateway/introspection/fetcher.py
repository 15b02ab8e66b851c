"""Fetches a result that this process does not have: from the fleet, else from the provider."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate, IntrospectionResult
from gateway.authn.question import FactsLookup, Question
from gateway.introspection.fleet_lease import FleetLease, seen_under_way
from gateway.introspection.inflight import FlightResult, LeaseGrant
from gateway.introspection.invalidation import ClaimSelector, whole_realm
from gateway.introspection.joiners import Joiners
from gateway.introspection.lifetime import Lifetimes, as_of, left_s, within_own_end
from gateway.introspection.not_before import NotBefore
from gateway.introspection.ports import (
    Absent,
    CacheKeys,
    IntrospectionMeter,
    Introspector,
    Memorable,
    Recalled,
    SharedTier,
    TokenValidator,
)
from gateway.introspection.revocations import Revocations
from gateway.introspection.tag_purge import TagPurge
from gateway.spans import span


@dataclass(frozen=True, slots=True)
class FactsFetcher:
    """Fetches results. `clock` is the wall clock, only for `exp`; `monotonic` measures ages. Both in seconds."""

    introspectors: Mapping[str, Introspector]
    keys: CacheKeys
    shared: SharedTier | None
    meter: IntrospectionMeter
    lifetimes: Lifetimes
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    fleet_lease: FleetLease | None = None
    not_before: NotBefore = field(default_factory=NotBefore)
    revocations: Revocations = field(default_factory=Revocations)

    def key(self, question: Question) -> bytes:
        return self.keys.key(self.introspectors[question.provider].identity, question.token)

    def key_tags(self, key: bytes) -> tuple[bytes, ...]:
        """The tags of an entry under `key`, whatever its result."""
        return self.keys.aliases(key) or (key,)

    def token_tags(self, token: Token) -> list[bytes]:
        """The tags of the token's entries at every provider."""
        return [tag for each in self.introspectors.values() for tag in self._own_tags(each, token)]

    def result_tags(self, key: bytes, provider: str, result: Memorable) -> tuple[bytes, ...]:
        """The tags of a result under `key`, beside the key's own."""
        return self.keys.aliases(key) + self.keys.result_tags(self.introspectors[provider].realm, result)

    def record_not_before(self, purge: TagPurge) -> None:
        """Records the not-before time that the purge names, if any: tokens that its realms issued earlier are
        inactive.
        """
        if purge.not_before is None:
            return
        for realm in {each.realm for each in self.introspectors.values()}:
            if purge.covers(self.keys.selector_tags(whole_realm(realm))):
                self.not_before.advance(realm, purge.not_before)

    def recall(self, key: bytes, question: Question) -> Awaitable[Recalled | Absent] | None:
        """Asks the fleet; `None` if no result that it remembers would do, or the token has to be judged first."""
        introspector = self.introspectors[question.provider]
        if self.shared is None or question.max_age_s == 0 or introspector.validator is not None:
            return None
        return self.shared.get(key, introspector.realm)

    def recalled(
        self, key: bytes, question: Question, recalled: Recalled | Absent
    ) -> tuple[FlightResult | None, Recalled | None]:
        """Splits the fleet's result into one that is fresh enough to use, and one that is only the last known."""
        flight_result = self._usable(key, question, recalled, {})
        result: Literal["hit", "miss", "error"] = "miss"
        if flight_result is not None:
            result = "hit"
        elif recalled is Absent.ERROR:
            result = "error"
        self.meter.looked_up("redis", result)
        return flight_result, recalled if flight_result is None and isinstance(recalled, Recalled) else None

    async def fetch(
        self,
        key: bytes,
        question: Question,
        joiners: Joiners | None = None,
        last_known: Recalled | None = None,
        spent_s: float = 0.0,
    ) -> FlightResult:
        """The provider's result for `question`, whose cache key is `key` and which `joiners` wait for.

        Asking the fleet before has taken `spent_s` and found `last_known`. Raises nothing but `CancelledError`.
        """
        if (validator := self.introspectors[question.provider].validator) is not None:
            judged = await self._judge(key, question, validator)
            if judged is not None:
                return judged
            began_s = self.monotonic()
            outcome, last_known = await self._recall_judged(key, question)
            if outcome is not None:
                return outcome
            spent_s = self.monotonic() - began_s
        return await self._ask(key, question, joiners, last_known, spent_s)

    async def _recall_judged(self, key: bytes, question: Question) -> tuple[FlightResult | None, Recalled | None]:
        """What the fleet has of a token that `recall` did not ask it about, because it had to be judged first."""
        if self.shared is None or question.max_age_s == 0:
            return None, None
        found = await self.shared.get(key, self.introspectors[question.provider].realm)
        return self.recalled(key, question, found)

    async def _ask(
        self,
        key: bytes,
        question: Question,
        joiners: Joiners | None,
        last_known: Recalled | None,
        spent_s: float,
    ) -> FlightResult:
        """Asks the provider, under the fleet's lease where there is one."""
        if self.shared is None:
            return await self._introspect(key, question, joiners, None, 0.0)
        patience_s = self.shared.timeout_s - spent_s
        introspector, grant = self.introspectors[question.provider], None
        # Without a ttl there is nothing to share. With an open breaker nobody is asked, so nobody need wait for a
        # lease.
        if self.fleet_lease is not None and self.lifetimes.active_s > 0 and not introspector.breaker_is_open:

            def read(recalled: Recalled | Absent, seen: Mapping[bytes, float]) -> FlightResult | None:
                nonlocal last_known
                last_known = recalled if isinstance(recalled, Recalled) else last_known
                return self._usable(key, question, recalled, seen)

            outcome = await self.fleet_lease.acquire_or_wait(key, introspector, read)
            if isinstance(outcome, FlightResult):
                return outcome
            grant = outcome
        ahead_s = 0.0 if last_known is None else last_known.ahead_s
        try:
            log_position, patience_s = self.shared.log_position(), max(0.0, patience_s)
            flight_result = await self._introspect(key, question, joiners, log_position, patience_s, grant, ahead_s)
        except BaseException as error:
            if self.fleet_lease is not None and grant is not None:
                await self.fleet_lease.leases.release(key, grant.fence)
            raise error  # noqa: TRY201 - compiled, a bare `raise` after an `await` raises nothing and breaks the process
        return flight_result if ahead_s else replace(flight_result, last_known=last_known)

    async def _judge(self, key: bytes, question: Question, validator: TokenValidator) -> FlightResult | None:
        """What can be said of the token without the provider; `None`: the provider has to be asked."""
        introspector = self.introspectors[question.provider]
        judged_at_s = self.monotonic()
        said = await validator.judge(question.token)
        if said is None:
            return None
        over_s = self.monotonic()
        age_s, result = over_s - judged_at_s, as_of(said, self.clock())
        tags: tuple[bytes, ...] = ()
        left = 0.0
        if isinstance(result, Facts):
            tags = self.result_tags(key, question.provider, result)
            result = self._unless_revoked(introspector, question, result, tags)
        if isinstance(result, Facts):
            left = left_s(result, age_s, self.clock(), self.lifetimes)
        found = FactsLookup(result, "provider")
        return FlightResult(found, tags, age_s, left, under_way_s=over_s, is_judged_here=True)

    def _unless_revoked(
        self, introspector: Introspector, question: Question, facts: Facts, tags: tuple[bytes, ...]
    ) -> Memorable:
        """The facts of a token that nobody is asked about, unless an order has ended it."""
        result = self.not_before.apply(introspector.realm, facts, is_strict=True)
        if not isinstance(result, Facts):
            return result
        its_own = self._own_tags(introspector, question.token)
        if isinstance(jti := facts.claims.get("jti"), str):
            its_own += self.keys.selector_tags(ClaimSelector(introspector.realm, "jti", jti))
        return self.revocations.apply(result, its_own, tags)

    def _own_tags(self, introspector: Introspector, token: Token) -> tuple[bytes, ...]:
        """The tags of the token's entry at a provider, and of what it is without its signature where that counts.

        An ECDSA signature has a twin: whoever has one makes another token of it (`-s` modulo the order of the curve).
        """
        tags = self.key_tags(self.keys.key(introspector.identity, token))
        if introspector.validator is None or not introspector.validator.decides_alone:
            return tags
        unsigned = Token(token.value.rpartition(".")[0])
        return tags + self.key_tags(self.keys.key(introspector.identity, unsigned))

    def _usable(
        self, key: bytes, question: Question, recalled: Recalled | Absent, seen: Mapping[bytes, float]
    ) -> FlightResult | None:
        """The flight's result, if the fleet's is fresh enough. A call in `seen`, under way since the question
        came, is never too old.
        """
        if isinstance(recalled, Absent):
            return None
        max_age_s = question.max_age_s
        # Both bounds count, should they differ: the writer's ttl, which runs in Redis, and our own.
        result = self._apply_not_before(question, recalled.result)
        left = min(recalled.left_s, left_s(result, recalled.age_s, self.clock(), self.lifetimes))
        under_way_s = seen_under_way(recalled, seen)
        is_too_old = max_age_s is not None and recalled.age_s >= max_age_s and under_way_s == -math.inf
        if left <= 0 or is_too_old:
            return None
        tags = recalled.tags
        if tags is None or result is not recalled.result:
            tags = self.result_tags(key, question.provider, result)
        found = FactsLookup(result, "redis")
        is_announced = recalled.is_announced
        return FlightResult(found, tags, recalled.age_s, left, under_way_s=under_way_s, is_announced=is_announced)

    def _apply_not_before(self, question: Question, result: Memorable) -> Memorable:
        return self.not_before.apply(self.introspectors[question.provider].realm, result)

    async def _introspect(
        self,
        key: bytes,
        question: Question,
        joiners: Joiners | None,
        log_position: bytes | None,
        patience_s: float,
        grant: LeaseGrant | None = None,
        ahead_s: float = 0.0,
    ) -> FlightResult:
        """Asks the provider. With `ahead_s` another clock is ahead of ours, and a token must not outlive its
        `exp` by that one.
        """
        introspector = self.introspectors[question.provider]
        asked_at_s = self.monotonic()
        with span("introspect", introspector.name):
            said = await introspector.introspect(question.token, question.address, joiners)
        said = within_own_end(said, question.token, is_verified=introspector.validator is not None)
        over_s = self.monotonic()
        age_s = over_s - asked_at_s
        if not isinstance(said, Indeterminate) or said.was_asked:
            self.meter.introspected(introspector.name, _outcome(said), age_s)
        result = as_of(said, self.clock())
        if isinstance(result, Indeterminate):
            return FlightResult(FactsLookup(result, "provider"), under_way_s=over_s, grant=grant)
        result = self._apply_not_before(question, result)
        left = left_s(result, age_s, self.clock() + ahead_s, self.lifetimes)
        tags = self.result_tags(key, question.provider, result)
        return FlightResult(FactsLookup(result, "provider"), tags, age_s, left, log_position, patience_s, over_s, grant)


def _outcome(result: IntrospectionResult) -> Literal["active", "inactive", "unclear"]:
    match result:
        case Facts():
            return "active"
        case Inactive():
            return "inactive"
        case Indeterminate():
            return "unclear"
