"""A memory of what was found out once: of names, lines and heads that come again and again.

Whoever sends others each time must neither fill the memory nor make its upkeep cost anything. So it has no order and no
clock: when it is full it is emptied, and what is common is back at once.
"""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedMemo(Generic[K, V]):
    """At most `most` entries. Bound what one of them may weigh before you keep it.

    Read `known`, which is the same dict for ever; write by `keep` only. A class derived from dict would be read more
    slowly: by a tenth of what it takes to read a response's head.
    """

    __slots__ = ("_most", "known")

    def __init__(self, most: int) -> None:
        self._most = most
        self.known: dict[K, V] = {}

    def keep(self, key: K, value: V) -> None:
        keep_at_most(self._most, self.known, key, value)


def keep_at_most(most: int, known: dict[K, V], key: K, value: V) -> None:
    """The same for a dict that is more than a memory."""
    if len(known) >= most and key not in known:
        known.clear()
    known[key] = value
