"""Shares slots and places to wait among client networks, so that none of them crowds out another. Pure.

    enter -> SlotGranted                 a slot is free and nobody waits
          -> Queued                      there is a place to wait
          -> Queued(displaced=waiter)    the largest network gave up a place for it
          -> QueueFull                   the newcomer's own network would be the largest

**Slots.** A free slot goes to the block of networks that holds the fewest, in it to the network that holds the fewest,
and there to the oldest waiter. Those that hold equally many take turns. So a network whose calls take long waits for
its own calls, and the others do not.

**Places.** When all places are taken, the block and the network that hold the most give one up. Their newest waiter
leaves, because the oldest is next. A newcomer whose network would then hold the most is rejected instead.

No share lies idle: a single network may have all slots and all places, until another one asks for some.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.http.client_network import ClientNetwork

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class SlotGranted:
    """The caller has a slot at once."""


@dataclass(frozen=True, slots=True)
class Queued(Generic[T]):
    """The caller has a place to wait. `displaced` has lost its own to it."""

    displaced: T | None = None


@dataclass(frozen=True, slots=True)
class QueueFull:
    """There is neither a slot nor a place for the caller."""


class FairQueue(Generic[T]):
    """Hands out `capacity` slots, and `places` to wait for one. Each waiter has a value of its own."""

    def __init__(self, capacity: int, places: int) -> None:
        self.capacity = capacity  # after raising it, call `next_waiters`
        self._places = places
        self._block_slots: Counter[str] = Counter()
        self._network_slots: Counter[ClientNetwork] = Counter()
        self._block_waiters: Counter[str] = Counter()
        # Ordered by whose turn is next among those that hold equally many slots.
        self._waiting: OrderedDict[str, OrderedDict[ClientNetwork, OrderedDict[T, None]]] = OrderedDict()
        self.taken = 0
        self.waiting = 0

    @property
    def has_room(self) -> bool:
        """Whether a newcomer gets a slot at once."""
        return self.taken < self.capacity and not self.waiting

    def enter(self, network: ClientNetwork, waiter: T) -> SlotGranted | Queued[T] | QueueFull:
        if self.has_room:
            self._occupy(network)
            return SlotGranted()
        displaced = None
        if self.waiting >= self._places:
            displaced = self._newest_of_the_largest(network)
            if displaced is None:
                return QueueFull()
        networks = self._waiting.setdefault(network.block, OrderedDict())
        networks.setdefault(network, OrderedDict())[waiter] = None
        self._block_waiters[network.block] += 1
        self.waiting += 1
        return Queued(displaced)

    def leave(self, network: ClientNetwork, waiter: T) -> bool:
        """The waiter gives up its place. False if it has none any more."""
        networks = self._waiting.get(network.block)
        if networks is None or network not in networks or waiter not in networks[network]:
            return False
        self._remove(network, waiter)
        return True

    def release(self, network: ClientNetwork) -> None:
        """A slot of `network` is free again; `next_waiters` says who gets it."""
        self.taken -= 1
        _decrement(self._block_slots, network.block)
        _decrement(self._network_slots, network)

    def next_waiters(self) -> list[tuple[ClientNetwork, T]]:
        """Give the free slots to the next waiters: each has left its place and holds a slot."""
        granted = []
        while self.waiting and self.taken < self.capacity:
            block = min(self._waiting, key=lambda one: self._block_slots[one])
            networks = self._waiting[block]
            network = min(networks, key=lambda one: self._network_slots[one])
            waiter = next(iter(networks[network]))
            self._waiting.move_to_end(block)
            networks.move_to_end(network)
            self._remove(network, waiter)
            self._occupy(network)
            granted.append((network, waiter))
        return granted

    def clear(self) -> list[T]:
        """Remove all waiters, and return them."""
        leaving = [waiter for networks in self._waiting.values() for waiters in networks.values() for waiter in waiters]
        self._waiting.clear()
        self._block_waiters.clear()
        self.waiting = 0
        return leaving

    def _newest_of_the_largest(self, arriving: ClientNetwork) -> T | None:
        """Remove and return the waiter that gives way to one of `arriving`; `None` if that would hold the most."""
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

    def _occupy(self, network: ClientNetwork) -> None:
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
        _decrement(self._block_waiters, network.block)
        self.waiting -= 1


K = TypeVar("K", bound=Hashable)


def _decrement(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]  # a network that is gone leaves nothing behind
