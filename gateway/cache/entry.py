"""A result with its age, as it lies in Redis. `gateway.cache.entry_form` makes bytes of it.

Two clocks tell its age, and the older age counts. Redis says how much of its life is left. The entry itself says, under
seal, when the provider was asked by the writer's wall clock. Somebody who writes to Redis can put an old entry back
with a new life, so Redis cannot make a result younger than the wall clock says.

The writer's clock may be a little ahead of the reader's. Then the wall clock shows too low an age, by no more than
`skew_s`. An entry from further in the future is not used, but it says that the reader's own clock may be slow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.authn.facts import Facts, Inactive
from gateway.introspection.ports import Memorable, Recalled


@dataclass(slots=True, init=False)
class StoredEntry:
    """Holds a result with its age. `age_ms`, `left_ms` and `kept_ms` are as of the writing.

    `log_position` says which purges the writer knew. `fence` is that of its lease, empty for none. Redis drops the
    entry when `kept_ms` are over, or `left_ms` if that is more. `is_announced`: the result is inactive, and a purge has
    told the fleet. `tags` are those that the writer made, for its realm; none where it made none.
    """

    result: Memorable
    age_ms: int
    left_ms: int
    log_position: bytes
    fence: bytes
    kept_ms: int
    is_announced: bool
    tags: tuple[bytes, ...]

    def __init__(
        self,
        result: Memorable,
        age_ms: int,
        left_ms: int,
        log_position: bytes,
        fence: bytes = b"",
        kept_ms: int = 0,
        is_announced: bool = False,
        tags: tuple[bytes, ...] = (),
    ) -> None:
        self.result = result
        self.age_ms = age_ms
        self.left_ms = left_ms
        self.log_position = log_position
        self.fence = fence
        self.kept_ms = kept_ms
        self.is_announced = is_announced
        self.tags = tags

    def recalled(self, left_ms: int, now: float, skew_s: float) -> Recalled | None:
        """The result when Redis gives it `left_ms` more, at `now` on our wall clock; `None` if it cannot be used."""
        whole_ms = max(self.kept_ms, self.left_ms)
        if not 0 < left_ms <= whole_ms:
            return None
        ahead_s = self.ahead_s(left_ms, now)
        if ahead_s > skew_s:
            return Recalled(self.result, math.inf, 0.0, ahead_s=ahead_s)
        age_s = max(self._age_by_redis_s(left_ms), now - self.result.introspected_at)
        since_s = age_s - self.age_ms / 1000
        fresh_s, kept_s = self.left_ms / 1000 - since_s, whole_ms / 1000 - since_s
        if kept_s <= 0:
            return None
        result = as_introspected_at(self.result, now - age_s)
        return Recalled(result, age_s, max(0.0, fresh_s), self.fence, kept_s, self.is_announced)

    def ahead_s(self, left_ms: int, now: float) -> float:
        """How far the writer's clock is ahead of ours, as far as Redis can be trusted.

        Below zero the clock is behind, or the entry was put back, or it reached Redis late.
        """
        return self._age_by_redis_s(left_ms) - (now - self.result.introspected_at)

    def _age_by_redis_s(self, left_ms: int) -> float:
        return (self.age_ms + max(self.kept_ms, self.left_ms) - left_ms) / 1000


def as_introspected_at(result: Memorable, at: float) -> Memorable:
    """The same result, asked for at `at` on the wall clock."""
    if isinstance(result, Inactive):
        return Inactive(at, result.reason)
    return Facts(result.claims, at, result.exp, result.nbf, result.scopes, result.phantom)
