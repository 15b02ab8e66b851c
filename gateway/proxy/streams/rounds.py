"""Whose turn it is where many wait and few may go: one of each client network in turn.

Pure. Who waits for the same is one, and goes at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from gateway.http.client_network import client_network

T = TypeVar("T")


class Rounds(Generic[T]):
    """What is put here comes back in groups, each once. Networks are those of addresses, the /48 for IPv6."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, OrderedDict[Hashable, list[T]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, address: str, about: Hashable, one: T) -> None:
        """`one` waits in the name of `address`, together with those of its network that wait for `about`."""
        groups = self._waiting.setdefault(client_network(address).block, OrderedDict())
        groups.setdefault(about, []).append(one)

    def take(self) -> list[T]:
        """The next group: the oldest of the network that has waited longest for its turn. There must be one."""
        network, groups = self._waiting.popitem(last=False)
        _, group = groups.popitem(last=False)
        if groups:
            self._waiting[network] = groups  # behind the others
        return group
