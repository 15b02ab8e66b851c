"""The identities that one worker knows under one limit: bounded, and no flood of new ones resets another's bucket.

An identity whose bucket is full again is forgotten: a new allowance would say the same. Each newcomer makes the memory
look at a few of those it keeps, in turn; one that stays empty for days is passed over and does not hold up the others.

Addresses of one IPv6 /48 may have a part of the memory. Beyond that they share one bucket, so that whoever owns 65,536
networks cannot fill the memory. Where a limit counts by a claim, callers without one count by address, and may have
half of the memory: strangers never push those with a token into a shared bucket.

Where there is no room all the same, newcomers share buckets: those of one provider, of one IPv4 /8, of one IPv6 /32. So
inventing identities gains nothing, those that are known keep what they have, and others are not refused for a flood
from elsewhere.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.http.client_network import client_network
from gateway.limits.allowance import Allowance
from gateway.limits.fleet_size import FleetSize
from gateway.limits.limit import OF_ADDRESSES, CompiledLimit

# For each new identity so many are looked at: more than one, so that forgetting is faster than learning.
_SWEPT_PER_NEW = 4
# The part of the memory that the addresses of one /48 may have.
_BLOCK_PART = 8
# The part that addresses may have where a limit counts by a claim.
_ADDRESSES_PART = 2
_NEWCOMERS = "newcomers"  # no identity is called so: each begins with its kind
# More groups than there are /8 and providers; beyond, those of further /32 are in one.
_GROUPS_MAX = 1024


class Identities:
    """Keeps the allowances under `limit`, `most` of them. `workers` are those of this instance, `size` knows all."""

    __slots__ = (
        "_addresses",
        "_addresses_max",
        "_block_max",
        "_blocks",
        "_known",
        "_most",
        "_newcomers",
        "_size",
        "_workers",
        "limit",
    )

    def __init__(self, limit: CompiledLimit, workers: int, most: int, size: FleetSize | None = None) -> None:
        self.limit = limit
        self._size = size or FleetSize()
        self._workers = workers
        self._most = most
        self._known: OrderedDict[str, Allowance] = OrderedDict()
        self._newcomers: dict[str, Allowance] = {}  # by what they are grouped by
        self._addresses = 0  # how many are known
        self._addresses_max = most if limit.is_by_address else max(1, most // _ADDRESSES_PART)
        self._block_max = max(1, most // _BLOCK_PART)
        self._blocks: dict[str, int] = {}  # how many addresses of a /48 are known

    def __len__(self) -> int:
        return len(self._known)

    def of(self, identity: str, now_s: float, *, is_shared: bool) -> Allowance:
        """The allowance of `identity`, or the one that newcomers share."""
        known = self._known
        found = known.get(identity)
        if found is not None:
            known.move_to_end(identity)
            return found
        self._sweep(now_s, is_shared=is_shared)
        block = _block_of(identity)
        if block is not None and self._blocks.get(block, 0) >= self._block_max:
            identity, block = OF_ADDRESSES + block, None
            if identity in known:
                return known[identity]
        if not self._has_room_for(identity):
            return self._of_newcomers(identity, now_s)
        if identity.startswith(OF_ADDRESSES):
            self._addresses += 1
        if block is not None:
            self._blocks[block] = self._blocks.get(block, 0) + 1
        made = known[identity] = self._made(identity, now_s)
        return made

    def seen(self, identity: str, now_s: float) -> Allowance:
        """The same without remembering it."""
        return self._known.get(identity) or self._made(identity, now_s)

    def _made(self, identity: str, now_s: float) -> Allowance:
        return Allowance(self.limit, identity, self._workers, now_s, self._size)

    def _has_room_for(self, identity: str) -> bool:
        if identity.startswith(OF_ADDRESSES) and self._addresses >= self._addresses_max:
            return False
        return len(self._known) < self._most

    def _of_newcomers(self, identity: str, now_s: float) -> Allowance:
        group = _group_of(identity)
        if group not in self._newcomers and len(self._newcomers) >= _GROUPS_MAX:
            group = _NEWCOMERS
        shared = self._newcomers.get(group)
        if shared is None:
            shared = self._newcomers[group] = self._made(group, now_s)
        return shared

    def _sweep(self, now_s: float, *, is_shared: bool) -> None:
        known = self._known
        for _ in range(min(_SWEPT_PER_NEW, len(known))):
            oldest = next(iter(known))
            if known[oldest].may_be_forgotten(now_s, is_shared=is_shared):
                self._forget(oldest)
            else:
                known.move_to_end(oldest)

    def _forget(self, identity: str) -> None:
        del self._known[identity]
        if identity.startswith(OF_ADDRESSES):
            self._addresses -= 1
        block = _block_of(identity)
        if block is not None:
            self._blocks[block] -= 1
            if not self._blocks[block]:
                del self._blocks[block]


def _block_of(identity: str) -> str | None:
    """The /48 around an address of IPv6, if the identity is one."""
    if not identity.startswith(OF_ADDRESSES) or ":" not in identity:
        return None
    found = client_network(identity.removeprefix(OF_ADDRESSES))
    return None if found.block == found.network else found.block


def _group_of(identity: str) -> str:
    """What newcomers are grouped by: the provider, or for an address the first eighth or quarter of it."""
    if identity.startswith(OF_ADDRESSES):
        address = identity.removeprefix(OF_ADDRESSES)
        parts = address.split(":")[:2] if ":" in address else address.split(".")[:1]
        return f"{_NEWCOMERS} {OF_ADDRESSES}{':'.join(parts)}"
    _, length, rest = identity.split(" ", 2)
    return f"{_NEWCOMERS} claim {rest[: int(length)]}"
