"""When to leave Redis alone: for a moment after a failure, then one request tries it for all."""

from __future__ import annotations

from dataclasses import dataclass

# Short, so that Redis is used again soon after its return; long against the deadline of an operation, so that
# an outage costs one request in a second its patience and the others nothing.
BACKOFF_S = 1.0


@dataclass(slots=True)
class RedisBackoff:
    """`now_s` is the monotonic clock."""

    _until_s: float | None = None  # None: no reason to doubt

    def is_backing_off(self, now_s: float) -> bool:
        return self._until_s is not None and now_s < self._until_s

    def allows(self, now_s: float) -> bool:
        """Whether an operation may be tried. In doubt one may per rest: asking is taking the turn."""
        if self.is_backing_off(now_s):
            return False
        if self._until_s is not None:
            self._until_s = now_s + BACKOFF_S
        return True

    def failed(self, now_s: float) -> None:
        self._until_s = now_s + BACKOFF_S

    def succeeded(self) -> None:
        self._until_s = None
