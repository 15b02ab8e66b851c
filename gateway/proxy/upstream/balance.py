"""Chooses the backend of a request among those that are usable; the pure part, which knows no clock and no socket.

How this works:

- A place is the index of a backend in the route's list. `usable` are the places that may be chosen, never empty.
- `SmoothTurns` is round robin. Weights spread a backend's turns evenly, as nginx does it, so that no backend gets a
  burst.
- `least_busy` takes the backend that has the fewest requests under way for its weight.
- `by_score` is rendezvous hashing: each backend gets a score of the value, and the highest score wins. A backend that
  leaves moves only the values that it had, and every instance computes the same scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

_SCORE_BYTES = 8
_SCORES = 2.0 ** (8 * _SCORE_BYTES)


class SmoothTurns:
    """Round robin by weight over one route's backends."""

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = weights
        self._is_even = len(set(weights)) <= 1
        self._turn = -1
        self._credits = [0] * len(weights)

    def next(self, usable: Sequence[int]) -> int:
        if self._is_even:
            self._turn = turn = self._turn + 1
            return usable[turn % len(usable)]
        # Each gets credit by its weight at every turn; the one that has the most pays for all of it.
        credit, total, best = self._credits, 0, usable[0]
        for place in usable:
            weight = self._weights[place]
            total += weight
            credit[place] += weight
            if credit[place] > credit[best]:
                best = place
        credit[best] -= total
        return best


def least_busy(usable: Sequence[int], requests: Sequence[int], weights: Sequence[int], first: int) -> int:
    """The place with the fewest `requests` for its weight. Of equals the next one from `first` on, in turn."""
    length = len(usable)
    best = usable[first % length]
    least = requests[best] / weights[best]
    for step in range(1, length):
        place = usable[(first + step) % length]
        load = requests[place] / weights[place]
        if load < least:
            best, least = place, load
    return best


def by_score(value: bytes, names: Sequence[bytes], weights: Sequence[int], usable: Sequence[int]) -> list[int]:
    """The usable places, the one of `value` first, then the one that would have it without that, and so on.

    The score is that of weighted rendezvous hashing: a backend of twice the weight wins twice as many values.
    """
    key = blake2b(value, digest_size=32).digest()  # a long value is read once
    return sorted(usable, key=lambda place: (-_score(key, names[place], weights[place]), names[place], place))


def _score(key: bytes, name: bytes, weight: int) -> float:
    found = int.from_bytes(blake2b(key + name, digest_size=_SCORE_BYTES).digest(), "big")
    return -weight / math.log((found + 0.5) / _SCORES)
