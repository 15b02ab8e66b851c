"""What is still known of a token when nothing fresh is: kept beside the fresh answers, in the same bounded memory.

It lies in the local tier, so that a purge reaches it there; what the fleet's tier still had goes the same way. A later
no takes its place at once, here by replacing it and in the fleet by a purge, after which the no is shared as other
answers are. A process that keeps facts for longer than their window must hear of a revocation that another one came to
know, and the next one that is asked about the token must not ask the provider again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.authn.facts import Facts, Inactive
from gateway.authn.question import FactsLookup, Question
from gateway.introspection.inflight import FlightResult, Inflight
from gateway.introspection.lifetime import Lifetimes, as_of, left_s
from gateway.introspection.ports import CacheEntry, LocalTier, Memorable, Recalled
from gateway.introspection.stale import is_tolerable, kept_s


@dataclass(frozen=True, slots=True)
class LastKnown:
    """`longest_tolerated_s` says for each provider how long its facts are of use when they are no longer fresh.

    `tags` are what an answer under a key, of a provider, may be purged by beside that key.
    """

    local: LocalTier
    result_tags: Callable[[bytes, str, Memorable], tuple[bytes, ...]]
    lifetimes: Lifetimes
    longest_tolerated_s: Mapping[str, float]
    clock: Callable[[], float]
    monotonic: Callable[[], float]

    def facts(self, key: bytes) -> CacheEntry | None:
        """Facts that are kept, fresh or not, of a token whose `exp` is still to come."""
        entry = self.local.last_known(key, self.monotonic())
        if entry is None or as_of(entry.result, self.clock()) is not entry.result:
            return None
        return entry

    def tolerable(self, key: bytes, question: Question) -> FactsLookup | None:
        """The last known facts, where the question tolerates them."""
        entry = None if question.stale_s is None else self.facts(key)
        if entry is None:
            return None
        age_s = self.monotonic() - entry.introspected_at_s
        return (
            FactsLookup(entry.result, "local", stale_s=age_s) if is_tolerable(question, age_s, self.lifetimes) else None
        )

    def keep(self, flight: Inflight, provider: str, recalled: Recalled | None) -> None:
        """Takes over what the fleet still had when the provider could not tell, unless something younger is here."""
        if recalled is None or not isinstance(recalled.result, Facts):
            return
        tags = self.result_tags(flight.key, provider, recalled.result)
        if flight.purged_at(tags) is not None:
            return
        now_s = self.monotonic()
        asked_at_s = now_s - recalled.age_s
        here = self.local.last_known(flight.key, now_s)
        if here is None or here.introspected_at_s < asked_at_s:
            here_s, _ = self.kept_s(recalled.result, recalled.age_s, provider)
            # Too old for this question, it may be fresh for others.
            fresh_s = min(recalled.left_s, left_s(recalled.result, recalled.age_s, self.clock(), self.lifetimes))
            entry = CacheEntry(recalled.result, tags, asked_at_s, now_s + fresh_s, kept_until_s=now_s + here_s)
            self.local.put(flight.key, entry, now_s)

    def kept_s(self, result: Memorable, age_s: float, provider: str) -> tuple[float, float]:
        """For how many more seconds an answer is kept here, and in the fleet, though it be fresh for less."""
        longest_s, now = self.longest_tolerated_s.get(provider, 0.0), self.clock()
        # Here for another window in any case: a token that comes back after a while is no stranger.
        here_s = kept_s(result, age_s, now, self.lifetimes, max(longest_s, self.lifetimes.active_s))
        return here_s, kept_s(result, age_s, now, self.lifetimes, longest_s)

    def is_revocation(self, provider: str, landed: FlightResult) -> bool:
        """Whether the provider calls inactive what somebody may keep for active."""
        return isinstance(landed.found.result, Inactive) and bool(self.longest_tolerated_s.get(provider))

    def was_active(self, key: bytes, landed: FlightResult) -> bool:
        """Whether it was called active before, as far as is known here or in the fleet, and nobody told of the no."""
        if landed.is_announced:
            return False
        fleets = landed.last_known
        return self.facts(key) is not None or (fleets is not None and isinstance(fleets.result, Facts))
