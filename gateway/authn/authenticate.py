"""Facts about a token: remembered in the process, else by the fleet, else asked of the provider, once.

Callers that ask the same question at the same time share one flight. It belongs to the `Authenticator`, not to
any of them: one that is cancelled neither fails nor delays the others, and when all have left the answer is still
remembered, because the token will be back. Unclear answers reach those who wait for them and are never kept.

Facts are kept, decisions never: what is found here still has to pass the policy, on every request.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from gateway.authn.bearer import Token
from gateway.authn.eviction import KINDS, Eviction, Named
from gateway.authn.facts import Unclear
from gateway.authn.flight import Flight, Landed
from gateway.authn.lifetime import Lifetimes, as_of
from gateway.authn.purge import Purge, purge_everything, purge_of
from gateway.authn.question import Found, Question
from gateway.authn.source import Source
from gateway.authn.tiers import Entry, Introspector, Keys, LocalTier, Meter, Recalled, SharedTier

__all__ = ["Authenticator", "Found", "Question"]

# Enough to know an order again when it comes by another way, which takes a second or so.
_KNOWN_PURGES_MAX = 10_000
_T = TypeVar("_T")


class Authenticator:
    """`clock` is the wall clock, for `exp` alone; `monotonic` measures ages. Both in seconds."""

    def __init__(
        self,
        introspectors: Mapping[str, Introspector],
        *,
        keys: Keys,
        local: LocalTier,
        shared: SharedTier | None,
        meter: Meter,
        lifetimes: Lifetimes,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._local = local
        self._shared = shared
        self._meter = meter
        self._clock = clock
        self._monotonic = monotonic
        self._source = Source(introspectors, keys, shared, meter, lifetimes, clock, monotonic)
        self._flights: dict[bytes, Flight] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._purges = 0
        self._known_purges: OrderedDict[bytes, None] = OrderedDict()

    def remembered(self, question: Question) -> Found | None:
        """What this process remembers, at once; `None` means `ask`."""
        entry = self._fresh(self._source.key(question), question.max_age_s)
        if entry is None:
            return None  # counted by `ask`
        self._meter.looked_up("local", "hit")
        return Found(entry.answer, "local")

    async def ask(self, question: Question) -> Found:
        """The answer, from the nearest tier that has it fresh enough. Raises nothing but `CancelledError`."""
        key = self._source.key(question)
        entry = self._fresh(key, question.max_age_s)
        self._meter.looked_up("local", "miss" if entry is None else "hit")
        while entry is None:
            flight, task = self._flight(key, question)
            joined_at = self._purges
            landed = await asyncio.shield(task)
            if flight.serves(landed, joined_at, question.max_age_s):
                return landed.found
            entry = self._fresh(key, question.max_age_s)
        return Found(entry.answer, "local")

    def purge_of(self, *, token: Token | None = None, **claim: str | None) -> Purge:
        """The order to forget a token at every provider, all about one claim there (a `Kind`), or everything."""
        if token is not None:
            return purge_of(self._keys_of(token))
        named = [(kind, value) for kind in KINDS if (value := claim.get(kind)) is not None]
        if not named:
            return purge_everything()
        realms = {each.realm for each in self._source.introspectors.values()}
        return purge_of(self._source.keys.tag(Named(realm, *one)) for realm in realms for one in named)

    def purge_for(self, eviction: Eviction) -> Purge:
        """The same order in marks, under the same id."""
        marks = {self._source.keys.tag(named) for named in eviction.named}
        if eviction.token is not None:
            marks.update(self._keys_of(eviction.token))
        return Purge(eviction.id, frozenset(marks))

    def purge(self, purge: Purge) -> int:
        """Forgets in this process what `purge` covers, flights under way included; how many answers it dropped.

        The fleet is told by `gateway.cache.redis`, the other workers of the instance by their supervisor. The same
        order a second time does nothing.
        """
        if purge.id in self._known_purges:
            return 0
        self._known_purges[purge.id] = None
        if len(self._known_purges) > _KNOWN_PURGES_MAX:
            self._known_purges.popitem(last=False)
        self._purges += 1
        for flight in self._flights.values():
            flight.passed_by(purge, self._purges)
        if self._shared is not None:
            self._shared.forget(purge)
        return self._local.purge(purge, self._monotonic())

    async def close(self, within_s: float) -> None:
        """Lets flights land for `within_s`, then ends them; whoever still waits for one is cancelled with it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _keys_of(self, token: Token) -> list[bytes]:
        return [self._source.keys.key(each.identity, token) for each in self._source.introspectors.values()]

    def _fresh(self, key: bytes, max_age_s: float | None) -> Entry | None:
        now_s = self._monotonic()
        entry = self._local.get(key, now_s)
        if entry is None or (max_age_s is not None and now_s - entry.introspected_at_s >= max_age_s):
            return None
        # The wall clock may have been set since: what the monotonic clock still allows may be past `exp`.
        return entry if as_of(entry.answer, self._clock()) is entry.answer else None

    def _flight(self, key: bytes, question: Question) -> tuple[Flight, asyncio.Task[Landed]]:
        """The flight to join, or a new one where there is none or the key was purged since it took off."""
        flight = self._flights.get(key)
        if flight is None or flight.task is None or flight.purged_at() is not None:
            flight = self._flights[key] = Flight(key)
            flight.task = self._own(self._fly(flight, question))
        return flight, flight.task

    async def _fly(self, flight: Flight, question: Question) -> Landed:
        try:
            landed = await self._source.fetch(flight.key, question)
            if landed.left_s > 0 and flight.purged_at(landed.tags) is None:
                await self._settle(flight.key, landed)
            return landed
        finally:
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]

    async def _settle(self, key: bytes, landed: Landed) -> None:
        """Remembers here and, what the provider has just said, in the fleet.

        Callers wait for the fleet to have it, so that the next instance does not ask again, but in all for no
        longer than one operation of the shared tier may take; the writing ends by itself.
        """
        answer = landed.found.answer
        assert not isinstance(answer, Unclear)  # those have no time left to live
        now_s = self._monotonic()
        self._local.put(key, Entry(answer, landed.tags, now_s - landed.age_s, now_s + landed.left_s), now_s)
        if self._shared is not None and landed.standing is not None:
            recalled = Recalled(answer, landed.age_s, landed.left_s)
            writing = self._own(self._shared.put(key, recalled, landed.standing))
            await asyncio.wait([writing], timeout=landed.patience_s)

    def _own(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """A task that outlives its callers and not this object; the event loop itself holds tasks but weakly."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
