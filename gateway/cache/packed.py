"""A result in a few hundred bytes, for the many tokens that are not in use just now.

As objects, the claims of one token take several kilobytes, and a hundred thousand of them make the collector stop the
process for a second. As text, compressed against similar results, they take little, and are read back in a few
microseconds. The text never leaves the process.
"""

from __future__ import annotations

import json
import zlib
from collections import deque
from dataclasses import dataclass

from gateway.authn.facts import CLAIM_NAMES, Facts, scope_set
from gateway.introspection.ports import CacheEntry

_WINDOW_BITS = -14  # raw deflate: what is in our own memory needs no checksum
_MEMORY_LEVEL = 6
_LEVEL = 6
# The dictionary is made of results that came: the next ones have the same names, issuer and roles.
_SAMPLES = 4
_SAMPLE_MAX_BYTES = 2**11
# After so many it is made anew, because another configuration may bring other results. Entries keep the one they need.
_PACKED_PER_SAMPLE = 500


@dataclass(frozen=True, slots=True)
class Packed:
    """An `CacheEntry` about an active token, packed."""

    text: bytes
    dictionary: bytes
    tags: tuple[bytes, ...]
    introspected_at_s: float
    good_until_s: float
    refresh_at_s: float
    kept_until_s: float

    def entry(self) -> CacheEntry:
        """Equal to the entry that was packed."""
        text = zlib.decompressobj(_WINDOW_BITS, self.dictionary).decompress(self.text)
        claims, at, exp, nbf, scopes, phantom = json.loads(text)
        claims = {CLAIM_NAMES.pooled(name): value for name, value in claims.items()}
        facts = Facts(claims, at, exp, nbf, scope_set(tuple(scopes)), phantom)
        times_s = (self.introspected_at_s, self.good_until_s, self.refresh_at_s, self.kept_until_s)
        return CacheEntry(facts, self.tags, *times_s)


class Packer:
    """Packs the entries of one cache."""

    def __init__(self) -> None:
        self._samples: deque[bytes] = deque(maxlen=_SAMPLES)
        self._dictionary = b""
        self._packed = 0

    def pack(self, entry: CacheEntry) -> Packed:
        """Packs `entry`, whose result must be facts: an inactive result has nothing to pack."""
        facts = entry.result
        assert isinstance(facts, Facts)  # the caller keeps the others apart
        fields = (facts.claims, facts.introspected_at, facts.exp, facts.nbf, sorted(facts.scopes), facts.phantom)
        # In ASCII: a claim may hold a lone surrogate, which has no UTF-8.
        text = json.dumps(fields, separators=(",", ":")).encode()
        if self._packed % _PACKED_PER_SAMPLE == 0:
            self._samples.append(text[:_SAMPLE_MAX_BYTES])
            self._dictionary = b"".join(self._samples)
        self._packed += 1
        deflate = zlib.compressobj(
            _LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, self._dictionary
        )
        packed = deflate.compress(text) + deflate.flush()
        times_s = (entry.introspected_at_s, entry.good_until_s, entry.refresh_at_s, entry.kept_until_s)
        return Packed(packed, self._dictionary, entry.tags, *times_s)
