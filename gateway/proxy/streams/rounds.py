"""A fair queue: one group of each client network in turn. Pure.

Items that wait for the same thing form a group and leave together.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from gateway.http.client_network import client_network

T = TypeVar("T")


class Rounds(Generic[T]):
    """Returns each item once, in groups, round robin over client networks (for IPv6 the /48)."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, OrderedDict[Hashable, list[T]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, address: str, about: Hashable, item: T) -> None:
        """Queue `item` for the network of `address`, in the group of those that wait for `about`."""
        groups = self._waiting.setdefault(client_network(address).block, OrderedDict())
        groups.setdefault(about, []).append(item)

    def take(self) -> list[T]:
        """The next group: the oldest of the network that has waited longest. The queue must not be empty."""
        network, groups = self._waiting.popitem(last=False)
        _, group = groups.popitem(last=False)
        if groups:
            self._waiting[network] = groups  # behind the others
        return group
