"""Remembers results for names, lines and heads that come again and again.

A client that sends new ones each time must neither fill the memory nor make its upkeep cost anything. So the memo has
no order and no clock: when it is full it is emptied, and common entries are back at once.
"""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedMemo(Generic[K, V]):
    """Keeps at most `most` entries. Bound the size of an entry before you keep it.

    Read `known`, which is always the same dict, and write only by `keep`. A subclass of dict would be slower to read,
    by a tenth of the time that a response's head takes.
    """

    __slots__ = ("_most", "known")

    def __init__(self, most: int) -> None:
        self._most = most
        self.known: dict[K, V] = {}

    def keep(self, key: K, value: V) -> None:
        keep_at_most(self._most, self.known, key, value)


def keep_at_most(most: int, known: dict[K, V], key: K, value: V) -> None:
    """Empty `known` if it is full, then add the entry: for a dict that has a class of its own."""
    if len(known) >= most and key not in known:
        known.clear()
    known[key] = value
