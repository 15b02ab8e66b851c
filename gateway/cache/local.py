"""The tier within the process: bounded, least recently used out first, every step O(1).

Inactive answers live in a space of their own. Whoever sends junk tokens fills that one and pushes out other junk,
never an answer about a good token.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from gateway.authn.facts import Facts
from gateway.authn.purge import Purge
from gateway.authn.tiers import Entry

# Of `max_entries`, on top of it: junk lives for seconds and is worth little.
_INACTIVE_SHARE = 10
# Looked at per insertion: more than one, so that what has expired goes faster than new entries come.
_RECLAIMED_PER_PUT = 2


class LocalCache:
    """`max_entries` active answers and a tenth as many inactive ones. Not for threads."""

    def __init__(self, max_entries: int) -> None:
        self._active = _Space(max_entries)
        self._inactive = _Space(max(1, max_entries // _INACTIVE_SHARE))

    def __len__(self) -> int:
        return len(self._active.entries) + len(self._inactive.entries)

    def get(self, key: bytes, now_s: float) -> Entry | None:
        return self._active.get(key, now_s) or self._inactive.get(key, now_s)

    def last_known(self, key: bytes, now_s: float) -> Entry | None:
        return self._active.kept(key, now_s)

    def put(self, key: bytes, entry: Entry, now_s: float) -> None:
        """Remembers `entry` in place of what there was under `key`."""
        into, other = self._active, self._inactive
        if not isinstance(entry.answer, Facts):
            into, other = other, into
        other.drop(key)
        into.put(key, entry, now_s)

    def purge(self, purge: Purge, now_s: float) -> int:
        return self._active.purge(purge, now_s) + self._inactive.purge(purge, now_s)


class _Space:
    """An OrderedDict and not a dict: taking the oldest out of a dict walks over the gaps that others left."""

    def __init__(self, max_entries: int) -> None:
        self.entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._max_entries = max_entries
        self._tagged = _Index()

    def get(self, key: bytes, now_s: float) -> Entry | None:
        entry = self.kept(key, now_s)
        return entry if entry is not None and entry.good_until_s > now_s else None

    def kept(self, key: bytes, now_s: float) -> Entry | None:
        entry = self.entries.get(key)
        if entry is None:
            return None
        if _gone_at_s(entry) <= now_s:
            self.drop(key)
            return None
        self.entries.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: Entry, now_s: float) -> None:
        self.drop(key)
        self._reclaim(now_s)
        if len(self.entries) >= self._max_entries:
            self.drop(next(iter(self.entries)))
        self.entries[key] = entry
        self._tagged.add(key, entry.tags)

    def drop(self, key: bytes) -> Entry | None:
        entry = self.entries.pop(key, None)
        if entry is not None:
            self._tagged.discard(key, entry.tags)
        return entry

    def purge(self, purge: Purge, now_s: float) -> int:
        if purge.marks is None:
            doomed: list[bytes] = list(self.entries)
        else:
            doomed = [key for mark in purge.marks for key in (mark, *self._tagged.keys(mark))]
        dropped = [self.drop(key) for key in doomed]
        return sum(1 for entry in dropped if entry is not None and entry.good_until_s > now_s)

    def _reclaim(self, now_s: float) -> None:
        """What nobody asks for any more comes to the front and goes there once expired, full or not."""
        for _ in range(_RECLAIMED_PER_PUT):
            oldest = next(iter(self.entries), None)
            if oldest is None or _gone_at_s(self.entries[oldest]) > now_s:
                return
            self.drop(oldest)


def _gone_at_s(entry: Entry) -> float:
    return max(entry.good_until_s, entry.kept_until_s)


class _Index:
    """Keys by tag. Most people hold one token at a time: a set is made for the second, for memory's sake."""

    def __init__(self) -> None:
        self._keys: dict[bytes, bytes | set[bytes]] = {}

    def keys(self, tag: bytes) -> list[bytes]:
        held = self._keys.get(tag, set())
        return [held] if isinstance(held, bytes) else list(held)

    def add(self, key: bytes, tags: Iterable[bytes]) -> None:
        for tag in tags:
            held = self._keys.get(tag)
            if held is None:
                self._keys[tag] = key
            elif isinstance(held, bytes):
                self._keys[tag] = {held, key}
            else:
                held.add(key)

    def discard(self, key: bytes, tags: Iterable[bytes]) -> None:
        for tag in tags:
            held = self._keys.get(tag)
            if isinstance(held, set):
                held.discard(key)
            if held == key or not held:
                self._keys.pop(tag, None)
