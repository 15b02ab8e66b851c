"""A memory of what was found out once: of names, lines and heads that come again and again.

Whoever sends others each time must neither fill the memory nor make its upkeep cost anything. So it has no order and no
clock: when it is full it is emptied, and what is common is back at once.
"""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedMemo(dict[K, V]):
    """A dict of at most `most` entries. To read it costs what it costs to read a dict.

    Write to it by `memo[key] = value` only. Bound what one entry may weigh before you write it.
    """

    __slots__ = ("_most",)

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        if len(self) >= self._most and key not in self:
            self.clear()
        super().__setitem__(key, value)
