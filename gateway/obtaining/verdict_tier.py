"""The tier of this process for verdicts: tokens, permissions and refusals lie in spaces apart, and push out their like.

Somebody who walks through many paths makes many grants: of those that are refused, and of those that are granted where
a policy covers ever new resources. They push out no token, which cost an exchange and may serve for long. Refusals fill
a smaller space.
"""

from __future__ import annotations

from gateway.cache.local import LocalCache
from gateway.introspection.ports import CacheEntry, Memorable
from gateway.introspection.tag_purge import TagPurge

_REFUSED_SHARE = 10


class VerdictTier:
    """Keeps `max_entries` tokens, as many permissions and a tenth as many refusals. Satisfies
    `introspection.ports.LocalTier`.
    """

    def __init__(self, max_entries: int) -> None:
        self._tokens = LocalCache(max_entries)
        self._permitted = LocalCache(max_entries)
        self._refused = LocalCache(max(1, max_entries // _REFUSED_SHARE))
        self._spaces = self._tokens, self._permitted, self._refused

    def __len__(self) -> int:
        return sum(map(len, self._spaces))

    def get(self, key: bytes, now_s: float) -> CacheEntry | None:
        return self._tokens.get(key, now_s) or self._permitted.get(key, now_s) or self._refused.get(key, now_s)

    def facts(self, key: bytes, now_s: float) -> CacheEntry | None:
        return self._tokens.facts(key, now_s) or self._permitted.facts(key, now_s) or self._refused.facts(key, now_s)

    def last_known(self, key: bytes, now_s: float) -> CacheEntry | None:
        found = (space.last_known(key, now_s) for space in self._spaces)
        return next((entry for entry in found if entry is not None), None)

    def put(self, key: bytes, entry: CacheEntry, now_s: float) -> None:
        into = self._space_of(entry.result)
        for space in self._spaces:
            if space is not into:
                space.drop(key)
        into.put(key, entry, now_s)

    def drop_tagged(self, purge: TagPurge, now_s: float) -> int:
        return sum(space.drop_tagged(purge, now_s) for space in self._spaces)

    def _space_of(self, result: Memorable) -> LocalCache:
        claims = getattr(result, "claims", {})
        if claims.get("granted") is not True:
            return self._refused
        return self._permitted if getattr(result, "phantom", None) is None else self._tokens
