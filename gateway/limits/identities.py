"""The identities that one worker knows under one limit: bounded, and no flood of new ones resets another's bucket.

An identity whose bucket is full again is forgotten, the longest unused first: a new allowance would say the same. Where
the memory is full of others, newcomers share one bucket. So inventing identities gains nothing, and those that are
known keep what they have.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.limits.allowance import Allowance
from gateway.limits.limit import CompiledLimit

# For each new identity so many are looked at: more than one, so that forgetting is faster than learning.
_SWEPT_PER_NEW = 2
_NEWCOMERS = "newcomers"  # no identity is called so: each begins with its kind


class Identities:
    """Keeps the allowances under `limit`, `most` of them."""

    __slots__ = ("_known", "_most", "_newcomers", "_workers", "limit")

    def __init__(self, limit: CompiledLimit, workers: int, most: int) -> None:
        self.limit = limit
        self._workers = workers
        self._most = most
        self._known: OrderedDict[str, Allowance] = OrderedDict()
        self._newcomers: Allowance | None = None

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
        if len(known) < self._most:
            made = known[identity] = Allowance(self.limit, identity, self._workers, now_s)
            return made
        if self._newcomers is None:
            self._newcomers = Allowance(self.limit, _NEWCOMERS, self._workers, now_s)
        return self._newcomers

    def seen(self, identity: str, now_s: float) -> Allowance:
        """The same without remembering it."""
        return self._known.get(identity) or Allowance(self.limit, identity, self._workers, now_s)

    def _sweep(self, now_s: float, *, is_shared: bool) -> None:
        for _ in range(_SWEPT_PER_NEW):
            oldest = next(iter(self._known), None)
            if oldest is None or not self._known[oldest].may_be_forgotten(now_s, is_shared=is_shared):
                return
            del self._known[oldest]
