"""Revocations that no provider will confirm: what was evicted while tokens are judged only in this process.

With `validation: jwt` nobody is asked about a token. So an eviction must last: what it names, and what was issued at or
before it, stays inactive until the token's own `exp`. The memory is bounded, and the oldest revocation goes first. It
holds tags, as purges do. The fleet's log of purges tells it to every process, also to one that starts later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from gateway.authn.facts import Facts, Inactive
from gateway.introspection.tag_purge import TagPurge

# 100 bytes each. Beyond, an eviction of so long ago is forgotten before the tokens that it named have expired.
_REVOCATIONS_MAX = 100_000
_WHY = "it was revoked by an eviction, and validation: jwt asks nobody whether it still is"


class Revocations:
    """Remembers by tag when something was revoked, in seconds since the epoch."""

    def __init__(self, most: int = _REVOCATIONS_MAX) -> None:
        self._most = most
        self._at: OrderedDict[bytes, float] = OrderedDict()

    @property
    def count(self) -> int:
        return len(self._at)

    def record(self, purge: TagPurge) -> None:
        """Records what `purge` revokes: nothing, where it only has results forgotten."""
        if purge.revoked_at is None or purge.tags is None:
            return
        for tag in purge.tags:
            # A time only moves forward, and an order that comes twice changes nothing.
            self._at[tag] = max(purge.revoked_at, self._at.get(tag, 0.0))
            self._at.move_to_end(tag)
        while len(self._at) > self._most:
            self._at.popitem(last=False)

    def apply(self, facts: Facts, its_own: Iterable[bytes], tags: Iterable[bytes]) -> Facts | Inactive:
        """`facts`, or an inactive result for a token that was revoked.

        `its_own` are the tags that name this very token, and so revoke it whenever it was issued. `tags` are those that
        other tokens have as well. A token that does not say when it was issued counts as issued before.
        """
        if not self._at:
            return facts
        if any(tag in self._at for tag in its_own):
            return Inactive(facts.introspected_at, _WHY)
        issued_at = facts.claims.get("iat")
        revoked_at = max((self._at[tag] for tag in tags if tag in self._at), default=None)
        if revoked_at is None:
            return facts
        if isinstance(issued_at, int | float) and not isinstance(issued_at, bool) and issued_at > revoked_at:
            return facts
        return Inactive(facts.introspected_at, _WHY)
