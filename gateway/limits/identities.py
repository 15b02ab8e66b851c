"""The identities that one worker knows under one limit: bounded, and no flood of new ones resets another's bucket.

An identity whose bucket is full again is forgotten: a new allowance would say the same. Each newcomer makes the memory
look at a few of those it keeps, in turn; one that stays empty for days is passed over and does not hold up the others.

Addresses of one IPv6 /48 may have a part of the memory. Beyond that they share one bucket, so that whoever owns 65,536
networks cannot fill the memory. Where it is full all the same, newcomers share one bucket. So inventing identities
gains nothing, and those that are known keep what they have.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.http.client_network import client_network
from gateway.limits.allowance import Allowance
from gateway.limits.limit import OF_ADDRESSES, CompiledLimit

# For each new identity so many are looked at: more than one, so that forgetting is faster than learning.
_SWEPT_PER_NEW = 4
# The part of the memory that the addresses of one /48 may have.
_BLOCK_PART = 8
_NEWCOMERS = "newcomers"  # no identity is called so: each begins with its kind


class Identities:
    """Keeps the allowances under `limit`, `most` of them."""

    __slots__ = ("_block_max", "_blocks", "_known", "_most", "_newcomers", "_workers", "limit")

    def __init__(self, limit: CompiledLimit, workers: int, most: int) -> None:
        self.limit = limit
        self._workers = workers
        self._most = most
        self._known: OrderedDict[str, Allowance] = OrderedDict()
        self._newcomers: Allowance | None = None
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
        if len(known) < self._most:
            if block is not None:
                self._blocks[block] = self._blocks.get(block, 0) + 1
            made = known[identity] = Allowance(self.limit, identity, self._workers, now_s)
            return made
        if self._newcomers is None:
            self._newcomers = Allowance(self.limit, _NEWCOMERS, self._workers, now_s)
        return self._newcomers

    def seen(self, identity: str, now_s: float) -> Allowance:
        """The same without remembering it."""
        return self._known.get(identity) or Allowance(self.limit, identity, self._workers, now_s)

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
