"""What becomes of an answer that a flight brought: it is remembered here, and the fleet is told."""

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
    """`own` begins work and ends it; `on_no` and `on_revoked` are as in `Authenticator`. `sharing` is the fleet's part.

    An order that goes out from here is put into `known_purges`: it must not come back and undo what was just learned.
    """

    def __init__(
        self,
        source: FactsFetcher,
        local: LocalTier,
        last_known: LastKnown,
        sharing: Sharing | None,
        ahead: Ahead | None,
        known_purges: KnownPurges,
        *,
        own: Callable[[Coroutine[Any, Any, None]], asyncio.Future[None]],
        on_no: Callable[[bytes], object] | None,
        on_revoked: Callable[[Token], object] | None,
    ) -> None:
        self._source = source
        self._local = local
        self._last_known = last_known
        self._sharing = sharing
        self._ahead = ahead
        self._known_purges = known_purges
        self._own = own
        self._on_no = on_no
        self._on_revoked = on_revoked

    def settle(self, flight: Inflight, question: Question, landed: FlightResult) -> Coroutine[Any, Any, object] | None:
        """Remembers here, at once, and what the provider has just said in the fleet, for which callers have to wait.

        That is so that the next instance does not ask again. Looking and putting together take no longer than one
        operation of the shared tier may take; the writing ends by itself.
        """
        key, provider, answer = flight.key, question.provider, landed.found.answer
        if not isinstance(answer, Facts | Inactive):
            self._last_known.keep(flight, provider, landed.last_known)
            self.give_back(key, landed.claim)
            return None
        if self._on_no is not None and isinstance(answer, Inactive):
            self._on_no(key)
        is_no = self._last_known.is_no(provider, landed)
        is_revoked = is_no and self._last_known.was_active(key, landed)
        here_s, fleet_s = self._last_known.kept_s(answer, landed.age_s, provider)
        now_s = self._source.monotonic()
        if max(landed.left_s, here_s) > 0 or self._last_known.facts(key) is not None:
            since_s, until_s = now_s - landed.age_s, now_s + landed.left_s
            due_s = math.inf if self._ahead is None else self._ahead.refresh_at_s(answer, since_s, until_s)
            self._local.put(key, CacheEntry(answer, landed.tags, since_s, until_s, due_s, now_s + here_s), now_s)
        # Without a fleet, or out of its reach, another worker may have known what is news to this one. Where several
        # are asked in turn, a no of one says nothing of the others, and a token is told of without its provider.
        is_news = is_revoked or len(self._source.introspectors) == 1
        if is_no and is_news and landed.found.tier == "provider" and not landed.standing:
            self._tell_workers_of(question.token)
        if is_revoked and self._sharing is not None:
            telling = self._own(self._tell_fleet_of(flight, question.token, landed))
            return asyncio.wait([telling], timeout=landed.patience_s)
        if self._sharing is not None and landed.standing is not None and max(landed.left_s, fleet_s) > 0:
            recalled = Recalled(answer, landed.age_s, landed.left_s, kept_s=fleet_s)
            writing = self._own(self._sharing.share(key, recalled, landed.standing, landed.claim))
            return asyncio.wait([writing], timeout=landed.patience_s)
        self.give_back(key, landed.claim)
        return None

    def give_back(self, key: bytes, claim: LeaseGrant | None) -> None:
        if self._sharing is not None and claim is not None:
            self._own(self._sharing.give_back(key, claim))

    async def _tell_fleet_of(self, flight: Inflight, token: Token, landed: FlightResult) -> None:
        """What others keep of the token goes as by a purge; what this process has just learned stays."""
        purge = purge_of(self._source.marks(flight.key))
        self._known_purges.is_news(purge)
        if self._sharing is not None and not await self._sharing.tell(flight, landed, purge):
            self._tell_workers_of(token)

    def _tell_workers_of(self, token: Token) -> None:
        if self._on_revoked is not None:
            self._on_revoked(token)
