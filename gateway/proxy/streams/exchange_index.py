"""The open exchanges by the tags of their facts: which of them a purge ends, and how long facts are good for one.

A request is decided once, and its exchange may outlast the facts that let it in. The index finds open exchanges by
tag, so that a purge does not look at those that it does not cover. It also remembers purges for a while: an exchange
enters the index only after it has been open for some time, and a purge may have come before that.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from gateway.introspection.tag_purge import KnownPurges, TagPurge

_PURGED_MAX = 50_000
# Where no result may be cached at all, asking without a pause would help nobody.
_WINDOW_MIN_S = 1.0
# The rest of the window is there for a provider that cannot tell at that moment.
_ASKED_AFTER = 0.75

T = TypeVar("T")


class StreamFate(Enum):
    """Says what purges mean for an open exchange."""

    GOES_ON = "goes on"
    IS_ASKED = "is asked about"  # everything was purged, and this token may still be good
    ENDS = "ends"


@dataclass(frozen=True, slots=True)
class Window:
    """How long an open exchange may rely on its facts, in seconds since they were introspected.

    The gateway asks again from `ask_after_s` on. While the provider cannot tell, the facts hold until `end_after_s`.
    """

    ask_after_s: float
    end_after_s: float


def window_of(ttl_s: float, max_age_s: float | None, stale_s: float | None) -> Window:
    window_s = max(_WINDOW_MIN_S, min(ttl_s, math.inf if max_age_s is None else max_age_s))
    return Window(_ASKED_AFTER * window_s, window_s + (stale_s or 0.0))


class OpenExchanges(Generic[T]):
    """Finds open exchanges by tag, compared by identity. All times are in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._tags: dict[T, tuple[bytes, ...]] = {}
        self._by_tag: dict[bytes, set[T]] = {}
        self._purged_at_s: OrderedDict[bytes, float] = OrderedDict()
        self._all_purged_at_s = -math.inf
        self._known = KnownPurges()

    def __len__(self) -> int:
        return len(self._tags)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._tags))

    def __contains__(self, stream: T) -> bool:
        return stream in self._tags

    def put(self, stream: T, tags: tuple[bytes, ...], since_s: float) -> StreamFate:
        """Index `stream` under `tags`. The result is its fate by the purges that came since `since_s`."""
        self.discard(stream)
        self._tags[stream] = tags
        for tag in tags:
            self._by_tag.setdefault(tag, set()).add(stream)
        if any(self._purged_at_s.get(tag, -math.inf) >= since_s for tag in tags):
            return StreamFate.ENDS
        return StreamFate.IS_ASKED if tags and self._all_purged_at_s >= since_s else StreamFate.GOES_ON

    def discard(self, stream: T) -> None:
        for tag in self._tags.pop(stream, ()):
            tagged = self._by_tag[tag]
            tagged.discard(stream)
            if not tagged:
                del self._by_tag[tag]

    def tags(self, stream: T) -> tuple[bytes, ...]:
        return self._tags.get(stream, ())

    def tagged(self, tags: Iterable[bytes]) -> set[T]:
        """The exchanges that carry one of `tags`."""
        return {stream for tag in tags for stream in self._by_tag.get(tag, ())}

    def purge(self, purge: TagPurge, now_s: float) -> tuple[StreamFate, set[T]]:
        """The fate that `purge` brings, and the exchanges it concerns. A repeated purge concerns none."""
        if not self._known.is_new(purge):
            return StreamFate.GOES_ON, set()
        if purge.tags is None:
            self._all_purged_at_s = now_s
            return StreamFate.IS_ASKED, {stream for stream, tags in self._tags.items() if tags}
        if purge.is_of_realms:
            # An exchange that enters later cannot be told by its realm, so each of those is asked about: that is safe.
            self._all_purged_at_s = now_s
            return StreamFate.IS_ASKED, self.tagged(purge.tags)
        for tag in purge.tags:
            self._purged_at_s[tag] = now_s
            self._purged_at_s.move_to_end(tag)
        while len(self._purged_at_s) > _PURGED_MAX:
            # The index no longer knows whom that purge named, so it asks about everything that was open then.
            _, at_s = self._purged_at_s.popitem(last=False)
            self._all_purged_at_s = max(self._all_purged_at_s, at_s)
        return StreamFate.ENDS, self.tagged(purge.tags)

    def forget_purges(self, before_s: float) -> None:
        """Forget the purges before `before_s`, which no exchange still to be indexed can have missed."""
        while self._purged_at_s and next(iter(self._purged_at_s.values())) < before_s:
            self._purged_at_s.popitem(last=False)
