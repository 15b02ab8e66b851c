"""Who gets the next slot, and who keeps a place to wait, so that no client network crowds out another. Pure.

**Slots.** A slot that comes free goes to the block of networks that holds the fewest, in it to the network that holds
the fewest, and there to whoever waits longest. Those that hold equally many take turns. A network whose calls take
long therefore waits for its own calls, not the others for them.

**Places.** When all are taken, the block and the network that hold the most give one up, and it is their newest waiter
that leaves: the oldest has waited longest and is next. Who would then hold the most is turned away instead.

Nobody's share lies idle: one network alone may have all slots and all places, until another one asks for some.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.http.client_network import ClientNetwork

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class SlotTaken:
    """The slot is the caller's at once."""


@dataclass(frozen=True, slots=True)
class Queued(Generic[T]):
    """A place to wait in; `gave_way` has lost its own to it."""

    gave_way: T | None = None


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Neither a slot nor a place is to be had."""


class FairQueue(Generic[T]):
    """`capacity` slots and `places` for those who wait. Each waiter is told apart by its own value."""

    def __init__(self, capacity: int, places: int) -> None:
        self.capacity = capacity  # after it was raised, `next_waiters` says who may go
        self._places = places
        self._block_slots: Counter[str] = Counter()
        self._network_slots: Counter[ClientNetwork] = Counter()
        self._block_waiters: Counter[str] = Counter()
        # In the order in which they get their turns where they hold equally many slots.
        self._waiting: OrderedDict[str, OrderedDict[ClientNetwork, OrderedDict[T, None]]] = OrderedDict()
        self.taken = 0
        self.waiting = 0

    @property
    def has_room(self) -> bool:
        """Whether who comes now need not wait."""
        return self.taken < self.capacity and not self.waiting

    def enter(self, network: ClientNetwork, waiter: T) -> SlotTaken | Queued[T] | TurnedAway:
        if self.has_room:
            self._take(network)
            return SlotTaken()
        gave_way = None
        if self.waiting >= self._places:
            gave_way = self._newest_of_the_largest(network)
            if gave_way is None:
                return TurnedAway()
        networks = self._waiting.setdefault(network.block, OrderedDict())
        networks.setdefault(network, OrderedDict())[waiter] = None
        self._block_waiters[network.block] += 1
        self.waiting += 1
        return Queued(gave_way)

    def leave(self, network: ClientNetwork, waiter: T) -> bool:
        """The waiter gives up its place; False where it has none any more."""
        networks = self._waiting.get(network.block)
        if networks is None or network not in networks or waiter not in networks[network]:
            return False
        self._remove(network, waiter)
        return True

    def give_back(self, network: ClientNetwork) -> None:
        """A slot is free again; `next_waiters` says whose it is."""
        self.taken -= 1
        _less(self._block_slots, network.block)
        _less(self._network_slots, network)

    def next_waiters(self) -> list[tuple[ClientNetwork, T]]:
        """Those whose turn it is: each has left its place and has a slot from here on."""
        going = []
        while self.waiting and self.taken < self.capacity:
            block = min(self._waiting, key=lambda one: self._block_slots[one])
            networks = self._waiting[block]
            network = min(networks, key=lambda one: self._network_slots[one])
            waiter = next(iter(networks[network]))
            self._waiting.move_to_end(block)
            networks.move_to_end(network)
            self._remove(network, waiter)
            self._take(network)
            going.append((network, waiter))
        return going

    def empty(self) -> list[T]:
        """Everybody leaves their places; who that was."""
        leaving = [waiter for networks in self._waiting.values() for waiters in networks.values() for waiter in waiters]
        self._waiting.clear()
        self._block_waiters.clear()
        self.waiting = 0
        return leaving

    def _newest_of_the_largest(self, arriving: ClientNetwork) -> T | None:
        """Who gives way to one of `arriving`, out of its place already; `None` where that one would hold the most."""
        if not self.waiting:
            return None
        block, most = max(self._block_waiters.items(), key=lambda one: one[1])
        if most <= self._block_waiters[arriving.block] + 1:
            block = arriving.block
        networks = self._waiting.get(block)
        if networks is None:
            return None
        network = max(reversed(networks), key=lambda one: len(networks[one]))
        if block == arriving.block and len(networks[network]) <= len(networks.get(arriving, ())) + 1:
            return None
        newest: T = next(reversed(networks[network]))
        self._remove(network, newest)
        return newest

    def _take(self, network: ClientNetwork) -> None:
        self.taken += 1
        self._block_slots[network.block] += 1
        self._network_slots[network] += 1

    def _remove(self, network: ClientNetwork, waiter: T) -> None:
        networks = self._waiting[network.block]
        del networks[network][waiter]
        if not networks[network]:
            del networks[network]
        if not networks:
            del self._waiting[network.block]
        _less(self._block_waiters, network.block)
        self.waiting -= 1


K = TypeVar("K", bound=Hashable)


def _less(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]  # networks that are gone leave nothing behind
