"""Which events have been acted on: within this process, its instance, and the fleet where there is a Redis.

An event is remembered once all of it is done, never before: a sender that is told to try again must find the door
open. Two of the same at once are both acted on, which does no harm. The memory is bounded; what is forgotten for lack
of room costs an eviction when it is sent again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

_REMEMBERED_MAX = 10_000


class SharedSeen(Protocol):
    """What the fleet has seen. Raises nothing but `CancelledError`; when it cannot tell, nothing was seen."""

    async def has_seen(self, mark: bytes) -> bool: ...

    async def remember_seen(self, mark: bytes, life_s: float) -> None: ...


class Replays:
    """`monotonic` is the clock that remembered events die by."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until_s: OrderedDict[bytes, float] = OrderedDict()

    async def is_replay(self, mark: bytes, shared: SharedSeen | None) -> bool:
        if self._until_s.get(mark, 0.0) > self._monotonic():
            return True
        return shared is not None and await shared.has_seen(mark)

    async def remember(self, mark: bytes, life_s: float, shared: SharedSeen | None) -> None:
        self.note(mark, life_s)
        if shared is not None:
            await shared.remember_seen(mark, life_s)

    def note(self, mark: bytes, life_s: float) -> None:
        """Remember in this process alone."""
        self._until_s[mark] = self._monotonic() + life_s
        self._until_s.move_to_end(mark)
        while len(self._until_s) > _REMEMBERED_MAX:
            self._until_s.popitem(last=False)
