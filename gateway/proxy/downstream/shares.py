"""Who may hold a client connection, and who gives one up when there are too many of them.

Connections are counted for each client network: an IPv4 address, an IPv6 /64, and the /48 above that. A network may
hold its share of the cap. Where the cap, or the share, is full, the newcomer gets in and the oldest connection on
which no request is under way goes. For the cap that is one of the network that holds the most. Only where every
connection is at work is the newcomer turned away.

One address is one client only where clients connect themselves. Peers in `trusted_proxies`, and those on a Unix
socket, speak for many: they have no share of their own, and give up connections last.

Networks are counted only when it matters. While fewer connections are open than one network may hold, no network can
hold too many, and a connection costs next to nothing. The newcomer beyond that begins the count, which takes a look at
every connection. The count ends when half of those connections are gone, so it cannot begin for each newcomer.

To find the oldest takes a look at every connection of a network. One look gives the candidates for many newcomers, and
a look that finds nobody is not repeated at once: a flood of connections must not cost more than a flood of requests.

Pure: `now_s` is the monotonic clock, passed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Generic, Protocol, TypeVar

from gateway.http.client_network import client_network

# A cap as low as this is for few clients, who may well come from one address. It has most of the cap, and not all.
_SHARED_FROM = 256
_OTHERS_PART = 8
# What one look at the connections of a network may give up before the next look.
_BATCH_MIN = 16
_BATCH_PART = 8
# After a look that found nobody, per connection that was looked at: some thirty times as long as the look took.
_LOOK_AGAIN_S = 1e-5
_EXEMPT = ""


class Holder(Protocol):
    """A connection. `networks` are what it counts for, the narrowest first; none: it is exempt from shares."""

    networks: tuple[str, ...]

    def unproductive_since_s(self) -> float | None:
        """Since when it has been open without a request under way; `None` where one is."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`per_network_max` is for an address or a /64; a /48 may hold half as many again."""

    connections_max: int
    per_network_max: int


