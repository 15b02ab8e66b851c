"""Decides when Redis gets no calls: for a moment after a failure, then one request tries it for all.

in use ── failed ──> backing off for BACKOFF_S ──> one try per BACKOFF_S ── succeeded ──> in use
"""

from __future__ import annotations

from dataclasses import dataclass

# Short, so that Redis is used again soon after its return. Long against the deadline of an operation: an outage then
# costs one request a second its patience, and the others nothing.
BACKOFF_S = 1.0


@dataclass(slots=True)
class RedisBackoff:
    """Remembers until when Redis gets no calls. `now_s` is the monotonic clock."""

    _until_s: float | None = None  # None: no reason to doubt

    def is_backing_off(self, now_s: float) -> bool:
        return self._until_s is not None and now_s < self._until_s

    def allows(self, now_s: float) -> bool:
        """Whether an operation may be tried. After a failure one may in each `BACKOFF_S`: the first caller
        gets True.
        """
        if self.is_backing_off(now_s):
            return False
        if self._until_s is not None:
            self._until_s = now_s + BACKOFF_S
        return True

    def failed(self, now_s: float) -> None:
        self._until_s = now_s + BACKOFF_S

    def succeeded(self) -> None:
        self._until_s = None
