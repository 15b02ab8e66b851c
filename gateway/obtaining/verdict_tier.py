"""The tier of this process for verdicts: each no lies in a space apart, so that many of them push out no yes.

Somebody who walks through many paths makes many errands that are refused. They fill the smaller space and push out each
other.
"""

from __future__ import annotations

from gateway.cache.local import LocalCache
from gateway.introspection.ports import CacheEntry, Memorable
from gateway.introspection.tag_purge import TagPurge

_REFUSED_SHARE = 10


class VerdictTier:
    """Keeps `max_entries` that are granted and a tenth as many refusals. Satisfies `introspection.ports.LocalTier`."""

    def __init__(self, max_entries: int) -> None:
        self._granted = LocalCache(max_entries)
        self._refused = LocalCache(max(1, max_entries // _REFUSED_SHARE))

    def __len__(self) -> int:
        return len(self._granted) + len(self._refused)

    def get(self, key: bytes, now_s: float) -> CacheEntry | None:
        return self._granted.get(key, now_s) or self._refused.get(key, now_s)

    def facts(self, key: bytes, now_s: float) -> CacheEntry | None:
        return self._granted.facts(key, now_s) or self._refused.facts(key, now_s)

    def last_known(self, key: bytes, now_s: float) -> CacheEntry | None:
        return self._granted.last_known(key, now_s) or self._refused.last_known(key, now_s)

    def put(self, key: bytes, entry: CacheEntry, now_s: float) -> None:
        into, other = (self._granted, self._refused) if _is_yes(entry.result) else (self._refused, self._granted)
        other.drop(key)
        into.put(key, entry, now_s)

    def drop_tagged(self, purge: TagPurge, now_s: float) -> int:
        return self._granted.drop_tagged(purge, now_s) + self._refused.drop_tagged(purge, now_s)


def _is_yes(result: Memorable) -> bool:
    claims = getattr(result, "claims", {})
    return claims.get("granted") is True
