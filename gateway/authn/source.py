"""Where an answer comes from when the process does not remember it: the fleet, else the provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.authn.facts import Answer, Facts, Inactive, Unclear
from gateway.authn.flight import Landed
from gateway.authn.lifetime import Lifetimes, as_of, left_s
from gateway.authn.question import Found, Question
from gateway.authn.tiers import Absent, Introspector, Keys, Memorable, Meter, Recalled, SharedTier


@dataclass(frozen=True, slots=True)
class Source:
    """`clock` is the wall clock, for `exp` alone; `monotonic` measures ages. Both in seconds."""

    introspectors: Mapping[str, Introspector]
    keys: Keys
    shared: SharedTier | None
    meter: Meter
    lifetimes: Lifetimes
    clock: Callable[[], float]
    monotonic: Callable[[], float]

    def key(self, question: Question) -> bytes:
        return self.keys.key(self.introspectors[question.provider].identity, question.token)

    async def fetch(self, key: bytes, question: Question) -> Landed:
        """The answer to `question`, whose cache key is `key`. Raises nothing but `CancelledError`."""
        if self.shared is None:
            return await self._introspect(question, None, 0.0)
        started_s = self.monotonic()
        landed = await self._recall(self.shared, key, question)
        if landed is not None:
            return landed
        patience_s = self.shared.timeout_s - (self.monotonic() - started_s)
        return await self._introspect(question, self.shared.standing(), max(0.0, patience_s))

    async def _recall(self, shared: SharedTier, key: bytes, question: Question) -> Landed | None:
        if question.max_age_s == 0:
            return None  # nothing that is remembered would do
        recalled = await shared.get(key, self.introspectors[question.provider].realm)
        landed = None if isinstance(recalled, Absent) else self._usable(recalled, question)
        result: Literal["hit", "miss", "error"] = "miss"
        if landed is not None:
            result = "hit"
        elif recalled is Absent.ERROR:
            result = "error"
        self.meter.looked_up("redis", result)
        return landed

    def _usable(self, recalled: Recalled, question: Question) -> Landed | None:
        max_age_s = question.max_age_s
        # Both bounds count: the writer's ttl, which runs in Redis, and our own, should they be configured apart.
        left = min(recalled.left_s, left_s(recalled.answer, recalled.age_s, self.clock(), self.lifetimes))
        if left <= 0 or (max_age_s is not None and recalled.age_s >= max_age_s):
            return None
        return Landed(Found(recalled.answer, "redis"), self._tags(question, recalled.answer), recalled.age_s, left)

    async def _introspect(self, question: Question, standing: bytes | None, patience_s: float) -> Landed:
        introspector = self.introspectors[question.provider]
        asked_at_s = self.monotonic()
        said = await introspector.introspect(question.token)
        age_s = self.monotonic() - asked_at_s
        self.meter.introspected(introspector.name, _outcome(said), age_s)
        answer = as_of(said, self.clock())
        if isinstance(answer, Unclear):
            return Landed(Found(answer, "provider"))
        left = left_s(answer, age_s, self.clock(), self.lifetimes)
        tags = self._tags(question, answer)
        return Landed(Found(answer, "provider"), tags, age_s, left, standing, patience_s)

    def _tags(self, question: Question, answer: Memorable) -> tuple[bytes, ...]:
        return self.keys.tags(self.introspectors[question.provider].realm, answer)


def _outcome(answer: Answer) -> Literal["active", "inactive", "unclear"]:
    match answer:
        case Facts():
            return "active"
        case Inactive():
            return "inactive"
        case Unclear():
            return "unclear"
