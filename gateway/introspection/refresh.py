"""Refreshes results ahead of time, so that a token in steady use never waits for its provider.

    fresh ── used after `fraction` of its window ──> refresh under way ──> replaced | failed: the old result stays

A refresh is a task that asks through the same tiers and the same lease as any question, so that one process of the
fleet asks and the others find the result. A route with a `max_age` has a window of its own. A kept result stays until
its own end whatever comes of the refresh: a failure changes nothing and is nobody's token's fault. A process tries once
for each result that it keeps, and at most `limit` at a time. The authenticator owns the tasks.
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
    """Says when a result is due: after `fraction` of the window `window_s`; at most `limit` refreshes at a time."""

    fraction: float
    window_s: float
    limit: int

    def refresh_at_s(self, result: Memorable, introspected_at_s: float, good_until_s: float) -> float:
        """When a result is due. A result that ends by its token's `exp` is due at its end: a refresh would gain
        nothing.

        Inactive results are never due.
        """
        if not isinstance(result, Facts):
            return math.inf
        at_s = introspected_at_s + self.fraction * self.window_s
        has_whole_window = good_until_s >= introspected_at_s + self.window_s - _ROUNDING_S
        return at_s if has_whole_window else good_until_s

    def due_s(self, entry: CacheEntry, max_age_s: float) -> float:
        """When `entry` is due for a route that accepts results of at most `max_age_s`."""
        if entry.refresh_at_s == math.inf:
            return math.inf
        return min(entry.refresh_at_s, entry.introspected_at_s + self.fraction * max_age_s)

    def question(self, question: Question) -> Question:
        """The same question for a result younger than the one that is due."""
        window_s = self.window_s if question.max_age_s is None else min(self.window_s, question.max_age_s)
        return question.within(self.fraction * window_s, question.stale_s, AHEAD)


# Stands for a client's address: refreshes, which nobody waits for, have one share for all tokens.
AHEAD = "ahead"
# The fleet counts in whole milliseconds, rounded down once by the writer and once by the reader.
_ROUNDING_S = 0.01


class Refresher:
    """Refreshes results, and counts how refreshes end. `find` asks; it raises nothing but `CancelledError`."""

    def __init__(
        self, ahead: Ahead, find: Callable[[bytes, Question], Awaitable[FactsLookup]], meter: IntrospectionMeter
    ) -> None:
        self.ahead = ahead
        self._find = find
        self._meter = meter
        self._under_way = 0

    def admits(self) -> bool:
        """Whether one more refresh may begin; counts it as skipped if not."""
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
