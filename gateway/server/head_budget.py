"""The bytes that unfinished heads may hold in one process, all together.

Each head has its limit, and each network its share of connections; the product of both is still more than a small
machine has. Where the budget is used up, the connection that holds the most gives its head up.
"""

from __future__ import annotations

from typing import Generic, TypeVar

HEADS_BYTES_MAX = 32 * 2**20

_Holder = TypeVar("_Holder")


class HeadBudget(Generic[_Holder]):
    """Knows what each connection holds."""

    def __init__(self, bytes_max: int = HEADS_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.held_bytes = 0
        self._held: dict[_Holder, int] = {}

    def hold(self, holder: _Holder, size: int) -> _Holder | None:
        """`holder` holds so many bytes now. Returns the one that has to give up what it holds."""
        self.held_bytes += size - self._held.pop(holder, 0)
        if not size:
            return None
        self._held[holder] = size
        if self.held_bytes <= self.bytes_max:
            return None
        # To look at all of them is paid for by what the largest had to send: at least their average.
        return max(self._held, key=self._held.__getitem__)
