"""The tier in this process: bounded, least recently used out first, every step O(1).

Inactive results live in a space of their own. Somebody who sends junk tokens fills that one and pushes out other junk,
never a result about a good token. Active results that were not used lately are kept packed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.authn.facts import Facts
from gateway.cache.packed import Packed, Packer
from gateway.introspection.ports import CacheEntry
from gateway.introspection.tag_purge import TagPurge

# The part of `max_entries` that inactive results have on top of it: junk lives for seconds and is worth little.
_INACTIVE_SHARE = 10
# So many are checked at each insertion: more than one, so that expired entries go faster than new ones come.
_RECLAIMED_PER_PUT = 2
# The part of `max_entries` that is kept ready to use: all of a small cache. A ready entry takes about ten times the
# memory of a packed one. Unpacking takes about as long as the rest of deciding on a request.
_IN_USE_SHARE = 32
_IN_USE_MIN = 1024
# A tag with more keys is not indexed. An order for it looks at every entry, which takes some 20 ms for 100,000.
_KEYS_PER_TAG_MAX = 2048


class LocalCache:
    """Keeps `max_entries` active results and a tenth as many inactive ones. Not for threads."""

    def __init__(self, max_entries: int) -> None:
        inactive_max = max(1, max_entries // _INACTIVE_SHARE)
        self._active = _Space(max_entries, max(_IN_USE_MIN, max_entries // _IN_USE_SHARE))
        self._inactive = _Space(inactive_max, inactive_max)  # there is nothing in them to pack

    def __len__(self) -> int:
        return len(self._active) + len(self._inactive)

    def get(self, key: bytes, now_s: float) -> CacheEntry | None:
        return self._active.get(key, now_s) or self._inactive.get(key, now_s)

    def facts(self, key: bytes, now_s: float) -> CacheEntry | None:
        return self._active.get(key, now_s)

    def last_known(self, key: bytes, now_s: float) -> CacheEntry | None:
        return self._active.kept(key, now_s)

    def put(self, key: bytes, entry: CacheEntry, now_s: float) -> None:
        """Keeps `entry` in place of the entry that was under `key`."""
        into, other = self._active, self._inactive
        if not isinstance(entry.result, Facts):
            into, other = other, into
        other.drop(key)
        into.put(key, entry, now_s)

    def drop(self, key: bytes) -> None:
        """Forgets what is under `key`."""
        self._active.drop(key)
        self._inactive.drop(key)

    def drop_tagged(self, purge: TagPurge, now_s: float) -> int:
        dropped = self._active.drop_tagged(purge, now_s)
        return dropped if purge.is_revocation else dropped + self._inactive.drop_tagged(purge, now_s)


@dataclass(slots=True, eq=False)
class _Held:
    """Holds an entry in use. `packed` is set once the entry was out of use before, so that it need not be
    packed again.
    """

    entry: CacheEntry
    packed: Packed | None


class _Space:
    """Keeps entries in the order of use: at the end those in use, as they are; before them all others, packed.

    OrderedDicts and not dicts: taking the oldest out of a dict walks over the gaps that others left.
    """

    def __init__(self, max_entries: int, max_in_use: int) -> None:
        self._max_entries = max_entries
        self._max_in_use = max_in_use
        self._in_use: OrderedDict[bytes, _Held] = OrderedDict()
        self._packed: OrderedDict[bytes, Packed] = OrderedDict()
        self._packer = Packer()
        self._tagged = _Index()

    def __len__(self) -> int:
        return len(self._in_use) + len(self._packed)

    def get(self, key: bytes, now_s: float) -> CacheEntry | None:
        held = self._in_use.get(key)
        if held is None:
            unpacked = self._unpacked(key, now_s)
            return unpacked if unpacked is not None and unpacked.good_until_s > now_s else None
        entry = held.entry
        if entry.good_until_s > now_s:
            self._in_use.move_to_end(key)
            return entry
        if _gone_at_s(entry) <= now_s:
            self.drop(key)
        return None

    def kept(self, key: bytes, now_s: float) -> CacheEntry | None:
        """The entry that is there, fresh or not."""
        held = self._in_use.get(key)
        if held is None:
            return self._unpacked(key, now_s)
        entry = held.entry
        if _gone_at_s(entry) <= now_s:
            self.drop(key)
            return None
        self._in_use.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: CacheEntry, now_s: float) -> None:
        self.drop(key)
        self._reclaim(now_s)
        if len(self) >= self._max_entries:
            self.drop(next(iter(self._packed or self._in_use)))
        self._use(key, _Held(entry, None))
        self._tagged.add(key, entry.tags)

    def drop(self, key: bytes) -> CacheEntry | Packed | None:
        held = self._in_use.pop(key, None)
        entry = self._packed.pop(key, None) if held is None else held.entry
        if entry is not None:
            self._tagged.discard(key, entry.tags)
        return entry

    def drop_tagged(self, purge: TagPurge, now_s: float) -> int:
        if purge.tags is None:
            doomed: list[bytes] = [*self._packed, *self._in_use]
        else:
            doomed = [key for tag in purge.tags for key in (tag, *self._bearers(tag))]
        dropped = [self.drop(key) for key in doomed]
        return sum(1 for entry in dropped if entry is not None and entry.good_until_s > now_s)

    def _bearers(self, tag: bytes) -> list[bytes]:
        """The keys of the entries that have `tag`. A tag that very many entries have is looked for one by one."""
        keys = self._tagged.keys(tag)
        if keys is not None:
            return keys
        found = [key for key, packed in self._packed.items() if tag in packed.tags]
        return found + [key for key, held in self._in_use.items() if tag in held.entry.tags]

    def _unpacked(self, key: bytes, now_s: float) -> CacheEntry | None:
        packed = self._packed.get(key)
        if packed is None:
            return None
        if _gone_at_s(packed) <= now_s:
            self.drop(key)
            return None
        del self._packed[key]
        entry = packed.entry()
        self._use(key, _Held(entry, packed))
        return entry

    def _use(self, key: bytes, held: _Held) -> None:
        self._in_use[key] = held
        if len(self._in_use) <= self._max_in_use:
            return
        oldest, held = self._in_use.popitem(last=False)
        self._packed[oldest] = self._packer.pack(held.entry) if held.packed is None else held.packed

    def _reclaim(self, now_s: float) -> None:
        """Drops expired entries from the front, where entries go that nobody asks for, whether the space is
        full or not.
        """
        for _ in range(_RECLAIMED_PER_PUT):
            oldest = next(iter(self._packed or self._in_use), None)
            if oldest is None or _gone_at_s(self._packed.get(oldest) or self._in_use[oldest].entry) > now_s:
                return
            self.drop(oldest)


def _gone_at_s(entry: CacheEntry | Packed) -> float:
    return max(entry.good_until_s, entry.kept_until_s)


class _Index:
    """Finds keys by tag. Most tags are of one token: a set is made only for the second, to save memory.

    A tag that thousands have, as that of a realm or of a busy client, is only counted. Its set would take as much
    memory as the rest of the index, for an order that hardly ever comes. Sets are kept apart, so that the collector
    need not look through a dict, however large, that holds nothing but bytes.
    """

    def __init__(self) -> None:
        self._one: dict[bytes, bytes] = {}
        self._several: dict[bytes, set[bytes]] = {}
        self._many: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._one) + len(self._several) + len(self._many)

    def keys(self, tag: bytes) -> list[bytes] | None:
        """The keys of `tag`; `None` where there are too many to be kept here."""
        if tag in self._many:
            return None
        one = self._one.get(tag)
        return list(self._several.get(tag, ())) if one is None else [one]

    def add(self, key: bytes, tags: Iterable[bytes]) -> None:
        """Add the key, which must not be there yet under any of `tags`."""
        for tag in tags:
            if tag in self._many:
                self._many[tag] += 1
            elif (several := self._several.get(tag)) is not None:
                several.add(key)
                if len(several) > _KEYS_PER_TAG_MAX:
                    self._many[tag] = len(self._several.pop(tag))
            elif (one := self._one.setdefault(tag, key)) != key:
                del self._one[tag]
                self._several[tag] = {one, key}

    def discard(self, key: bytes, tags: Iterable[bytes]) -> None:
        """Remove the key, which must have been added with these tags."""
        for tag in tags:
            if tag in self._many:
                self._many[tag] -= 1
                if not self._many[tag]:
                    del self._many[tag]
            elif self._one.get(tag) == key:
                del self._one[tag]
            elif (several := self._several.get(tag)) is not None:
                several.discard(key)
                if not several:
                    del self._several[tag]
