"""Looks up a question whose route tolerates older facts, and falls back on these when the provider cannot tell.

    no outage  -> ask; an outage begins meanwhile -> last known facts at once
    an outage  -> few networks ask, with little patience; all others -> last known facts at once

A full queue of the gateway's own is not an outage: a client that fills it must not keep a revoked token alive. But
while the provider fails for tokens that it has called active (`gateway.introspection.outage`), nobody who has facts
waits in that queue. Those who wait when the outage begins get their facts at once. What they asked still ends, and its
result is kept. `spawn` owns the tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from gateway.authn.facts import Indeterminate
from gateway.authn.question import FactsLookup, Question
from gateway.http.client_network import client_network
from gateway.introspection.last_known import LastKnown
from gateway.introspection.outage import Outages

# So long one of the few who ask during an outage waits: a result that comes at all comes sooner.
_PATIENCE_S = 1.0


class Fallback:
    """Falls back on the last known facts. `find` asks; it raises nothing but `CancelledError`, and may be cancelled."""

    def __init__(
        self,
        last_known: LastKnown,
        find: Callable[[bytes, Question], Awaitable[FactsLookup]],
        spawn: Callable[[Coroutine[Any, Any, FactsLookup]], asyncio.Task[FactsLookup]],
    ) -> None:
        self._last_known = last_known
        self._find = find
        self._spawn = spawn
        self._outages = Outages()
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}  # by provider, while it has no outage

    async def look_up(self, key: bytes, question: Question) -> FactsLookup:
        """The result, or the last known facts in its place where the question tolerates them."""
        if question.stale_s is None:
            return await self._find(key, question)
        provider, network = question.provider, client_network(question.address).block
        if not self._outages.is_on(provider):
            return await self._unless_an_outage_begins(key, question)
        if self._outages.should_fall_back(provider, network) and (known := self._last_known.tolerable(key, question)):
            return known
        trying = self._spawn(self._try(key, question, network))
        await asyncio.wait({trying}, timeout=_PATIENCE_S)
        if not trying.done() and (known := self._last_known.tolerable(key, question)):
            return known
        return self._or_last_known(await asyncio.shield(trying), key, question)

    def record(self, question: Question, found: FactsLookup) -> None:
        """Records the result of a flight about a token that its provider has called active before."""
        result, provider = found.result, question.provider
        if found.tier != "provider" or (isinstance(result, Indeterminate) and not result.was_asked):
            return
        network = client_network(question.address).block
        self._outages.record(provider, network, is_answer=not isinstance(result, Indeterminate))
        if self._outages.is_on(provider):
            for waiter in self._waiting.pop(provider, ()):
                _wake(waiter)

    async def _try(self, key: bytes, question: Question, network: str) -> FactsLookup:
        """Asks for one network. Meanwhile no other question of that network is sent, whether anybody waits for this one
        or not.
        """
        with self._outages.asking(question.provider, network):
            return await self._find(key, question)

    async def _unless_an_outage_begins(self, key: bytes, question: Question) -> FactsLookup:
        finding = asyncio.ensure_future(self._find(key, question))
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        finding.add_done_callback(lambda _: _wake(waiter))
        waiting = self._waiting.setdefault(question.provider, set())
        waiting.add(waiter)
        try:
            await waiter
            if not finding.done() and (known := self._last_known.tolerable(key, question)):
                return known
            return self._or_last_known(await finding, key, question)
        finally:
            waiting.discard(waiter)
            finding.cancel()  # the flight itself goes on

    def _or_last_known(self, found: FactsLookup, key: bytes, question: Question) -> FactsLookup:
        result = found.result
        is_queue_full = (
            isinstance(result, Indeterminate) and result.is_queue_full and not self._outages.is_on(question.provider)
        )
        if not isinstance(result, Indeterminate) or is_queue_full:
            return found
        return self._last_known.tolerable(key, question) or found


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
