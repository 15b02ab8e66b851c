"""A bounded resource that is taken back from its oldest unproductive holder, not refused to the newest comer.

    take -> held, unproductive -> productive -> leave
                     |
                     +-> lost: somebody newer needed the room, and `give_up` was called

Each client network has a share. When a network exceeds its share, its own oldest holder goes; when all shares together
are too much, the oldest holder of the network that holds most goes. So a client that fills the resource takes it from
itself, and a client that needs it for a moment has it for that moment. A productive holder is never taken from: when
there are only productive ones, `take` returns `None`.

Pure: no clock, no task; `give_up` does what has to be done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Hold:
    """One holder. `is_lost` is true when the room was taken from it before it left."""

    network: str
    give_up: Callable[[], object]
    held_bytes: int = 0
    is_productive: bool = False
    is_lost: bool = False

    def keep(self) -> None:
        """It has become productive: nobody takes it away any more."""
        self.is_productive = True


class Reclaimable:
    """`holders_max` at once, `share_max` of them of one network, and `bytes_max` in all of them together."""

    def __init__(self, holders_max: int, share_max: int, bytes_max: int | None = None) -> None:
        self._holders_max = holders_max
        self._share_max = share_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._count = 0
        self._by_network: dict[str, dict[Hold, None]] = {}  # oldest first

    def __len__(self) -> int:
        return self._count

    def take(self, network: str, give_up: Callable[[], object]) -> Hold | None:
        """A new holder; `None` when all that could make room for it are productive."""
        if len(self._by_network.get(network, ())) >= self._share_max:
            if not self._reclaim_from([network]):
                return None
        elif self._count >= self._holders_max and not self._reclaim_from(self._largest_first()):
            return None
        hold = Hold(network, give_up)
        self._by_network.setdefault(network, {})[hold] = None
        self._count += 1
        return hold

    def grew(self, hold: Hold, more_bytes: int) -> None:
        """`hold` holds so much more. It may be the one that is lost for it."""
        if hold.is_lost:
            return
        hold.held_bytes += more_bytes
        self._bytes += more_bytes
        while self._bytes_max is not None and self._bytes > self._bytes_max:
            if not self._reclaim_from(self._heaviest_first()):
                return

    def leave(self, hold: Hold) -> None:
        """The holder is done. A second time does nothing."""
        held = self._by_network.get(hold.network)
        if held is None or hold not in held:
            return
        del held[hold]
        if not held:
            del self._by_network[hold.network]
        self._count -= 1
        self._bytes -= hold.held_bytes

    def _reclaim_from(self, networks: list[str]) -> bool:
        """Take from the oldest unproductive holder of the first network that has one."""
        for network in networks:
            for hold in self._by_network.get(network, ()):
                if not hold.is_productive:
                    hold.is_lost = True
                    self.leave(hold)
                    hold.give_up()
                    return True
        return False

    def _largest_first(self) -> list[str]:
        return sorted(self._by_network, key=lambda network: -len(self._by_network[network]))

    def _heaviest_first(self) -> list[str]:
        def weight(network: str) -> int:
            return -sum(hold.held_bytes for hold in self._by_network[network])

        return sorted(self._by_network, key=weight)
