"""Seals results for Redis and opens them again. Each is sealed with its key, its age and its log position."""

from __future__ import annotations

from collections.abc import Callable

from gateway.cache.clocks_apart import ClocksApart
from gateway.cache.entry import StoredEntry, as_introspected_at
from gateway.cache.entry_form import decode, encode
from gateway.cache.key import KEY_BYTES, HmacKeys
from gateway.cache.key_ring import KeyRing
from gateway.cache.purge_index import PurgeIndex
from gateway.cache.seal import Seal
from gateway.introspection.ports import Absent, Recalled

# The claims of a person in a thousand groups are smaller. Larger results are kept only in the process.
ENTRY_LIMIT_BYTES = 256 * 2**10
_NO_KEY = -2  # PTTL replies this where the key does not exist


class EntryCodec:
    """Seals and opens entries with one of the secrets in `keys`.

    `which` is the number of that secret: the codec takes the secret's part of every key. `clock` is the wall clock,
    `monotonic` measures durations; both in seconds. `purge_index` knows the fleet's purges.
    """

    def __init__(
        self,
        keys: HmacKeys | KeyRing,
        purge_index: PurgeIndex,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        clock_skew_s: float,
        which: int = 0,
    ) -> None:
        self._keys = keys
        self._own = keys if isinstance(keys, HmacKeys) else None
        self._purge_index = purge_index
        self._clock = clock
        self._monotonic = monotonic
        self._clock_skew_s = clock_skew_s
        self._clocks_apart = ClocksApart(clock_skew_s, monotonic)
        self._seal = Seal(keys.members[which].sealing, ENTRY_LIMIT_BYTES)
        self._part_at = which * KEY_BYTES

    def part(self, key: bytes) -> bytes:
        """The part of a key, or of an event's key, that belongs to this secret."""
        return key[self._part_at : self._part_at + KEY_BYTES]

    def open(self, key: bytes, realm: str, left_ms: int, sealed: bytes) -> Recalled | Absent:
        """Open the result of `key`, of a provider of `realm`. Redis says that it has `left_ms` left."""
        if not sealed or left_ms in (_NO_KEY, 0):
            return Absent.MISS
        text = self._seal.open(self.part(key), sealed)
        entry = None if text is None else decode(text)
        if entry is None:
            return Absent.ERROR
        now = self._clock()
        recalled = entry.recalled(left_ms, now, self._clock_skew_s)
        self._clocks_apart.seen(entry.ahead_s(left_ms, now))
        if recalled is None:
            return Absent.ERROR
        tags = self._tags(key, realm, recalled, entry.tags)
        if not self._purge_index.is_valid(entry.log_position, tags, self._monotonic()):
            return Absent.MISS
        recalled.tags = tags
        return recalled

    def _tags(self, key: bytes, realm: str, recalled: Recalled, written: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """All tags of a result. Those that were `written` into it count if they are of the same realm.

        A writer that did not know the issuer yet has made other ones. With several secrets in use there are more.
        """
        if written and self._own is not None and written[0] == self._own.realm_tag(realm):
            return (key, *written)
        aliases = self._keys.aliases(key)
        tags = aliases + self._keys.result_tags(realm, recalled.result)
        return tags if aliases else (key, *tags)

    def seal(self, key: bytes, recalled: Recalled, log_position: bytes, fence: bytes = b"") -> tuple[bytes, int] | None:
        """Return the sealed entry and its life in milliseconds; `None` for a result that must not be shared."""
        left_ms = int(recalled.left_s * 1000)
        kept_ms = max(left_ms, int(recalled.kept_s * 1000))
        if not log_position or kept_ms < 1:
            return None
        age_ms = -int(-recalled.age_s * 1000 // 1)
        longer_ms = kept_ms if kept_ms > left_ms else 0
        # The time is of the same clock and the same moment as the age, because the reader compares the two.
        result = as_introspected_at(recalled.result, self._clock() - recalled.age_s)
        tags = recalled.tags or ()
        entry = StoredEntry(result, age_ms, left_ms, log_position, fence, longer_ms, recalled.is_announced, tags)
        sealed = self._seal.seal(self.part(key), encode(entry))
        return None if sealed is None else (sealed, kept_ms)
