"""Asking again ahead of time, so that a token in steady use never waits for its provider.

An answer that is used in the last part of its window is asked for again in the background: through the same tiers and
the same turns as any question, so that one process of the fleet asks and the others find what it learnt. A route with
a `max_age` has a window of its own. What is remembered stays until its own end whatever comes of it: a failure changes
nothing, and nothing lives longer than the token. A process tries once for each answer it remembers.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.authn.facts import Facts, Indeterminate
from gateway.authn.question import FactsLookup, Question
from gateway.introspection.ports import CacheEntry, IntrospectionMeter, Memorable


@dataclass(frozen=True, slots=True)
class Ahead:
    """`fraction` of the window `window_s` after which an answer is asked for again; at most `limit` at a time."""

    fraction: float
    window_s: float
    limit: int

    def refresh_at_s(self, result: Memorable, introspected_at_s: float, good_until_s: float) -> float:
        """When an answer is due. One that ends by its token's `exp` is due at its end: asking again would win nothing.

        Inactive answers are never due.
        """
        if not isinstance(result, Facts):
            return math.inf
        at_s = introspected_at_s + self.fraction * self.window_s
        has_whole_window = good_until_s >= introspected_at_s + self.window_s - _ROUNDING_S
        return at_s if has_whole_window else good_until_s

    def due_s(self, entry: CacheEntry, max_age_s: float) -> float:
        """When `entry` is due for a route whose answers are `max_age_s` old at most."""
        if entry.refresh_at_s == math.inf:
            return math.inf
        return min(entry.refresh_at_s, entry.introspected_at_s + self.fraction * max_age_s)

    def question(self, question: Question) -> Question:
        """The same question for an answer younger than the one that is due."""
        window_s = self.window_s if question.max_age_s is None else min(self.window_s, question.max_age_s)
        return question.within(self.fraction * window_s, question.stale_s, AHEAD)


# Stands for a client's address: what nobody waits for has a share of its own, whoever's token it is.
AHEAD = "ahead"
# What the fleet remembers is counted in whole milliseconds, down once by who writes and once by who reads.
_ROUNDING_S = 0.01


class Refresher:
    """Counts what is under way, and how it ended. `find` asks; it raises nothing but `CancelledError`."""

    def __init__(
        self, ahead: Ahead, find: Callable[[bytes, Question], Awaitable[FactsLookup]], meter: IntrospectionMeter
    ) -> None:
        self.ahead = ahead
        self._find = find
        self._meter = meter
        self._under_way = 0

    def admits(self) -> bool:
        """Whether one more may be begun; counted as skipped where it may not."""
        if self._under_way < self.ahead.limit:
            return True
        self._meter.refreshed("skipped")
        return False

    async def refresh(self, key: bytes, question: Question) -> None:
        self._under_way += 1
        try:
            found = await self._find(key, self.ahead.question(question))
        finally:
            self._under_way -= 1
        if isinstance(found.result, Indeterminate):
            self._meter.refreshed("failed")
        else:
            self._meter.refreshed("asked" if found.tier == "provider" else "shared")
