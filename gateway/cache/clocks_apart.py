"""Warns that the fleet's clocks are apart, or that somebody puts old entries back into Redis.

Both look alike: the ages of an entry by Redis and by the wall clock differ by more than the skew allows. One such entry
means little: Redis may have stood still, or the entry was replaced while it was read. So the log gets a warning after a
few of them within a minute, and then not again for a while.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

_log = logging.getLogger(__name__)

_ENTRIES = 3
_WITHIN_S = 60.0
_QUIET_S = 600.0


class ClocksApart:
    """Counts entries whose two ages differ by more than `skew_s`. `monotonic` measures, in seconds."""

    def __init__(self, skew_s: float, monotonic: Callable[[], float]) -> None:
        self._skew_s = skew_s
        self._monotonic = monotonic
        self._since_s = -math.inf
        self._count = 0
        self._quiet_until_s = -math.inf

    def seen(self, ahead_s: float) -> None:
        """Records an entry whose writer's clock seems to be `ahead_s` ahead; below zero it is behind."""
        if abs(ahead_s) <= self._skew_s:
            return
        now_s = self._monotonic()
        if now_s - self._since_s > _WITHIN_S:
            self._since_s, self._count = now_s, 0
        self._count += 1
        if self._count >= _ENTRIES and now_s >= self._quiet_until_s:
            self._quiet_until_s = now_s + _QUIET_S
            _log.warning(
                "the ages of a shared result by the wall clock and by Redis differ by %.0f s, more than "
                "cache.clock_skew (%g s): the clocks of two instances are apart, or somebody puts old entries back",
                abs(ahead_s),
                self._skew_s,
                extra={"event": "clocks_apart"},
            )