def default_share(connections_max: int) -> int:
    """What one network may hold where nothing is configured."""
    return max(1, connections_max // 2, min(_without_others(connections_max), _SHARED_FROM))


def _without_others(connections_max: int) -> int:
    """What is left of the cap when every other network has nothing but a small part of it."""
    return connections_max - -(-connections_max // _OTHERS_PART)


@lru_cache(maxsize=1024)
def networks_of(peer: str) -> tuple[str, ...]:
    """The networks that an address counts for, the narrowest first; none for the empty one of a Unix socket."""
    found = client_network(peer)
    if not peer:
        return ()
    return (found.network,) if found.block == found.network else (found.network, found.block)


def _is_widest(network: str) -> bool:
    """Whether it lies in no other one that is counted: all but a /64."""
    return "/" in network or ":" not in network


def is_exempt(peer: str, trusted: Collection[object]) -> bool:
    """Whether a peer speaks for many clients, because it is one of the `trusted` networks."""
    if not trusted and peer:
        return False
    address = _address(peer)
    return address is None or any(
        isinstance(one, IPv4Network | IPv6Network) and address.version == one.version and address in one
        for one in trusted
    )


@lru_cache(maxsize=1024)
def _address(peer: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


_Holder = TypeVar("_Holder", bound=Holder)


class Shares(Generic[_Holder]):
    """Holds the connections of one listener. `adjust` replaces the limits; they are for newcomers."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.holders: dict[_Holder, None] = {}
        self._count_ends_at: int | None = None  # with so few connections; `None` while networks are not counted
        self._members: dict[str, dict[_Holder, None]] = {}
        self._candidates: dict[str | None, deque[tuple[_Holder, float]]] = {}
        self._look_again_at_s: dict[str | None, float] = {}  # where nobody was found
        self.adjust(limits)

    def __len__(self) -> int:
        return len(self.holders)

    def adjust(self, limits: ConnectionLimits) -> None:
        """Hold newcomers to these limits from now on."""
        self._limits = limits
        self._uncounted_max = min(limits.connections_max, limits.per_network_max)

    def held_by(self, network: str) -> int:
        """How many connections; 0 while networks are not counted, which they are when `enter` returns a connection."""
        return len(self._members.get(network, ()))

    def enter(self, newcomer: _Holder, now_s: float, *, is_scarce: bool = False) -> _Holder | None:
        """Count the newcomer, and return the connection that has to go. That is the newcomer where it is not let in.

        `is_scarce`: there is no room for it, whatever `limits` say. The caller ends the other connection and tells
        `leave` of it.
        """
        holders = self.holders
        if self._count_ends_at is None:
            if len(holders) < self._uncounted_max and not is_scarce:
                holders[newcomer] = None
                return None
            self._begin_count()
        loser = None
        full = self._full_network(newcomer.networks)
        if full is not None or is_scarce or len(holders) >= self._limits.connections_max:
            loser = self._oldest_unproductive(full, now_s) or newcomer
        if loser is not newcomer:
            holders[newcomer] = None
            self._count(newcomer)
        return loser

    def leave(self, holder: _Holder) -> None:
        self.holders.pop(holder, None)
        if self._count_ends_at is None:
            return
        if len(self.holders) > self._count_ends_at:
            self._discount(holder)
        else:
            self._end_count()

    def _begin_count(self) -> None:
        self._count_ends_at = len(self.holders) // 2
        for holder in self.holders:
            self._count(holder)

    def _end_count(self) -> None:
        self._count_ends_at = None
        self._members.clear()
        self._candidates.clear()
        self._look_again_at_s.clear()

    def _count(self, holder: _Holder) -> None:
        for network in holder.networks or (_EXEMPT,):
            self._members.setdefault(network, {})[holder] = None

    def _discount(self, holder: _Holder) -> None:
        for network in holder.networks or (_EXEMPT,):
            members = self._members.get(network)
            if members is not None:
                members.pop(holder, None)
                if not members:
                    del self._members[network]
                    self._candidates.pop(network, None)
                    self._look_again_at_s.pop(network, None)

    def _full_network(self, networks: Sequence[str]) -> str | None:
        most = self._limits.per_network_max
        for network in networks:
            if self.held_by(network) >= most:
                return network
            most = max(most, min(most + most // 2, _without_others(self._limits.connections_max)))
        return None

    def _oldest_unproductive(self, network: str | None, now_s: float) -> _Holder | None:
        """Of this network; of the one that holds the most where it is `None`."""
        found = self._next_candidate(network)
        if found is None and now_s >= self._look_again_at_s.get(network, now_s):
            self._candidates[network] = self._look(network)
            found = self._next_candidate(network)
            if found is None:
                seen = len(self.holders) if network is None else self.held_by(network)
                self._look_again_at_s[network] = now_s + seen * _LOOK_AGAIN_S
        return found

    def _next_candidate(self, network: str | None) -> _Holder | None:
        candidates = self._candidates.get(network)
        while candidates:
            holder, since_s = candidates.popleft()
            # It may have gone since the look, or done something.
            if holder in self.holders and holder.unproductive_since_s() == since_s:
                return holder
        return None

    def _look(self, network: str | None) -> deque[tuple[_Holder, float]]:
        if network is not None:
            return self._oldest_of(network, len(self._members[network]) // _BATCH_PART)
        # By their widest network: one who owns a /48 does not count as many small ones.
        ranking = sorted(
            filter(_is_widest, self._members),
            key=lambda name: (name != _EXEMPT, len(self._members[name])),
            reverse=True,
        )
        for place, name in enumerate(ranking):
            lead = len(self._members[name]) - (len(self._members[ranking[place + 1]]) if ranking[place + 1 :] else 0)
            if found := self._oldest_of(name, min(lead, len(self._members[name]) // _BATCH_PART)):
                return found
        return deque()

    def _oldest_of(self, network: str, count: int) -> deque[tuple[_Holder, float]]:
        waiting = [
            (holder, since_s)
            for holder in self._members[network]
            if (since_s := holder.unproductive_since_s()) is not None
        ]
        waiting.sort(key=lambda one: one[1])
        return deque(waiting[: max(count, _BATCH_MIN)])
