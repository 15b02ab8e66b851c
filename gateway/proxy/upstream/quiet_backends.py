"""Which backends of a route have said nothing for too many requests; the pure part, to which the time is passed in.

A backend that hangs accepts everything. Its first time-out comes after the route's `timeout`, and by then every client
may wait for it. So it matters how many requests have been sent to it since its last answer:

- `BackendState.unheard` counts the requests under way to which a backend was chosen after its last answer. An answer of
  any status sets it to 0. A request that its client is still sending does not count: no answer is due before its end.
- A backend with `_UNHEARD_MAX` of them is quiet: it is passed over while one that is not quiet is there. Where all are,
  as in a burst or where every answer takes long, those are chosen that have the fewest for their weight.
- After `pause_s` one request tries a quiet backend. What comes of that is the business of `Ejection`.

A healthy backend that gets as many requests as it gives answers hardly ever becomes quiet.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.proxy.upstream.backend_state import BackendState

_UNHEARD_MAX = 8


class QuietBackends:
    """Over the backends of one route. `at_most` of them are passed over at a time; 0: none ever is."""

    def __init__(self, states: Sequence[BackendState], weights: Sequence[int], pause_s: float, at_most: int) -> None:
        self.any = False  # whether `heard` has anything to say
        self._states = states
        # Who gets more turns has more requests under way.
        self._weights = [weight // min(weights) for weight in weights]
        self._unheard_max = [_UNHEARD_MAX * weight for weight in self._weights]
        self._pause_s = pause_s
        self._at_most = at_most
        self._until_s: dict[int, float] = {}

    def is_full(self, place: int) -> bool:
        """Whether so many have not been answered; `chosen` has to be told then."""
        return self._states[place].unheard >= self._unheard_max[place]

    def chosen(self, place: int, now_s: float) -> None:
        """The last of the requests that a backend may have, or one that tries it, goes there."""
        if place in self._until_s or len(self._until_s) < self._at_most:
            self._until_s[place] = now_s + self._pause_s
            self.any = True

    def heard(self, usable: Sequence[int], now_s: float) -> Sequence[int]:
        """Those of `usable` that are not quiet, or whose time to be tried has come; else those with the fewest."""
        for place in list(self._until_s):
            if not self.is_full(place):
                del self._until_s[place]
        self.any = bool(self._until_s)
        until_s = self._until_s
        loud = tuple(place for place in usable if until_s.get(place, now_s) <= now_s)
        return loud or self._with_fewest(usable)

    def _with_fewest(self, usable: Sequence[int]) -> Sequence[int]:
        states, weights = self._states, self._weights
        fewest = min(states[place].unheard // weights[place] for place in usable)
        return tuple(place for place in usable if states[place].unheard // weights[place] <= fewest)
