"""The bytes that unfinished heads may hold in one process, all together.

Each head has its limit, and each network its share of connections; the product of both is still more than a small
machine has. Where the budget is used up, the client network that holds the most gives up the largest of its heads. So
a client that fills the budget with many small heads takes it from itself, and not from one with a large cookie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

HEADS_BYTES_MAX = 32 * 2**20

_Holder = TypeVar("_Holder")


class HeadBudget(Generic[_Holder]):
    """Knows what each connection holds. `network_of` says for which client network; it never changes its word."""

    def __init__(self, network_of: Callable[[_Holder], str], bytes_max: int = HEADS_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.held_bytes = 0
        self._network_of = network_of
        self._held: dict[str, dict[_Holder, int]] = {}
        self._network_bytes: Counter[str] = Counter()

    def hold(self, holder: _Holder, size: int) -> _Holder | None:
        """`holder` holds so many bytes now. Returns the one that has to give up what it holds."""
        self._note(holder, size)
        if not size or self.held_bytes <= self.bytes_max:
            return None
        network = max(self._network_bytes, key=self._network_bytes.__getitem__)
        # To look at all of its heads is paid for by what the largest had to send: at least their average.
        heads = self._held[network]
        return max(heads, key=heads.__getitem__)

    def _note(self, holder: _Holder, size: int) -> None:
        network = self._network_of(holder)
        heads = self._held.setdefault(network, {})
        more = size - heads.pop(holder, 0)
        self.held_bytes += more
        self._network_bytes[network] += more
        if size:
            heads[holder] = size
        elif not heads:
            del self._held[network]
            del self._network_bytes[network]
