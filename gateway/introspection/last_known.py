"""Keeps the last known facts of a token after they were fresh, beside the fresh results, in the same bounded memory.

They lie in the local tier, so that a purge reaches them there. Facts that only the fleet's tier still has are kept here
too. A later inactive result takes their place at once: here it replaces them, in the fleet a purge voids them, and then
it is shared as other results are. So a process that keeps facts beyond their window learns of a revocation that another
one found, and the next process that meets the token need not ask the provider again.
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
    """Keeps facts and says whether a question tolerates them.

    `longest_tolerated_s` says for each provider how long its facts are of use after they were fresh. `result_tags`
    gives the tags of a result by its key and provider.
    """

    local: LocalTier
    result_tags: Callable[[bytes, str, Memorable], tuple[bytes, ...]]
    lifetimes: Lifetimes
    longest_tolerated_s: Mapping[str, float]
    clock: Callable[[], float]
    monotonic: Callable[[], float]

    def facts(self, key: bytes) -> CacheEntry | None:
        """The facts that are kept, fresh or not, of a token whose `exp` is still to come."""
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
        """Keeps what the fleet still had when the provider could not tell, unless this process has younger facts."""
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
            # Facts that are too old for this question may be fresh for others.
            fresh_s = min(recalled.left_s, left_s(recalled.result, recalled.age_s, self.clock(), self.lifetimes))
            entry = CacheEntry(recalled.result, tags, asked_at_s, now_s + fresh_s, kept_until_s=now_s + here_s)
            self.local.put(flight.key, entry, now_s)

    def kept_s(self, result: Memorable, age_s: float, provider: str) -> tuple[float, float]:
        """For how many more seconds a result is kept here, and in the fleet, even if it is fresh for less."""
        longest_s, now = self.longest_tolerated_s.get(provider, 0.0), self.clock()
        # Keep it here for another window in any case, so that a token that comes back is not unknown.
        here_s = kept_s(result, age_s, now, self.lifetimes, max(longest_s, self.lifetimes.active_s))
        return here_s, kept_s(result, age_s, now, self.lifetimes, longest_s)

    def is_revocation(self, provider: str, outcome: FlightResult) -> bool:
        """Whether the provider calls a token inactive that somebody may keep as active."""
        return isinstance(outcome.found.result, Inactive) and bool(self.longest_tolerated_s.get(provider))

    def was_active(self, key: bytes, outcome: FlightResult) -> bool:
        """Whether the token was active before, as far as this process or the fleet knows, and no purge has announced
        its end.
        """
        if outcome.is_announced:
            return False
        fleets = outcome.last_known
        return self.facts(key) is not None or (fleets is not None and isinstance(fleets.result, Facts))
