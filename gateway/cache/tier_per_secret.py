"""The shared tier while `cache.secret` changes from one secret to another: one tier for each secret, in one Redis.

Only the first secret seals results and names leases. Results under the other secrets are still found, so that a new
secret does not begin with an empty cache. A purge goes out under every secret, and one that comes in under any of them
voids the results under all, because the instances of a fleet change over one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from gateway.cache.redis import RedisTier
from gateway.introspection.ports import Absent, Recalled
from gateway.introspection.tag_purge import TagPurge


class TierPerSecret:
    """Does for several `RedisTier`s what one does. All have the same bounds."""

    def __init__(self, tiers: Sequence[RedisTier]) -> None:
        self._tiers = tuple(tiers)
        self._first = tiers[0]
        self.leases = self._first.leases
        self.limits = self._first.limits
        self.timeout_s = self._first.timeout_s
        self._hearing = b""
        for tier in tiers:
            tier.on_order(partial(self._ordered, tier))

    @property
    def healthy(self) -> bool:
        return all(tier.healthy for tier in self._tiers)

    @property
    def trouble(self) -> str:
        """Why results are not shared at present."""
        return next((tier.trouble for tier in self._tiers if tier.trouble), "")

    async def start(self, on_purge: Callable[[TagPurge], object]) -> None:
        def heard(purge: TagPurge) -> None:
            self._hearing = purge.id
            try:
                on_purge(purge)
            finally:
                self._hearing = b""

        await asyncio.gather(*(tier.start(heard) for tier in self._tiers))

    async def close(self) -> None:
        await asyncio.gather(*(tier.close() for tier in self._tiers))

    def extend_life(self, life_max_s: float) -> None:
        for tier in self._tiers:
            tier.extend_life(life_max_s)

    def follow_realms(self, realms: frozenset[str]) -> None:
        for tier in self._tiers:
            tier.follow_realms(realms)

    def log_position(self) -> bytes:
        return self._first.log_position()

    def get(self, key: bytes, realm: str) -> asyncio.Future[Recalled | Absent]:
        """The youngest result that any secret opens: another instance may have written under another secret since."""
        found: asyncio.Future[Recalled | Absent] = asyncio.get_running_loop().create_future()

        def choose(looking: asyncio.Future[list[Recalled | Absent]]) -> None:
            if found.done() or looking.cancelled():
                return
            if (error := looking.exception()) is not None:
                found.set_exception(error)
                return
            recalled = [each for each in looking.result() if isinstance(each, Recalled)]
            found.set_result(min(recalled, key=lambda each: each.age_s) if recalled else looking.result()[0])

        asyncio.gather(*(tier.get(key, realm) for tier in self._tiers)).add_done_callback(choose)
        return found

    async def put(self, key: bytes, recalled: Recalled, log_position: bytes) -> None:
        await self._first.put(key, recalled, log_position)

    def hide(self, purge: TagPurge) -> None:
        if purge.id == self._hearing:
            return  # a tier's own log brought it: an order is forwarded, and a log that is lost voids its own tier
        for tier in self._tiers:
            tier.hide(purge)

    async def publish_purge(self, purge: TagPurge) -> bool:
        return all(await asyncio.gather(*(tier.publish_purge(purge) for tier in self._tiers)))

    async def publish_revocation(self, purge: TagPurge) -> bytes | None:
        others = asyncio.gather(*(tier.publish_purge(purge) for tier in self._tiers[1:]))
        log_position = await self._first.publish_revocation(purge)
        return log_position if all(await others) else None

    async def has_seen(self, mark: bytes) -> bool:
        return any(await asyncio.gather(*(tier.has_seen(mark) for tier in self._tiers)))

    async def remember_seen(self, mark: bytes, life_s: float) -> None:
        await asyncio.gather(*(tier.remember_seen(mark, life_s) for tier in self._tiers))

    async def claim_seen(self, mark: bytes, life_s: float) -> bool | None:
        """Under every secret: an instance that has not changed over yet knows the first one by another name."""
        told = await asyncio.gather(*(tier.claim_seen(mark, life_s) for tier in self._tiers))
        if False in told:
            return False
        return None if None in told else True

    def _ordered(self, by: RedisTier, purge: TagPurge) -> None:
        for tier in self._tiers:
            if tier is not by:
                tier.hide(purge)
