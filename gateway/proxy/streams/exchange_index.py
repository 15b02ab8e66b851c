"""Which of the exchanges that stay open a purge ends, and how long one goes by the facts that it has.

A request is decided once, and an exchange may outlast what it was decided by. Each open one is found by the marks of
its facts, so that a purge costs no look at those that it does not cover. Purges are remembered for a while as well: an
exchange becomes known only when it has been open for some time, and one of them may have come before that.
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
# Where no answer may be kept for any time, asking without a pause would serve nobody.
_WINDOW_MIN_S = 1.0
# The rest of the window is for a provider that cannot tell just then.
_ASKED_AFTER = 0.75

T = TypeVar("T")


class StreamFate(Enum):
    """What the purges since an exchange was let in mean for it."""

    GOES_ON = "goes on"
    IS_ASKED = "is asked about"  # everything was purged, and nobody said that this token is no good
    ENDS = "ends"


@dataclass(frozen=True, slots=True)
class Window:
    """How long facts do for an open exchange, in seconds since they were introspected.

    A new answer is asked for from `ask_after_s` on. While there is none to be had, they do until `end_after_s`.
    """

    ask_after_s: float
    end_after_s: float


def window_of(ttl_s: float, max_age_s: float | None, stale_s: float | None) -> Window:
    window_s = max(_WINDOW_MIN_S, min(ttl_s, math.inf if max_age_s is None else max_age_s))
    return Window(_ASKED_AFTER * window_s, window_s + (stale_s or 0.0))


class OpenExchanges(Generic[T]):
    """Values are told apart by what they are, not by what is in them. `now_s` and the like are the monotonic clock."""

    def __init__(self) -> None:
        self._marks: dict[T, tuple[bytes, ...]] = {}
        self._bearing: dict[bytes, set[T]] = {}
        self._purged_at_s: OrderedDict[bytes, float] = OrderedDict()
        self._all_purged_at_s = -math.inf
        self._known = KnownPurges()

    def __len__(self) -> int:
        return len(self._marks)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._marks))

    def __contains__(self, one: T) -> bool:
        return one in self._marks

    def put(self, one: T, marks: tuple[bytes, ...], since_s: float) -> StreamFate:
        """Find `one` by `marks` from now on; what was purged since `since_s` may concern it already."""
        self.discard(one)
        self._marks[one] = marks
        for mark in marks:
            self._bearing.setdefault(mark, set()).add(one)
        if any(self._purged_at_s.get(mark, -math.inf) >= since_s for mark in marks):
            return StreamFate.ENDS
        return StreamFate.IS_ASKED if marks and self._all_purged_at_s >= since_s else StreamFate.GOES_ON

    def discard(self, one: T) -> None:
        for mark in self._marks.pop(one, ()):
            bearing = self._bearing[mark]
            bearing.discard(one)
            if not bearing:
                del self._bearing[mark]

    def marks(self, one: T) -> tuple[bytes, ...]:
        return self._marks.get(one, ())

    def bearing(self, marks: Iterable[bytes]) -> set[T]:
        """Those that bear one of `marks`."""
        return {one for mark in marks for one in self._bearing.get(mark, ())}

    def purge(self, purge: TagPurge, now_s: float) -> tuple[StreamFate, set[T]]:
        """What the order means, and for which; the same order a second time means nothing."""
        if not self._known.is_news(purge):
            return StreamFate.GOES_ON, set()
        if purge.marks is None:
            self._all_purged_at_s = now_s
            return StreamFate.IS_ASKED, {one for one, marks in self._marks.items() if marks}
        if purge.is_of_realms:
            # Whose marks come after this cannot be told by realm: they are all asked about, which harms nobody.
            self._all_purged_at_s = now_s
            return StreamFate.IS_ASKED, self.bearing(purge.marks)
        for mark in purge.marks:
            self._purged_at_s[mark] = now_s
            self._purged_at_s.move_to_end(mark)
        while len(self._purged_at_s) > _PURGED_MAX:
            # Nobody can tell any more whom it named: whoever was open then is asked about.
            _, at_s = self._purged_at_s.popitem(last=False)
            self._all_purged_at_s = max(self._all_purged_at_s, at_s)
        return StreamFate.ENDS, self.bearing(purge.marks)

    def forget_purges(self, before_s: float) -> None:
        """Those that nobody can have missed who is still to be put here."""
        while self._purged_at_s and next(iter(self._purged_at_s.values())) < before_s:
            self._purged_at_s.popitem(last=False)
