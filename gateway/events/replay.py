"""Remembers which events have been acted on, so that a replay has no effect.

    unknown -> remember (all of it is done) -> known here, in the other workers, in the fleet -> life_s over -> unknown

An event is known in this process and in the other workers of the instance, which `note` it. With a Redis the fleet
knows it too. It is remembered only when all of it is done: a sender that was told to try again must not be taken for
a replay. Two equal events at once are both acted on, which does no harm. The memory is bounded. An event that was
forgotten for lack of room costs one invalidation when it is sent again. There are no tasks here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

_REMEMBERED_MAX = 10_000


class SharedSeen(Protocol):
    """Remembers events for the fleet. Raises nothing but `CancelledError`; when it cannot tell, it has seen nothing."""

    async def has_seen(self, key: bytes) -> bool: ...

    async def remember_seen(self, key: bytes, life_s: float) -> None: ...


class Replays:
    """Remembers events until their time is over, by the clock `monotonic`."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until_s: OrderedDict[bytes, float] = OrderedDict()

    async def is_replay(self, key: bytes, shared: SharedSeen | None) -> bool:
        if self._until_s.get(key, 0.0) > self._monotonic():
            return True
        return shared is not None and await shared.has_seen(key)

    async def remember(self, key: bytes, life_s: float, shared: SharedSeen | None) -> None:
        self.note(key, life_s)
        if shared is not None:
            await shared.remember_seen(key, life_s)

    def note(self, key: bytes, life_s: float) -> None:
        """Remember only in this process."""
        self._until_s[key] = self._monotonic() + life_s
        self._until_s.move_to_end(key)
        while len(self._until_s) > _REMEMBERED_MAX:
            self._until_s.popitem(last=False)
