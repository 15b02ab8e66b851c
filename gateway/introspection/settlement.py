"""Settles the result of a flight: keeps it here and tells the fleet."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive
from gateway.authn.question import Question
from gateway.introspection.fetcher import FactsFetcher
from gateway.introspection.inflight import FlightResult, Inflight, LeaseGrant
from gateway.introspection.last_known import LastKnown
from gateway.introspection.ports import CacheEntry, LocalTier, Recalled
from gateway.introspection.refresh import Ahead
from gateway.introspection.sharing import Sharing
from gateway.introspection.tag_purge import KnownPurges, purge_of


class Settlement:
    """Settles the result of a flight: keeps it here, shares it with the fleet, announces a revocation.

    `spawn` starts a task and owns it. `on_inactive` and `on_revoked` are as in `Authenticator`. A purge that goes out
    from here is put into `known_purges`: it must not come back and remove the result that was just kept.
    """

    def __init__(
        self,
        fetcher: FactsFetcher,
        local: LocalTier,
        last_known: LastKnown,
        sharing: Sharing | None,
        ahead: Ahead | None,
        known_purges: KnownPurges,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Future[None]],
        on_inactive: Callable[[bytes], object] | None,
        on_revoked: Callable[[Token], object] | None,
    ) -> None:
        self._fetcher = fetcher
        self._local = local
        self._last_known = last_known
        self._sharing = sharing
        self._ahead = ahead
        self._known_purges = known_purges
        self._spawn = spawn
        self._on_inactive = on_inactive
        self._on_revoked = on_revoked

    def settle(self, flight: Inflight, question: Question, outcome: FlightResult) -> Coroutine[Any, Any, object] | None:
        """Keeps the result here at once, and returns the work of sharing it with the fleet, for the callers to wait
        for.

        They wait so that the next instance does not ask again. Looking and sharing together take them no longer than
        one operation of the shared tier may take; the writing ends in a task of its own.
        """
        key, provider, result = flight.key, question.provider, outcome.found.result
        if outcome.is_judged_here and isinstance(result, Inactive):
            self._settle_judged(flight, outcome)
            return None
        if not isinstance(result, Facts | Inactive):
            self._last_known.keep(flight, provider, outcome.last_known)
            self.release(key, outcome.grant)
            return None
        if self._on_inactive is not None and isinstance(result, Inactive):
            self._on_inactive(key)
        is_revocation = self._last_known.is_revocation(provider, outcome)
        is_revoked = is_revocation and self._last_known.was_active(key, outcome)
        here_s, fleet_s = self._last_known.kept_s(result, outcome.age_s, provider)
        now_s = self._fetcher.monotonic()
        if max(outcome.left_s, here_s) > 0 or self._last_known.facts(key) is not None:
            since_s, until_s = now_s - outcome.age_s, now_s + outcome.left_s
            due_s = math.inf if self._ahead is None else self._ahead.refresh_at_s(result, since_s, until_s)
            self._local.put(key, CacheEntry(result, outcome.tags, since_s, until_s, due_s, now_s + here_s), now_s)
        # Without a fleet, or out of its reach, another worker may have known the token as active although this one did
        # not. Where several providers are asked in turn, an inactive result of one says nothing of the others, and the
        # announcement does not name the provider.
        is_new = is_revoked or len(self._fetcher.introspectors) == 1
        if is_revocation and is_new and outcome.found.tier == "provider" and not outcome.log_position:
            self._announce_to_workers(question.token)
        if is_revoked and self._sharing is not None:
            announcing = self._spawn(self._announce_to_fleet(flight, question.token, outcome))
            return asyncio.wait([announcing], timeout=outcome.patience_s)
        if self._sharing is not None and outcome.log_position is not None and max(outcome.left_s, fleet_s) > 0:
            recalled = Recalled(result, outcome.age_s, outcome.left_s, kept_s=fleet_s, tags=outcome.tags)
            writing = self._spawn(self._sharing.share(key, recalled, outcome.log_position, outcome.grant))
            return asyncio.wait([writing], timeout=outcome.patience_s)
        self.release(key, outcome.grant)
        return None

    def _settle_judged(self, flight: Inflight, outcome: FlightResult) -> None:
        """Keeps nothing of a token that was never good: anybody can make up any number of them."""
        if self._last_known.facts(flight.key) is None:
            return
        now_s = self._fetcher.monotonic()
        assert isinstance(outcome.found.result, Inactive)  # the caller has looked
        self._local.put(flight.key, CacheEntry(outcome.found.result, outcome.tags, now_s, now_s), now_s)
        if self._on_inactive is not None:
            self._on_inactive(flight.key)

    def release(self, key: bytes, grant: LeaseGrant | None) -> None:
        if self._sharing is not None and grant is not None:
            self._spawn(self._sharing.release(key, grant))

    async def _announce_to_fleet(self, flight: Inflight, token: Token, outcome: FlightResult) -> None:
        """Voids by a purge what others keep of the token. The result of this process stays."""
        purge = purge_of(self._fetcher.key_tags(flight.key))
        self._known_purges.is_new(purge)
        if self._sharing is not None and not await self._sharing.announce(flight, outcome, purge):
            self._announce_to_workers(token)

    def _announce_to_workers(self, token: Token) -> None:
        if self._on_revoked is not None:
            self._on_revoked(token)
