"""Which backends of a route are out, and until when; the pure part, to which the time is passed in.

How this works:

- Failures in a row are counted for each backend. An answer of any status ends the row.
- A row of `failures` takes the backend out for `eject_s`. Then one request tries it: while that has no answer the
  backend stays out for everyone else, for another `eject_s` at most. One more failure takes it out again.
- Health questions take a backend out too, apart from that, until they say otherwise.
- When all are out, all are usable: to try is better than to refuse. The only backend is therefore never out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

_FAILURES = 3  # a row of so many is told of, where none takes a backend out


class Ejection:
    """Over the places of one route's backends. `eject_s` 0: no row of failures takes any out.

    `usable` are the places that may be asked, `others` the rest, both in the order of the list. `changes_s` is the time
    at which `look` would find more of them. `ejected_max` are out by rows at a time, at most.
    """

    def __init__(self, backends: int, failures: int = _FAILURES, eject_s: float = 0.0, max_percent: int = 100) -> None:
        self.failures = failures
        self.usable: Sequence[int] = tuple(range(backends))
        self.others: Sequence[int] = ()
        self.changes_s = inf
        self.rows = [0] * backends
        self._all = self.usable
        self._eject_s = eject_s
        self.ejected_max = backends * max_percent // 100 if backends > 1 and eject_s else 0
        self._out_until_s: dict[int, float] = {}
        self._is_well = [True] * backends

    def is_well(self, place: int) -> bool:
        """What the health questions have said last."""
        return self._is_well[place]

    def is_up(self, place: int) -> bool:
        """Whether it is known to be well: it may be tried before that."""
        return self._is_well[place] and self.rows[place] < self.failures

    def failed(self, place: int, now_s: float) -> bool:
        """Count a failure. Returns whether the backend has been up so far, and is no longer."""
        was_up = self.is_up(place)
        self.rows[place] += 1
        if self.rows[place] >= self.failures:
            self._eject(place, now_s)
        return was_up and not self.is_up(place)

    def answered(self, place: int) -> bool:
        """End the row of failures. Returns whether the backend is up again by that."""
        was_up = self.is_up(place)
        self.rows[place] = 0
        if self._out_until_s.pop(place, None) is not None:
            self._settle()
        return not was_up and self.is_up(place)

    def found(self, place: int, *, is_well: bool) -> bool:
        """Take over what health questions say. Returns whether that is another answer than before."""
        if self._is_well[place] == is_well:
            return False
        self._is_well[place] = is_well
        self._settle()
        return True

    def look(self, now_s: float) -> None:
        """Have those tried whose time is over."""
        for place, until_s in list(self._out_until_s.items()):
            if until_s <= now_s:
                del self._out_until_s[place]
        self._settle()

    def tried(self, place: int, now_s: float) -> None:
        """A request goes to this one. While nobody knows what comes of it, no other does."""
        if self.rows[place] >= self.failures and len(self.usable) > 1:
            self._eject(place, now_s)

    def _eject(self, place: int, now_s: float) -> None:
        out = self._out_until_s
        if place in out or len(out) < self.ejected_max:
            out[place] = now_s + self._eject_s
            self._settle()

    def _settle(self) -> None:
        out = self._out_until_s
        usable = tuple(place for place in self._all if place not in out and self._is_well[place])
        self.usable = usable or self._all
        self.others = tuple(place for place in self._all if place not in self.usable)
        self.changes_s = min(out.values(), default=inf)
